-- Where download_video finds the bytes: at /content, at a URL in its answer or in the job, or in the answer
-- itself; and which error it gives when there are none yet. Redirects of /content are in places_spec.lua,
-- too.
local answers = require "spec.support.answers"
local dialects = require "spec.support.dialects"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local native = require "spec.support.native"
local rig = require "spec.support.rig"
local tls = require "spec.support.tls"

local MP4, FILE = answers.MP4, answers.FILE
local CONTENT, JOB = "/v1/videos/v/content", "/v1/videos/v"
local S3_TWO_KEYS = { status = 400, body = dialects.read "generic-s3-double-auth.xml" }

-- Written here, so that nothing of the code under test says what base64 is.
local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for j = 3, 0, -1 do
      local digit = math.floor(n / 64 ^ j) % 64
      out[#out + 1] = (j == 1 and not b or j == 0 and not c) and "=" or ALPHABET:sub(digit + 1, digit + 1)
    end
  end
  return table.concat(out)
end

describe("download_video finds the bytes", function()
  local srv, other, dir = given.server(), given.server(), given.folder()
  local client

  before_each(function()
    dir:write("a.mp4", "old")
    client = rig.client(srv)
  end)
  after_each(function() client:close() end)

  -- Every eleventh allocation of Lua fails in turn while an answer that names the file is read (spec/torture
  -- is for all of them). Not on LuaJIT, which crashes by itself with another allocator.
  local function starved()
    local library = native.starve()
    local starve = assert(package.loadlib(library, "spec_starve"))
    finally(function()
      starve(0)
      os.remove(library)
    end)
    srv:route("GET", "/v1/videos/a/content", { json = { status = "completed", url = "/a.mp4" } })
    srv:route("GET", "/a.mp4", { status = 500 })
    other:route("GET", "/v1/videos/b/content", { status = 404 })
    other:route("GET", "/v1/videos/b", { json = { id = "b", status = "failed" } })
    local elsewhere = rig.client(other)
    local n, failed = 1
    repeat
      n = n + 11
      starve(n)
      pcall(client.download_video, client, "a", dir:at "a.mp4")
      failed = starve(0, true)
      rig.collect() -- what an interrupted download held
      local file, err = elsewhere:download_video("b", dir:at "b.mp4")
      assert.same({ nil, "failed" }, { file, err.kind }, n)
    until not failed
    elsewhere:close()
    assert.is_true(n > 100, "only " .. n .. " allocations failed")
    for _, request in ipairs(other:requests()) do assert.matches("^/v1/videos/b", request.target) end
  end
  if not rawget(_G, "jit") then
    it("of its own job, even if memory ran out while another's answer was read", starved)
  end

  local function use(options, server)
    client:close()
    client = rig.client(server or srv, options)
  end

  local function download(opts, id)
    return client:download_video(id or "v", dir:at("a.mp4"), opts)
  end

  -- A completed job, with what `fields` says.
  local function job(fields)
    return answers.job("completed", answers.with({ object = "video", progress = 100 }, fields))
  end

  local function gives_file(bytes)
    local result, err = download()
    assert.is_nil(err)
    assert.same({ dir:at("a.mp4"), #bytes }, { result.path, result.bytes })
    assert.is_true(dir:read("a.mp4") == bytes)
    assert.equal("a.mp4", dir:list())
    return result
  end

  local function fails(opts)
    local result, err = download(opts)
    assert.is_nil(result)
    assert.equal("old", dir:read("a.mp4"))
    assert.equal("a.mp4", dir:list())
    for _, name in ipairs{ "answer", "partial" } do assert.is_nil(err[name]) end
    return err
  end

  local function targets(server)
    return rig.pluck((server or srv):requests(), "target")
  end

  describe("behind a URL that /content answers as", function()
    for _, name in ipairs{ "url", "video_url", "download_url", "output_url" } do
      it(name, function()
        srv:route("GET", CONTENT, job{ [name] = other.url .. "/f.mp4?sig=a%2Fb" })
        other:reply(FILE)
        gives_file(MP4)
        assert.same({ "/f.mp4?sig=a%2Fb" }, targets(other))
      end)
    end

    for name, fields in pairs{ ["an entry of data"] = function(url) return { data = { { url = url } } } end,
      ["a list"] = function(url) return { urls = { url } } end,
      ["metadata"] = function(url) return { metadata = { url = url } } end,
      ["an output"] = function(url) return { output = { url = url } } end } do
      it(name, function()
        srv:route("GET", CONTENT, job(fields(other.url .. "/f.mp4")))
        other:reply(FILE)
        gives_file(MP4)
      end)
    end

    it("a document that claims to be a video", function()
      local body = '\n{"id":"v","status":"completed","url":"' .. other.url .. '/f.mp4"}'
      srv:route("GET", CONTENT, { headers = { ["Content-Type"] = "video/mp4" }, body = body })
      other:reply(FILE)
      gives_file(MP4)
    end)

    it("a path at its own origin, with the key", function()
      srv:route("GET", CONTENT, job{ url = "/files/v.mp4?x=1" })
      srv:route("GET", "/files/v.mp4", FILE)
      gives_file(MP4)
      assert.same({ CONTENT, "/files/v.mp4?x=1" }, targets())
      assert.equal("Bearer " .. rig.KEY, srv:requests()[2].headers.authorization)
    end)

    it("a URL of its own origin, with the key", function()
      srv:route("GET", CONTENT, job{ unsigned_urls = { srv.url .. "/v1/videos/v/content/0" } })
      srv:route("GET", CONTENT .. "/0", FILE)
      gives_file(MP4)
      assert.equal("Bearer " .. rig.KEY, srv:requests()[2].headers.authorization)
    end)

    it("a URL that redirects again", function()
      srv:route("GET", CONTENT, job{ url = other.url .. "/1" })
      other:reply(answers.redirect(302, "/2"), FILE)
      gives_file(MP4)
      assert.same({ "/1", "/2" }, targets(other))
    end)
  end)

  describe("in the job, where /content", function()
    for _, status in ipairs{ 400, 404, 405, 501 } do
      it("answers " .. status, function()
        srv:route("GET", CONTENT, { status = status, json = { error = { message = "no" } } })
        srv:route("GET", JOB, job{ video_url = other.url .. "/f.mp4" })
        other:reply(FILE)
        gives_file(MP4)
        assert.same({ CONTENT, JOB }, targets())
      end)
    end

    it("answers the job without a URL", function()
      srv:route("GET", CONTENT, job())
      srv:route("GET", JOB, job{ video_url = other.url .. "/f.mp4" })
      other:reply(FILE)
      gives_file(MP4)
    end)

    it("answers 404: its unsigned_urls of the own origin get the key", function()
      srv:route("GET", CONTENT, { status = 404 })
      srv:route("GET", JOB, job{ unsigned_urls = { srv.url .. "/v1/bytes?index=0" } })
      srv:route("GET", "/v1/bytes", FILE)
      gives_file(MP4)
      assert.equal("/v1/bytes?index=0", srv:requests()[3].target)
      assert.equal("Bearer " .. rig.KEY, srv:requests()[3].headers.authorization)
    end)

    it("answers 404: its data URL", function()
      srv:route("GET", CONTENT, { status = 404 })
      srv:route("GET", JOB, job{ url = "data:video/mp4;base64," .. base64(MP4) })
      gives_file(MP4)
    end)

    it("answers 404: base64 as vLLM-Omni gives it", function()
      srv:route("GET", CONTENT, { status = 404 })
      srv:route("GET", JOB, { body = dialects.read "vllmomni-sync-b64.json" })
      gives_file("\0\0\0\28ftyp")
    end)
  end)

  describe("in the answer of /content", function()
    it("as base64", function()
      srv:reply{ body = dialects.read "vllmomni-sync-b64.json",
        headers = { ["Content-Type"] = "application/json" } }
      gives_file("\0\0\0\28ftyp")
      assert.same({ CONTENT }, targets())
    end)

    it("as base64 of any length #large", function()
      for n = 0, 4 do
        local bytes = MP4 .. ("\251\255"):rep(n * 9973)
        srv:reply(job{ data = { { b64_json = base64(bytes) } } })
        gives_file(bytes)
      end
    end)

    it("as a data URL", function()
      srv:reply(job{ url = "data:video/mp4;base64," .. base64(MP4) },
        job{ video_url = "data:video/mp4," .. MP4:gsub("[^%w]", function(c)
          return ("%%%02X"):format(c:byte())
        end) })
      gives_file(MP4)
      gives_file(MP4)
    end)

    it("as a data URL in other letters, and percent-encoded", function()
      local text = base64("\0\0\0\28ftyp")
      srv:reply(job{ url = "DATA:video/mp4;BASE64," .. text },
        job{ url = "data:;base64," .. text:gsub("=", "%%3D") })
      gives_file("\0\0\0\28ftyp")
      gives_file("\0\0\0\28ftyp")
    end)

    it("and hands them to a sink", function()
      srv:reply(job{ data = { { b64_json = base64(MP4) } } })
      local pieces, sink = rig.collector()
      local result = assert(client:download_video("v", { sink = sink }))
      assert.equal(#MP4, result.bytes)
      assert.is_nil(result.path)
      assert.equal(MP4, table.concat(pieces))
    end)

    it("and ends as a sink says that raises, or gives false", function()
      srv:route("GET", "^/v1/", job{ data = { { b64_json = base64(MP4) } } })
      for _, sink in ipairs{ function() error("full", 0) end, function() return false end } do
        local result, err = client:download_video("v", { sink = sink })
        assert.same({ nil, "cancelled" }, { result, err.kind })
      end
      local seen
      assert(client:download_video("v", { path = dir:at("a.mp4"),
        on_progress = function(...) seen = { ... } end }))
      assert.same({ #MP4, #MP4 }, seen)
    end)

    it("but an HTML page or JSON in base64 is an error", function()
      srv:route("GET", "^/v1/", job{ url = "data:video/mp4;base64," .. base64("<!DOCTYPE html><html>no") })
      fails()
      srv:route("GET", "^/v1/", job{ url = "data:video/mp4;base64," .. base64('{"error":"expired"}') })
      fails()
    end)

    it("but broken base64 is an error", function()
      srv:route("GET", "^/v1/", job{ data = { { b64_json = "AAAA*AAA" } } })
      assert.equal("api", fails().kind)
    end)
  end)

  describe("and gives no other origin the", function()
    local SECRETS = { rig.KEY, "team-secret", "c=1", "call-secret", "query-secret" }

    -- The client's and the call's secrets are with the own server, and not at the other origin.
    local function check_secrets(auth)
      local file = assert(other:requests()[1])
      assert.equal("/f.mp4?sig=1", file.target)
      for _, secret in ipairs(SECRETS) do
        assert.is_nil(file.raw_head:find(secret, 1, true), file.raw_head)
      end
      for _, name in ipairs{ "authorization", "api-key", "x-api-key", "cookie" } do
        assert.is_nil(file.headers[name])
      end
      local own = srv:requests()[1].raw_head
      for i, secret in ipairs(SECRETS) do
        assert.equal(i > 1 or auth ~= "none", own:find(secret, 1, true) ~= nil, secret)
      end
    end

    local PLACES = {
      ["at a redirect"] = function(url) return answers.redirect(302, url) end,
      ["at a URL"] = function(url) return job{ url = url } end,
    }
    for _, auth in ipairs{ "bearer", "api-key", "x-api-key", "raw", "none" } do
      for name, answer in pairs(PLACES) do
        it(("key, headers and cookies of %s %s"):format(auth, name), function()
          use{ auth = auth, headers = { ["X-Team-Token"] = "team-secret", Cookie = "c=1" } }
          srv:route("GET", CONTENT, answer(other.url .. "/f.mp4?sig=1"))
          -- A storage that sees two keys refuses both.
          other:reply(auth == "none" and FILE or { body = MP4 }, S3_TWO_KEYS)
          assert(download{ headers = { ["X-Call"] = "call-secret" }, query = { token = "query-secret" } })
          assert.equal(MP4, dir:read("a.mp4"))
          check_secrets(auth)
        end)
      end
    end

    it("key that a function gave", function()
      use{ api_key = function() return "sk-from-a-function-0123" end }
      srv:route("GET", CONTENT, { status = 404 })
      srv:route("GET", JOB, job{ url = other.url .. "/f.mp4" })
      other:reply(FILE)
      gives_file(MP4)
      assert.equal("Bearer sk-from-a-function-0123", srv:requests()[2].headers.authorization)
      assert.is_nil(other:requests()[1].raw_head:find("sk-from", 1, true))
    end)

    it("key when only the scheme, the name or the port differ", function()
      for _, url in ipairs{ other.url, (srv.url:gsub("127%.0%.0%.1", "localhost")) } do
        srv:route("GET", CONTENT, job{ url = url .. "/elsewhere.mp4" })
        srv:route("GET", "/elsewhere.mp4", FILE)
        other:route("GET", "/elsewhere.mp4", FILE)
        gives_file(MP4)
      end
      for _, server in ipairs{ srv, other } do
        local requests = server:requests()
        local last = requests[#requests]
        assert.equal("/elsewhere.mp4", last.target)
        assert.is_nil(last.headers.authorization)
      end
    end)
  end)

  describe("but refuses", function()
    local function refuses(url)
      srv:route("GET", CONTENT, job{ url = url })
      srv:route("GET", JOB, job{ url = url })
      local err = fails()
      assert.same({}, other:requests())
      for _, target in ipairs(targets()) do assert.matches("^/v1/videos/v", target) end
      return err
    end

    it("a URL with a user in it", function()
      refuses((other.url:gsub("//", "//user:secret@") .. "/f.mp4"))
    end)

    for _, url in ipairs{ "ftp://127.0.0.1/v.mp4", "file:///etc/passwd", "gopher://127.0.0.1/", "" } do
      it("\"" .. url .. "\"", function() refuses(url) end)
    end

    it("http, where the base URL is https", function()
      local certificates = tls.certificates()
      local secure = httpd.start{ tls = certificates.server }
      use({ ca_file = certificates.ca }, secure)
      for _, answer in ipairs{ job{ url = other.url .. "/f.mp4" },
        answers.redirect(302, other.url .. "/f.mp4") } do
        secure:route("GET", CONTENT, answer)
        assert.matches("from https to http", fails().message)
      end
      assert.same({}, other:requests())
      -- That what it refuses is the scheme: the same place is taken where it is https.
      secure:route("GET", CONTENT, job{ url = secure.url .. "/f.mp4" })
      secure:route("GET", "/f.mp4", FILE)
      gives_file(MP4)
      secure:stop()
    end)
  end)

  describe("or gives not_ready, when", function()
    local WORDS = { queued = "queued", ["in_progress"] = "in_progress", NOT_START = "queued",
      processing = "in_progress", pending = "queued" }

    local function not_ready(status, state)
      local err = fails()
      assert.same({ "api", "not_ready", status, true }, { err.kind, err.code, err.status, err.retryable })
      assert.matches("not ready.*" .. state, err.message)
    end

    for _, status in ipairs{ 400, 404, 405, 409, 425 } do
      it("/content answers " .. status .. " and the job runs", function()
        for word, state in pairs(WORDS) do
          srv:route("GET", CONTENT, { status = status, json = { error = { message = "Not yet." } } })
          srv:route("GET", JOB, { json = { id = "v", status = word } })
          not_ready(status, state)
        end
      end)
    end

    it("/content answers what new-api does", function()
      srv:route("GET", CONTENT, { status = 400, body = dialects.read "newapi-content-not-ready.json" })
      srv:route("GET", JOB, { body = dialects.read "newapi-retrieve-NOT_START.json" })
      not_ready(400, "queued")
    end)

    it("/content answers 200 and a null URL", function()
      srv:route("GET", CONTENT, { body = dialects.read "fasttoken-content-json.json" })
      not_ready(200, "in_progress")
      srv:route("GET", CONTENT, { body = '{"id":"v","status":"queued","video_url":null}' })
      not_ready(200, "queued")
      srv:route("GET", CONTENT, { body = '{"id":"v","status":"processing","video_url":""}' })
      not_ready(200, "in_progress")
    end)

    it("a later download finds them", function()
      srv:route("GET", CONTENT, { { status = 404, json = { error = { message = "Not yet." } } }, FILE })
      srv:route("GET", JOB, { json = { id = "v", status = "in_progress" } })
      not_ready(404, "in_progress")
      gives_file(MP4)
    end)
  end)

  describe("or says why there are none:", function()
    it("the job failed", function()
      local body = dialects.read "openai-retrieve-failed-moderation.json"
      srv:route("GET", CONTENT, { status = 404 })
      srv:route("GET", JOB, { body = body })
      local err = fails()
      assert.same({ "failed", "moderation_blocked" }, { err.kind, err.code })
      assert.equal(dialects.decode(body).error.message, err.message)
      assert.equal(60, err.video.progress)
      assert.is_falsy(err.retryable)
    end)

    it("/content itself says that it failed", function()
      srv:route("GET", CONTENT, { body = dialects.read "openai-retrieve-failed-moderation.json" })
      local err = fails()
      assert.same({ "failed", "moderation_blocked" }, { err.kind, err.code })
      assert.is_falsy(err.retryable)
    end)

    for _, state in ipairs{ "cancelled", "expired" } do
      it("the job is " .. state, function()
        srv:route("GET", CONTENT, { status = 404 })
        srv:route("GET", JOB, { json = { id = "v", status = state } })
        assert.equal(state, fails().kind)
      end)
    end

    it("the job is done and its file is gone", function()
      srv:route("GET", CONTENT, { status = 404, json = { error = { message = "It has expired.",
        code = "content_expired" } } })
      srv:route("GET", JOB, job())
      local err = fails()
      assert.same({ "api", 404, "content_expired", "It has expired." },
        { err.kind, err.status, err.code, err.message })
    end)

    it("there is no such job", function()
      srv:route("GET", "^/v1/", { status = 404, json = { error = { message = "No such video." } } })
      local err = fails()
      assert.same({ "api", 404, "No such video." }, { err.kind, err.status, err.message })
      assert.is_false(err.retryable)
    end)

    it("the gateway got no file from the server behind it", function()
      srv:route("GET", CONTENT, { status = 502, body = dialects.read "newapi-content-upstream-failed.json" })
      local err = fails()
      assert.same({ "api", 502, "Failed to fetch video content", true },
        { err.kind, err.status, err.message, err.retryable })
    end)

    it("the key is wrong", function()
      srv:route("GET", CONTENT, { status = 401, body = dialects.read "litellm-error-upstream-key.json" })
      local err = fails()
      assert.same({ 401, "invalid_api_key" }, { err.status, err.code })
      assert.same({ CONTENT, JOB }, targets())
    end)

    it("the request for the job fails", function()
      srv:route("GET", CONTENT, { status = 404 })
      srv:route("GET", JOB, { reset = true })
      assert.equal("transport", fails().kind)
    end)

    it("a thumbnail is not looked for in the job, which has the video", function()
      srv:route("GET", CONTENT, { status = 404, json = { error = { message = "No thumbnail." } } })
      local result, err = client:download_video("v", { path = dir:at("a.mp4"), variant = "thumbnail" })
      assert.is_nil(result)
      assert.same({ 404, "No thumbnail." }, { err.status, err.message })
      assert.same({ CONTENT .. "?variant=thumbnail" }, targets())
      assert.equal("old", dir:read("a.mp4"))
    end)
  end)

  describe("and gives up, when", function()
    it("every URL has expired", function()
      srv:route("GET", CONTENT, job{ url = other.url .. "/f.mp4" })
      other:route("GET", "/f.mp4", S3_TWO_KEYS)
      local err = fails()
      assert.same({ "api", 400 }, { err.kind, err.status })
      assert.equal(4, #srv:requests() + #other:requests())
    end)

    it("/content names itself", function()
      srv:route("GET", CONTENT, job{ url = srv.url .. CONTENT })
      srv:route("GET", JOB, job{ url = srv.url .. CONTENT })
      assert.equal("api", fails().kind)
      assert.is_true(#srv:requests() <= 8, #srv:requests())
    end)

    it("a URL leads to JSON", function()
      srv:route("GET", CONTENT, job{ url = other.url .. "/f.mp4" })
      other:route("GET", "/f.mp4", job{ url = other.url .. "/g.mp4" })
      assert.equal("api", fails().kind)
      assert.is_true(#other:requests() <= 3, #other:requests())
    end)

    it("a URL leads to a page", function()
      srv:route("GET", CONTENT, job{ url = other.url .. "/f.mp4" })
      other:route("GET", "/f.mp4", { headers = { ["Content-Type"] = "text/html" }, body = "<html>Sign in" })
      assert.equal("decode", fails().kind)
    end)
  end)

  it("of ids with every kind of character", function()
    local long = "video_" .. ("bGl0ZWxsbTpjdXN0b21f"):rep(10) .. "=="
    other:route("GET", "/f.mp4", FILE)
    for _, id in ipairs{ "sora-2:task_01k7", long, "a b/c?d#e%41", "ü" } do
      srv:reset()
      srv:reply({ status = 404 }, job{ url = other.url .. "/f.mp4" })
      assert(download(nil, id))
      local sent = targets()
      for i, tail in ipairs{ "/content", "" } do
        local segment = sent[i]:match("^/v1/videos/([^/?#]+)" .. tail .. "$")
        assert.equal(id, (segment:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)))
      end
    end
  end)
end)
