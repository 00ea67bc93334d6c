-- sora.loop.copas, under the Copas that Debian has, and any later one on the path.
local copas = require "copas"
local hosts = require "spec.support.hosts"
local patience = require "spec.support.patience"

-- The loop of Copas 1 never ends; the end of a later one is part of each spec.
local function run(tasks)
  local left = #tasks
  for _, task in ipairs(tasks) do
    copas.addthread(function()
      task()
      left = left - 1
    end)
  end
  patience.wait(function() return left == 0 and (not copas.finished or copas.finished()) end, copas.step)
end

describe("sora.loop.copas", function()
  local context = hosts.describe { name = "copas", run = run, outside = "a coroutine", example = "copas",
    forwards = true }

  it("can wait again after the last pause has ended", function()
    local count = 0
    for _ = 1, 3 do
      run { function()
        context.client:pause(0.001)
        count = count + 1
      end }
    end
    assert.equal(3, count)
  end)

  if not copas.removethread then return end -- Copas 1

  it("ends when a thread is removed in the middle of its call", function()
    local srv, client = context.srv, context.client
    srv:reply { hold = true }
    local thread = copas.addthread(function() client:get_video("v") end)
    run { function()
      while #srv:requests() == 0 do copas.pause(0.002) end
      copas.removethread(thread)
    end }
    assert.equal(1, client:update(0))
  end)

  it("ends when a timer is cancelled in the middle of its callback's call", function()
    local srv, client = context.srv, context.client
    srv:reply { hold = true }
    local function call() client:get_video("v") end
    local timer = require("copas.timer").new { delay = 0, recurring = true, callback = call }
    run { function()
      while #srv:requests() == 0 do copas.pause(0.002) end
      timer:cancel()
    end }
    assert.equal(1, client:update(0))
  end)
end)
