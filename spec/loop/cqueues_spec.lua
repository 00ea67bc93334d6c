-- sora.loop.cqueues, in controllers of the real library.
local cqueues = require "cqueues"
local hosts = require "spec.support.hosts"

-- Every task is a coroutine of one controller, which ends by itself.
local function run(tasks)
  local controller = cqueues.new()
  for _, task in ipairs(tasks) do controller:wrap(task) end
  assert(controller:loop())
  assert.is_true(controller:empty())
end

describe("sora.loop.cqueues", function()
  local context = hosts.describe { name = "cqueues", run = run, outside = "a coroutine of a cqueue",
    example = "cqueues", forwards = true }

  it("serves several controllers, also when one is dropped in the middle of a call", function()
    local srv, client = context.srv, context.client
    srv:route("GET", "/v1/videos/held", { hold = true })
    srv:route("GET", "/v1/videos/v", { json = { id = "v" } })
    local dropped, count = cqueues.new(), 0
    dropped:wrap(function() client:get_video("held") end)
    while #srv:requests() == 0 do assert(dropped:step(0.01)) end
    local function task()
      if client:get_video("v") then count = count + 1 end
    end
    run { task, task }
    dropped:close()
    run { task, task }
    assert.equal(4, count)
  end)
end)
