-- client.pause: the hook through which a blocking call lets others run.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"

local QUEUED, DONE = answers.QUEUED, answers.DONE
local FILM = ("film"):rep(1000)
local MP4 = answers.file(FILM)
local FAST = rig.FAST

local function late(answer) return answers.with(answer, { delay = 0.03 }) end

describe("client.pause", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  -- Every call that waits: its answers, and what it gives when all is well.
  local CALLS = {
    get_video = { { DONE }, "completed", function() return client:get_video("v").status end },
    create_video = { { QUEUED }, "queued", function()
      return client:create_video({ prompt = "p" }).status
    end },
    download_video = { { MP4 }, #FILM, function()
      return client:download_video("v", files:at("f")).bytes
    end },
    wait = { { QUEUED, DONE }, "completed", function() return client:wait("v", FAST).status end },
    poll = { { QUEUED, DONE }, "queued completed", function()
      local states, next_snapshot = {}, client:poll("v", FAST)
      for video in next_snapshot do states[#states + 1] = video.status end
      return table.concat(states, " ")
    end },
    wait_all = { { QUEUED, QUEUED, DONE, DONE }, 2, function()
      local results = client:wait_all({ "v", "w" }, FAST)
      return (results[1].video and 1 or 0) + (results[2].video and 1 or 0)
    end },
  }

  -- The call with its answers in the server's script.
  local function prepare(name)
    local case = CALLS[name]
    for _, answer in ipairs(case[1]) do srv:reply(late(answer)) end
    return case[3], case[2]
  end

  local function finish() patience.finish(client) end

  for name in pairs(CALLS) do
    describe("in " .. name, function()
      it("is called with the client and at most 0.1 s", function()
        local call, expected = prepare(name)
        local count, longest = 0, 0
        client.pause = function(self, seconds)
          assert.equal(client, self)
          count, longest = count + 1, math.max(longest, seconds)
          self:update(seconds)
        end
        assert.equal(expected, call())
        assert.is_true(count > 0)
        assert.is_true(longest > 0 and longest <= 0.1, longest)
      end)

      it("may return at once", function()
        local call, expected = prepare(name)
        local count = 0
        client.pause = function() count = count + 1 end
        assert.equal(expected, call())
        assert.is_true(count > 0)
      end)

      it("may take longer than it was asked to", function()
        local call, expected = prepare(name)
        client.pause = function(self, seconds)
          local deadline = core.now() + seconds + 0.05
          repeat self:update(0.01) until core.now() >= deadline
        end
        assert.equal(expected, call())
      end)

      it("may raise: the error propagates, and the client still works", function()
        local call = prepare(name)
        local problem = {}
        client.pause = function() error(problem, 0) end
        local good, raised = pcall(call)
        assert.is_false(good)
        assert.equal(problem, raised)
        finish()
        client.pause = nil
        srv:reset()
        local again, expected = prepare(name)
        assert.equal(expected, again())
      end)

      it("may be a coroutine's yield", function()
        local call, expected = prepare(name)
        client.pause = function(_, seconds) coroutine.yield(seconds) end
        -- Lua 5.1 can't yield inside a for loop's iterator
        if name == "poll" then
          local next_snapshot = client:poll("v", FAST)
          call = function() return next_snapshot().status .. " " .. next_snapshot().status end
        end
        local result
        local yields = 0
        patience.run({ coroutine.create(function() result = call() end) }, function() yields = yields + 1 end)
        assert.equal(expected, result)
        assert.is_true(yields > 0)
      end)

      it("may close the client", function()
        srv:route("*", "^", { hold = true })
        local count = 0
        client.pause = function(self)
          count = count + 1
          assert.is_true(count < 1000, "it waits for ever")
          while #srv:requests() == 0 and self:update(0.01) do end -- luacheck: ignore 542
          self:close()
        end
        local good, problem = pcall(CALLS[name][3]) -- `poll` raises it, the others return nil and are indexed
        if name == "wait_all" then
          assert.same({ true, 0 }, { good, problem })
        else
          assert.is_false(good)
        end
        assert.is_true(count < 1000)
      end)
    end)
  end

  describe("when it raises, the call continues", function()
    it("and a create's answer is delivered by a later update", function()
      local events = {}
      client:close()
      client = rig.client(srv, { on_event = function(event) events[#events + 1] = event.event end })
      srv:reply(late(QUEUED))
      client.pause = function() error("no", 0) end
      assert.is_false((pcall(client.create_video, client, { prompt = "p" })))
      assert.equal(1, client:update(0))
      finish()
      assert.equal(1, #srv:requests())
      assert.same({ "request", "response" }, events)
    end)

    it("but a download, which nobody reads any more, ends and leaves nothing", function()
      srv:reply(late(MP4))
      client.pause = function() error("no", 0) end
      assert.is_false((pcall(client.download_video, client, "v", files:at("f"))))
      rig.collect()
      finish()
      assert.equal("", files:list())
    end)

    it("and other started calls are delivered as well", function()
      srv:route("*", "^", late(DONE))
      local seen
      client:start("get_video", "a", { on_done = function(video) seen = video end })
      client.pause = function() error("no", 0) end
      assert.is_false((pcall(client.get_video, client, "b")))
      finish()
      assert.same(DONE.json, seen)
      assert.equal(2, #srv:requests())
    end)

    it("and a wait can be called again", function()
      srv:reply(QUEUED, QUEUED, DONE)
      local count = 0
      client.pause = function(self, seconds)
        count = count + 1
        if count == 3 then error("no", 0) end
        self:update(seconds)
      end
      assert.is_false((pcall(client.wait, client, "v", FAST)))
      assert.same(DONE.json, client:wait("v", FAST))
    end)
  end)

  describe("that returns at once", function()
    it("loses no started call and no watched job", function()
      srv:route("*", "^", late(DONE))
      local got = {}
      client.pause = function() end
      client:start("get_video", "a", { on_done = function(video) got.started = video.id end })
      client:watch("b", { on_done = function(video) got.watched = video.id end })
      got.waited = client:get_video("c").id
      finish()
      assert.same({ started = "v", watched = "v", waited = "v" }, got)
    end)

    it("reports what another call's on_done raises", function()
      local said, restore = rig.catch_stderr()
      finally(restore)
      srv:route("*", "^", DONE)
      srv:route("GET", "/v1/videos/b", answers.HELD)
      local started = 0
      client.pause = function() -- starts others, one after the other; the answer comes when all have raised
        if #said < started then return end
        if started == 20 then
          srv:wait_requests(21)
          return srv:release()
        end
        started = started + 1
        client:start("get_video", "a" .. started, { on_done = function() error("oh no", 0) end })
      end
      assert.equal("v", client:get_video("b").id)
      assert.equal(20, #said)
      assert.matches("oh no", said[1], 1, true)
    end)

    it("does not spin: the call takes a small part of its time", function()
      srv:reply { json = DONE.json, delay = 0.3 }
      local count = 0
      client.pause = function() count = count + 1 end
      assert(client:get_video("v"))
      assert.is_true(count < 3000, count .. " pauses")
    end)
  end)

  describe("as a field", function()
    it("set to nil makes calls wait by themselves again", function()
      srv:route("*", "^", DONE)
      local count = 0
      client.pause = function(self, seconds)
        count = count + 1
        self:update(seconds)
      end
      assert(client:get_video("v"))
      local before = count
      assert.is_true(before > 0)
      client.pause = nil
      for name in pairs(CALLS) do
        if name ~= "download_video" then assert(CALLS[name][3]()) end
      end
      assert.equal(before, count)
      assert.equal("function", type(client.pause))
      assert.equal(0, client:pause(0))
    end)

    it("can be replaced, also from within", function()
      srv:reply(late(DONE))
      local order = {}
      local function second(self, seconds)
        order[#order + 1] = 2
        self:update(seconds)
      end
      client.pause = function(self)
        order[#order + 1] = 1
        self.pause = second
      end
      assert(client:get_video("v"))
      assert.same({ 1, 2 }, { order[1], order[2] })
    end)

    it("may be set to nil from within", function()
      srv:reply(late(DONE))
      client.pause = function(self) self.pause = nil end
      assert.same(DONE.json, (client:get_video("v")))
    end)

    it("is a function or nil: anything else raises and changes nothing", function()
      srv:route("*", "^", DONE)
      local count = 0
      client.pause = function(self, seconds)
        count = count + 1
        self:update(seconds)
      end
      for name, bad in pairs { number = 5, string = "x", boolean = true, table = {} } do
        local good, message = pcall(function() client.pause = bad end)
        assert.is_false(good)
        assert.matches("pause_spec.lua:%d+: client.pause: expected a function or nil, got " .. name, message)
      end
      assert(client:get_video("v"))
      assert.is_true(count > 0)
    end)

    it("leaves other fields to the user", function()
      client.mine = 5
      assert.equal(5, client.mine)
      client.pause = function() end
      client.mine = 6
      assert.equal(6, client.mine)
      assert.matches(client.base_url, tostring(client), 1, true)
    end)
  end)

  it("does not change the errors for misuse", function()
    local calls = {
      function() return client:get_video("") end,
      function() return client:get_video("v", 5) end,
      function() return client:get_video("v", { timeoutt = 1 }) end,
      function() return client:get_video("v", { on_done = print }) end,
      function() return client:create_video(5) end,
      function() return client:create_video({ prompt = "p" }, 5) end,
      function() return client:create_video({ prompt = "p" }, { on_done = print }) end,
      function() return client:download_video("v", files:at("f"), { timeoutt = 1 }) end,
      function() return client:wait("") end,
      function() return client:wait("v", { intervall = 1 }) end,
      function() return client:wait_all(5) end,
    }
    -- Without the place, and without what only Lua knows: the name and the number of a C function's argument.
    local function message_of(call)
      local good, message = pcall(call)
      assert.is_false(good)
      return (message:gsub("^[^:]*:%d+: ", ""):gsub("^bad argument [^(]*", ""))
    end
    for i, call in ipairs(calls) do
      client.pause = nil
      local expected = message_of(call)
      client.pause = function(self, seconds) self:update(seconds) end
      assert.equal(expected, message_of(call), "call " .. i)
    end
    assert.same({}, srv:requests())
  end)

  it("gives the response as well, if asked for", function()
    srv:reply({ json = DONE.json, headers = { ["x-request-id"] = "r1" } })
    client.pause = function(self, seconds) self:update(seconds) end
    local video, err, response = client:get_video("v", { response = true })
    assert.same({ DONE.json, nil, "r1" }, { video, err, response.request_id })
  end)

  it("may end the call that waits", function()
    srv:reply { hold = true }
    client.pause = function(self, _, turn)
      while #srv:requests() == 0 do self:update(0.01) end
      turn.handle:cancel()
    end
    local video, err = client:get_video("v")
    assert.same({ nil, "cancelled" }, { video, err.kind })
  end)

  it("may end the poll that a wait waits for, which ends the wait", function()
    srv:route("*", "^", { hold = true })
    client.pause = function(self, _, turn)
      while #srv:requests() == 0 do self:update(0.01) end
      assert.is_true(turn.handle:cancel())
    end
    local video, err = client:wait("v", FAST)
    assert.same({ nil, "cancelled" }, { video, err.kind })
  end)

  describe("with 200 waiters in coroutines", function()
    local function crowd(work)
      local tasks = {}
      for i = 1, 200 do tasks[i] = coroutine.create(function() work(i) end) end
      return tasks
    end

    before_each(function()
      client:close()
      client = rig.client(srv, { timeout = patience.LIMIT })
      client.pause = function(_, seconds) coroutine.yield(seconds) end
    end)

    it("each gets its own answer", function()
      for i = 1, 200 do
        srv:route("GET", "/v1/videos/v" .. i, { json = { id = "v" .. i }, delay = i % 5 / 100 })
      end
      local right, yields = 0, 0
      patience.run(crowd(function(i)
        if client:get_video("v" .. i).id == "v" .. i then right = right + 1 end
      end), function() yields = yields + 1 end)
      assert.equal(200, right)
      assert.is_true(yields > 0)
      assert.equal(200, #srv:requests())
    end)

    it("waits of many polls run beside each other", function()
      for i = 1, 200 do
        srv:route("GET", "/v1/videos/v" .. i, { QUEUED, { json = { id = "v" .. i, status = "completed" } } })
      end
      local right = 0
      patience.run(crowd(function(i)
        if client:wait("v" .. i, { interval = 0.05 }).id == "v" .. i then right = right + 1 end
      end))
      assert.equal(200, right)
      assert.equal(400, #srv:requests())
    end)

    it("half of which are dropped do not disturb the others", function()
      srv:route("*", "^", answers.HELD)
      local right = 0
      local tasks = crowd(function()
        if client:get_video("v") then right = right + 1 end
      end)
      for _, task in ipairs(tasks) do assert(coroutine.resume(task)) end
      for i = 200, 101, -1 do tasks[i] = nil end
      rig.collect()
      srv:route("*", "^", DONE)
      srv:release() -- no call was answered before
      patience.run(tasks)
      assert.equal(100, right)
      finish()
      assert.equal(200, #srv:requests())
    end)
  end)
end)
