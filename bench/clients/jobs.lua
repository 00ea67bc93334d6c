--- Measures the cost of a poll and of a waiting job: one client watches many jobs. No other client here can.
--
--     bench/clients/jobs.lua PORT FOLDER COUNT RATE [POLLS]
--
-- PORT and FOLDER belong to the server of bench/jobs.lua. Watches COUNT jobs and polls them RATE times a
-- second in all. With POLLS it uses one connection and ends after COUNT + POLLS polls, so that callgrind can
-- compare two runs. Owns what is measured; prints NAME=VALUE. Invariant: it uses only what the README
-- documents, and nothing else runs while a figure is taken.
local core = require "sora.core" -- for its clock
local load = require "spec.support.load"
local process = require "spec.support.process"
local sora = require "sora"

local PORT, FOLDER, COUNT = tonumber(arg[1]), arg[2], tonumber(arg[3])
local RATE, POLLS = tonumber(arg[4]), tonumber(arg[5])
local URL = ("http://127.0.0.1:%d/v1"):format(PORT)
local INTERVAL = COUNT / RATE
local SECONDS = 2.5 -- the shortest measurement
local PARTS = 20    -- an interval is cut into this many, to see how evenly polls are spread
local SLICE = 0.1   -- s between two looks at the condition of `pump`
local CALLS = 256   -- the most calls in flight at a time

local function note(name, value)
  print(("%s=%.6g"):format(name, value))
end

-- Returns the bytes in use by Lua, and by the process.
local function memory()
  collectgarbage()
  collectgarbage()
  local rss = process.slurp("/proc/self/status"):match("VmRSS:%s*(%d+)")
  return collectgarbage("count") * 1024, tonumber(rss) * 1024
end

local asked = 0 -- requests of this file that are not polls

-- Returns how many polls the server has received, from all processes.
local function polls()
  asked = asked + 1
  return tonumber(load.get(PORT, "/status").body:match("requests%s+%d+ %d+ (%d+)")) - asked
end

-- Writes a named line to the server's log of polls.
local function mark(name)
  asked = asked + 1
  load.get(PORT, "/mark?name=" .. name)
end

-- Updates the client until `holds()` is true; checks it every SLICE seconds.
local function pump(client, holds)
  repeat
    local till = core.now() + SLICE
    while core.now() < till do client:update(math.max(0, till - core.now())) end
  until holds()
end

local function pump_seconds(client, seconds)
  local till = core.now() + seconds
  pump(client, function() return core.now() >= till end)
end

-- Opens the connections and allocates the memory of CALLS calls before anything is measured.
local function warm_up(client, id)
  for _ = 1, CALLS do client:start("get_video", id) end
  while client:update(1) > 0 do end -- luacheck: ignore 542
end

-- Measures for some seconds; returns the CPU time per poll in µs.
local function cpu_of(client, seconds)
  local count, cpu = polls(), -os.clock()
  pump_seconds(client, seconds)
  cpu = cpu + os.clock()
  return cpu / (polls() - count) * 1e6
end

-- Measures wait_all up to its first pause; returns µs per job. `max_rate` keeps it to a single poll until
-- then.
local function time_wait_all(ids)
  local client, stop = assert(sora.new { base_url = URL }), {}
  client.pause = function() error(stop, 0) end
  local cpu = -os.clock()
  local good, problem = pcall(client.wait_all, client, ids, { max_rate = 0.001 })
  cpu = cpu + os.clock()
  assert(not good and problem == stop, problem)
  client:close()
  return cpu / COUNT * 1e6
end

-- Counts the polls in each 1/PARTS of an interval between the last two marks. Returns their standard
-- deviation divided by the mean, and the value that independent random polls would have.
local function spread()
  local width, counts, start, stop = math.ceil(INTERVAL / PARTS * 1000) / 1000, {}, nil, nil
  for line in io.lines(FOLDER .. "/polls") do
    local name, at = line:match("^(%a*) ?([%d.]+)$")
    if name == "first" then start, stop, counts = at, nil, {} end
    if name == "last" then stop = at end
    local part = start and not stop and math.floor((at - start) / width) + 1
    if part then counts[part] = (counts[part] or 0) + 1 end
  end
  local sum, squares, parts = 0, 0, math.floor((stop - start) / width)
  for part = 1, parts do
    local count = counts[part] or 0
    sum, squares = sum + count, squares + count ^ 2
  end
  local mean = sum / parts
  return math.sqrt(squares / parts - mean ^ 2) / mean, 1 / math.sqrt(mean)
end

-- Watches all jobs and notes the cost of one that has not been polled yet.
local function watch(client, ids)
  local options = { interval = INTERVAL, max_interval = INTERVAL, timeout = 1e6 }
  local live, rss = memory()
  local cpu = -os.clock()
  for i = 1, COUNT do client:watch(ids[i], options) end
  note("watch_us", (cpu + os.clock()) / COUNT * 1e6)
  note("waiting_bytes", (memory() - live) / COUNT)
  return live, rss
end

-- Measures everything. Lets one interval pass first, so that the steady state is measured.
local function measure(client, ids)
  note("wait_all_us", time_wait_all(ids))
  warm_up(client, ids[1])
  local live, rss = watch(client, ids)
  local began, count = core.now(), polls()
  pump(client, function() return polls() > count + COUNT end) -- every first poll comes before a second one
  note("first_s", core.now() - began)
  pump_seconds(client, INTERVAL)
  mark "first"
  note("cpu_us", cpu_of(client, math.max(INTERVAL, SECONDS)))
  mark "last"
  local live_now, rss_now = memory()
  note("snapshot_bytes", (live_now - live) / COUNT)
  note("rss_bytes", (rss_now - rss) / COUNT)
  assert(io.open(FOLDER .. "/changing", "w")):close()
  note("changing_us", cpu_of(client, SECONDS))
  assert(os.remove(FOLDER .. "/changing"))
  local uneven, chance = spread()
  note("spread", uneven)
  note("chance", chance)
end

local ids = {}
for i = 1, COUNT do ids[i] = ("video_fe6f922f-da34-48a4-9c35-%012d"):format(i) end
local client = assert(sora.new { base_url = URL, api_key = "sk-bench", max_connections = POLLS and 1 })
if POLLS then
  local first = polls()
  watch(client, ids)
  pump(client, function() return polls() >= first + COUNT + POLLS end)
  note("polls", polls() - first)
else
  measure(client, ids)
end
client:close()
