-- The development server's job store, with a clock of our own.
local jobs = require "sora.server.jobs"

describe("sora.server.jobs", function()
  local now, luck, store

  local function make(options)
    options = options or {}
    options.clock = function() return now end
    options.random = function() return luck end
    return jobs.new(options)
  end

  before_each(function()
    now, luck = 1000000.25, 0.5
    store = make { duration = 10, queue = 2 }
  end)

  local function state(job)
    local view = store:view(job)
    return view.status .. " " .. view.progress
  end

  it("makes jobs that are queued, in progress and completed as time goes by", function()
    local job = store:create { prompt = "a cat", model = "m", size = "s", seconds = "4" }
    local seen = {}
    for _, at in ipairs { 0, 1.9, 2, 4.5, 11.99, 12, 1000 } do
      now = 1000000.25 + at
      seen[#seen + 1] = state(job)
    end
    assert.are.same({ "queued 0", "queued 0", "in_progress 0", "in_progress 25", "in_progress 99",
      "completed 100", "completed 100" }, seen)
  end)

  it("shows the format's fields, and times only once they are known", function()
    local job = store:create { prompt = "a cat", model = "m", size = "s", seconds = "4" }
    assert.are.same({
      id = job.id, object = "video", model = "m", status = "queued", progress = 0, created_at = 1000000,
      prompt = "a cat", size = "s", seconds = "4", available = false,
    }, store:view(job))
    now = now + 12
    local view = store:view(job)
    assert.are.equal(1000012, view.completed_at)
    assert.are.equal(1000012 + 3600, view.expires_at)
    assert.is_true(view.available)
  end)

  it("takes the date from elsewhere when the clock has another start", function()
    now = 5.5
    store = make { duration = 1, queue = 0, date = function() return 1700000000 end }
    local job = store:create { prompt = "p" }
    now = 7
    assert.are.equal(1700000000, store:view(job).created_at)
    assert.are.equal(1700000001, store:view(job).completed_at)
  end)

  it("queues for a tenth of the duration unless told otherwise, and not at all when there is none", function()
    store = make { duration = 10 }
    local job = store:create { prompt = "p" }
    now = now + 0.75
    assert.are.equal("queued 0", state(job))
    now = now + 0.5
    assert.are.equal("in_progress 2", state(job))
    assert.are.equal("completed 100", state(store:create({ prompt = "p" }, { duration = 0 })))
  end)

  it("keeps content until it expires", function()
    local job = store:create({ prompt = "p" }, { duration = 1, queue = 0, expires = 5 })
    now = now + 5.9
    assert.is_true(store:view(job).available)
    now = now + 0.2
    assert.is_false(store:view(job).available)
    assert.are.equal("completed", store:view(job).status)
  end)

  it("lets a job fail halfway when it is told to", function()
    local job = store:create({ prompt = "p" }, { fail = "moderation_blocked" })
    now = now + 6.9
    assert.are.equal("in_progress 49", state(job))
    assert.is_nil(store:view(job).error)
    now = now + 0.2
    local view = store:view(job)
    assert.are.equal("failed 50", view.status .. " " .. view.progress)
    assert.are.equal("moderation_blocked", view.error.code)
    assert.are.equal("The request was blocked by the moderation system.", view.error.message)
    assert.is_nil(view.completed_at)
    assert.is_false(view.available)
  end)

  it("takes an error of any code, with or without a message", function()
    local fail = { code = "c", message = "m" }
    local own = store:create({ prompt = "p" }, { duration = 0, queue = 0, fail = fail })
    assert.are.same({ code = "c", message = "m" }, store:view(own).error)
    local bare = store:create({ prompt = "p" }, { duration = 0, queue = 0, fail = "odd" })
    assert.are.same({ code = "odd", message = "The job failed with odd." }, store:view(bare).error)
  end)

  it("lets a part of the jobs fail", function()
    store = make { duration = 0, queue = 0, fail_rate = 0.3 }
    luck = 0.31
    assert.are.equal("completed", store:view(store:create { prompt = "p" }).status)
    luck = 0.29
    local view = store:view(store:create { prompt = "p" })
    assert.are.equal("failed", view.status)
    assert.are.equal("generation_failed", view.error.code)
  end)

  it("pages through the jobs in both orders", function()
    local ids = {}
    for i = 1, 5 do
      ids[i] = store:create({ prompt = "p" }).id
    end
    local function pages(order)
      local got, after, more = {}, nil, true
      while more do
        local page
        page, more = store:page(2, order, after)
        for _, job in ipairs(page) do
          got[#got + 1] = job.id
        end
        after = page[#page]
      end
      return got
    end
    assert.are.same(ids, pages "asc")
    assert.are.same({ ids[5], ids[4], ids[3], ids[2], ids[1] }, pages "desc")
  end)

  it("forgets a job once, wherever it stands", function()
    local made = {}
    for i = 1, 4 do
      made[i] = store:create { prompt = "p" }
    end
    for _, i in ipairs { 2, 4, 1, 1 } do
      store:remove(made[i])
    end
    assert.is_nil(store:get(made[2].id))
    assert.are.equal(1, store.count)
    assert.are.equal(4, store.created)
    for _, order in ipairs { "asc", "desc" } do
      local page, more = store:page(10, order)
      assert.are.same({ made[3] }, page)
      assert.is_false(more)
    end
    store:remove(made[3])
    assert.are.same({}, (store:page(10, "desc")))
  end)

  it("gives ids that differ, or the id that is asked for", function()
    local seen = {}
    for _ = 1, 100 do
      local id = store:create({ prompt = "p" }).id
      assert.is_truthy(id:find("^video_%x+$"))
      assert.is_nil(seen[id])
      seen[id] = true
    end
    local job = store:create({ prompt = "p" }, { id = "sora-2:task_01k7/é=" })
    assert.are.equal(job, store:get("sora-2:task_01k7/é="))
  end)

  it("costs a waiting job little", function()
    collectgarbage()
    collectgarbage()
    local before = collectgarbage("count")
    for _ = 1, 10000 do
      store:create { prompt = "p", model = "m", size = "s", seconds = "4" }
    end
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 10000) -- 1 KiB each
  end)

  it("checks what a create may say about its job", function()
    assert.is_nil(jobs.check_dev {
      duration = 1.5, queue = 0, expires = 1, poll_after_ms = 200, content_bytes = 5000, id = "x",
      fail = { code = "c" },
    })
    local function wrong(dev)
      local name, why = jobs.check_dev(dev)
      return name .. " " .. why
    end
    assert.are.equal("durration is not known", wrong { durration = 1 })
    assert.are.equal("duration must be a number of seconds", wrong { duration = "1" })
    assert.are.equal("queue must be a number of seconds", wrong { queue = -1 })
    assert.are.equal("content_bytes must be a whole number of bytes", wrong { content_bytes = 1.5 })
    assert.are.equal("fail must be an error code, or an object with code and message", wrong { fail = {} })
    assert.are.equal("id must be a text", wrong { id = "" })
  end)
end)
