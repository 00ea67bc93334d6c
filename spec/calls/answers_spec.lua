-- How a client handles responses that are broken, too large, too late or missing.
local core = require "sora.core"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local rig = require "spec.support.rig"

local OK = "HTTP/1.1 200 OK\r\n"
local BODY = '{"id":"v"}'

describe("an answer", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  -- The error that this answer gives; fields that are checked each time are checked here.
  local function failure(answer, opts)
    srv:reply(answer)
    local video, err = client:get_video("v", opts)
    assert.is_nil(video)
    assert.equal(1, err.attempts)
    assert.is_true(#err.message > 0)
    return err
  end

  local function success(answer)
    srv:reply(answer)
    return assert(client:get_video("v"))
  end

  describe("with headers beyond all measure", function()
    local function assert_refused(head)
      local answer = { raw = OK .. head .. "Content-Length: 10\r\n\r\n" .. BODY }
      local err = failure(answer)
      assert.same({ "too_large", false }, { err.kind, err.retryable }, tostring(err))
      assert.matches("^expected [^,]*header", err.message)
      srv:reply(answer)
      local _, problem = client:create_video { prompt = "p" }
      assert.same({ "too_large", true }, { problem.kind, problem.ambiguous })
    end

    it("is too large, not out of memory: one line #large", function()
      assert_refused("X-Line: " .. ("x"):rep(110 * 1024) .. "\r\n")
      assert_refused("X-Line: " .. ("x"):rep(1024 * 1024) .. "\r\n")
      assert_refused("X-Line: " .. (("x"):rep(60) .. "\r\n "):rep(5000) .. "x\r\n") -- folded
    end)

    it("is too large: many lines", function()
      assert_refused(("X-Line: " .. ("x"):rep(90 * 1024) .. "\r\n"):rep(4))
      assert_refused(("X-Line: x\r\n"):rep(40000))
    end)

    it("is no HTTP where there is no status line", function()
      local err = failure { raw = "HTTP/1.1 200 " .. ("x"):rep(110 * 1024) .. "\r\n\r\n" }
      assert.equal("transport", err.kind)
      assert.matches("^expected [^,]*header", err.message)
    end)

    it("is read while they are shorter", function()
      assert.same({ id = "v" }, success { raw = OK .. "X-Line: " .. ("x"):rep(90 * 1024) .. "\r\n"
        .. "Content-Length: 10\r\n\r\n" .. BODY })
    end)
  end)

  describe("that is well-formed", function()
    it("may begin with a byte order mark", function()
      assert.same({ id = "v" }, success { body = "\239\187\191" .. BODY })
      srv:reply { body = "\239\187\191" .. BODY }
      assert.equal("v", assert(client:create_video { prompt = "p" }).id)
      local err = failure { status = 404, body = '\239\187\191{"error":{"message":"gone","code":"c"}}' }
      assert.same({ "gone", "c" }, { err.message, err.code })
      assert.equal("decode", failure { body = "\239\187\191" }.kind)
    end)

    it("may hold half a character, which becomes U+FFFD", function()
      local body = [[{"id":"v","status":"queued","prompt":"a \ud83d\ude00 \ud83d",]]
        .. [["\ude00":["\udead!"],"n":4.5}]]
      local video = success { body = body }
      assert.same({ id = "v", status = "queued", prompt = "a \240\159\152\128 \239\191\189",
        ["\239\191\189"] = { "\239\191\189!" }, n = 4.5 }, video)
      srv:reply { body = body }
      assert.equal("v", assert(client:create_video { prompt = "p" }).id)
      assert.equal("decode", failure { body = [[{"id":"\ud8"}]] }.kind)
      local err = failure { status = 400, body = [[{"error":{"message":"a \ud83d"}}]] }
      assert.equal("a \239\191\189", err.message)
    end)

    it("may hold bytes that are no UTF-8, which stay as they are", function()
      assert.equal("\195\40\255", success { body = '{"id":"v","prompt":"\195\40\255"}' }.prompt)
    end)

    it("may be chunked, in pieces of any size", function()
      assert.same({ id = "v" }, success{ body = BODY, chunked = true })
      assert.same({ id = "v" }, success{ raw = OK .. "Transfer-Encoding: chunked\r\n\r\n"
        .. "1\r\n{\r\n3;x=y\r\n\"id\r\n006\r\n\":\"v\"}\r\n0\r\nX-Trailer: t\r\n\r\n" })
    end)

    it("may end with the connection, without a length", function()
      assert.same({ id = "v" }, success{ raw = OK .. "\r\n" .. BODY, close = true })
      assert.same({ id = "v" }, success{ raw = "HTTP/1.0 200 OK\r\n\r\n" .. BODY, close = true })
    end)

    it("whose headers and trailers look like a status line", function()
      assert.same({ id = "v" }, success{ raw = OK .. "HTTP/1.1 429: later\r\nContent-Length: " .. #BODY
        .. "\r\n\r\n" .. BODY })
      assert.same({ id = "v" }, success{ raw = OK .. "Transfer-Encoding: chunked\r\n\r\n"
        .. ("%x\r\n%s\r\n0\r\nHTTP/1.1 429: later\r\n\r\n"):format(#BODY, BODY) })
      assert.same({ id = "v" }, success{ raw = "HTTP/1.1  200 OK\r\nHTTP/1.1 429: later\r\nContent-Length: "
        .. #BODY .. "\r\n\r\n" .. BODY })
    end)

    it("may follow 1xx responses", function()
      assert.same({ id = "v" },
        success{ raw = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-A: early\r\n\r\n"
        .. OK .. "Content-Length: 10\r\n\r\n" .. BODY })
    end)

    it("after a 1xx response has only its own headers", function()
      srv:reply{ raw = "HTTP/1.1 103 Early Hints\r\nX-Request-Id: early\r\nX-A: early\r\n\r\n"
        .. OK .. "Content-Length: 10\r\nX-B: late\r\n\r\n" .. BODY }
      local _, _, response = client:get_video("v", { response = true })
      assert.same({ ["content-length"] = "10", ["x-b"] = "late" }, response.headers)
    end)

    it("may come byte by byte", function()
      local text = OK .. "Content-Length: 10\r\n\r\n" .. BODY
      local steps = {}
      for i = 1, #text do
        steps[#steps + 1] = text:sub(i, i)
        steps[#steps + 1] = 0.001
      end
      assert.same({ id = "v" }, success{ steps = steps })
    end)

    it("may have many headers", function()
      local headers = {}
      for i = 1, 200 do headers[i] = { "X-" .. i, ("v"):rep(500) } end
      assert.same({ id = "v" }, success{ body = BODY, headers = headers })
    end)

    it("is read whatever its content type", function()
      for _, kind in ipairs{ "text/html", "application/octet-stream", "", "video/mp4" } do
        assert.same({ id = "v" }, success{ body = BODY, headers = { ["Content-Type"] = kind } })
      end
    end)

    it("may be 201 or 202", function()
      assert.same({ id = "v" }, success{ status = 201, body = BODY })
      assert.same({ id = "v" }, success{ status = 202, body = BODY })
    end)

    it("may be 204, which gives an empty table", function()
      assert.same({}, success{ status = 204 })
      srv:reply({ status = 204 }, { body = "" })
      local spec = { method = "DELETE", path = "/videos/v" }
      assert.same({}, (core.call(client, spec)))
      assert.same({}, (core.call(client, spec)))
    end)
  end)

  describe("that came with 202 and no body", function()
    it("is an empty table: not yet", function()
      assert.same({}, success{ status = 202, body = "" })
      assert.same({}, success{ status = 202, body = " \r\n" })
    end)

    it("is a decode error for a create, which may have made a job", function()
      srv:reply{ status = 202, body = "" }
      local job, err = client:create_video{ prompt = "p" }
      assert.is_nil(job)
      assert.same({ "decode", true }, { err.kind, err.ambiguous })
    end)
  end)

  describe("that is not a JSON object is a decode error:", function()
    local BODIES = { empty = "", blank = " \n", html = "<html><title>Welcome</title></html>",
      string = '"text"',
      number = "12", null = "null", ["true"] = "true", ["empty object"] = "{}", ["empty array"] = "[]",
      ["cut off"] = '{"id":"v"', ["two objects"] = '{"id":"v"}{"id":"w"}', garbage = "\255\254\0\1",
      ["only nulls"] = '{"id":null}' }
    for name, body in pairs(BODIES) do
      it(name, function()
        local err = failure{ body = body }
        assert.same({ "decode", 200, true }, { err.kind, err.status, err.retryable })
        assert.equal(body ~= "" and body or nil, err.body)
        assert.is_nil(err.ambiguous)
        assert.is_nil(err.curl)
      end)
    end

    it("a web page, which it names with a hint", function()
      local err = failure{ body = "<!doctype html><html><title>New API</title></html>" }
      assert.equal("the answer is a web page (New API), not JSON: is base_url the API's?", err.message)
      client:close()
      client = rig.client(srv, { base_url = srv.url })
      err = failure{ body = "<html><title>New API</title></html>" }
      assert.equal("the answer is a web page (New API), not JSON: does base_url lack /v1?", err.message)
    end)

    it("an event stream", function()
      local err = failure{ body = 'data: {"id":"v"}\n\n',
        headers = { ["Content-Type"] = "text/event-stream" } }
      assert.equal("the answer is an event stream, not JSON", err.message)
    end)

    it("an array, for a call that gives one object", function()
      for _, body in ipairs{ '[{"id":"v","status":"queued"}]', " [1]", "[]" } do
        srv:reply{ body = body }
        local video, err = client:get_video("v")
        assert.is_nil(video)
        assert.same({ "decode", "expected a JSON object, got an array" }, { err.kind, err.message })
      end
      srv:reply({ body = '[{"id":"v","status":"queued"}]' }, { body = '[{"id":"v","status":"queued"}]' })
      local _, err = client:create_video{ prompt = "p" }
      assert.same({ "decode", true }, { err.kind, err.ambiguous })
      assert.same({ { id = "v", status = "queued" } }, client:list_videos())
    end)

    it("but a response cut off within its headers is a transport error", function()
      local err = failure{ raw = OK .. "Content-Le", close = true }
      assert.same({ "transport", 200, true }, { err.kind, err.status, err.retryable })
    end)
  end)

  describe("that is broken is a transport error:", function()
    local CHUNKED = OK .. "Transfer-Encoding: chunked\r\n\r\n"
    local CASES = {
      ["nothing"] = { close = true },
      ["a reset"] = { reset = true },
      ["a reset within"] = { raw = OK .. "Content-Length: 10\r\n\r\n{", reset = true },
      ["a body cut off"] = { body = BODY, truncate = 4 },
      ["a body cut off before it begins"] = { body = BODY, truncate = 0 },
      ["chunks cut off"] = { raw = CHUNKED .. "a\r\n{\"id\"", close = true },
      ["chunks without an end"] = { raw = CHUNKED .. "a\r\n" .. BODY .. "\r\n", close = true },
      ["a chunk size that is no number"] = { raw = CHUNKED .. "zz\r\n" .. BODY .. "\r\n0\r\n\r\n",
        close = true },
      ["a chunk size beyond all numbers"] = { raw = CHUNKED .. "ffffffffffffffffff\r\n{", close = true },
      ["a chunk longer than it says"] = { raw = CHUNKED .. "2\r\n" .. BODY .. "\r\n0\r\n\r\n", close = true },
      ["a length that is no number"] = { raw = OK .. "Content-Length: ten\r\n\r\n" .. BODY, close = true },
      ["a negative length"] = { raw = OK .. "Content-Length: -10\r\n\r\n" .. BODY, close = true },
      ["HTTP/0.9"] = { raw = BODY, close = true },
      ["garbage"] = { raw = "\22\3\1\2\0\255\254", close = true },
      ["another protocol"] = { raw = "SSH-2.0-OpenSSH_9.2\r\n", close = true },
      ["a header line without a colon"] = { raw = OK .. ("x"):rep(90000) .. "\r\n\r\n", close = true },
    }
    for name, answer in pairs(CASES) do
      it(name, function()
        local err = failure(answer)
        assert.equal("transport", err.kind)
        assert.matches("^CURLE_%u", err.curl)
        assert.is_nil(err.ambiguous)
      end)
    end

    it("and is retryable", function()
      for _, name in ipairs{ "nothing", "a reset", "a body cut off", "chunks cut off", "HTTP/0.9" } do
        assert.is_true(failure(CASES[name]).retryable, name)
      end
    end)
  end)

  describe("that is too large", function()
    before_each(function()
      client:close()
      client = rig.client(srv, { max_response_bytes = 1000 })
    end)

    -- JSON of exactly so many bytes
    local function json(size)
      return '{"a":"' .. ("x"):rep(size - 8) .. '"}'
    end

    it("is a too_large error that is not retryable", function()
      for _, chunked in ipairs{ false, true } do
        local err = failure{ body = json(1001), chunked = chunked }
        assert.same({ "too_large", false, 200 }, { err.kind, err.retryable, err.status })
        assert.matches("max_response_bytes (1000)", err.message, 1, true)
      end
    end)

    it("fails from the first byte over max_response_bytes", function()
      assert.equal(992, #success{ body = json(1000) }.a)
      assert.equal("too_large", failure{ body = json(1001) }.kind)
    end)

    it("is not read to its end", function()
      local err = failure{ steps = { OK .. "Content-Length: 1000000000\r\n\r\n" .. json(70000), 60 } }
      assert.equal("too_large", err.kind)
    end)

    it("does not hide the message of an error response", function()
      local err = failure{ status = 400, body = '{"error":{"message":"no","pad":"' .. ("x"):rep(3000)
        .. '"}}' }
      assert.same({ "api", "no", 1024 }, { err.kind, err.message, #err.body })
    end)

    it("is cut to its first KiB in an error", function()
      local err = failure{ status = 500, body = ("x"):rep(3000000) }
      assert.same({ "api", 500, 1024 }, { err.kind, err.status, #err.body })
    end)

    it("is a too_large error when its headers have no end", function()
      local line = "X-Endless: " .. ("x"):rep(1000) .. "\r\n"
      local err = failure{ steps = { OK, line:rep(400), 60 } }
      assert.equal("too_large", err.kind)
    end)
  end)

  describe("that is too late is a timeout:", function()
    local LATE = { timeout = 0.5 }

    it("no answer at all", function()
      local err = failure({ hold = true }, LATE)
      assert.same({ "timeout", true, "CURLE_OPERATION_TIMEDOUT" }, { err.kind, err.retryable, err.curl })
      assert.is_nil(err.status)
    end)

    it("slow headers", function()
      assert.equal("timeout", failure({ steps = { OK .. "Content-", 60 } }, LATE).kind)
    end)

    it("a slow body", function()
      local err = failure({ steps = { OK .. "Content-Length: 10\r\n\r\n{", 60 } }, LATE)
      assert.same({ "timeout", 200 }, { err.kind, err.status })
    end)

    it("one that trickles for ever", function()
      local steps = { OK }
      for _ = 1, 100 do
        steps[#steps + 1] = "X-Y: z\r\n"
        steps[#steps + 1] = 0.02
      end
      assert.equal("timeout", failure({ steps = steps }, LATE).kind)
    end)

    it("100 Continue for ever", function()
      local steps = {}
      for _ = 1, 100 do
        steps[#steps + 1] = "HTTP/1.1 100 Continue\r\n\r\n"
        steps[#steps + 1] = 0.02
      end
      assert.equal("timeout", failure({ steps = steps }, LATE).kind)
    end)

    it("also by the client's own timeout option", function()
      local quick = rig.client(srv, { timeout = 0.1 })
      srv:reply{ hold = true }
      local _, err = quick:get_video("v")
      quick:close()
      assert.equal("timeout", err.kind)
    end)
  end)

  -- libcurl 7.83.0 to 8.1.0 writes to freed memory here when an easy handle is reused. Runs in a process of
  -- its own, because that crashes it.
  describe("whose first header is folded", function()
    local FOLDED = OK .. (" folded"):rep(40) .. ": x\r\nX-A: b\r\nContent-Length: 10\r\n\r\n" .. BODY
    local CODE = [[
      local rig = require "spec.support.rig"
      local client = rig.client(%q, { max_retries = 1 })
      for _ = 1, 10 do
        client:get_video("plain")
        client:get_video("folded")
        client:get_video("moved")
        client:get_video("busy")
        client:download_video("film", os.tmpname())
      end
      client:close()
      print "alive"
    ]]

    it("corrupts nothing, whatever the handle did before", function()
      local many = { { "X-A", ("a"):rep(40) }, { "X-B", ("b"):rep(300) } }
      local moved = { status = 302, headers = { many[1], many[2], { "Location", "/v1/videos/folded" } } }
      local answers = {
        plain = { { body = BODY, headers = many } },
        folded = { { raw = FOLDED } },
        moved = { moved },
        busy = { { status = 503, headers = { many[1], many[2], { "Retry-After", "0" } } }, { raw = FOLDED } },
        ["film/content"] = { moved },
      }
      for name, list in pairs(answers) do srv:route("GET", "/v1/videos/" .. name, list) end
      assert.equal("alive\n", rig.run(CODE:format(srv.url)))
    end)
  end)

  it("from a port that refuses connections is a connect error", function()
    local lost = rig.client(httpd.refused_url())
    local video, err = lost:get_video("v")
    lost:close()
    assert.is_nil(video)
    assert.same({ "connect", "CURLE_COULDNT_CONNECT", true, 1 }, { err.kind, err.curl, err.retryable,
      err.attempts })
    assert.same({}, { err.status, err.body, err.ambiguous })
  end)

  it("from a host that drops packets is a timeout after connect_timeout", function()
    local before = core.now()
    local lost = rig.client(httpd.blackhole(), { connect_timeout = 0.1, timeout = 60 })
    local _, err = lost:get_video("v")
    lost:close()
    assert.same({ "timeout", true }, { err.kind, err.retryable })
    assert.is_true(core.now() - before < 30)
  end)

  it("from a host name that does not resolve is a dns error", function()
    local lost = rig.client("http://nowhere.invalid")
    local _, err = lost:get_video("v")
    lost:close()
    assert.same({ "dns", "CURLE_COULDNT_RESOLVE_HOST", true }, { err.kind, err.curl, err.retryable })
    assert.is_nil(err.status)
  end)
end)
