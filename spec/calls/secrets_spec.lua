-- Secrets: whatever a server echoes, no error, event, debug line, journal line, ticket or tostring shows a
-- key; and what only looks like a secret is left alone.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local normalize = require "sora.normalize"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local sora = require "sora"

-- A key with characters that JSON, URLs and HTML escape. MARK is the part that they don't.
local MARK = "m4rk3r0123"
local KEY = "sk/" .. MARK .. "+a='b&c<=="

-- How a server may write the key -----------------------------------------------------

local function encode(text, pattern, format)
  return (text:gsub(pattern, function(c) return format:format(c:byte()) end))
end

local ECHOES = {
  plain = KEY,
  ["with \\/"] = KEY:gsub("/", "\\/"),
  ["with \\u003d"] = encode(KEY, "[/+='&<]", "\\u%04x"),
  ["with \\u003D"] = encode(KEY, "[/+='&<]", "\\u%04X"),
  ["with every character as \\u0000"] = encode(KEY, ".", "\\u%04x"),
  ["as JSON in JSON"] = encode(KEY, "[/+='&<]", "\\\\u%04x"),
  ["percent-encoded"] = encode(KEY, "%W", "%%%02X"),
  ["percent-encoded in lower case"] = encode(KEY, "%W", "%%%02x"),
  ["percent-encoded, every character"] = encode(KEY, ".", "%%%02X"),
  ["percent-encoded twice"] = encode(KEY, "%W", "%%25%02X"),
  ["in HTML's names"] = KEY:gsub("&", "&amp;"):gsub("<", "&lt;"):gsub("'", "&#39;"),
  ["in HTML's numbers"] = encode(KEY, "[/+='&<]", "&#x%x;"),
  ["in HTML's decimal numbers"] = encode(KEY, ".", "&#%d;"),
}

-- Some of them in one text.
local SOME = ("%s %s %s"):format(KEY, ECHOES["with \\u003d"], ECHOES["percent-encoded in lower case"])

-- Undoes one such encoding.
local function decode(text)
  local function char(base)
    return function(digits)
      local code = tonumber(digits, base)
      return code < 256 and string.char(code) or nil
    end
  end
  text = text:gsub("\\u(%x%x%x%x)", char(16)):gsub("\\(.)", "%1"):gsub("%%(%x%x)", char(16))
  return (text:gsub("&#(%d+);", char(10)):gsub("&#[xX](%x+);", char(16)))
end

local function assert_hidden(text, name)
  for _ = 1, 3 do
    assert(not text:lower():find(MARK, 1, true), (name or "a text") .. " shows the key: " .. text)
    text = decode(text)
  end
end

-- The encodings above are what they say; a spec that looks for nothing would always pass.
describe("the search for the key finds it", function()
  for name, echo in pairs(ECHOES) do
    it(name, function() assert.has_error(function() assert_hidden("a " .. echo .. " b") end) end)
  end
end)

-- Where the key is -------------------------------------------------------------------

-- Each returns the options of a client and those of its calls.
local WAYS = {
  ["a function"] = function() return { api_key = function() return KEY end } end,
  ["Authorization"] = function() return { headers = { Authorization = "Bearer " .. KEY } } end,
  ["a header of the client"] = function() return { headers = { ["X-Goog-Api-Key"] = KEY } } end,
  ["a cookie"] = function() return { headers = { Cookie = "lang=en; session=" .. KEY } } end,
  ["the base URL's query"] = function(url)
    return { base_url = url .. "/v1?api-version=1&api_key=" .. encode(KEY, "%W", "%%%02X") }
  end,
  ["a header of the call"] = function() return {}, { headers = { ["X-Api-Key"] = KEY } } end,
  ["Authorization of the call"] = function()
    return {}, { headers = { Authorization = "Bearer " .. KEY } }
  end,
  ["the call's query"] = function() return {}, { query = { access_token = KEY } } end,
}
for _, auth in ipairs { "bearer", "api-key", "x-api-key", "raw", "none" } do
  WAYS["auth = " .. auth] = function() return { api_key = KEY, auth = auth } end
end

-- What goes wrong --------------------------------------------------------------------

local FAST = { interval = 0.001, max_interval = 0.001 }

local function with(opts, more) return answers.with(answers.with(FAST, opts), more) end

-- A job that echoes the key in every field, and in the name of one.
local function job(status, echo)
  return { body = ([[{"id": "v", "status": "%s", "note": "%s", "%s": 1, "list": [{"deep": "%s"}],
    "error": {"message": "no %s", "code": "code %s", "type": "%s", "param": "%s"}}]]):format(
    status, echo, echo, echo, echo, echo, echo, echo) }
end

local function refusal(status, echo)
  return { status = status, headers = { ["X-Request-Id"] = "req " .. echo, ["X-Note"] = echo },
    body = ('{"error": {"message": "bad %s", "code": "%s", "type": "%s", "param": "%s"}}'):format(
      echo, echo, echo, echo) }
end

local function page(status, echo)
  return { status = status, headers = { ["Content-Type"] = "text/html" }, body =
    ("<html><head><title>No %s</title></head><body>%s</body></html>"):format(echo, echo) }
end

-- Runs a client until a started call or a watched job is done.
local function finish(client, handle)
  while not handle:done() do client:update(0.05) end
  return select(2, handle:result())
end

-- Each makes an error and returns it: FAILURES[name](srv, client, echo, opts, folder).
local FAILURES = {
  ["a refused get_video"] = function(srv, client, echo, opts)
    srv:reply(refusal(401, echo))
    return select(2, client:get_video("v", opts))
  end,
  ["a refusal with status 200"] = function(srv, client, echo, opts)
    srv:reply{ body = '{"error": "bad ' .. echo .. '"}' }
    return select(2, client:get_video("v", opts))
  end,
  ["a refused list"] = function(srv, client, echo, opts)
    srv:reply(refusal(403, echo), refusal(403, echo))
    local good, raised = pcall(client:videos({}, opts))
    assert.is_false(good)
    return { raised, (select(2, client:find_created({ prompt = "p" }, opts))) }
  end,
  ["a refused create"] = function(srv, client, echo, opts)
    srv:reply(refusal(400, echo))
    return select(2, client:create_video({ prompt = "p" }, opts))
  end,
  ["a created job without an id"] = function(srv, client, echo, opts)
    srv:route("POST", "^", { body = '{"status":"queued","error":{"message":"no ' .. echo .. '"}}' })
    local _, first = client:create_video({ prompt = "p" }, opts)
    return { first, (select(2, client:create_and_wait({ prompt = "p" }, with(opts)))) }
  end,
  ["a web page"] = function(srv, client, echo, opts)
    local list = {}
    for _, status in ipairs { 200, 404, 502 } do
      srv:reply(page(status, echo))
      list[#list + 1] = select(2, client:get_video("v", opts))
    end
    return list
  end,
  ["an answer that is no JSON"] = function(srv, client, echo, opts)
    srv:reply({ body = echo .. " " .. echo }, { body = '{"cut": "' .. echo }, { status = 500, body = echo })
    local list = {}
    for i = 1, 3 do list[i] = select(2, client:get_video("v", opts)) end
    return list
  end,
  ["an answer that breaks off in the key"] = function(srv, client, echo, opts)
    local body = '{"id":"v","note":"' .. echo
    local cut = body:find("0123", 1, true)
    if not cut then return {} end
    srv:reply{ body = body .. '"}', truncate = cut + 2 }
    return select(2, client:get_video("v", opts))
  end,
  ["a redirect"] = function(srv, client, echo, opts)
    local target = "http://" .. echo .. ".invalid/"
    srv:reply(answers.redirect(302, "ftp://" .. echo), answers.redirect(302, target))
    local _, first = client:get_video("v", opts)
    return { first, (select(2, client:get_video("v", opts))) }
  end,
  ["a started call"] = function(srv, client, echo, opts)
    srv:reply(refusal(401, echo))
    return finish(client, client:start("get_video", "v", opts))
  end,
  ["wait for a failed job"] = function(srv, client, echo, opts)
    srv:reply(job("queued", echo), job("failed", echo))
    local _, err = client:wait("v", with(opts))
    assert.same({ "failed", "v" }, { err.kind, err.video.id })
    return err
  end,
  ["wait for other ends"] = function(srv, client, echo, opts)
    local list = {}
    for i, state in ipairs { "cancelled", "expired", "deleted" } do
      srv:reply(job(state, echo))
      list[i] = select(2, client:wait("v", with(opts)))
    end
    return list
  end,
  ["wait whose polls fail"] = function(srv, client, echo, opts)
    srv:reply(job("queued", echo), refusal(401, echo))
    local _, err = client:wait("v", with(opts))
    assert.same({ "api", "queued" }, { err.kind, err.video.status })
    return err
  end,
  ["wait that runs out"] = function(srv, client, echo, opts)
    srv:route("GET", "^", job("queued", echo))
    local _, err = client:wait("v", with(opts, { timeout = 0.2 }))
    assert.same({ "deadline", "queued" }, { err.kind, err.video.status })
    return err
  end,
  ["wait that on_progress stops"] = function(srv, client, echo, opts)
    srv:reply(job("queued", echo))
    local _, err = client:wait("v", with(opts, { on_progress = function() return false end }))
    assert.same({ "cancelled", "queued" }, { err.kind, err.video.status })
    return err
  end,
  ["on_progress that raises what it read"] = function(srv, client, echo, opts)
    srv:route("*", "^", job("queued", echo))
    local good, err = pcall(client.create_and_wait, client, { prompt = "p" },
      with(opts, { on_progress = function(video) error(video.note) end }))
    assert.is_false(good)
    return err
  end,
  ["poll"] = function(srv, client, echo, opts)
    srv:reply(job("queued", echo), refusal(401, echo))
    local step = client:poll("v", with(opts))
    step()
    return select(2, pcall(step))
  end,
  ["wait_all"] = function(srv, client, echo, opts)
    srv:route("GET", "^", job("failed", echo))
    local results = client:wait_all({ "v", "w" }, with(opts))
    assert.equal("failed", results[2].err.kind)
    return results
  end,
  ["a watched job"] = function(srv, client, echo, opts)
    srv:reply(job("queued", echo), job("failed", echo))
    local told
    local watched = client:watch("v", with(opts, { on_done = function(_, err) told = err end,
      on_progress = function(_, view)
        if view.state == "failed" then assert_hidden(rig.shown(select(2, told))) end
      end }))
    local err = finish(client, watched)
    while not told do client:update(0.05) end
    return { err, told, watched:ticket(), tostring(watched) }
  end,
  ["a watched job that is cancelled"] = function(srv, client, echo, opts)
    srv:route("GET", "^", job("queued", echo))
    local seen
    local watched = client:watch("v", with(opts, { on_progress = function() seen = true end }))
    while not seen do client:update(0.05) end
    watched:cancel()
    return select(2, watched:result())
  end,
  ["a watched job whose client is closed"] = function(srv, client, echo, opts)
    srv:route("GET", "^", job("queued", echo))
    local seen
    local watched = client:watch("v", with(opts, { on_progress = function() seen = true end }))
    while not seen do client:update(0.05) end
    client:close()
    local _, err = watched:result()
    assert.same({ "closed", "queued" }, { err.kind, err.video.status })
    return err
  end,
  ["create_and_wait"] = function(srv, client, echo, opts)
    srv:reply(job("queued", echo), job("failed", echo))
    local _, err = client:create_and_wait({ prompt = "p" }, with(opts))
    assert.same({ "failed", "v" }, { err.kind, err.ticket.id })
    return err
  end,
  ["a started create_and_wait"] = function(srv, client, echo, opts)
    srv:reply(job("queued", echo), job("failed", echo))
    return finish(client, client:start("create_and_wait", { prompt = "p" }, with(opts)))
  end,
  ["download of a failed job"] = function(srv, client, echo, opts, folder)
    srv:reply(refusal(404, echo), job("failed", echo))
    local _, err = client:download_video("v", folder.path .. "/film", opts)
    assert.same({ "failed", "v" }, { err.kind, err.video.id })
    return err
  end,
  ["download that answers JSON"] = function(srv, client, echo, opts, folder)
    srv:reply(job("failed", echo), job("queued", echo), job("queued", echo))
    local _, first = client:download_video("v", folder.path .. "/film", opts)
    local _, second = client:download_video("v", { sink = function() end }, opts)
    local _, third = client:download_video("v", { sink = error, variant = "thumbnail" }, opts)
    return { first, second, third }
  end,
  ["a started download"] = function(srv, client, echo, opts, folder)
    srv:reply(refusal(404, echo), job("failed", echo))
    return finish(client, client:start("download_video", "v", folder.path .. "/film", opts))
  end,
  ["create_and_download"] = function(srv, client, echo, opts, folder)
    srv:reply(job("queued", echo), job("completed", echo), refusal(403, echo), refusal(403, echo))
    local _, err = client:create_and_download({ prompt = "p" }, { path = folder.path .. "/film", grace = 0 },
      with(opts))
    assert.is_table(err.ticket)
    return err
  end,
}

describe("no key is shown by #large", function()
  local srv, folder = given.server(), given.folder()

  local function check(name, way, echo)
    srv:reset()
    local list, on_event = rig.collector()
    local options, opts = WAYS[way](srv.url)
    options = answers.with({ on_event = on_event, api_key = rig.NONE, journal = folder.path .. "/journal" },
      options)
    local client = rig.client(srv, options)
    local err = FAILURES[name](srv, client, echo, opts, folder)
    assert.is_truthy(err)
    local what = ("%s, the key in %s, written %s:"):format(name, way, echo)
    client:close()
    local fields = answers.with(client)
    fields._watched = nil -- has the jobs' snapshots, which are plain answers, and the calls' options
    assert_hidden(rig.shown(err, list, tostring(client), fields), what)
    assert_hidden(process.slurp(folder.path .. "/journal") or "", what .. " the journal")
  end

  for name in pairs(FAILURES) do
    it(name .. ", wherever the key is", function()
      for way in pairs(WAYS) do check(name, way, SOME) end
    end)
  end

  for _, name in ipairs{ "a refused get_video", "a web page", "a redirect", "wait for a failed job",
    "an answer that breaks off in the key" } do
    it(name .. ", however the key is written", function()
      for _, echo in pairs(ECHOES) do check(name, "auth = bearer", echo) end
    end)
  end

  it("the events, debug lines and results of a program", function()
    local CODE = [[
      local sora = require "sora"
      local client = sora.new{ headers = { ["X-Token"] = sora.key }, journal = %q }
      for _, id in ipairs{ os.getenv "SORA_API_KEY", "v" } do
        local video, err = client:get_video(id, { query = { token = os.getenv "SORA_API_KEY" } })
        print(video, err, err.message, client)
      end
      local video, err = client:create_and_wait({ prompt = "p" }, { interval = 0.001, max_interval = 0.001 })
      print(video, err, err.message)
      client:watch("v", { on_done = function(_, problem) error(problem.message) end })
      pcall(function() while client:update(1) > 0 do end end)]]
    srv:route("GET", "^", refusal(401, KEY))
      :route("GET", "/v1/videos/v", { refusal(401, KEY), job("failed", KEY) })
      :route("POST", "/v1/videos", job("queued", KEY))
    local output = rig.run(CODE:format(folder.path .. "/journal"), { SORA_API_KEY = KEY, SORA_DEBUG = "1",
      SORA_BASE_URL = srv.url .. "/v1?key=" .. encode(KEY, "%W", "%%%02X") })
    assert.matches("sora: request POST", output, 1, true)
    assert.matches("sora: failed: no ***", output, 1, true)
    assert_hidden(output)
    assert_hidden(process.slurp(folder.path .. "/journal"))
  end)

  it("the journal's tickets", function()
    srv:route("POST", "^", job("queued", KEY))
    local client = rig.client(srv, { api_key = KEY, journal = folder.path .. "/journal",
      base_url = srv.url .. "/v1?api_key=" .. MARK })
    assert(client:create_video({ prompt = "p" }, { headers = { ["X-Key"] = KEY } }))
    local tickets = client:unfinished()
    assert.equal("v", tickets[1].id)
    assert_hidden(rig.shown(tickets, client, client:watch("v"):ticket()))
    client:close()
    assert_hidden(process.slurp(folder.path .. "/journal"))
  end)

  it("an error about a handle or a client", function()
    srv:route("*", "^", { hold = true })
    local client = rig.client(srv, { api_key = KEY, base_url = srv.url .. "/v1?key=" .. MARK })
    local handle = client:start("get_video", "v", { headers = { ["X-Key"] = KEY } })
    local _, early = pcall(handle.result, handle)
    local texts = { tostring(handle), tostring(client), early }
    handle:cancel()
    texts[#texts + 1] = tostring(select(2, handle:result()))
    client:close()
    texts[#texts + 1] = tostring(select(2, client:get_video("v")))
    assert_hidden(table.concat(texts, "\n"))
  end)

  it("misuse, which is raised", function()
    local client = rig.client(srv, { api_key = KEY })
    for _, options in ipairs{ { api_key = { KEY } }, { api_key = KEY .. "\n" }, { auth = KEY },
      { headers = { ["bad name"] = KEY } }, { headers = { ["X-Key"] = KEY .. "\n" } }, { timeout = KEY } } do
      options.base_url = srv.url
      local good, raised = pcall(sora.new, options)
      assert.is_false(good)
      assert_hidden(raised)
    end
    for _, opts in ipairs{ { headers = { ["X-Key"] = KEY .. "\r" } }, { query = { key = { KEY } } } } do
      local good, raised = pcall(client.get_video, client, "v", opts)
      assert.is_false(good)
      assert_hidden(raised)
    end
    client:close()
  end)

  it("a proxy that refuses", function()
    local password = "p4ss/" .. MARK
    for _, url in ipairs{ "http://far.invalid/v1", "https://far.invalid/v1" } do
      srv:reset()
      srv:route("*", "^", refusal(407, password))
      local list, on_event = rig.collector()
      local client = rig.client(url, { base_url = url, api_key = KEY, on_event = on_event,
        proxy = srv.url:gsub("//", "//user:p4ss%%2F" .. MARK .. "@") })
      local _, err = client:get_video("v")
      assert.is_table(err)
      assert_hidden(rig.shown(err, list, client))
      if url:find("^https") then assert_hidden(srv:requests()[1].raw_head) end
      client:close()
    end
  end)

  it("a request that a redirect or a URL sends to another server", function()
    local other = httpd.start()
    for way, options in pairs(WAYS) do
      srv:reset()
      other:reset()
      srv:route("GET", "/v1/videos/v", answers.redirect(307, other.url .. "/elsewhere"))
      srv:route("GET", "/v1/videos/v/content", { json = { id = "v", status = "completed",
        url = other.url .. "/film" } })
      other:route("*", "^", refusal(403, "x"))
      local own, opts = options(srv.url)
      local client = rig.client(srv, answers.with({ api_key = rig.NONE }, own))
      client:get_video("v", opts)
      client:download_video("v", { sink = function() end, grace = 0 }, opts)
      client:close()
      local requests = other:requests()
      assert.is_true(#requests >= 2)
      for _, request in ipairs(requests) do assert_hidden(request.raw_head .. request.body, way) end
    end
    other:stop()
  end)
end)

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

  local function assert_redacted(secret, ...)
    local text, err = shown(secret, ...)
    assert.not_matches(secret, text, 1, true)
    assert.matches("^Incorrect key %*+ given$", err.message)
    assert.matches("^bad %*+$", err.code)
    assert.matches("^req %*+$", err.request_id)
    assert.matches("^%*+$", err.type)
    assert.matches("^%*+$", err.param)
    assert.matches("***", err.body, 1, true)
  end

  it("credentials in headers, by the words of their names", function()
    for _, name in ipairs{ "Authorization", "X-Auth-Token", "Cookie", "api-key", "X-Goog-Api-Key", "X-Secret",
      "X-Signature", "X-API-Key", "xApiKey", "X-Amz-Security-Token", "apikey", "Ocp-Apim-Subscription-Key",
      "X-Password", "X.Api.Token", "X_TOKEN", "APIKey" } do
      assert_redacted("secret-in-header", { headers = { [name] = "secret-in-header" } })
    end
  end)

  it("credentials in queries, by the words of their names", function()
    for _, name in ipairs{ "key", "api_key", "apiKey", "access_token", "token", "sig", "signature",
      "client_secret", "password", "X-Amz-Signature", "subscription-key" } do
      assert_redacted("s3cret-query", { base_url = srv.url .. "/v1?" .. name .. "=s3cret-query&x=1" })
      assert_redacted("s3cret-query", nil, { query = { [name] = "s3cret-query" } })
    end
  end)

  it("credentials in a call's headers, with and without the scheme before them", function()
    assert_redacted("secret-in-call", nil, { headers = { Authorization = "Bearer secret-in-call" } })
    assert_redacted("dXNlcjpwYXNz", nil, { headers = { Authorization = "Basic dXNlcjpwYXNz" } })
    assert_redacted("dXNlcjpwYXNz", nil, { headers = { ["Proxy-Authorization"] = "Basic dXNlcjpwYXNz" } })
  end)

  it("a proxy's password", function()
    assert_redacted("pr0xy-password", { base_url = "http://far.invalid/v1",
      proxy = srv.url:gsub("//", "//user:pr0xy-password@") })
    assert_redacted("pr0xy@password", { base_url = "http://far.invalid/v1",
      proxy = srv.url:gsub("//", "//user:pr0xy%%40password@") })
  end)

  it("the password of a proxy in the environment", function()
    srv:route("*", "^", refusal(407, "pr0xy-password"))
    local output = rig.run([[
      local client = require("sora").new{ base_url = "http://far.invalid/v1" }
      local _, err = client:get_video("v")
      print(err, err.message, err.body)]], { http_proxy = srv.url:gsub("//", "//user:pr0xy-password@") })
    assert.matches("bad ***", output, 1, true)
    assert.not_matches("pr0xy-password", output, 1, true)
  end)

  it("the key used as an id by mistake", function()
    local text = shown(rig.KEY, nil, nil, rig.KEY)
    assert.not_matches(rig.KEY, text, 1, true)
  end)

  -- The longest beginning of the secret that a text holds.
  local function longest_part(text, secret)
    for size = #secret, 1, -1 do
      if text:find(secret:sub(1, size), 1, true) then return size end
    end
    return 0
  end

  it("the key where the body is cut off", function()
    local client = rig.client(srv)
    for left = 1, #rig.KEY - 1 do
      srv:reply{ status = 400, body = ("."):rep(1024 - left) .. rig.KEY .. "." }
      local _, err = client:get_video("v")
      assert.equal(1024, #err.body)
      assert.equal(0, longest_part(err.body, rig.KEY))
      assert.equal(("*"):rep(left), err.body:sub(-left))
    end
    client:close()
  end)

  it("the part of the key where an answer breaks off or is too large", function()
    for left = 4, #rig.KEY - 1 do
      local body = '{"note":"' .. rig.KEY .. '"}'
      srv:reply({ body = body, truncate = 9 + left }, { steps = {
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" .. body:sub(1, 9 + left), 0.02,
        body:sub(10 + left) .. (" "):rep(80) } })
      local client = rig.client(srv, { max_response_bytes = 40 })
      for _ = 1, 2 do
        local _, err = client:get_video("v")
        assert.matches("*", err.body or "*", 1, true)
        assert.is_true(longest_part(err.body or "", rig.KEY) < 4)
      end
      client:close()
    end
  end)

  it("the key where a text is shortened to a message", function()
    local client = rig.client(srv)
    for left = 4, #rig.KEY - 1 do
      srv:reply{ status = 400, body = ("."):rep(198 - left) .. rig.KEY .. " and more" }
      local _, err = client:get_video("v")
      assert.is_true(longest_part(err.message, rig.KEY) < 4, err.message:sub(-30))
    end
    client:close()
  end)

  it("the key where a request id is shortened", function()
    local client = rig.client(srv)
    srv:reply{ status = 400, body = "x", headers = { ["X-Request-Id"] = ("."):rep(245) .. rig.KEY } }
    local _, err = client:get_video("v")
    client:close()
    assert.is_true(longest_part(err.request_id, rig.KEY) < 4, err.request_id:sub(-30))
  end)

  it("every occurrence of the key", function()
    local client = rig.client(srv)
    srv:reply{ status = 400, json = { error = { message = (rig.KEY .. " "):rep(20) .. rig.KEY .. rig.KEY } } }
    local _, err = client:get_video("v")
    client:close()
    assert.not_matches(rig.KEY, rig.shown(err), 1, true)
  end)

  it("the secrets of one call in the errors of that call alone", function()
    local client = rig.client(srv)
    srv:reply({ status = 400, json = { error = "a-word" } }, { status = 400, json = { error = "a-word" } })
    local _, first = client:get_video("v", { headers = { ["X-Token"] = "a-word" } })
    local _, second = client:get_video("v")
    client:close()
    assert.same({ "******", "a-word" }, { first.message, second.message })
  end)

  it("each of the keys that a function gives in turn", function()
    local turn = 0
    local client = rig.client(srv, { api_key = function()
      turn = turn + 1
      return ("sk-turn-%04d-%s"):format(turn, ("x"):rep(500))
    end })
    local list = {}
    for i = 1, 200 do
      list[i] = { body = ('{"id":"v","status":"%s","error":{"message":"no sk-turn-%04d-%s"}}'):format(
        i < 200 and "queued" or "failed", i, ("x"):rep(500)) }
    end
    srv:route("GET", "^", list)
    local _, err = client:wait("v", FAST)
    client:close()
    assert.equal("failed", err.kind, tostring(err))
    assert.not_matches("sk-turn", rig.shown(err), 1, true)
  end)

  it("a key in characters beyond ASCII, however it is written", function()
    local key = "sch\195\188ssel\226\130\172"
    for _, echo in ipairs{ key, "sch\\u00fcssel\\u20ac", "sch%C3%BCssel%e2%82%ac", "sch&#252;ssel&#8364;" } do
      local client = rig.client(srv, { api_key = key })
      srv:reply{ status = 400, body = '{"error":"bad ' .. echo .. '!"}' }
      local _, err = client:get_video("v")
      client:close()
      assert.matches("^bad %*+!$", err.message)
      assert.not_matches("ssel", err.body, 1, true)
    end
  end)
end)

describe("the client leaves alone", function()
  local srv = given.server()

  local function message(text, options, opts)
    local client = rig.client(srv, options)
    srv:reply{ status = 400, json = { error = text } }
    local _, err = client:get_video("v", opts)
    client:close()
    return err.message
  end

  it("what only looks like the name of a secret", function()
    local text = "expected 1024 tokens or 100001 frames, got 7 of author-name"
    for _, name in ipairs{ "max_tokens", "tokens", "author", "keyframe", "monkey", "x-tokenizer", "keyboard",
      "signatures", "Idempotency-Key", "oauthor", "seed" } do
      for _, value in ipairs{ "1", "7", "100001", "author-name" } do
        assert.equal(text, message(text, nil, { query = { [name] = value } }))
        assert.equal(text, message(text, { headers = { [name] = value } }))
      end
    end
  end)

  it("short values of headers and queries", function()
    assert.equal("10 of 12345 is true", message("10 of 12345 is true", nil,
      { query = { key = "10", token = "true", sig = "12345" } }))
    assert.equal("red and blue", message("red and blue",
      { headers = { ["X-Key"] = "red", Cookie = "a=blue" } }))
  end)

  it("a short key within a word", function()
    assert.equal("the **** key 'test' is a contest of testers, test_1, ****!",
      (message("the none key 'test' is a contest of testers, test_1, none!", { api_key = "none" })))
    assert.equal("contest: '****' in testers (****)", message("contest: 'test' in testers (test)",
      { api_key = "test" }))
    assert.equal("a* *", message("a* x", { api_key = "x" }))
  end)

  it("other headers", function()
    assert.equal("it is bluest", message("it is bluest", { headers = { ["X-Colour"] = "bluest" } }))
  end)

  it("plain answers, which are the server's own words", function()
    local client = rig.client(srv, { api_key = KEY })
    local seen
    srv:reply(job("queued", KEY), job("failed", KEY), job("completed", KEY))
    local _, err = client:wait("v", with(nil, { on_progress = function(video) seen = video end }))
    assert.equal(KEY, seen.note)
    assert.equal(1, seen[KEY])
    assert.equal(KEY, seen.list[1].deep)
    assert.is_true(err.video ~= seen)
    assert.equal(KEY, client:wait("v", FAST).note)
    client:close()
  end)

  it("the snapshot in an error, if it holds no secret", function()
    local client = rig.client(srv)
    local seen
    srv:reply(job("failed", "nothing"))
    local _, err = client:wait("v", with(nil, { on_progress = function(video) seen = video end }))
    client:close()
    assert.equal(seen, err.video)
  end)

  it("what is in a snapshot beside a secret", function()
    local client = rig.client(srv, { api_key = KEY })
    srv:reply{ body = ('{"id":"v","status":"failed","note":"%s","n":12345678901,"list":[1,[2,{"a":true}]]}')
      :format(KEY) }
    local _, err = client:wait("v", FAST)
    client:close()
    assert.same({ id = "v", status = "failed", note = ("*"):rep(#KEY), n = 12345678901,
      list = { 1, { 2, { a = true } } } }, err.video)
    assert.equal("failed", normalize.video(err.video).state)
  end)

  it("no secret at the bottom of a deep answer", function()
    for _, form in ipairs{ { "[", "]" }, { '{"a":', "}" } } do
      local client = rig.client(srv, { api_key = KEY })
      srv:reply{ body = ('{"id":"v","status":"failed","deep":%s"%s"%s}'):format(form[1]:rep(900), KEY,
        form[2]:rep(900)) }
      local _, err = client:wait("v", FAST)
      client:close()
      local depth, value = 0, err.video.deep
      while type(value) == "table" do depth, value = depth + 1, value[1] or value.a end
      assert.same({ "failed", 900, ("*"):rep(#KEY) }, { err.kind, depth, value })
    end
  end)

  it("what a program puts into a snapshot, however deep it is", function()
    local client = rig.client(srv, { api_key = KEY })
    srv:reply(job("queued", KEY))
    local _, err = client:wait("v", with(nil, { on_progress = function(video)
      for _ = 1, 100000 do video.list = { video.list, KEY } end
      return false
    end }))
    client:close()
    assert.equal("cancelled", err.kind)
    local value = err.video.list
    for _ = 1, 1000 do
      assert.equal(("*"):rep(#KEY), value[2])
      value = value[1]
    end
  end)

  it("a snapshot that the program has made circular, and an error does end", function()
    local client = rig.client(srv, { api_key = KEY })
    srv:reply(job("queued", KEY))
    local _, err = client:wait("v", with(nil, { on_progress = function(video)
      video.self, video.twin, video[video] = video, video, video
      return false
    end }))
    client:close()
    assert.equal(err.video, err.video.self)
    assert.equal(err.video, err.video.twin)
    assert_hidden(rig.shown(err))
  end)
end)

describe("an error as text", function()
  local srv = given.server()

  local function failure(message)
    local client = rig.client(srv)
    srv:reply{ status = 400, json = { error = { message = message, code = message } } }
    local _, err = client:get_video("v")
    client:close()
    return err
  end

  it("escapes control characters, which its message keeps", function()
    local CASES = { ["a\27[31mb"] = "a\\x1b[31mb", ["a\7b"] = "a\\x07b", ["a\rb\nc\td"] = "a\\rb\\nc\\td",
      ["a\127b"] = "a\\x7fb", ["a\194\155b"] = "a\\xc2\\x9bb", ["a\194\128b\194\159c"] =
      "a\\xc2\\x80b\\xc2\\x9fc", ["a\0b"] = "a\\x00b", ["a\194\160b"] = "a\194\160b",
      ["\228\189\160 \240\159\166\138 \195\169"] = "\228\189\160 \240\159\166\138 \195\169" }
    for message, text in pairs(CASES) do
      local err = failure(message)
      assert.equal(message, err.message)
      assert.equal(("sora: api: %s (HTTP 400, code %s)"):format(text, text), tostring(err))
    end
  end)

  it("escapes bytes that are no UTF-8", function()
    local CASES = { ["\196\227\186\195"] = "\\xc4\\xe3\\xba\\xc3", ["a\155b"] = "a\\x9bb",
      ["\237\160\128"] = "\\xed\\xa0\\x80", ["\192\128"] = "\\xc0\\x80", ["\195"] = "\\xc3",
      ["\240\159\166"] = "\\xf0\\x9f\\xa6", ["\255\254"] = "\\xff\\xfe",
      ["\244\144\128\128"] = "\\xf4\\x90\\x80\\x80", ["\226\130\172"] = "\226\130\172" }
    for message, text in pairs(CASES) do
      assert.equal("sora: api: " .. text, tostring(core.error{ kind = "api", message = message }))
      assert.equal(text, core.printable(message))
    end
  end)

  it("shows a message of any length", function()
    local long = ("\27x"):rep(50000)
    assert.equal("sora: api: " .. ("\\x1bx"):rep(50000), tostring(core.error{ kind = "api", message = long }))
  end)

  it("is all that stderr gets", function()
    srv:route("*", "^", { status = 500, json = { error = "a\27[2Jb\7" } })
    local output = rig.run([[
      local client = require("sora").new{ journal = { append = function() return nil, "disk\27[2J" end,
        read = function() return function() end end } }
      print(client:get_video("a\27b", { max_retries = 0 }))
      client:delete_video("v", { max_retries = 0 })
      print(select(2, client:create_video{ prompt = "p" }))]], { SORA_BASE_URL = srv.url .. "/v1",
        SORA_DEBUG = "1" })
    assert.matches("a\\x1b[2Jb\\x07", output, 1, true)
    assert.not_matches("[%z\1-\8\11-\31\127]", output)
  end)
end)
