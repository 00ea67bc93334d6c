-- Makes three videos at once under cqueues, while another coroutine of the same controller keeps running.
-- Usage: SORA_BASE_URL=… SORA_API_KEY=… lua5.4 examples/cqueues.lua
dofile((arg[0]:gsub("[^/]+$", "clone.lua"))) -- for a clone; an installed sora needs no such line
local cqueues = require "cqueues"
local sora = require "sora"

local client = require "sora.loop.cqueues"(assert(sora.new {}))
local controller = cqueues.new()

local prompts = { "a paper boat", "a red fox", "a lighthouse" }
local left, ticks = #prompts, 0

controller:wrap(function()
  while left > 0 do
    cqueues.sleep(0.01)
    ticks = ticks + 1
  end
end)

-- Makes one video. A call blocks only its coroutine, not the controller.
local function make(prompt)
  local job, err = client:create_video { prompt = prompt, seconds = "4" }
  local video = job
  if job then video, err = client:wait(job, { interval = 0.2 }) end
  print(("%-14s %s"):format(prompt, video and video.status or tostring(err)))
  left = left - 1
end

for _, prompt in ipairs(prompts) do controller:wrap(make, prompt) end
assert(controller:loop()) -- returns when all coroutines have ended
print(("the others went on: %s"):format(ticks > 10 and "yes" or "no"))
