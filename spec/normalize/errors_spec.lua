-- Specs of sora.normalize.errors: error bodies of every shape, and text out of what is no JSON.
local dialects = require "spec.support.dialects"
local normalize = require "sora.normalize"

describe("failure", function()
  local CASES = {
    { '{"error":{"message":"m","type":"t","code":"c","param":"p"}}',
      { message = "m", type = "t", code = "c", param = "p" } },
    { '{"error":{"message":"m","code":500}}', { message = "m", code = "500" } },
    { '{"error":"Not found.","code":404}', { message = "Not found.", code = "404" } },
    { '{"error":"Unauthorized","message":"Invalid token"}',
      { message = "Invalid token", code = "Unauthorized" } },
    { '{"error":"invalid_grant","error_description":"gone"}', { message = "gone", code = "invalid_grant" } },
    { '{"message":"m","type":"t","param":"p","code":"c"}',
      { message = "m", type = "t", code = "c", param = "p" } },
    { '{"object":"error","message":"m","code":404}', { message = "m", code = "404" } },
    { '{"code":"fail_to_fetch_task","message":"m","data":null}',
      { message = "m", code = "fail_to_fetch_task" } },
    { '{"code":40001,"msg":"m"}', { message = "m", code = "40001" } },
    { '{"message":"m"}', { message = "m" } },
    { '{"msg":"m"}', { message = "m" } },
    { '{"detail":"Not Found"}', { message = "Not Found" } },
    { '{"detail":{"error":{"message":"m","code":"c"}}}', { message = "m", code = "c" } },
    { '{"detail":[{"loc":["body","prompt"],"msg":"field required","type":"missing"},'
        .. '{"loc":["body","images",0],"msg":"bad"}]}',
      { message = "body.prompt: field required; body.images.0: bad", type = "missing",
        param = "body.prompt" } },
    { '{"type":"https://h/probs/credit","title":"No credit","detail":"30 needed","status":403,'
        .. '"instance":"/a/1"}',
      { message = "30 needed", type = "https://h/probs/credit" } },
    { '{"type":"about:blank","title":"Gone","status":410}', { message = "Gone" } },
    { '{"title":"Invalid","errors":{"seconds":["too long","odd"],"prompt":"empty"}}',
      { message = "prompt: empty; seconds: too long; odd" } },
    { '{"errors":[{"message":"a","code":"c"},{"message":"b"}]}', { message = "a; b", code = "c" } },
    { '{"errors":["a","b"]}', { message = "a; b" } },
    { '{"statusCode":400,"message":["a","b"],"error":"Bad Request"}', { message = "a; b" } },
    { '{"error":["a"]}', { message = "a" } },
    { '{"error":{"code":"c","message":"m","request_id":"r"}}',
      { message = "m", code = "c", request_id = "r" } },
    { '{"error":{"message":"m"},"request_id":"r"}', { message = "m", request_id = "r" } },
    { '{"type":"error","error":{"type":"overloaded_error","message":"m"}}',
      { message = "m", type = "overloaded_error" } },
    { '{"event_id":"e","type":"outer","is_bifrost_error":true,"status_code":400,'
        .. '"error":{"type":"t","code":"c","message":"m"}}',
      { message = "m", type = "t", code = "c" } },
    { '{"error":{"message":"{\\"error\\":{\\"message\\":\\"inner\\"}}"}}',
      { message = '{"error":{"message":"inner"}}' } },
    { '{"error":{"message":{"message":"m"}}}', { message = "m" } },
    { '{"success":false,"data":{"error":"m"}}', { message = "m" } },
    { '{"error":{},"message":"m"}', { message = "m" } },
    { '{"error":{"code":"c"}}', { code = "c" } },
    { '{"error":{"message":"  "}}', {} },
    { '{"error":true}', {} },
    { '{}', {} }, { '[]', {} }, { '[{"message":"m"}]', { message = "m" } },
  }
  for _, case in ipairs(CASES) do
    it("reads " .. case[1], function()
      assert.same(case[2], normalize.failure(dialects.decode(case[1])))
    end)
  end

  it("reads values that are no object", function()
    assert.same({ message = "out of credit" }, normalize.failure " out of credit ")
    for _, body in ipairs { 5, true, false, "" } do assert.same({}, normalize.failure(body)) end
    assert.same({}, normalize.failure(nil))
  end)
end)

describe("text", function()
  it("is the title of a page", function()
    assert.equal("A & B <c>",
      normalize.text "<!DOCTYPE html>\n<HTML><TITLE lang=en>\n A &amp; B\n&lt;c&gt; </TITLE></HTML>")
    assert.equal("No route", normalize.text "<html><h1>No <b>route</b></h1></html>")
    assert.equal("gone for good", normalize.text "<p>gone <i>for</i> good")
  end)

  it("is the message of an XML error", function()
    assert.equal("m", normalize.text "<Error><Message>m</Message></Error>")
    assert.equal("C", normalize.text "<Error><Code>C</Code></Error>")
  end)

  it("is the first line of plain text", function()
    assert.equal("upstream timed out", normalize.text "\r\n\r\n  upstream   timed\tout \r\nmore")
    assert.equal("error code: 524", normalize.text "error code: 524")
    assert.equal("x", normalize.text "\239\187\191x")
  end)

  it("is nil where there is none", function()
    for _, content in ipairs { "", " \r\n", "<html></html>", "\0\0\0\28ftypisom", 5, {} } do
      assert.is_nil(normalize.text(content))
    end
    assert.is_nil(normalize.text(nil))
  end)

  it("is at most 200 bytes, cut between characters", function()
    assert.equal(("a"):rep(200), normalize.text(("a"):rep(200)))
    assert.equal(("a"):rep(197) .. "…", normalize.text(("a"):rep(201)))
    for shift = 0, 3 do
      local found = normalize.text(("a"):rep(shift) .. ("视"):rep(100))
      assert.is_true(#found <= 200 and #found > 194)
      local middle = found:sub(shift + 1):gsub("视", "")
      assert.equal("…", middle)
    end
  end)

  it("is valid UTF-8 without control characters", function()
    assert.equal("a?b", normalize.text "a\255b")
    assert.equal("a??b", normalize.text "a\192\128b")
    assert.equal("a???b", normalize.text "a\237\160\128b")
    assert.equal("a?[31mb", normalize.text "a\27[31mb")
    assert.equal("a??b", normalize.text "a\194\155b")
    assert.equal("a??", normalize.text "a\228\184")
    assert.equal("a\240\159\142\172b", normalize.text "a\240\159\142\172b")
  end)
end)
