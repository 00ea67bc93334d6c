-- How wait and poll are called: misuse, which raises; the response table; the pause hook;
-- and the module's functions for the default client.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local rig = require "spec.support.rig"

local QUEUED, RUNNING, DONE = answers.QUEUED, answers.RUNNING, answers.DONE

describe("misuse of", function()
  local client

  setup(function() client = rig.client(httpd.refused_url()) end)
  teardown(function() client:close() end)

  for _, name in ipairs{ "wait", "poll" } do
    describe(name, function()
      -- The message that a call raises, before anything is sent.
      local function misuse(...)
        local ok, message = pcall(client[name], client, ...)
        assert.is_false(ok)
        assert.equal("string", type(message))
        assert.matches("'" .. name .. "'", message)
        return message
      end

      it("raises for a bad id", function()
        for _, id in ipairs{ "", ".", "..", {}, true } do assert.matches("id", misuse(id)) end
        assert.matches("id", misuse(nil))
        assert.matches("id", misuse())
      end)

      it("raises for bad options", function()
        assert.matches("options: expected a table, got number", misuse("v", 5))
        assert.matches("option 'interval': expected a positive number of seconds, got 0",
          misuse("v", { interval = 0 }))
        assert.matches("unknown option 'intervall'; did you mean 'interval'%?",
          misuse("v", { intervall = 1 }))
      end)

      local WRONG = { headers = { 1, { [1] = "A: b" }, { A = "b\r\nC: d" } }, query = { 1, { a = {} } },
        max_retries = { -1, 1.5, "2" }, response = { 1, "yes" } }
      for option, values in pairs(WRONG) do
        it("raises for a bad option of a call, too: " .. option, function()
          for _, value in ipairs(values) do
            assert.matches("option '" .. option .. "'", misuse("v", { [option] = value, timeout = 0.05 }))
          end
        end)
      end

      it("names the caller's line", function()
        local calls = { { "" }, { "v", 5 }, { "v", { interval = 0 } }, { "v", { colour = 1 } } }
        for _, arguments in ipairs(calls) do
          local _, message = pcall(function()
            local result = client[name](client, arguments[1], arguments[2])
            return result
          end)
          assert.matches("calls_spec%.lua:%d+: bad argument", message)
        end
      end)
    end)
  end
end)

describe("a wait", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  describe("with response = true", function()
    it("gives the response of the last poll", function()
      srv:reply({ json = QUEUED.json, headers = { ["x-request-id"] = "first" } },
        { json = DONE.json, headers = { ["x-request-id"] = "last" } })
      local video, err, response = client:wait("v", { interval = 0.01, response = true })
      assert.same(DONE.json, video)
      assert.is_nil(err)
      assert.same({ 200, "last", 1, "application/json" },
        { response.status, response.request_id, response.attempts, response.headers["content-type"] })
    end)

    it("gives it for a job that failed", function()
      srv:reply(QUEUED, { json = { id = "v", status = "failed" }, headers = { ["x-request-id"] = "last" } })
      local _, err, response = client:wait("v", { interval = 0.01, response = true })
      assert.equal("failed", err.kind)
      assert.equal("last", response.request_id)
    end)

    it("gives it where the poll itself failed, as get_video does", function()
      srv:reply({ json = QUEUED.json, headers = { ["x-request-id"] = "first" } },
        { status = 401, headers = { ["x-request-id"] = "last" } })
      local _, err, response = client:wait("v", { interval = 0.01, response = true })
      assert.equal(401, err.status)
      assert.same({ 401, "last" }, { response and response.status, response and response.request_id })
    end)

    it("gives none when it isn't asked for", function()
      srv:reply(DONE)
      assert.is_nil((select(3, client:wait("v", { response = false }))))
    end)
  end)

  it("that a hook ends in the middle of a poll leaves nothing running", function()
    srv:route("*", "^", { hold = true })
    finally(function() debug.sethook() end)
    local begun = core.now()
    debug.sethook(function()
      if core.now() - begun < 0.1 then return end
      debug.sethook()
      error("interrupted!", 0)
    end, "", 1)
    local good, problem = pcall(client.wait, client, "v")
    debug.sethook()
    assert.same({ false, "interrupted!" }, { good, problem })
    assert.equal(0, client:update(0.02))
  end)

  it("lets on_progress yield", function()
    srv:reply(QUEUED, RUNNING, DONE)
    local waiting = coroutine.wrap(function()
      local function on_progress(video) coroutine.yield(video.status) end
      return client:wait("v", { interval = 0.01, on_progress = on_progress })
    end)
    assert.same({ "queued", "in_progress", "completed", DONE.json },
      { waiting(), waiting(), waiting(), waiting() })
  end)

  describe("pauses through client.pause, which", function()
    it("gets the whole interval, and short pauses while a response is awaited", function()
      srv:reply(QUEUED, RUNNING, DONE)
      local now, rests, late = core.now, {}, 0
      core.now = function() return now() + late end
      finally(function() core.now = now end)
      client.pause = function(self, seconds, turn)
        assert.equal(client, self)
        if turn then
          assert.is_true(seconds > 0 and seconds <= 0.1)
          return self:update(seconds)
        end
        rests[#rests + 1] = seconds
        late = late + seconds
      end
      assert.same(DONE.json, client:wait("v", { interval = 10 }))
      assert.equal(2, #rests)
      assert.is_true(rests[1] > 7.4 and rests[1] <= 10)
      assert.is_true(rests[2] > 11.2 and rests[2] <= 15)
    end)

    it("may return early: the wait pauses again", function()
      srv:reply(QUEUED, DONE)
      local count = 0
      client.pause = function(self, seconds)
        count = count + 1
        self:update(math.min(seconds, 0.01))
      end
      assert(client:wait("v", { interval = 0.2 }))
      assert.is_true(count >= 10)
      assert.equal(2, #srv:requests())
    end)

    it("can be a coroutine's yield", function()
      srv:reply(QUEUED, RUNNING, DONE)
      client.pause = function(_, seconds) coroutine.yield(seconds) end
      local waiting = coroutine.wrap(function() return "video", client:wait("v", { interval = 0.01 }) end)
      local seconds, video = waiting()
      while seconds ~= "video" do
        assert.is_true(seconds > 0 and seconds <= 0.1)
        seconds, video = waiting()
      end
      assert.same(DONE.json, video)
    end)
  end)
end)

describe("the default client", function()
  local srv = given.server()
  local sora
  local getenv = os.getenv

  -- A module of its own, which has no default client yet; nothing is read from the environment.
  before_each(function()
    local loaded = package.loaded.sora
    package.loaded.sora = nil
    sora = require "sora"
    package.loaded.sora = loaded
    os.getenv = function() return nil end -- luacheck: ignore 122
  end)

  after_each(function()
    os.getenv = getenv -- luacheck: ignore 122
    sora.close()
  end)

  it("waits", function()
    assert(sora.configure{ base_url = srv.url .. "/v1", api_key = rig.KEY })
    srv:reply(QUEUED, DONE)
    assert.same(DONE.json, sora.wait("v", { interval = 0.01 }))
    assert.equal("Bearer " .. rig.KEY, srv:requests()[2].headers.authorization)
  end)

  it("polls", function()
    assert(sora.configure{ base_url = srv.url .. "/v1" })
    srv:reply(QUEUED, DONE)
    local states = {}
    for video in sora.poll("v", { interval = 0.01 }) do states[#states + 1] = video.status end
    assert.same({ "queued", "completed" }, states)
  end)

  it("is missing without a server: wait returns the error, poll raises it", function()
    local video, err = sora.wait("v")
    assert.is_nil(video)
    assert.equal("config", err.kind)
    local ok, raised = pcall(sora.poll, "v")
    assert.is_false(ok)
    assert.equal("config", raised.kind)
  end)

  it("raises for misuse as well", function()
    assert(sora.configure{ base_url = srv.url .. "/v1" })
    for _, name in ipairs{ "wait", "poll" } do
      assert.error_matches(function() sora[name]("v", { intervall = 1 }) end,
        "bad argument to '" .. name .. "' %(unknown option 'intervall'; did you mean 'interval'%?%)")
      assert.error_matches(function() sora[name]("") end, "bad argument to '" .. name .. "' %(id: ")
    end
    assert.equal(0, #srv:requests())
  end)
end)
