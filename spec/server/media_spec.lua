-- The bytes behind /content, and the ranges of them that are asked for.
local media = require "sora.server.media"
local process = require "spec.support.process"

local function read_all(content, piece)
  local parts, at = {}, 0
  while at < content.length do
    parts[#parts + 1] = content.read(at, piece)
    at = at + piece
  end
  return table.concat(parts)
end

-- The top-level boxes of an MP4, as "type@offset+size".
local function boxes(file)
  local found, at = {}, 1
  while at <= #file do
    local a, b, c, d = file:byte(at, at + 3)
    local size = ((a * 256 + b) * 256 + c) * 256 + d
    assert(size >= 8, "a box has a size")
    found[#found + 1] = { type = file:sub(at + 4, at + 7), size = size }
    at = at + size
  end
  assert(at == #file + 1, "the last box ends with the file")
  return found
end

local function types(file)
  local names = {}
  for i, box in ipairs(boxes(file)) do
    names[i] = box.type
  end
  return table.concat(names, " ")
end

-- A prompt for each film.
local PROMPTS = { a = 2, b = 3, c = 1 }

describe("sora.server.media", function()
  local film = media.open "video"

  it("has a film whose index stands before its data, of at most 12 KiB", function()
    local file = film.read(0, film.length)
    assert.are.equal(film.length, #file)
    assert.are.equal(media.film_length(), #file)
    assert.are.equal("ftyp moov free mdat", types(file))
    assert.is_true(#file <= 12 * 1024)
    assert.are.equal("video/mp4", film.type)
  end)

  it("tells nothing of the encoder's version", function()
    local file = film.read(0, film.length)
    assert.is_nil(file:find("x264 - core", 1, true))
    assert.is_nil(file:find("Lavf%d"))
    assert.is_nil(file:find("Lavc%d"))
  end)

  it("plays", function()
    if process.output("command -v ffprobe") == "" then
      return pending("ffprobe is not installed")
    end
    local sizes = { "320,180", "180,320", "240,240" }
    for prompt, index in pairs(PROMPTS) do
      for _, length in ipairs { media.film_length(prompt), 1000000 } do
        local path = os.tmpname()
        process.spill(path, read_all(media.open("video", length, prompt), 65536))
        local output = process.output("ffprobe -v error -count_frames -show_entries "
          .. "stream=codec_name,profile,pix_fmt,width,height,nb_read_frames,duration -of csv=p=0 "
          .. process.quote(path) .. " 2>&1")
        os.remove(path)
        assert.are.equal(("h264,Constrained Baseline,%s,yuv420p,2.000000,24\n"):format(sizes[index]), output)
      end
    end
  end)

  it("has several films, and always the same one for a prompt", function()
    local seen = {}
    for prompt, index in pairs(PROMPTS) do
      assert.are.equal(index, media.pick(prompt))
      local picked = media.open("video", nil, prompt)
      local bytes = picked.read(0, picked.length)
      assert.is_nil(seen[bytes])
      assert.is_nil(seen[picked.etag])
      seen[bytes], seen[picked.etag] = true, true
      assert.are.equal(bytes, media.open("video", nil, prompt).read(0, picked.length))
      for _, variant in ipairs { "thumbnail", "spritesheet" } do
        local picture = media.open(variant, nil, prompt)
        assert.are.equal("\255\216\255", picture.read(0, 3))
      end
    end
    assert.are.equal(1, media.pick(nil))
    assert.are.equal(1, media.pick "")
  end)

  it("has pictures beside it", function()
    for _, variant in ipairs { "thumbnail", "spritesheet" } do
      local picture = media.open(variant)
      local file = picture.read(0, picture.length)
      assert.are.equal("image/jpeg", picture.type)
      assert.are.equal("\255\216\255", file:sub(1, 3))
      assert.are.equal("\255\217", file:sub(-2))
    end
    assert.is_nil(media.open "poster")
  end)

  it("makes the film longer with a box that players skip", function()
    for _, length in ipairs { film.length + 8, film.length + 9, 65536, 200001, 1048576 } do
      local long = media.open("video", length)
      local file = read_all(long, 65536)
      assert.are.equal(length, #file)
      assert.are.equal("ftyp moov free mdat free", types(file))
      assert.are.equal(film.read(0, film.length), file:sub(1, film.length))
    end
  end)

  it("says which lengths there can be", function()
    assert.is_true(media.can_be(film.length))
    assert.is_true(media.can_be(film.length + 8))
    assert.is_false(media.can_be(film.length + 7))
    assert.is_false(media.can_be(film.length - 1))
    assert.is_true(media.can_be(2 ^ 33))
  end)

  it("gives the same bytes in whatever pieces they are read", function()
    local long = media.open("video", 300000)
    local whole = long.read(0, 300000)
    assert.are.equal(300000, #whole)
    for _, piece in ipairs { 1000, 65535, 65536, 65537, 131072, 299999 } do
      assert.is_true(read_all(long, piece) == whole)
    end
    for _, slice in ipairs {
      { 0, 1 }, { film.length - 3, 20 }, { 65530, 12 }, { 299999, 1 }, { 299990, 100 },
    } do
      assert.are.equal(whole:sub(slice[1] + 1, slice[1] + slice[2]), long.read(slice[1], slice[2]))
    end
  end)

  it("has other bytes at every place, so that a wrongly joined download shows", function()
    local long = media.open("video", 2 ^ 20)
    local seen = {}
    for at = 65536, 2 ^ 20 - 65536, 65536 do
      local piece = long.read(at, 65536)
      assert.is_nil(seen[piece])
      seen[piece] = true
    end
  end)

  it("reaches far without reading on the way", function()
    local gigantic = media.open("video", 2 ^ 33)
    local from = 2 ^ 33 - 70000
    assert.are.equal(gigantic.read(from, 70000):sub(-10), gigantic.read(2 ^ 33 - 10, 10))
    -- more than 32 bits of size: the box's head is the longer one
    assert.are.equal("\0\0\0\1free\0\0\0\1\255\255", gigantic.read(film.length, 14))
  end)

  it("names versions by what they hold", function()
    assert.are.equal(media.open("video").etag, media.open("video").etag)
    assert.are_not.equal(media.open("video").etag, media.open("video", 65536).etag)
    assert.are_not.equal(media.open("video").etag, media.open("thumbnail").etag)
    assert.is_truthy(film.etag:find('^"[^"]+"$'))
  end)
end)

describe("sora.server.media.range", function()
  it("reads one range of bytes", function()
    local cases = {
      ["bytes=0-0"] = { 0, 0 }, ["bytes=10-19"] = { 10, 19 }, ["bytes=10-"] = { 10, 99 },
      ["bytes=90-1000"] = { 90, 99 }, ["bytes=-10"] = { 90, 99 }, ["bytes=-1000"] = { 0, 99 },
      [" Bytes = 1 - 2 "] = { 1, 2 }, ["bytes=99-"] = { 99, 99 },
    }
    for header, wanted in pairs(cases) do
      assert.are.same(wanted, { media.range(header, 100) }, header)
    end
  end)

  it("knows when no byte is there", function()
    for _, header in ipairs { "bytes=100-", "bytes=100-200", "bytes=-0" } do
      assert.is_false(media.range(header, 100))
    end
    assert.is_false(media.range("bytes=-5", 0))
  end)

  it("sends the whole for anything else", function()
    assert.is_nil(media.range(nil, 100))
    for _, header in ipairs {
      "bytes=0-1,5-6", "bytes=5-4", "bytes=-", "bytes=a-b", "lines=1-2", "", "bytes",
    } do
      assert.is_nil(media.range(header, 100), header)
    end
  end)

  it("heeds a range only for the version it was meant for", function()
    assert.is_true(media.is_current(nil, '"a"', "Mon"))
    assert.is_true(media.is_current('"a"', '"a"', "Mon"))
    assert.is_true(media.is_current("Mon", '"a"', "Mon"))
    assert.is_false(media.is_current('"b"', '"a"', "Mon"))
    assert.is_false(media.is_current('W/"a"', '"a"', "Mon"))
  end)
end)
