-- The state machine of a wait, with a simulated clock: when it polls, its deadline, and its options. The
-- results of its polls are in outcomes_spec.lua.
local simulation = require "spec.support.simulation"
local machine = require "sora.wait.machine"

local run, video, failure = simulation.run, simulation.video, simulation.failure
local times, near = simulation.times, simulation.near

local QUEUED = { video = video("queued") }
local RUNNING = { video = video("in_progress", 40) }
local DONE = { video = video("completed", 100) }

local BAD_GATEWAY = failure { status = 502, retryable = true }
local NOT_FOUND = failure { status = 404 }

describe("a wait's intervals", function()
  it("begin with a poll at once", function()
    local job, polls, pauses = run(nil, { DONE })
    assert.same({ 0 }, polls)
    assert.same({}, pauses)
    assert.is_true(job.finished)
    assert.is_nil(job.err)
    assert.equal(DONE.video, job.video)
  end)

  it("are 2 s, each 1.5 times the one before, at most 15 s", function()
    local _, _, pauses = run(nil, times(8, QUEUED))
    near({ 2, 3, 4.5, 6.75, 10.125, 15, 15, 15 }, pauses)
  end)

  it("may be set", function()
    local _, _, pauses = run({ interval = 0.5, max_interval = 1 }, times(5, QUEUED))
    near({ 0.5, 0.75, 1, 1, 1 }, pauses)
  end)

  it("stay as they are when the first is longer than the longest", function()
    local _, _, pauses = run({ interval = 20 }, times(3, QUEUED))
    near({ 20, 20, 20 }, pauses)
    _, _, pauses = run({ interval = 4, max_interval = 1 }, times(3, QUEUED))
    near({ 4, 4, 4 }, pauses)
  end)

  it("are shortened by at most a quarter, which does not add up", function()
    local _, _, pauses = run(nil, times(7, QUEUED), 0.5)
    near({ 1.75, 2.625, 3.9375, 5.90625, 8.859375, 13.125, 13.125 }, pauses)
    _, _, pauses = run(nil, times(2, QUEUED), 0.999999999)
    near({ 1.5, 2.25 }, pauses)
    local full = { 2, 3, 4.5, 6.75, 10.125 }
    for seed = 1, 20 do
      local i = 0
      _, _, pauses = run(nil, times(5, QUEUED), function()
        i = i + 1
        return (seed * 7919 + i * 104729) % 1000 / 1000
      end)
      for k, pause in ipairs(pauses) do assert.is_true(pause <= full[k] and pause > 0.75 * full[k]) end
    end
  end)

  it("grow over failed polls too", function()
    local _, _, pauses = run(nil, times(4, BAD_GATEWAY))
    near({ 2, 3, 4.5, 6.75 }, pauses)
  end)

  it("begin after the answer, however long that took", function()
    local _, polls = run(nil, { { video = QUEUED.video, takes = 5 }, DONE })
    near({ 0, 7 }, polls)
  end)

  it("begin when the answer came", function()
    local job = machine.start("v", machine.rules(nil, "wait"), 10)
    machine.answer(job, QUEUED.video, nil, 10, 0)
    assert.equal(12, job.due)
    assert.is_true(machine.is_to_poll(job, 12))
  end)
end)

describe("the server's poll hint", function()
  local function pauses_after(...)
    local _, _, pauses = run(nil, { ... })
    return pauses
  end

  it("is obeyed exactly, without jitter", function()
    local _, _, pauses = run(nil, { { video = QUEUED.video, hint = 7 } }, 0.9)
    near({ 7 }, pauses)
  end)

  it("is read afresh from each answer, and does not touch our own intervals", function()
    near({ 7, 2, 30, 3 }, pauses_after({ video = QUEUED.video, hint = 7 }, QUEUED,
      { video = QUEUED.video, hint = 30 }, QUEUED))
  end)

  it("is clamped to 0.2 to 60 s", function()
    local pauses = {}
    for i, hint in ipairs{ 0, 0.05, 0.2, 0.3, 60, 61, 1e9, math.huge } do
      pauses[i] = pauses_after({ video = QUEUED.video, hint = hint })[1]
    end
    near({ 0.2, 0.2, 0.2, 0.3, 60, 60, 60, 60 }, pauses)
  end)

  it("may be in the body; a header takes precedence", function()
    local asks = { id = "v", status = "queued", poll_after_seconds = 5 }
    near({ 5, 9, 2 }, pauses_after({ video = asks }, { video = asks, hint = 9 }, QUEUED))
    near({ 0.2, 60 }, pauses_after({ video = { id = "v", poll_after_seconds = 0.01 } },
      { video = { id = "v", poll_after_seconds = 600 } }))
  end)

  it("is obeyed after failed polls as well", function()
    near({ 4, 0.2, 60, 2 }, pauses_after(failure { status = 429, retryable = true, retry_after = 4 },
      failure { status = 503, retryable = true, retry_after = 0 },
      failure { status = 503, retryable = true, retry_after = 3600 }, BAD_GATEWAY))
  end)
end)

describe("a wait's time-out", function()
  it("is 30 minutes, and gives the last snapshot", function()
    local job, polls, _, ended = run(nil, { RUNNING, QUEUED, repeats = true })
    assert.equal("deadline", job.err.kind)
    assert.equal(QUEUED.video, job.err.video)
    assert.is_true(job.err.retryable)
    assert.matches("1800 s", job.err.message)
    assert.matches("queued", job.err.message)
    near({ 1800 }, { ended })
    near({ 1800 }, { polls[#polls] })
  end)

  it("may be set, and cuts the last pause short: one last poll is made at the deadline", function()
    local job, polls, pauses = run({ timeout = 6 }, { RUNNING, repeats = true })
    assert.equal("deadline", job.err.kind)
    near({ 0, 2, 5, 6 }, polls)
    near({ 2, 3, 1 }, pauses)
  end)

  it("gives the video that the last poll brings", function()
    local job, polls = run({ interval = 15, timeout = 20 }, { RUNNING, RUNNING, DONE })
    near({ 0, 15, 20 }, polls)
    assert.is_nil(job.err)
    assert.equal(DONE.video, job.video)
  end)

  it("is over after a last poll that fails, whatever max_failures says", function()
    local job, polls = run({ interval = 15, timeout = 20 }, { RUNNING, RUNNING, BAD_GATEWAY, DONE })
    near({ 0, 15, 20 }, polls)
    assert.same({ "deadline", RUNNING.video }, { job.err.kind, job.err.video })
  end)

  it("is over soon after the deadline if no last poll can be begun", function()
    local job = machine.start("v", machine.rules({ timeout = 10 }, "wait"), 50)
    assert.is_true(machine.is_to_poll(job, 60))
    machine.again(job, 60)
    assert.is_true(job.due > 60 and job.due < 61)
    assert.is_false(machine.is_to_poll(job, job.due))
    assert.equal("deadline", job.err.kind)
  end)

  it("has no snapshot when none ever came", function()
    local job = run({ timeout = 4 }, { NOT_FOUND, repeats = true })
    assert.equal("deadline", job.err.kind)
    assert.is_nil(job.err.video)
    job = run({ timeout = 4 }, { BAD_GATEWAY, repeats = true })
    assert.equal("deadline", job.err.kind)
    assert.is_nil(job.err.video)
    assert.equal("string", type(tostring(job.err)))
  end)

  it("does not discard a result that came late", function()
    local job = run({ timeout = 1 }, { { video = DONE.video, takes = 3 } })
    assert.is_nil(job.err)
    assert.equal(DONE.video, job.video)
  end)

  it("ends a wait whose poll came too late with nothing", function()
    local job, polls = run({ timeout = 1 }, { { video = RUNNING.video, takes = 3 }, DONE })
    assert.equal("deadline", job.err.kind)
    assert.equal(RUNNING.video, job.err.video)
    assert.equal(1, #polls)
    job = run({ timeout = 1 }, { { err = BAD_GATEWAY.err, takes = 3 }, DONE })
    assert.equal("deadline", job.err.kind)
  end)

  it("is over for good", function()
    local job = run({ timeout = 1 }, { RUNNING, repeats = true })
    local err = job.err
    assert.is_false(machine.is_to_poll(job, 0))
    assert.equal(err, job.err)
  end)

  it("bounds each poll", function()
    local job = machine.start("v", machine.rules({ timeout = 100, headers = { A = "1" } }, "wait"), 50)
    assert.same({ max_retries = 0, headers = { A = "1" } }, machine.call_options(job, 60, 50))
    assert.is_nil(machine.call_options(job, 60, 90).timeout)
    assert.same({ max_retries = 0, headers = { A = "1" }, timeout = 59 },
      machine.call_options(job, 60, 91))
    assert.equal(0.5, machine.call_options(job, 60, 149.5).timeout)
    assert.is_nil(machine.call_options(job, 60, 50).timeout) -- those of before are not changed
    assert.equal(5, machine.call_options(job, 60, 150).timeout) -- the last one
    assert.equal(3, machine.call_options(job, 3, 150.1).timeout or 3)
    local short = machine.start("v", machine.rules({ timeout = 0.5 }, "wait"), 50)
    assert.equal(0.5, machine.call_options(short, 60, 50.5).timeout)
  end)
end)

describe("the options of a wait", function()
  local function misuse(opts, who)
    local ok, message = pcall(machine.rules, opts, who or "wait")
    assert.is_false(ok)
    return message
  end

  it("have defaults", function()
    local rules = machine.rules(nil, "wait")
    assert.same({ 2, 15, 1800, 10 },
      { rules.interval, rules.max_interval, rules.timeout, rules.max_failures })
    assert.same({ max_retries = 0 }, rules.call)
    assert.same(rules, machine.rules({}, "wait"))
  end)

  it("are passed on to each poll when they are a call's", function()
    local headers, query = { A = "1" }, { b = "2" }
    local opts = { interval = 1, max_retries = 3, headers = headers, query = query, response = false }
    local rules = machine.rules(opts, "wait")
    assert.same({ max_retries = 3, headers = headers, query = query, response = false }, rules.call)
    assert.same({ interval = 1, max_retries = 3, headers = { A = "1" }, query = { b = "2" },
      response = false }, opts)
  end)

  it("are a table", function()
    for _, value in ipairs{ 5, "x", true, print } do
      assert.matches("bad argument to 'poll' %(options: expected a table, got " .. type(value),
        misuse(value, "poll"))
    end
  end)

  local WRONG = {
    interval = { 0, -1, 0 / 0, "2", true, {} },
    max_interval = { 0, -1, 0 / 0, "15", {} },
    timeout = { 0, -5, 0 / 0, "60", false },
    max_failures = { -1, 1.5, 0 / 0, "10", {} },
    on_progress = { 1, "f", {}, true },
  }
  for name, values in pairs(WRONG) do
    it(name .. " is checked, and named with the function", function()
      for _, value in ipairs(values) do
        local message = misuse{ [name] = value }
        assert.matches("'wait'", message)
        assert.matches("option '" .. name .. "'", message)
      end
    end)
  end

  it("that are unknown are named with the nearest one", function()
    local NEAREST = { intervall = "interval", Interval = "interval", maxinterval = "max_interval",
      time_out = "timeout", max_failure = "max_failures", on_progres = "on_progress", header = "headers" }
    for given, nearest in pairs(NEAREST) do
      assert.matches(("bad argument to 'wait' %%(unknown option '%s'; did you mean '%s'%%?%%)")
        :format(given, nearest), misuse{ [given] = 1 })
    end
    assert.matches("%(unknown option 'colour'%)", misuse{ colour = "red" })
    local message = misuse{ on_done = print } -- only watch has it: to name it as the nearest would be no help
    assert.matches("'on_done'", message)
    assert.is_nil(message:find("did you mean 'on_done'", 1, true), message)
    assert.matches("expected names that are strings, as in .-, got a number", misuse{ "interval" })
  end)
end)

describe("a crowd of waits", function()
  -- The same numbers in every run.
  local function source(seed)
    return function()
      seed = seed * 16807 % 2147483647
      return seed / 2147483647
    end
  end

  local function assert_even(polls, from, to)
    local most, least = simulation.evenness(polls, from, to)
    assert.is_true(most < 1.35, ("%d to %d s: %.2f of the mean"):format(from, to, most))
    assert.is_true(least > 0.65, ("%d to %d s: %.2f of the mean"):format(from, to, least))
  end

  local function check(name, interval, opts, world)
    it(name, function()
      world.random, world.seconds = source(4711), 6 * interval
      local polls = simulation.crowd(3000, opts, world)
      for k = world.even_after or 1, 5 do assert_even(polls, k * interval, (k + 1) * interval) end
    end)
  end

  check("that began together is polled evenly from its second interval on", 10,
    { interval = 10, max_interval = 10 }, {})
  check("is polled evenly once its intervals are as long as they get", 15, nil, { even_after = 2 })
  check("that gets the same hint each time is polled evenly, too", 10, nil, { hint = 10, even_after = 2 })
  check("that was not updated for a while is polled evenly again soon after", 10,
    { interval = 10, max_interval = 10 }, { stall = { 12, 25 }, even_after = 4 })

  it("is polled no sooner than the server asks, and else no later than its interval", function()
    local jobs, random = {}, source(5)
    for i = 1, 100 do
      jobs[i] = machine.start("v", machine.rules({ interval = 4 }, "watch"), 0)
      machine.answer(jobs[i], QUEUED.video, i > 50 and 7 or nil, 0, random(), random())
    end
    for i = 1, 50 do assert.is_true(jobs[i].due > 0 and jobs[i].due <= 4) end
    for i = 51, 100 do assert.is_true(jobs[i].due >= 7 and jobs[i].due < 14) end
  end)

  it("obeys the server's hint exactly after its first poll", function()
    local job = machine.start("v", machine.rules(nil, "watch"), 0)
    machine.answer(job, QUEUED.video, 7, 0, 0.5, 0.5)
    near({ 10.5 }, { job.due })
    assert.is_true(machine.is_to_poll(job, 10.6))
    machine.answer(job, QUEUED.video, 7, 10.6, 0.5, 0.5)
    near({ 17.6 }, { job.due })
  end)

  it("has pauses that grow to the longest, and not beyond", function()
    local job, now, random = machine.start("v", machine.rules(nil, "watch"), 0), 0, source(9)
    for _ = 1, 40 do
      machine.answer(job, QUEUED.video, nil, now, random(), random())
      assert.is_true(job.due - now <= 15)
      now = job.due
      machine.is_to_poll(job, now)
    end
    assert.equal(15, job.interval)
  end)
end)
