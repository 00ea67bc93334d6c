--- What most specs of the client need: a client for a server on loopback, and Lua processes of their own.
-- Owns the settings that keep specs quick and independent of the environment. Works under every Lua.
local sora = require "sora"

local rig = {}

--- The key that every client here has, unless it is told otherwise.
rig.KEY = "sk-spec-0123456789abcdef"

--- A time that is a date in HTTP, so many seconds from now.
function rig.http_date(seconds)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + seconds)
end

local function merge(defaults, options)
  for name, value in pairs(options or {}) do defaults[name] = value end
  return defaults
end

--- A client for `server` (one of httpd.lua, or a URL): one attempt of at most five seconds, unless `options`
-- say otherwise. An option that is `rig.NONE` is left out.
rig.NONE = {}
function rig.client(server, options)
  local url = type(server) == "table" and server.url or server
  local settings = merge({ base_url = url .. "/v1", api_key = rig.KEY, max_retries = 0, timeout = 5 },
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

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local HIDDEN = { "SORA_BASE_URL", "SORA_API_KEY", "SORA_DEBUG", "OPENAI_BASE_URL", "OPENAI_API_KEY" }

--- Starts the Lua that runs the specs on a piece of code, with `environment` and no other settings of sora.
-- The first line that it prints is its process id. It is killed after half a minute, so that a spec that goes
-- wrong fails and doesn't hang.
-- @treturn file its output and its errors
function rig.spawn(code, environment)
  local words = { "echo $$; exec env" }
  for _, name in ipairs(HIDDEN) do words[#words + 1] = "-u " .. name end
  for name, value in pairs(environment or {}) do words[#words + 1] = quote(name .. "=" .. value) end
  words[#words + 1] = (os.getenv("LUA") or "lua5.4") .. " -e " .. quote(code)
  return assert(io.popen("exec timeout -s KILL 30 sh -c " .. quote(table.concat(words, " ")) .. " 2>&1"))
end

--- Runs a piece of code as `spawn` does, and gives all that it wrote.
function rig.run(code, environment)
  local child = rig.spawn(code, environment)
  child:read("*l")
  local output = child:read("*a")
  child:close()
  return output
end

return rig
