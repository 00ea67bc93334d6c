-- sora.work: prompts become tasks, and what people do with them. With a real Redis.
local given = require "spec.support.given"
local rig = require "spec.support.rig"
local work = require "sora.work"

describe("a queue", function()
  local srv = given.redis()
  local queue

  before_each(function() queue = assert(work.open(srv.url)) end)
  after_each(function() queue:close() end)

  -- Takes the first task and brings it to a state.
  local function bring(event, fields)
    local task = assert(queue.store:take("w", 60, 1, "s"))[1]
    assert.equal("ok", queue.store:note(task.id, task.lease, "asked", { key = "k" .. task.id }))
    if event then assert.equal("ok", queue.store:note(task.id, task.lease, event, fields)) end
    return task.id, task.lease
  end

  local function tasks(state) return assert(queue:tasks(state)) end

  it("takes prompts and params, and names their films", function()
    assert.same({ added = 2, known = 0 }, queue:put { "A fox, in the snow",
      { prompt = "Rain", seconds = "8", output = "sub/rain.mp4" } })
    local list = tasks "waiting"
    assert.same({ "A fox, in the snow", "Rain" }, rig.pluck(list, "prompt"))
    assert.matches("^a%-fox%-in%-the%-snow%-%x+%.mp4$", list[1].output)
    assert.same({ { prompt = "Rain", seconds = "8" }, "sub/rain.mp4" }, { list[2].params, list[2].output })
    assert.equal(1, #assert(queue:tasks("waiting", 1)))
  end)

  it("knows what was put before, unless it gets another label", function()
    local list = { "A fox", "A fox", { prompt = "A fox", seconds = 8 } }
    assert.same({ added = 3, known = 0 }, queue:put(list))
    assert.same({ added = 0, known = 3 }, queue:put(list))
    assert.same({ added = 1, known = 2 }, queue:put { "A fox", "A fox", "A fox" })
    assert.same({ added = 3, known = 0 }, queue:put(list, { label = "december" }))
    assert.equal(7, assert(queue:counts()).waiting)
  end)

  it("refuses the whole list if an item is wrong, and names it", function()
    local cases = {
      ["item 2: expected a prompt or params, got number"] = { "A fox", 5 },
      ["item 2: expected a prompt or params, got nil"] = { "A fox", nil, "A cat" },
      ["item 1: prompt: expected a string, got table"] = { { prompt = {} } },
      ["item 1: expected a prompt, got empty params"] = { {} },
      ["item 1: can't be written as JSON"] = { { prompt = "A fox", f = print } },
      ["item 1: JSON can't hold all of it"] = { { prompt = "A fox", f = require("sora").null } },
      ["item 2: output: 'x' is also that of item 1"] = { { prompt = "1", output = "x" },
        { prompt = "2", output = "x" } },
      ["item 1: output: '/etc/passwd': expected the name of a file below"] = { { prompt = "1",
        output = "/etc/passwd" } },
      ["item 1: output: 'a/../../b': expected"] = { { prompt = "1", output = "a/../../b" } },
      ["item 1: output: 'a/': expected"] = { { prompt = "1", output = "a/" } },
      ["item 1: output: expected the name of a file, got a number"] = { { prompt = "1", output = 5 } },
      ["item 1: output: the name has 201 bytes"] = { { prompt = "1", output = ("x"):rep(201) } },
    }
    for message, list in pairs(cases) do
      local done, err = queue:put(list)
      assert.is_nil(done, message)
      assert.same({ "config", "task" }, { err.kind, err.code })
      assert.is_truthy(err.message:find(message, 1, true), err.message)
    end
    assert.equal(0, assert(queue:counts()).waiting)
    assert.error_matches(function() queue:put { prompt = "A fox" } end, "write { params }")
    assert.error_matches(function() queue:put "A fox" end, "expected a list")
    assert.error_matches(function() queue:put({}, { lable = "x" }) end, "did you mean 'label'")
  end)

  it("puts many tasks", function()
    local list = {}
    for i = 1, 1234 do list[i] = "prompt " .. i end
    assert.same({ added = 1234, known = 0 }, queue:put(list))
    assert.same({ added = 0, known = 1234 }, queue:put(list))
    local all = tasks "waiting"
    assert.same({ 1234, "prompt 1", "prompt 1234" }, { #all, all[1].prompt, all[1234].prompt })
  end)

  it("shows who works on a task, and whether the worker is dead", function()
    assert(queue:put { "A fox" })
    bring()
    local task = tasks("running")[1]
    assert.same({ "w", nil, true }, { task.owner, task.lapsed, task.left > 0 })
    assert.error_matches(function() queue:tasks "runing" end, "did you mean 'running'")
  end)

  describe("retries", function()
    before_each(function() assert(queue:put { "A fox" }) end)

    it("a task whose job failed with another job", function()
      local id, lease = bring("made", { job = "x" })
      assert.equal("ok", queue.store:note(id, lease, "failed", { error = "moderated", over = "1" }))
      assert.equal("moderated", tasks("failed")[1].error)
      assert.is_true(queue:retry(id))
      assert.is_true(queue:retry(id)) -- it waits already
      local task = tasks("waiting")[1]
      assert.same({ nil, nil, 2, { "x" }, nil }, { task.job, task.asked, task.attempt, task.others,
        task.error })
    end)

    it("a task whose film was not saved with the same job, unless it is to be made anew", function()
      local id, lease = bring("made", { job = "x" })
      assert.equal("ok", queue.store:note(id, lease, "failed", { error = "no network" }))
      assert.is_true(queue:retry(id))
      assert.equal("x", tasks("waiting")[1].job)
      local taken = assert(queue.store:take("w", 60, 1, "s"))[1]
      assert.equal("ok", queue.store:note(id, taken.lease, "failed", { error = "no network" }))
      assert.is_true(queue:retry(id, { anew = true }))
      assert.same({ nil, 2 }, { tasks("waiting")[1].job, tasks("waiting")[1].attempt })
    end)

    it("a task that nobody knows of with another job, or with the one that was found by hand", function()
      local id = bring("unsure", { error = "who knows" })
      assert.is_true(queue:retry(id, { job = "found" }))
      assert.equal("found", tasks("waiting")[1].job)
      assert(queue:put { "A cat" })
      assert(queue.store:take("w", 60, 1, "s"))
      local cat = bring("unsure", { error = "who knows" })
      local done, err = queue:retry(cat, { job = "found" })
      assert.same({ nil, "taken" }, { done, err.code })
      assert.is_true(queue:retry(cat))
      assert.same({ nil, nil, 2 }, { tasks("waiting")[1].job, tasks("waiting")[1].asked,
        tasks("waiting")[1].attempt })
    end)

    it("a task with two jobs only with one of them, or anew", function()
      local id, lease = bring("made", { job = "x" })
      assert.equal("unsure", queue.store:note(id, lease, "made", { job = "y" }))
      local done, err = queue:retry(id)
      assert.same({ nil, "several" }, { done, err.code })
      assert.is_true(queue:retry(id, { job = "y" }))
      local task = tasks("waiting")[1]
      assert.same({ "y", { "x" } }, { task.job, task.others })
    end)

    it("a saved task with the same job", function()
      local id, lease = bring("made", { job = "x" })
      assert.equal("ok", queue.store:note(id, lease, "saved", { job = "x", path = "p", bytes = 1 }))
      assert.is_true(queue:retry(id))
      assert.equal("x", tasks("waiting")[1].job)
    end)

    it("neither a task that is running nor one that it does not know", function()
      local id = bring()
      for which, code in pairs { [id] = "running", none = "unknown" } do
        for _, method in ipairs { "retry", "drop" } do
          local done, err = queue[method](queue, which)
          assert.same({ nil, code }, { done, err.code })
        end
      end
    end)
  end)

  it("drops tasks, which may then be put again", function()
    assert(queue:put { "A fox", "A cat" })
    assert.is_true(queue:drop(tasks("waiting")[1].id))
    assert.same({ "A cat" }, rig.pluck(tasks "waiting", "prompt"))
    assert.same({ added = 1, known = 1 }, queue:put { "A fox", "A cat" })
    local id, lease = bring("made", { job = "x" })
    assert.equal("ok", queue.store:note(id, lease, "failed", {}))
    assert.is_true(queue:drop(id))
    assert.equal("", srv:cli("hkeys", "{sora}:jobs"):gsub("%s", ""))
    assert.is_true(queue:hint "x")
  end)

  it("may stand on a store of somebody else's", function()
    local seen
    local own = work.open { put = function(_, list) seen = list return #list end }
    assert.same({ added = 1, known = 0 }, own:put { "A fox" })
    assert.equal('{"prompt":"A fox"}', seen[1].body)
  end)
end)
