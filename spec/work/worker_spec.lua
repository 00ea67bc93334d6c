-- sora.work.worker: what a worker writes, sends and saves, in which order. With a real Redis.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local work = require "sora.work"

describe("a worker", function()
  local redis, srv, files = given.redis(), given.server(), given.folder()
  local queue, client, told

  before_each(function()
    queue = assert(work.open(redis.url, { patience = 0.1 }))
    client = rig.client(srv)
    told = {}
    files:run "mkdir -p films"
  end)
  after_each(function()
    client:close()
    queue:close()
  end)

  -- A server of jobs that are completed at once, and have a file.
  local function serve(ids)
    local made = {}
    for i, id in ipairs(ids) do made[i] = { json = { id = id, status = "queued" } } end
    if ids[1] then srv:route("POST", "/v1/videos", made) end
    srv:route("GET", "^/v1/videos/[%w]+$", answers.DONE)
    srv:route("GET", "^/v1/videos/[%w]+/content$", answers.FILE)
  end

  local function listed(...)
    srv:route("GET", "/v1/videos", { json = { object = "list", data = { ... }, has_more = false } })
  end

  local function worker(opts, store)
    return queue.worker({ store = store or queue.store }, client, answers.with({ dir = files:at "films",
      interval = 0.01, max_interval = 0.01, lease = 1.2, drain = true, settle = 0.3,
      on_progress = function(entry) told[#told + 1] = entry.state end }, opts))
  end

  local function run(opts, store) return worker(opts, store):run() end

  local function counts(results)
    return { results.made, results.saved, results.failed, results.unsure }
  end

  local function posts()
    local list = {}
    for _, request in ipairs(srv:requests()) do
      if request.method == "POST" then list[#list + 1] = request end
    end
    return list
  end

  local function tasks(state) return assert(queue:tasks(state)) end

  -- A store that calls `before` or `after` around a note of an event, once.
  local function around(event, place, hook)
    local real, called = queue.store, false
    return setmetatable({ note = function(_, id, lease, what, fields)
      local mine = what == event and not called
      if mine then called = true end
      if mine and place == "before" then hook(id, lease) end
      local said, more = real:note(id, lease, what, fields)
      if mine and place == "after" then hook(id, lease) end
      return said, more
    end }, { __index = function(_, name)
      return function(_, ...) return real[name](real, ...) end
    end })
  end

  it("makes a film of each task", function()
    serve { "a", "b", "c" }
    assert(queue:put { "A fox", { prompt = "Rain", seconds = "4", output = "rain.mp4" }, "A boat" })
    assert.same({ 3, 3, 0, 0 }, counts(assert(run())))
    assert.equal(answers.MP4, files:read "films/rain.mp4")
    local saved = tasks "saved"
    assert.equal(3, #saved)
    for _, task in ipairs(saved) do
      assert.same({ #answers.MP4, true }, { task.bytes, process.slurp(task.path) == answers.MP4 })
      assert.is_truthy(("abc"):find(task.job, 1, true))
    end
    for _, request in ipairs(posts()) do assert.is_nil(cjson.decode(request.body).output) end
    assert.same({ 0, 0, 0, 0 }, counts(assert(run())))
  end)

  it("writes `asked` before it sends anything, and `made` before it polls", function()
    serve { "a" }
    assert(queue:put { "A fox" })
    local sent, polled
    local store = around("asked", "after", function(id)
      sent = { #srv:requests(), tasks("running")[1].asked }
      assert.equal(id, tasks("running")[1].id)
    end)
    assert(run(nil, store))
    assert.same({ 0, ("sora-%s-1"):format(tasks("saved")[1].id) }, sent)
    assert.equal(sent[2], posts()[1].headers["idempotency-key"])
    assert(queue:put { "A cat" })
    serve { "b" }
    store = around("made", "after", function() polled = srv:requests() end)
    assert(run(nil, store))
    assert.equal("POST", polled[#polled].method)
  end)

  it("tells how far a task is", function()
    serve { "a" }
    assert(queue:put { "A fox" })
    assert(run())
    assert.same({ "asked", "completed", "downloading", "saved" }, told)
  end)

  it("holds no more tasks than it may", function()
    serve { "a", "b", "c", "d", "e" }
    assert(queue:put { "1", "2", "3", "4", "5" })
    local most = 0
    assert(run { jobs = 2, on_progress = function()
      most = math.max(most, assert(queue:counts()).running)
    end })
    assert.equal(2, most)
    assert.equal(5, #tasks "saved")
  end)

  it("forgets saved tasks after a while, if it is told to", function()
    serve { "a", "b", "c" }
    assert(queue:put { "1", "2" })
    assert(run { keep = 1000, jobs = 1 })
    assert.equal(2, #tasks "saved")
    redis:cli("zadd", "{sora}:saved", "xx", "1", tasks("saved")[1].id, "1", tasks("saved")[2].id)
    assert(queue:put { "3" })
    assert(run { keep = 1000 })
    assert.same({ "3" }, rig.pluck(tasks "saved", "prompt"))
    assert.equal("1\n", redis:cli("hlen", "{sora}:outputs"))
    assert.same({ added = 1, known = 1 }, queue:put { "2", "3" })
  end)

  describe("and a server that refuses", function()
    it("a task leaves it as failed, and goes on with others", function()
      serve {}
      srv:route("POST", "/v1/videos", { { status = 400, json = { error = { message = "no foxes" } } },
        { json = { id = "b", status = "queued" } }, { json = { id = "c", status = "queued" } } })
      assert(queue:put { "A fox", "A cat" })
      assert.same({ 1, 1, 1, 0 }, counts(assert(run { jobs = 1 })))
      assert.matches("no foxes", tasks("failed")[1].error)
      assert.is_true(queue:retry(tasks("failed")[1].id))
      assert.same({ 1, 1, 0, 0 }, counts(assert(run())))
      assert.are_not.equal(posts()[1].headers["idempotency-key"], posts()[3].headers["idempotency-key"])
    end)

    it("the key stops it, and leaves all tasks to others", function()
      serve {}
      srv:route("POST", "/v1/videos", { status = 401 })
      assert(queue:put { "1", "2", "3" })
      local results, err = run { jobs = 1 }
      assert.same({ nil, 401 }, { results, err.status })
      assert.same({ waiting = 3, running = 0, saved = 0, failed = 0, unsure = 0 }, assert(queue:counts()))
    end)

    it("for now puts the task back, and makes it later", function()
      serve {}
      srv:route("POST", "/v1/videos", { { status = 429 }, { json = { id = "a", status = "queued" } } })
      assert(queue:put { "A fox" })
      assert.same({ 1, 1, 0, 0 }, counts(assert(run())))
      assert.equal(2, #posts())
    end)

    it("for now notes that before it asks again, so that nobody has to look for a job", function()
      client:close()
      client = rig.client(srv, { max_retries = 2 }) -- which the client would do while `asked` stands
      serve {}
      srv:route("POST", "/v1/videos", { { status = 429, headers = { ["retry-after-ms"] = "1" } },
        { json = { id = "a", status = "queued" } } })
      assert(queue:put { "A fox" })
      assert(run())
      local keys = rig.pluck(rig.pluck(posts(), "headers"), "idempotency-key")
      assert.equal(2, #keys)
      assert.are_not.equal(keys[1], keys[2])
    end)

    it("a job leaves its task as failed, for another job", function()
      serve { "a", "b" }
      srv:route("GET", "/v1/videos/a", answers.job "failed")
      assert(queue:put { "A fox" })
      assert.same({ 1, 0, 1, 0 }, counts(assert(run())))
      assert(queue:retry(tasks("failed")[1].id))
      assert.same({ 1, 1, 0, 0 }, counts(assert(run())))
      assert.equal("b", tasks("saved")[1].job)
    end)

    it("the film leaves its task as failed, and its job is followed again", function()
      serve { "a" }
      srv:route("GET", "^/v1/videos/[%w]+/content$", { status = 410 }) -- for good
      assert(queue:put { "A fox" })
      assert.same({ 1, 0, 1, 0 }, counts(assert(run())))
      serve {}
      assert(queue:retry(tasks("failed")[1].id))
      assert.same({ 0, 1, 0, 0 }, counts(assert(run())))
      assert.equal(1, #posts())
    end)
  end)

  describe("whose answer is lost", function()
    before_each(function()
      client:close()
      client = rig.client(srv, { max_retries = 2 }) -- which a key in the options would let it use
      serve {}
      srv:route("POST", "/v1/videos", { close = true })
      assert(queue:put { "A fox" })
    end)

    it("takes the one job that can be it", function()
      listed({ id = "x", prompt = "A fox", status = "queued" }, { id = "y", prompt = "A cat" })
      assert.same({ 0, 1, 0, 0 }, counts(assert(run())))
      assert.equal("x", tasks("saved")[1].job)
      assert.equal(1, #posts())
    end)

    it("is unsure if there is none, or several, and never posts again by itself", function()
      for _, found in ipairs { {}, { { id = "x", prompt = "A fox" }, { id = "y", prompt = "A fox" } } } do
        listed((table.unpack or unpack)(found)) -- luacheck: std max
        local before = #posts()
        for _ = 1, 2 do
          local results, err = run()
          assert(results, err)
          assert.equal(0, results.saved)
        end
        assert.equal(before + 1, #posts())
        assert.matches("nobody knows", tasks("unsure")[1].error)
        assert(queue:retry(tasks("unsure")[1].id)) -- a person
      end
    end)

    it("keeps the key of a lost POST, whatever the server says to the next ones", function()
      client:close()
      client = rig.client(srv)
      local later = { status = 429, headers = { ["retry-after-ms"] = "1" } }
      srv:route("POST", "/v1/videos", { { close = true }, later, { status = 500 }, { status = 401 },
        { json = { id = "a", status = "queued" } } })
      local results, err = run { idempotent = true } -- stops at the 401
      assert.same({ nil, 401 }, { results, err.status })
      assert.same({ 1, 1, 0, 0 }, counts(assert(run { idempotent = true })))
      local keys = {}
      for _, request in ipairs(posts()) do keys[request.headers["idempotency-key"]] = true end
      assert.same({ 5, 1 }, { #posts(), #require("spec.support.facts").sorted(keys) })
    end)

    it("posts again with the same key, if the server is said to know keys", function()
      srv:route("POST", "/v1/videos", { { close = true }, { json = { id = "a", status = "queued" } } })
      assert.same({ 1, 1, 0, 0 }, counts(assert(run { idempotent = true })))
      local list = posts()
      assert.equal(2, #list)
      assert.equal(list[1].headers["idempotency-key"], list[2].headers["idempotency-key"])
    end)
  end)

  describe("after one that has died", function()
    local function leave(...)
      assert(queue:put { "A fox" })
      local task = assert(queue.store:take("dead", 0.001, 1, client.base_url))[1]
      for _, event in ipairs { ... } do
        assert.equal("ok", queue.store:note(task.id, task.lease, event, { key = "k", job = "a" }))
      end
    end

    it("asks, if that had not asked", function()
      leave()
      serve { "a" }
      assert.same({ 1, 1, 0, 0 }, counts(assert(run())))
    end)

    it("follows the job, if there is one", function()
      leave("asked", "made")
      serve {}
      assert.same({ 0, 1, 0, 0 }, counts(assert(run())))
      assert.equal(0, #posts())
    end)

    it("looks for the job, if that had only asked", function()
      leave "asked"
      serve {}
      listed { id = "a", prompt = "A fox", status = "queued" }
      assert.same({ 0, 1, 0, 0 }, counts(assert(run())))
      assert.equal(0, #posts())
    end)
  end)

  describe("that sleeps past its lease", function()
    -- Another worker, while the first one sleeps. It has a client of its own.
    local function others_work(opts)
      local first = client
      client = rig.client(srv)
      local results = assert(run(opts))
      client:close()
      client = first
      return results
    end

    -- Lets a lease expire.
    local function expire(id)
      redis:cli("zadd", "{sora}:leases", "1", id)
    end

    it("before it asks, sends nothing", function()
      serve { "a", "b" }
      assert(queue:put { "A fox" })
      local store = around("asked", "before", function(id)
        expire(id)
        assert.same({ 1, 1, 0, 0 }, counts(others_work()))
      end)
      assert.same({ 0, 0, 0, 0 }, counts(assert(run(nil, store))))
      assert.same({ 1, "lost" }, { #posts(), told[#told] })
      assert.equal("saved", tasks("saved")[1].state)
    end)

    it("before its POST, makes the only job, whose film is saved", function()
      serve { "a", "b" }
      listed()
      assert(queue:put { "A fox" })
      local store = around("asked", "after", function(id)
        expire(id)
        assert.same({ 0, 0, 0, 1 }, counts(others_work()))
      end)
      assert.same({ 1, 1, 0, 0 }, counts(assert(run(nil, store))))
      assert.equal(1, #posts())
      assert.same({ "a" }, rig.pluck(tasks "saved", "job"))
    end)

    it("after its POST, finds its job followed by another", function()
      serve { "a", "b" }
      listed { id = "a", prompt = "A fox", status = "queued" }
      assert(queue:put { "A fox" })
      local store = around("made", "before", function(id)
        expire(id)
        assert.same({ 0, 1, 0, 0 }, counts(others_work()))
      end)
      assert.same({ 1, 0, 0, 0 }, counts(assert(run(nil, store))))
      assert.equal(1, #posts())
      assert.same({ "a" }, rig.pluck(tasks "saved", "job"))
    end)

    it("stops following a job whose lease it has lost", function()
      serve { "a" }
      srv:route("GET", "/v1/videos/a", answers.RUNNING)
      assert(queue:put { "A fox" })
      local thief
      local results = assert(run { lease = 0.3, drain = false, on_progress = function(entry)
        told[#told + 1] = entry.state
        if entry.state == "in_progress" and not thief then
          expire(entry.id)
          thief = assert(queue.store:take("thief", 60, 1, client.base_url))[1]
        end
        return entry.state ~= "lost"
      end })
      assert.same({ { 1, 0, 0, 0 }, "lost" }, { counts(results), told[#told] })
      assert.same({ "thief", thief.lease }, { tasks("running")[1].owner, tasks("running")[1].lease })
    end)
  end)

  describe("is stopped", function()
    before_each(function()
      serve { "a" }
      assert(queue:put { "A fox", "A cat" })
    end)

    it("once, and finishes what is running", function()
      local own
      own = worker { jobs = 1, drain = false, on_progress = function(entry)
        if entry.state == "asked" then own:stop() end
      end }
      assert.same({ 1, 1, 0, 0 }, counts(assert(own:run())))
      assert.equal(1, assert(queue:counts()).waiting)
    end)

    it("twice, and leaves its job to others", function()
      srv:route("GET", "/v1/videos/a", answers.RUNNING)
      local own
      own = worker { jobs = 1, drain = false, on_progress = function(entry)
        if entry.state ~= "in_progress" then return end
        own:stop()
        own:stop()
      end }
      assert.same({ 1, 0, 0, 0 }, counts(assert(own:run())))
      local waiting = tasks "waiting"
      assert.same({ "a", nil }, { waiting[1].job, waiting[2].job })
      assert.equal(0, assert(queue:counts()).running)
    end)

    it("twice during a POST, and keeps its answer", function()
      srv:route("POST", "/v1/videos", { json = { id = "a", status = "queued" }, delay = 0.1 })
      local own
      own = worker { jobs = 1, drain = false, on_progress = function(entry)
        if entry.state ~= "asked" then return end
        own:stop()
        own:stop()
      end }
      assert.equal(1, assert(own:run()).made)
      assert.equal("a", tasks("waiting")[1].job)
    end)

    it("by what its on_progress raises, which is raised again", function()
      assert.error_matches(function()
        run { on_progress = function(entry) if entry.state == "completed" then error("mine", 0) end end }
      end, "^mine$")
      assert.equal(0, assert(queue:counts()).running)
    end)
  end)

  it("polls a job at once when there is a hint", function()
    serve { "a" }
    srv:route("GET", "/v1/videos/a", { answers.RUNNING, answers.DONE })
    assert(queue:put { "A fox" })
    local hinted
    assert(run { interval = 1000, max_interval = 1000, on_progress = function(entry)
      if entry.state == "in_progress" and not hinted then hinted = assert(queue:hint(entry.job)) end
    end })
    assert.equal(1, #tasks "saved")
  end)

  describe("fails a task that", function()
    local function failed(pattern)
      assert.same({ 0, 0, 1, 0 }, counts(assert(run())))
      assert.matches(pattern, tasks("failed")[1].error)
      assert.equal(0, #srv:requests())
    end

    it("is not JSON", function()
      assert(queue.store:put { { id = "1", body = "A fox", output = "1.mp4" } })
      failed "the task is not JSON"
    end)

    it("has an output outside of the folder", function()
      assert(queue.store:put { { id = "1", body = '{"prompt":"A fox"}', output = "../1.mp4" } })
      failed "below the worker's folder"
    end)

    it("has an output in a folder that does not exist, or that is one", function()
      assert(queue:put { { prompt = "A fox", output = "none/1.mp4" } })
      failed "'.*/none' does not exist"
    end)

    it("has an output that can't be written", function()
      files:run "mkdir films/1.mp4.part && mkfifo films/2.mp4"
      assert(queue:put { { prompt = "A fox", output = "1.mp4" } })
      failed "1.mp4.part: Is a directory"
      assert(queue:drop(tasks("failed")[1].id))
      assert(queue:put { { prompt = "A fox", output = "2.mp4" } })
      failed "2.mp4: it is not a regular file"
    end)

    it("sends a file that this worker does not have", function()
      assert(queue:put { { prompt = "A fox", input_reference = { path = files:at "none.png" } } })
      failed "input_reference: .*/none.png: there is no such file"
      assert(queue:drop(tasks("failed")[1].id))
      assert(queue:put { { prompt = "A fox", input_reference = { path = files:at "films" } } })
      failed "input_reference: .*/films: it is not a regular file"
    end)

    it("the client refuses", function()
      assert(queue:put { { prompt = "A fox", input_reference = { path = 5 } } })
      failed "input_reference"
    end)
  end)

  it("fails a task whose output can no longer be written, and continues with the others", function()
    serve { "a", "b" }
    assert(queue:put { { prompt = "A fox", output = "1.mp4" }, { prompt = "A cat", output = "2.mp4" } })
    assert.same({ 2, 1, 1, 0 }, counts(assert(run { on_progress = function(entry)
      if entry.state == "completed" and entry.job == "a" then files:run "mkdir films/1.mp4.part" end
    end, jobs = 1 })))
    assert.equal("a", tasks("failed")[1].job)
  end)

  it("stops, and loses nothing, where nothing can be written to its folder", function()
    assert(queue:put { "A fox" })
    files:run "mkdir films/.sora-work.part" -- as root may write anywhere
    files:run "mkdir films/1.mp4.part"
    assert(queue:put { { prompt = "A cat", output = "1.mp4" } })
    local results, err = run { jobs = 2 }
    assert.same({ nil, "file" }, { results, err.kind })
  end)

  it("stops, and loses nothing, without its folder", function()
    assert(queue:put { "A fox" })
    local results, err = run { dir = files:at "none" }
    assert.same({ nil, "file" }, { results, err.kind })
    assert.equal(1, assert(queue:counts()).waiting)
    assert.equal(0, #srv:requests())
  end)

  it("is refused for another server than the queue's", function()
    assert(queue:put { "A fox" })
    assert(queue.store:take("w", 0.001, 1, "http://other.example/v1"))
    local results, err = run()
    assert.same({ nil, "other_server" }, { results, err.code })
  end)

  it("is refused without a Redis, and for misuse", function()
    local misuses = {
      ["option 'dir' is missing"] = function() queue:worker(client, {}) end,
      ["option 'jobs'"] = function() queue:worker(client, { dir = "x", jobs = 0 }) end,
      ["did you mean 'lease'"] = function() queue:worker(client, { dir = "x", leese = 5 }) end,
    }
    for message, call in pairs(misuses) do assert.error_matches(call, message) end
    redis:halt()
    local results, err = run()
    redis:resume()
    assert.same({ nil, "redis_lost" }, { results, err.code })
  end)

  it("goes on where Redis is gone for a while, and says so", function()
    serve { "a" }
    assert(queue:put { "A fox" })
    local store = around("made", "before", function() redis:halt "KILL" end)
    local back
    assert.same({ 1, 1, 0, 0 }, counts(assert(run({ on_progress = function(entry)
      told[#told + 1] = entry.state
      if entry.state == "trouble" and not back then
        back = entry.err.code
        redis:resume()
      end
    end }, store))))
    assert.equal("redis_lost", back)
    assert.is_truthy(table.concat(told, " "):find "trouble recovered", table.concat(told, " "))
    assert.equal(1, #posts())
  end)
end)
