--- Reads multipart/form-data (RFC 7578).
-- Pure: takes a body and returns its parts.
local multipart = {}

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
function multipart.boundary(content_type)
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

--- Splits a body into its parts.
-- @tparam string body
-- @tparam string boundary
-- @treturn ?{table,...} parts, each `{ name, body, filename, content_type }`; nil when the body is malformed
-- @treturn ?string the reason
function multipart.parts(body, boundary)
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
    local part, problem = read_part(body:sub(from, to - 1))
    if not part then
      return nil, problem
    end
    parts[#parts + 1] = part
  end
  return parts
end

return multipart
