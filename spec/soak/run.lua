--- make soak: `run.lua [SECONDS [JOBS]]` watches thousands of jobs on one client, on a server full of faults.
-- Owns the promise that each job ends once, as the server decided, and that nothing piles up. New jobs begin
-- as old ones end, for two thirds of the time; descriptors and memory are measured after one third and then,
-- with equally many jobs. Invariant: no clock decides whether it passes.
local core = require "sora.core"
local load = require "spec.support.load"
local nginx = require "spec.support.nginx"
local patience = require "spec.support.patience"
local plan = require "spec.soak.plan"
local process = require "spec.support.process"
local sora = require "sora"

local SECONDS, JOBS = tonumber(arg[1]) or 60, tonumber(arg[2]) or 10000
local CONNECTIONS = 64
local MORE_FILES = 8    -- beside the connections: the poller, and sockets that are being closed
local MORE_MEMORY = 0.1 -- of the RSS after warm-up, or 4 MiB if that is more
local WATCH = { interval = 3, max_interval = 3 }

local server = nginx.start { http = [[
    reset_timedout_connection on;
    init_by_lua 'soak = require "spec.soak.server"';]], server = [[
    location ~ ^/v1/videos/(\w+)$ { content_by_lua 'soak.video(ngx.var[1])'; }
    location ~ ^/truth/(\d+)$ { content_by_lua 'soak.truth(ngx.var[1])'; }
    location = /requests { content_by_lua 'soak.requests()'; }]] }

local faults = {}
local function check(holds, text, ...)
  if holds then return end
  faults[#faults + 1] = text:format(...)
  if #faults <= 20 then io.stderr:write("soak: ", faults[#faults], "\n") end
end

local files_before = process.open_files()
local client = assert(sora.new { base_url = server.url .. "/v1", timeout = 5, max_connections = CONNECTIONS })

local number, open, ended = 0, 0, 0
local state = {}   -- number → "open", while it is watched
local deleted = {} -- number → how it ended, of those whose owner deleted them
local counts = { completed = 0, failed = 0, cancelled = 0, expired = 0 }

local function on_done(mine, id, video, err)
  local outcome, whim = video and video.status or err.kind, plan.whim(mine)
  check(state[mine], "%s ended twice, with %s", id, outcome)
  if not state[mine] then return end
  check(counts[outcome], "%s: %s", id, tostring(err))
  check(not video or video.id == id, "%s got the answer of %s", id, video and tostring(video.id))
  if whim == "deletes" then
    deleted[mine] = outcome
  elseif whim ~= "leaves" or outcome ~= "cancelled" then
    check(outcome == plan.outcome(mine), "%s ended with %s in place of %s", id, outcome, plan.outcome(mine))
  end
  counts[outcome] = (counts[outcome] or 0) + 1
  state[mine], open, ended = nil, open - 1, ended + 1
end

local function watch()
  local mine, id, job = number, "job_" .. number, nil
  number = number + 1
  local opts = { interval = WATCH.interval, max_interval = WATCH.max_interval,
    on_done = function(video, err) on_done(mine, id, video, err) end }
  local whim = plan.whim(mine)
  function opts.on_progress()
    if whim == "deletes" then assert(client:start("delete_video", id)) end
    if whim == "leaves" then job:cancel() end
    whim = nil
  end
  state[mine], open = "open", open + 1
  job = assert(client:watch(id, opts))
end

-- Updates until the time has come; a job that is never over is one that is lost.
local function run(holds)
  local last, since = -1, core.now()
  while not holds() do
    client:update(0.05)
    if ended ~= last then last, since = ended, core.now() end
    if core.now() - since > patience.LIMIT then
      check(false, "%d jobs are lost: none of them ended for %d s", open, patience.LIMIT)
      return
    end
  end
end

local began = core.now()
local function keep_up(seconds)
  run(function()
    while open < JOBS and number < plan.MOST do watch() end
    return core.now() - began >= seconds
  end)
end

local function measure()
  collectgarbage()
  collectgarbage()
  local rss = process.slurp("/proc/self/status"):match("VmRSS:%s*(%d+)")
  return process.open_files(), tonumber(rss) / 1024
end

keep_up(SECONDS / 3)
local files_warm, memory_warm = measure()
keep_up(SECONDS * 2 / 3)
local files, memory = measure()
run(function() return open == 0 end)

-- What the server made of the jobs that were deleted; that request may have failed.
for mine, outcome in pairs(deleted) do
  local truth = load.get(server.port, "/truth/" .. mine).body
  check(truth == outcome, "job_%d ended with %s in place of %s", mine, outcome, tostring(truth))
end
local polls = load.get(server.port, "/requests").body
client:close()
local files_after = process.open_files()
server:stop()

check(open == 0 and ended == number, "%d jobs began, %d ended", number, ended)
check(number > JOBS, "no job began after the first %d", JOBS)
for name, count in pairs { warm = files_warm, late = files } do
  check(count <= files_before + CONNECTIONS + MORE_FILES, "%d descriptors are open (%s)", count, name)
end
check(files_after == files_before, "%d descriptors before, %d after", files_before, files_after)
check(memory - memory_warm <= math.max(4, memory_warm * MORE_MEMORY), "memory grew from %.1f to %.1f MiB",
  memory_warm, memory)

local words = {}
for outcome, count in pairs(counts) do words[#words + 1] = ("%d %s"):format(count, outcome) end
table.sort(words)
print(("%d jobs (%s), %s requests, %d to %d descriptors, %.1f to %.1f MiB, %d faults"):format(ended,
  table.concat(words, ", "), polls, files_warm, files, memory_warm, memory, #faults))
os.exit(#faults == 0 and 0 or 1)
