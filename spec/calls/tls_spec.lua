-- TLS: which certificates are trusted.
local answers = require "spec.support.answers"
local httpd = require "spec.support.httpd"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local tls = require "spec.support.tls"

describe("over TLS", function()
  local certificates
  local servers = {}

  setup(function()
    certificates = tls.certificates()
    for _, name in ipairs{ "server", "expired", "other_name", "self_signed" } do
      servers[name] = httpd.start{ tls = certificates[name] }
    end
  end)
  before_each(function()
    for _, srv in pairs(servers) do
      srv:reset()
      srv:route("*", "^", answers.VIDEO)
    end
  end)
  teardown(function()
    for _, srv in pairs(servers) do srv:stop() end
  end)

  -- The video that a new client gets, or nil and the error.
  local function get(name, options)
    local client = rig.client(servers[name], options)
    local video, err = client:get_video("v")
    client:close()
    return video, err
  end

  local function assert_refused(name, options, curl)
    local video, err = get(name, options)
    assert.is_nil(video)
    assert.same({ "tls", false, 1 }, { err.kind, err.retryable, err.attempts })
    assert.equal(curl or "CURLE_PEER_FAILED_VERIFICATION", err.curl)
    assert.is_nil(err.status)
    assert.is_nil(err.ambiguous)
    assert.same({}, servers[name]:requests())
  end

  it("a server is trusted whose certificate ca_file signed", function()
    assert.same({ id = "v" }, get("server", { ca_file = certificates.ca }))
    assert.equal("Bearer " .. rig.KEY, servers.server:requests()[1].headers.authorization)
  end)

  it("connections are used again", function()
    local client = rig.client(servers.server, { ca_file = certificates.ca })
    for _ = 1, 3 do assert.same({ id = "v" }, (client:get_video("v"))) end
    client:close()
    assert.equal(1, servers.server:connections())
  end)

  it("a server is trusted whose CA is in ca_path", function()
    local folder = certificates.ca:match("^(.*)/") .. "/hashed"
    local command = "mkdir '%s' && cp '%s' '%s' && openssl rehash '%s'"
    local _, status = process.run(command:format(folder, certificates.ca, folder, folder))
    assert.equal(0, status)
    assert.same({ id = "v" }, get("server", { ca_path = folder }))
  end)

  it("an unknown CA is refused", function() assert_refused("server") end)

  it("a wrong name is refused", function() assert_refused("other_name", { ca_file = certificates.ca }) end)

  it("an expired certificate is refused", function() assert_refused("expired",
    { ca_file = certificates.ca }) end)

  it("a self-signed certificate is refused", function() assert_refused("self_signed",
    { ca_file = certificates.ca }) end)

  it("a certificate may be its own CA", function()
    assert.same({ id = "v" }, get("self_signed", { ca_file = certificates.self_signed.cert }))
  end)

  it("every certificate is trusted with verify = false", function()
    for name in pairs(servers) do assert.same({ id = "v" }, get(name, { verify = false }), name) end
  end)

  it("an unknown CA is refused with verify = true", function() assert_refused("server",
    { verify = true }) end)

  it("a ca_file that can't be read is an error, whoever the server is", function()
    assert_refused("server", { ca_file = "/nonexistent/ca.pem" }, "CURLE_SSL_CACERT_BADFILE")
  end)

  it("a create with a refused certificate is not ambiguous", function()
    local client = rig.client(servers.server, { max_retries = 2 })
    local video, err = client:create_video{ prompt = "p" }
    client:close()
    assert.is_nil(video)
    assert.same({ "tls", 1 }, { err.kind, err.attempts })
    assert.is_nil(err.ambiguous)
  end)

  it("a server that speaks plain HTTP is a tls error", function()
    local plain = httpd.start()
    finally(function() plain:stop() end)
    local client = rig.client("https://localhost:" .. plain.port)
    local video, err = client:get_video("v")
    client:close()
    assert.is_nil(video)
    assert.same({ "tls", "CURLE_SSL_CONNECT_ERROR" }, { err.kind, err.curl })
    assert.same({}, plain:requests())
  end)

  it("a server that speaks TLS does not answer plain HTTP", function()
    local client = rig.client("http://localhost:" .. servers.server.port)
    local video, err = client:get_video("v")
    client:close()
    assert.is_nil(video)
    assert.equal("transport", err.kind)
  end)

  it("broken transfers are transport errors, as over plain connections", function()
    servers.server:reset()
    servers.server:reply({ body = "{}", truncate = 1 }, { reset = true })
    for _ = 1, 2 do
      local _, err = get("server", { ca_file = certificates.ca })
      assert.same({ "transport", true }, { err.kind, err.retryable })
    end
  end)
end)
