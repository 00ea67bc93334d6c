-- cert_file and key_file: a client certificate goes to the base URL's own origin and to no other.
local answers = require "spec.support.answers"
local folder = require "spec.support.folder"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"
local sora = require "sora"
local tls = require "spec.support.tls"

local VIDEO, redirect = answers.VIDEO, answers.redirect

describe("a client certificate", function()
  local dir = given.folder()
  local certificates, ours
  -- The server of base_url, which demands a certificate; others that ask for one, and that demand it.
  local strict, other, demanding
  local client

  setup(function()
    certificates = tls.certificates()
    ours = certificates.client
    local function start(optional)
      local server = certificates.server
      return httpd.start { tls = { cert = server.cert, key = server.key, client_ca = certificates.ca,
        optional = optional } }
    end
    strict, other, demanding = start(false), start(true), start(false)
  end)
  before_each(function()
    for _, server in ipairs { strict, other, demanding } do server:reset() end
    strict:route("*", "^", VIDEO)
    other:route("*", "^", VIDEO)
  end)
  after_each(function()
    if client then client:close() end
    client = nil
  end)
  teardown(function()
    for _, server in ipairs { strict, other, demanding } do server:stop() end
  end)

  local function use(options, server)
    if client then client:close() end
    client = rig.client(server or strict, answers.with({ ca_file = certificates.ca }, options))
    return client
  end

  local function with_certificate(options)
    return use(answers.with({ cert_file = ours.cert, key_file = ours.key }, options))
  end

  -- Fails if anything of a private key is in the error.
  local function assert_hidden(err)
    for _, path in ipairs { ours.key, ours.encrypted, certificates.server.key } do
      for line in io.lines(path) do
        if not line:find "^%-" then assert.not_matches(line:sub(1, 16), rig.shown(err), 1, true) end
      end
    end
  end

  -- The names of the certificates that a server has seen, "" for none.
  local function seen(server)
    local names = {}
    for i, request in ipairs(server:requests()) do names[i] = request.certificate or "" end
    return names
  end

  it("is sent with its key", function()
    with_certificate()
    for _ = 1, 3 do assert.same({ id = "v" }, (client:get_video "v")) end
    assert.same({ "client", "client", "client" }, seen(strict))
    assert.equal(1, strict:connections())
  end)

  it("and its key may be in one file", function()
    assert(use { cert_file = ours.both }:get_video "v")
    assert.same({ "client" }, seen(strict))
  end)

  it("goes with a POST, on a connection of its own", function()
    with_certificate()
    assert(client:create_video { prompt = "p" })
    assert(client:create_video { prompt = "p" })
    assert.same({ "client", "client" }, seen(strict))
  end)

  it("goes with calls that are started, and with downloads", function()
    with_certificate()
    strict:route("GET", "/v1/videos/v/content", answers.FILE)
    assert(patience.result(client, client:start("get_video", "v")))
    assert(client:download_video("v", dir:at "v.mp4"))
    assert.equal(answers.MP4, dir:read "v.mp4")
    for _, name in ipairs(seen(strict)) do assert.equal("client", name) end
  end)

  describe("that the server demands", function()
    local function refused(options, text)
      use(options)
      for _, call in ipairs { function() return client:get_video("v", { max_retries = 2 }) end,
        function() return client:create_video({ prompt = "p" }, { max_retries = 2 }) end } do
        local video, err = call()
        assert.is_nil(video)
        assert.equal("tls", err.kind, tostring(err))
        assert.is_nil(err.ambiguous)
        assert.same({ false, 1 }, { err.retryable, err.attempts })
        assert.matches(text, err.message, 1, true)
        assert_hidden(err)
      end
      assert.same({}, strict:requests())
    end

    it("and that is missing, is an error that says what to write", function()
      refused(nil, "the server demands a client certificate: write cert_file = '…'")
    end)

    it("and that another CA signed, is an error that names the file", function()
      refused({ cert_file = ours.unknown, key_file = ours.key },
        "the server refused the certificate of cert_file '" .. ours.unknown .. "'")
    end)
  end)

  it("that a server refuses over TLS 1.2 is the same error", function()
    local server = certificates.server
    local old = httpd.start { tls = { cert = server.cert, key = server.key, client_ca = certificates.ca,
      protocol = "TLSv1_2" } }
    finally(function() old:stop() end)
    local _, err = use({ cert_file = ours.unknown, key_file = ours.key }, old):get_video "v"
    assert.same({ "tls", "CURLE_SSL_CLIENTCERT" }, { err.kind, err.curl })
    old:route("*", "^", VIDEO)
    assert.same({ id = "v" }, (use({ cert_file = ours.both }, old):get_video "v"))
  end)

  it("with the key of another certificate is an error that names both files", function()
    local wrong = certificates.server.key
    with_certificate { key_file = wrong }
    local video, err = client:get_video("v", { max_retries = 2 })
    assert.is_nil(video)
    assert.same({ "tls", false, 1, "CURLE_SSL_CERTPROBLEM" }, { err.kind, err.retryable, err.attempts,
      err.curl })
    assert_hidden(err)
    assert.matches(("expected a certificate in cert_file '%s' and its own private key in '%s'"):format(
      ours.cert, wrong), err.message, 1, true)
    assert.same({}, strict:requests())
  end)

  it("whose file disappears later is an error that names it", function()
    dir:run("cp " .. ours.both .. " both.pem")
    use { cert_file = dir:at "both.pem" }
    dir:clear()
    local video, err = client:get_video "v"
    assert.is_nil(video)
    assert.equal("tls", err.kind)
    assert.matches(dir:at "both.pem", err.message, 1, true)
  end)

  describe("stays at the base URL's own origin", function()
    it("after a redirect, also back and forth", function()
      with_certificate()
      strict:route("*", "/v1/videos/v", redirect(302, other.url .. "/away"))
      strict:route("*", "/home", VIDEO)
      other:route("*", "/away", redirect(302, "/further"))
      other:route("*", "/further", redirect(302, strict.url .. "/home"))
      for _ = 1, 3 do assert.same({ id = "v" }, (client:get_video "v")) end
      assert(client:get_video "w")
      for _, name in ipairs(seen(strict)) do assert.equal("client", name) end
      assert.same({ "", "", "", "", "", "" }, seen(other))
    end)

    it("after a redirect of a POST", function()
      with_certificate()
      strict:route("*", "/v1/videos", redirect(307, other.url .. "/videos"))
      assert(client:create_video { prompt = "p" })
      assert.same({ "" }, seen(other))
    end)

    it("when a job's file is elsewhere", function()
      with_certificate()
      strict:route("*", "^", answers.job("completed", { video_url = other.url .. "/v.mp4?sig=1" }))
      other:route("*", "^", answers.FILE)
      local file = assert(client:download_video("v", dir:at "v.mp4"))
      assert.equal(#answers.MP4, file.bytes)
      assert.same({ "" }, seen(other))
      assert.is_nil(other:requests()[1].headers.authorization)
    end)

    it("when started calls are redirected at the same time as others are not", function()
      with_certificate { max_connections = 4 }
      strict:route("*", "/v1/videos/away", redirect(302, other.url .. "/x"))
      local handles = {}
      for i = 1, 24 do handles[i] = client:start("get_video", i % 2 == 0 and "v" or "away") end
      for _, handle in ipairs(handles) do assert(patience.result(client, handle)) end
      assert.equal(12, #other:requests())
      for _, name in ipairs(seen(other)) do assert.equal("", name) end
      for _, name in ipairs(seen(strict)) do assert.equal("client", name) end
    end)

    it("where another origin demands one, which is an error that says so", function()
      with_certificate()
      strict:route("*", "/v1/videos/v", redirect(302, demanding.url .. "/x"))
      local video, err = client:get_video "v"
      assert.is_nil(video)
      assert.equal("tls", err.kind)
      assert.matches("another server demands a client certificate; cert_file goes to the server of base_url "
        .. "alone", err.message, 1, true)
      assert.same({}, demanding:requests())
    end)

    it("includes another name of the same server", function()
      local elsewhere = (other.url:gsub("localhost", "127.0.0.1"))
      use({ cert_file = ours.both }, other)
      other:route("*", "/v1/videos/v", redirect(302, elsewhere .. "/x"))
      assert(client:get_video "v")
      assert.same({ "client", "" }, seen(other))
    end)
  end)

  describe("is refused by sora.new, where", function()
    local files

    setup(function()
      files = folder.new()
      files:write("text.pem", "hello\n")
    end)
    teardown(function() files:remove() end)

    local function refused(options, ...)
      local made, err = sora.new(answers.with({ base_url = strict.url .. "/v1" }, options))
      assert.is_nil(made)
      assert.equal("config", err.kind)
      for _, text in ipairs { ... } do assert.matches(text, err.message, 1, true) end
      assert_hidden(err)
    end

    it("a file is missing", function()
      refused({ cert_file = "/nonexistent/c.pem" },
        "cannot read cert_file '/nonexistent/c.pem': No such file")
      refused({ cert_file = ours.cert, key_file = "/nonexistent/k.pem" },
        "cannot read key_file '/nonexistent/k.pem': No such file")
    end)

    it("a file is a folder, or no regular file", function()
      refused({ cert_file = files.path }, "cannot read cert_file '" .. files.path .. "': Is a directory")
      files:run "mkfifo pipe"
      refused({ cert_file = files:at "pipe" }, "cannot read cert_file", "it is not a regular file")
    end)

    it("a file is not what its option says", function()
      refused({ cert_file = files:at "text.pem" }, "holds no certificate: expected a PEM file")
      refused({ cert_file = ours.key }, "cert_file '" .. ours.key .. "' holds no certificate")
      refused({ cert_file = ours.cert, key_file = ours.cert },
        "key_file '" .. ours.cert .. "' holds no private key: expected a PEM file")
    end)

    it("no file holds the key", function()
      refused({ cert_file = ours.cert }, "cert_file '" .. ours.cert .. "' holds no private key",
        "key_file = '…'")
    end)

    it("the key has a passphrase", function()
      refused({ cert_file = ours.cert, key_file = ours.encrypted }, "the private key in key_file '"
        .. ours.encrypted .. "' has a passphrase", "openssl pkey")
    end)

    it("base_url is http", function()
      refused({ base_url = "http://127.0.0.1:1/v1", cert_file = ours.both },
        "base_url begins with http://, where no certificate is sent: write https://")
    end)
  end)

  it("is missing beside key_file, which raises", function()
    local ok, problem = pcall(function() sora.new { base_url = strict.url, key_file = ours.key } end)
    assert.is_false(ok)
    assert.matches("^spec/calls/client_certificate_spec.lua:%d+: bad argument #1 to 'new' %(option "
      .. "'key_file' needs its certificate: write cert_file = '…', too%)", problem)
  end)
end)
