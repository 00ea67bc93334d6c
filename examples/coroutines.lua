-- Makes three films at once in your own frame loop, with plain coroutines and no event library.
-- Usage: SORA_BASE_URL=… SORA_API_KEY=… lua5.4 examples/coroutines.lua
dofile((arg[0]:gsub("[^/]+$", "clone.lua"))) -- for a clone; an installed sora needs no such line
local sora = require "sora"

local client = require "sora.loop.coroutine"(assert(sora.new { journal = "jobs.journal" }))
local tasks, frames = {}, 0

local films = {
  { prompt = "a paper boat", seconds = "4", output = "boat.mp4" },
  { prompt = "a red fox", seconds = "4", output = "fox.mp4" },
  { prompt = "a lighthouse", seconds = "4", output = "lighthouse.mp4" },
}

-- Makes the films, or resumes those of an earlier run, and saves them: docs/money.md. A call that
-- waits blocks only its coroutine, not the frames.
local function make()
  local results = assert(client:batch(films, { dir = ".", interval = 0.2 }))
  for i, film in ipairs(films) do
    print(("%-14s %s"):format(film.prompt, results[i].path or tostring(results[i].err)))
  end
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

spawn(make)
while #tasks > 0 do frame() end
print(("%d frames meanwhile"):format(frames))
