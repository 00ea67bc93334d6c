--- Writing and reading JSON.
-- Owns how written numbers keep all their digits; reading is done in C. Invariant: the cjson instance is our
-- own, so nobody's configuration is read or changed.
-- @module sora.json
-- @local

local cjson = require("cjson.safe").new()
local core = require "sora.core"

local json = { null = cjson.null }

-- cjson writes 14 digits of a number, so a longer integer passes through it as a string that begins with a
-- mark, and its quotes are removed afterwards. The mark holds an address and a time, so no text has it by
-- chance.
local PLAIN = 1e14
local MAX_DEPTH = 100 -- tables in tables
local MARK = ("integer %s %.6f "):format(tostring({}):gsub("%W", ""), core.now())
local MARKED = '"' .. MARK:gsub("%p", "%%%0") .. '(%-?%d+)"'

local function is_integer(value)
  return math.type and math.type(value) == "integer"
end

local function is_long(value)
  return type(value) == "number" and (value >= PLAIN or value <= -PLAIN)
    and (is_integer(value) or (value % 1 == 0 and value >= -2 ^ 63 and value < 2 ^ 63))
end

-- Returns a copy in which long integers are marked, or nil if tables are nested too deeply.
local function mark(value, depth)
  if is_long(value) then return MARK .. (is_integer(value) and tostring(value) or ("%.0f"):format(value)) end
  if type(value) ~= "table" then return value end
  if depth > MAX_DEPTH then return nil end
  local copy = {}
  for key, item in pairs(value) do
    local twin = mark(item, depth + 1)
    if twin == nil then return nil end
    copy[key] = twin
  end
  return copy
end

--- Writes a value as JSON; integers keep all their digits.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string what cannot be written
function json.encode(value)
  local marked = mark(value, 1)
  if marked == nil then return nil, "nested too deeply" end
  local text, problem = cjson.encode(marked)
  return text and text:gsub(MARKED, "%1"), problem
end

--- Reads a JSON object or array: a null is an absent field, integers are integers.
-- @function json.decode
-- @tparam string text
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string what is wrong with it
json.decode = core.decode_json

return json
