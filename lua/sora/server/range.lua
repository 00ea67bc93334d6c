--- Byte ranges (RFC 9110, section 14): a single range in bytes.
-- Pure: takes a header and the length of a file and returns which bytes to send.
local range = {}

--- Reads a `Range` header.
-- Several ranges, other units and malformed headers select the whole file, which the RFC allows.
-- @tparam ?string header
-- @tparam number length of the file
-- @treturn ?number|boolean the first byte; nil: send the whole file; false: the range is beyond its end (416)
-- @treturn ?number the last byte
function range.read(header, length)
  if not header then
    return nil
  end
  local first, last = header:match("^%s*[bB][yY][tT][eE][sS]%s*=%s*(%d*)%s*%-%s*(%d*)%s*$")
  first, last = tonumber(first), tonumber(last)
  if not first and not last then
    return nil
  elseif not first then
    if last == 0 or length == 0 then
      return false
    end
    return math.max(0, length - last), length - 1
  elseif last and last < first then
    return nil
  elseif first >= length then
    return false
  end
  return first, math.min(last or length - 1, length - 1)
end

--- Tells whether a range may be used: `If-Range`, if present, must name the current version of the file.
-- @tparam ?string condition the `If-Range` header
-- @tparam string etag
-- @tparam string modified the `Last-Modified` header
-- @treturn boolean
function range.still_valid(condition, etag, modified)
  return condition == nil or condition == etag or condition == modified
end

return range
