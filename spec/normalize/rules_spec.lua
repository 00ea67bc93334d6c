-- Specs of sora.normalize: one for every rule.
local dialects = require "spec.support.dialects"
local normalize = require "sora.normalize"

describe("state", function()
  local function state(json) return normalize.video(dialects.decode(json)).state end

  local WORDS = {
    queued = { "queued", "pending", "submitted", "NOT_START", "unknown", "initializing", "preparing",
      "THROTTLED", "TASK_STATUS_QUEUED", "in_queue" },
    in_progress = { "processing", "PROCESSING", "running", "in_progress", "in-progress", "IN PROGRESS",
      "inProgress", " generating ", "IN_PROGRESS", "dreaming", "99 bottles" },
    completed = { "completed", "Completed", "succeeded", "SUCCESS", "success", "done", "finished", "\tDone\n",
      "TASK_STATUS_SUCCEED", "video.completed" },
    failed = { "failed", "FAIL", "FAILURE", "error", "JOB_STATE_FAILED" },
    cancelled = { "cancelled", "canceled", "CANCELED" },
    expired = { "expired", "Expired" },
    deleted = { "deleted" },
  }
  for wanted, words in pairs(WORDS) do
    for _, word in ipairs(words) do
      it(("reads %s as %s"):format(dialects.encode(word), wanted), function()
        assert.equal(wanted, normalize.video({ id = "x", status = word }).state)
      end)
    end
  end

  local PLACES = {
    "status", "state", "task_status", "taskStatus", "detail.status", "data.status", "data.data.status",
    "output.task_status", "response.state", "status.state",
  }
  for _, place in ipairs(PLACES) do
    it("is found at " .. place, function()
      local body = { id = "x" }
      local at = body
      for key in place:gmatch("([^.]+)%.") do at[key] = {} at = at[key] end
      at[place:match("[^.]+$")] = "failed"
      assert.equal("failed", normalize.video(body).state)
    end)
  end

  it("skips values that are no status word", function()
    assert.equal("failed",
      state '{"id":"x","status":200,"state":"","task_status":true,"data":{"status":"failed"}}')
    assert.equal("queued", state '{"id":"x","status":"ok"}')
    assert.equal("queued", state '{"id":"x","status":"200"}')
  end)

  it("without a word follows from the video", function()
    assert.equal("completed", state '{"url":"https://h/v.mp4"}')
    assert.equal("completed", state '{"data":[{"b64_json":"AAAAHGZ0eXA="}]}')
    assert.equal("completed", state '{"videos":["AAAAHGZ0eXBpc29t"]}')
    assert.equal("queued", state '{"videos":["asset_17"]}')
    assert.equal("queued", state '{"id":"x","url":"","data":[{"b64_json":""}]}')
    assert.equal("queued", state '{}')
  end)

  it("without a word and without a video is failed when there is an error", function()
    assert.equal("failed", state '{"id":"x","object":"video","error":{"message":"worker died"}}')
    assert.equal("queued", state '{"id":"x","object":"video","error":{}}')
  end)

  it("of a deletion is deleted", function()
    assert.equal("deleted", state '{"id":"x","deleted":true}')
    assert.equal("deleted", state '{"id":"x","object":"video.deleted"}')
    assert.equal("deleted", state '{"id":"x","deleted":true,"status":"completed"}')
    assert.equal("deleted", state '{"code":0,"data":{"id":"x","deleted":true}}')
    assert.equal("queued", state '{"id":"x","deleted":false}')
    assert.equal("queued", state '{"id":"x","object":"video.deleted","deleted":false}')
  end)

  it("of the job goes before the envelope's", function()
    assert.equal("in_progress", state '{"status":"success","data":{"task_id":"t","status":"running"}}')
    assert.equal("queued", state '{"status":"success","data":{"task_id":"t"}}')
    assert.equal("in_progress", state '{"code":200,"data":[{"task_id":"t","status":"running"}]}')
    assert.equal("completed", state '{"task_id":"t","status":"SUCCESS","data":{"status":"running"}}')
    assert.equal("completed", state '{"status":"success","video_url":"https://h/v.mp4"}')
    assert.equal("failed", state '{"request_id":"r","output":{"task_id":"t","task_status":"FAILED"}}')
  end)

  it("of a value that is no object is queued", function()
    for _, body in ipairs { "text", 5, true, dialects.null } do
      local view = normalize.video(body)
      assert.equal("queued", view.state)
      assert.equal(body, view.raw)
    end
    assert.equal("queued", normalize.video(nil).state)
  end)

  it("is terminal or not", function()
    for _, word in ipairs { "completed", "failed", "cancelled", "expired", "deleted" } do
      assert.is_true(normalize.terminal(word))
    end
    for _, word in ipairs { "queued", "in_progress", "Completed", "", 1, true, {} } do
      assert.is_false(normalize.terminal(word))
    end
    assert.is_false(normalize.terminal(nil))
  end)
end)

describe("url", function()
  local U = "https://h/v.mp4?sig=a"
  local function url(body) return normalize.video(body).url end

  local PLACES = {
    { url = U }, { video_url = U }, { videoUrl = U }, { content_url = U }, { download_url = U },
    { output_url = U }, { metadata = { url = U } }, { meta_data = { url = U } }, { output = U },
    { output = { url = U } }, { outputs = { video_url = U } },
    { outputs = { U } }, { outputs = { { url = U } } },
    { video = { url = U } }, { video = U }, { videos = { U } }, { urls = { U } }, { unsigned_urls = { U } },
    { data = U }, { data = { { url = U } } }, { data = { videos = { { url = U } } } },
    { data = { result_url = U } }, { data = { data = { video = { url = U } } } }, { detail = { url = U } },
    { task_result = { videos = { { url = U } } } }, { content = { { type = "video", url = U } } },
    { result = { videos = { { url = { U } } } } }, { code = 0, video_url = U, data = { id = "d" } },
    { status = "success", data = { id = "d", metadata = { url = U } } },
  }
  for i, body in ipairs(PLACES) do
    it("is found in " .. dialects.encode(body) .. " (" .. i .. ")", function()
      assert.equal(U, url(body))
      assert.equal("completed", normalize.video(body).state)
    end)
  end

  it("is http, https, data, or a path in a field named for it", function()
    assert.equal("HTTP://h/v", url { url = " HTTP://h/v\n" })
    assert.equal("data:video/mp4;base64,AAAA", url { url = "data:video/mp4;base64,AAAA" })
    assert.equal("/v1/videos/x/content", url { url = "/v1/videos/x/content" })
    assert.equal("/v", url { urls = { "/v" } })
    for _, junk in ipairs { "", " ", "soon", "outputs/r1.mp4", "ftp://h/v", "https://", "https:///v",
        "data:", "data: x", "data:image/png;base64,AA",
        "https://h/a b", "https://h/cover.JPG?x=1", 5, true, {}, { {} } } do
      assert.is_nil(url { url = junk })
      assert.is_nil(url { video = { url = junk } })
    end
    assert.is_nil(url { output = "/outputs/r1.mp4" })
  end)

  it("is never a picture, a poll or a path", function()
    for _, field in ipairs { "thumbnail_url", "cover_url", "image_url", "polling_url", "webhook_url",
        "preview_url", "file_path", "thumbnail", "input", "get_url", "callback_url" } do
      assert.is_nil(url { [field] = U })
      assert.is_nil(url { [field] = { url = U } })
      assert.is_nil(url { status = "completed", data = { id = "d", [field] = U } })
    end
    assert.equal(U, url { outputs = { { type = "image", url = "https://h/1" }, { url = U } } })
    assert.equal(U, url { outputs = { "https://h/cover.png", U } })
    assert.equal(U, url { outputs = { { mime_type = "image/png", url = "https://h/1" }, { url = U } } })
    assert.equal(U, url { data = { id = "d", type = "image-to-video", url = U } })
  end)

  it("is the one that needs no key, where there are two", function()
    assert.equal(U, url { unsigned_urls = { "https://h/content" }, urls = { U } })
    assert.equal(U, url { content_url = "https://h/content", url = U })
    assert.equal(U, url { metadata = { url = "https://h/mine" }, data = { videos = { { url = U } } } })
  end)

  it("may follow a null in a list", function()
    assert.equal(U, url { videos = { [2] = U } })
    assert.equal(U, url { videos = { [3] = { url = U } } })
  end)

  it("is given while the job runs, too", function()
    local view = normalize.video { status = "running", url = U }
    assert.equal("in_progress", view.state)
    assert.equal(U, view.url)
  end)

  it("may be in fail_reason of a job that succeeded", function()
    local body = { code = "success", data = { task_id = "t", status = "SUCCESS", fail_reason = U } }
    local view = normalize.video(body)
    assert.equal(U, view.url)
    assert.is_nil(view.error)
    body.data.status = "FAILURE"
    view = normalize.video(body)
    assert.is_nil(view.url)
    assert.equal(U, view.error.message)
    body.data.status, body.data.fail_reason = "SUCCESS", "see https://h/v.mp4"
    assert.is_nil(normalize.video(body).url)
  end)
end)

describe("error of a video", function()
  local function fault(body) return normalize.video(body).error end

  it("is missing when it is empty", function()
    for _, value in ipairs { {}, { code = "", message = "" }, { code = 0 }, "", "  ", false, 0,
        { code = 0, message = "success" }, { message = "success" }, { code = "success" },
        { details = {} } } do
      assert.is_nil(fault { id = "x", status = "completed", error = value })
    end
    assert.is_nil(fault { id = "x", status = "failed", error = { code = 0, message = "" } })
  end)

  it("has strings", function()
    assert.same({ code = "500", message = "oom" },
      fault { status = "failed", error = { code = 500, message = "oom" } })
    assert.same({ code = "500" }, fault { status = "failed", error = { code = 500.0 } })
    assert.same({ code = "500" }, fault { status = "failed", error = 500 })
    assert.same({ message = "oom" }, fault { status = "failed", error = { code = true, message = "oom" } })
    assert.same({ message = "m", code = "c", type = "t", param = "p" },
      fault {
        status = "failed", error = { message = "m", code = "c", type = "t", param = "p", request_id = "r" } })
    assert.same({ message = "worker died" }, fault { status = "failed", error = "worker died" })
  end)

  it("is kept for a job that is not over", function()
    assert.same({ code = "c", message = "m" },
      fault { status = "queued", error = { code = "c", message = "m" } })
  end)

  local PLACES = {
    { fail_reason = "why" }, { failure_reason = "why" }, { error_message = "why" }, { errorMessage = "why" },
    { message = "why" }, { msg = "why" }, { status_message = "why" }, { data = { fail_reason = "why" } },
    { detail = { error = "why" } }, { detail = { error = { message = "why" } } }, { detail = "why" },
    { detail = { pending_info = { failure_reason = "why" } } }, { failure = { message = "why" } },
    { error = {}, fail_reason = "why" }, { error = true, message = "why" },
  }
  for _, body in ipairs(PLACES) do
    it("is found in " .. dialects.encode(body), function()
      body.id, body.status = "x", "failed"
      assert.same({ message = "why" }, fault(body))
      body.status = "completed"
      if body.error ~= true and not (body.detail and body.detail.error) then assert.is_nil(fault(body)) end
    end)
  end

  it("takes its code from beside the text", function()
    assert.same({ code = "E7", message = "why" },
      fault { status = "failed", error_code = "E7", fail_reason = "why" })
    assert.same({ code = "InvalidParameter", message = "why", reason = "invalid" }, fault {
      request_id = "r", output = { task_status = "FAILED", code = "InvalidParameter", message = "why" } })
    assert.same({ code = "c", message = "why" },
      fault { id = "x", status = "failed", error = { code = "c" }, fail_reason = "why" })
  end)

  it("is not the envelope's message about the call", function()
    assert.is_nil(fault { code = 0, message = "done", data = { task_id = "t", status = "failed" } })
    assert.is_nil(fault { message = "success", data = { task_id = "t", status = "failed" } })
    assert.same({ code = "1301", message = "blocked" },
      fault { code = 1301, message = "blocked", data = { task_id = "t", status = "failed" } })
    assert.is_nil(fault { id = "x", status = "failed", detail = { title = "My film" } })
  end)
end)

describe("payload", function()
  it("is the base64 of a video", function()
    assert.equal("AAAA", normalize.payload { data = { { b64_json = "AAAA" } } })
    assert.equal("AAAAHGZ0eXBpc29t",
      normalize.payload { status = "completed", videos = { "AAAAHGZ0eXBpc29t" } })
    assert.is_nil(normalize.payload { videos = { "https://h/v.mp4", "AAAA" } })
    assert.is_nil(normalize.payload { b64_json = "" })
    assert.is_nil(normalize.payload "AAAAHGZ0eXA=")
  end)
end)

describe("refusal", function()
  local REFUSALS = {
    '{"error":{"message":"m"}}', '{"error":"m"}', '{"code":401,"msg":"m"}',
    '{"code":401,"msg":"m","data":[]}',
    '{"code":"fail_to_fetch_task","message":"m","data":null}', '{"id":"req_1","error":{"message":"m"}}',
    '{"success":false,"message":"m"}', '{"errors":[{"message":"m"}]}', '{"type":"error","message":"m"}',
    '{"object":"error","message":"m"}', '{"title":"m","status":403}', '{"detail":"m"}',
    '{"detail":[{"loc":["id"],"msg":"m"}]}',
    '{"code":0,"data":{"error":{"message":"m"}}}', '{"error":true,"message":"m"}',
  }
  for _, json in ipairs(REFUSALS) do
    it("is " .. json, function()
      local body = dialects.decode(json)
      assert.same(normalize.failure(body), normalize.refusal(body))
      assert.is_truthy(normalize.refusal(body).message:find("m$"))
    end)
  end

  local NONE = {
    '{}', '[]', '"m"', '{"id":"x"}', '{"code":0,"msg":"success"}', '{"code":"success","data":{}}',
    '{"code":200,"data":null}',
    '{"code":1000,"message":"success"}', '{"error":{}}', '{"error":{"code":0,"message":"ok"}}',
    '{"id":"x","object":"video","error":{"message":"m"}}', '{"status":"failed","error":{"message":"m"}}',
    '{"id":"x","progress":5,"error":"m"}', '{"url":"https://h/v.mp4","error":{"message":"m"}}',
    '{"data":[{"b64_json":"AAAA"}],"error":"m"}', '{"code":5,"msg":"m","data":{"task_id":"t"}}',
    '{"code":5,"msg":"m","data":{"status":"queued"}}', '{"object":"list","data":[],"error":"m"}',
    '{"data":[{"id":"a"},{"id":"b"}],"code":7}', '{"id":"x","deleted":true,"error":"m"}',
    '{"object":"video.deleted","error":"m"}', '{"type":"video.failed","data":{"id":"x"},"error":"m"}',
    '{"success":true,"code":9,"msg":"m"}', '{"id":"char_1","object":"character","name":"n"}',
    '{"message":"Video deleted"}', '{"detail":{"status":"running"},"code":5}',
  }
  for _, json in ipairs(NONE) do
    it("is not " .. json, function()
      assert.is_nil(normalize.refusal(dialects.decode(json)))
    end)
  end

  it("is not a value that is no object", function()
    for _, body in ipairs { 5, true, "m" } do assert.is_nil(normalize.refusal(body)) end
    assert.is_nil(normalize.refusal(nil))
  end)
end)

describe("poll_after", function()
  it("is the body's own hint in seconds", function()
    assert.equal(5, normalize.poll_after { id = "x", poll_after_seconds = 5 })
    assert.equal(2.5, normalize.poll_after { id = "x", poll_after_seconds = "2.5" })
    assert.equal(5, normalize.poll_after { code = 0, data = { task_id = "t", poll_after_seconds = 5 } })
    assert.equal(5, normalize.poll_after { code = 0, poll_after_seconds = 5, data = { task_id = "t" } })
  end)

  it("is nil for junk", function()
    for _, value in ipairs { 0, -1, 1e9, 0 / 0, math.huge, "soon", "", true, {} } do
      assert.is_nil(normalize.poll_after { id = "x", poll_after_seconds = value })
    end
    assert.is_nil(normalize.poll_after {})
    assert.is_nil(normalize.poll_after(nil))
    assert.is_nil(normalize.poll_after "5")
  end)
end)

describe("follow", function()
  it("gives the same as terminal, poll_after and video", function()
    for _, body in ipairs { {}, { id = "v", status = "queued" }, { id = "v", status = "Completed" },
      { id = "v", status = "in_progress", poll_after_seconds = 5 }, { data = { id = "v", status = "FAIL" } },
      { id = "v", object = "video.deleted", deleted = true }, { id = "v", video_url = "https://h.example/v" },
      { id = "v", error = { message = "no" } }, { id = "v", error = "no" },
      { type = "video.completed", data = { id = "v" } },
      { code = 0, data = { task_id = "v", poll_after = 7, task_status = "processing" } } } do
      local expected = normalize.video(body)
      local terminal, poll_after = normalize.terminal(expected.state), normalize.poll_after(body)
      assert.same({ terminal, poll_after, expected }, { normalize.follow(body, true) })
      assert.same({ terminal, poll_after, terminal and expected or nil }, { normalize.follow(body, false) })
    end
    assert.same({ false }, { normalize.follow("text", false) })
  end)
end)
