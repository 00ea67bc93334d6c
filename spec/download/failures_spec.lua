-- download_video that fails: the old file is as it was, and nothing is left beside it.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local rig = require "spec.support.rig"

local MP4, TYPE = answers.MP4, answers.TYPE

describe("download_video", function()
  local srv, dir = given.server(), given.folder()
  local client

  before_each(function()
    client = rig.client(srv)
    srv:route("GET", "/v1/videos/v", { status = 404 }) -- the job, which is asked where the file may be
  end)
  after_each(function() client:close() end)

  local function download(target, opts)
    return client:download_video("v", target or dir:at("a.mp4"), opts)
  end

  -- A download over an old file that must fail and leave it.
  local function fails(opts)
    dir:write("a.mp4", "old")
    local result, err = download(nil, opts)
    assert.is_nil(result)
    assert.equal("old", dir:read("a.mp4"))
    assert.equal("a.mp4", dir:list())
    return err
  end

  describe("in place of a file", function()
    local JSON = { json = { id = "v", status = "in_progress", video_url = nil } }
    local HTML = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>x</body></html>"
    local REFUSAL = '{"error":{"message":"The video is not ready.","code":"not_ready"}}'

    it("JSON is an error", function()
      srv:reply(JSON)
      local err = fails()
      assert.same({ "api", "not_ready", true }, { err.kind, err.code, err.retryable })
      assert.matches("not ready: the job is in_progress", err.message)
      assert.equal(200, err.status)
    end)

    it("a JSON error is an error with its message", function()
      srv:reply{ body = REFUSAL, headers = { ["Content-Type"] = "application/json; charset=utf-8" } }
      local err = fails()
      assert.same({ "api", 200, "The video is not ready.", "not_ready" },
        { err.kind, err.status, err.message, err.code })
      assert.matches("not ready", err.body)
    end)

    for _, content_type in ipairs{ "video/mp4", "application/octet-stream", "APPLICATION/JSON", "text/plain",
      "application/problem+json" } do
      it("JSON as " .. content_type .. " is one too", function()
        srv:reply{ body = REFUSAL, headers = { ["Content-Type"] = content_type } }
        assert.equal("The video is not ready.", fails().message)
      end)

      it("HTML as " .. content_type .. " is one too", function()
        srv:reply{ body = HTML, headers = { ["Content-Type"] = content_type } }
        assert.equal("decode", fails().kind)
      end)
    end

    it("JSON and HTML behind blanks or a byte order mark are, too", function()
      for _, prefix in ipairs{ " \r\n\t", "\239\187\191", "\239\187\191\n" } do
        srv:reply({ body = prefix .. REFUSAL, headers = TYPE }, { body = prefix .. HTML, headers = TYPE })
        fails()
        fails()
      end
    end)

    it("JSON is seen however it is cut into packets", function()
      local head = "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n\r\n"
      head = head:format(#REFUSAL + 2)
      srv:reply({ steps = { head .. "\r\n", 0.05, REFUSAL } },
        { steps = { head, 0.05, "\r", 0.05, "\n" .. REFUSAL } })
      assert.equal("The video is not ready.", fails().message)
      assert.equal("The video is not ready.", fails().message)
    end)

    it("an empty body is an error", function()
      srv:reply({ body = "", headers = TYPE }, { status = 204 }, { chunked = true, body = "" })
      for _ = 1, 3 do
        local err = fails()
        assert.equal("decode", err.kind)
        assert.is_true(#err.message > 0)
      end
      srv:reply({ status = 202 }, { status = 202, body = " \n" })
      for _ = 1, 2 do
        assert.same({ "api", "the server answered 202: the file is not there yet" },
          { (function(err) return err.kind, err.message end)(fails()) })
      end
    end)

    it("a 206 without a range request is an error", function()
      srv:reply{ status = 206, headers = { ["Content-Type"] = "video/mp4",
        ["Content-Range"] = "bytes 0-99/1000" }, body = MP4:sub(1, 100) }
      fails()
    end)

    it("JSON over the limit is an error", function()
      client:close()
      client = rig.client(srv, { max_response_bytes = 10 })
      srv:reply{ body = REFUSAL }
      assert.equal("too_large", fails().kind)
    end)
  end)

  describe("that fails", function()
    it("with 404 says why", function()
      srv:reply{ status = 404, json = { error = { message = "No such video." } } }
      local err = fails()
      assert.same({ "api", 404, "No such video." }, { err.kind, err.status, err.message })
    end)

    it("with an HTML 502 has a short message", function()
      srv:reply{ status = 502, body = "<html><title>502 Bad Gateway</title></html>" }
      local err = fails()
      assert.same({ "api", 502, "502 Bad Gateway" }, { err.kind, err.status, err.message })
    end)

    it("with an error that looks like a file", function()
      srv:reply{ status = 500, headers = TYPE, body = MP4 }
      assert.equal(500, fails().status)
    end)

    it("for a body that is cut off", function()
      srv:reply{ headers = TYPE, body = MP4, truncate = 100 }
      local err = fails()
      assert.same({ "transport", "CURLE_PARTIAL_FILE", true }, { err.kind, err.curl, err.retryable })
      srv:reply{ raw = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\0\0\0\24f\r\n",
        close = true }
      assert.equal("transport", fails().kind)
    end)

    it("for connections that break", function()
      srv:reply({ close = true },
        { raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n\0\0\0", reset = true })
      assert.equal("transport", fails().kind)
      assert.equal("transport", fails().kind)
    end)

    it("leaves no file where there was none", function()
      srv:reply({ status = 404 }, { body = MP4, truncate = 3 }, { json = { id = "v" } }, { body = "" })
      for _ = 1, 4 do
        assert.is_nil((download()))
        assert.equal("", dir:list())
      end
    end)

    it("when the connection is refused", function()
      client:close()
      client = rig.client(httpd.refused_url())
      assert.equal("connect", fails().kind)
    end)

    it("when the key function gives none", function()
      client:close()
      client = rig.client(srv, { api_key = function() return nil end })
      assert.equal("config", fails().kind)
    end)

    it("for a closed client", function()
      client:close()
      assert.equal("closed", fails().kind)
    end)

    it("gives the response where it is asked for", function()
      srv:reply{ status = 404, headers = { ["x-request-id"] = "req_1" } }
      local _, _, response = download(nil, { response = true })
      assert.same({ 404, "req_1" }, { response.status, response.request_id })
    end)

    it("gives up after max_retries", function()
      client:close()
      client = rig.client(srv, { max_retries = 2 })
      for _ = 1, 3 do srv:reply{ body = MP4, truncate = 5 } end
      local err = fails()
      assert.same({ "transport", 3 }, { err.kind, err.attempts })
      assert.equal(3, #srv:requests())
    end)
    it("because it was interrupted", function()
      srv:reply{ hold = true }
      dir:write("a.mp4", "old")
      local limit = core.now() + 0.2
      debug.sethook(function()
        if core.now() < limit then return end
        debug.sethook()
        error("interrupted", 0)
      end, "", 1)
      local ok, err = pcall(download)
      assert.same({ false, "interrupted" }, { ok, err })
      assert.equal("old", dir:read("a.mp4"))
      assert.equal("a.mp4", dir:list())
    end)
  end)

  describe("that stands still", function()
    local HEAD = "HTTP/1.1 200 OK\r\nContent-Length: " .. #MP4 .. "\r\n\r\n"
    for name, answer in pairs{ ["after some bytes"] = { steps = { HEAD, MP4:sub(1, 100), 30 } },
      ["after the headers"] = { steps = { HEAD, 30 } }, ["before the first byte"] = { hold = true } } do
      it(name .. " runs out of time", function()
        srv:reply(answer)
        local before = core.now()
        local err = fails{ timeout = 1 }
        local took = core.now() - before
        assert.equal("timeout", err.kind)
        assert.is_true(took >= 0.9 and took < 15, took .. " s")
      end)
    end
  end)
end)
