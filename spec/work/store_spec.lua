-- sora.store.redis: the five calls, the journal, and what a Redis may do to them. With a real Redis.
local cqueues = require "cqueues"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local redis = require "spec.support.redis"
local rig = require "spec.support.rig"
local store = require "sora.store.redis"

local SERVER = "http://gateway.example/v1"
local LONG, SHORT = 60, 0.01 -- s; of leases

-- A Redis for one spec.
local function own_redis(options)
  local own = redis.start(options)
  finally(function() own:remove() end)
  return own
end

describe("a store on Redis", function()
  local srv = given.redis()
  local queue

  before_each(function() queue = assert(store.open(srv.url)) end)
  after_each(function() queue:close() end)

  local function put(...)
    local tasks = {}
    for i, id in ipairs { ... } do
      tasks[i] = { id = id, body = ('{"prompt":"%s"}'):format(id), output = id .. ".mp4",
        twin = "twin of " .. id }
    end
    return queue:put(tasks)
  end

  local function take(worker, seconds, count)
    return assert(queue:take(worker or "w", seconds or LONG, count or 1, SERVER))
  end

  -- Takes one task whose lease has expired when this returns.
  local function take_briefly(worker)
    local task = take(worker, SHORT)[1]
    patience.wait(function() return assert(queue:list("running"))[1].left < 0 end, function() end)
    return task
  end

  local function note(...)
    return assert(queue:note(...))
  end

  local function state_of(id)
    for _, state in ipairs { "waiting", "running", "saved", "failed", "unsure" } do
      for _, task in ipairs(assert(queue:list(state))) do
        if task.id == id then
          assert.equal(state, task.state)
          return state, task
        end
      end
    end
  end

  local function asked(id, worker)
    local task = take_briefly(worker)
    assert.equal(id, task.id)
    assert.equal("ok", note(id, task.lease, "asked", { key = "key of " .. id }))
    return task
  end

  describe("gives tasks", function()
    it("in the order in which they were put, each to one worker", function()
      assert.equal(3, put("a", "b", "c"))
      assert.same({ "a", "b" }, rig.pluck(take("w1", LONG, 2), "id"))
      assert.same({ "c" }, rig.pluck(take("w2", LONG, 5), "id"))
      assert.same({}, take("w3"))
      assert.same({ waiting = 0, running = 3, saved = 0, failed = 0, unsure = 0 }, assert(queue:list()))
    end)

    it("with what their last worker has done, and a lease that grows", function()
      put "a"
      local first = asked("a", "w1")
      local second = take("w2")[1]
      assert.same({ "a", 1, "key of a", nil, '{"prompt":"a"}', "a.mp4" }, { second.id, second.attempt,
        second.asked, second.job, second.body, second.output })
      assert.is_true(second.lease > first.lease)
      assert.equal("w2", assert(queue:list("running"))[1].owner)
      assert.is_true(second.age >= 0 and second.age < 60)
    end)

    it("whose lease has expired before those that wait", function()
      put("a", "b")
      take_briefly()
      assert.same({ "a" }, rig.pluck(take("w2"), "id"))
    end)

    it("of one server", function()
      put("a", "b")
      take()
      local tasks, err = queue:take("w", LONG, 1, "http://other.example/v1")
      assert.is_nil(tasks)
      assert.equal("other_server", err.code)
      assert.equal("waiting", state_of "b")
    end)

    it("once each, to processes that take at the same time", function()
      local ids = {}
      for i = 1, 200 do ids[i] = "task" .. i end
      put((table.unpack or unpack)(ids)) -- luacheck: std max
      local code = ([[local q = assert(require("sora.store.redis").open %q)
        repeat
          local t = assert(q:take("w" .. tostring({}), 60, 3, "s"))
          for _, task in ipairs(t) do print(task.id, task.lease) end
        until #t == 0]]):format(srv.url)
      local children, seen, count = {}, {}, 0
      for i = 1, 4 do children[i] = rig.spawn(code) end
      for _, child in ipairs(children) do
        for line in child:lines() do
          assert.is_nil(seen[line], line)
          seen[line], count = true, count + 1
        end
        child:close()
      end
      assert.equal(200, count)
    end)

    it("and keeps what somebody has pushed by hand as a failed task", function()
      srv:cli("rpush", "{sora}:waiting", "A fox")
      put "a"
      assert.same({ "a" }, rig.pluck(take("w", LONG, 5), "id"))
      local state, task = state_of "A fox"
      assert.same({ "failed", "A fox" }, { state, task.body })
      assert.matches("not a task", task.error)
    end)
  end)

  describe("keeps tasks apart", function()
    it("and leaves those alone that it knows", function()
      put("a", "b")
      take()
      assert.equal(1, put("a", "b", "c"))
      assert.equal("running", state_of "a")
      assert.equal(2, assert(queue:list()).waiting)
    end)

    it("and refuses an output that another task has, with all that was to be put", function()
      put "a"
      local added, err = queue:put { { id = "x", body = "{}", output = "x.mp4" },
        { id = "y", body = "{}", output = "a.mp4" } }
      assert.same({ nil, "output", 0 }, { added, err.code, err.put })
      assert.matches("task 2: 'a.mp4' is the output of task a", err.message)
      assert.is_nil(state_of "x")
    end)

    it("in queues of different names", function()
      put "a"
      local other = assert(store.open(srv.url, { name = "other" }))
      assert.equal(0, assert(other:list()).waiting)
      other:close()
    end)
  end)

  describe("renews leases", function()
    it("of those who hold them", function()
      put("a", "b")
      local a = take_briefly "w1"
      local lost = assert(queue:renew("w1", LONG, { a = a.lease }))
      assert.same({}, lost)
      local b = take("w2", LONG, 5)
      assert.same({ "b" }, rig.pluck(b, "id"))
      assert.same({ a = true }, (queue:renew("w2", LONG, { a = a.lease, b = b[1].lease })))
      assert.same({ a = true }, (queue:renew("w1", LONG, { a = a.lease + 1 })))
    end)

    it("and gives hints to the worker that follows the job", function()
      put("a", "b")
      asked("a", "w1")
      local a = take("w1")[1]
      note("a", a.lease, "made", { job = "video_a" })
      assert.equal("ok", note("video_a", nil, "hint"))
      assert.equal("ok", note("nobody", nil, "hint"))
      local _, hints = assert(queue:renew("w2", LONG, {}))
      assert.same({}, hints)
      _, hints = assert(queue:renew("w1", LONG, {}))
      assert.same({ "video_a" }, hints)
      _, hints = assert(queue:renew("w1", LONG, {}))
      assert.same({}, hints)
      srv:cli("rpush", "{sora}:hints", "video_a") -- from any program
      _, hints = assert(queue:renew("w1", LONG, {}))
      assert.same({ "video_a" }, hints)
    end)
  end)

  describe("with a stale lease", function()
    local old, new

    before_each(function()
      put "a"
      old = take_briefly "old"
      new = take("new")[1]
    end)

    it("lets nobody ask, give up or put back", function()
      for _, event in ipairs { "asked", "failed", "unsure", "released", "refused", "found" } do
        assert.equal("stale", note("a", old.lease, event, { key = "k", jobs = "[]" }), event)
      end
      assert.equal("running", state_of "a")
      assert.equal("ok", note("a", new.lease, "asked", { key = "k" }))
    end)

    it("keeps the id of a job all the same", function()
      assert.equal("stale", note("a", old.lease, "made", { job = "video_1" }))
      assert.equal("made", note("a", new.lease, "asked", { key = "k" }))
      local _, task = state_of "a"
      assert.equal("video_1", task.job)
    end)

    it("keeps a second, different id, too, and is unsure", function()
      note("a", new.lease, "asked", { key = "k" })
      assert.equal("ok", note("a", new.lease, "made", { job = "video_2" }))
      assert.equal("ok", note("a", new.lease, "made", { job = "video_2" }))
      assert.equal("unsure", note("a", old.lease, "made", { job = "video_1" }))
      local state, task = state_of "a"
      assert.same({ "unsure", "video_2", { "video_1" } }, { state, task.job, task.others })
      assert.same({ a = true }, (queue:renew("new", LONG, { a = new.lease })))
    end)

    it("takes a film for the task's job, and no other", function()
      note("a", new.lease, "made", { job = "video_1" })
      assert.equal("stale", note("a", old.lease, "saved", { job = "video_2", path = "x" }))
      assert.equal("ok", note("a", old.lease, "saved", { job = "video_1", path = "x", bytes = 5 }))
      local state, task = state_of "a"
      assert.same({ "saved", "x", 5 }, { state, task.path, task.bytes })
    end)
  end)

  describe("after a worker that has asked, and died", function()
    it("hears that nothing was sent, or that it was refused, from that worker alone", function()
      put("a", "b")
      local a = asked("a", "old")
      local other = take("new")[1]
      assert.equal("stale", note("a", other.lease, "refused", { again = true }))
      assert.equal("ok", note("a", a.lease, "refused", { again = true }))
      assert.equal("waiting", state_of "a")
      take("w", LONG, 2)
      local _, task = state_of "a"
      assert.same({ nil, 2 }, { task.asked, task.attempt })
    end)

    it("lets nobody withdraw what two have asked with the same key", function()
      put "a"
      local first = asked("a", "old")
      local second = take_briefly "new"
      assert.equal("ok", note("a", second.lease, "asked", { key = "key of a" }))
      for _, task in ipairs { first, second } do
        assert.equal("stale", note("a", task.lease, "refused", { again = true }))
      end
      assert.equal("key of a", take()[1].asked)
    end)

    it("takes the one job that can be it", function()
      put "a"
      asked "a"
      local a = take()[1]
      assert.equal("none", note("a", a.lease, "found", { jobs = "[]" }))
      assert.equal("several", note("a", a.lease, "found", { jobs = '["x","y"]' }))
      assert.same({ "ok", "x" }, { note("a", a.lease, "found", { jobs = '["x"]' }) })
      assert.same({ "made", "x" }, { note("a", a.lease, "found", { jobs = '["y"]' }) })
    end)

    it("takes none that belongs to another task", function()
      put("a", "b")
      local a = take()[1]
      note("a", a.lease, "asked", { key = "k" })
      note("a", a.lease, "made", { job = "x" })
      asked "b"
      local b = take()[1]
      assert.equal("none", note("b", b.lease, "found", { jobs = '["x"]' }))
      assert.same({ "ok", "y" }, { note("b", b.lease, "found", { jobs = '["x","y"]' }) })
    end)

    it("takes none while a twin has asked, too, whose answer is not there", function()
      queue:put { { id = "a", body = "{}", twin = "fox" }, { id = "b", body = "{}", twin = "fox" } }
      asked "a"
      local a = take()[1]
      local b = take()[1]
      note("b", b.lease, "asked", { key = "k" })
      assert.equal("several", note("a", a.lease, "found", { jobs = '["x"]' }))
      note("b", b.lease, "made", { job = "x" })
      assert.equal("none", note("a", a.lease, "found", { jobs = '["x"]' }))
      assert.equal("ok", note("a", a.lease, "found", { jobs = '["x","y"]' }))
    end)

    it("resumes when the answer comes after all", function()
      put "a"
      local old = asked "a"
      local a = take()[1]
      assert.equal("ok", note("a", a.lease, "unsure", { error = "who knows" }))
      assert.equal("unsure", state_of "a")
      assert.equal("stale", note("a", old.lease, "made", { job = "x" }))
      local state, task = state_of "a"
      assert.same({ "waiting", "x", nil }, { state, task.job, task.error })
    end)

    it("keeps the id of a job whose task was dropped", function()
      put "a"
      asked "a"
      local a = take()[1]
      note("a", a.lease, "unsure")
      assert.equal("ok", note("a", nil, "drop"))
      assert.is_nil(state_of "a")
      note("a", 1, "made", { job = "x" })
      local state, task = state_of "a"
      assert.same({ "unsure", "x" }, { state, task.job })
      assert.matches("dropped", task.error)
    end)
  end)

  it("gives the same answer to a worker that repeats how a task ended, because the first was lost", function()
    put("a", "b", "c", "d", "e")
    local fields = { key = "k", job = "j", again = true, error = "no", path = "p", bytes = 5 }
    for _, event in ipairs { "saved", "failed", "unsure", "refused", "released" } do
      local task = take()[1]
      if event == "unsure" or event == "refused" then
        assert.equal("ok", queue:note(task.id, task.lease, "asked", fields))
      end
      local before = assert(queue:list())
      assert.equal("ok", queue:note(task.id, task.lease, event, fields))
      local after = assert(queue:list())
      assert.are_not.same(before, after)
      assert.equal("ok", queue:note(task.id, task.lease, event, fields))
      assert.same(after, assert(queue:list()))
      assert.equal("stale", queue:note(task.id, task.lease + 1, event, fields))
    end
  end)

  it("waits once for a Redis that is away, not in every call", function()
    local own = redis.start()
    local other, unix, tries = assert(store.open(own.url, { patience = 0.3 })), require "socket.unix", 0
    finally(function()
      package.loaded["socket.unix"] = unix
      other:close()
      own:remove()
    end)
    package.loaded["socket.unix"] = function()
      tries = tries + 1
      return unix()
    end
    own:halt()
    assert.equal("redis_lost", select(2, other:list()).code)
    assert.is_true(tries > 1)
    tries = 0
    for _ = 1, 3 do assert.is_nil((other:list())) end
    assert.equal(3, tries)
    own:resume()
    assert.is_truthy(other:list())
  end)

  it("keeps its tasks when Redis is killed and started again, and connects anew", function()
    local own = own_redis()
    local other = assert(store.open(own.url))
    assert(other:put { { id = "a", body = "{}" } })
    assert.is_true(other.durable)
    own:halt "KILL"
    local tasks, err = other:take("w", LONG, 1, "s")
    assert.same({ nil, "connect", "redis_lost", true }, { tasks, err.kind, err.code, err.retryable })
    own:resume()
    tasks = assert(other:take("w", LONG, 1, "s"))
    assert.equal("a", tasks[1].id)
    own:cli("client", "kill", "type", "normal")
    assert.equal("ok", assert(other:note("a", tasks[1].lease, "released")))
    own:cli("script", "flush")
    assert.equal(1, assert(other:list()).waiting)
    other:close()
  end)

  it("does all or nothing where Redis is full, and keeps what becomes of tasks that run", function()
    local own = own_redis { ["maxmemory-policy"] = "noeviction" }
    local other = assert(store.open(own.url))
    assert(other:put { { id = "a", body = "{}" }, { id = "b", body = "{}" } })
    local a = assert(other:take("w", LONG, 1, "s"))[1]
    own:cli("config", "set", "maxmemory", "100kb") -- less than it has
    local before = assert(other:list())
    for _, call in ipairs {
      function() return other:put { { id = "c", body = "{}" } } end,
      function() return other:take("w", LONG, 1, "s") end,
    } do
      local done, err = call()
      assert.is_nil(done)
      assert.same({ "file", "redis_full", true }, { err.kind, err.code, err.retryable })
    end
    assert.same(before, assert(other:list()))
    assert.same({}, (other:renew("w", LONG, { a = a.lease })))
    assert.equal("ok", other:note("a", a.lease, "asked", { key = "k" }))
    assert.equal("ok", other:note("a", a.lease, "made", { job = "x" }))
    assert.equal("ok", other:note("a", a.lease, "saved", { job = "x", path = "p" }))
    before.running, before.saved = 0, 1
    assert.same(before, assert(other:list()))
    own:cli("config", "set", "maxmemory", "100mb")
    assert.equal("b", assert(other:take("w", LONG, 1, "s"))[1].id)
    other:close()
  end)
end)

describe("the journal on Redis", function()
  local srv, api = given.redis(), given.server()

  it("is the record of a client's jobs, in any process", function()
    local queue = assert(store.open(srv.url))
    local client = rig.client(api, { journal = queue })
    api:route("POST", "/v1/videos", { { json = { id = "a", status = "queued" } }, { close = true } })
    assert(client:create_video { prompt = "A fox" })
    client:create_video { prompt = "A cat" }
    srv:cli("client", "kill", "type", "normal")
    client:close()
    queue:close()
    queue = assert(store.open(srv.url))
    client = rig.client(api, { journal = queue })
    local tickets = assert(client:unfinished())
    assert.same({ "a", nil, 2 }, { tickets[1].id, tickets[2].id, #tickets })
    assert.same({ "A fox", "A cat" }, rig.pluck(tickets, "prompt"))
    assert(client:forget(tickets[2]))
    assert.equal(1, #assert(client:unfinished()))
    client:close()
    queue:close()
  end)

  it("reads more lines than fit into one answer", function()
    local queue = assert(store.open(srv.url))
    for i = 1, 1201 do assert(queue.append("line " .. i)) end
    local count, step = 0, assert(queue.read())
    for line in step do
      count = count + 1
      assert.equal("line " .. count, line)
    end
    assert.equal(1201, count)
    queue:close()
  end)

  it("sends nothing if the line can't be written", function()
    local own = own_redis()
    local queue = assert(store.open(own.url, { patience = 0.1 }))
    local client = rig.client(api, { journal = queue })
    own:halt()
    local video, err = client:create_video { prompt = "A fox" }
    assert.same({ nil, "redis_lost" }, { video, err.code })
    assert.equal(0, #api:requests())
    client:close()
  end)
end)

describe("the address of a Redis", function()
  it("is read with host, port, database, user and password", function()
    local cases = {
      ["redis://localhost"] = { host = "localhost", port = 6379, db = "0",
        shown = "redis://localhost:6379/0" },
      ["redis://:se%40cret@10.0.0.1:7000/2"] = { host = "10.0.0.1", port = 7000, db = "2",
        password = "se@cret", shown = "redis://10.0.0.1:7000/2" },
      ["redis://me:pw@h/"] = { host = "h", port = 6379, db = "0", user = "me", password = "pw",
        shown = "redis://h:6379/0" },
      ["redis://:a/b@h:1"] = { host = "h", port = 1, db = "0", password = "a/b", shown = "redis://h:1/0" },
      ["redis://[::1]:7000/1"] = { host = "::1", port = 7000, db = "1", shown = "redis://::1:7000/1" },
      ["unix:///run/redis.sock"] = { path = "/run/redis.sock", db = "0", shown = "unix:///run/redis.sock" },
      ["redis+unix://:pw@/run/r.sock?db=3"] = { path = "/run/r.sock", db = "3", password = "pw",
        shown = "unix:///run/r.sock" },
    }
    for url, address in pairs(cases) do assert.same(address, store.address(url), url) end
  end)

  it("is refused, without showing it, if it is none", function()
    for _, url in ipairs { "http://:secret@h", "secret", "redis://:secret@h/secret", "unix://secret",
      "rediss://:secret@h" } do
      local queue, err = store.open(url)
      assert.is_nil(queue)
      assert.same({ "config", "redis_url" }, { err.kind, err.code })
      assert.is_nil(rig.shown(err):find("secret", 1, true))
    end
  end)

  it("is taken from SORA_REDIS_URL, the password from SORA_REDIS_PASSWORD", function()
    local own = own_redis({ requirepass = "s3cret" })
    local code = [[local q, err = require("sora.store.redis").open()
      print(q and q:list().waiting or err.code .. " " .. tostring(err))]]
    assert.equal("0\n", rig.run(code, { SORA_REDIS_URL = own.url, SORA_REDIS_PASSWORD = "s3cret" }))
    local said = rig.run(code, { SORA_REDIS_URL = own.url, SORA_REDIS_PASSWORD = "wr0ng" })
    assert.matches("^redis_auth .*refuses the password", said)
    assert.is_nil(said:find("wr0ng", 1, true))
    assert.matches("^redis_auth ", rig.run(code, { SORA_REDIS_URL = own.url }))
    assert.matches("SORA_REDIS_URL", rig.run(code, { SORA_REDIS_URL = "" }))
  end)

  it("of nobody gives a `connect` error", function()
    local folder = process.folder()
    local refused = httpd.refused_url():gsub("^http://", "redis://:s3cret@")
    for _, url in ipairs { "unix://" .. folder .. "/none", refused .. "/0" } do
      local began = cqueues.monotime()
      local queue, err = store.open(url, { patience = 0.1 })
      assert.is_nil(queue)
      assert.same({ "connect", "redis_lost" }, { err.kind, err.code })
      assert.matches("can't connect to", err.message)
      assert.is_nil(rig.shown(err):find("s3cret", 1, true))
      assert.is_true(cqueues.monotime() - began < patience.LIMIT)
    end
    os.execute("rmdir " .. folder)
  end)

  it("of a server that is not a Redis says so", function()
    local web = httpd.start()
    finally(function() web:stop() end)
    local queue, err = store.open(web.url:gsub("^http", "redis"), { patience = 0.1 })
    assert.is_nil(queue)
    assert.same({ "transport", "redis_lost" }, { err.kind, err.code })
    assert.matches("does not answer as Redis does", err.message, 1, true)
  end)
end)
