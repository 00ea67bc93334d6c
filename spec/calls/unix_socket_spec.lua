-- unix_socket: the base URL's own origin is reached through a Unix domain socket, and no other is.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local sora = require "sora"

local VIDEO, redirect = answers.VIDEO, answers.redirect

describe("through a Unix socket", function()
  local other = given.server() -- on TCP
  local dir = given.folder()
  local srv, client, place

  setup(function()
    place = process.folder()
    srv = httpd.start { unix = place .. "/api.sock" }
  end)
  before_each(function()
    srv:reset()
    srv:route("*", "^", VIDEO)
    other:route("*", "^", VIDEO)
    client = rig.client(srv, { unix_socket = place .. "/api.sock" })
  end)
  after_each(function() client:close() end)
  teardown(function()
    srv:stop()
    process.run("rm -r " .. process.quote(place))
  end)

  local function use(options)
    client:close()
    client = rig.client(srv, answers.with({ unix_socket = place .. "/api.sock" }, options))
    return client
  end

  it("a call is made, with host and path of the base URL", function()
    assert.same({ id = "v" }, (client:get_video "v"))
    local request = srv:requests()[1]
    assert.same({ "/v1/videos/v", "localhost", "Bearer " .. rig.KEY }, { request.target, request.headers.host,
      request.headers.authorization })
  end)

  it("calls share a connection, and a POST has its own", function()
    for _ = 1, 3 do assert(client:get_video "v") end
    assert.equal(1, srv:connections())
    assert(client:create_video { prompt = "p" })
    assert.equal(2, srv:connections())
  end)

  it("many started calls are made", function()
    local handles = {}
    for i = 1, 50 do handles[i] = client:start("get_video", "v" .. i) end
    for _, handle in ipairs(handles) do assert.same({ id = "v" }, (patience.result(client, handle))) end
    assert.equal(50, #srv:requests())
  end)

  it("a file is downloaded", function()
    srv:route("GET", "/v1/videos/v/content", answers.FILE)
    assert(client:download_video("v", dir:at "v.mp4"))
    assert.equal(answers.MP4, dir:read "v.mp4")
  end)

  it("a file is uploaded", function()
    dir:write("ref.png", "\137PNG\r\n\26\n")
    assert(client:create_video { prompt = "p", input_reference = { path = dir:at "ref.png" } })
    assert.matches("PNG", srv:requests()[1].body, 1, true)
  end)

  it("no DNS is asked for the host", function()
    use { base_url = "http://no.such.host.invalid/v1" }
    assert.same({ id = "v" }, (client:get_video "v"))
    assert.equal("no.such.host.invalid", srv:requests()[1].headers.host)
  end)

  it("a redirect within the origin goes, too", function()
    srv:route("*", "/v1/videos/v", redirect(302, "http://LOCALHOST:80/x"))
    assert(client:get_video "v")
    assert.equal("/x", srv:requests()[2].target)
  end)

  it("a redirect to another origin does not go, and back it goes again", function()
    srv:route("*", "/v1/videos/v", redirect(302, other.url .. "/away"))
    other:route("*", "/away", redirect(302, "http://localhost/home"))
    for _ = 1, 3 do assert.same({ id = "v" }, (client:get_video "v")) end
    assert.same({ "/v1/videos/v", "/home" }, { srv:requests()[1].target, srv:requests()[2].target })
    assert.equal(3, #other:requests())
    assert.is_nil(other:requests()[1].headers.authorization)
    assert(client:get_video "w")
    assert.equal("/v1/videos/w", srv:requests()[7].target)
  end)

  it("a redirect to another port of the same host does not go", function()
    srv:route("*", "/v1/videos/v", redirect(302, "http://localhost:" .. other.port .. "/x"))
    assert(client:get_video "v")
    assert.same({ 1, 1 }, { #srv:requests(), #other:requests() })
  end)

  it("a job's file elsewhere is fetched from there", function()
    srv:route("*", "^", answers.job("completed", { video_url = other.url .. "/v.mp4?sig=1" }))
    other:route("*", "^", answers.FILE)
    assert(client:download_video("v", dir:at "v.mp4"))
    assert.equal("/v.mp4?sig=1", other:requests()[1].target)
    for _, request in ipairs(srv:requests()) do assert.matches("^/v1/", request.target) end
  end)

  it("a relative path counts from the working directory", function()
    local here = process.output("pwd"):gsub("\n", "/")
    local code = ([[
      package.path, package.cpath = %q, %q
      local client = assert(require "sora".new { base_url = "http://localhost/v1", unix_socket = "api.sock" })
      print(client:get_video("v").id)]]):format((package.path:gsub("%./", here)),
      (package.cpath:gsub("%./", here)))
    dir:write("call.lua", code)
    local output = process.run(("cd %s && %s %s"):format(process.quote(place), os.getenv "LUA" or "lua5.4",
      process.quote(dir:at "call.lua")))
    assert.equal("v\n", output)
  end)

  describe("a proxy is not used, but", function()
    local PROXY = "http://127.0.0.1:9"

    it("by calls to other origins", function()
      use { proxy = other.url }
      srv:route("*", "/v1/videos/v", redirect(302, "http://cdn.invalid/x"))
      assert.same({ id = "v" }, (client:get_video "v"))
      assert.equal("http://cdn.invalid/x", other:requests()[1].target)
      assert.equal("/v1/videos/v", srv:requests()[1].target)
      assert(client:get_video "w")
      assert.equal(1, #other:requests())
    end)

    it("also that of the environment", function()
      local code = [[local client = assert(require "sora".new { base_url = "http://localhost/v1",
        unix_socket = os.getenv "SOCKET", max_retries = 0 })
        print(client:get_video("v").id, select(2, client:get_video("away")).kind)]]
      srv:route("*", "/v1/videos/away", redirect(302, "http://cdn.invalid/x"))
      local output = rig.run(code, { SOCKET = place .. "/api.sock", http_proxy = PROXY })
      assert.equal("v\tconnect\n", output)
    end)
  end)

  describe("an error names the socket:", function()
    local function failure(path, options)
      use(answers.with({ unix_socket = path }, options))
      local video, err = client:get_video "v"
      assert.is_nil(video)
      assert.equal("connect", err.kind, tostring(err))
      assert.is_true(err.retryable)
      assert.matches("cannot connect to unix_socket '" .. path .. "': ", err.message, 1, true)
      local made, problem = client:create_video { prompt = "p" }
      assert.is_nil(made)
      assert.same({ "connect" }, { problem.kind, problem.ambiguous })
      return err
    end

    it("nothing has its path", function()
      assert.matches("No such file", failure("/nonexistent/api.sock").message, 1, true)
    end)

    it("nobody listens", function()
      local gone = httpd.start { unix = dir:at "gone.sock" }
      gone:stop()
      assert.matches("refused", failure(dir:at "gone.sock").message, 1, true)
    end)

    it("it is a plain file", function()
      dir:write("file", "")
      assert.matches("refused", failure(dir:at "file").message, 1, true)
    end)

    it("another origin that refuses is not one of its errors", function()
      srv:route("*", "/v1/videos/v", redirect(302, httpd.refused_url() .. "/x"))
      local video, err = client:get_video "v"
      assert.is_nil(video)
      assert.equal("connect", err.kind)
      assert.not_matches("unix_socket", err.message, 1, true)
    end)
  end)

  it("a path that is too long is a config error", function()
    local made, err = sora.new { base_url = "http://localhost/v1", unix_socket = "/" .. ("x"):rep(107) }
    assert.is_nil(made)
    assert.equal("config", err.kind)
    assert.matches("is too long: expected a path of at most 107 bytes, got 108", err.message, 1, true)
    assert(sora.new { base_url = "http://localhost/v1", unix_socket = "/" .. ("x"):rep(106) }):close()
  end)
end)
