-- One source for Lua 5.1 to 5.5 and LuaJIT: code asks for what only some of them have, so all globals count.
std = "max"
max_line_length = 110
files["spec"].std = "max+busted"
