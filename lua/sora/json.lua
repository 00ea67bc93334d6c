--- Writing and reading JSON.
-- Owns how written numbers keep all their digits, and arrays their nature; reading is done in C. Invariant:
-- the cjson instance is our own, so nobody's configuration is read or changed.
-- @module sora.json
-- @local

local core = require "sora.core"

local cjson = core.cjson
local json = { null = cjson.null }

-- cjson writes 14 digits of a number, with the decimal point of the locale, and an empty table as an object.
-- So a longer integer, a fraction and an empty array pass through it as strings that begin with a mark, which
-- is removed afterwards with its quotes. In a string the mark's byte, which no UTF-8 has, is marked itself.
local PLAIN = 1e14
local MAX_DEPTH = 100 -- tables in tables
local MARK, BYTE, MARKED_BYTE = "\255=", "\255", "\255+"
local EMPTY = MARK .. "[]"
local MARKED = '"' .. MARK .. '([^"]*)"'
local ARRAY = { __name = "sora.array" }

-- Tells whether a table is an array though its content may not show it: one of `sora.array`, or one that
-- cjson, if it can, or another JSON library has marked.
local function is_array(value)
  local meta = getmetatable(value)
  if type(meta) ~= "table" then return false end
  return meta == ARRAY or meta == cjson.array_mt or meta.__jsontype == "array"
    or meta == cjson.empty_array_mt and next(value) == nil
end

local function is_integer(value)
  return math.type and math.type(value) == "integer"
end

local function is_long(value)
  return (value >= PLAIN or value <= -PLAIN)
    and (is_integer(value) or (value % 1 == 0 and value >= -2 ^ 63 and value < 2 ^ 63))
end

--- Returns the text of a number that is finite, with a '.' in any locale.
-- @tparam number value
-- @tparam string format of `string.format`
function json.number(value, format)
  return (format:format(value):gsub("[^%da-z+-]+", "."))
end

-- Returns a string in which no byte looks like a mark.
local function marked_bytes(text)
  return text:find(BYTE, 1, true) and text:gsub(BYTE, MARKED_BYTE) or text
end

-- Returns the digits of a number that cjson might write wrong.
local function digits(value)
  if type(value) ~= "number" then return nil end
  if is_long(value) then return is_integer(value) and tostring(value) or ("%.0f"):format(value) end
  if value % 1 ~= 0 and value - value == 0 then return json.number(value, "%.14g") end
end

local mark

-- Returns a copy of an array; its holes are null. An index far beyond the others is a mistake.
local function mark_array(list, depth)
  local copy, length, count = {}, 0, 0
  for key in pairs(list) do
    if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then
      return nil, ("an array has no field '%s'"):format(tostring(key))
    end
    length, count = math.max(length, key), count + 1
  end
  if length == 0 then return EMPTY end
  if length > 10 * count + 100 then return nil, "excessively sparse array" end
  for i = 1, length do
    local twin, problem = json.null, nil
    if list[i] ~= nil then twin, problem = mark(list[i], depth + 1) end
    if twin == nil then return nil, problem end
    copy[i] = twin
  end
  return copy
end

-- Returns a copy with marks, or nil and what cannot be written.
function mark(value, depth)
  local text = digits(value)
  if text then return MARK .. text end
  if type(value) == "string" then return marked_bytes(value) end
  if type(value) ~= "table" then return value end
  if depth > MAX_DEPTH then return nil, "nested too deeply" end
  if is_array(value) then return mark_array(value, depth) end
  local copy = {}
  for key, item in pairs(value) do
    local twin, problem = mark(item, depth + 1)
    if twin == nil then return nil, problem end
    copy[type(key) == "string" and marked_bytes(key) or key] = twin
  end
  return copy
end

--- Marks a table as an array, so that it is written as one, even if it is empty or has holes.
-- @tparam[opt] table list made if missing
-- @treturn table the list itself
function json.array(list)
  return setmetatable(list or {}, ARRAY)
end

--- Writes a value as JSON; integers keep all their digits, and arrays are arrays.
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] string what cannot be written
function json.encode(value)
  local marked, why = mark(value, 1)
  if marked == nil then return nil, why end
  local text, problem = cjson.encode(marked)
  if not text then return nil, problem end
  return (text:gsub(MARKED, "%1"):gsub("\255%+", BYTE))
end

--- Reads a JSON object or array: a null is an absent field, integers are integers.
-- @function json.decode
-- @tparam string text
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string what is wrong with it
json.decode = core.decode_json

return json
