--- A client's settings: the options, and what the environment adds.
-- Owns which variables count. Invariant: a key is only ever taken from the place that names its server;
-- OPENAI_API_KEY never goes to SORA_BASE_URL.
-- @module sora.settings

local core = require "sora.core"
local dialects = require "sora.dialects"

core.own()

local settings = {}

-- An empty variable counts as none.
local function getenv(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local function from_environment(options)
  local sora_url, openai_url = getenv("SORA_BASE_URL"), getenv("OPENAI_BASE_URL")
  local found = {}
  if options.base_url ~= nil or sora_url then
    found.base_url = options.base_url or sora_url
    found.api_key = getenv("SORA_API_KEY")
  elseif openai_url then
    found.base_url = openai_url
    found.api_key = getenv("SORA_API_KEY") or getenv("OPENAI_API_KEY")
  end
  return found
end

local function print_event(event)
  local parts = { "sora:", event.event, event.method, event.url, "attempt " .. event.attempt }
  if event.status then parts[#parts + 1] = "HTTP " .. event.status end
  if event.error then parts[#parts + 1] = event.error end
  if event.delay then parts[#parts + 1] = ("again in %.2f s"):format(event.delay) end
  if event.seconds then parts[#parts + 1] = ("%.3f s"):format(event.seconds) end
  io.stderr:write(table.concat(parts, " "), "\n")
end

-- SORA_DEBUG=1 prints the events, beside whoever listens to them.
local function with_debug(on_event)
  if getenv("SORA_DEBUG") ~= "1" then return on_event end
  return function(event)
    print_event(event)
    if on_event then on_event(event) end
  end
end

-- Options that the Lua layer keeps to itself, and what each must be.
local OWN = {
  paths = function() return true end, -- videos.paths looks closer
  multipart = function(value) return type(value) == "boolean", "a boolean" end,
  journal = function(value) return type(value) == "string" and value ~= "", "the name of a file" end,
  dialect = function(value) return type(value) == "string", "a string" end,
}

-- What a dialect sets counts where the options say nothing.
local function add_dialect(all, own, who)
  if own.dialect == nil then return end
  local preset = dialects[own.dialect]
  if not preset then
    local names = {}
    for name in pairs(dialects) do names[#names + 1] = name end
    table.sort(names)
    local near = core.nearest(own.dialect, names)
    core.complain(who, ("option 'dialect': '%s' is none%s; there are %s"):format(own.dialect,
      near and " (did you mean '" .. near .. "'?)" or "", table.concat(names, ", ")), 1)
  end
  for name, value in pairs(preset) do
    local to = OWN[name] and own or all
    if to[name] == nil then
      to[name] = value
    elseif name == "paths" and type(to.paths) == "table" then
      local paths = {}
      for path, template in pairs(value) do paths[path] = template end
      for path, template in pairs(to.paths) do paths[path] = template end
      to.paths = paths
    end
  end
end

--- The options of a client with the environment's where they say nothing, the dialect's, and SORA_DEBUG's
-- printer.
-- @tparam table options
-- @tparam string who the function to name when an option is misused
-- @treturn table for the core
-- @treturn table for the Lua layer: paths, multipart, journal
function settings.complete(options, who)
  local all, own = {}, {}
  for name, value in pairs(options) do
    if OWN[name] then
      local good, expected = OWN[name](value)
      if not good then
        core.complain(who, ("option '%s': expected %s, got %s"):format(name, expected, type(value)), 1)
      end
      own[name] = value
    else
      all[name] = value
    end
  end
  add_dialect(all, own, who)
  for name, value in pairs(from_environment(options)) do
    if all[name] == nil then all[name] = value end
  end
  all.on_event = with_debug(options.on_event)
  return all, own
end

return settings
