-- sora.loop.uv, under the real luv.
local hosts = require "spec.support.hosts"
local rig = require "spec.support.rig"
local uv = require "luv"

-- What a task raises, uv would make the end of the process of.
local function start(task, problems)
  coroutine.wrap(function()
    task()
    problems.left = problems.left - 1
  end)()
end

local function run(tasks)
  local problems = { left = #tasks }
  for _, task in ipairs(tasks) do start(task, problems) end
  uv.run()
  assert.equal(0, problems.left)
  assert.is_false(uv.loop_alive())
end

describe("sora.loop.uv", function()
  local context = hosts.describe { name = "uv", run = run, outside = "a coroutine", example = "luv" }

  it("works in a loop that is run tick by tick", function()
    context.srv:reply { json = { id = "v" }, delay = 0.02 }
    local video
    coroutine.wrap(function() video = context.client:get_video("v") end)()
    while uv.run("nowait") do context.client:update(0.005) end
    assert.equal("v", video.id)
  end)

  it("lets the client be closed and its descriptor be used again while a coroutine waits", function()
    local srv, client = context.srv, context.client
    srv:reply { hold = true }
    local err
    coroutine.wrap(function() err = select(2, client:get_video("v")) end)()
    while #srv:requests() == 0 do uv.run("once") end
    local fd = client:fileno()
    client:close()
    local reader, writer, heard
    repeat -- until the system gives the same number again
      local pipe = assert(uv.pipe())
      if reader then reader:close() end
      if writer then writer:close() end
      reader, writer = uv.new_pipe(false), uv.new_pipe(false)
      reader:open(pipe.read)
      writer:open(pipe.write)
    until pipe.read >= fd or pipe.write >= fd
    reader:read_start(function(_, bytes)
      heard = bytes
      reader:close()
    end)
    writer:write("hello")
    writer:close()
    uv.run()
    assert.same({ "closed", "hello" }, { err.kind, heard })
  end)

  it("lets the client be closed, or used again, after uv.walk has closed all handles", function()
    local srv, client = context.srv, context.client
    srv:reply({ hold = true }, { json = { id = "v" } }, { hold = true })
    local function wait_for(count)
      coroutine.wrap(function() client:get_video("v") end)()
      while #srv:requests() < count do uv.run("once") end
      uv.walk(function(handle)
        if not handle:is_closing() then handle:close() end
      end)
    end
    wait_for(1)
    local id
    run { function() id = client:get_video("v").id end }
    assert.equal("v", id)
    wait_for(3)
    client:close()
    uv.run()
    assert.is_false(uv.loop_alive())
  end)

  it("does its work through the option `call`, for hosts where a callback of uv may do little", function()
    local srv = context.srv
    srv:reply({ json = { id = "v" }, delay = 0.02 }, { json = { id = "w" } }, { hold = true })
    local queue, inside, depths = {}, 0, {}
    local adapted = require("sora.loop.uv")(rig.client(srv), {
      call = function(work) table.insert(queue, work) end,
    })
    local function see() depths[#depths + 1] = inside end
    coroutine.wrap(function()
      assert.equal("v", adapted:get_video("v").id)
      see()
      adapted:start("get_video", "w", { on_done = see })
      while adapted:update(0) > 0 do adapted:pause(0.05) end
      see()
    end)()
    local most = 0
    local function turn(mode)
      uv.run(#queue == 0 and mode or "nowait")
      most, inside = math.max(most, #queue), 1
      while queue[1] do table.remove(queue, 1)() end
      inside = 0
    end
    while uv.loop_alive() or queue[1] do
      -- What waits in the queue is not asked for again: the loop may run long before it is called.
      for _ = 1, 20 do uv.run("nowait") end
      turn "once"
    end
    assert.same({ 1, 1, 1 }, depths)
    assert.is_true(most >= 1 and most <= 2, most .. " in the queue") -- the pump's, and one of who waits
    coroutine.wrap(function() adapted:get_video("x") end)()
    while #srv:requests() < 3 do turn "nowait" end
    adapted:close()
    while uv.loop_alive() or queue[1] do turn "once" end
  end)

  it("refuses a `call` that is no function", function()
    assert.has_error(function() require("sora.loop.uv")(context.client, { call = 5 }) end,
      "sora.loop.uv: option 'call': expected a function, got number")
  end)
end)
