--- The bodies in spec/fixtures/dialects, decoded as the client decodes them.
-- Owns the decoding for specs: a JSON null is a missing field at any depth. Works under every Lua.
local cjson = require "cjson"
local process = require "spec.support.process"

local FIXTURES = "spec/fixtures/dialects/"

local dialects = { null = cjson.null }

local function without_nulls(value)
  if value == cjson.null then return nil end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do copy[key] = without_nulls(item) end
  return copy
end

--- Decodes JSON as the client does.
function dialects.decode(json)
  return without_nulls(cjson.decode(json))
end

--- Writes a value in one line, for the title of a spec.
dialects.encode = cjson.encode

--- Reads one fixture.
function dialects.read(name)
  return (assert(process.slurp(FIXTURES .. name), name))
end

--- Makes a deep copy, to check later that a value was not changed.
function dialects.copy(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do copy[key] = dialects.copy(item) end
  return copy
end

--- Lists all JSON bodies: `{ entry = its entry in index.json (nulls are `dialects.null`), body = table }`.
function dialects.bodies()
  local list = {}
  for _, entry in ipairs(cjson.decode(dialects.read("index.json"))) do
    if entry.file:find("%.json$") then
      list[#list + 1] = { entry = entry, body = dialects.decode(dialects.read(entry.file)) }
    end
  end
  return list
end

return dialects
