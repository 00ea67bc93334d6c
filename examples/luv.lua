-- Makes three videos at once under luv, while a timer in the same loop keeps running.
-- Usage: SORA_BASE_URL=… SORA_API_KEY=… lua5.4 examples/luv.lua
dofile((arg[0]:gsub("[^/]+$", "clone.lua"))) -- for a clone; an installed sora needs no such line
local sora = require "sora"
local uv = require "luv"

local client = require "sora.loop.uv"(assert(sora.new {}))

local ticks = 0
local ticker = uv.new_timer()
ticker:start(0, 10, function() ticks = ticks + 1 end)

local prompts = { "a paper boat", "a red fox", "a lighthouse" }
local left = #prompts

-- Makes one video. A call blocks only its coroutine, not the loop.
local function make(prompt)
  local job, err = client:create_video { prompt = prompt, seconds = "4" }
  local video = job
  if job then video, err = client:wait(job, { interval = 0.2 }) end
  print(("%-14s %s"):format(prompt, video and video.status or tostring(err)))
  left = left - 1
  if left == 0 then ticker:close() end
end

for _, prompt in ipairs(prompts) do coroutine.wrap(make)(prompt) end
uv.run() -- returns when all calls are done and the timer is closed
print(("the timer went on: %s"):format(ticks > 10 and "yes" or "no"))
