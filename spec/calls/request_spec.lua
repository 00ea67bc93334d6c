-- What goes over the wire: methods, headers and bodies as sent, and how connections are used.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local rig = require "spec.support.rig"
local sora = require "sora"

local VIDEO = answers.VIDEO

describe("a request", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  local function call(method, options, opts)
    local description = { name = "call", method = method, path = "/videos/v" }
    return core.call(client, answers.with(description, options), opts)
  end

  describe("as sent", function()
    before_each(function() srv:route("*", "^", VIDEO) end)

    it("is a GET with the headers that it needs and no others", function()
      assert(client:get_video("v"))
      local request = srv:requests()[1]
      assert.equal("GET /v1/videos/v HTTP/1.1\r\nHost: 127.0.0.1:" .. srv.port
        .. "\r\nAccept: */*\r\n"
        .. "User-Agent: sora/" .. sora._VERSION .. "\r\nAuthorization: Bearer " .. rig.KEY .. "\r\n\r\n",
        request.raw_head)
      assert.equal("", request.body)
    end)

    it("is a DELETE without a body", function()
      assert(call("DELETE"))
      local request = srv:requests()[1]
      assert.same({ "DELETE", "/v1/videos/v", "" }, { request.method, request.target, request.body })
      assert.is_nil(request.headers["content-type"])
      assert.is_nil(request.headers["content-length"])
    end)

    it("is a POST with its JSON", function()
      assert(client:create_video{ prompt = "ü \"x\"", seconds = "8", seed = 9007199254740992, n = 1.5 })
      local request = srv:requests()[1]
      assert.same({ "POST", "/v1/videos", "application/json", tostring(#request.body) }, { request.method,
        request.target, request.headers["content-type"], request.headers["content-length"] })
      assert.matches('"prompt":"ü \\"x\\""', request.body, 1, true)
      assert.matches('"seconds":"8"', request.body, 1, true)
      assert.matches('"seed":9007199254740992[,}]', request.body)
      assert.matches('"n":1.5', request.body, 1, true)
    end)

    it("may have a body of any bytes and any size", function()
      local bytes = {}
      for i = 0, 255 do bytes[i + 1] = string.char(i) end
      local body = table.concat(bytes):rep(8192) -- 2 MiB
      assert(call("POST", { body = body, content_type = "application/octet-stream" }))
      local request = srv:requests()[1]
      assert.is_true(request.body == body)
      assert.equal("application/octet-stream", request.headers["content-type"])
    end)

    it("carries nothing over from the request before", function()
      assert(client:create_video({ prompt = "p" }, { headers = { ["X-One"] = "1" }, idempotency_key = "k" }))
      assert(client:get_video("v"))
      assert(call("DELETE"))
      assert(call("POST"))
      local requests = srv:requests()
      assert.same({ "POST", "GET", "DELETE", "POST" }, rig.pluck(requests, "method"))
      for i = 2, 4 do
        assert.not_equal("application/json", requests[i].headers["content-type"])
        assert.is_nil(requests[i].headers["x-one"])
        assert.is_nil(requests[i].headers["idempotency-key"])
        assert.equal("", requests[i].body)
      end
    end)

    it("refuses another method", function()
      assert.error_matches(function() call("PUT") end, "expected the method 'GET', 'POST' or 'DELETE'", 1,
        true)
      assert.same({}, srv:requests())
    end)
  end)

  describe("uses connections", function()
    it("again (keep-alive)", function()
      srv:route("*", "^", VIDEO)
      for _ = 1, 5 do assert(client:get_video("v")) end
      assert.equal(1, srv:connections())
      assert.same({ 1, 1, 1, 1, 1 }, rig.pluck(srv:requests(), "connection"))
    end)

    it("again after an error that was read whole", function()
      srv:reply({ status = 404, body = "{}" }, VIDEO, { status = 500, chunked = true, body = "x" }, VIDEO)
      for _ = 1, 4 do client:get_video("v") end
      assert.equal(1, srv:connections())
    end)

    it("again for a GET after a POST", function()
      srv:route("*", "^", VIDEO)
      assert(client:create_video{ prompt = "p" })
      assert(client:get_video("v"))
      local requests = srv:requests()
      assert.equal(requests[1].connection, requests[2].connection)
    end)

    it("of its own client alone", function()
      srv:route("*", "^", VIDEO)
      local other = rig.client(srv)
      assert(client:get_video("v"))
      assert(other:get_video("v"))
      other:close()
      assert.equal(2, srv:connections())
    end)

    it("anew when the server says that it closes", function()
      srv:reply({ body = VIDEO.body, close = true }, VIDEO)
      assert(client:get_video("v"))
      assert(client:get_video("v"))
      assert.equal(2, srv:connections())
    end)

    it("anew when the server closed an idle one, which a GET never shows", function()
      srv:reply(VIDEO, VIDEO)
      assert(client:get_video("v"))
      srv:drop_connections()
      local video, _, response = client:get_video("v", { response = true })
      assert.same({ id = "v" }, video)
      assert.equal(1, response.attempts)
      assert.equal(2, srv:connections())
    end)

    it("anew when the server closes instead of answering on a kept one", function()
      srv:reply(VIDEO, { close = true }, VIDEO)
      assert(client:get_video("v"))
      assert.same({ id = "v" }, (client:get_video("v")))
      assert.equal(3, #srv:requests())
      assert.equal(2, srv:connections())
    end)

    it("of its own for a POST, which libcurl then can't send twice", function()
      srv:reply(VIDEO, VIDEO, VIDEO)
      assert(client:get_video("v"))
      assert(client:create_video{ prompt = "p" })
      assert(client:create_video{ prompt = "p" })
      assert.same({ 1, 2, 3 }, rig.pluck(srv:requests(), "connection"))
    end)
  end)

  describe("that creates a paid job", function()
    local function posts()
      local count = 0
      for _, request in ipairs(srv:requests()) do
        if request.method == "POST" then count = count + 1 end
      end
      return count
    end

    for name, ending in pairs{ closes = { close = true }, resets = { reset = true },
      ["stops in its answer"] = { body = "{}", truncate = 1 } } do
      it("is sent once to a server that reads it and " .. name, function()
        local eager = rig.client(srv, { max_retries = 2 })
        finally(function() eager:close() end)
        srv:reply(VIDEO, ending)
        assert(eager:get_video("v"))
        local video, err = eager:create_video{ prompt = "p" }
        assert.is_nil(video)
        assert.same({ "transport", true, false, 1 }, { err.kind, err.ambiguous, err.retryable, err.attempts })
        assert.equal(1, posts())
        assert.equal(2, #srv:requests())
      end)
    end

    it("is sent once over a connection that the server has dropped meanwhile", function()
      srv:reply(VIDEO, VIDEO)
      assert(client:get_video("v"))
      srv:drop_connections()
      assert.same({ id = "v" }, (client:create_video{ prompt = "p" }))
      assert.equal(1, posts())
    end)
  end)

  describe("with response = true", function()
    it("tells status, headers, request id, attempts and seconds", function()
      srv:reply{ status = 202, body = VIDEO.body, delay = 0.02, headers = { { "X-Request-Id", "req_7" },
        { "X-Many", "a" }, { "x-many", "b" }, { "X-MANY", "c" }, { "X-Empty", "" }, { "X-Blank",
          "  a b\t" } } }
      local video, err, response = client:get_video("v", { response = true })
      assert.same({ id = "v" }, video)
      assert.is_nil(err)
      assert.same({ 202, "req_7", 1 }, { response.status, response.request_id, response.attempts })
      assert.same({ ["x-request-id"] = "req_7", ["x-many"] = "a, b, c", ["x-empty"] = "", ["x-blank"] = "a b",
        ["content-length"] = "10" }, response.headers)
      assert.is_true(response.seconds >= 0.02 and response.seconds < 5)
      assert.is_nil(response.poll_after)
      assert.equal("integer", rig.type(response.status, "integer"))
    end)

    it("tells status and headers of an error", function()
      srv:reply{ status = 404, body = "{}", headers = { ["X-A"] = "b" } }
      local video, err, response = client:get_video("v", { response = true })
      assert.is_nil(video)
      assert.equal("api", err.kind)
      assert.same({ 404, "b" }, { response.status, response.headers["x-a"] })
    end)

    it("has no status where there was no answer", function()
      local lost = rig.client(httpd.refused_url())
      local video, err, response = lost:get_video("v", { response = true })
      lost:close()
      assert.same({ nil, "connect" }, { video, err.kind })
      assert.same({ {}, 1 }, { response.headers, response.attempts })
    end)

    it("is needed for the response table", function()
      srv:route("*", "^", VIDEO)
      assert.equal(1, select("#", client:get_video("v")))
      assert.equal(1, select("#", client:get_video("v", { response = false })))
      assert.equal(1, select("#", client:create_video({ prompt = "p" })))
    end)

    it("has the wait that the server asks for before the next poll", function()
      local cases = { { "openai-poll-after-ms", "2500", 2.5 }, { "Retry-After", "3", 3 }, { "retry-after-ms",
        "40", 0.04 },
        { "Retry-After", "soon", nil }, { "openai-poll-after-ms", "-1", nil } }
      for _, case in ipairs(cases) do
        srv:reply{ body = VIDEO.body, headers = { [case[1]] = case[2] } }
        local _, _, response = client:get_video("v", { response = true })
        assert.equal(case[3], response.poll_after)
      end
    end)
  end)

  it("lets a call's headers replace its own, whatever their case", function()
    srv:route("*", "^", VIDEO)
    assert(client:create_video({ prompt = "p" },
      { headers = { ["content-type"] = "application/vnd.x+json" } }))
    assert.equal("application/vnd.x+json", srv:requests()[1].headers["content-type"])
  end)
end)
