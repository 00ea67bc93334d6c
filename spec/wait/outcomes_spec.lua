-- The state machine of a wait, with a simulated clock: what ends it, what does not, and what it reports.
local simulation = require "spec.support.simulation"

local run, video, failure = simulation.run, simulation.video, simulation.failure
local times, near = simulation.times, simulation.near

local RUNNING = { video = video("in_progress", 40) }
local DONE = { video = video("completed", 100) }

local BAD_GATEWAY = failure { status = 502, retryable = true }
local NOT_FOUND = failure { status = 404 }

describe("failed polls", function()
  it("may be 10 in a row: the 11th ends the wait", function()
    local job, polls = run(nil, times(10, BAD_GATEWAY, DONE))
    assert.is_nil(job.err)
    assert.equal(11, #polls)
    local last = failure { status = 503, retryable = true }
    job, polls = run(nil, times(10, BAD_GATEWAY, last, DONE))
    assert.equal(last.err, job.err)
    assert.is_nil(job.err.video)
    assert.equal(11, #polls)
  end)

  it("are counted anew after a success", function()
    local answers = times(10, BAD_GATEWAY, RUNNING)
    for _, answer in ipairs(times(10, BAD_GATEWAY, DONE)) do answers[#answers + 1] = answer end
    local job, polls = run(nil, answers)
    assert.is_nil(job.err)
    assert.equal(22, #polls)
  end)

  it("are limited by max_failures", function()
    local job, polls = run({ max_failures = 2 }, times(9, BAD_GATEWAY))
    assert.same({ BAD_GATEWAY.err, 3 }, { job.err, #polls })
    job, polls = run({ max_failures = 0 }, times(9, BAD_GATEWAY))
    assert.same({ BAD_GATEWAY.err, 1 }, { job.err, #polls })
  end)

  it("end with the last snapshot", function()
    local bad = failure { status = 502, retryable = true }
    local job = run({ max_failures = 0 }, { RUNNING, bad })
    assert.equal(bad.err, job.err)
    assert.equal(RUNNING.video, job.err.video)
  end)

  it("do not end the wait where the server says for how long, however often", function()
    local script = {}
    for i = 1, 50 do script[i] = failure { status = 429, retryable = true, retry_after = 1 } end
    script[51] = DONE
    local job = run(nil, script)
    assert.same({ nil, DONE.video }, { job.err, job.video })
  end)

  local PASSING = {
    ["a time-out"] = { kind = "timeout", retryable = true },
    ["a broken transfer"] = { kind = "transport", retryable = true },
    ["a refused connection"] = { kind = "connect", retryable = true },
    ["a name that is not found"] = { kind = "dns", retryable = true },
    ["an empty answer"] = { kind = "decode", status = 200, retryable = true },
    ["a 429"] = { status = 429, retryable = true },
    ["an error that came with 200"] = { status = 200, retryable = false },
  }
  for name, fields in pairs(PASSING) do
    it("do not end the wait: " .. name, function()
      local job = run(nil, { RUNNING, failure(fields), DONE })
      assert.is_nil(job.err)
      assert.equal(DONE.video, job.video)
    end)

    it("count towards max_failures: " .. name, function()
      local bad = failure(fields)
      assert.equal(bad.err, run({ max_failures = 1 }, times(5, bad)).err)
    end)
  end

  local FINAL = {
    ["a 400"] = { status = 400 }, ["a 401"] = { status = 401 }, ["a 403"] = { status = 403 },
    ["a 410"] = { status = 410 }, ["a bad certificate"] = { kind = "tls", retryable = false },
    ["a configuration"] = { kind = "config" }, ["a closed client"] = { kind = "closed" },
    ["another process"] = { kind = "forked" }, ["an answer too large"] = { kind = "too_large", status = 200 },
  }
  for name, fields in pairs(FINAL) do
    it("end the wait at once: " .. name, function()
      local bad = failure(fields)
      local job, polls = run(nil, { RUNNING, bad, DONE })
      assert.equal(bad.err, job.err)
      assert.equal(RUNNING.video, job.err.video)
      assert.equal(2, #polls)
    end)
  end
end)

describe("a 404", function()
  it("means not yet, in the first 10 s", function()
    local job, polls = run(nil, times(4, NOT_FOUND, DONE))
    assert.is_nil(job.err)
    near({ 0, 2, 5, 9.5, 16.25 }, polls)
  end)

  it("ends the wait after that", function()
    local job, polls = run(nil, times(9, NOT_FOUND))
    assert.equal(NOT_FOUND.err, job.err)
    near({ 0, 2, 5, 9.5, 16.25 }, polls)
  end)

  it("counts by the time of its arrival", function()
    local job = run(nil, { { err = NOT_FOUND.err, takes = 9.99 }, DONE })
    assert.is_nil(job.err)
    job = run(nil, { { err = NOT_FOUND.err, takes = 10 }, DONE })
    assert.equal(NOT_FOUND.err, job.err)
  end)

  it("neither counts as a failure nor resets their count", function()
    local job = run({ max_failures = 0 }, times(3, NOT_FOUND, DONE))
    assert.is_nil(job.err)
    job = run({ max_failures = 1 }, { BAD_GATEWAY, NOT_FOUND, BAD_GATEWAY, DONE })
    assert.equal(BAD_GATEWAY.err, job.err)
  end)

  it("for a job that was seen before may come from another replica", function()
    local job, polls = run(nil, { RUNNING, NOT_FOUND, NOT_FOUND, RUNNING, NOT_FOUND, DONE })
    assert.is_nil(job.err)
    assert.equal(6, #polls)
  end)

  it("for a job that was seen before ends the wait when it is one failure too many", function()
    local gone = failure { status = 404 }
    local job, polls, _, seconds = run(nil, { RUNNING, gone, repeats = true })
    assert.equal(gone.err, job.err)
    assert.equal(RUNNING.video, job.err.video)
    assert.equal(12, #polls)
    assert.is_true(seconds < 180)
    job, polls = run({ max_failures = 2 }, { RUNNING, BAD_GATEWAY, gone, gone, DONE })
    assert.same({ gone.err, 4 }, { job.err, #polls })
  end)

  it("may carry Retry-After", function()
    local _, polls = run(nil, { failure { status = 404, retry_after = 1 }, DONE })
    near({ 0, 1 }, polls)
  end)
end)

describe("an answer without a body", function()
  local EMPTY = { video = {} }

  it("is no failure, and leaves the snapshot as it was", function()
    local heard = 0
    local job, polls = run({ on_progress = function() heard = heard + 1 end, max_failures = 0 },
      times(20, EMPTY, RUNNING, EMPTY, DONE))
    assert.is_nil(job.err)
    assert.same({ 23, 2 }, { #polls, heard })
    job = run({ timeout = 10 }, { RUNNING, EMPTY, repeats = true })
    assert.same({ "deadline", RUNNING.video }, { job.err.kind, job.err.video })
  end)

  it("may carry Retry-After", function()
    local _, polls = run(nil, { { video = {}, hint = 7 }, { video = {}, hint = 1 }, DONE })
    near({ 0, 7, 8 }, polls)
  end)
end)

describe("a final word that no list has", function()
  local NSFW, OTHER = { video = video("nsfw") }, { video = video("content_filtered") }
  local SAME = { video = true }

  it("ends the wait when two polls in a row say it", function()
    for _, again in ipairs { NSFW, SAME, { video = video("nsfw", 50) } } do
      local job, polls = run(nil, { RUNNING, NSFW, again, DONE })
      assert.same({ "failed", 3 }, { job.err.kind, #polls })
      assert.is_nil(job.doubt)
    end
  end)

  it("does not end it when only one does, or another word follows", function()
    for _, next_answer in ipairs { RUNNING, OTHER, { video = {} } } do
      local job, polls = run(nil, { NSFW, next_answer, NSFW, RUNNING, DONE })
      assert.is_nil(job.err)
      assert.same({ 5, nil }, { #polls, job.doubt })
    end
  end)

  it("is a running job until then", function()
    local heard = {}
    run({ on_progress = function(_, view) heard[#heard + 1] = view.state end }, { NSFW, NSFW, DONE })
    assert.same({ "in_progress" }, heard)
    local job = run({ timeout = 1 }, { RUNNING, NSFW })
    assert.same({ "deadline", "nsfw" }, { job.err.kind, job.video.status })
    assert.is_table(job.doubt)
  end)
end)

describe("the error of a wait", function()
  it("says why in one word, and which request said it", function()
    local answer = { video = { id = "v", status = "failed", error = { code = "moderation_blocked" } } }
    answer.request_id = "req_7"
    local job = run(nil, { RUNNING, answer })
    assert.same({ "moderation", "req_7" }, { job.err.reason, job.err.request_id })
    job = run(nil, { { video = video("nsfw"), request_id = "req_1" }, { video = true } })
    assert.equal("req_1", job.err.request_id)
    job = run({ timeout = 4 }, { { video = RUNNING.video, request_id = "req_2" }, repeats = true })
    assert.same({ "deadline", "req_2" }, { job.err.kind, job.err.request_id })
  end)
end)

describe("the end of a job", function()
  local KINDS = { failed = "failed", cancelled = "cancelled", canceled = "cancelled", expired = "expired",
    deleted = "cancelled", FAILURE = "failed" }
  for status, kind in pairs(KINDS) do
    it(status .. " is an error that says why", function()
      local last = { id = "v", status = status, error = { message = "Your prompt is no good.",
        code = "moderation_blocked", type = "safety", param = "prompt" } }
      local job, polls = run(nil, { RUNNING, { video = last }, DONE })
      assert.equal(2, #polls)
      local err = job.err
      assert.same({ kind, "Your prompt is no good.", "moderation_blocked", "safety", "prompt", false },
        { err.kind, err.message, err.code, err.type, err.param, err.retryable })
      assert.equal(last, err.video)
      assert.matches("^sora: " .. kind .. ": Your prompt is no good%.", tostring(err))
    end)

    it(status .. " without a reason still has a message", function()
      local job = run(nil, { { video = video(status) } })
      assert.equal(kind, job.err.kind)
      assert.matches("^the job ", job.err.message)
      assert.is_nil(job.err.code)
    end)
  end

  it("completed is no error, whatever stands beside it", function()
    local last = { id = "v", status = "Completed", error = { code = 0, message = "" } }
    local job = run(nil, { { video = last } })
    assert.is_nil(job.err)
    assert.equal(last, job.video)
  end)

  it("is a URL in an answer without a status", function()
    local last = { id = "v", video_url = "https://h.example/v.mp4" }
    local job, polls = run(nil, { { video = { id = "v", video_url = "" } }, { video = last } })
    assert.is_nil(job.err)
    assert.equal(last, job.video)
    assert.equal(2, #polls)
  end)

  it("is not an unknown status", function()
    local answers = {}
    for i, word in ipairs{ "dreaming", "NOT_START", "unknown", "post-processing", "", "42" } do
      answers[i] = { video = video(word) }
    end
    answers[#answers + 1] = DONE
    local job, polls = run(nil, answers)
    assert.is_nil(job.err)
    assert.equal(7, #polls)
  end)
end)

describe("on_progress", function()
  -- Runs with a listener that answers with `reply` and gives what it heard.
  local function listen(answers, reply)
    local heard = {}
    local job, polls = run({ on_progress = function(...)
      heard[#heard + 1] = { ... }
      return reply
    end }, answers)
    return heard, job, polls
  end

  it("gets the snapshot and its normalised view", function()
    local heard = listen{ RUNNING }
    assert.equal(1, #heard)
    assert.equal(2, #heard[1])
    assert.equal(RUNNING.video, heard[1][1])
    assert.same({ "in_progress", 40 }, { heard[1][2].state, heard[1][2].progress })
  end)

  it("is called for changes alone, at any depth", function()
    local snapshots = {
      video("queued"), video("queued"),
      video("in_progress", 0), video("in_progress", 0),
      { id = "v", status = "in_progress", detail = { steps = { 1, 2 } } },
      { id = "v", status = "in_progress", detail = { steps = { 1, 2 } } },
      { id = "v", status = "in_progress", detail = { steps = { 1, 3 } } },
      { id = "v", status = "in_progress", detail = { steps = { 1 } } }, -- a field that is gone is a change
      video("in_progress", 0), video("completed", 100),
    }
    local answers, wanted = {}, { 1, 3, 5, 7, 8, 9, 10 }
    for i, snapshot in ipairs(snapshots) do answers[i] = { video = snapshot } end
    local heard = listen(answers)
    assert.equal(#wanted, #heard)
    for i, index in ipairs(wanted) do assert.equal(snapshots[index], heard[i][1]) end
  end)

  it("is not called for failed polls", function()
    assert.equal(1, #listen{ RUNNING, BAD_GATEWAY, { video = video("in_progress", 40) } })
  end)

  it("stops the wait with false", function()
    local heard, job, polls = listen({ RUNNING, DONE }, false)
    assert.same({ 1, 1 }, { #heard, #polls })
    assert.equal("cancelled", job.err.kind)
    assert.equal(RUNNING.video, job.err.video)
    assert.is_false(job.err.retryable)
  end)

  it("does not stop the wait with any other value", function()
    for _, reply in ipairs{ true, 0, "", {} } do
      local _, job = listen({ RUNNING, DONE }, reply)
      assert.is_nil(job.err)
    end
    assert.is_nil(select(2, listen({ RUNNING, DONE }, nil)).err)
  end)

  it("can't discard a final result by returning false", function()
    local _, job = listen({ DONE }, false)
    assert.is_nil(job.err)
    assert.equal(DONE.video, job.video)
    _, job = listen({ { video = video("failed") } }, false)
    assert.equal("failed", job.err.kind)
  end)

  it("propagates its errors through the wait", function()
    assert.error_matches(function()
      run({ on_progress = function() error("oops", 0) end }, { RUNNING })
    end, "^oops$")
  end)
end)
