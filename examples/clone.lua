-- Lets the examples run in a clone that was built with `make`. An installed sora needs none of this.
-- Puts the clone's folders before those of an installed sora, unless LUA_CPATH is set: that choice comes
-- first. The last folders are Debian's for Lua 5.1 to 5.3; their pure Lua modules run on newer versions too.
local root = (arg[0]:match "^.*/" or "./") .. "../"
local name = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match "%d+%.%d+"
local lua = ("@lua/?.lua;@lua/?/init.lua;@cli/?.lua"):gsub("@", function() return root end)
local c = root .. "build/" .. name .. "/?.so"

if os.getenv "LUA_CPATH" then
  package.path, package.cpath = package.path .. ";" .. lua, package.cpath .. ";" .. c
else
  package.path, package.cpath = lua .. ";" .. package.path, c .. ";" .. package.cpath
end
package.path = package.path
  .. ";/usr/share/lua/5.3/?.lua;/usr/share/lua/5.3/?/init.lua;/usr/share/lua/5.1/?.lua"
