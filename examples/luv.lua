-- Makes three films at once under luv, while a timer in the same loop keeps running.
-- Usage: SORA_BASE_URL=… SORA_API_KEY=… lua5.4 examples/luv.lua
dofile((arg[0]:gsub("[^/]+$", "clone.lua"))) -- for a clone; an installed sora needs no such line
local sora = require "sora"
local uv = require "luv"

local client = require "sora.loop.uv"(assert(sora.new { journal = "jobs.journal" }))
local ticks = 0
local ticker = uv.new_timer()
ticker:start(0, 10, function() ticks = ticks + 1 end)

local films = {
  { prompt = "a paper boat", seconds = "4", output = "boat.mp4" },
  { prompt = "a red fox", seconds = "4", output = "fox.mp4" },
  { prompt = "a lighthouse", seconds = "4", output = "lighthouse.mp4" },
}

-- Makes the films, or resumes those of an earlier run, and saves them: docs/money.md. A call that
-- waits blocks only its coroutine, not the loop.
local function make()
  local results = assert(client:batch(films, { dir = ".", interval = 0.2 }))
  for i, film in ipairs(films) do
    print(("%-14s %s"):format(film.prompt, results[i].path or tostring(results[i].err)))
  end
  ticker:close()
end

coroutine.wrap(make)()
uv.run() -- returns when all calls are done and the timer is closed
print(("%d ticks of a timer meanwhile"):format(ticks))
