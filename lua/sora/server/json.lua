--- JSON for the development server.
-- Owns a cjson instance of its own, so that it neither changes nor depends on a program's cjson settings.
-- Objects are written with their fields in a given order and missing ones as null, as real servers do.
local cjson = require("cjson.safe").new()

local json = { null = cjson.null, encode = cjson.encode }

local function without_nulls(value)
  if type(value) ~= "table" then
    return value
  end
  for key, item in pairs(value) do
    if item == cjson.null then
      value[key] = nil
    else
      without_nulls(item)
    end
  end
  return value
end

--- Reads JSON; a null becomes a missing field.
-- @tparam string text
-- @return the value, or nil and the reason
function json.decode(text)
  local value, err = cjson.decode(text)
  if value == nil then
    return nil, err
  elseif value == cjson.null then
    return nil, "null"
  end
  return without_nulls(value)
end

--- Reads a JSON object. Looks at the text, because cjson decodes `[]` and `{}` to the same table.
-- @tparam string text
-- @treturn ?table nil when it is not JSON or not an object
function json.decode_object(text)
  return text:find("^%s*{") and json.decode(text) or nil
end

--- Writes an object.
-- @tparam {string,...} names its fields, in order
-- @tparam table values
-- @treturn string
function json.object(names, values)
  local parts = {}
  for i, name in ipairs(names) do
    local value = values[name]
    if value == nil then
      value = cjson.null
    end
    parts[i] = cjson.encode(name) .. ":" .. assert(cjson.encode(value))
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

--- Writes an array of JSON texts. cjson would write an empty array as `{}`.
-- @tparam {string,...} items
-- @treturn string
function json.array(items)
  return "[" .. table.concat(items, ",") .. "]"
end

return json
