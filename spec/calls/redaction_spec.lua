-- Secrets: servers that echo what they were sent, and that nothing shows it afterwards.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local rig = require "spec.support.rig"

local KEY = rig.KEY

describe("the client redacts", function()
  local srv = given.server()

  -- Makes a call whose answer is an error that echoes `secret` everywhere, and gives all that is shown of it.
  local function shown(secret, options, opts, id)
    local list, on_event = rig.collector()
    local client = rig.client(srv, answers.with({ on_event = on_event }, options))
    srv:reply{ status = 401, headers = { ["X-Request-Id"] = "req " .. secret }, json = { error = {
      message = "Incorrect key " .. secret .. " given", code = "bad " .. secret, type = secret,
        param = secret } } }
    local video, err = client:get_video(id or "v", opts)
    assert.is_nil(video)
    assert.equal("api", err.kind)
    local text = rig.shown(err, list, client)
    client:close()
    return text, err
  end

  local function assert_hidden(secret, ...)
    local text, err = shown(secret, ...)
    assert.not_matches(secret, text, 1, true)
    assert.matches("^Incorrect key %*+ given$", err.message)
    assert.matches("^bad %*+$", err.code)
    assert.matches("^req %*+$", err.request_id)
    assert.matches("^%*+$", err.type)
    assert.matches("^%*+$", err.param)
    assert.matches("***", err.body, 1, true)
  end

  it("the key", function() assert_hidden(KEY) end)

  it("the key whatever auth is", function()
    for _, auth in ipairs{ "bearer", "api-key", "x-api-key", "raw", "none" } do assert_hidden(KEY,
      { auth = auth }) end
  end)

  it("the key that a function gives", function()
    assert_hidden("sk-from-vault", { api_key = function() return "sk-from-vault" end })
  end)

  it("credentials in the client's headers", function()
    for _, name in ipairs{ "Authorization", "X-Auth-Token", "Cookie", "api-key", "X-Goog-Api-Key", "X-Secret",
      "X-Signature" } do
      assert_hidden("secret-in-header", { headers = { [name] = "secret-in-header" } })
    end
  end)

  it("credentials in a call's headers, with and without the scheme before them", function()
    assert_hidden("secret-in-call", nil, { headers = { Authorization = "Bearer secret-in-call" } })
    assert_hidden("dXNlcjpwYXNz", nil, { headers = { Authorization = "Basic dXNlcjpwYXNz" } })
    assert_hidden("dXNlcjpwYXNz", nil, { headers = { ["Proxy-Authorization"] = "Basic dXNlcjpwYXNz" } })
  end)

  it("no other header", function()
    local _, err = shown("blue", { headers = { ["X-Colour"] = "blue" } })
    assert.equal("Incorrect key blue given", err.message)
  end)

  it("a key in the base URL's query", function()
    assert_hidden("s3cret-query", { base_url = srv.url .. "/v1?api_key=s3cret-query&x=1" })
    assert_hidden("s3cret-query", { base_url = srv.url .. "/v1?token=s3cret-query" })
  end)

  it("a proxy's password", function()
    assert_hidden("pr0xy-password", { base_url = "http://far.invalid/v1",
      proxy = srv.url:gsub("//", "//user:pr0xy-password@") })
  end)

  it("the key used as an id by mistake", function()
    local text = shown(KEY, nil, nil, KEY)
    assert.not_matches(KEY, text, 1, true)
  end)

  it("the key in a 200 that reports an error", function()
    srv:reply{ json = { error = "bad key " .. KEY } }
    local client = rig.client(srv)
    local _, err = client:get_video("v")
    client:close()
    assert.equal("bad key " .. ("*"):rep(#KEY), err.message)
    assert.not_matches(KEY, rig.shown(err), 1, true)
  end)

  it("the key in a body that is not JSON", function()
    local client = rig.client(srv)
    for _, status in ipairs{ 200, 502 } do
      for _, body in ipairs{ "<html><title>No " .. KEY .. "</title></html>", "no " .. KEY, '{"cut": "'
        .. KEY } do
        srv:reply{ status = status, body = body }
        local _, err = client:get_video("v")
        assert.not_matches(KEY, rig.shown(err), 1, true)
        assert.matches("***", err.body, 1, true)
      end
    end
    client:close()
  end)

  -- The longest beginning of the secret that a text holds.
  local function longest_part(text, secret)
    for size = #secret, 1, -1 do
      if text:find(secret:sub(1, size), 1, true) then return size end
    end
    return 0
  end

  it("the key where the body is cut off, too", function()
    local client = rig.client(srv)
    for left = 1, #KEY - 1 do
      srv:reply{ status = 400, body = ("."):rep(1024 - left) .. KEY .. "." }
      local _, err = client:get_video("v")
      assert.equal(1024, #err.body)
      assert.is_true(longest_part(err.body, KEY) == 0)
      assert.equal(("*"):rep(left), err.body:sub(-left))
    end
    client:close()
  end)

  it("every occurrence of the key", function()
    local client = rig.client(srv)
    srv:reply{ status = 400, json = { error = { message = (KEY .. " "):rep(20) .. KEY .. KEY } } }
    local _, err = client:get_video("v")
    client:close()
    assert.not_matches(KEY, rig.shown(err), 1, true)
  end)

  it("the secrets of one call in that call alone", function()
    local client = rig.client(srv)
    srv:reply({ status = 400, json = { error = "word" } }, { status = 400, json = { error = "word" } })
    local _, first = client:get_video("v", { headers = { ["X-Token"] = "word" } })
    local _, second = client:get_video("v")
    client:close()
    assert.same({ "****", "word" }, { first.message, second.message })
  end)

  it("a key in a call's query", function()
    assert_hidden("s3cret-query", nil, { query = { api_key = "s3cret-query" } })
  end)

  it("a key in a query as the server decodes it, too", function()
    assert_hidden("s3cret/query", { base_url = srv.url .. "/v1?api_key=s3cret%2Fquery" })
  end)

  it("a proxy's password as the proxy decodes it, too", function()
    assert_hidden("pr0xy@password", { base_url = "http://far.invalid/v1",
      proxy = srv.url:gsub("//", "//user:pr0xy%%40password@") })
  end)

  it("the key as JSON escapes it", function()
    local text = shown("sk-a/b+c\"d", { api_key = "sk-a/b+c\"d" })
    assert.not_matches("sk-a", text, 1, true)
  end)

  it("the key where a text is shortened to a message", function()
    local client = rig.client(srv)
    for left = 4, #KEY - 1 do
      srv:reply{ status = 400, body = ("."):rep(198 - left) .. KEY .. " and more" }
      local _, err = client:get_video("v")
      assert.is_true(longest_part(err.message, KEY) < 4, err.message:sub(-30))
    end
    client:close()
  end)

  it("the key where a request id is shortened", function()
    local client = rig.client(srv)
    srv:reply{ status = 400, body = "x", headers = { ["X-Request-Id"] = ("."):rep(245) .. KEY } }
    local _, err = client:get_video("v")
    client:close()
    assert.is_true(longest_part(err.request_id, KEY) < 4, err.request_id:sub(-30))
  end)
end)
