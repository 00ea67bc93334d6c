-- sora.loop.copas, under the Copas that Debian has.
local copas = require "copas"
local hosts = require "spec.support.hosts"

local function run(tasks)
  local left = #tasks
  for _, task in ipairs(tasks) do
    copas.addthread(function()
      task()
      left = left - 1
    end)
  end
  while left > 0 do copas.step() end
end

describe("sora.loop.copas", function()
  hosts.describe { name = "copas", run = run, outside = "a coroutine", example = "copas" }
end)
