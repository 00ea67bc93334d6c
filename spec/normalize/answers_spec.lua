-- Specs of sora.normalize: answers as servers were reported to give them, and that a rule for one of them
-- reads no other worse.
local dialects = require "spec.support.dialects"
local normalize = require "sora.normalize"

local U, V = "https://h/v.mp4?sig=a", "https://h/w.mp4?sig=b"

local function view(json) return normalize.video(dialects.decode(json)) end

describe("a status word that no list has", function()
  local FINAL = {
    failed = { "nsfw", "NSFW", "interrupted", "not_found", "notFound", "content_filtered", "ContentFiltered",
      "output moderated", "prompt-rejected", "policy_violation", "blocked_by_safety", "worker_crashed",
      "unknown_error" },
    cancelled = { "user_aborted", "cancelled_by_user" },
    expired = { "link_expired" },
  }
  for wanted, words in pairs(FINAL) do
    for _, word in ipairs(words) do
      it(("is final by one of its tokens: %s"):format(word), function()
        local ended, _, seen, doubtful = normalize.follow({ id = "v", status = word }, false)
        assert.same({ true, wanted, word }, { ended, seen.state, doubtful })
      end)
    end
  end

  it("keeps the wait going, beside a token that says that the job goes on", function()
    for _, word in ipairs { "checking_rejected", "filtered_pending", "awaiting_rejected_review",
        "failed_retry",
        "retrying_after_failure", "error_retried", "interrupted_requeued", "not_blocked", "no_violation",
        "awaits failed node" } do
      assert.equal("in_progress", normalize.video({ id = "v", status = word }).state, word)
    end
  end)

  it("keeps the wait going without a final token", function()
    for _, word in ipairs { "dreaming", "unblocked", "moderation", "filter", "terrorized", "stage-2",
        "nsfwx" } do
      local ended, _, _, doubtful = normalize.follow({ id = "v", status = word }, false)
      assert.same({ false }, { ended, doubtful }, word)
    end
  end)

  it("is not doubted where a list has it", function()
    for _, word in ipairs { "failed", "TASK_STATUS_FAILED", "rejected", "Completed", "cancelled",
        "expired" } do
      local ended, _, _, doubtful = normalize.follow({ id = "v", status = word }, false)
      assert.is_true(ended)
      assert.is_nil(doubtful, word)
    end
    assert.is_nil(select(4, normalize.follow({ id = "v", deleted = true, status = "nsfw" }, false)))
  end)
end)

describe("a completed job without a file", function()
  local BLOCKED = {
    '{"status":"done","video":{"url":"","duration":0,"respect_moderation":false}}',
    '{"id":"v","status":"completed","video_url":"","respectModeration":false}',
    '{"id":"v","status":"completed","response":{"generateVideoResponse":{"raiMediaFilteredCount":1}}}',
    '{"id":"v","status":"completed","result":{"filtered_count":"2"}}',
    '{"id":"v","status":"completed","moderated":true}',
    '{"id":"v","status":"completed","output":[{"finish_reason":"content_filter"}]}',
  }
  for _, json in ipairs(BLOCKED) do
    it("failed, because moderation took it away: " .. json, function()
      local seen = view(json)
      assert.equal("failed", seen.state)
      assert.same({ "moderation_blocked", "moderation" }, { seen.error.code, seen.error.reason })
      assert.is_string(seen.error.message)
    end)
  end

  it("says why, in the server's own words", function()
    local seen = view [[{"id":"v","status":"completed","response":{"generateVideoResponse":
      {"raiMediaFilteredCount":1,"raiMediaFilteredReasons":["It shows a celebrity."]}}}]]
    assert.equal("It shows a celebrity.", seen.error.message)
    seen = view '{"id":"v","status":"done","error":{"code":"nudity","message":"m"},"moderated":true}'
    assert.same({ code = "nudity", message = "m", reason = "moderation" }, seen.error)
  end)

  local KEPT = {
    '{"status":"done","video":{"url":"https://h/v.mp4","respect_moderation":false}}',
    '{"id":"v","status":"completed","data":[{"b64_json":"AAAA"}],"filtered_count":1}',
    '{"id":"v","status":"completed","file_path":"outputs/v.mp4","filtered_count":1}',
    '{"id":"v","status":"completed","outcome":{"media_urls":["https://h/v"]},"filtered_count":1}',
    '{"id":"v","status":"completed","respect_moderation":true}',
    '{"id":"v","status":"completed","filtered_count":0}',
    '{"id":"v","status":"completed","metadata":{"respect_moderation":false}}',
    '{"id":"v","status":"completed","input":{"moderated":true}}',
    '{"id":"v","status":"completed"}',
  }
  for _, json in ipairs(KEPT) do
    it("is completed: " .. json, function()
      local seen = view(json)
      assert.equal("completed", seen.state)
      assert.is_nil(seen.error)
    end)
  end

  it("is not blocked while it runs", function()
    assert.equal("in_progress", view('{"status":"running","respect_moderation":false}').state)
  end)
end)

describe("base_resp", function()
  it("with code 0 is fine", function()
    local json = '{"task_id":"t","base_resp":{"status_code":0,"status_msg":"success"}}'
    assert.is_nil(normalize.refusal(dialects.decode(json)))
    assert.same({ "t", "queued" }, { view(json).id, view(json).state })
    assert.is_nil(view('{"task_id":"t","status":"Success","base_resp":{"status_code":0}}').error)
  end)

  it("with another code is a refusal that came with 200", function()
    for _, json in ipairs {
      '{"task_id":"","base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}',
      '{"baseResp":{"statusCode":1008,"statusMsg":"insufficient balance"}}',
      '{"code":0,"data":{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}}',
    } do
      assert.same({ code = "1008", message = "insufficient balance", reason = "quota" },
        normalize.failure(dialects.decode(json)), json)
    end
    assert.is_table(normalize.refusal { task_id = "", base_resp = { status_code = 1008 } })
  end)

  it("says why a job failed", function()
    assert.same({ code = "1027", message = "sensitive", reason = "moderation" },
      view('{"task_id":"t","status":"Fail","base_resp":{"status_code":1027,"status_msg":"sensitive"}}').error)
    assert.is_nil(view('{"task_id":"t","status":"Fail","base_resp":{"status_code":0}}').error)
  end)
end)

describe("JSON in a string", function()
  it("is read where a job's files may be", function()
    local seen = view [[{"code":200,"msg":"success","data":{"taskId":"t","state":"success",
      "resultJson":"{\"resultUrls\":[\"https://h/v.mp4?sig=a\",\"https://h/w.mp4?sig=b\"]}"}}]]
    assert.same({ "t", "completed", U, { U, V } }, { seen.id, seen.state, seen.url, seen.urls })
    assert.equal(U, view('{"id":"v","state":"success","result_json":"{\\"url\\":\\"' .. U .. '\\"}"}').url)
  end)

  it("may be anything else", function()
    for _, text in ipairs { "", "{", "[1,2]", "null", "[[[[", '{"a":', ("["):rep(5000) } do
      local seen = normalize.video { id = "v", status = "success", resultJson = text, output = text }
      assert.same({ "v", "completed" }, { seen.id, seen.state })
      assert.is_nil(seen.url)
    end
  end)
end)

describe("failMsg", function()
  it("is the message beside failCode", function()
    assert.same({ code = "422", message = "too long", reason = "invalid" }, view [[{"code":200,
      "msg":"success",
      "data":{"taskId":"t","state":"fail","failCode":"422","failMsg":"too long","resultJson":""}}]].error)
  end)
end)

describe("the URL of a completed job", function()
  it("may be in a field for something else, if there is no other", function()
    assert.equal(U, normalize.video({ id = "v", status = "completed", remixed_from_video_id = U }).url)
    assert.equal("https://h/v", normalize.video({ id = "v", status = "completed",
      remixed_from_video_id = "https://h/v" }).url)
    assert.equal(U, normalize.video({ id = "v", status = "done", outcome = { media_urls = { U, V } } }).url)
    assert.equal(V, normalize.video({ id = "v", status = "completed", remixed_from_video_id = U,
      video_url = V }).url)
    assert.equal(V, normalize.video({ id = "v", status = "done", a_url = "https://h/x", z = { y = V } }).url)
  end)

  it("is not looked for in a job that is not completed", function()
    for _, status in ipairs { "running", "failed", "" } do
      assert.is_nil(normalize.video({ id = "v", status = status, remixed_from_video_id = U }).url)
    end
  end)

  it("is never an id, a path or data", function()
    for _, value in ipairs { "video_1", "/v.mp4", "v.mp4", "data:video/mp4;base64,AAAA", "ftp://h/v.mp4",
        5 } do
      local seen = normalize.video { id = "v", status = "completed", remixed_from_video_id = value }
      assert.is_nil(seen.url)
      assert.equal("completed", seen.state)
    end
  end)

  it("is never below a name that is for something else", function()
    for _, name in ipairs { "input", "input_video", "reference_urls", "image_url", "thumbnail", "cover",
        "preview", "poster", "callback_url", "webhook", "polling_url", "cancel_url", "prompt", "first_frame",
        "status_url", "sourceUrl", "last_frame_url" } do
      for _, value in ipairs { U, { U }, { url = U }, { deep = { video_url = U } } } do
        assert.is_nil(normalize.video({ id = "v", status = "completed", [name] = value }).url, name)
      end
    end
  end)

  it("is never a page or a picture", function()
    for _, fields in ipairs { { model = "https://h/m" }, { docs = "https://h/" }, { homepage = "https://h/" },
        { media_url = "https://h/a.png" } } do
      fields.id, fields.status = "v", "completed"
      assert.is_nil(normalize.video(fields).url)
    end
  end)
end)

describe("urls", function()
  local function urls(body) return normalize.video(body).urls end

  it("are all outputs in order; the first is url", function()
    for _, body in ipairs {
      { outputs = { U, V } }, { urls = { U, V } }, { data = { { url = U }, { url = V } } },
      { data = { videos = { { url = U }, { url = V } } } }, { unsigned_urls = { U, V } },
      { generations = { { video = { url = U } }, { video = { url = V } } } },
      { url = U, outputs = { { url = U }, { url = V } } }, { url = U, content_url = V, videos = { U, V } },
      { outputs = { { type = "image", url = "https://h/i" }, { url = U }, { url = V } } },
    } do
      body.id, body.status = "v", "completed"
      assert.same({ U, V }, urls(body), dialects.encode(body))
      assert.equal(U, normalize.video(body).url)
    end
  end)

  it("are one where the same film has several URLs", function()
    assert.same({ U }, urls { id = "v", status = "completed", url = U, content_url = V })
    assert.same({ U }, urls { id = "v", url = U, metadata = { url = V } })
    assert.same({ U }, urls { id = "v", url = U, outputs = { { url = U, download_url = V } } })
  end)

  it("are nil without a file", function()
    assert.is_nil(urls { id = "v", status = "completed" })
  end)
end)

describe("what a view tells of the film", function()
  it("is its length in seconds", function()
    for _, body in ipairs { { seconds = "10" }, { seconds = 10 }, { duration = 10 }, { seconds = "10s" },
        { video = { duration = 10 } }, { usage = { duration_seconds = 10.0 } },
        { data = { { duration = "10" } } } } do
      body.id = "v"
      assert.equal(10, normalize.video(body).seconds, dialects.encode(body))
    end
    for _, value in ipairs { 0, -1, "", "long", true, 1e9 } do
      assert.is_nil(normalize.video({ id = "v", seconds = value }).seconds)
    end
  end)

  it("is its cost, which is no duration", function()
    assert.equal(0.5, normalize.video({ id = "v", usage = { cost = 0.5 } }).cost)
    assert.equal(0.42, normalize.video({ id = "v", cost = 0.42 }).cost)
    assert.equal(0.42, normalize.video({ id = "v", cost = "0.42" }).cost)
    assert.equal(0, normalize.video({ id = "v", usage = { cost = 0 } }).cost)
    assert.equal(0.02, normalize.video({ id = "v", usage = { cost_in_usd_ticks = 200000000 } }).cost)
    assert.equal(0.5, normalize.video({ code = 0, data = { task_id = "t" }, usage = { cost = 0.5 } }).cost)
    for _, usage in ipairs { { duration_seconds = 4 }, { cost = -1 }, { cost = "free" }, { cost = {} } } do
      assert.is_nil(normalize.video({ id = "v", usage = usage }).cost)
    end
  end)

  it("is the URL of its last frame", function()
    local frame = "https://h/last.png"
    local seen = normalize.video { id = "v", status = "succeeded",
      content = { video_url = U, last_frame_url = frame } }
    assert.same({ U, frame }, { seen.url, seen.last_frame_url })
    assert.equal(frame, normalize.video({ id = "v", status = "done", lastFrameUrl = frame }).last_frame_url)
    assert.is_nil(normalize.video({ id = "v", status = "done", last_frame_url = "" }).last_frame_url)
  end)
end)

describe("reason", function()
  local CASES = {
    { "moderation", { code = "moderation_blocked" } },
    { "moderation", { code = "sentinel_block", status = 400 } },
    { "moderation", { code = "content_policy_violation", type = "invalid_request_error", status = 400 } },
    { "moderation", { code = "DataInspectionFailed" } },
    { "moderation", { type = "unsafe_request", status = 403 } },
    { "moderation", { code = "InputTextSensitiveContentDetected", status = 400 } },
    { "quota", { code = "insufficient_quota", status = 429 } },
    { "quota", { code = "insufficient_user_quota" } },
    { "quota", { status = 402 } }, { "quota", { code = "billing_hard_limit_reached", status = 400 } },
    { "quota", { type = "insufficient_balance_error", status = 402 } },
    { "rate_limit", { status = 429 } }, { "rate_limit", { code = "rate_limit_exceeded" } },
    { "rate_limit", { code = "Throttling.RateQuota" } }, { "rate_limit", { code = "429" } },
    { "capacity", { type = "overloaded_error", status = 529 } }, { "capacity", { status = 503 } },
    { "capacity", { code = "server_busy" } },
    { "auth", { code = "invalid_api_key", type = "invalid_request_error" } }, { "auth", { status = 401 } },
    { "auth", { type = "invalid_request_error", status = 401 } },
    { "auth", { code = "insufficient_permissions" } },
    { "not_found", { code = "model_not_found", type = "invalid_request_error" } },
    { "not_found", { type = "invalid_request_error", status = 404 } }, { "not_found", { code = "404" } },
    { "not_found", { code = "task_not_exist" } },
    { "invalid", { type = "invalid_request_error" } }, { "invalid", { status = 422 } },
    { "invalid", { code = "InvalidParameter" } }, { "invalid", { type = "missing" } },
    { nil, { status = 500 } }, { nil, { code = "500" } }, { nil, { code = "E7" } }, { nil, {} },
    { nil, { status = 409 } }, { nil, { message = "rate limit reached" } },
    { nil, { code = "server_error" } },
    { nil, { status = 200 } },
  }
  for _, case in ipairs(CASES) do
    it(("of %s is %s"):format(dialects.encode(case[2]), tostring(case[1])), function()
      assert.equal(case[1], normalize.reason(case[2]))
    end)
  end

  it("is in the error of a view", function()
    assert.equal("moderation", view(dialects.read("openai-retrieve-failed-moderation.json")).error.reason)
    assert.equal("quota",
      normalize.video({ id = "v", status = "failed", error_code = "insufficient_quota" }).error.reason)
    assert.is_nil(normalize.video({ id = "v", status = "failed", error = "rate limit reached" }).error.reason)
    assert.same({ reason = "moderation" }, normalize.video({ id = "v", status = "nsfw" }).error)
    assert.same({ message = "m", reason = "moderation" },
      normalize.video({ id = "v", status = "content_filtered", error = "m" }).error)
    assert.is_nil(normalize.video({ id = "v", status = "failed" }).error)
  end)
end)

describe("page", function()
  it("says what an answer is that is not JSON", function()
    assert.equal("a web page (Welcome)",
      normalize.page "\n<!DOCTYPE html><html><title>Welcome</title></html>")
    assert.equal("a web page (New API)", normalize.page "<HTML><head><title>New API</title>")
    assert.equal("a web page", normalize.page "<html></html>")
    assert.equal("XML (AccessDenied: no)",
      normalize.page '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>')
    assert.equal("an event stream", normalize.page 'data: {"id":"v"}\n\n')
    assert.equal("an event stream", normalize.page "event: progress\ndata: 1\n\n")
    for _, other in ipairs { "", "not found", '{"id":', "\0\1", "<", 5 } do
      assert.is_nil(normalize.page(other))
    end
  end)
end)

-- Each rule above, in its harmless form, beside each body that was read before there were these rules.
describe("the rules for one server", function()
  local HARMLESS = {
    base_resp = { status_code = 0, status_msg = "success" },
    failMsg = "", failCode = "", resultJson = "{}", result_json = "",
    respect_moderation = true, filtered_count = 0, moderated = false, finish_reason = "stop",
    cost = 0.1, usage = { duration_seconds = 4, cost = 0.1 }, seconds = "4", duration = 4,
    remixed_from_video_id = "video_0", image_url = U, thumbnail_url = U, webhook_url = U, polling_url = U,
    input = { video_url = U }, model_url = "https://h/m", docs_url = "https://h/d.mp4",
    last_frame_url = "https://h/last.png",
  }
  local SAME = { "id", "state", "progress", "url", "error", "created_at", "completed_at" }

  for _, case in ipairs(dialects.bodies()) do
    it("read no other worse: " .. case.entry.file, function()
      local before = normalize.video(case.body)
      local refused = normalize.refusal(case.body)
      for name, value in pairs(HARMLESS) do
        local body = dialects.copy(case.body)
        if body[name] == nil then
          body[name] = value
          local after = normalize.video(body)
          for _, field in ipairs(SAME) do assert.same(before[field], after[field], name .. ": " .. field) end
          assert.same(refused, normalize.refusal(body), name)
        end
      end
      if before.url then assert.equal(before.url, before.urls[1]) end
    end)
  end
end)
