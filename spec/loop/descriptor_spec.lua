-- client:fileno(): readable exactly while update(0) has work. The descriptor is asked for once, as by an
-- event loop that keeps it (libuv, nginx), and everything that happens afterwards must make it readable.
local answers = require "spec.support.answers"
local core = require "sora.core"
local eye = require "spec.support.eye"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"

local QUEUED, DONE, HELD = answers.QUEUED, answers.DONE, answers.HELD
local LIMIT = patience.LIMIT

describe("the descriptor", function()
  local srv = given.server()
  local client, descriptor

  local function renew(options)
    if client then client:close() end
    client = rig.client(srv, options)
    descriptor = eye.of(client)
  end

  before_each(function() renew() end)
  after_each(function() client:close() end)

  local function is_readable(seconds) return descriptor:is_readable(seconds) end
  local function pump(holds) return descriptor:pump(holds) end
  local function calm() descriptor:calm() end

  describe("wakes", function()
    it("a few times for an answer that takes 100 ms", function()
      srv:reply { json = DONE.json, delay = 0.1 }
      local handle = client:start("get_video", "v")
      local wakeups = pump(function() return handle:done() end)
      assert.is_true(wakeups <= 6, wakeups .. " wake-ups")
      assert.is_false(is_readable())
    end)

    it("a few times for each of many that queue", function()
      renew { max_connections = 4 }
      srv:route("*", "^", { json = DONE.json, delay = 0.01 })
      local count = 0
      for _ = 1, 100 do client:start("get_video", "v", { on_done = function() count = count + 1 end }) end
      local wakeups = pump(function() return count == 100 end)
      assert.is_true(wakeups <= 300, wakeups .. " wake-ups")
      assert.equal(4, srv:connections())
      assert.is_false(is_readable())
    end)

    it("a few times until a connection that is never made has had its time", function()
      renew { base_url = httpd.blackhole() .. "/v1", connect_timeout = 0.1 }
      local handle = client:start("get_video", "v")
      local wakeups = pump(function() return handle:done() end)
      assert.is_true(wakeups <= 12, wakeups .. " wake-ups")
      assert.equal("timeout", select(2, handle:result()).kind)
      assert.is_false(is_readable())
    end)

    it("for a time-out, and not before", function()
      srv:reply(HELD)
      local handle = client:start("get_video", "v", { timeout = 0.2 })
      pump(function() return #srv:requests() == 1 end)
      local wakeups = pump(function() return handle:done() end)
      assert.is_true(wakeups <= 4, wakeups .. " wake-ups")
      assert.equal("timeout", select(2, handle:result()).kind)
    end)

    it("at once for an answer that came while the call was being started", function()
      srv:route("*", "^", DONE)
      assert(client:get_video("warm"))
      local waited = rig.time(30, function() assert(client:get_video("v")) end)
      local started = rig.time(30, function()
        local handle = client:start("get_video", "v")
        pump(function() return handle:done() end)
      end)
      -- a wake-up that is missed costs 0.1 s and more
      assert.is_true(started < 1.5 + 5 * waited, ("%g s, waited for %g s"):format(started, waited))
    end)

    it("when connecting fails at once", function()
      renew { base_url = httpd.refused_url() .. "/v1" }
      local kind
      client:start("get_video", "v", { on_done = function(_, err) kind = err.kind end })
      pump(function() return kind end) -- it may be known, and not delivered, when start returns
      assert.equal("connect", kind)
      assert.is_false(is_readable())
    end)

    it("when a name is not found", function()
      renew { base_url = "http://nobody.invalid/v1" }
      local kind
      client:start("get_video", "v", { on_done = function(_, err) kind = err.kind end })
      pump(function() return kind end) -- it may be known, and not delivered, when start returns
      assert.equal("dns", kind)
      assert.is_false(is_readable())
    end)

    it("at the time of the next attempt", function()
      local last
      renew { max_retries = 1, on_event = function(event) last = event.event end }
      srv:reply(answers.busy(1000), DONE)
      local handle = client:start("get_video", "v")
      pump(function() return last == "retry" end)
      calm()
      assert.is_false(is_readable())
      assert.is_true(is_readable(LIMIT))
      assert.equal(1, #srv:requests())
      assert.is_true(pump(function() return handle:done() end) <= 6)
      local requests = srv:requests()
      assert.is_true(requests[2].at - requests[1].at >= 0.999)
    end)

    it("when a watched job is due, without anything else", function()
      srv:reply(QUEUED, DONE)
      local job = client:watch("v", { interval = 1, max_interval = 1 })
      assert.is_true(is_readable())
      pump(function() return job.video end)
      calm()
      assert.is_true(is_readable(LIMIT))
      assert.equal(1, #srv:requests())
      pump(function() return job:done() end)
      local requests = srv:requests()
      assert.is_true(requests[2].at - requests[1].at >= 0.749)
      assert.is_false(is_readable())
    end)

    it("at the rate of max_rate, not more often", function()
      srv:route("*", "^", DONE)
      local count = 0
      local opts = { max_rate = 100, on_done = function() count = count + 1 end }
      for i = 1, 20 do client:watch("v" .. i, opts) end
      local wakeups = pump(function() return count == 20 end)
      assert.is_true(wakeups <= 20 * 6, wakeups .. " wake-ups")
    end)

    it("for a call that was cancelled", function()
      srv:reply(HELD)
      local kind
      local handle = client:start("get_video", "v", { on_done = function(_, err) kind = err.kind end })
      pump(function() return #srv:requests() == 1 end)
      calm()
      handle:cancel()
      assert.is_true(is_readable())
      client:update(0)
      assert.equal("cancelled", kind)
      assert.is_false(is_readable())
    end)

    it("for a watched job that was cancelled between polls", function()
      srv:reply(QUEUED)
      local kind
      local job = client:watch("v", { interval = 1000, max_interval = 1000,
        on_done = function(_, err) kind = err.kind end })
      pump(function() return job.video end)
      calm()
      job:cancel()
      assert.is_true(is_readable())
      client:update(0)
      assert.equal("cancelled", kind)
      assert.is_false(is_readable())
    end)
  end)

  describe("after a blocking call", function()
    before_each(function()
      srv:route("GET", "/v1/videos/long", { json = DONE.json, delay = 0.1 })
      srv:route("POST", "/v1/videos", { json = DONE.json, delay = 0.1 })
    end)

    local CALLS = {
      get_video = function() return client:get_video("long") end,
      create_video = function() return client:create_video { prompt = "p" } end,
      wait = function() return client:wait("long") end,
    }
    for name, call in pairs(CALLS) do
      it("(" .. name .. ") is readable for the next attempt of another call", function()
        renew { max_retries = 1 }
        srv:route("GET", "/v1/videos/v", { answers.busy(1000), DONE })
        local handle = client:start("get_video", "v")
        assert(call())
        assert.is_false(handle:done())
        assert.is_true(is_readable(LIMIT))
        pump(function() return handle:done() end)
        assert.same(DONE.json, handle:result())
      end)
    end

    it("is readable for a result that is not delivered yet", function()
      srv:route("GET", "/v1/videos/v", DONE)
      local seen
      local handle = client:start("get_video", "v", { on_done = function(video) seen = video end })
      assert(client:get_video("long"))
      assert.is_true(handle:done())
      assert.is_nil(seen)
      assert.is_true(is_readable())
      client:update(0)
      assert.equal("v", seen.id)
      assert.is_false(is_readable())
    end)

    it("is readable for calls that queued behind it", function()
      renew { max_connections = 1 }
      local first = client:start("get_video", "long")
      local second = client:start("get_video", "long")
      assert(client:get_video("long"))
      assert.is_true(is_readable())
      pump(function() return first:done() and second:done() end)
    end)

    it("that a debug hook ended is readable for a result, too", function()
      srv:route("GET", "/v1/videos/v", DONE)
      local seen, raised
      client:start("get_video", "v", { on_done = function(video) seen = video end })
      finally(function() debug.sethook() end)
      srv:route("GET", "/v1/videos/long", HELD)
      local before = core.now()
      debug.sethook(function()
        if raised or core.now() - before < 0.1 then return end
        raised = true
        error("enough", 0)
      end, "c")
      local good = pcall(client.get_video, client, "long")
      debug.sethook()
      assert.is_false(good)
      pump(function() return seen end)
      assert.equal("v", seen.id)
    end)
  end)

  describe("is quiet", function()
    it("while nothing runs, whatever the server does to its connections", function()
      srv:route("*", "^", DONE)
      assert(client:get_video("v"))
      calm()
      srv:drop_connections()
      assert.is_false(is_readable(0.05))
      assert.equal(0, client:update(0))
      assert.is_false(is_readable(0.05))
    end)

    it("while all wait for the server", function()
      renew { max_connections = 3 }
      srv:route("*", "^", HELD)
      local count = 0
      for _ = 1, 6 do client:start("get_video", "v", { on_done = function() count = count + 1 end }) end
      pump(function() return #srv:requests() == 3 end)
      -- libcurl has a look once after connecting: at each connection, 200 ms after it was begun
      assert.is_true(descriptor:count(0.3) <= 6)
      assert.is_false(is_readable(0.1))
      srv:release()
      pump(function() return count == 3 and #srv:requests() == 6 end)
      calm()
      assert.is_false(is_readable(0.1))
      srv:release()
      pump(function() return count == 6 end)
      assert.is_false(is_readable())
    end)

    it("while a watched job waits for its time", function()
      srv:reply(QUEUED)
      local job = client:watch("v", rig.LONG)
      pump(function() return job.video end)
      calm()
      assert.is_true(descriptor:count(0.3) <= 1)
      assert.is_false(is_readable(0.1))
      assert.is_true(client:timeout() > 100)
    end)

    it("while a download stands still", function()
      local path = os.tmpname()
      srv:reply(answers.HALF)
      local handle = client:start("download_video", "v", path, { timeout = LIMIT })
      pump(function() return #srv:requests() == 1 end)
      local wakeups = descriptor:count(0.4) -- libcurl looks at its speed once a second
      assert.is_true(wakeups <= 4, wakeups .. " wake-ups")
      assert.is_false(handle:done())
      handle:cancel()
      os.remove(path)
    end)

    it("after everything was cancelled and delivered", function()
      srv:route("*", "^", HELD)
      local handles = {}
      for i = 1, 5 do handles[i] = client:start("get_video", "v") end
      pump(function() return #srv:requests() == 5 end)
      for i = 1, 5 do handles[i]:cancel() end
      client:update(0)
      assert.is_false(is_readable(0.05))
      assert.is_nil(client:timeout())
    end)
  end)

  it("says the same as timeout: 0 is readable, nil is not", function()
    assert.is_nil(client:timeout())
    assert.is_false(is_readable())
    srv:reply(DONE)
    local handle = client:start("get_video", "v")
    patience.wait(function() return handle:done() end, function()
      if client:timeout() == 0 then assert.is_true(is_readable()) end
      if is_readable(0.01) then client:update(0) end
    end)
    assert.is_nil(client:timeout())
  end)

  it("is closed with the client, and each client has its own", function()
    local other = rig.client(srv)
    assert.is_true(other:fileno() ~= client:fileno())
    other:close()
    assert.is_false(is_readable())
  end)
end)
