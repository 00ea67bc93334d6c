-- Makes three videos at once in your own frame loop, with plain coroutines and no event library.
-- Usage: SORA_BASE_URL=… SORA_API_KEY=… lua5.4 examples/coroutines.lua
dofile((arg[0]:gsub("[^/]+$", "clone.lua"))) -- for a clone; an installed sora needs no such line
local sora = require "sora"

local client = require "sora.loop.coroutine"(assert(sora.new {}))
local tasks, frames = {}, 0

-- Makes one video. A call blocks only its coroutine, not the frames.
local function make(prompt)
  local job, err = client:create_video { prompt = prompt, seconds = "4" }
  local video = job
  if job then video, err = client:wait(job, { interval = 0.2 }) end
  print(("%-14s %s"):format(prompt, video and video.status or tostring(err)))
end

local function spawn(run, ...)
  local task = coroutine.create(run)
  tasks[#tasks + 1] = task
  assert(coroutine.resume(task, ...))
end

local function frame()
  frames = frames + 1
  for i = #tasks, 1, -1 do
    if coroutine.status(tasks[i]) ~= "dead" then assert(coroutine.resume(tasks[i])) end
    if coroutine.status(tasks[i]) == "dead" then table.remove(tasks, i) end
  end
  client:update(0.016) -- a game calls client:update(0) and then draws; here the wait stands for the drawing
end

for _, prompt in ipairs { "a paper boat", "a red fox", "a lighthouse" } do spawn(make, prompt) end
while #tasks > 0 do frame() end
print(("the frames went on: %s"):format(frames > 10 and "yes" or "no"))
