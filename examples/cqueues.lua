-- Makes three films at once under cqueues, while another coroutine of the same controller keeps running.
-- Usage: SORA_BASE_URL=… SORA_API_KEY=… lua5.4 examples/cqueues.lua
dofile((arg[0]:gsub("[^/]+$", "clone.lua"))) -- for a clone; an installed sora needs no such line
local cqueues = require "cqueues"
local sora = require "sora"

local client = require "sora.loop.cqueues"(assert(sora.new { journal = "jobs.journal" }))
local controller = cqueues.new()
local busy, ticks = true, 0

local films = {
  { prompt = "a paper boat", seconds = "4", output = "boat.mp4" },
  { prompt = "a red fox", seconds = "4", output = "fox.mp4" },
  { prompt = "a lighthouse", seconds = "4", output = "lighthouse.mp4" },
}

controller:wrap(function()
  while busy do
    cqueues.sleep(0.01)
    ticks = ticks + 1
  end
end)

-- Makes the films, or resumes those of an earlier run, and saves them: docs/money.md. A call that
-- waits blocks only its coroutine, not the controller.
local function make()
  local results = assert(client:batch(films, { dir = ".", interval = 0.2 }))
  for i, film in ipairs(films) do
    print(("%-14s %s"):format(film.prompt, results[i].path or tostring(results[i].err)))
  end
  busy = false
end

controller:wrap(make)
assert(controller:loop()) -- returns when all coroutines have ended
print(("%d ticks of another coroutine meanwhile"):format(ticks))
