-- Clients: the credentials and headers that they send, proxies, and how they are closed.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local sora = require "sora"

local KEY = rig.KEY

describe("a client", function()
  local srv = given.server()

  before_each(function() srv:route("*", "^", answers.VIDEO) end)

  -- The headers of a call by a client with these options.
  local function sent(options, opts)
    local client = rig.client(srv, options)
    assert(client:get_video("v", opts))
    client:close()
    local requests = srv:requests()
    return requests[#requests].headers
  end

  describe("identifies itself", function()
    local CREDENTIALS = { "authorization", "api-key", "x-api-key" }
    local WIRE = { bearer = { authorization = "Bearer " .. KEY }, raw = { authorization = KEY },
      ["api-key"] = { ["api-key"] = KEY }, ["x-api-key"] = { ["x-api-key"] = KEY }, none = {} }

    local function credentials(headers)
      local found = {}
      for _, name in ipairs(CREDENTIALS) do found[name] = headers[name] end
      return found
    end

    for auth, wire in pairs(WIRE) do
      it("with auth = " .. auth, function()
        assert.same(wire, credentials(sent{ auth = auth }))
        assert.same(wire, credentials(sent{ auth = auth, api_key = function() return KEY end }))
        assert.same({}, credentials(sent{ auth = auth, api_key = rig.NONE }))
      end)
    end

    it("with a bearer token by default", function()
      assert.same(WIRE.bearer, credentials(sent()))
    end)

    it("with a User-Agent", function()
      assert.equal("sora/" .. sora._VERSION, sent()["user-agent"])
      assert.equal("game/1.0", sent{ user_agent = "game/1.0" }["user-agent"])
    end)
  end)

  describe("sends the user's headers", function()
    it("beside its own", function()
      local headers = sent({ headers = { ["X-Client"] = "a", ["X-Both"] = "client", ["X-Number"] = 5 } },
        { headers = { ["X-Call"] = "b", ["x-both"] = "call", ["X-Empty"] = "" } })
      assert.same({ "a", "call", "5", "b", "", "Bearer " .. KEY }, { headers["x-client"], headers["x-both"],
        headers["x-number"], headers["x-call"], headers["x-empty"], headers.authorization })
    end)

    it("in place of its own", function()
      local mine = { authorization = "Basic eA==", ACCEPT = "*/*", ["user-agent"] = "me" }
      for _, headers in ipairs{ sent{ headers = mine }, sent({}, { headers = mine }) } do
        assert.same({ "Basic eA==", "*/*", "me" }, { headers.authorization, headers.accept,
          headers["user-agent"] })
      end
    end)

    it("for that call alone", function()
      local client = rig.client(srv)
      assert(client:get_video("v", { headers = { ["X-Call"] = "b" } }))
      assert(client:get_video("v"))
      client:close()
      assert.is_nil(srv:requests()[2].headers["x-call"])
    end)
  end)

  describe("with a function as api_key", function()
    it("calls it for each request", function()
      local n = 0
      local client = rig.client(srv, { api_key = function()
        n = n + 1
        return "key-" .. n
      end })
      assert(client:get_video("v"))
      assert(client:get_video("v"))
      assert(client:create_video{ prompt = "p" })
      client:close()
      local keys = {}
      for i, request in ipairs(srv:requests()) do keys[i] = request.headers.authorization end
      assert.same({ "Bearer key-1", "Bearer key-2", "Bearer key-3" }, keys)
    end)

    it("gives a config error when it returns no usable key, and sends nothing", function()
      for _, bad in ipairs{ false, 5, "", KEY .. "\n", KEY .. "\0", {} } do
        local client = rig.client(srv, { api_key = function() return bad or nil end })
        local video, err = client:get_video("v")
        client:close()
        assert.is_nil(video)
        assert.equal("config", err.kind)
        assert.not_matches(KEY, rig.shown(err), 1, true)
      end
      assert.same({}, srv:requests())
    end)

    it("propagates what it raises, and works again afterwards", function()
      local fail = true
      local client = rig.client(srv, { api_key = function()
        if fail then error("no vault", 0) end
        return KEY
      end })
      local ok, problem = pcall(client.get_video, client, "v")
      assert.same({ false, "no vault" }, { ok, problem })
      fail = false
      assert(client:get_video("v"))
      client:close()
      assert.equal(1, #srv:requests())
    end)

    it("may make calls within it", function()
      local inner = rig.client(srv)
      local client
      client = rig.client(srv, { api_key = function()
        assert(inner:get_video("token"))
        return KEY
      end })
      assert.same({ id = "v" }, (client:get_video("v")))
      client:close()
      inner:close()
      assert.same({ "/v1/videos/token", "/v1/videos/v" }, rig.pluck(srv:requests(), "target"))
    end)
  end)

  describe("with a proxy", function()
    it("sends absolute targets to it", function()
      local client = rig.client("http://far.invalid", { proxy = srv.url })
      assert.same({ id = "v" }, (client:get_video("a/b")))
      client:close()
      local request = srv:requests()[1]
      assert.equal("http://far.invalid/v1/videos/a%2fb", request.target:lower())
      assert.equal("far.invalid", request.headers.host)
      assert.is_nil(request.headers["proxy-authorization"])
    end)

    it("authenticates to the proxy with the user and password of its URL", function()
      local url = srv.url:gsub("//", "//user:p%%40ss@")
      local client = rig.client("http://far.invalid", { proxy = url })
      assert.same({ id = "v" }, (client:get_video("v")))
      client:close()
      assert.equal("Basic dXNlcjpwQHNz", srv:requests()[1].headers["proxy-authorization"]) -- user:p@ss
    end)

    it("that refuses the tunnel fails a create, which is then not ambiguous", function()
      srv:route("CONNECT", "far.invalid:443", { status = 403, body = "no" })
      local client = rig.client("https://far.invalid", { proxy = srv.url })
      local video, err = client:create_video{ prompt = "p" }
      client:close()
      assert.is_nil(video)
      assert.is_nil(err.ambiguous)
      assert.equal(1, #srv:requests())
      assert.is_nil(srv:requests()[1].headers.authorization)
    end)

    it("that the environment names, an empty one goes without it", function()
      local code = [[
        local client = require("sora").new { base_url = %q, proxy = PROXY, max_retries = 0 }
        local video, err = client:get_video "v"
        print(video and video.id or err.kind)]]
      local environment = { http_proxy = httpd.refused_url() }
      code = code:format(srv.url .. "/v1")
      assert.equal("connect\n", rig.run(code:gsub("PROXY", "nil"), environment))
      assert.equal("v\n", rig.run(code:gsub("PROXY", '""'), environment))
    end)

    it("that refuses connections is a connect error", function()
      local client = rig.client(srv, { proxy = httpd.refused_url() })
      local _, err = client:get_video("v")
      client:close()
      assert.equal("connect", err.kind)
    end)
  end)

  describe("that is closed", function()
    local function assert_closed(client)
      local calls = { client:get_video("v") }
      assert.same({ nil, "closed" }, { calls[1], calls[2].kind })
      for _, call in ipairs{ function() return client:create_video{ prompt = "p" } end,
        function() return client:wait("v") end, function() return client:download_video("v",
          "/nonexistent/f") end,
        function() return client:pause(0) end } do
        local result, err = call()
        assert.is_nil(result)
        assert.equal("closed", err.kind)
      end
      assert.matches("closed", tostring(select(2, client:get_video("v"))))
    end

    it("gives closed errors, however often it is closed", function()
      local client = rig.client(srv)
      assert(client:get_video("v"))
      client:close()
      assert_closed(client)
      client:close()
      core.close(client)
      assert_closed(client)
    end)

    it("may never have been used", function()
      rig.client(srv):close()
      assert.same({}, srv:requests())
    end)

    it("has closed its sockets and descriptors", function()
      local before = process.open_files()
      for _ = 1, 3 do
        local client = rig.client(srv)
        assert(client:get_video("v"))
        assert.is_true(process.open_files() > before)
        client:close()
        assert.equal(before, process.open_files())
      end
    end)

    it("has closed them when it is garbage-collected, too", function()
      rig.collect()
      local before = process.open_files()
      assert(rig.client(srv):get_video("v"))
      rig.collect()
      assert.equal(before, process.open_files())
    end)

    it("may be closed by a to-be-closed variable (Lua 5.4)", function()
      local load_text = loadstring or load
      local chunk = load_text("local client = ... local held <close> = client return client")
      local client = rig.client(srv)
      if chunk then
        chunk(client)
        assert_closed(client)
      else
        assert.is_true(_VERSION ~= "Lua 5.4" and _VERSION ~= "Lua 5.5")
        client:close()
      end
    end)
  end)

  it("is required as the first argument of its methods, and shows no secret as text", function()
    local client = rig.client(srv, { base_url = srv.url .. "/v1?key=s3cret" })
    for _, other in ipairs{ {}, "x", 1, io.stdout } do
      assert.error_matches(function() client.get_video(other, "v") end,
        "get_video is a method: write client:get_video(…)", 1, true)
    end
    assert.matches("^sora.client %(" .. srv.url:gsub("%p", "%%%0"), tostring(client))
    assert.not_matches(KEY, rig.shown(client), 1, true)
    assert.not_matches("s3cret", rig.shown(client), 1, true)
    client:close()
  end)

  it("may be one of fifty in a process", function()
    local clients = {}
    for i = 1, 50 do clients[i] = rig.client(srv) end
    for _, client in ipairs(clients) do assert(client:get_video("v")) end
    for _, client in ipairs(clients) do client:close() end
    assert.equal(50, srv:connections())
  end)
end)
