--- Reads the body of a POST, JSON or multipart, into one shape.
-- Owns that shape, and the checks of single fields. Pure. An invalid request gives nil and a problem,
-- `{ status, message, code, param }`, which the dialect writes as its error.
local json = require "sora.server.json"
local multipart = require "sora.server.multipart"

local input = {}

local function problem(status, message, param, code)
  return { status = status, message = message, param = param, code = code }
end

local function from_json(request)
  local fields = json.decode_object(request.body)
  if not fields then
    return nil, problem(400, "The body is not a JSON object.", nil, "invalid_json")
  end
  return { fields = fields, files = {} }
end

local function from_multipart(request, content_type)
  local boundary = multipart.boundary(content_type)
  if not boundary then
    return nil, problem(400, "The content type names no boundary.")
  end
  local parts, err = multipart.parts(request.body, boundary)
  if not parts then
    return nil, problem(400, "The multipart body is malformed: " .. err .. ".")
  end
  local fields, files = {}, {}
  for _, part in ipairs(parts) do
    if part.filename then
      files[part.name] = { filename = part.filename, bytes = #part.body, content_type = part.content_type }
    else
      fields[part.name] = part.body
    end
  end
  return { fields = fields, files = files }
end

--- Reads a request's body.
-- @tparam table request
-- @treturn ?table `fields`, and `files` as `{ filename, bytes, content_type }` by field
-- @treturn ?table problem
function input.read(request)
  local content_type = request.header("content-type") or ""
  local kind = content_type:match("^%s*([^;%s]*)"):lower()
  if kind == "application/json" or kind:find("^application/.*%+json$") then
    return from_json(request)
  elseif kind == "multipart/form-data" then
    return from_multipart(request, content_type)
  end
  local message = "The body must be application/json or multipart/form-data."
  return nil, problem(415, message, nil, "unsupported_media_type")
end

--- Makes the problem for a missing field.
-- @tparam string name
-- @treturn table problem
function input.missing(name)
  return problem(400, ("Missing required parameter: '%s'."):format(name), name, "missing_required_parameter")
end

local function wrong_type(name, wanted)
  return problem(400, ("Invalid type for '%s': expected %s."):format(name, wanted), name, "invalid_type")
end

--- Reads a required string.
-- @tparam table fields
-- @tparam string name
-- @treturn ?string
-- @treturn ?table problem
function input.required_text(fields, name)
  local value = fields[name]
  if value == nil or value == "" then
    return nil, input.missing(name)
  end
  return input.text(fields, name)
end

--- Reads an optional string. Accepts a number as well, because clients often send `seconds` as one.
-- @tparam table fields
-- @tparam string name
-- @tparam ?string default
-- @treturn ?string
-- @treturn ?table problem
function input.text(fields, name, default)
  local value = fields[name]
  if value == nil then
    return default
  elseif type(value) == "number" and name ~= "prompt" then
    return ("%.14g"):format(value)
  elseif type(value) ~= "string" then
    return nil, wrong_type(name, "a string")
  end
  return value
end

--- Reads an optional object. In a multipart body it is JSON text.
-- @tparam table fields
-- @tparam string name
-- @treturn ?table
-- @treturn ?table problem
function input.object(fields, name)
  local value = fields[name]
  if type(value) == "string" then
    value = json.decode_object(value)
  end
  if fields[name] ~= nil and type(value) ~= "table" then
    return nil, wrong_type(name, "an object")
  end
  return value
end

--- Reads the id from a reference to a video: `{ id = … }`, the same as JSON text, or the id alone.
-- @tparam table fields
-- @tparam string name
-- @treturn ?string
function input.reference(fields, name)
  local value = fields[name]
  if type(value) == "string" then
    local object = json.decode_object(value)
    return object and object.id or value
  end
  return type(value) == "table" and value.id or nil
end

input.problem = problem

return input
