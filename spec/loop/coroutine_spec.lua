-- sora.loop.coroutine: a frame loop of one's own, with no library at all.
local hosts = require "spec.support.hosts"

-- Resumes every task once a frame until all have returned.
local function run(tasks)
  local running = {}
  for i, task in ipairs(tasks) do running[i] = coroutine.create(task) end
  while #running > 0 do
    for i = #running, 1, -1 do
      local good, seconds = coroutine.resume(running[i])
      if not good then error(seconds, 0) end
      if coroutine.status(running[i]) == "dead" then
        table.remove(running, i)
      else
        assert.is_true(seconds >= 0)
      end
    end
  end
end

describe("sora.loop.coroutine", function()
  hosts.describe { name = "coroutine", run = run, outside = "a coroutine", example = "coroutines",
    every_frame = true }
end)
