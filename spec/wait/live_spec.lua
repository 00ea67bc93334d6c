-- client:wait and client:poll against a real server: which requests they make, and what they give back.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local rig = require "spec.support.rig"

local FAST = rig.FAST

local function job(status, progress)
  return answers.job(status, { object = "video", progress = progress })
end

local QUEUED, RUNNING, DONE = job("queued", 0), job("in_progress", 40), job("completed", 100)
local BAD_GATEWAY = { status = 502, headers = { ["Content-Type"] = "text/html" },
  body = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>" }

-- FAST with more options.
local function fast(options)
  return answers.with(FAST, options)
end

describe("waiting", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  -- Everything that the iterator gives, and what it raised.
  local function collect(...)
    local snapshots = {}
    local ok, err = pcall(function(...)
      for video in client:poll(...) do snapshots[#snapshots + 1] = video end
    end, ...)
    return snapshots, not ok and err or nil
  end

  describe("wait", function()
    it("polls until the video is there", function()
      srv:reply(QUEUED, RUNNING, RUNNING, DONE)
      local video, err = client:wait("v", FAST)
      assert.is_nil(err)
      assert.same(DONE.json, video)
      local requests = srv:requests()
      assert.equal(4, #requests)
      for _, request in ipairs(requests) do
        assert.same({ "GET", "/v1/videos/v", "Bearer " .. rig.KEY },
          { request.method, request.target, request.headers.authorization })
      end
      assert.equal(1, srv:connections())
    end)

    it("polls on after an empty 202, at the time that it names", function()
      srv:reply({ status = 202, body = "" },
        { status = 202, body = "\r\n", headers = { ["Retry-After"] = "0.7" } }, RUNNING,
        { status = 202, body = "" }, DONE)
      assert.same(DONE.json, (client:wait("v", fast{ max_failures = 0 })))
      local requests = srv:requests()
      assert.equal(5, #requests)
      assert.is_true(requests[3].at - requests[2].at >= 0.69)
    end)

    it("rides out a replica that does not know the job", function()
      local missing = { status = 404, json = { error = { message = "no such video" } } }
      srv:reply(RUNNING, missing, missing, RUNNING, missing, DONE)
      assert.same(DONE.json, (client:wait("v", FAST)))
      assert.equal(6, #srv:requests())
    end)

    it("names the request that said that the job failed, or was not over", function()
      local headers = { ["X-Request-Id"] = "req_9" }
      local failed = answers.job("failed", { error = { code = "nsfw" } })
      srv:reply(RUNNING, answers.with(failed, { headers = headers }))
      local _, err = client:wait("v", FAST)
      assert.same({ "failed", "req_9", "moderation" }, { err.kind, err.request_id, err.reason })
      srv:reset()
      srv:route("GET", "^", { json = RUNNING.json, headers = headers })
      local _, late, response = client:wait("v", { interval = 1000, timeout = 0.2 })
      assert.same({ "deadline", "req_9" }, { late.kind, late.request_id })
      assert.is_nil(response)
    end)

    it("gives one value, as get_video does", function()
      srv:reply(DONE)
      assert.equal(1, select("#", client:wait("v", FAST)))
    end)

    it("has its own intervals", function()
      srv:reply(QUEUED, QUEUED, DONE)
      client:wait("v", { interval = 0.1, max_interval = 0.1 })
      local requests = srv:requests()
      for i = 2, 3 do
        local pause = requests[i].at - requests[i - 1].at
        assert.is_true(pause >= 0.075, ("pause %d: %g s"):format(i - 1, pause))
      end
      assert.is_true(requests[3].at - requests[1].at < 1.5 + 2.25) -- the shortest that it takes by default
    end)

    for _, name in ipairs{ "openai-poll-after-ms", "retry-after-ms" } do
      it("obeys " .. name .. " of each answer", function()
        srv:reply({ json = QUEUED.json, headers = { [name] = "700" } }, QUEUED, DONE)
        assert(client:wait("v", FAST))
        local requests = srv:requests()
        assert.is_true(requests[2].at - requests[1].at >= 0.69)
        assert.is_true(requests[3].at - requests[2].at < 0.69)
      end)
    end

    it("obeys Retry-After, a date, and the body, no sooner than 0.2 s", function()
      srv:reply({ json = QUEUED.json, headers = { ["Retry-After"] = "0" } },
        { json = QUEUED.json, headers = { ["Retry-After"] = rig.http_date(-60) } },
        { json = { id = "v", status = "queued", poll_after_seconds = 0.01 } },
        { status = 503, headers = { ["Retry-After"] = "0" } }, DONE)
      assert(client:wait("v", FAST))
      local requests = srv:requests()
      for i = 2, 5 do assert.is_true(requests[i].at - requests[i - 1].at >= 0.19) end
    end)

    it("prefers openai-poll-after-ms to Retry-After", function()
      local both = { ["Retry-After"] = "30", ["openai-poll-after-ms"] = "200" }
      srv:reply({ json = QUEUED.json, headers = both }, DONE)
      local before = core.now()
      assert(client:wait("v", FAST))
      assert.is_true(core.now() - before < 15) -- not the 30 s of Retry-After
    end)

    it("encodes the id", function()
      srv:reply(DONE)
      assert(client:wait("sora-2:a b", FAST))
      assert.equal("/v1/videos/sora-2:a%20b", srv:requests()[1].target)
    end)

    it("calls on_progress for changes", function()
      srv:reply(QUEUED, QUEUED, RUNNING, BAD_GATEWAY, RUNNING, DONE)
      local heard = {}
      assert(client:wait("v", fast{ on_progress = function(video, view)
        heard[#heard + 1] = video.status .. " " .. view.progress
      end }))
      assert.same({ "queued 0", "in_progress 40", "completed 100" }, heard)
      assert.equal(6, #srv:requests())
    end)

    it("stops when on_progress says so", function()
      srv:reply(QUEUED, RUNNING)
      local video, err = client:wait("v", fast{ on_progress = function(_, view)
        return view.state ~= "in_progress"
      end })
      assert.is_nil(video)
      assert.equal("cancelled", err.kind)
      assert.same(RUNNING.json, err.video)
      assert.equal(2, #srv:requests())
    end)

    it("lets on_progress make calls of its own", function()
      srv:reply(QUEUED, RUNNING, DONE)
      local inner
      assert.same(DONE.json, client:wait("v", fast{ on_progress = function()
        inner = inner or client:get_video("w")
      end }))
      assert.same(RUNNING.json, inner)
    end)
  end)

  describe("through transient errors", function()
    local EMPTY, DROPPED = { body = "" }, { close = true }
    local TROUBLE = {
      ["an HTML 502"] = BAD_GATEWAY,
      ["an empty 200"] = EMPTY,
      ["a dropped connection"] = DROPPED,
      ["a reset connection"] = { reset = true },
      ["half an answer"] = { body = '{"id":"v","status":"queued"}', truncate = 10 },
      ["a body that is no JSON"] = { body = "OK" },
      ["an empty object"] = { body = "{}" },
      ["a refusal with 200"] = { json = { code = 500, msg = "busy" } },
      ["a 429"] = { status = 429, json = { error = { message = "slow down" } } },
      ["a 500"] = { status = 500 },
    }
    for name, answer in pairs(TROUBLE) do
      it("continues after " .. name, function()
        srv:reply(RUNNING, answer, DONE)
        local video, err = client:wait("v", FAST)
        assert.is_nil(err)
        assert.same(DONE.json, video)
        assert.equal(3, #srv:requests())
      end)
    end

    it("continues after a poll that timed out", function()
      client:close()
      client = rig.client(srv, { timeout = 0.2 })
      srv:reply(RUNNING, { hold = true }, DONE)
      assert.same(DONE.json, client:wait("v", FAST))
    end)

    it("ends after max_failures in a row, with the last error and the last snapshot", function()
      srv:reply(RUNNING, BAD_GATEWAY, EMPTY, BAD_GATEWAY, DONE)
      local video, err = client:wait("v", fast{ max_failures = 2 })
      assert.is_nil(video)
      assert.same({ "api", 502, 1 }, { err.kind, err.status, err.attempts })
      assert.same(RUNNING.json, err.video)
      assert.equal(4, #srv:requests())
    end)

    it("makes one request a poll, unless max_retries says otherwise", function()
      client:close()
      client = rig.client(srv, { max_retries = 5 })
      local again = answers.busy(10)
      srv:reply(again, DONE)
      assert.is_nil((client:wait("v", fast{ max_failures = 0 })))
      assert.equal(1, #srv:requests())
      srv:reset()
      srv:reply(again, DONE)
      assert(client:wait("v", fast{ max_failures = 0, max_retries = 1 }))
      assert.equal(2, #srv:requests())
    end)

    it("treats 404 for a new job as not yet there", function()
      local missing = { status = 404, json = { error = { message = "no such video" } } }
      srv:reply(missing, missing, QUEUED, DONE)
      assert.same(DONE.json, client:wait("v", fast{ max_failures = 0 }))
    end)

    it("ends at once for an error that is not transient", function()
      srv:reply(RUNNING, { status = 401, json = { error = { message = "no such key", code = "bad_key" } } })
      local _, err = client:wait("v", FAST)
      assert.same({ "api", 401, "bad_key", "no such key" }, { err.kind, err.status, err.code, err.message })
      assert.same(RUNNING.json, err.video)
      assert.equal(2, #srv:requests())
    end)

    it("ends when connections are refused", function()
      local lonely = rig.client(httpd.refused_url())
      local _, err = lonely:wait("v", fast{ max_failures = 3 })
      assert.same({ "connect", "CURLE_COULDNT_CONNECT" }, { err.kind, err.curl })
      assert.is_nil(err.video)
      lonely:close()
    end)
  end)

  describe("the end", function()
    for status, kind in pairs{ failed = "failed", cancelled = "cancelled", expired = "expired" } do
      it(status .. " is an error with the job in it", function()
        local last = { id = "v", status = status, error = { code = "moderation_blocked", message = "No." } }
        srv:reply(RUNNING, { json = last })
        local video, err = client:wait("v", FAST)
        assert.is_nil(video)
        assert.same({ kind, "No.", "moderation_blocked" }, { err.kind, err.message, err.code })
        assert.same(last, err.video)
        assert.equal(2, #srv:requests())
      end)
    end

    it("comes at the deadline, also while an answer is awaited", function()
      srv:reply(RUNNING, { hold = true })
      local before = core.now()
      local video, err = client:wait("v", fast{ timeout = 1 })
      local took = core.now() - before
      assert.is_nil(video)
      assert.equal("deadline", err.kind)
      assert.same(RUNNING.json, err.video)
      assert.is_true(took >= 0.99 and took < 15, took .. " s") -- the call alone might take 20 s
    end)

    it("comes at the deadline while nothing is awaited, after one last poll", function()
      srv:reply(RUNNING, RUNNING)
      local before = core.now()
      local _, err = client:wait("v", { interval = 30, timeout = 1 })
      assert.equal("deadline", err.kind)
      assert.is_true(core.now() - before < 15)
      assert.equal(2, #srv:requests())
    end)

    it("is the video, if the last poll at the deadline brings it", function()
      srv:reply(RUNNING, DONE)
      assert.same(DONE.json, client:wait("v", { interval = 30, timeout = 0.3 }))
    end)

    it("comes at the deadline also if the last poll hangs", function()
      srv:reply(RUNNING, { hold = true })
      local before = core.now()
      local _, err = client:wait("v", { interval = 30, timeout = 0.3 })
      assert.same({ "deadline", RUNNING.json }, { err.kind, err.video })
      assert.is_true(core.now() - before < 15)
      assert.equal(2, #srv:requests())
    end)

    it("is at once when the client is closed in the middle", function()
      srv:reply(RUNNING)
      local cpu = os.clock()
      local video, err = client:wait("v", { interval = 30, timeout = 60,
        on_progress = function() client:close() end })
      assert.is_nil(video)
      assert.equal("closed", err.kind)
      assert.same(RUNNING.json, err.video)
      assert.is_true(os.clock() - cpu < 0.5, "it spins")
    end)

    it("is an error for a client that is closed already", function()
      client:close()
      local video, err = client:wait("v", FAST)
      assert.is_nil(video)
      assert.equal("closed", err.kind)
    end)
  end)

  describe("poll", function()
    it("gives every snapshot, the last one terminal", function()
      srv:reply(QUEUED, QUEUED, RUNNING, DONE)
      local snapshots, err = collect("v", FAST)
      assert.is_nil(err)
      assert.same({ QUEUED.json, QUEUED.json, RUNNING.json, DONE.json }, snapshots)
      assert.equal(4, #srv:requests())
    end)

    it("ends with the snapshot of a job that failed, without an error", function()
      local failed = job("failed", 40)
      srv:reply(RUNNING, failed)
      assert.same({ { RUNNING.json, failed.json } }, { collect("v", FAST) })
    end)

    it("hides polls that fail", function()
      srv:reply(QUEUED, BAD_GATEWAY, { close = true }, DONE)
      assert.same({ { QUEUED.json, DONE.json } }, { collect("v", FAST) })
    end)

    it("raises the error that ends it", function()
      srv:reply(QUEUED, { status = 403, json = { error = "not yours" } })
      local snapshots, err = collect("v", FAST)
      assert.same({ QUEUED.json }, snapshots)
      assert.same({ "api", 403, "not yours" }, { err.kind, err.status, err.message })
      assert.same(QUEUED.json, err.video)
      assert.matches("^sora: api: not yours", tostring(err))
    end)

    it("raises the deadline", function()
      srv:route("GET", "/v1/videos/v", RUNNING)
      local snapshots, err = collect("v", fast{ timeout = 1 })
      assert.equal("deadline", err.kind)
      assert.is_true(#snapshots > 0)
    end)

    it("raises when on_progress stops it, after that snapshot", function()
      srv:reply(QUEUED, RUNNING)
      local function is_at_start(video) return video.progress == 0 end
      local snapshots, err = collect("v", fast{ on_progress = is_at_start })
      assert.same({ QUEUED.json, RUNNING.json }, snapshots)
      assert.equal("cancelled", err.kind)
    end)

    it("asks nothing before it is iterated, nor after a break", function()
      srv:route("GET", "/v1/videos/v", RUNNING)
      local iterate = client:poll("v", FAST)
      assert.equal(0, #srv:requests())
      assert.same(RUNNING.json, iterate())
      for video in client:poll("v", FAST) do
        if video.status == "in_progress" then break end
      end
      assert.equal(2, #srv:requests())
    end)

    it("gives nothing more after its end", function()
      srv:reply(DONE)
      local iterate = client:poll("v", FAST)
      assert.same(DONE.json, iterate())
      assert.is_nil(iterate())
      assert.is_nil(iterate())
      assert.equal(1, #srv:requests())
    end)
  end)
end)
