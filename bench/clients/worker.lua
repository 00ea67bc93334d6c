--- A worker of the benchmark: `worker.lua REDIS BASE_URL FOLDER SAVED SECONDS`.
-- Owns nothing. Stops after SAVED films, or after SECONDS if that is not 0, and prints the films, the CPU
-- seconds that they took, and the requests that were made.
local core = require "sora.core"
local sora = require "sora"
local work = require "sora.work"

local url, base_url, folder, most, seconds = ...
most, seconds = tonumber(most), tonumber(seconds)

local till = seconds > 0 and core.now() + seconds
local saved, requests, stopped, began, own = 0, 0, false, os.clock(), nil

local function on_event(event)
  if event.event ~= "request" then return end
  requests = requests + 1
  if not till or stopped or core.now() < till then return end
  stopped = true
  own:stop()
  own:stop()
end

-- The films of the other jobs that run then count, too: all that is asked for is saved.
local function on_progress(entry)
  if entry.state == "saved" then saved = saved + 1 end
  if stopped or saved < most then return end
  stopped = true
  own:stop()
end

local client = assert(sora.new { base_url = base_url, api_key = "x", on_event = on_event })
local queue = assert(work.open(url))
own = queue:worker(client, { dir = folder, drain = true, on_progress = on_progress,
  interval = till and 0.2 or nil, max_interval = till and 0.2 or nil })
assert(own:run())
print(("%d %.6f %d"):format(saved, os.clock() - began, requests))
client:close()
