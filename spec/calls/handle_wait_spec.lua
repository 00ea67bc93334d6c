-- Waiting for one started call or one watched job: handle:wait and job:wait.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"

local HELD = answers.HELD

describe("wait", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  -- What can be waited for: each returns a handle, whose result is the completed job.
  local KINDS = {
    ["a started call"] = function() return client:start("get_video", "v") end,
    ["a started create"] = function() return client:start("create_video", { prompt = "x" }) end,
    ["a task"] = function() return client:start("create_and_wait", { prompt = "x" }, rig.FAST) end,
    ["a watched job"] = function() return client:watch("v", rig.FAST) end,
  }

  for what, start in pairs(KINDS) do
    describe("for " .. what, function()
      it("blocks until it is done", function()
        srv:route("*", "^", answers.with(answers.DONE, { delay = 0.02 }))
        local handle = assert(start())
        local video, err = handle:wait()
        assert.is_nil(err)
        assert.equal("completed", video.status)
        assert.is_true(handle:done())
        assert.equal(video, (handle:wait()))
        assert.equal(video, (handle:wait(0)))
      end)

      it("gives a deadline error when its time runs out, and it runs on", function()
        srv:route("*", "^", HELD)
        local handle = assert(start())
        for _, seconds in ipairs { 0, 0.01 } do
          local video, err = handle:wait(seconds)
          assert.is_nil(video)
          assert.equal("deadline", err.kind)
          assert.is_true(err.retryable)
          assert.matches("^not done after", err.message)
        end
        assert.is_false(handle:done())
        patience.pump(client, function() return #srv:requests() > 0 end)
        srv:release()
        assert.equal("completed", handle:wait().status)
      end)

      it("goes through the pause hook, and is woken by it", function()
        srv:route("*", "^", answers.with(answers.DONE, { delay = 0.01 }))
        local wakes, longest = 0, 0
        client.pause = function(_, seconds, turn)
          if turn then turn.wake = function() wakes = wakes + 1 end end
          longest = math.max(longest, seconds)
          coroutine.yield()
        end
        local handle, video = assert(start()), nil
        local co = coroutine.create(function() video = handle:wait() end)
        patience.run({ co }, function() client:update(0.02) end)
        assert.equal("completed", video.status)
        assert.is_true(longest <= 0.1)
        assert.is_true(wakes > 0)
      end)

      it("ends with the client", function()
        srv:route("*", "^", HELD)
        local handle = assert(start())
        local co = coroutine.create(function() return handle:wait() end)
        client.pause = function() coroutine.yield() end
        assert(coroutine.resume(co))
        client:close()
        local _, video, err = coroutine.resume(co)
        assert.is_nil(video)
        assert.equal("closed", err.kind)
        assert.equal("closed", select(2, handle:wait()).kind)
      end)

      it("may be called by several coroutines at once", function()
        srv:route("*", "^", answers.with(answers.DONE, { delay = 0.01 }))
        client.pause = function() coroutine.yield() end
        local handle, seen = assert(start()), {}
        local threads = {}
        for i = 1, 3 do threads[i] = coroutine.create(function() seen[i] = handle:wait().status end) end
        patience.run(threads)
        assert.same({ "completed", "completed", "completed" }, seen)
      end)
    end)
  end

  it("for a job tells its last snapshot when the time runs out", function()
    srv:route("*", "^", answers.RUNNING)
    local job = client:watch("v", rig.LONG)
    patience.pump(client, function() return #srv:requests() > 0 and job.video end)
    local _, err = job:wait(0.01)
    assert.equal(40, err.video.progress)
  end)

  it("for a call is no use in its own callback, and says so", function()
    srv:route("*", "^", answers.RUNNING)
    local problem, job
    job = client:watch("v", { interval = 0.01, on_progress = function()
      problem = select(2, pcall(job.wait, job))
      return false
    end })
    assert.equal("cancelled", select(2, job:wait()).kind)
    assert.matches("own on_progress", problem)

    local handle
    handle = client:start("create_and_wait", { prompt = "x" }, { interval = 0.01, on_progress = function()
      if handle then
        problem = select(2, pcall(handle.wait, handle))
        return false
      end
    end })
    problem = nil
    assert.is_nil((handle:wait()))
    assert.matches("own callback", tostring(problem))
  end)

  it("for a handle works in a task, which is cancelled without it", function()
    srv:route("*", "^", answers.RUNNING)
    srv:route("GET", "/v1/videos/slow", HELD)
    local slow = client:start("get_video", "slow")
    patience.pump(client, function() return #srv:requests() == 1 end)
    local outcome
    local task = client:start("create_and_wait", { prompt = "x" }, { interval = 0.01, on_progress = function()
      outcome = { slow:wait(0.02) }
      slow:wait()
    end })
    if require("sora.task").yields_through_pcall then
      patience.pump(client, function() return outcome end)
      assert.equal("deadline", outcome[2].kind)
      assert.is_true(task:cancel())
      assert.is_false(slow:done())
      srv:release()
      assert.equal("completed", slow:wait().status)
    end
  end)

  it("delivers callbacks meanwhile, and survives what they raise", function()
    srv:route("*", "^", answers.DONE)
    local texts, restore = rig.catch_stderr()
    finally(restore)
    local handle = client:start("get_video", "v", { on_done = function() error("mine", 0) end })
    assert.equal("completed", handle:wait().status)
    assert.matches("mine", table.concat(texts))
  end)

  it("poll gives each snapshot with its reading", function()
    srv:route("*", "^", { answers.RUNNING, answers.DONE })
    local states = {}
    for video, view in client:poll("v", rig.FAST) do
      states[#states + 1] = view.state
      assert.equal(video, view.raw)
    end
    assert.equal("completed", states[#states])
  end)
end)
