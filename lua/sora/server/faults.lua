--- Faults on demand: failures and delays that a test injects.
-- Owns the list of faults, and decides which one applies to a request. Pure: other files act on a fault.
-- Invariant: every fault in the list has passed the rules below, so acting on it cannot fail.
local check = require "sora.server.check"
local json = require "sora.server.json"

local faults = {}

local List = {}
List.__index = List

local function is_header_value(value)
  return type(value) == "string" and not value:find("%c")
end

-- The value false removes a header from the response.
local function is_headers(value)
  if type(value) ~= "table" then
    return false
  end
  for name, text in pairs(value) do
    if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+.^_`|~-]+$")
      or name:lower() == "content-length" or name:lower() == "transfer-encoding"
      or text ~= false and not is_header_value(text) then
      return false
    end
  end
  return true
end

local function is_match(value)
  if type(value) ~= "table" then
    return false
  end
  for name, text in pairs(value) do
    if name ~= "method" and name ~= "path" or type(text) ~= "string" then
      return false
    end
  end
  return value.path == nil or (pcall(string.find, "/v1/videos", value.path))
end

local RULES = {
  match = { is_match, "an object with method and path (a Lua pattern)" },
  times = { check.whole, "a whole number" },
  after = { check.whole, "a whole number" },
  status = { check.between(200, 999), "a number from 200 to 999" },
  body = { function(v) return type(v) == "string" or type(v) == "table" end, "a text or JSON" },
  headers = { is_headers, "an object of texts (or false), without content-length and transfer-encoding" },
  delay = { check.seconds, "a number of seconds" },
  close = { function(v) return type(v) == "boolean" or v == "after" end, 'a boolean or "after"' },
  truncate = { check.whole, "a number of bytes" },
  stall = { check.seconds, "a number of seconds" },
  process = { check.type "boolean", "a boolean" },
}

--- Creates an empty list.
function faults.new()
  return setmetatable({ entries = {} }, List)
end

--- Adds faults: all of them, or none if one is invalid.
-- @tparam {table,...} list
-- @treturn ?boolean true; nil if one is invalid
-- @treturn ?string the reason
function List:add(list)
  for i, fault in ipairs(list) do
    if type(fault) ~= "table" then
      return nil, ("fault %d must be an object"):format(i)
    end
    local name, wrong = check.fields(RULES, fault)
    if name then
      return nil, ("fault %d: %s %s"):format(i, name, wrong)
    end
  end
  for _, fault in ipairs(list) do
    if type(fault.body) == "table" then
      fault.body = json.encode(fault.body)
    end
    self.entries[#self.entries + 1] = { fault = fault, seen = 0, used = 0 }
  end
  return true
end

function List:clear()
  self.entries = {}
end

local function matches(match, method, path)
  if not match then
    return true
  end
  if match.method and match.method:upper() ~= method then
    return false
  end
  if not match.path then
    return true
  end
  -- Lua reports some malformed patterns only when matching gets as far as the malformed part.
  local ok, found = pcall(string.find, path, match.path)
  return ok and found ~= nil
end

--- Finds the fault for a request: the first that matches it, has been skipped `after` times and has been
-- applied fewer than `times` times.
-- @tparam string method
-- @tparam string path decoded
-- @treturn ?table the fault
function List:take(method, path)
  for _, entry in ipairs(self.entries) do
    local fault = entry.fault
    if entry.used < (fault.times or math.huge) and matches(fault.match, method, path) then
      entry.seen = entry.seen + 1
      if entry.seen > (fault.after or 0) then
        entry.used = entry.used + 1
        return fault
      end
    end
  end
  return nil
end

--- Tells whether a fault replaces the real response, so that the request is not processed at all.
-- @tparam table fault
-- @treturn boolean
function faults.replaces(fault)
  if fault.process then
    return false
  end
  return fault.status ~= nil or fault.body ~= nil or fault.close == true
end

return faults
