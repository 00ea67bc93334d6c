--- A worker that may be killed at any moment: `child.lua REDIS BASE_URL FOLDER NAME [OPTION=NUMBER…]`.
-- Owns nothing: what it leaves behind is for the specs to count. Prints each task that it takes, with its
-- lease, and each state that it tells, in a file beside the films, FOLDER/log, one line in one write.
local sora = require "sora"
local work = require "sora.work"

local url, base_url, folder, name = ...
local settings = { jobs = 4, lease = 1.5, timeout = 3, drain = 0 }
for i = 5, select("#", ...) do
  local option, value = select(i, ...):match "^(%w+)=(.*)$"
  settings[option] = tonumber(value)
end

local client = assert(sora.new { base_url = base_url, api_key = "worker", timeout = settings.timeout })
local queue = assert(work.open(url))
local log = assert(io.open(folder .. "/log", "a"))
log:setvbuf "full"

local function on_progress(entry)
  log:write(("%s %s %s %s %s\n"):format(name, entry.state, tostring(entry.id), tostring(entry.lease),
    tostring(entry.err or entry.job or "")))
  log:flush()
end

local results, err = queue:worker(client, { dir = folder, jobs = settings.jobs, lease = settings.lease,
  name = name, interval = 0.05, max_interval = 0.1, drain = settings.drain == 1, on_progress = on_progress,
}):run()
print(results and "done" or "error " .. tostring(err))
client:close()
