-- client:watch and client:wait_all: many waits at once, none of which harms another.
local answers = require "spec.support.answers"
local cjson = require("cjson.safe").new()
local core = require "sora.core"
local cqueues = require "cqueues"
local curl = require "spec.support.curl"
local eye = require "spec.support.eye"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local sora = require "sora"

local QUEUED = answers.job("queued", { created_at = 1700000000 })
local RUNNING, DONE, HELD = answers.RUNNING, answers.DONE, answers.HELD
local FAILED = answers.job("failed", { error = { code = "moderation", message = "not that" } })
local MISSING = { status = 404, json = { error = { message = "no such video" } } }
local FAST, LONG = rig.FAST, rig.LONG
local LIMIT, with = patience.LIMIT, answers.with

describe("a watched job", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  local function pump(holds) patience.pump(client, holds) end

  local function finish() patience.finish(client) end

  it("is done when the video is, and keeps it", function()
    srv:reply(QUEUED, RUNNING, DONE)
    local job = assert(client:watch("v", FAST))
    assert.is_false(job:done())
    assert.error_matches(function() job:result() end, "not done yet")
    finish()
    assert.is_true(job:done())
    local video, err = job:result()
    assert.same({ DONE.json }, { video, err })
    assert.equal(video, (job:result()))
    assert.equal(3, #srv:requests())
  end)

  it("waits with all others while a 429 says so", function()
    srv:reply({ status = 429, headers = { ["retry-after-ms"] = "700" } }, DONE, DONE, DONE)
    local jobs = { client:watch("a", LONG) }
    pump(function() return client._held_until end)
    jobs[2], jobs[3] = client:watch("b", LONG), client:watch("c", LONG)
    finish()
    for _, job in ipairs(jobs) do assert.is_table((job:result())) end
    local requests = srv:requests()
    assert.equal(4, #requests)
    for i = 2, 4 do assert.is_true(requests[i].at - requests[1].at >= 0.69) end
  end)

  it("resumes step by step after a 429, not with all polls at once", function()
    srv:route("GET", "^/v1/videos/", { { status = 429, headers = { ["retry-after-ms"] = "200" } }, DONE })
    local jobs = { client:watch("a", LONG) }
    pump(function() return client._held_until end)
    for i = 2, 30 do jobs[i] = client:watch("job" .. i, LONG) end
    finish()
    for _, job in ipairs(jobs) do assert.is_table((job:result())) end
    local requests = srv:requests()
    assert.equal(31, #requests)
    assert.is_true(requests[31].at - requests[2].at >= 0.2)
  end)

  it("waits while a 429 holds the polls of another wait of the client", function()
    srv:route("GET", "/v1/videos/a", { { status = 429, headers = { ["retry-after-ms"] = "700" } }, DONE })
    srv:route("GET", "/v1/videos/b", { QUEUED, DONE })
    client:watch("b", { interval = 0.3, max_interval = 0.3 })
    assert.same(DONE.json, (client:wait("a", LONG)))
    finish()
    local last = {}
    for _, request in ipairs(srv:requests()) do
      local before = last[request.target]
      last[request.target] = request.at
      if before and request.target == "/v1/videos/b" then assert.is_true(request.at - before >= 0.6) end
    end
  end)

  it("sends nothing before update, and polls at once then", function()
    srv:reply(DONE)
    local job = client:watch("v", LONG)
    assert.same({}, srv:requests())
    finish()
    assert.is_true(job:done())
  end)

  for _, seconds in ipairs { 0, 0.001, 1 } do
    it("counts as running until it is done, for update(" .. seconds .. ")", function()
      srv:reply(QUEUED, RUNNING, RUNNING, DONE)
      local job = client:watch("v", { interval = 0.03, max_interval = 0.03 })
      patience.wait(function() return job:done() end, function()
        local running = client:update(seconds)
        assert.equal(job:done() and 0 or 1, running)
      end)
    end)
  end

  it("counts as running beside started calls", function()
    srv:route("GET", "/v1/videos/v", QUEUED)
    srv:route("GET", "/v1/videos/w", HELD)
    client:watch("v", LONG)
    client:start("get_video", "w")
    pump(function() return #srv:requests() == 2 end)
    assert.equal(2, client:update(0.01))
    srv:release()
    pump(function() return client:update(0) == 1 end)
    assert.equal(1, client:update(0))
  end)

  it("is told apart from a call on the wire by update's second result", function()
    srv:route("GET", "/v1/videos/v", QUEUED)
    srv:route("GET", "/v1/videos/w", HELD)
    local job = client:watch("v", LONG)
    assert.same({ 1, 1 }, { client:update(0) }) -- its first poll
    pump(function() return job.video end)
    assert.same({ 1, 0 }, { client:update(0) })
    client:start("get_video", "w")
    assert.same({ 2, 1 }, { client:update(0.05) })
    client:close()
    local running, err = client:update(0)
    assert.same({ nil, "closed" }, { running, err.kind })
  end)

  it("is left alone by update(seconds, true)", function()
    srv:route("*", "^", DONE)
    local job, handle = client:watch("v", FAST), client:start("get_video", "w")
    local deadline = core.now() + LIMIT
    while client:update(0.02, true) > 0 do assert.is_true(core.now() < deadline) end
    assert.is_true(handle:done())
    assert.is_false(job:done())
    assert.equal(1, #srv:requests())
    finish()
    assert.same(DONE.json, job:result())
  end)

  for kind, answer in pairs { failed = FAILED, cancelled = { json = { id = "v", status = "cancelled" } },
    expired = { json = { id = "v", status = "expired" } } } do
    it("gives nil, err for one that is " .. kind, function()
      srv:reply(answer)
      local job = client:watch("v", FAST)
      finish()
      local video, err = job:result()
      assert.is_nil(video)
      assert.equal(kind, err.kind)
      assert.same(answer.json, err.video)
    end)
  end

  it("gives deadline with the last snapshot when its time is over", function()
    srv:route("*", "^", RUNNING)
    local job = client:watch("v", with(FAST, { timeout = 0.5 }))
    finish()
    local _, err = job:result()
    assert.same({ "deadline", RUNNING.json }, { err.kind, err.video })
  end)

  it("ends a poll that hangs at its own deadline", function()
    srv:reply { hold = true }
    local job = client:watch("v", with(FAST, { timeout = 0.2, max_failures = 0 }))
    finish()
    assert.equal("timeout", select(2, job:result()).kind)
  end)

  describe("on_done", function()
    it("gets the result once, from update", function()
      srv:route("GET", "/v1/videos/good", { QUEUED, DONE })
      srv:route("GET", "/v1/videos/bad", FAILED)
      local good, bad = {}, {}
      local first = client:watch("good",
        with(FAST, { on_done = function(...) good[#good + 1] = { ... } end }))
      client:watch("bad", with(FAST, { on_done = function(...) bad[#bad + 1] = { ... } end }))
      finish()
      for _ = 1, 3 do client:update(0) end
      assert.same({ { DONE.json } }, good)
      assert.same({ 1, nil, "failed" }, { #bad, bad[1][1], bad[1][2].kind })
      assert.equal(good[1][1], (first:result()))
    end)

    it("that raises does not keep others from being called; update raises the first error", function()
      srv:route("*", "^", DONE)
      local heard, raised = 0, {}
      for i = 1, 5 do
        client:watch("v" .. i, with(FAST, { on_done = function()
          heard = heard + 1
          if i % 2 == 0 then error("oh no " .. i, 0) end
        end }))
      end
      patience.wait(function() return heard == 5 end, function()
        local good, problem = pcall(client.update, client, 0.02)
        if not good then raised[#raised + 1] = problem end
      end)
      assert.is_true(#raised >= 1 and #raised <= 2)
      for _, problem in ipairs(raised) do assert.matches("^oh no [24]$", problem) end
      assert.equal(0, client:update(0))
    end)

    it("that never returns keeps no other from being called", function()
      if not coroutine.isyieldable then return end -- PUC 5.1 can't yield in a callback
      srv:route("*", "^", DONE)
      local heard = 0
      client:watch("a", with(FAST, { on_done = function() coroutine.yield() end }))
      client:watch("b", with(FAST, { on_done = function() heard = heard + 1 end }))
      client:watch("c", with(FAST, { on_done = function() heard = heard + 1 end }))
      local thread = coroutine.create(finish)
      pcall(coroutine.resume, thread)
      finish()
      client:update(0)
      assert.equal(2, heard)
    end)

    it("may watch, start and wait", function()
      srv:route("*", "^", DONE)
      local seen
      client:watch("a", with(FAST, { on_done = function()
        client:watch("b", with(FAST, { on_done = function()
          client:start("get_video", "c", { on_done = function(video)
            seen = { video.id, client:wait("d", FAST).id, #client:wait_all({ "e", "f" }, FAST) }
          end })
        end }))
      end }))
      pump(function() return seen end)
      assert.same({ "v", "v", 2 }, seen)
      assert.equal(0, client:update(0))
    end)

    it("may update", function()
      srv:route("*", "^", { QUEUED, DONE })
      local heard = 0
      for i = 1, 5 do
        client:watch("v" .. i, with(FAST, { on_done = function()
          heard = heard + 1
          client:update(0)
          client:update(0.001)
        end }))
      end
      finish()
      assert.equal(5, heard)
    end)
  end)

  describe("on_progress", function()
    it("is called for changes", function()
      srv:reply(QUEUED, QUEUED, RUNNING, DONE)
      local heard = {}
      client:watch("v", with(FAST, { on_progress = function(video, view)
        heard[#heard + 1] = video.status .. " " .. view.state
      end }))
      finish()
      assert.same({ "queued queued", "in_progress in_progress", "completed completed" }, heard)
    end)

    it("that returns false stops this wait alone", function()
      srv:route("GET", "/v1/videos/a", { QUEUED, RUNNING })
      srv:route("GET", "/v1/videos/b", { QUEUED, RUNNING, DONE })
      local a = client:watch("a", with(FAST, { on_progress = function(_, view)
        return view.state == "queued"
      end }))
      local b = client:watch("b", FAST)
      finish()
      local _, err = a:result()
      assert.same({ "cancelled", RUNNING.json }, { err.kind, err.video })
      assert.same(DONE.json, b:result())
    end)

    it("that raises disturbs no other job, and its own wait continues", function()
      srv:route("*", "^", { QUEUED, QUEUED, QUEUED, RUNNING, RUNNING, RUNNING, DONE })
      local good, heard, raised = {}, 0, 0
      local bad = client:watch("bad", with(FAST, { on_progress = function()
        heard = heard + 1
        error("oh no", 0)
      end }))
      for i = 1, 5 do good[i] = client:watch("good" .. i, FAST) end
      local over
      patience.wait(function() return over end, function()
        local fine, problem = pcall(client.update, client, 0.02)
        if not fine then
          raised = raised + 1
          assert.equal("oh no", problem)
        end
        over = fine and problem == 0
      end)
      assert.is_true(heard >= 1)
      assert.equal(heard, raised)
      assert.same(DONE.json, bad:result())
      for i = 1, 5 do assert.same(DONE.json, good[i]:result()) end
    end)

    it("that raises at the end loses no video, and needs no further poll", function()
      srv:reply(DONE)
      local job = client:watch("v", with(FAST, { on_progress = function() error("oh no", 0) end }))
      assert.error_matches(finish, "^oh no$")
      finish()
      assert.same(DONE.json, job:result())
      assert.equal(1, #srv:requests())
    end)

    it("may cancel its own job, and others", function()
      srv:route("*", "^", QUEUED)
      local kinds, jobs = {}, {}
      local function opts(i)
        return with(LONG, { on_done = function(_, err) kinds[i] = err.kind end })
      end
      for i = 2, 4 do jobs[i] = client:watch("v" .. i, opts(i)) end
      pump(function() return jobs[2].video and jobs[3].video and jobs[4].video end)
      jobs[1] = client:watch("v1", with(opts(1), { on_progress = function()
        for i = 1, 4 do assert.is_true(jobs[i]:cancel()) end
        for i = 1, 4 do assert.is_false(jobs[i]:cancel()) end
      end }))
      finish()
      assert.same({ "cancelled", "cancelled", "cancelled", "cancelled" }, kinds)
      for i = 1, 4 do assert.equal("cancelled", select(2, jobs[i]:result()).kind) end
    end)

    it("may make calls and update", function()
      srv:route("*", "^", { QUEUED, DONE })
      local inner
      local job = client:watch("v", with(FAST, { on_progress = function()
        inner = inner or client:get_video("w")
        client:update(0)
      end }))
      finish()
      assert.same({ DONE.json, DONE.json }, { inner, (job:result()) })
    end)
  end)

  describe("whose poll raises an error in its api_key function", function()
    -- A client whose key function raises while `fails(call)`.
    local function renew(fails)
      client:close()
      local calls = 0
      client = rig.client(srv, { api_key = function()
        calls = calls + 1
        if fails(calls) then error("no token", 0) end
        return rig.KEY
      end })
    end

    local function finish_all()
      local deadline, raised = core.now() + LIMIT, 0
      repeat
        assert.is_true(core.now() < deadline, "it goes on and on")
        local good, running = pcall(client.update, client, 0.02)
        if not good then
          raised = raised + 1
          assert.equal("no token", running)
        end
      until good and running == 0
      return raised
    end

    it("is polled again, and harms no other job", function()
      srv:route("*", "^", { QUEUED, DONE })
      renew(function(calls) return calls == 1 end)
      local heard = 0
      local function count() heard = heard + 1 end
      local jobs = {}
      for i = 1, 3 do jobs[i] = client:watch("v" .. i, with(FAST, { on_done = count })) end
      assert.equal(1, finish_all())
      for i = 1, 3 do assert.same(DONE.json, jobs[i]:result()) end
      assert.equal(3, heard)
    end)

    it("ends at its deadline if that goes on", function()
      renew(function() return true end)
      local job = client:watch("v", with(FAST, { timeout = 0.1 }))
      assert.is_true(finish_all() >= 1)
      assert.equal("deadline", select(2, job:result()).kind)
    end)

    it("raises it from a blocking wait, after which the client is as good as before", function()
      srv:route("*", "^", DONE)
      renew(function(calls) return calls == 1 end)
      assert.error_matches(function() client:wait("v", FAST) end, "^no token$")
      assert.same(DONE.json, client:wait("v", FAST))
      assert.equal(0, client:update(0))
    end)
  end)

  describe("ends by its own time-out", function()
    it("while it waits for its turn, because others are polled", function()
      srv:route("*", "^", { hold = true })
      for i = 1, 256 do client:watch("v" .. i, { timeout = 60 }) end -- as many as are polled at a time
      local job = client:watch("late", { timeout = 0.3 })
      local ended = core.now() + 15
      pump(function() return job:done() or core.now() > ended end)
      assert.equal("deadline", select(2, job:result()).kind)
    end)

    it("also if the answer of its poll is lost", function()
      srv:route("*", "^", QUEUED)
      local start_poll, heard = core.start_poll, 0
      finally(function() core.start_poll = start_poll end)
      core.start_poll = function(self, id, opts, seen)
        return start_poll(self, id, with(opts, { on_done = function() heard = heard + 1 end }), seen)
      end
      local job = client:watch("v", { timeout = 0.3 })
      local other = client:wait_all({ "w" }, { timeout = 0.3 })
      patience.result(client, job)
      assert.equal(2, heard)
      assert.same({ "deadline", "deadline" }, { select(2, job:result()).kind, other[1].err.kind })
      core.start_poll = start_poll
      srv:route("*", "^", DONE)
      assert.same(DONE.json, client:wait("v", FAST))
      assert.equal(0, client:update(0))
    end)
  end)

  -- Every allocation of Lua fails in turn, while a poll is begun and while its answer is read. Not on
  -- LuaJIT, which crashes by itself with another allocator.
  local function starved()
    local library = require("spec.support.native").starve()
    local starve = assert(package.loadlib(library, "spec_starve"))
    finally(function()
      starve(0)
      os.remove(library)
    end)
    srv:route("*", "^", { QUEUED, RUNNING, DONE })
    local failures, n = 0, 1
    repeat
      n = n + 2
      srv:route("GET", "^", { QUEUED, DONE })
      local heard, failed, jobs = 0, nil, {}
      for i = 1, 2 do
        jobs[i] = client:watch("v", { interval = 0.001, max_interval = 0.001, timeout = 0.05,
          on_done = function() heard = heard + 1 end, on_progress = function() end })
      end
      patience.wait(function() return jobs[1]:done() and jobs[2]:done() end, function()
        starve(failed and 0 or n)
        pcall(client.update, client, 0.01)
        failed = starve(0, true) or failed
      end, "jobs whose memory ran out at " .. n)
      if failed then failures = failures + 1 end
      pump(function() return heard > 0 end)
      assert.is_true(heard <= 2) -- memory may have run out in a call of on_done itself
      for i = 1, 2 do
        local video, err = jobs[i]:result()
        assert.is_true(video and video.status == "completed" or err and err.kind == "deadline", n)
      end
    until not failed
    assert.is_true(failures > 10, failures .. " allocations have failed")
  end
  if not rawget(_G, "jit") then it("is never lost where memory runs out", starved) end

  describe("cancel", function()
    it("while it waits ends it at once, and on_done is called from the next update", function()
      srv:reply(QUEUED)
      local heard = {}
      local job = client:watch("v", with(LONG, { on_done = function(...) heard[#heard + 1] = { ... } end }))
      pump(function() return job.video end)
      assert.is_true(job:cancel())
      assert.is_true(job:done())
      assert.is_false(job:cancel())
      assert.same({}, heard)
      local _, err = job:result()
      assert.same({ "cancelled", QUEUED.json }, { err.kind, err.video })
      assert.equal(0, client:update(0))
      assert.same({ 1, nil, err }, { #heard, heard[1][1], heard[1][2] })
      assert.equal(1, #srv:requests())
    end)

    it("while it is polled ends the call as well", function()
      srv:reply(HELD)
      local heard = 0
      local job = client:watch("v", with(FAST, { on_done = function() heard = heard + 1 end }))
      pump(function() return #srv:requests() == 1 end)
      assert.is_true(job:cancel())
      finish()
      srv:release()
      client:update(0.02)
      assert.equal("cancelled", select(2, job:result()).kind)
      assert.equal(1, heard)
      assert.equal(1, #srv:requests())
    end)

    it("before its first poll sends nothing", function()
      local job = client:watch("v", FAST)
      assert.is_true(job:cancel())
      assert.equal(0, client:update(0.02))
      assert.same({}, srv:requests())
      assert.equal("cancelled", select(2, job:result()).kind)
    end)

    it("of one that is done changes nothing", function()
      srv:reply(DONE)
      local job = client:watch("v", FAST)
      finish()
      assert.is_false(job:cancel())
      assert.same(DONE.json, job:result())
    end)
  end)

  describe("ends with the client", function()
    it("while it waits, while it is polled, and before its first poll", function()
      srv:route("GET", "/v1/videos/waits", QUEUED)
      srv:route("GET", "/v1/videos/hangs", HELD)
      local waits, hangs = client:watch("waits", LONG), client:watch("hangs", LONG)
      pump(function() return waits.video and #srv:requests() == 2 end)
      local new = client:watch("new", LONG)
      client:close()
      for _, job in ipairs { waits, hangs, new } do
        assert.is_true(job:done())
        local video, err = job:result()
        assert.same({ nil, "closed" }, { video, err.kind })
        assert.is_false(job:cancel())
      end
      assert.same(QUEUED.json, select(2, waits:result()).video)
    end)

    it("and one that was done keeps its video", function()
      srv:reply(DONE)
      local job = client:watch("v", LONG)
      finish()
      client:close()
      assert.same(DONE.json, job:result())
    end)
  end)

  it("gives nil and closed on a closed client, and raises for misuse", function()
    for _, misuse in ipairs { { "", FAST, "id: expected an id, got an empty string" },
      { "v", { intervall = 1 }, "did you mean 'interval'" },
      { "v", { on_done = 5 }, "option 'on_done': expected a function" }, { nil, FAST, "id: " },
      { "v", { max_rate = 0 }, "option 'max_rate': expected a positive number" } } do
      assert.error_matches(function() client:watch(misuse[1], misuse[2]) end, misuse[3], 1, true)
    end
    client:close()
    local job, err = client:watch("v")
    assert.same({ nil, "closed" }, { job, err.kind })
  end)

  describe("ticket", function()
    it("is a plain table without the key", function()
      srv:route("*", "^", QUEUED)
      local job = client:watch("v", LONG)
      assert.same({ id = "v", base_url = client.base_url }, job:ticket())
      pump(function() return job.video end)
      local ticket = job:ticket()
      assert.same({ id = "v", base_url = srv.url .. "/v1", created = 1700000000, state = "queued" }, ticket)
      assert.is_nil(getmetatable(ticket))
      assert.not_matches(rig.KEY, rig.shown(ticket), 1, true)
      assert.same(ticket, cjson.decode(cjson.encode(ticket)))
    end)

    it("holds no key of the base URL's query either", function()
      client:close()
      client = rig.client(srv, { base_url = srv.url .. "/v1?key=s3cret&api-version=2" })
      local ticket = client:watch("v", LONG):ticket()
      assert.not_matches("s3cret", rig.shown(ticket), 1, true)
      srv:route("*", "^", DONE)
      local job = client:watch(ticket)
      pump(function() return job:done() end)
      assert.matches("key=s3cret", srv:requests()[1].target, 1, true)
    end)

    it("can be watched by another client", function()
      srv:reply(QUEUED, RUNNING, DONE)
      local job = client:watch("v", LONG)
      pump(function() return job.video end)
      local ticket = job:ticket()
      client:close()
      client = rig.client(srv)
      local again = client:watch(ticket, FAST)
      assert.equal(1700000000, again:ticket().created)
      finish()
      assert.same(DONE.json, again:result())
      assert.equal("completed", again:ticket().state)
      assert.equal(3, #srv:requests())
    end)

    it("can be watched by another process", function()
      srv:reply(QUEUED, RUNNING, DONE)
      local job = client:watch("a:b/c", LONG)
      pump(function() return job.video end)
      local output = rig.run(([[
        local sora, cjson = require "sora", require "cjson"
        local client = assert(sora.new{ base_url = %q, api_key = %q })
        local job = assert(client:watch(cjson.decode(%q), { interval = 0.01 }))
        while client:update(0.1) > 0 do end
        print(job:result().status)]]):format(client.base_url, rig.KEY, cjson.encode(job:ticket())))
      assert.equal("completed\n", output)
      for _, request in ipairs(srv:requests()) do
        assert.equal("/v1/videos/a:b%2fc", request.target:lower())
      end
    end)

    it("of another server is refused", function()
      local ticket = client:watch("v", LONG):ticket()
      ticket.base_url = "https://other.example/v1"
      local good, message = pcall(client.watch, client, ticket)
      assert.is_false(good)
      assert.matches(("expected a ticket for %s, got one for https://other.example/v1")
        :format(client.base_url), message, 1, true)
    end)

    it("that is not a ticket is refused", function()
      for _, bad in ipairs { {}, { ambiguous = true }, { base_url = client.base_url },
        { id = "", base_url = client.base_url } } do
        assert.error_matches(function() client:watch(bad) end, "bad argument to 'watch'")
      end
    end)
  end)

  describe("is polled", function()
    -- The times of requests, in the order of their coming.
    local function times()
      local list = rig.pluck(srv:requests(), "at")
      table.sort(list)
      return list
    end

    -- Each poll comes so many seconds after the one before. The first may come late, and each may be late at
    -- the server, but none comes before its time since the beginning.
    local function assert_apart(seconds, count, began)
      local at = times()
      assert.equal(count, #at)
      for i = 1, count do
        local after = at[i] - began
        assert.is_true(after >= (i - 1) * seconds - 0.001, ("poll %d after %g s"):format(i, after))
      end
    end

    it("no more often than max_rate, however many there are", function()
      srv:route("*", "^", DONE)
      local count, began = 0, cqueues.monotime()
      for i = 1, 30 do
        client:watch("v" .. i, { max_rate = 100, on_done = function() count = count + 1 end })
      end
      pump(function() return count == 30 end)
      assert_apart(0.01, 30, began)
    end)

    it("by wait_all no more often than max_rate either", function()
      srv:route("*", "^", { QUEUED, QUEUED, QUEUED, QUEUED, QUEUED, DONE })
      local ids = {}
      for i = 1, 20 do ids[i] = "v" .. i end
      local began = cqueues.monotime()
      local results = client:wait_all(ids, with(FAST, { max_rate = 100 }))
      for i = 1, 20 do assert(results[i].video) end
      assert_apart(0.01, 25, began)
    end)

    it("at once the first time, and then at any time of the interval, if there are many", function()
      srv:route("*", "^", QUEUED)
      local INTERVAL, COUNT = 1.5, 60
      for i = 1, COUNT do client:watch("v" .. i, { interval = INTERVAL, max_interval = INTERVAL }) end
      local deadline = core.now() + INTERVAL
      pump(function() return core.now() > deadline end)
      local targets, at, seen, thirds = rig.pluck(srv:requests(), "target"), times(), {}, { 0, 0, 0 }
      for i = 1, COUNT do seen[targets[i]] = true end
      for i = 1, COUNT do assert.is_true(seen["/v1/videos/v" .. i]) end
      for i = COUNT + 1, #at do
        local third = math.floor((at[i] - at[1]) / INTERVAL * 3) + 1
        if thirds[third] then thirds[third] = thirds[third] + 1 end
      end
      for i = 1, 3 do assert.is_true(thirds[i] > 0, "nobody was polled in third " .. i) end
    end)

    it("beside a limited number of others, however many connections there may be", function()
      local COUNT, polled, count = 600, 0, 0
      client:close()
      client = rig.client(srv, { max_connections = COUNT, timeout = LIMIT })
      srv:route("*", "^", HELD)
      for i = 1, COUNT do client:watch("v" .. i, { on_done = function() count = count + 1 end }) end
      pump(function() -- until no more are polled
        local before = polled
        polled = #srv:requests()
        return polled > 0 and polled == before and client:update(0.05) == COUNT
      end)
      assert.is_true(polled < COUNT, polled .. " polls at once")
      srv:route("*", "^", DONE)
      srv:release()
      pump(function() return count == COUNT end)
      assert.equal(COUNT, #srv:requests())
    end)
  end)

  describe("that waits", function()
    -- What the format's own example of a job that waits has.
    local EXAMPLE = { json = { id = "video_68d7512d07848190b3e45da0ecbebcde004da08e1e0678d5",
      object = "video", model = "sora-2", status = "queued", progress = 0, created_at = 1758941485,
      seconds = "4", size = "720x1280" } }
    local COUNT = 10000

    local function memory()
      rig.collect()
      return collectgarbage("count") * 1024
    end

    local function check(options_of)
      srv:route("*", "^", EXAMPLE)
      local ids, list, seen = {}, {}, 0
      local function see() seen = seen + 1 end
      for i = 1, COUNT do ids[i], list[i] = ("video_%048d"):format(i), false end
      client:watch("warm", options_of(see, 0))
      pump(function() return seen == 1 end)
      local before = memory()
      for i = 1, COUNT do list[i] = client:watch(ids[i], options_of(see, i)) end
      for _ = 1, COUNT do -- each update that finds something to do ends after a step
        if seen == COUNT + 1 then break end
        client:update(1)
      end
      assert.equal(COUNT + 1, seen)
      client:update(0)
      local each = (memory() - before) / #list
      local descriptor = eye.of(client)
      client:update(0)
      assert.is_false(descriptor:is_readable(0.05))
      assert.equal(COUNT + 1, client:update(0))
      assert.is_true(each <= 1024, ("%.0f bytes each"):format(each))
    end

    -- not LONG: of so many jobs some would be due soon
    it("costs at most 1 KiB of memory, and no work while it waits", function()
      check(function(see) return { interval = 1e9, on_progress = see } end)
    end)

    it("costs no more than that with functions of its own", function()
      check(function(see, i)
        return { interval = 1e9, on_progress = see, on_done = function() return i end }
      end)
    end)
  end)
end)

describe("wait_all", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  it("gives the results in the order of the ids", function()
    for i, delay in ipairs { 0.1, 0.05, 0 } do
      srv:route("GET", "/v1/videos/v" .. i, { json = { id = "v" .. i, status = "completed" }, delay = delay })
    end
    srv:route("GET", "/v1/videos/bad", FAILED)
    local results = client:wait_all({ "v1", "bad", "v2", "v3", "v1" }, FAST)
    assert.equal(5, #results)
    assert.same({ "v1", nil, "v2", "v3", "v1" }, { results[1].video.id, results[2].video, results[3].video.id,
      results[4].video.id, results[5].video.id })
    assert.equal("failed", results[2].err.kind)
  end)

  it("of an empty list is an empty list", function()
    assert.same({}, client:wait_all {})
    assert.same({}, srv:requests())
  end)

  it("gives the other results when one job is missing, hangs or never ends", function()
    srv:route("*", "^", { json = { id = "v", status = "completed" } })
    srv:route("GET", "/v1/videos/missing", MISSING)
    srv:route("GET", "/v1/videos/stuck", HELD)
    srv:route("GET", "/v1/videos/slow", RUNNING)
    srv:route("GET", "/v1/videos/denied", { status = 403 })
    local results = client:wait_all({ "a", "missing", "stuck", "slow", "denied", "b" },
      with(FAST, { timeout = 1 }))
    assert.same({ "v", "v" }, { results[1].video.id, results[6].video.id })
    local kinds = {}
    for i = 2, 5 do kinds[i - 1] = results[i].err.kind end
    assert.equal("deadline", kinds[1])
    assert.is_true(kinds[2] == "timeout" or kinds[2] == "deadline", kinds[2])
    assert.same({ "deadline", "api" }, { kinds[3], kinds[4] })
    assert.same(RUNNING.json, results[4].err.video)
  end)

  it("also serves started calls and watched jobs", function()
    srv:route("*", "^", DONE)
    srv:route("GET", "/v1/videos/c", { QUEUED, QUEUED, QUEUED, QUEUED, DONE })
    local got = {}
    client:start("get_video", "a", { on_done = function() got.started = true end })
    client:watch("b", with(FAST, { on_done = function() got.watched = true end }))
    assert(client:wait_all({ "c", "d" }, { interval = 0.1 })[1].video)
    assert.same({ started = true, watched = true }, got)
  end)

  describe("gives closed for jobs that are not done when the client is closed", function()
    local function check(opts, hook)
      srv:route("GET", "/v1/videos/done", { json = { id = "done", status = "completed" } })
      srv:route("GET", "/v1/videos/waits", QUEUED)
      srv:route("GET", "/v1/videos/hangs", HELD)
      -- it must not go round for ever: the clock is what every turn asks
      local now, turns = core.now, 0
      finally(function() core.now = now end)
      core.now = function()
        turns = turns + 1
        if turns > 1e5 then error("it goes round for ever", 0) end
        return now()
      end
      client.pause = hook
      local results = client:wait_all({ "done", "waits", "hangs" }, with(LONG, opts))
      assert.equal("done", results[1].video.id)
      assert.same({ "closed", "closed" }, { results[2].err.kind, results[3].err.kind })
    end

    local function close_when_all_came(count)
      return function()
        if count() < 2 then return end
        srv:wait_requests(3)
        client:close()
      end
    end

    it("by on_progress", function()
      local seen = 0
      local close = close_when_all_came(function() return seen end)
      check({ on_progress = function()
        seen = seen + 1
        close()
      end })
    end)

    it("by the pause hook", function()
      local seen = 0
      local close = close_when_all_came(function() return seen end)
      check({ on_progress = function() seen = seen + 1 end }, function(self, seconds)
        self:update(seconds)
        close()
      end)
    end)

    it("by the on_done of another call", function()
      srv:route("GET", "/v1/videos/other", { json = DONE.json, delay = 0.05 })
      local seen = 0
      client:start("get_video", "other", { on_done = function()
        srv:wait_requests(4)
        client:close()
      end })
      check({ on_progress = function() seen = seen + 1 end })
      assert.equal(2, seen)
    end)
  end)

  it("raises what on_progress raises, and the client still works", function()
    srv:route("*", "^", QUEUED)
    assert.error_matches(function()
      client:wait_all({ "a", "b" }, with(FAST, { on_progress = function() error("oh no", 0) end }))
    end, "oh no")
    srv:route("*", "^", DONE)
    assert.equal("v", client:wait_all({ "a" }, FAST)[1].video.id)
    assert.equal(0, client:update(0.02))
  end)

  it("raises for an argument that is not a list of ids", function()
    for _, bad in ipairs { "v", 5, { "" }, { "a", {} }, { true } } do
      assert.error_matches(function() client:wait_all(bad) end, "bad argument to 'wait_all'")
    end
    assert.error_matches(function() client:wait_all() end, "ids: expected a list, got nil")
    assert.same({}, srv:requests())
  end)
end)

describe("ten thousand jobs", function()
  local COUNT = 10000
  local server, ids, seconds

  local function new_client(timeout)
    return assert(sora.new { base_url = server.url, api_key = rig.KEY, timeout = timeout, max_retries = 0 })
  end

  setup(function()
    server = process.serve { "--duration", "1" }
    local client, made, before = new_client(600), 0, core.now()
    ids = {}
    for i = 1, COUNT do
      local dev = i == 17 and { fail = "moderation_blocked" } or nil
      client:start("create_video", { prompt = "job " .. i, dev = dev },
        { on_done = function(video) ids[i], made = video and video.id, made + 1 end })
    end
    while client:update(1) > 0 do end -- luacheck: ignore 542
    assert(made == COUNT, made .. " jobs were made")
    client:close()
    seconds = core.now() - before
  end)
  teardown(function() server:stop() end)

  it("are made by as many creates, started at once", function()
    local seen = {}
    for i = 1, COUNT do
      assert.is_nil(seen[ids[i]])
      seen[ids[i]] = true
    end
  end)

  it("are waited for at once; one that fails, one unknown and one that hangs disturb no other", function()
    local failing, unknown, hanging = 17, 5000, 9999
    ids[unknown] = "video_unknown"
    local faults = { { match = { method = "GET", path = "/videos/" .. ids[hanging] .. "$" }, delay = 600 } }
    assert.equal(200, curl.post(server.origin .. "/dev/faults", faults).status)

    local client = new_client(2 + seconds / 2) -- for the one that hangs; under valgrind all take longer
    local results = client:wait_all(ids, { interval = 0.5, max_failures = 0 })
    client:close()
    assert.equal(COUNT, #results)
    local wrong = {}
    for i, result in ipairs(results) do
      local good = result.video and result.video.id == ids[i] and result.video.status == "completed"
      if not good then wrong[#wrong + 1] = i end
    end
    assert.same({ failing, unknown, hanging }, wrong)
    assert.same({ "failed", "moderation_blocked" }, { results[failing].err.kind, results[failing].err.code })
    assert.same({ "api", 404 }, { results[unknown].err.kind, results[unknown].err.status })
    assert.equal("timeout", results[hanging].err.kind)
  end)
end)
