--- Helpers for most specs of the client: a client for a server on loopback, and separate Lua processes.
-- Owns the settings that keep specs fast and independent of the environment. Works under every Lua.
local answers = require "spec.support.answers"
local core = require "sora.core"
local process = require "spec.support.process"
local sora = require "sora"

local rig = {}

--- The API key of every client here, unless its options have another.
rig.KEY = "sk-spec-0123456789abcdef"

--- Returns the date in HTTP format, some seconds from now.
function rig.http_date(seconds)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + seconds)
end

--- Options of a wait: FAST polls at short intervals, LONG polls only once.
rig.FAST = { interval = 0.01, max_interval = 0.01 }
rig.LONG = { interval = 1000, max_interval = 1000 }

--- Creates a client for `server` (from httpd.lua, or a URL). Unless `options` say otherwise it makes one
-- attempt of at most 20 seconds. An option with the value `rig.NONE` is left out.
rig.NONE = {}
function rig.client(server, options)
  local url = type(server) == "table" and server.url or server
  local settings = answers.with({ base_url = url .. "/v1", api_key = rig.KEY, max_retries = 0, timeout = 20 },
    options)
  for name, value in pairs(settings) do
    if value == rig.NONE then settings[name] = nil end
  end
  return assert(sora.new(settings))
end

--- Counts the POSTs that a server (httpd.lua) has got.
function rig.posts(server)
  local count = 0
  for _, request in ipairs(server:requests()) do
    if request.method == "POST" then count = count + 1 end
  end
  return count
end

--- Returns a list, and a function that appends its argument to it.
function rig.collector()
  local list = {}
  return list, function(item) list[#list + 1] = item end
end

--- Collects garbage twice: the first cycle only runs finalizers, and the second frees what they kept alive.
function rig.collect()
  local jit = rawget(_G, "jit")
  if jit then jit.flush() end -- a trace keeps the functions that it was recorded with
  collectgarbage()
  collectgarbage()
end

--- Replaces io.stderr.
-- @treturn {string,...} the texts written to it
-- @treturn function restores it
function rig.catch_stderr()
  local stderr, texts = io.stderr, {}
  local function write(_, ...) texts[#texts + 1] = table.concat { ... } end
  io.stderr = { write = write } -- luacheck: ignore 122
  return texts, function() io.stderr = stderr end -- luacheck: ignore 122
end

--- Measures how many seconds it takes to call `work` some times.
function rig.time(times, work)
  local before = core.now()
  for _ = 1, times do work() end
  return core.now() - before
end

--- Lists the values of one field in a list of tables.
function rig.pluck(list, field)
  local values = {}
  for i, item in ipairs(list) do values[i] = item[field] end
  return values
end

--- Returns "integer", "float" or another type. In a Lua without integers, `expected` for every number.
function rig.type(value, expected)
  if type(value) ~= "number" then return type(value) end
  return math.type and math.type(value) or expected
end

--- Whether this Lua has integers.
rig.has_integers = math.type ~= nil

-- Adds the text of a value, and of all its keys and fields at any depth, to `parts`.
local function dump(value, seen, parts)
  if type(value) ~= "table" then
    parts[#parts + 1] = tostring(value)
  elseif not seen[value] then
    seen[value] = true
    parts[#parts + 1] = tostring(value)
    for key, item in pairs(value) do
      dump(key, seen, parts)
      dump(item, seen, parts)
    end
  end
end

--- Returns the text of values and of all their fields at any depth, to search it for a leaked key.
function rig.shown(...)
  local parts, seen = {}, {}
  for i = 1, select("#", ...) do dump((select(i, ...)), seen, parts) end
  return table.concat(parts, "\n")
end

local HIDDEN = { "SORA_BASE_URL", "SORA_API_KEY", "SORA_DEBUG", "OPENAI_BASE_URL", "OPENAI_API_KEY" }

--- Runs code in a new process of the Lua that runs the specs, with `environment` and no other settings of
-- sora. Kills it after 30 seconds, so that a broken spec fails and does not hang.
-- @treturn file its stdout and stderr
-- @treturn string its process id
function rig.spawn(code, environment)
  local words = { "timeout", "-s", "KILL", "30", "env" }
  for _, name in ipairs(HIDDEN) do
    words[#words + 1] = "-u"
    words[#words + 1] = name
  end
  for name, value in pairs(environment or {}) do words[#words + 1] = name .. "=" .. value end
  local lua = os.getenv("LUA") or "lua5.4"
  for _, word in ipairs { "sh", "-c", 'echo $$; exec "$@"', "sh", lua, "-e", code } do
    words[#words + 1] = word
  end
  local child = assert(io.popen("exec " .. process.command(words) .. " 2>&1"))
  return child, child:read("*l")
end

--- Runs code as `spawn` does, and returns all its output.
function rig.run(code, environment)
  local child = rig.spawn(code, environment)
  local output = child:read("*a")
  child:close()
  return output
end

return rig
