-- Measures how long client:update(0) takes in a frame while 0, 1 and 100 calls wait for a server that does
-- not answer. Usage, in the checkout's folder and with SORA_BASE_URL: `love spec/support/love_frames`
-- Owns the measurement. Prints a line for each number of calls: the number, p50, p99 and the maximum in µs.
-- luacheck: std +love
local core = require "sora.core"
local sora = require "sora"

local FRAMES, SETTLE = 500, 100
local COUNTS = { 0, 1, 100 }

local client = assert(sora.new { api_key = "k", max_connections = 200 })
local handles, times, frame = {}, {}, 0
local wanted = table.remove(COUNTS, 1)

local function report()
  table.sort(times)
  local function at(part) return times[math.ceil(part * #times)] * 1e6 end
  io.write(("%d %.1f %.1f %.1f\n"):format(client:update(0), at(0.5), at(0.99), at(1)))
  io.flush()
end

function love.update()
  while #handles < wanted do
    handles[#handles + 1] = assert(client:start("get_video", "v" .. #handles, { timeout = 60 }))
  end
  local before = core.now()
  client:update(0)
  local took = core.now() - before
  frame = frame + 1
  if frame > SETTLE then times[#times + 1] = took end -- all calls have connected by then
  if #times < FRAMES then return end
  report()
  times, frame = {}, 0
  wanted = table.remove(COUNTS, 1)
  if not wanted then love.event.quit() end
end
