--- What a poll and a waiting job cost: one client that watches many jobs, which nobody else here can.
--
--     bench/clients/jobs.lua PORT FOLDER COUNT RATE [POLLS]
--
-- PORT and FOLDER are those of the server of bench/jobs.lua. COUNT jobs are watched, and polled RATE times a
-- second in all. With POLLS it ends after so many polls more than one of each job, all on one connection: two
-- such runs are counted by callgrind. Owns what is measured; prints NAME=VALUE. Invariant: nothing but what
-- the README describes is used, and a figure is taken only while nothing else goes on.
local core = require "sora.core" -- for its clock
local load = require "spec.support.load"
local process = require "spec.support.process"
local sora = require "sora"

local PORT, FOLDER, COUNT = tonumber(arg[1]), arg[2], tonumber(arg[3])
local RATE, POLLS = tonumber(arg[4]), tonumber(arg[5])
local URL = ("http://127.0.0.1:%d/v1"):format(PORT)
local INTERVAL = COUNT / RATE
local SECONDS = 2.5 -- of a window, at least
local PARTS = 20    -- of an interval
local SLICE = 0.1   -- s
local CALLS = 256   -- that are under way at a time, at most

local function note(name, value)
  print(("%s=%.6g"):format(name, value))
end

-- Bytes of Lua's memory that are in use, and of the process.
local function memory()
  collectgarbage()
  collectgarbage()
  local rss = process.slurp("/proc/self/status"):match("VmRSS:%s*(%d+)")
  return collectgarbage("count") * 1024, tonumber(rss) * 1024
end

local asked = 0 -- requests that are no polls

-- How many polls the server has seen, of all processes.
local function polls()
  asked = asked + 1
  return tonumber(load.get(PORT, "/status").body:match("requests%s+%d+ %d+ (%d+)")) - asked
end

-- Leaves a line in the server's list of polls.
local function mark(name)
  asked = asked + 1
  load.get(PORT, "/mark?name=" .. name)
end

-- Works until `holds()`, which is asked now and then.
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

-- What comes once comes before: connections, and the memory of as many calls as there may be.
local function warm_up(client, id)
  for _ = 1, CALLS do client:start("get_video", id) end
  while client:update(1) > 0 do end -- luacheck: ignore 542
end

-- CPU µs a poll for so many seconds.
local function cpu_of(client, seconds)
  local count, cpu = polls(), -os.clock()
  pump_seconds(client, seconds)
  cpu = cpu + os.clock()
  return cpu / (polls() - count) * 1e6
end

-- µs a job from the call of wait_all to its first pause; with max_rate it has made one poll by then.
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

-- Between the last two marks: the standard deviation of the number of polls in a twentieth of the interval,
-- as a part of the mean; and what it would be if they came independently.
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

-- Watches all; the figures are those of a job that has not been polled.
local function watch(client, ids)
  local options = { interval = INTERVAL, max_interval = INTERVAL, timeout = 1e6 }
  local live, rss = memory()
  local cpu = -os.clock()
  for i = 1, COUNT do client:watch(ids[i], options) end
  note("watch_us", (cpu + os.clock()) / COUNT * 1e6)
  note("waiting_bytes", (memory() - live) / COUNT)
  return live, rss
end

-- One interval goes by before the window, so that what is measured is how it goes on.
local function measure(client, ids)
  note("wait_all_us", time_wait_all(ids))
  warm_up(client, ids[1])
  local live, rss = watch(client, ids)
  local began, count = core.now(), polls()
  pump(client, function() return polls() > count + COUNT end) -- first polls are due first
  note("first_s", core.now() - began)
  pump_seconds(client, INTERVAL)
  mark "first"
  note("cpu_us", cpu_of(client, math.max(INTERVAL, SECONDS)))
  mark "last"
  local live_now, rss_now = memory()
  note("snapshot_bytes", (live_now - live) / COUNT)
  note("rss_bytes", (rss_now - rss) / COUNT)
  assert(io.open(FOLDER .. "/news", "w")):close()
  note("news_us", cpu_of(client, SECONDS))
  assert(os.remove(FOLDER .. "/news"))
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
