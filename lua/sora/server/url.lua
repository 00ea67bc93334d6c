--- Splits and decodes the target of a request.
-- Pure.
local url = {}

--- Decodes percent-encoding.
-- @tparam string text
-- @treturn string
function url.decode(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- Splits a path into decoded segments. Splits first, so that an encoded slash stays inside an id.
-- @tparam string path as it was sent
-- @treturn {string,...}
function url.segments(path)
  local segments = {}
  for part in path:gmatch("/([^/]*)") do
    segments[#segments + 1] = url.decode(part)
  end
  return segments
end

--- Reads the parameters of a query.
-- @tparam string text
-- @treturn table
function url.query(text)
  local query = {}
  for name, value in text:gmatch("([^&=]+)=?([^&]*)") do
    query[url.decode((name:gsub("+", " ")))] = url.decode((value:gsub("+", " ")))
  end
  return query
end

return url
