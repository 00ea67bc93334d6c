-- client:start and client:update: calls that nobody waits for, and when and how often on_done is called.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"

local DONE, HELD = answers.DONE, answers.HELD
local MISSING = { status = 404, json = { error = { message = "no such video" } } }
local BUSY = answers.busy(20)
local FILM = ("film"):rep(5000)
local MP4 = answers.file(FILM)
local LIMIT = patience.LIMIT

describe("start", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  local function renew(options)
    client:close()
    client = rig.client(srv, options)
  end

  local function pump(holds) patience.pump(client, holds) end

  local function finish() patience.finish(client) end

  -- Works until the handles are done, but delivers nothing: that is update's part alone.
  local function settle(handles)
    srv:route("GET", "/v1/videos/other", DONE)
    for _, handle in ipairs(handles) do
      while not handle:done() do assert(client:get_video("other")) end
    end
  end

  describe("gives a handle", function()
    it("that is done when update says so, and keeps its result", function()
      srv:reply(HELD)
      local handle = assert(client:start("get_video", "v"))
      assert.is_false(handle:done())
      pump(function() return #srv:requests() == 1 end)
      assert.is_false(handle:done())
      assert.equal(1, client:update(0))
      srv:release()
      finish()
      assert.is_true(handle:done())
      local video, err = handle:result()
      assert.same(DONE.json, video)
      assert.is_nil(err)
      assert.equal(video, (handle:result()))
      assert.equal(1, select("#", handle:result()))
    end)

    it("whose result raises before that, and harms nothing", function()
      srv:reply(HELD)
      local handle = assert(client:start("get_video", "v"))
      assert.error_matches(function() handle:result() end, "not done yet")
      pump(function() return #srv:requests() == 1 end)
      assert.error_matches(function() handle:result() end, "not done yet")
      srv:release()
      finish()
      assert.same(DONE.json, handle:result())
    end)

    it("with nil and the error when the call fails", function()
      srv:reply(MISSING)
      local handle = assert(client:start("get_video", "v"))
      finish()
      local video, err = handle:result()
      assert.is_nil(video)
      assert.same({ "api", 404, "no such video" }, { err.kind, err.status, err.message })
      assert.equal(err, select(2, handle:result()))
    end)

    it("with the response in third place, if asked for", function()
      srv:reply({ json = DONE.json, headers = { ["x-request-id"] = "r1" } }, MISSING)
      local good = assert(client:start("get_video", "v", { response = true }))
      finish()
      local bad = assert(client:start("get_video", "v", { response = true }))
      finish()
      local video, err, response = good:result()
      assert.same({ DONE.json, nil, 200, "r1" }, { video, err, response.status, response.request_id })
      assert.equal(404, (select(3, bad:result())).status)
      assert.equal(response, (select(3, good:result())))
    end)

    it("for every method that makes one call", function()
      srv:reply(DONE, { json = { id = "n", status = "queued" } }, MP4)
      local get = assert(client:start("get_video", "a/b"))
      finish()
      local create = assert(client:start("create_video", { prompt = "a boat" },
        { headers = { ["X-A"] = "1" } }))
      finish()
      local download = assert(client:start("download_video", "v", files:at("film.mp4")))
      finish()
      assert.equal("v", get:result().id)
      assert.equal("n", create:result().id)
      assert.same({ path = files:at("film.mp4"), bytes = #FILM, content_type = "video/mp4" },
        download:result())
      assert.equal(FILM, files:read("film.mp4"))
      local requests = srv:requests()
      assert.same({ "GET", "POST", "GET" }, rig.pluck(requests, "method"))
      assert.same({ "/v1/videos/a%2fb", "/v1/videos", "/v1/videos/v/content" },
        { requests[1].target:lower(), requests[2].target, requests[3].target })
      assert.matches('"prompt":"a boat"', requests[2].body, 1, true)
      assert.equal("1", requests[2].headers["x-a"])
    end)
  end)

  describe("calls on_done", function()
    it("with the results", function()
      srv:reply(DONE, MISSING, { json = DONE.json })
      local heard = {}
      local function on_done(...) heard[#heard + 1] = { n = select("#", ...), ... } end
      assert(client:start("get_video", "v", { on_done = on_done }))
      finish()
      assert(client:start("get_video", "v", { on_done = on_done }))
      finish()
      assert(client:start("get_video", "v", { on_done = on_done, response = true }))
      finish()
      assert.same({ n = 1, DONE.json }, heard[1])
      assert.equal(2, heard[2].n)
      assert.same({ nil, 404 }, { heard[2][1], heard[2][2].status })
      assert.equal(3, heard[3].n)
      assert.same({ DONE.json, nil, 200 }, { heard[3][1], heard[3][2], heard[3][3].status })
    end)

    it("from update alone, and once", function()
      srv:route("*", "^", DONE)
      local count = 0
      local handle = assert(client:start("get_video", "v", { on_done = function() count = count + 1 end }))
      settle { handle }
      assert(client:create_video { prompt = "p" })
      assert.equal("v", handle:result().id)
      assert.equal(0, count)
      assert.equal(0, client:update(0))
      assert.equal(1, count)
      for _ = 1, 3 do client:update(0) end
      assert.equal("v", handle:result().id)
      assert(client:get_video("other"))
      assert.equal(1, count)
    end)

    it("with the very table that the handle gives", function()
      srv:reply(DONE)
      local seen
      local handle = assert(client:start("get_video", "v", { on_done = function(video) seen = video end }))
      finish()
      assert.equal(seen, (handle:result()))
    end)

    it("once for each of many, with its own answer", function()
      for i = 1, 100 do srv:route("GET", "/v1/videos/v" .. i, { json = { id = "v" .. i } }) end
      local counts, wrong = {}, 0
      for i = 1, 100 do
        counts[i] = 0
        assert(client:start("get_video", "v" .. i, { on_done = function(video)
          counts[i] = counts[i] + 1
          if video.id ~= "v" .. i then wrong = wrong + 1 end
        end }))
      end
      finish()
      for i = 1, 100 do assert.equal(1, counts[i]) end
      assert.equal(0, wrong)
    end)

    it("for a handle that nobody kept", function()
      srv:reply(HELD)
      local seen
      client:start("get_video", "v", { on_done = function(video) seen = video end })
      pump(function() return #srv:requests() == 1 end)
      rig.collect()
      srv:release()
      finish()
      assert.same(DONE.json, seen)
    end)

    it("for a call whose connection is refused", function()
      renew { base_url = "http://nobody.invalid/v1", proxy = httpd.refused_url() }
      local kind
      client:start("get_video", "v", { on_done = function(_, err) kind = err.kind end })
      assert.is_nil(kind)
      finish()
      assert.equal("connect", kind)
    end)
  end)

  describe("an on_done that raises", function()
    -- Starts calls with these on_dones and lets all be done before one update.
    local function deliver(...)
      srv:route("*", "^", DONE)
      local handles = {}
      for i, on_done in ipairs { ... } do
        handles[i] = assert(client:start("get_video", "v" .. i, { on_done = on_done }))
      end
      settle(handles)
      return pcall(client.update, client, 0)
    end

    it("does not keep others from being called; update raises the first error afterwards", function()
      local heard = {}
      local function raise(what)
        return function()
          heard[#heard + 1] = what
          error(what, 0)
        end
      end
      local function hear() heard[#heard + 1] = "fine" end
      local good, raised = deliver(hear, raise "a", hear, raise "b", hear)
      assert.is_false(good)
      assert.equal(5, #heard)
      local first
      for _, what in ipairs(heard) do first = first or (what ~= "fine" and what) or nil end
      assert.equal(first, raised)
      assert.equal(0, client:update(0))
      assert.equal(5, #heard)
    end)

    it("propagates a table as it is", function()
      local problem = {}
      local good, raised = deliver(function() error(problem) end)
      assert.is_false(good)
      assert.equal(problem, raised)
    end)

    it("propagates even nil", function()
      assert.is_false((deliver(function() error() end)))
    end)

    it("leaves the result with the handle, and what runs running", function()
      srv:reply(HELD, DONE)
      local slow = assert(client:start("get_video", "slow"))
      pump(function() return #srv:requests() == 1 end)
      local handle = assert(client:start("get_video", "v", { on_done = function() error("oh no", 0) end }))
      settle { handle }
      assert.error_matches(function() client:update(0) end, "oh no")
      assert.same(DONE.json, handle:result())
      assert.equal(1, client:update(0))
      srv:release()
      finish()
      assert.same(DONE.json, slow:result())
    end)

    it("ends a long update at once", function()
      srv:route("*", "^", DONE)
      client:start("get_video", "v", { on_done = function() error("oh no", 0) end })
      local before = core.now()
      assert.error_matches(function() client:update(LIMIT) end, "oh no")
      assert.is_true(core.now() - before < LIMIT / 2)
    end)
  end)

  describe("inside on_done", function()
    it("update delivers the others, each once", function()
      srv:route("*", "^", DONE)
      local heard, handles = {}, {}
      for i = 1, 5 do
        handles[i] = assert(client:start("get_video", "v" .. i, { on_done = function()
          heard[#heard + 1] = i
          assert.is_true(client:update(0) >= 0)
          assert.is_true(client:update(0.001) >= 0)
        end }))
      end
      settle(handles)
      assert.equal(0, client:update(0))
      table.sort(heard)
      assert.same({ 1, 2, 3, 4, 5 }, heard)
    end)

    it("update raises what it delivers to the inner caller", function()
      srv:route("*", "^", DONE)
      local inner
      local outer = assert(client:start("get_video", "a", { on_done = function()
        inner = inner or { pcall(client.update, client, 0) }
      end }))
      local raising = assert(client:start("get_video", "b", { on_done = function()
        inner = inner or {}
        error("oh no", 0)
      end }))
      settle { outer, raising }
      local good, raised = pcall(client.update, client, 0)
      assert.equal("oh no", good and inner[2] or raised)
      assert.equal(good, inner[1] == false)
    end)

    it("start starts the next, as often as it likes", function()
      srv:route("*", "^", DONE)
      local count = 0
      local function again()
        count = count + 1
        if count < 20 then assert(client:start("get_video", "v", { on_done = again })) end
      end
      again()
      finish()
      assert.equal(20, count)
      assert.equal(19, #srv:requests())
    end)

    it("blocking calls work", function()
      srv:route("*", "^", DONE)
      srv:route("GET", "/v1/videos/v/content", MP4)
      srv:route("GET", "/v1/videos/slow", HELD)
      local slow = assert(client:start("get_video", "slow"))
      pump(function() return #srv:requests() == 1 end)
      local got
      client:start("get_video", "v", { on_done = function()
        got = { client:get_video("a").id, client:create_video({ prompt = "p" }).id,
          client:download_video("v", files:at("f")).bytes, client:wait("b").id,
          #client:wait_all { "c", "d" } }
      end })
      pump(function() return got end)
      assert.same({ "v", "v", #FILM, "v", 2 }, got)
      assert.is_false(slow:done())
      srv:release()
      finish()
      assert.same(DONE.json, slow:result())
    end)

    it("cancel ends other calls, whose on_done is called", function()
      srv:route("GET", "/v1/videos/slow", HELD)
      srv:route("GET", "/v1/videos/v", DONE)
      local kinds = {}
      local slow = {}
      for i = 1, 3 do
        slow[i] = client:start("get_video", "slow", { on_done = function(_, err) kinds[i] = err.kind end })
      end
      pump(function() return #srv:requests() == 3 end)
      local own
      own = client:start("get_video", "v", { on_done = function()
        assert.is_false(own:cancel())
        for i = 1, 3 do assert.is_true(slow[i]:cancel()) end
      end })
      finish()
      assert.same({ "cancelled", "cancelled", "cancelled" }, kinds)
    end)
  end)

  describe("refuses", function()
    local function start(...) return client:start(...) end

    it("unknown methods, with the nearest name", function()
      for wrong, right in pairs { get_vidoe = "get_video", creat_video = "create_video",
        download_vide = "download_video" } do
        assert.error_matches(function() start(wrong, "v") end, "('" .. wrong
          .. "' is not a call that can be started; did you mean '" .. right .. "'?", 1, true)
      end
    end)

    it("methods that make many calls, and values that are no name", function()
      for _, name in ipairs { "wait", "poll", "wait_all", "watch", "close", "update", "start", "xyzzy" } do
        assert.error_matches(function() start(name, "v") end,
          "('" .. name .. "' is not a call that can be started", 1,
          true)
      end
      for _, name in ipairs { 5, true, {} } do
        assert.error_matches(function() start(name) end,
          "bad argument to 'start' %('.*' is not a call that can be started")
      end
      assert.error_matches(function() start() end, "bad argument to 'start' %('nil' is not a call")
    end)

    local MISUSES = {
      ["an empty id"] = { "id: expected an id, got an empty string", "get_video", "" },
      ["no id"] = { "id: expected a string, got nil", "get_video" },
      ["an on_done that is no function"] = { "option 'on_done': expected a function, got number",
        "get_video", "v", { on_done = 5 } },
      ["an unknown option"] = { "unknown option 'on_don'; did you mean 'on_done'?", "get_video", "v",
        { on_don = print } },
      ["options that are no table"] = { "options: expected a table, got number", "get_video", "v", 5 },
      ["a create's options that are no table"] = { "options: expected a table, got number", "create_video",
        { prompt = "p" }, 5 },
      ["a download's unknown option"] = { "unknown option 'on_don'; did you mean 'on_done'?",
        "download_video", "v", "/nonexistent/f", { on_don = print } },
    }
    for name, misuse in pairs(MISUSES) do
      it(name .. ", naming the caller's line", function()
        local good, message = pcall(function()
          local _ = start(misuse[2], misuse[3], misuse[4], misuse[5])
        end)
        assert.is_false(good)
        assert.matches(misuse[1], message, 1, true)
        assert.matches("start_spec.lua:%d+: ", message)
        assert.equal(0, client:update(0))
        assert.same({}, srv:requests())
      end)
    end

    it("on_done in blocking calls, with a pause hook as well", function()
      local option = { on_done = function() end }
      local calls = {
        function() return client:get_video("v", option) end,
        function() return client:create_video({ prompt = "p" }, option) end,
        function() return client:download_video("v", files:at("f"), option) end,
      }
      local waits = {
        function() return client:wait("v", option) end,
        function() return client:poll("v", option) end,
        function() return client:wait_all({ "v" }, option) end,
      }
      srv:route("*", "^", DONE)
      for _ = 1, 2 do
        for _, call in ipairs(calls) do
          assert.error_matches(call, "on_done.*is for calls that are started")
        end
        for _, wait in ipairs(waits) do assert.error_matches(wait, "unknown option 'on_done'") end
        client.pause = function(self, seconds) self:update(seconds) end
      end
      assert.same({}, srv:requests())
      assert.equal("", files:list())
    end)
  end)

  describe("on a closed client", function()
    it("gives nil and closed, and so does update", function()
      client:close()
      for _, case in ipairs { { "get_video", "v" }, { "create_video", { prompt = "p" } },
        { "download_video", "v", files:at("f") } } do
        local handle, err = client:start(case[1], case[2], case[3])
        assert.is_nil(handle)
        assert.equal("closed", err.kind)
      end
      local running, err = client:update(0)
      assert.same({ nil, "closed" }, { running, err.kind })
      assert.equal("", files:list())
    end)

    it("still raises for misuse", function()
      client:close()
      assert.error_matches(function() client:start("get_vidoe") end, "did you mean 'get_video'")
    end)
  end)

  describe("cancel", function()
    it("ends a running call: done at once, on_done from the next update, no answer later", function()
      srv:reply(HELD)
      local heard, err = 0, nil
      local handle = client:start("get_video", "v", { on_done = function(_, why)
        heard, err = heard + 1, why
      end })
      pump(function() return #srv:requests() == 1 end)
      assert.is_true(handle:cancel())
      assert.is_true(handle:done())
      assert.equal(0, heard)
      assert.is_false(handle:cancel())
      assert.equal(0, client:update(0))
      assert.same({ 1, "cancelled" }, { heard, err.kind })
      assert.same({ nil, err }, { handle:result() })
      srv:release()
      client:update(0.02)
      assert.equal(1, heard)
    end)

    it("of one that is done changes nothing", function()
      srv:reply(DONE)
      local handle = client:start("get_video", "v")
      settle { handle }
      assert.is_false(handle:cancel())
      assert.same(DONE.json, handle:result())
    end)

    it("of one that queues keeps it from ever being sent", function()
      renew { max_connections = 1 }
      srv:route("GET", "/v1/videos/first", HELD)
      srv:route("GET", "/v1/videos/last", DONE)
      local first = client:start("get_video", "first")
      local second = client:start("get_video", "second")
      local last = client:start("get_video", "last")
      pump(function() return #srv:requests() == 1 end)
      assert.is_true(second:cancel())
      srv:release()
      finish()
      assert.same({ DONE.json, DONE.json }, { (first:result()), (last:result()) })
      assert.same({ "/v1/videos/first", "/v1/videos/last" }, rig.pluck(srv:requests(), "target"))
    end)

    it("of a download leaves the old file", function()
      files:write("f", "old")
      srv:reply(answers.HALF)
      local handle = client:start("download_video", "v", files:at("f"))
      pump(function() return (files:read("f.part") or "") ~= "" end)
      assert.is_true(handle:cancel())
      client:update(0)
      assert.equal("cancelled", select(2, handle:result()).kind)
      assert.equal("old", files:read("f"))
    end)
  end)

  describe("max_connections", function()
    it("is honoured: the others queue until one is done", function()
      renew { max_connections = 3 }
      srv:route("*", "^", HELD)
      local count = 0
      for i = 1, 12 do
        client:start("get_video", "v" .. i, { on_done = function(video)
          count = count + (video and 1 or 0)
        end })
      end
      for wave = 1, 4 do
        pump(function() return #srv:requests() == 3 * wave end)
        client:update(0.02) -- nothing comes of it: the others are not sent
        assert.equal(3 * wave, #srv:requests())
        assert.equal(12 - 3 * (wave - 1), client:update(0))
        srv:release()
        pump(function() return count == 3 * wave end)
      end
      assert.equal(0, client:update(0))
      assert.equal(3, srv:connections())
    end)

    it("is honoured by calls that each need a new connection", function()
      renew { max_connections = 2 }
      srv:route("*", "^", { json = DONE.json, delay = 0.02 })
      local count = 0
      for _ = 1, 8 do
        client:start("create_video", { prompt = "p" }, { on_done = function(video)
          count = count + (video and 1 or 0)
        end })
      end
      finish()
      assert.equal(8, count)
      local times = rig.pluck(srv:requests(), "at")
      for i = 3, 8 do assert.is_true(times[i] - times[i - 2] >= 0.019, "three at a time") end
    end)

    it("does not use up the timeout of calls in the queue", function()
      renew { max_connections = 2, timeout = 1 }
      srv:route("*", "^", { json = DONE.json, delay = 0.2 })
      local good, kinds, before = 0, {}, core.now()
      for _ = 1, 16 do -- eight after the other, 1.6 s
        client:start("get_video", "v", { on_done = function(video, err)
          if video then good = good + 1 else kinds[#kinds + 1] = err.kind end
        end })
      end
      finish()
      assert.same({}, kinds)
      assert.equal(16, good)
      assert.is_true(core.now() - before >= 1.59)
    end)

    it("is honoured beside a blocking call", function()
      renew { max_connections = 1 }
      srv:route("GET", "/v1/videos/slow", { json = DONE.json, delay = 0.05 })
      srv:route("GET", "/v1/videos/v", DONE)
      local slow = client:start("get_video", "slow")
      assert.same(DONE.json, client:get_video("v"))
      assert.is_true(slow:done())
      assert.equal(1, srv:connections())
    end)
  end)

  describe("retries", function()
    before_each(function() renew { max_retries = 2 } end)

    it("what is retryable, without a blocking call", function()
      srv:reply(BUSY, BUSY, DONE)
      local handle = client:start("get_video", "v", { response = true })
      patience.wait(function() return handle:done() end, function() client:update(0) end)
      local video, _, response = handle:result()
      assert.same({ DONE.json, 3 }, { video, response.attempts })
      local times = rig.pluck(srv:requests(), "at")
      for i = 2, 3 do assert.is_true(times[i] - times[i - 1] >= 0.019) end
    end)

    it("a create that was refused, but not one that may have made a job", function()
      srv:reply(BUSY, DONE)
      local handle = client:start("create_video", { prompt = "p" })
      finish()
      assert.same(DONE.json, handle:result())
      srv:reply({ status = 500 }, DONE)
      handle = client:start("create_video", { prompt = "p" })
      finish()
      local _, err = handle:result()
      assert.same({ 500, true }, { err.status, err.ambiguous })
      assert.equal(3, #srv:requests())
    end)

    it("a download, whose file is whole in the end", function()
      srv:reply({ body = FILM, headers = MP4.headers, truncate = 1000 }, MP4)
      local handle = client:start("download_video", "v", files:at("f"))
      finish()
      assert.equal(#FILM, handle:result().bytes)
      assert.equal(FILM, files:read("f"))
    end)

    it("tell nothing of the call before to one that is cancelled while it is queued", function()
      srv:route("GET", "/v1/videos/refused", { status = 429, headers = { ["Retry-After"] = "600",
        ["x-request-id"] = "req_1" }, json = { error = { message = "no", code = "c", type = "t" } } })
      srv:route("GET", "/v1/videos/held", { hold = true })
      local narrow = rig.client(srv, { max_connections = 1 })
      for _ = 1, 3 do narrow:start("get_video", "refused", { on_done = function() end }) end
      patience.finish(narrow)
      narrow:start("get_video", "held")
      local queued = {}
      for i = 1, 2 do queued[i] = narrow:start("get_video", "v") end
      patience.pump(narrow, function() return #srv:requests() == 4 end)
      for _, handle in ipairs(queued) do
        assert.is_true(handle:cancel())
        local _, err = handle:result()
        assert.same({ kind = "cancelled", message = "the call was cancelled", attempts = 0,
          retryable = false }, answers.with(err))
      end
      narrow:close()
    end)

    it("until there are no retries left", function()
      srv:route("*", "^", BUSY)
      local handle = client:start("get_video", "v")
      finish()
      local _, err = handle:result()
      assert.same({ "api", 503, 3 }, { err.kind, err.status, err.attempts })
      assert.equal(3, #srv:requests())
    end)

    it("beside others that are answered meanwhile", function()
      srv:route("GET", "/v1/videos/busy",
        { answers.busy(150), DONE })
      srv:route("GET", "/v1/videos/v", DONE)
      local order = {}
      local function note(what) return { on_done = function() order[#order + 1] = what end } end
      client:start("get_video", "busy", note "busy")
      client:start("get_video", "v", note "v")
      finish()
      assert.same({ "v", "busy" }, order)
    end)
  end)

  describe("a download that is started", function()
    it("puts its file in place, even without on_done and handle", function()
      files:write("f", "old")
      srv:reply(MP4)
      client:start("download_video", "v", files:at("f"))
      rig.collect()
      finish()
      assert.equal(FILM, files:read("f"))
      assert.equal("f", files:list())
    end)

    it("puts it there before on_done is called", function()
      srv:reply(MP4)
      local seen, bytes
      client:start("download_video", "v", files:at("f"), { on_done = function(file)
        seen, bytes = files:read("f"), file.bytes
      end })
      finish()
      assert.same({ FILM, #FILM }, { seen, bytes })
    end)

    it("puts it there when its handle is asked before update", function()
      srv:reply(MP4)
      local heard
      local handle = client:start("download_video", "v", files:at("f"),
        { on_done = function(file) heard = file end })
      settle { handle }
      local file = handle:result()
      assert.equal(FILM, files:read("f"))
      assert.is_nil(heard)
      client:update(0)
      assert.equal(file, heard)
    end)

    it("leaves the old file when the body is HTML", function()
      files:write("f", "old")
      srv:reply { body = "<html>no</html>", headers = { ["Content-Type"] = "text/html" } }
      local handle = client:start("download_video", "v", files:at("f"))
      finish()
      assert.is_nil((handle:result()))
      assert.equal("old", files:read("f"))
    end)

    it("gives nil, err at once where the file can't be written", function()
      local handle, err = client:start("download_video", "v", "/nonexistent/f")
      assert.is_nil(handle)
      assert.equal("file", err.kind)
      assert.equal(0, client:update(0))
      assert.same({}, srv:requests())
    end)

    it("is one of many, each with its own file", function()
      for i = 1, 20 do
        srv:route("GET", "/v1/videos/v" .. i .. "/content", { body = FILM .. i, headers = MP4.headers })
        client:start("download_video", "v" .. i, files:at("f" .. i))
      end
      finish()
      for i = 1, 20 do assert.equal(FILM .. i, files:read("f" .. i)) end
    end)
  end)

  describe("update", function()
    it("returns how many are running, at once when it may not wait", function()
      srv:route("*", "^", HELD)
      assert.equal(0, client:update())
      for i = 1, 5 do
        client:start("get_video", "v")
        assert.equal(i, client:update())
      end
      pump(function() return #srv:requests() == 5 end) -- none is left for the next spec's server
    end)

    it("waits no longer than it may", function()
      srv:reply(HELD)
      client:start("get_video", "v")
      pump(function() return #srv:requests() == 1 end)
      local before = core.now()
      assert.equal(1, client:update(0.1))
      assert.is_true(core.now() - before >= 0.09)
    end)

    it("returns as soon as something is done", function()
      srv:reply({ json = DONE.json, delay = 0.02 })
      local handle = client:start("get_video", "v")
      local before = core.now()
      assert.equal(0, client:update(LIMIT))
      assert.is_true(handle:done())
      assert.is_true(core.now() - before < LIMIT / 2)
    end)

    it("sees at once an answer that came while the call was being started", function()
      srv:route("*", "^", DONE)
      assert(client:get_video("warm"))
      local waited = rig.time(30, function() assert(client:get_video("v")) end)
      local started = rig.time(30, function()
        local handle = client:start("get_video", "v")
        while not handle:done() do client:update(1) end
        assert(client:get_video("v"))
      end)
      -- a start that misses its answer costs 0.1 s and more
      assert.is_true(started < 1.5 + 5 * waited, ("%g s, waited for %g s"):format(started, waited))
    end)

    it("raises for an argument that is not a time", function()
      for _, bad in ipairs { -1, "x", {}, true } do
        assert.error_matches(function() local _ = client:update(bad) end, "number")
      end
    end)
  end)
end)
