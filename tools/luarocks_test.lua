-- Runs `make test` for `luarocks test`, in the Lua that LuaRocks uses. Arguments are folders or files of
-- specs. Passes on the module paths, so that rocks of other trees are found after `eval "$(luarocks path)"`.
local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local words = { "make test", quote("LUA=" .. arg[-1]), quote("MORE_PATH=;" .. package.path),
  quote("MORE_CPATH=;" .. package.cpath) }
if #arg > 0 then words[#words + 1] = quote("SPEC=" .. table.concat(arg, " ")) end

-- Lua 5.1 returns the status, later ones true or nil.
local result = os.execute(table.concat(words, " "))
os.exit((result == 0 or result == true) and 0 or 1)
