--- A game that saves a film: `frames URL PATH SYNC` starts the download and calls `update(0)` until it is
-- done; prints the longest update in ms, and how many there were.
local core = require "sora.core" -- for its clock
local sora = require "sora"

local url, path, sync = arg[1], arg[2], arg[3]
local client = assert(sora.new { base_url = url .. "/v1", max_retries = 0 })
local handle = assert(client:start("download_video", "video_123", { path = path, sync = sync == "true" }))
local longest, updates = 0, 0
while not handle:done() do
  local before = core.now()
  client:update(0)
  longest, updates = math.max(longest, core.now() - before), updates + 1
end
assert(handle:result())
print(("%.3f %d"):format(longest * 1000, updates))
