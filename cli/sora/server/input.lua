--- Reads and checks input: the target and body of a request, its fields, and options.
-- Owns the rules of single values. Pure. An invalid request gives nil and a problem,
-- `{ status, message, code, param }`, which the dialect encodes as its error.
local http_util = require "http.util"
local json = require("sora.server.format").json

local input = {}

-- ---- values -----------------------------------------------------------------------------------------------

local check = {}
input.check = check

function check.seconds(value)
  return type(value) == "number" and value >= 0 and value < math.huge
end

function check.whole(value)
  return check.seconds(value) and value % 1 == 0
end

function check.text(value)
  return type(value) == "string" and value ~= ""
end

function check.url(value)
  return type(value) == "string" and value:find("^https?://[^/%s]+%S*$") ~= nil
end

--- Returns a predicate for a Lua type.
-- @tparam string name
function check.type(name)
  return function(value) return type(value) == name end
end

--- Returns a predicate for whole numbers in a range.
-- @tparam number least
-- @tparam number most
function check.between(least, most)
  return function(value) return check.whole(value) and value >= least and value <= most end
end

--- Finds a value that breaks its rule. A name without a rule is an error too: most likely it is misspelt.
-- @tparam table rules by name: `{ predicate, text that says what is allowed }`
-- @tparam table values by name
-- @treturn ?string the name of an invalid value; nil when all are valid
-- @treturn ?string the reason
function check.fields(rules, values)
  for name, value in pairs(values) do
    local rule = rules[name]
    if not rule then
      return tostring(name), "is not known"
    elseif not rule[1](value) then
      return name, "must be " .. rule[2]
    end
  end
  return nil
end

-- ---- the target of a request ------------------------------------------------------------------------------

--- Splits a target and decodes its parts, in this order, so that an encoded slash stays inside an id.
-- @tparam string text the path and the query, as sent
-- @treturn table `path`, `segments` and `query` (values by name)
function input.target(text)
  local path, query = text:match("^([^?#]*)%??([^#]*)")
  local target = { path = http_util.decodeURIComponent(path), segments = {}, query = {} }
  for part in path:gmatch("/([^/]*)") do
    target.segments[#target.segments + 1] = http_util.decodeURIComponent(part)
  end
  for name, value in http_util.query_args((query:gsub("+", " "))) do
    target.query[name] = value or ""
  end
  return target
end

-- ---- multipart/form-data (RFC 7578) -----------------------------------------------------------------------

-- Reads the parameters of a header such as Content-Disposition, from left to right, because a quoted value
-- may contain text that looks like a parameter.
local function parameters(header)
  local found, pos = {}, header:find(";", 1, true)
  while pos do
    local name, start = header:match("^;%s*([^%s=;]+)%s*=%s*()", pos)
    if not name then
      break
    end
    local value, after
    if header:sub(start, start) == '"' then
      local i = start + 1
      while i <= #header and header:sub(i, i) ~= '"' do
        i = i + (header:sub(i, i) == "\\" and 2 or 1)
      end
      value, after = header:sub(start + 1, i - 1):gsub("\\(.)", "%1"), i + 1
    else
      value, after = header:match("^([^%s;]*)()", start)
    end
    found[name:lower()] = value
    pos = header:find(";", after, true)
  end
  return found
end

--- Reads the boundary from a Content-Type.
-- @tparam string content_type
-- @treturn ?string
function input.boundary(content_type)
  local boundary = parameters(content_type).boundary
  return boundary ~= "" and boundary or nil
end

local function read_part(part)
  local head, body = part:match("^(.-\r\n)\r\n(.*)$")
  if not head then
    return nil, "a part has no headers"
  end
  local headers = {}
  for name, value in head:gmatch("([^:\r\n]+):[ \t]*([^\r\n]*)\r\n") do
    headers[name:lower()] = value
  end
  local disposition = parameters(headers["content-disposition"] or "")
  if not disposition.name then
    return nil, "a part has no name"
  end
  return {
    name = disposition.name,
    filename = disposition.filename,
    content_type = headers["content-type"],
    body = body,
  }
end

--- Splits a multipart body into its parts.
-- @tparam string body
-- @tparam string boundary
-- @treturn ?{table,...} parts, each `{ name, body, filename, content_type }`; nil when the body is malformed
-- @treturn ?string the reason
function input.parts(body, boundary)
  local mark = "--" .. boundary
  local _, last = body:find(mark, 1, true)
  if not last then
    return nil, "the boundary does not occur"
  end
  local parts = {}
  while body:sub(last + 1, last + 2) ~= "--" do
    local from = body:match("^[ \t]*\r\n()", last + 1)
    local to
    if from then
      to, last = body:find("\r\n" .. mark, from, true)
    end
    if not (from and to) then
      return nil, "the last boundary is missing"
    end
    local part, reason = read_part(body:sub(from, to - 1))
    if not part then
      return nil, reason
    end
    parts[#parts + 1] = part
  end
  return parts
end

-- ---- the body of a request --------------------------------------------------------------------------------

--- Makes a problem.
function input.problem(status, message, param, code)
  return { status = status, message = message, param = param, code = code }
end
local problem = input.problem

local function from_json(request)
  local fields = json.decode_object(request.body)
  if not fields then
    return nil, problem(400, "The body is not a JSON object.", nil, "invalid_json")
  end
  return { fields = fields, files = {} }
end

local function from_multipart(request, content_type)
  local boundary = input.boundary(content_type)
  if not boundary then
    return nil, problem(400, "The content type names no boundary.")
  end
  local parts, err = input.parts(request.body, boundary)
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

-- ---- fields -----------------------------------------------------------------------------------------------

--- Makes the problem for a missing field.
-- @tparam string name
-- @treturn table problem
function input.missing(name)
  return problem(400, ("Missing required parameter: '%s'."):format(name), name, "missing_required_parameter")
end

local function wrong_type(name, expected)
  return problem(400, ("Invalid type for '%s': expected %s."):format(name, expected), name, "invalid_type")
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

return input
