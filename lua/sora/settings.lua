--- A client's settings: the options, and what the environment adds.
-- Owns which variables count. Invariant: a key is only ever taken from the place that names its server;
-- OPENAI_API_KEY never goes to SORA_BASE_URL.
-- @module sora.settings

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

--- The options of a client with the environment's where they say nothing, and SORA_DEBUG's printer.
-- @tparam table options
-- @treturn table a new table
function settings.complete(options)
  local all = {}
  for name, value in pairs(options) do all[name] = value end
  for name, value in pairs(from_environment(options)) do
    if all[name] == nil then all[name] = value end
  end
  all.on_event = with_debug(options.on_event)
  return all
end

return settings
