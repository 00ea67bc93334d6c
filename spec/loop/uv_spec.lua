-- sora.loop.uv, under the real luv.
local hosts = require "spec.support.hosts"
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
end)
