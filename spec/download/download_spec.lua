-- download_video that succeeds: the file is whole, under its own name, and nothing is left beside it.
-- What may go wrong is in failures_spec.lua; redirects and paths on disk are in places_spec.lua.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local rig = require "spec.support.rig"

local MP4, TYPE, FILE = answers.MP4, answers.TYPE, answers.FILE

describe("download_video", function()
  local srv, dir = given.server(), given.folder()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  local function download(target, opts)
    return client:download_video("v", target or dir:at("a.mp4"), opts)
  end

  describe("of a file", function()
    it("writes it whole", function()
      srv:reply(FILE)
      local result, err = download()
      assert.is_nil(err)
      assert.same({ path = dir:at("a.mp4"), bytes = #MP4, content_type = "video/mp4" }, result)
      assert.equal("integer", rig.type(result.bytes, "integer"))
      assert.equal(MP4, dir:read("a.mp4"))
      assert.equal("a.mp4", dir:list())
      local request = srv:requests()[1]
      assert.same({ "GET", "/v1/videos/v/content", "Bearer " .. rig.KEY },
        { request.method, request.target, request.headers.authorization })
    end)

    it("replaces the old one, and the part file that a dead process left", function()
      dir:write("a.mp4", "old")
      dir:write("a.mp4.part", ("left over"):rep(1000))
      srv:reply(FILE)
      assert(download())
      assert.equal(MP4, dir:read("a.mp4"))
      assert.equal("a.mp4", dir:list())
    end)

    it("takes the path in a table", function()
      srv:reply(FILE)
      assert.equal(#MP4, download({ path = dir:at("b.mp4") }).bytes)
      assert.equal(MP4, dir:read("b.mp4"))
    end)

    it("can be chunked, or end with the connection", function()
      srv:reply({ headers = TYPE, body = MP4, chunked = true },
        { raw = "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n" .. MP4, close = true })
      for _ = 1, 2 do
        assert.equal(#MP4, download().bytes)
        assert.equal(MP4, dir:read("a.mp4"))
      end
    end)

    it("may be larger than max_response_bytes", function()
      client:close()
      client = rig.client(srv, { max_response_bytes = 10 })
      srv:reply(FILE)
      assert.equal(#MP4, assert(download()).bytes)
    end)

    it("may be some MiB", function()
      local block = {}
      for i = 1, 1024 do block[i] = string.char(i % 251, i % 256, 0, 255) end
      local big = "\0\0\0\24ftypisom" .. table.concat(block):rep(1024)
      srv:reply{ headers = TYPE, body = big }
      assert.equal(#big, assert(download()).bytes)
      assert.is_true(dir:read("a.mp4") == big)
    end)

    it("may come in pieces", function()
      srv:reply{ steps = { "HTTP/1.1 200 OK\r\nContent-Length: " .. #MP4 .. "\r\n\r\n", 0.02, MP4:sub(1, 1),
        0.02, MP4:sub(2, 7), 0.02, MP4:sub(8) } }
      assert(download())
      assert.equal(MP4, dir:read("a.mp4"))
    end)

    for _, variant in ipairs{ "video", "thumbnail", "spritesheet" } do
      it("may be the variant " .. variant, function()
        srv:reply{ headers = { ["Content-Type"] = "image/webp" }, body = "RIFF\0\0\0\0WEBPVP8 " }
        local result = download({ path = dir:at("a.webp"), variant = variant })
        assert.equal("image/webp", result.content_type)
        assert.equal("/v1/videos/v/content?variant=" .. variant, srv:requests()[1].target)
      end)
    end

    it("keeps the base URL's query and the call's", function()
      client:close()
      client = rig.client(srv, { base_url = srv.url .. "/v1?api-version=preview" })
      srv:reply(FILE)
      assert(download({ path = dir:at("a.mp4"), variant = "video" }, { query = { index = 0 } }))
      assert.equal("/v1/videos/v/content?api-version=preview&variant=video&index=0", srv:requests()[1].target)
    end)

    it("gives the response where it is asked for", function()
      srv:reply{ headers = { ["Content-Type"] = "video/mp4", ["x-request-id"] = "req_1" }, body = MP4 }
      local result, err, response = download(nil, { response = true })
      assert.equal(#MP4, result.bytes)
      assert.is_nil(err)
      assert.same({ 200, "req_1", 1 }, { response.status, response.request_id, response.attempts })
    end)
  end)

  describe("of a file with a content type", function()
    for name, content_type in pairs{ ["of bytes"] = "application/octet-stream", ["with parameters"] =
      "video/mp4; codecs=\"avc1.42E01E, mp4a.40.2\"", ["of another kind"] = "binary/octet-stream" } do
      it(name .. " is a file", function()
        srv:reply{ headers = { ["Content-Type"] = content_type }, body = MP4 }
        assert.equal(content_type, assert(download()).content_type)
        assert.equal(MP4, dir:read("a.mp4"))
      end)
    end

    it("that is missing is a file", function()
      srv:reply{ body = MP4 }
      assert.same({ path = dir:at("a.mp4"), bytes = #MP4 }, download())
    end)
  end)

  describe("that is retried", function()
    before_each(function()
      client:close()
      client = rig.client(srv, { max_retries = 2 })
    end)

    it("starts over where nothing identifies the file, and gives it whole", function()
      local longer = { headers = TYPE, body = MP4 .. MP4, truncate = #MP4 + 100 }
      srv:reply(longer, { headers = TYPE, body = MP4, truncate = 100 }, FILE)
      local result, err, response = download(nil, { response = true })
      assert.is_nil(err)
      assert.equal(#MP4, result.bytes)
      assert.equal(MP4, dir:read("a.mp4"))
      assert.equal("a.mp4", dir:list())
      assert.equal(3, response.attempts)
    end)

    it("may follow a 503 with an HTML body", function()
      srv:reply({ status = 503, headers = { ["retry-after-ms"] = "10" }, body = "<html>" }, FILE)
      assert(download())
      assert.equal(MP4, dir:read("a.mp4"))
    end)

  end)

  it("may take longer than the timeout as long as bytes arrive", function()
    local steps = { "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" }
    for i = 1, 6 do
      steps[#steps + 1] = 0.4
      steps[#steps + 1] = string.char(i)
    end
    srv:reply{ steps = steps }
    assert.equal(6, assert(download(nil, { timeout = 1 })).bytes)
  end)
end)
