--- JSON for the development server.
-- Owns the server's cjson, a copy of its own, so that nobody's settings are touched or relied on. Objects are
-- written with their fields in a given order and absent ones as null, because that is how the format's
-- servers write them and because people read these answers.
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

--- Reads JSON; a null becomes an absent field.
-- @tparam string text
-- @return the value, or nil and what is wrong with the text
function json.decode(text)
  local value, err = cjson.decode(text)
  if value == nil then
    return nil, err
  elseif value == cjson.null then
    return nil, "null"
  end
  return without_nulls(value)
end

--- Reads a JSON object. cjson cannot tell `[]` from `{}` once decoded, so the text is asked.
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

--- Writes an array of values that are JSON already; cjson would write an empty one as `{}`.
-- @tparam {string,...} items
-- @treturn string
function json.array(items)
  return "[" .. table.concat(items, ",") .. "]"
end

return json
