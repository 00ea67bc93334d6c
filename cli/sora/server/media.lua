--- The files that /content serves: films, thumbnails and sprite sheets, and byte ranges of them (RFC 9110).
-- Owns their bytes, decoded on first use, and which film a prompt gets. A film can be made longer with a
-- `free` box at its end, which players skip. Its filling is computed while it is read, so a large file takes
-- no memory, and it differs at every offset, so a download with misplaced bytes is not the same file.
local basexx = require "basexx"
local data = require "sora.server.media_data"

local media = {}

local BLOCK = 65536
local TYPES = { video = "video/mp4", thumbnail = "image/jpeg", spritesheet = "image/jpeg" }

-- ---- files ------------------------------------------------------------------------------------------------

--- Picks the film of a prompt: always the same for the same prompt.
-- @tparam ?string prompt without it the first film
-- @treturn number its index in `sora.server.media_data`
function media.pick(prompt)
  local hash = 0
  for i = 1, #(prompt or "") do
    hash = (hash * 31 + prompt:byte(i)) % 65521
  end
  return hash % #data + 1
end

local decoded = {}
local function original(variant, index)
  local key = variant .. index
  decoded[key] = decoded[key] or basexx.from_base64(data[index][variant], "\n")
  return decoded[key]
end

local filling
local function fill_block(index)
  if not filling then
    local bytes, n = {}, 1
    for i = 1, BLOCK - 16 do
      n = n * 16807 % 2147483647
      bytes[i] = string.char(n % 256)
    end
    filling = table.concat(bytes)
  end
  return ("%015.0f\n"):format(index) .. filling
end

local function big_endian(n, size)
  local bytes = {}
  for i = size, 1, -1 do
    bytes[i] = string.char(n % 256)
    n = math.floor(n / 256)
  end
  return table.concat(bytes)
end

-- Returns the film and the header of the `free` box that makes it `length` bytes long. The header has 16
-- bytes instead of 8 when the box size needs more than 32 bits.
local function lengthened(film, length)
  local size = length - #film
  if size == 0 then
    return film
  elseif size < 4294967296 then
    return film .. big_endian(size, 4) .. "free"
  end
  return film .. big_endian(1, 4) .. "free" .. big_endian(size, 8)
end

--- Tells whether a film can have this length: its own, or at least 8 bytes (an empty box) more.
-- @tparam number length
-- @tparam ?string prompt
-- @treturn boolean
function media.can_be(length, prompt)
  local film = media.film_length(prompt)
  return length == film or length >= film + 8
end

--- Returns the length of a film without a `free` box.
-- @tparam ?string prompt
-- @treturn number
function media.film_length(prompt)
  return #original("video", media.pick(prompt))
end

--- Opens one of the three files of a prompt.
-- @tparam string variant "video", "thumbnail" or "spritesheet"
-- @tparam ?number length makes the video this long
-- @tparam ?string prompt picks the film
-- @treturn ?table `type`, `length`, `etag`, and `read(first, count)`, which returns up to `count` bytes from
-- offset `first`; nil for an unknown variant
function media.open(variant, length, prompt)
  if not TYPES[variant] then
    return nil
  end
  local index = media.pick(prompt)
  local head = original(variant, index)
  length = variant == "video" and length or #head
  head = lengthened(head, length)
  local function read(first, count)
    count = math.min(count, length - first)
    if first + count <= #head then
      return head:sub(first + 1, first + count)
    end
    -- LuaJIT's sub takes 32-bit numbers, so it is called only with an offset inside the head.
    local parts = { first < #head and head:sub(first + 1) or "" }
    local from = math.max(0, first - #head)
    local to = first + count - #head
    for block = math.floor(from / BLOCK), math.floor((to - 1) / BLOCK) do
      local start = block * BLOCK
      parts[#parts + 1] = fill_block(block):sub(math.max(from - start, 0) + 1, math.min(to - start, BLOCK))
    end
    return table.concat(parts)
  end
  local etag = ('"%s-%d-%.0f"'):format(variant, index, length)
  return { type = TYPES[variant], length = length, etag = etag, read = read }
end

-- ---- ranges -----------------------------------------------------------------------------------------------

--- Reads a `Range` header: a single range in bytes.
-- Several ranges, other units and malformed headers select the whole file, which the RFC allows.
-- @tparam ?string header
-- @tparam number length of the file
-- @treturn ?number|boolean the first byte; nil: send the whole file; false: the range is beyond its end (416)
-- @treturn ?number the last byte
function media.range(header, length)
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
function media.is_current(condition, etag, modified)
  return condition == nil or condition == etag or condition == modified
end

return media
