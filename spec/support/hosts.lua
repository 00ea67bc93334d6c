--- The specs that every adapter for an event loop must pass. Call `describe` from within a describe.
-- Owns the blocking calls, and the crowd of waiting calls that shows whether a wake-up gets lost. A host is a
-- table:
--   name     of the adapter, sora.loop.NAME
--   run      function(tasks): runs the functions concurrently, each where a call may block, and returns when
--            the loop has ended; raises the error of a task
--   outside  the words of the adapter's error where a call cannot block
--   example  the name of its example
--   every_frame  whether it resumes all waiting calls in every frame
--   forwards     whether the loop learns what a coroutine waits for from what its thread yields
local answers = require "spec.support.answers"
local assert = require "luassert"
local busted = require "busted"
local core = require "sora.core"
local curl = require "spec.support.curl"
local folder = require "spec.support.folder"
local given = require "spec.support.given"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

local describe, it = busted.describe, busted.it
local hosts = {}

local CROWD = 1000
local DELAYS = { 0.01, 0.02, 0.03, 0.04, 0.05 }
local FOREVER = 30 -- s; a pause that lasts this long has lost its wake-up

local FILM = ("film"):rep(5000)
local DONE, QUEUED = answers.DONE, answers.QUEUED

-- Makes a response that is held back until `release`.
local function held(answer) return answers.with(answer, { hold = true }) end

-- Every blocking call, and the responses it gets. Each function returns "good", or the problem.
local CALLS = {
  get_video = { answers = { DONE }, call = function(client)
    local video, err = client:get_video("v")
    return video and video.status == "completed" and "good" or tostring(err)
  end },
  create_video = { answers = { QUEUED }, call = function(client)
    local video, err = client:create_video { prompt = "a boat" }
    return video and video.status == "queued" and "good" or tostring(err)
  end },
  download_video = {
    answers = { answers.file(FILM) },
    call = function(client)
      local path = os.tmpname()
      local file, err = client:download_video("v", path)
      local bytes = process.slurp(path)
      os.remove(path)
      return file and file.bytes == #FILM and bytes == FILM and "good" or tostring(err)
    end,
  },
  wait = { answers = { QUEUED, QUEUED, DONE }, call = function(client)
    local video, err = client:wait("v", { interval = 0.01 })
    return video and video.status == "completed" and "good" or tostring(err)
  end },
  -- Lua 5.1 cannot yield inside the iterator of a for loop, so the iterator is called directly.
  poll = { answers = { QUEUED, QUEUED, DONE }, call = function(client)
    local states, next_snapshot = {}, client:poll("v", { interval = 0.01 })
    local video = next_snapshot()
    while video do
      states[#states + 1] = video.status
      video = next_snapshot()
    end
    local got = table.concat(states, " ")
    return got == "queued queued completed" and "good" or got
  end },
  wait_all = { answers = { QUEUED, QUEUED, DONE, DONE }, call = function(client)
    local results = client:wait_all({ "v", "w" }, { interval = 0.01 })
    return #results == 2 and results[1].video and results[2].video and "good" or tostring(results[1].err)
  end },
}

local function each_call(host, context)
  for name, case in pairs(CALLS) do
    it("lets others run during " .. name, function()
      local srv, client = context.srv, context.client
      srv:reply(held(case.answers[1]))
      for i = 2, #case.answers do srv:reply(case.answers[i]) end
      local order = {}
      host.run {
        function()
          local result = case.call(client)
          order[#order + 1] = result
        end,
        function()
          while #srv:requests() == 0 do client:pause(0.002) end
          order[#order + 1] = "released"
          srv:release()
        end,
      }
      assert.same({ "released", "good" }, order)
    end)
  end
end

-- Replaces the pause hook: a pause ends only by a wake-up. Counts pauses and lost wake-ups in `seen`.
local function without_cap(client, seen)
  local hook = client._pause
  client.pause = function(self, seconds, turn)
    if not turn then return hook(self, seconds) end
    local before = core.now()
    hook(self, FOREVER, turn)
    seen.pauses = seen.pauses + 1
    if core.now() - before >= FOREVER then seen.lost = seen.lost + 1 end
  end
end

local function crowd(host, context)
  it("wakes each of " .. CROWD .. " waiters when its own call is done", function()
    local srv, client = context.srv, context.client
    for i = 1, CROWD do
      srv:route("GET", "/v1/videos/v" .. i, { json = { id = "v" .. i }, delay = DELAYS[i % #DELAYS + 1] })
    end
    local seen, tasks, right = { pauses = 0, lost = 0 }, {}, 0
    without_cap(client, seen)
    for i = 1, CROWD do
      tasks[i] = function()
        local video = client:get_video("v" .. i)
        if video and video.id == "v" .. i then right = right + 1 end
      end
    end
    host.run(tasks)
    assert.same({ right = CROWD, lost = 0 }, { right = right, lost = seen.lost })
    if not host.every_frame then assert.is_true(seen.pauses <= CROWD, "a pause ended for another's call") end
  end)
end

local function trouble(host, context)
  it("is woken by the clock for the next attempt", function()
    local client = require("sora.loop." .. host.name)(rig.client(context.srv, { max_retries = 1 }))
    without_cap(client, { pauses = 0, lost = 0 })
    context.srv:reply(answers.busy(20), DONE)
    local status
    host.run { function() status = assert(client:get_video("v")).status end }
    client:close()
    assert.equal("completed", status)
  end)

  it("wakes a call that waits when the client is closed, and ends", function()
    local srv, client = context.srv, context.client
    srv:reply { hold = true }
    local kind
    host.run {
      function() kind = select(2, client:get_video("v")).kind end,
      function()
        while #srv:requests() == 0 do client:pause(0.002) end
        client:close()
      end,
    }
    assert.equal("closed", kind)
  end)

  it("keeps running when a callback raises an error", function()
    local srv, client = context.srv, context.client
    srv:route("GET", "/v1/videos/bad", DONE)
    srv:route("GET", "/v1/videos/v", held(DONE))
    local status
    local said, restore = rig.catch_stderr()
    context.restore = restore
    assert(client:start("get_video", "bad", { on_done = function() error("oh no", 0) end }))
    host.run {
      function() status = assert(client:get_video("v")).status end,
      function()
        while #said == 0 do client:pause(0.002) end
        while #srv:requests() < 2 do client:pause(0.002) end
        srv:release()
      end,
    }
    assert.equal("completed", status)
    assert.matches("a callback raised an error: oh no", said[1])
  end)

  it("raises where a call can't wait, and has no call left", function()
    local good, message = pcall(context.client.get_video, context.client, "v")
    assert.is_false(good)
    local expected = ("sora.loop.%s: a call that waits works only in %s"):format(host.name, host.outside)
    assert.matches(expected, message, 1, true)
    assert.equal(0, context.client:update(0))
    assert.error_matches(function() context.client:pause(0.1) end, host.outside)
  end)
end

-- Ways to call a function through C, where a coroutine can't yield; pcall and metamethods on Lua 5.1 alone.
local THROUGH_C = {
  gsub = function(call) ("x"):gsub("x", call) end,
  sort = function(call)
    table.sort({ 1, 2 }, function() call() end)
  end,
  require = function(call)
    package.preload["spec.through_c"], package.loaded["spec.through_c"] = call, nil
    require "spec.through_c"
  end,
}
if _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
  function THROUGH_C.pcall(call) assert.is_true(pcall(call)) end
  function THROUGH_C.metamethod(call) return setmetatable({}, { __index = call }).field end
end

local function through_c(host, context)
  for way, through in pairs(THROUGH_C) do
    it("raises inside a function of C before anything is sent, and ends: " .. way, function()
      local srv, files = context.srv, folder.new()
      context.client:close()
      local client = rig.client(srv, { journal = files:at "journal" })
      context.client = require("sora.loop." .. host.name)(client)
      srv:route("POST", "^", QUEUED)
      srv:route("GET", "^", DONE)
      local raised, jobs, status = {}, 0, nil
      local function make()
        if client:create_video { prompt = "p" } then jobs = jobs + 1 end
      end
      local tasks = {}
      for _, misuse in ipairs { make, function() client:wait "v" end } do
        tasks[#tasks + 1] = function()
          local good, problem = pcall(through, misuse)
          raised[#raised + 1] = tostring(good) .. " " .. tostring(problem)
        end
      end
      host.run(tasks)
      host.run { function() status = assert(client:get_video("v")).status end }
      assert.same({ 2, 0, "completed" }, { #raised, jobs, status })
      for _, problem in ipairs(raised) do assert.matches("^false .*yield", problem) end
      assert.same({ "GET" }, rig.pluck(srv:requests(), "method"))
      assert.is_nil(files:read "journal")
      files:remove()
    end)
  end
end

local unpack = table.unpack or unpack -- luacheck: std max

-- Resumes a coroutine inside the thread of the loop, and waits for what it waits for.
local function step(host, context, inner)
  local yielded = { coroutine.resume(inner) }
  assert(yielded[1], yielded[2])
  if not host.forwards then return context.client:pause(0.002) end
  coroutine.yield(unpack(yielded, 2))
end

local function dropped(host, context)
  it("ends when a coroutine is dropped in the middle of its call", function()
    local srv, client = context.srv, context.client
    srv:reply(held(DONE), DONE)
    local status
    host.run { function()
      local inner = coroutine.create(function() client:get_video("v") end)
      while #srv:requests() == 0 do step(host, context, inner) end
      srv:release()
    end }
    host.run { function() status = client:get_video("w").status end }
    assert.same({ "completed", 2 }, { status, #srv:requests() })
  end)
end

local function life(host, context)
  it("serves started calls and watched jobs during client:pause", function()
    local srv, client = context.srv, context.client
    srv:route("GET", "/v1/videos/v", { QUEUED, QUEUED, DONE })
    srv:route("GET", "/v1/videos/w", DONE)
    local got = {}
    host.run { function()
      client:watch("v", { interval = 0.01, on_done = function(video) got.watched = video.status end })
      client:start("get_video", "w", { on_done = function(video) got.started = video.status end })
      while client:update(0) > 0 do client:pause(0.05) end
    end }
    assert.same({ watched = "completed", started = "completed" }, got)
  end)

  it("can be used again after the loop has ended, and with more than one client", function()
    local srv = context.srv
    srv:route("*", "^/v1/videos/", DONE)
    local other = require("sora.loop." .. host.name)(rig.client(srv))
    local count = 0
    local function task(client)
      return function()
        for _ = 1, 3 do
          if client:get_video("v") then count = count + 1 end
        end
      end
    end
    for round = 1, 3 do
      host.run { task(context.client), task(other), task(context.client) }
      assert.equal(9 * round, count)
    end
    other:close()
  end)
end

-- Runs the adapter's example, which makes three films while its loop keeps running; then once more.
local function example(host)
  local place = given.folder()

  it("has an example that saves its films, and makes none twice", function()
    local server = process.serve { "--quiet", "--duration", "0.5" }
    local here = process.lines("pwd")[1]
    local words = { "sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", place.path, "env",
      "SORA_BASE_URL=" .. server.url, "SORA_API_KEY=" .. rig.KEY }
    for _, word in ipairs(process.lua_anywhere { here .. "/examples/" .. host.example .. ".lua" }) do
      words[#words + 1] = word
    end
    local promised = { "a paper boat   ./boat.mp4", "a red fox      ./fox.mp4",
      "a lighthouse   ./lighthouse.mp4" }
    for run = 1, 2 do
      local program = process.start(words)
      local lines = {}
      for _ = 1, 4 do lines[#lines + 1] = program:readline() end
      local errors, status = program:errors(), program:wait()
      assert.same({ "", 0 }, { errors, status })
      local last = table.remove(lines)
      local count = tonumber(last:match "^(%d+) .*meanwhile$")
      assert.is_true(count >= (run > 1 and 0 or host.example == "copas" and 1 or 10), last)
      assert.same(promised, lines)
    end
    local stats = curl.get(server.origin .. "/dev/stats").json
    server:stop()
    assert.equal(3, stats.jobs_created)
    assert.equal("ftyp", place:read("fox.mp4"):sub(5, 8))
  end)
end

--- Defines all the specs. Returns a table that contains, during a spec, its server `srv` and its `client`.
function hosts.describe(host)
  local context = { srv = given.server() }
  busted.before_each(function()
    context.client = require("sora.loop." .. host.name)(rig.client(context.srv))
  end)
  busted.after_each(function()
    if context.restore then context.restore() end
    context.client:close()
  end)

  it("takes a client and returns it", function()
    local client = rig.client(context.srv)
    assert.equal(client, require("sora.loop." .. host.name)(client))
    client:close()
  end)
  describe("a blocking call", function() each_call(host, context) end)
  describe("a crowd", function() crowd(host, context) end)
  describe("trouble", function()
    trouble(host, context)
    through_c(host, context)
    dropped(host, context)
  end)
  describe("the loop", function()
    life(host, context)
    example(host)
  end)
  return context
end

return hosts
