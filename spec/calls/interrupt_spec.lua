-- Calls and the process around them: Ctrl-C, forks, coroutines and hooks.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local native = require "spec.support.native"
local rig = require "spec.support.rig"

describe("Ctrl-C", function()
  local srv = given.server()

  -- Runs code that blocks in a request which is never answered, interrupts it there, and gives its output and
  -- how long it lived on.
  local function interrupted(code, answer)
    srv:route("*", "^", answer or { hold = true })
    local child, pid = rig.spawn(code, { SORA_BASE_URL = srv.url })
    assert.equal("ready", child:read("*l"))
    srv:wait_requests(1)
    local before = core.now()
    os.execute("kill -INT " .. pid)
    local output = child:read("*a")
    local seconds = core.now() - before
    child:close()
    return output, seconds
  end

  local START = [[
    io.stdout:setvbuf("no")
    local sora = require "sora"
    print("ready")
  ]]

  local function assert_interrupted(code, answer)
    local output, seconds = interrupted(START .. code .. " print('went on')", answer)
    assert.matches("interrupted!", output, 1, true)
    assert.not_matches("went on", output, 1, true)
    assert.is_true(seconds < 10, seconds) -- 0.2 and what a busy machine adds
  end

  it("ends a call", function() assert_interrupted("sora.get_video('v')") end)

  it("ends a call in a coroutine", function()
    assert_interrupted("assert(coroutine.resume(coroutine.create(function() sora.get_video('v') end)))")
  end)

  it("ends the wait for a retry", function()
    assert_interrupted("sora.get_video('v')", { status = 503, headers = { ["Retry-After"] = "100" } })
  end)

  it("ends the wait between two polls", function()
    assert_interrupted("sora.wait('v', { interval = 100, max_interval = 100 })",
      { body = '{"id":"v","status":"queued"}' })
  end)

  it("can be caught, and the client still works", function()
    local output = interrupted(START .. [[
      local ok, problem = pcall(sora.get_video, "v")
      print(ok, problem)
      local video, err = sora.get_video("w", { timeout = 0.1, max_retries = 0 })
      print(video, err.kind)]])
    assert.matches("^false\t.*interrupted!\n", output)
    assert.matches("nil\ttimeout\n", output, 1, true)
    assert.equal(2, #srv:wait_requests(2))
  end)
end)

describe("a hook", function()
  local srv = given.server()

  it("runs while a call waits", function()
    finally(function() debug.sethook() end)
    srv:reply({ delay = 0.3, body = '{"id":"v"}' })
    local client = rig.client(srv)
    local lines = 0
    debug.sethook(function() lines = lines + 1 end, "c")
    local video = client:get_video("v")
    debug.sethook()
    client:close()
    assert.same({ id = "v" }, video)
    assert.is_true(lines > 2)
  end)
end)

describe("a coroutine", function()
  local srv = given.server()

  it("may make calls", function()
    srv:route("*", "^", answers.VIDEO)
    local client = rig.client(srv)
    local got = {}
    for i = 1, 3 do
      coroutine.wrap(function() got[i] = client:get_video("v").id end)()
    end
    client:close()
    assert.same({ "v", "v", "v" }, got)
  end)
end)

describe("a fork", function()
  local srv = given.server()
  local library

  setup(function() library = native.fork() end)
  teardown(function() os.remove(library) end)

  it("may not use its parent's client, and does it no harm", function()
    srv:route("*", "^", answers.VIDEO)
    local output = rig.run(([[
      io.stdout:setvbuf("no")
      local library, url = %q, %q
      local fork, wait, exit = package.loadlib(library, "spec_fork"), package.loadlib(library, "spec_wait"),
        package.loadlib(library, "spec_exit")
      local sora = require "sora"
      local client = sora.new{ base_url = url .. "/parent" }
      print(client:get_video("1").id)
      if not fork(true) then
        for _, call in ipairs{ function() return client:get_video("2") end,
          function() return client:create_video{ prompt = "p" } end,
          function() return client:pause(0) end } do
          local result, err = call()
          print("child", result, err.kind)
        end
        client:close()
        client:close()
        print("child", nil, (select(2, client:get_video("2"))).kind)
        client = nil
        collectgarbage()
        collectgarbage()
        print("child", sora.new{ base_url = url .. "/child" }:get_video("3").id)
        exit()
      end
      wait()
      print(client:get_video("4").id)]]):format(library, srv.url))
    assert.equal("v\n" .. ("child\tnil\tforked\n"):rep(3) .. "child\tnil\tclosed\nchild\tv\nv\n", output)
    local requests = srv:requests()
    assert.same({ "/parent/videos/1", "/child/videos/3", "/parent/videos/4" }, rig.pluck(requests, "target"))
    assert.same({ 1, 2, 1 }, rig.pluck(requests, "connection"))
  end)
end)
