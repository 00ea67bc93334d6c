--- What most specs of the client need: a client for a server on loopback, and Lua processes of their own.
-- Owns the settings that keep specs quick and independent of the environment. Works under every Lua.
local answers = require "spec.support.answers"
local core = require "sora.core"
local process = require "spec.support.process"
local sora = require "sora"

local rig = {}

--- The key that every client here has, unless it is told otherwise.
rig.KEY = "sk-spec-0123456789abcdef"

--- A time that is a date in HTTP, so many seconds from now.
function rig.http_date(seconds)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + seconds)
end

--- Options of a wait: one that is over soon, and one that polls once.
rig.FAST = { interval = 0.01, max_interval = 0.01 }
rig.LONG = { interval = 1000, max_interval = 1000 }

--- A client for `server` (one of httpd.lua, or a URL): one attempt of at most twenty seconds, unless
-- `options` say otherwise. An option that is `rig.NONE` is left out.
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

--- A list, and a function that appends to it what it is called with.
function rig.collector()
  local list = {}
  return list, function(item) list[#list + 1] = item end
end

--- Collects garbage, also that which a first collection leaves (what hangs below a finalizer).
function rig.collect()
  collectgarbage()
  collectgarbage()
end

--- Takes io.stderr away.
-- @treturn {string,...} what was written to it
-- @treturn function gives it back
function rig.catch_stderr()
  local stderr, texts = io.stderr, {}
  local function write(_, ...) texts[#texts + 1] = table.concat { ... } end
  io.stderr = { write = write } -- luacheck: ignore 122
  return texts, function() io.stderr = stderr end -- luacheck: ignore 122
end

--- How long it takes to do something so many times, in seconds.
function rig.time(times, work)
  local before = core.now()
  for _ = 1, times do work() end
  return core.now() - before
end

--- The values of one field in a list of tables.
function rig.pluck(list, field)
  local values = {}
  for i, item in ipairs(list) do values[i] = item[field] end
  return values
end

--- "integer", "float" or another type; on a Lua without integers every number is what the caller expects.
function rig.type(value, expected)
  if type(value) ~= "number" then return type(value) end
  return math.type and math.type(value) or expected
end

--- Whether this Lua has integers.
rig.has_integers = math.type ~= nil

-- The client's errors and their texts, everything that a leak could be in, as one string.
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

--- Everything that a value shows: itself and all fields at any depth, as text.
function rig.shown(...)
  local parts, seen = {}, {}
  for i = 1, select("#", ...) do dump((select(i, ...)), seen, parts) end
  return table.concat(parts, "\n")
end

local HIDDEN = { "SORA_BASE_URL", "SORA_API_KEY", "SORA_DEBUG", "OPENAI_BASE_URL", "OPENAI_API_KEY" }

--- Starts the Lua that runs the specs on a piece of code, with `environment` and no other settings of sora.
-- It is killed after half a minute, so that a spec that goes wrong fails and doesn't hang.
-- @treturn file its output and its errors
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

--- Runs a piece of code as `spawn` does, and gives all that it wrote.
function rig.run(code, environment)
  local child = rig.spawn(code, environment)
  local output = child:read("*a")
  child:close()
  return output
end

return rig
