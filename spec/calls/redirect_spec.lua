-- Redirects: which are followed, what is sent on, and that credentials go to the base URL's origin alone.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local rig = require "spec.support.rig"
local tls = require "spec.support.tls"

local VIDEO, redirect = answers.VIDEO, answers.redirect

describe("a redirect", function()
  local srv, other = given.server(), given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  local function refusal(answer)
    srv:route("*", "/v1/videos/v", answer)
    local video, err = client:get_video("v")
    assert.is_nil(video)
    assert.equal("api", err.kind)
    assert.is_false(err.retryable)
    assert.equal(1, err.attempts)
    assert.equal(1, #srv:requests())
    return err
  end

  for _, status in ipairs{ 301, 302, 303, 307, 308 } do
    it("with " .. status .. " is followed by a GET", function()
      srv:route("*", "/v1/videos/v", redirect(status, srv.url .. "/elsewhere?a=b"))
      srv:route("*", "/elsewhere", VIDEO)
      assert.same({ id = "v" }, (client:get_video("v")))
      local requests = srv:requests()
      assert.same({ "GET", "GET" }, rig.pluck(requests, "method"))
      assert.equal("/elsewhere?a=b", requests[2].target)
      assert.equal("Bearer " .. rig.KEY, requests[2].headers.authorization)
    end)
  end

  it("may be relative", function()
    local LOCATIONS = { ["/a/b"] = "/a/b", ["w"] = "/v1/videos/w", ["../x?y"] = "/v1/x?y",
      ["?q=1"] = "/v1/videos/v?q=1",
      ["//127.0.0.1:" .. srv.port .. "/z"] = "/z", ["/f#frag"] = "/f" }
    for location, target in pairs(LOCATIONS) do
      srv:reset()
      srv:reply(redirect(302, location), VIDEO)
      assert.same({ id = "v" }, (client:get_video("v")), location)
      assert.equal(target, srv:requests()[2].target)
    end
  end)

  it("is followed five times and no more", function()
    local chain = {}
    for i = 1, 5 do chain[i] = redirect(302, "/" .. i) end
    chain[6] = VIDEO
    local unpack = table.unpack or unpack
    srv:reply(unpack(chain))
    assert.same({ id = "v" }, (client:get_video("v")))
    assert.equal(6, #srv:requests())
    srv:reset()
    srv:route("*", "^", redirect(302, "/again"))
    local _, err = client:get_video("v")
    assert.same({ "api", 302, 1, false }, { err.kind, err.status, err.attempts, err.retryable })
    assert.matches("5 redirects", err.message)
    assert.equal(6, #srv:requests())
  end)

  it("is no attempt of its own, and its limit starts anew in each attempt", function()
    srv:reply(redirect(302, "/a"), { status = 503, headers = { ["retry-after-ms"] = "1" } }, redirect(302,
      "/b"), VIDEO)
    local _, _, response = client:get_video("v", { max_retries = 1, response = true })
    assert.equal(2, response.attempts)
    assert.same({ "/v1/videos/v", "/a", "/v1/videos/v", "/b" }, rig.pluck(srv:requests(), "target"))
  end)

  it("does not affect the next call", function()
    srv:reply(redirect(302, other.url .. "/x"), VIDEO)
    other:reply(VIDEO)
    assert(client:get_video("v"))
    assert(client:get_video("w", { query = { a = "1" } }))
    local request = srv:requests()[2]
    assert.same({ "/v1/videos/w?a=1", "Bearer " .. rig.KEY }, { request.target,
      request.headers.authorization })
  end)

  it("does not add the query of the base URL to its target", function()
    local azure = rig.client(srv, { base_url = srv.url .. "/v1?api-version=preview&key=s3cret" })
    srv:reply(redirect(302, other.url .. "/signed?sig=1"))
    other:reply(VIDEO)
    assert(azure:get_video("v"))
    azure:close()
    assert.equal("/signed?sig=1", other:requests()[1].target)
  end)

  describe("to another origin", function()
    local AUTHS = { "bearer", "api-key", "x-api-key", "raw", "none" }
    for _, auth in ipairs(AUTHS) do
      it("carries no credential: auth = " .. auth, function()
        client:close()
        client = rig.client(srv, { auth = auth, headers = { Cookie = "session=1", ["X-Team"] = "t",
          ["Proxy-Authorization"] = "Basic eA==", ["OpenAI-Organization"] = "org" } })
        srv:reply(redirect(302, other.url .. "/file?sig=1"))
        other:reply(VIDEO)
        assert.same({ id = "v" }, (client:get_video("v", { headers = { ["X-Call"] = "c",
          ["x-litellm-api-key"] = rig.KEY },
          idempotency_key = "i" })))
        local request = other:requests()[1]
        assert.equal("GET /file?sig=1 HTTP/1.1\r\nHost: 127.0.0.1:" .. other.port .. "\r\n"
          .. "Accept: */*\r\nUser-Agent: " .. request.headers["user-agent"] .. "\r\n\r\n", request.raw_head)
        assert.equal("session=1", srv:requests()[1].headers.cookie)
      end)
    end

    it("carries no key that comes from a function or from headers", function()
      client:close()
      client = rig.client(srv, { api_key = function() return rig.KEY end, headers = { ["X-Key"] = rig.KEY } })
      srv:route("*", "^", redirect(307, other.url .. "/file"))
      other:route("*", "^", VIDEO)
      assert(client:get_video("v"))
      assert(client:get_video("v", { headers = { Authorization = "Basic " .. rig.KEY } }))
      for _, request in ipairs(other:requests()) do assert.not_matches(rig.KEY, request.raw_head, 1, true) end
      assert.equal(2, #other:requests())
    end)

    it("includes another name of the same host", function()
      srv:reply(redirect(302, "http://localhost:" .. srv.port .. "/x"), VIDEO)
      assert(client:get_video("v"))
      assert.is_nil(srv:requests()[2].headers.authorization)
    end)

    it("and back carries credentials again", function()
      srv:route("*", "/v1/videos/v", redirect(302, other.url .. "/away"))
      other:route("*", "/away", redirect(302, srv.url .. "/home"))
      srv:route("*", "/home", VIDEO)
      assert(client:get_video("v", { headers = { ["X-Call"] = "c" } }))
      assert.is_nil(other:requests()[1].headers.authorization)
      local home = srv:requests()[2]
      assert.same({ "/home", "Bearer " .. rig.KEY, "c" }, { home.target, home.headers.authorization,
        home.headers["x-call"] })
    end)

    it("and on to a third origin carries none", function()
      srv:reply(redirect(302, other.url .. "/1"))
      other:reply(redirect(302, "/2"), redirect(308, "http://localhost:" .. other.port .. "/3"), VIDEO)
      assert(client:get_video("v"))
      for _, request in ipairs(other:requests()) do assert.is_nil(request.headers.authorization) end
      assert.equal(3, #other:requests())
    end)
  end)

  describe("is refused", function()
    for _, location in ipairs{ "ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://127.0.0.1/x",
      "javascript:alert(1)",
      "http://", "http://[::1", "http://user:secret@127.0.0.1/x", "http://user@127.0.0.1/x", "data:,{}" } do
      it("to " .. location, function()
        local err = refusal(redirect(302, location))
        assert.equal(302, err.status)
        assert.not_matches("secret", tostring(err), 1, true)
      end)
    end

    it("without a Location", function()
      assert.matches("Location", refusal{ status = 302 }.message, 1, true)
    end)

    it("with an empty Location", function()
      assert.equal(301, refusal(redirect(301, "")).status)
    end)

    it("with a status that is no redirect: 300, 304, 305", function()
      for _, status in ipairs{ 300, 304, 305 } do
        srv:reset()
        refusal{ status = status, headers = { Location = "/x" } }
      end
    end)
  end)

  it("never leads from https to http", function()
    local certificates = tls.certificates()
    local secure = httpd.start{ tls = certificates.server }
    finally(function() secure:stop() end)
    local careful = rig.client(secure, { ca_file = certificates.ca })
    secure:reply(redirect(302, srv.url .. "/x"))
    local video, err = careful:get_video("v")
    assert.is_nil(video)
    assert.same({ "api", 302 }, { err.kind, err.status })
    assert.matches("https to http", err.message, 1, true)
    assert.same({}, srv:requests())
    secure:reply(redirect(302, "/y"), VIDEO)
    assert.same({ id = "v" }, (careful:get_video("v")))
    careful:close()
  end)

  it("may lead from http to https, which is another origin", function()
    local certificates = tls.certificates()
    local secure = httpd.start{ tls = certificates.server }
    finally(function() secure:stop() end)
    local trusting = rig.client(srv, { ca_file = certificates.ca })
    srv:reply(redirect(302, secure.url .. "/x"))
    secure:reply(VIDEO)
    assert.same({ id = "v" }, (trusting:get_video("v")))
    trusting:close()
    assert.is_nil(secure:requests()[1].headers.authorization)
  end)

  describe("of a POST", function()
    for _, status in ipairs{ 307, 308 } do
      it("with " .. status .. " is sent again with its body", function()
        srv:reply(redirect(status, "/elsewhere"), { status = 201, body = VIDEO.body })
        assert.same({ id = "v" }, (client:create_video{ prompt = "p" }))
        local requests = srv:requests()
        assert.same({ "POST", "POST" }, rig.pluck(requests, "method"))
        assert.equal('{"prompt":"p"}', requests[2].body)
        assert.equal("application/json", requests[2].headers["content-type"])
      end)
    end

    for _, status in ipairs{ 301, 302 } do
      it("with " .. status .. " is refused", function()
        srv:reply(redirect(status, "/elsewhere"), VIDEO)
        local video, err = client:create_video{ prompt = "p" }
        assert.is_nil(video)
        assert.same({ "api", status, false }, { err.kind, err.status, err.retryable })
        assert.matches("base_url", err.message, 1, true)
        assert.equal(1, #srv:requests())
      end)
    end

    it("with 303 becomes a GET without a body", function()
      srv:reply(redirect(303, "/videos/new"), VIDEO)
      assert.same({ id = "v" }, (client:create_video{ prompt = "p" }))
      local second = srv:requests()[2]
      assert.same({ "GET", "/videos/new", "" }, { second.method, second.target, second.body })
      assert.is_nil(second.headers["content-length"])
    end)

    it("is not repeated after it was redirected", function()
      srv:reply(redirect(307, other.url .. "/x"))
      other:reply{ close = true }
      local _, err = client:create_video({ prompt = "p" }, { max_retries = 2 })
      assert.same({ "transport", true, 1 }, { err.kind, err.ambiguous, err.attempts })
      assert.same({ 1, 1 }, { #srv:requests(), #other:requests() })
    end)

    it("to another origin keeps its body and Content-Type", function()
      srv:reply(redirect(307, other.url .. "/x"))
      other:reply(VIDEO)
      assert(client:create_video{ prompt = "p" })
      local request = other:requests()[1]
      assert.same({ "POST", '{"prompt":"p"}', "application/json" }, { request.method, request.body,
        request.headers["content-type"] })
      assert.is_nil(request.headers.authorization)
    end)

    it("with 303 has no Content-Type left", function()
      srv:reply(redirect(303, "/videos/new"), VIDEO)
      assert(client:create_video{ prompt = "p" })
      assert.is_nil(srv:requests()[2].headers["content-type"])
    end)
  end)

  it("of a DELETE stays a DELETE, but for 303", function()
    for status, method in pairs{ [301] = "DELETE", [302] = "DELETE", [303] = "GET", [307] = "DELETE",
      [308] = "DELETE" } do
      srv:reset()
      srv:reply(redirect(status, "/elsewhere"), VIDEO)
      assert(core.call(client, { method = "DELETE", path = "/videos/v" }))
      assert.equal(method, srv:requests()[2].method)
    end
  end)
end)
