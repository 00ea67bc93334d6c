-- sora.loop.coroutine: a frame loop of one's own, with no library at all.
local hosts = require "spec.support.hosts"
local patience = require "spec.support.patience"

-- Resumes every task once a frame until all have returned.
local function run(tasks)
  local threads = {}
  for i, task in ipairs(tasks) do threads[i] = coroutine.create(task) end
  patience.run(threads, function(seconds) assert.is_true(seconds >= 0) end)
end

describe("sora.loop.coroutine", function()
  hosts.describe { name = "coroutine", run = run, outside = "a coroutine", example = "coroutines",
    every_frame = true, forwards = true }
end)
