-- client:fileno(), pollfd, events and timeout: one descriptor for any event loop, here a real cqueues
-- controller; and that update(0) costs no system call when nothing runs.
local answers = require "spec.support.answers"
local core = require "sora.core"
local cqueues = require "cqueues"
local eye = require "spec.support.eye"
local given = require "spec.support.given"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

local QUEUED, DONE = answers.QUEUED, answers.DONE

describe("fileno", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  -- These ask for the descriptor each time.
  local function is_readable(seconds) return eye.of(client):is_readable(seconds) end
  local function pump(holds) return eye.of(client):pump(holds) end

  it("is one descriptor, and not readable when there is nothing to do", function()
    assert.equal(client:fileno(), client:fileno())
    assert.equal(client:fileno(), client:pollfd())
    assert.equal("r", client:events())
    assert.is_nil(client:timeout())
    assert.is_false(is_readable())
    assert.equal(0, client:update(0))
    assert.is_false(is_readable())
  end)

  it("is readable at the time that wake sets, until update", function()
    client:wake(0.05)
    assert.is_false(is_readable())
    assert.is_true(client:timeout() <= 0.05)
    assert.is_true(is_readable(1))
    client:update(0)
    assert.is_false(is_readable())
    client:wake(0.02)
    client:wake(nil)
    assert.is_false(is_readable(0.05))
    client:wake(0.05)
    local before = core.now()
    client:update(5)
    assert.is_true(core.now() - before < 4)
  end)

  it("is not kept from a watched job by wake", function()
    srv:reply(QUEUED, DONE)
    local job = client:watch("v", { interval = 0.05 })
    client:wake(100)
    pump(function() return job:done() end)
  end)

  it("wakes a handful of times for a call, not all the time", function()
    client:fileno()
    srv:reply { json = DONE.json, delay = 0.05 }
    local handle = assert(client:start("get_video", "v"))
    local wakeups = pump(function() return handle:done() end)
    assert.equal("completed", handle:result().status)
    assert.is_true(wakeups <= 8, wakeups .. " wake-ups")
    assert.is_false(is_readable())
  end)

  it("is hardly ever readable while all wait for the server", function()
    srv:reply(answers.HELD)
    local handle = assert(client:start("get_video", "v"))
    pump(function() return #srv:requests() == 1 end)
    local wakeups = eye.of(client):count(0.05)
    assert.is_true(wakeups <= 4, wakeups .. " wake-ups")
    srv:release()
    pump(function() return handle:done() end)
  end)

  it("is readable when the time for the next attempt has come", function()
    client:close()
    client = rig.client(srv, { max_retries = 1 })
    srv:reply(answers.busy(30), DONE)
    local handle = assert(client:start("get_video", "v"))
    assert.is_true(pump(function() return handle:done() end) <= 12)
    assert.equal("completed", handle:result().status)
  end)

  it("is readable when a watched job is due, and a handful of times more", function()
    srv:reply(QUEUED, QUEUED, DONE)
    local job = client:watch("v", { interval = 0.03 })
    assert.is_true(is_readable())
    assert.is_true(pump(function() return job:done() end) <= 24)
    assert.equal(3, #srv:requests())
    assert.is_false(is_readable())
  end)

  it("is readable for what is done but not delivered", function()
    client:fileno()
    srv:route("GET", "^/v1/videos/", DONE)
    local seen
    local handle = assert(client:start("get_video", "v", { on_done = function(video) seen = video end }))
    while not handle:done() do client:get_video("other") end -- pumps, and delivers nothing
    assert.is_nil(seen)
    assert.is_true(is_readable())
    client:update(0)
    assert.equal("v", seen.id)
    assert.is_false(is_readable())
  end)

  it("is readable after a cancel, and not after its delivery", function()
    srv:reply { hold = true }
    local err
    local handle = assert(client:start("get_video", "v", { on_done = function(_, why) err = why end }))
    pump(function() return #srv:requests() == 1 end)
    assert.is_true(handle:cancel())
    assert.is_true(is_readable())
    client:update(0)
    assert.equal("cancelled", err.kind)
    assert.is_false(is_readable())
  end)

  it("lets a client be polled by cqueues itself", function()
    srv:reply(QUEUED, DONE)
    local job = client:watch("v", { interval = 0.02 })
    local controller = cqueues.new()
    controller:wrap(function()
      while client:update(0) > 0 do cqueues.poll(client) end
    end)
    assert(controller:loop(5))
    assert.is_true(controller:empty())
    assert.equal("completed", job:result().status)
  end)

  it("is closed with the client", function()
    client:close()
    local fd, err = client:fileno()
    assert.is_nil(fd)
    assert.equal("closed", err.kind)
  end)
end)

describe("update(0)", function()
  -- How many system calls a process makes that calls it so often.
  local function count_calls(times)
    local preloaded = os.getenv("LD_PRELOAD") -- a sanitizer, which is for the Lua alone
    local words = { "env", "-u", "LD_PRELOAD", "strace", "-f", "-c" }
    if preloaded then
      words[#words + 1] = "-E"
      words[#words + 1] = "LD_PRELOAD=" .. preloaded
    end
    local code = ([[
      local client = assert(require "sora".new { base_url = "http://127.0.0.1:1/v1" })
      client:fileno()
      for _ = 1, %d do client:update(0) end
    ]]):format(times)
    for _, word in ipairs(process.lua { "-e", code }) do words[#words + 1] = word end
    local output = process.output(process.command(words) .. " 2>&1")
    local total = output:match("[^\n]*total%s*$")
    assert(total, "strace can't trace here: " .. output)
    local numbers = {}
    for number in total:gmatch("%d[%d.]*") do numbers[#numbers + 1] = tonumber(number) end
    return numbers[4]
  end

  it("makes no system call when nothing runs", function()
    local once, often = count_calls(1), count_calls(1001)
    assert.is_true(once > 10)
    assert.is_true(often - once < 100, often - once .. " more for 1000 updates")
  end)
end)
