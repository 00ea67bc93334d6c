-- download_video and the length of a file: what is known of the whole is demanded, a part is what it says,
-- and a download that brings nothing new ends. A validator names what the length belongs to.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local rig = require "spec.support.rig"

local FILE = answers.MP4
local SIZE, CUT = #FILE, 100
local TAG = { ETag = '"1"' }

describe("download_video", function()
  local srv, dir = given.server(), given.folder()
  local client

  before_each(function()
    client = rig.client(srv, { max_retries = 1 })
    dir:write("a.mp4", "old")
    srv:route("GET", "/v1/videos/v", { status = 404 })
  end)
  after_each(function() client:close() end)

  -- A 206 without a length of its own, so that only its Content-Range says what it is.
  local function part(bytes, range)
    return { status = 206, chunked = true, body = bytes, headers = answers.with(answers.TYPE,
      { ETag = '"1"', ["Content-Range"] = range }) }
  end

  local function whole(cut, headers, body)
    return { headers = answers.with(answers.TYPE, headers or TAG), body = body or FILE, truncate = cut }
  end

  local function ranges()
    local list = {}
    for i, request in ipairs(srv:requests()) do list[i] = request.headers.range or "" end
    return list
  end

  local function gives(...)
    srv:reply(...)
    local file, err = client:download_video("v", dir:at("a.mp4"))
    assert.is_nil(err)
    assert.equal(SIZE, file.bytes)
    assert.is_true(dir:read("a.mp4") == FILE)
    assert.equal("a.mp4", dir:list())
  end

  local function fails(...)
    dir:write("a.mp4", "old")
    srv:reply(...)
    local file, err = client:download_video("v", dir:at("a.mp4"))
    assert.is_nil(file)
    assert.equal("old", dir:read("a.mp4"))
    assert.equal("a.mp4", dir:list())
    return err
  end

  it("demands the length of the first answer from a 206 that does not say it", function()
    gives(whole(CUT), part(FILE:sub(CUT + 1, 300), "bytes 100-299/*"), part(FILE:sub(301), "bytes 300-623/*"))
    assert.same({ "", "bytes=100-", "bytes=300-" }, ranges())
  end)

  it("starts over where nobody knows the length", function()
    local broken = { raw = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n"
      .. FILE:sub(1, CUT) .. "\r\n", close = true }
    gives(broken, part(FILE:sub(CUT + 1, 300), "bytes 100-299/*"), whole())
    assert.same({ "", "bytes=100-", "" }, ranges())
  end)

  it("does not take a part that is shorter than it says", function()
    gives(whole(CUT), part(FILE:sub(CUT + 1, 300), "bytes 100-623/624"),
      part(FILE:sub(301), "bytes 300-623/624"))
    assert.same({ "", "bytes=100-", "bytes=300-" }, ranges())
  end)

  it("does not take a part that is longer than it says", function()
    gives(whole(CUT), part(FILE:sub(CUT + 1) .. "more", "bytes 100-623/624"), whole())
    local err = fails(whole(CUT), part(FILE:sub(CUT + 1) .. "more", "bytes 100-623/624"), whole(CUT),
      part(FILE:sub(CUT + 1) .. "more", "bytes 100-623/624"))
    assert.equal("transport", err.kind)
  end)

  it("does not mix lengths of two versions", function()
    gives(whole(CUT), part(FILE:sub(CUT + 1), "bytes 100-623/9999"), whole())
    assert.same({ "", "bytes=100-", "" }, ranges())
  end)

  it("takes a 206 that is the whole file, though no range was asked for", function()
    gives(part(FILE, "bytes 0-623/624"))
  end)

  for name, range in pairs{ ["a part"] = "bytes 0-299/624", ["an unknown length"] = "bytes 0-623/*" } do
    it("refuses a 206 with " .. name .. " where no range was asked for", function()
      assert.equal("api", fails(part(FILE, range)).kind)
    end)
  end

  it("ends when every range is refused", function()
    srv:route("GET", "/v1/videos/v/content", { whole(CUT), { status = 416 }, whole(CUT), { status = 416 },
      whole(CUT), { status = 416 } })
    assert.is_nil((client:download_video("v", dir:at("a.mp4"))))
    assert.is_true(#srv:requests() <= 6, #srv:requests())
    assert.equal("a.mp4", dir:list())
  end)

  it("ends when the file is another one each time", function()
    local list = {}
    for i = 1, 40 do list[i] = whole(CUT, { ETag = ('"%d"'):format(i) }) end
    srv:route("GET", "/v1/videos/v/content", list)
    local file, err = client:download_video("v", dir:at("a.mp4"))
    assert.same({ nil, "transport" }, { file, err.kind })
    assert.equal(2, #srv:requests())
  end)
end)
