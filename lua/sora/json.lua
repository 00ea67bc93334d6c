--- JSON text, out and in.
-- Owns how numbers keep all their digits on the way out; on the way in the C core does that. Invariant: the
-- cjson instance is our own, so nobody's configuration is read or changed.
-- @module sora.json

local cjson = require("cjson.safe").new()
local core = require "sora.core"

local json = { null = cjson.null }

-- cjson writes 14 digits of a number. An integer that has more goes through it as a string that begins with a
-- mark, whose quotes are taken off again. No text holds the mark by chance: there is an address and a time in
-- it.
local PLAIN = 1e14
local DEEPEST = 100 -- tables in tables
local MARK = ("integer %s %.6f "):format(tostring({}):gsub("%W", ""), core.now())
local MARKED = '"' .. MARK:gsub("%p", "%%%0") .. '(%-?%d+)"'

local function is_integer(value)
  return math.type and math.type(value) == "integer"
end

local function is_long(value)
  return type(value) == "number" and (value >= PLAIN or value <= -PLAIN)
    and (is_integer(value) or (value % 1 == 0 and value >= -2 ^ 63 and value < 2 ^ 63))
end

-- A copy in which long integers are marked, or nil where tables are nested without end.
local function mark(value, depth)
  if is_long(value) then return MARK .. (is_integer(value) and tostring(value) or ("%.0f"):format(value)) end
  if type(value) ~= "table" then return value end
  if depth > DEEPEST then return nil end
  local copy = {}
  for key, item in pairs(value) do
    local twin = mark(item, depth + 1)
    if twin == nil then return nil end
    copy[key] = twin
  end
  return copy
end

--- Writes a value as JSON, integers to their last digit.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string what can't be written
function json.encode(value)
  local marked = mark(value, 1)
  if marked == nil then return nil, "nested too deeply" end
  local text, problem = cjson.encode(marked)
  return text and text:gsub(MARKED, "%1"), problem
end

--- Reads a JSON object or array: null is an absent field, integers are integers.
-- @function json.decode
-- @tparam string text
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string what is wrong with it
json.decode = core.decode_json

return json
