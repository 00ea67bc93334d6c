--- The bodies of spec/fixtures/dialects, read as the client reads them.
-- Owns the decoding for specs: a JSON null is an absent field at any depth. Works under every Lua.
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

--- A JSON text as the client decodes it.
function dialects.decode(json)
  return without_nulls(cjson.decode(json))
end

--- A value as one line, to name a spec after it.
dialects.encode = cjson.encode

--- The bytes of one fixture.
function dialects.read(name)
  return (assert(process.slurp(FIXTURES .. name), name))
end

--- A deep copy, to see later whether something was changed.
function dialects.copy(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do copy[key] = dialects.copy(item) end
  return copy
end

--- All JSON bodies: `{ entry = what index.json says (its nulls are `dialects.null`), body = table }`.
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
