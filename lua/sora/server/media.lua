--- The files that /content serves: video, thumbnail and sprite sheet.
-- Owns their bytes, decoded on first use. The video can be made longer with a `free` box at its end, which
-- players skip. Its filling is computed while it is read, so a large file takes no memory, and it differs at
-- every offset, so a download with misplaced bytes is not the same file.
local data = require "sora.server.media_data"

local media = {}

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local BLOCK = 65536
local TYPES = { video = "video/mp4", thumbnail = "image/jpeg", spritesheet = "image/jpeg" }

local function decode_base64(text)
  local value = {}
  for i = 1, #ALPHABET do
    value[ALPHABET:sub(i, i)] = i - 1
  end
  local out = {}
  for a, b, c, d in text:gmatch("([%w+/])([%w+/])([%w+/=])([%w+/=])") do
    local n = ((value[a] * 64 + value[b]) * 64 + (value[c] or 0)) * 64 + (value[d] or 0)
    local bytes = string.char(math.floor(n / 65536), math.floor(n / 256) % 256, n % 256)
    out[#out + 1] = bytes:sub(1, c == "=" and 1 or d == "=" and 2 or 3)
  end
  return table.concat(out)
end

local decoded = {}
local function original(variant)
  decoded[variant] = decoded[variant] or decode_base64(data[variant])
  return decoded[variant]
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

-- Returns the video and the header of the `free` box that makes it `length` bytes long. The header has 16
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

--- Tells whether the video can have this length: its own, or at least 8 bytes (an empty box) more.
-- @tparam number length
-- @treturn boolean
function media.can_be(length)
  local film = #original("video")
  return length == film or length >= film + 8
end

--- Returns the length of the video without a `free` box.
-- @treturn number
function media.film_length()
  return #original("video")
end

--- Opens one of the three files.
-- @tparam string variant "video", "thumbnail" or "spritesheet"
-- @tparam ?number length makes the video this long
-- @treturn ?table `type`, `length`, `etag`, and `read(first, count)`, which returns up to `count` bytes from
-- offset `first`; nil for an unknown variant
function media.open(variant, length)
  if not TYPES[variant] then
    return nil
  end
  local head = original(variant)
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
    for index = math.floor(from / BLOCK), math.floor((to - 1) / BLOCK) do
      local start = index * BLOCK
      parts[#parts + 1] = fill_block(index):sub(math.max(from - start, 0) + 1, math.min(to - start, BLOCK))
    end
    return table.concat(parts)
  end
  return { type = TYPES[variant], length = length, etag = ('"%s-%.0f"'):format(variant, length), read = read }
end

return media
