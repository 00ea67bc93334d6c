-- Errors: which fields they have, what servers' refusals become, and how they read.
local answers = require "spec.support.answers"
local core = require "sora.core"
local dialects = require "spec.support.dialects"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local rig = require "spec.support.rig"

describe("an error", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  local function failure(answer)
    srv:reply(answer)
    local video, err = client:get_video("v")
    assert.is_nil(video)
    return err
  end

  local function refusal(json, status)
    return failure{ status = status or 400, json = json }
  end

  it("has all fields of OpenAI's error format", function()
    local json = { error = { message = "No such video", type = "invalid_request_error", code = "not_found",
      param = "id" } }
    srv:reply{ status = 404, json = json, headers = { ["x-request-id"] = "req_1", ["Retry-After"] = "7" } }
    local video, err = client:get_video("v")
    assert.is_nil(video)
    local body = err.body
    err.body = nil
    assert.same({ kind = "api", message = "No such video", type = "invalid_request_error", code = "not_found",
      param = "id", reason = "not_found", status = 404, request_id = "req_1", retry_after = 7,
      retryable = false, attempts = 1 },
      setmetatable(err, nil))
    assert.same(json, dialects.decode(body))
  end)

  it("has whole numbers as integers", function()
    local err = failure{ status = 429, body = "x", headers = { ["Retry-After"] = "130" } }
    assert.same({ "integer", "integer", "integer" }, { rig.type(err.status, "integer"),
      rig.type(err.attempts, "integer"), rig.type(err.retry_after, "integer") })
    assert.equal(0.25, failure{ status = 400, body = "x",
      headers = { ["retry-after-ms"] = "250" } }.retry_after)
  end)

  it("has the first KiB of the body", function()
    assert.equal(("a"):rep(1024), failure{ status = 400, body = ("a"):rep(1024) .. "b" }.body)
    assert.equal("short", failure{ status = 400, body = "short" }.body)
    assert.is_nil(failure{ status = 400 }.body)
    assert.equal("a\0b", failure{ status = 400, body = "a\0b" }.body)
  end)

  it("is retryable for some statuses", function()
    local PASSES = { [400] = false, [401] = false, [402] = false, [403] = false, [404] = false, [408] = true,
      [409] = true,
      [410] = false, [413] = false, [422] = false, [425] = true, [429] = true, [500] = true, [501] = true,
        [502] = true,
      [503] = true, [504] = true, [524] = true, [529] = true }
    for status, passes in pairs(PASSES) do
      local err = failure{ status = status, body = "x" }
      assert.same({ "api", status, passes }, { err.kind, err.status, err.retryable })
      assert.is_nil(err.ambiguous)
    end
  end)

  it("is an api error for unknown statuses, too", function()
    for _, status in ipairs{ 300, 304, 305, 399, 418, 499, 600, 999 } do
      local err = failure{ status = status, body = status ~= 304 and "x" or nil, close = true }
      assert.same({ "api", status }, { err.kind, err.status })
    end
  end)

  it("has a message of its own where the server gives none", function()
    assert.equal("the server answered 400", failure{ status = 400 }.message)
    assert.equal("the server answered 500", refusal({ error = {} }, 500).message)
    assert.equal("the server answered 500", failure{ status = 500, body = " \r\n" }.message)
    assert.equal("the server answered 400", failure{ status = 400, body = "\255\0\1" }.message)
  end)

  it("takes a short text out of HTML, XML and plain text", function()
    assert.equal("502 Bad Gateway", failure{ status = 502,
      body = dialects.read("generic-nginx-502.html") }.message)
    assert.matches("Only one auth mechanism allowed",
      failure{ status = 400, body = dialects.read("generic-s3-double-auth.xml") }.message)
    assert.equal("upstream connect error", failure{ status = 503,
      body = "upstream connect error\nreset: 1" }.message)
    assert.is_true(#failure{ status = 502, body = ("long "):rep(1000) }.message <= 200)
  end)

  it("knows every header that request ids come in", function()
    for _, name in ipairs{ "X-Request-Id", "request-id", "apim-request-id", "X-Oneapi-Request-Id" } do
      assert.equal("r1", failure{ status = 400, body = "x", headers = { [name] = "r1" } }.request_id)
    end
  end)

  describe("in the format of another server", function()
    local SHAPES = {
      { { error = "text" }, message = "text" },
      { { error = { message = "m", code = 500 } }, message = "m", code = "500" },
      { { message = "m", type = "t", code = "c", param = "p" }, message = "m", type = "t", code = "c",
        param = "p" },
      { { code = "fail_to_fetch_task", message = "m", data = dialects.null }, message = "m",
        code = "fail_to_fetch_task" },
      { { code = 4003, msg = "m" }, message = "m", code = "4003" },
      { { detail = "m" }, message = "m" },
      { { detail = { { loc = { "body", "prompt" }, msg = "field required", type = "missing" } } },
        message = "body.prompt: field required" },
      { { is_bifrost_error = true, error = { message = "m" } }, message = "m" },
    }
    for _, shape in ipairs(SHAPES) do
      it("has its message: " .. dialects.encode(shape[1]), function()
        local err = refusal(shape[1], 422)
        assert.same({ "api", 422 }, { err.kind, err.status })
        for _, field in ipairs{ "message", "type", "code", "param" } do
          if shape[field] then assert.equal(shape[field], err[field], field) end
        end
      end)
    end

    for _, fixture in ipairs(dialects.bodies()) do
      local entry = fixture.entry
      if entry.http >= 400 then
        it("is api, with the server's words: " .. entry.file, function()
          local text = dialects.read(entry.file)
          local err = failure{ status = entry.http, body = text }
          assert.same({ "api", entry.http, text:sub(1, 1024) }, { err.kind, err.status, err.body })
          assert.is_true(#err.message > 3)
          assert.not_matches("^the server answered", err.message)
          assert.is_truthy(text:gsub("\\(.)", "%1"):find(err.message, 1, true), err.message)
          local expect = entry.expect or {}
          assert.equal(expect.error_code or err.code, err.code)
          assert.equal(expect.error_type or err.type, err.type)
          for _, field in ipairs{ "code", "type", "param", "request_id" } do
            assert.is_true(err[field] == nil or type(err[field]) == "string", field)
          end
        end)
      end
    end

    it("has the request id of the body where no header has it", function()
      local err = failure{ status = 404, body = dialects.read("modelsell-error-request_id.json") }
      assert.is_string(err.request_id)
      assert.is_truthy(err.body:find(err.request_id, 1, true))
    end)
  end)

  describe("with status 200", function()
    local SHAPES = { { error = "no such video" }, { error = { message = "no such video", code = "c" } },
      { code = 4003, msg = "no such video" }, { detail = "no such video" }, { success = false,
        message = "no such video" } }
    for _, json in ipairs(SHAPES) do
      it("is api: " .. dialects.encode(json), function()
        local err = failure{ json = json }
        assert.same({ "api", 200, "no such video", false }, { err.kind, err.status, err.message,
          err.retryable })
        assert.is_nil(err.ambiguous)
        assert.is_string(err.body)
      end)
    end

    it("is not seen in an empty error field, nor in the error of a failed job", function()
      for _, text in ipairs{ '{"id":"v","status":"completed","error":{}}', '{"id":"v","error":{"code":0}}',
        '{"id":"v","status":"completed","error":{"code":"","message":""}}', '{"id":"v","error":null}',
        '{"id":"v","status":"failed","error":{"code":"moderation_blocked","message":"no"}}',
        '{"task_id":"v","status":"FAILURE","error":"no"}' } do
        srv:reply{ body = text }
        local video, err = client:get_video("v")
        assert.is_nil(err)
        assert.same(dialects.decode(text), video)
      end
    end)
  end)

  describe("as text", function()
    it("says kind, message and what helps to ask for help", function()
      srv:reply{ status = 404, json = { error = { message = "Video not found", code = "not_found" } },
        headers = { ["x-request-id"] = "req_1" } }
      local _, err = client:get_video("v")
      assert.equal("sora: api: Video not found (HTTP 404, code not_found, request req_1)", tostring(err))
    end)

    it("leaves out what is not known", function()
      assert.equal("sora: api: no (HTTP 400)", tostring(refusal{ error = "no" }))
      assert.equal("sora: closed: bye", tostring(core.error{ kind = "closed", message = "bye" }))
      assert.matches("^sora: %?: %?$", tostring(core.error{}))
    end)

    it("names libcurl's code", function()
      assert.matches("^sora: transport: .* %(CURLE_GOT_NOTHING%)$", tostring(failure{ close = true }))
    end)

    it("can be raised", function()
      srv:reply{ status = 400, body = "x" }
      local _, err = client:get_video("v")
      local ok, raised = pcall(error, err)
      assert.is_false(ok)
      assert.equal(err, raised)
    end)
  end)

  describe("of a POST is ambiguous", function()
    local function posted(answer)
      srv:reply(answer)
      local job, err = client:create_video({ prompt = "p" }, { timeout = answer.hold and 0.3 or 20 })
      assert.is_nil(job)
      return err
    end

    local UNCLEAR = { ["408"] = { status = 408, body = "x" },
      ["503"] = { status = 503, body = "x" },
      ["500"] = { status = 500, body = "x" }, ["502"] = { status = 502, body = "x" },
      ["504"] = { status = 504, body = "x" }, ["no answer"] = { close = true },
        ["a time-out"] = { hold = true },
      ["half an answer"] = { body = '{"id":"v"}', truncate = 3 }, ["no JSON"] = { body = "created" },
      ["an empty answer"] = { body = "" }, ["garbage"] = { raw = "\1\2\3", close = true } }
    for name, answer in pairs(UNCLEAR) do
      it("after " .. name, function()
        local err = posted(answer)
        assert.is_true(err.ambiguous)
        assert.is_false(err.retryable)
      end)
    end

    for _, status in ipairs{ 400, 401, 402, 403, 404, 409, 413, 422, 425, 429 } do
      it("not after " .. status, function()
        assert.is_nil(posted{ status = status, body = "x" }.ambiguous)
      end)
    end

    it("not after a 503 that asks for a later time", function()
      assert.is_nil(posted(answers.busy(1)).ambiguous)
    end)

    it("not after a refusal with status 200", function()
      assert.is_nil(posted{ json = { error = "no" } }.ambiguous)
    end)

    it("not where nothing was sent", function()
      local lost = rig.client(httpd.refused_url())
      local _, err = lost:create_video{ prompt = "p" }
      lost:close()
      assert.same({ "connect", true }, { err.kind, err.retryable })
      assert.is_nil(err.ambiguous)
    end)
  end)

  it("says in one word why a server said no", function()
    local CASES = {
      { { status = 429 }, "rate_limit" },
      { { status = 429, json = { error = { message = "m", code = "insufficient_quota" } } }, "quota" },
      { { status = 401, json = { error = { message = "m", type = "invalid_request_error" } } }, "auth" },
      { { status = 404, body = "<html><title>Not Found</title></html>" }, "not_found" },
      { { status = 400, json = { error = { message = "m", code = "moderation_blocked" } } }, "moderation" },
      { { status = 422, json = { detail = "m" } }, "invalid" },
      { { status = 503 }, "capacity" },
      { { json = { base_resp = { status_code = 1008, status_msg = "m" } } }, "quota" },
      { { json = { error = { message = "m", code = "model_not_found" } } }, "not_found" },
      { { status = 500, json = { error = { message = "rate limit" } } }, nil },
      { { body = "{" }, nil },
    }
    for i, case in ipairs(CASES) do
      srv:reply(case[1])
      local _, err = client:get_video("v")
      assert.equal(case[2], err.reason, "case " .. i)
    end
  end)
end)
