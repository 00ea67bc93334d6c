-- client:batch: many films, each made once, whatever an earlier run left behind.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local survey = require("sora.batch").survey

describe("a batch", function()
  local srv, files = given.server(), given.folder()
  local client

  local function connect(options)
    if client then client:close() end
    client = rig.client(srv, answers.with({ journal = files:at "journal" }, options))
  end

  before_each(function()
    files:run "mkdir -p films"
    connect()
  end)
  after_each(function() client:close() end)

  -- A server of jobs that are completed at once, and have a file.
  local function serve(ids)
    local made = {}
    for i, id in ipairs(ids) do made[i] = { json = { id = id, status = "queued" } } end
    srv:route("POST", "/v1/videos", made)
    srv:route("GET", "^/v1/videos/[%w]+$", answers.DONE)
    srv:route("GET", "^/v1/videos/[%w]+/content$", answers.FILE)
  end

  local function run(list, opts)
    return client:batch(list, answers.with({ dir = files:at "films", interval = 0.01 }, opts))
  end

  local function posts() return rig.posts(srv) end

  local function counts(results)
    return { results.made, results.saved, results.failed, results.unsure }
  end

  local function film(result)
    return process.slurp(result.path)
  end

  it("makes a film of each prompt, and none twice when it is run again", function()
    serve { "a", "b", "c" }
    local list = { "A fox, in the snow", { prompt = "Rain", seconds = "4", output = "rain.mp4" }, "A boat" }
    local results = assert(run(list))
    assert.same({ 3, 3, 0, 0 }, counts(results))
    assert.matches("/films/a%-fox%-in%-the%-snow%-%x+%.mp4$", results[1].path)
    assert.equal(files:at "films/rain.mp4", results[2].path)
    for _, result in ipairs(results) do assert.equal(answers.MP4, film(result)) end
    for _, request in ipairs(srv:requests()) do
      if request.method == "POST" then assert.is_nil(cjson.decode(request.body).output) end
    end
    local paths = rig.pluck(results, "path")
    connect()
    results = assert(run(list))
    assert.same({ 0, 3, 0, 0 }, counts(results))
    assert.same(paths, rig.pluck(results, "path"))
    assert.same({ 3, {} }, { posts(), assert(client:unfinished()) })
  end)

  it("makes two films of two equal prompts", function()
    serve { "a", "b" }
    local results = assert(run { "A fox", "A fox" })
    assert.same({ 2, 2, 0, 0 }, counts(results))
    assert.are_not.equal(results[1].path, results[2].path)
    assert.equal(0, assert(run { "A fox", "A fox" }).made)
    assert.equal(2, posts())
  end)

  it("makes films anew under another label", function()
    serve { "a", "b" }
    assert.equal(1, assert(run({ "A fox" }, { label = "one" })).made)
    assert.equal(1, assert(run({ "A fox" }, { label = "two" })).made)
    assert.equal(0, assert(run({ "A fox" }, { label = "one" })).made)
  end)

  it("has so many jobs under way as it may, and no more", function()
    serve { "a", "b", "c", "d", "e" }
    local most, active = 0, {}
    assert(run({ "1", "2", "3", "4", "5" }, { jobs = 2, on_progress = function(item)
      active[item.index] = item.state ~= "saved" or nil
      local count = 0
      for _ in pairs(active) do count = count + 1 end
      most = math.max(most, count)
    end }))
    assert.equal(2, most)
  end)

  it("never makes more jobs than max_jobs, in all runs together", function()
    serve { "a", "b", "c" }
    local results = assert(run({ "1", "2", "3" }, { max_jobs = 2 }))
    assert.same({ 2, 2, 1, 0 }, counts(results))
    assert.equal("max_jobs", results[3].err.code)
    assert.same({ 0, 2, 1, 0 }, counts(assert(run({ "1", "2", "3" }, { max_jobs = 2 }))))
    assert.same({ 1, 3, 0, 0 }, counts(assert(run({ "1", "2", "3" }, { max_jobs = 3 }))))
    assert.equal(3, posts())
    assert.equal(0, assert(run({ "4" }, { max_jobs = 0 })).made)
  end)

  it("waits for a job that an earlier run made, and saves its film", function()
    serve { "a" }
    srv:route("GET", "^/v1/videos/a$", { status = 400 })
    local results = assert(run { "A fox" })
    assert.same({ 1, 0, 1, 0 }, counts(results))
    assert.same({ "a", "a" }, { results[1].id, results[1].err.ticket.id })
    assert.equal("a", assert(client:unfinished())[1].id)
    serve {}
    assert.same({ 0, 1, 0, 0 }, counts(assert(run { "A fox" })))
  end)

  it("downloads again what is no longer on disk", function()
    serve { "a" }
    local path = assert(run { "A fox" })[1].path
    os.remove(path)
    assert.same({ 0, 1, 0, 0 }, counts(assert(run { "A fox" })))
    assert.equal(answers.MP4, process.slurp(path))
  end)

  it("asks anew, in the next run, for what was refused or failed", function()
    srv:route("POST", "/v1/videos", { { status = 400 }, { json = { id = "a", status = "queued" } },
      { json = { id = "b", status = "queued" } } })
    srv:route("GET", "^/v1/videos/[%w]+/content$", answers.FILE)
    srv:route("GET", "/v1/videos/a", answers.job "failed")
    srv:route("GET", "/v1/videos/b", answers.DONE)
    assert.same({ 0, 0, 1, 0 }, counts(assert(run { "A fox" })))
    local results = assert(run { "A fox" })
    assert.same({ { 1, 0, 1, 0 }, "failed" }, { counts(results), results[1].err.kind })
    assert.same({ 1, 1, 0, 0 }, counts(assert(run { "A fox" })))
    assert.equal(3, posts())
  end)

  describe("whose answer is lost", function()
    local function lose(found)
      srv:route("POST", "/v1/videos", { close = true })
      srv:route("GET", "/v1/videos", { json = { object = "list", data = found, has_more = false } })
      srv:route("GET", "^/v1/videos/[%w]+$", answers.DONE)
      srv:route("GET", "^/v1/videos/[%w]+/content$", answers.FILE)
    end

    it("finds the job that was made, and its film is saved", function()
      lose { { id = "x", prompt = "A fox", status = "queued" }, { id = "y", prompt = "A cat" } }
      local results = assert(run { "A fox" })
      assert.same({ { 1, 1, 0, 0 }, "x" }, { counts(results), results[1].id })
      assert.same({}, assert(client:unfinished()))
      assert.same({ 0, 1, 0, 0 }, counts(assert(run { "A fox" })))
      assert.equal(1, posts())
    end)

    local NOT_ONE = {
      ["none is found"] = {},
      ["two are found"] = { { id = "x", prompt = "A fox" }, { id = "y", prompt = "A fox" } },
      ["the server does not tell prompts"] = { { id = "x" } },
      ["the one found has other parameters"] = { { id = "x", prompt = "A fox", seconds = "12" } },
    }
    for name, found in pairs(NOT_ONE) do
      it("is unsure, and never posted again by itself, if " .. name, function()
        lose(found)
        local list = { { prompt = "A fox", seconds = "4" } }
        for _ = 1, 2 do
          local results = assert(run(list))
          assert.same({ 0, 0, 1 }, { results.saved, results.failed, results.unsure })
          assert.same({ "unsure", true, true }, { results[1].err.code, results[1].err.ambiguous,
            results[1].unsure })
        end
        assert.equal(1, posts())
        local tickets = assert(client:unfinished())
        assert.same({ 1, true }, { #tickets, tickets[1].ambiguous })
        assert(client:forget(tickets[1]))
        serve { "b" }
        assert.same({ 1, 1, 0, 0 }, counts(assert(run(list))))
      end)
    end
  end)

  it("asks again with remake for what an earlier run left unsure, and only for that", function()
    srv:route("POST", "/v1/videos", { close = true })
    srv:route("GET", "/v1/videos", { json = { object = "list", data = {}, has_more = false } })
    assert.equal(1, assert(run({ "A fox" }, { remake = true })).unsure) -- lost just now
    assert.equal(1, posts())
    serve { "a", "b" }
    local results = assert(run({ "A fox" }, { remake = true }))
    assert.same({ { 1, 1, 0, 0 }, "a" }, { counts(results), results[1].id })
    assert.same({ 0, 1, 0, 0 }, counts(assert(run({ "A fox" }, { remake = true }))))
    assert.same({ 2, {} }, { posts(), assert(client:unfinished()) })
  end)

  it("takes with remake the job that is found, and asks for nothing", function()
    srv:route("POST", "/v1/videos", { close = true })
    srv:route("GET", "/v1/videos", { json = { object = "list", data = {}, has_more = false } })
    assert.equal(1, assert(run { "A fox" }).unsure)
    serve {}
    srv:route("GET", "/v1/videos", { json = { object = "list", has_more = false,
      data = { { id = "x", prompt = "A fox", status = "completed" } } } })
    assert.same({ 0, 1, 0, 0 }, counts(assert(run({ "A fox" }, { remake = true }))))
    srv:route("GET", "/v1/videos", { close = true }) -- nobody can tell
    assert.equal(1, posts())
  end)

  describe("that is told to come back later", function()
    local function later(ms, status)
      return { status = status or 429, json = { error = { message = "slow down" } },
        headers = { ["retry-after-ms"] = tostring(ms or 20) } }
    end
    local function made(id) return { json = { id = id, status = "queued" } } end

    before_each(function() serve {} end)

    it("asks again until all films are made, and journals every refusal", function()
      srv:route("POST", "/v1/videos", { later(), later(), made "a", later(20, 503), made "b", made "c" })
      local states = {}
      assert.same({ 3, 3, 0, 0 }, counts(assert(run({ "1", "2", "3" }, { jobs = 2,
        on_progress = function(item) states[item.state] = true end }))))
      assert.same({ 6, {} }, { posts(), assert(client:unfinished()) })
      assert.is_true(states.waiting)
      local refused = 0
      for _, ticket in ipairs(assert(client:journaled())) do
        if ticket.state == "refused" then refused = refused + 1 end
      end
      assert.equal(3, refused)
    end)

    it("through a pause hook, too", function()
      client.pause = function(self, seconds) self:update(math.min(seconds, 0.01)) end
      srv:route("POST", "/v1/videos", { later(), made "a" })
      assert.same({ 1, 1, 0, 0 }, counts(assert(run { "1" })))
    end)

    it("keeps to max_jobs", function()
      srv:route("POST", "/v1/videos", { later(), made "a", made "b" })
      local results = assert(run({ "1", "2" }, { jobs = 1, max_jobs = 1 }))
      assert.same({ { 1, 1, 1, 0 }, "max_jobs" }, { counts(results), results[2].err.code })
    end)

    it("gives up an item after its timeout, for the next run", function()
      srv:route("POST", "/v1/videos", { later(100), later(100), later(100), made "a" })
      local results = assert(run({ "1" }, { timeout = 0.15 }))
      assert.same({ { 0, 0, 1, 0 }, 429 }, { counts(results), results[1].err.status })
      local before = posts()
      assert.is_true(before < 3)
      assert.same({ 1, 1, 0, 0 }, counts(assert(run { "1" })))
    end)

    it("never asks again for what may have been made", function()
      srv:route("POST", "/v1/videos", { later(), { close = true }, made "b" })
      srv:route("GET", "/v1/videos", { json = { object = "list", data = {}, has_more = false } })
      assert.same({ 1, 0, 0, 1 }, counts(assert(run { "1" })))
      assert.equal(2, posts())
    end)

    it("asks for nothing further once the money is gone, or on_progress says so", function()
      srv:route("POST", "/v1/videos", { later(), { status = 429,
        json = { error = { code = "insufficient_quota", message = "no money" } } } })
      local results = assert(run({ "1", "2" }, { jobs = 1 }))
      assert.same({ { 0, 0, 2, 0 }, "quota" }, { counts(results), results[1].err.reason })
      assert.equal(2, posts())
      srv:route("POST", "/v1/videos", later())
      results = assert(run({ "3" }, { on_progress = function(item) return item.state ~= "waiting" end }))
      assert.same({ "cancelled", 3 }, { results[1].err.kind, posts() })
    end)
  end)

  it("asks for nothing further once the key was refused", function()
    srv:route("POST", "/v1/videos", { status = 401, json = { error = { message = "no such key" } } })
    local results = assert(run({ "1", "2", "3", "4" }, { jobs = 1 }))
    assert.same({ { 0, 0, 4, 0 }, 1 }, { counts(results), posts() })
    assert.same({ 401, "not_sent" }, { results[1].err.status, results[4].err.code })
    assert.matches("not sent after: .*no such key", results[2].err.message)
    serve { "a", "b", "c", "d" }
    assert.same({ 4, 4, 0, 0 }, counts(assert(run { "1", "2", "3", "4" })))
  end)

  it("asks for nothing further once a film could not be written", function()
    serve { "a", "b" }
    local list = { { prompt = "1", output = "1.mp4" }, "2" }
    local results = assert(run(list, { jobs = 1, on_progress = function(item)
      if item.id then files:run "mkdir -p films/1.mp4.part" end
    end }))
    assert.same({ { 1, 0, 2, 0 }, "file", "not_sent" },
      { counts(results), results[1].err.kind, results[2].err.code })
    files:run "rmdir films/1.mp4.part"
    assert.same({ 1, 2, 0, 0 }, counts(assert(run(list, { jobs = 1 }))))
  end)

  it("asks for no film that could not be written", function()
    serve { "a" }
    files:run "mkfifo films/3.mp4"
    local results = assert(run { { prompt = "1", output = "none/1.mp4" }, "2",
      { prompt = "3", output = "3.mp4" } })
    assert.same({ { 1, 1, 2, 0 }, "file", "file" },
      { counts(results), results[1].err.kind, results[3].err.kind })
    assert.equal(1, posts())
  end)

  it("tells what a run would do, and does nothing", function()
    serve { "a" }
    assert(run { "A fox" })
    srv:route("POST", "/v1/videos", { { close = true }, { json = { id = "b", status = "queued" } } })
    srv:route("GET", "/v1/videos", { json = { object = "list", data = {}, has_more = false } })
    srv:route("GET", "/v1/videos/b", { status = 400 })
    assert(run({ "A boat", "Rain" }, { jobs = 1 })) -- in this order
    local before = #srv:requests()
    local items, tickets = assert(survey(client, { "A fox", "A boat", "Rain", "A cat" },
      { dir = files:at "films" }))
    local plans = {}
    for i, item in ipairs(items) do plans[i] = item.step or item.state end
    assert.same({ { "saved", "find", "wait", "create" }, 3 }, { plans, #tickets })
    assert.equal(before, #srv:requests())
  end)

  it("works through a pause hook, and stops when on_progress says so", function()
    serve { "a", "b" }
    client.pause = function(self, seconds) self:update(math.min(seconds, 0.01)) end
    assert.same({ 2, 2, 0, 0 }, counts(assert(run { "1", "2" })))
    local results = assert(run({ "3" }, { on_progress = function() return false end }))
    assert.equal("cancelled", results[1].err.kind)
  end)

  it("is refused before anything is sent without a journal, without its folder, and for misuse", function()
    local results, err = run({ "1" }, { dir = files:at "none" })
    assert.same({ nil, "file" }, { results, err.kind })
    for problem, call in pairs {
      ["option 'dir' is missing"] = function() client:batch({ "1" }, {}) end,
      ["options: expected a table"] = function() client:batch { "1" } end,
      ["did you mean 'jobs'"] = function() run({ "1" }, { job = 2 }) end,
      ["option 'jobs'"] = function() run({ "1" }, { jobs = 0 }) end,
      ["option 'label': expected a string"] = function() run({ "1" }, { label = 5 }) end,
      ["list%[2%]: expected a prompt"] = function() run { "1", nil, "2" } end,
      ["write { params }"] = function() run { prompt = "A fox" } end,
      ["list%[2%].output: 'x' is also the output of list%[1%]"] = function()
        run { { prompt = "1", output = "x" }, { prompt = "2", output = "x" } }
      end,
      ["list%[1%].output"] = function() run { { prompt = "1", output = "" } } end,
      ["option 'interval'"] = function() run({ "1" }, { interval = -1 }) end,
    } do
      assert.error_matches(call, problem)
    end
    connect { journal = rig.NONE }
    results, err = run { "1" }
    assert.same({ nil, "config" }, { results, err.kind })
    assert.equal(0, #srv:requests())
  end)
end)
