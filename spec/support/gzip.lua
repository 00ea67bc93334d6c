--- Compresses bytes with the command gzip, for servers that do so though nobody asked.
-- Owns the wrappings of DEFLATE data (RFC 1950 to 1952).
local process = require "spec.support.process"

local gzip = {}

--- Returns the bytes as gzip.
function gzip.pack(bytes)
  local name = os.tmpname()
  process.spill(name, bytes)
  local packed = process.output("gzip -9 -n -c " .. process.quote(name))
  os.remove(name)
  return packed
end

--- Returns the bytes as bare DEFLATE data, which some servers call "deflate".
function gzip.raw(bytes)
  return gzip.pack(bytes):sub(11, -9)
end

--- Returns the bytes as zlib data, which the others call "deflate".
function gzip.zlib(bytes)
  local a, b = 1, 0
  for i = 1, #bytes do
    a = (a + bytes:byte(i)) % 65521
    b = (b + a) % 65521
  end
  local function word(n) return string.char(math.floor(n / 256), n % 256) end
  return "\120\156" .. gzip.raw(bytes) .. word(b) .. word(a)
end

return gzip
