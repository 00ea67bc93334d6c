--- `make bench-workers`: what a task and a poll of it cost, with 1, 2 and 4 workers and 10 to 100,000 tasks.
-- Owns the server (nginx with answers from its configuration), the measurements and bench/WORKERS.md.
-- Invariant: Redis' figures are its own (`INFO`), counted from the start of the workers to their end.
local cqueues = require "cqueues"
local machine = require "bench.machine"
local nginx = require "spec.support.nginx"
local process = require "spec.support.process"
local redis = require "spec.support.redis"
local tables = require "bench.tables"
local work = require "sora.work"

local WORKERS = { 1, 2, 4 }
local TASKS = { 10, 1000, 100000 }
local MOST = 2000  -- films of one measurement: with more tasks, the others wait in the queue meanwhile
local HELD = 10    -- s; for which workers follow jobs that do not end
local BEGIN = 2    -- s; until all of them do
local JOBS = 20    -- of a worker

local scratch = process.lines "mktemp -d -p /dev/shm 2>/dev/null || mktemp -d"[1]

process.spill(scratch .. "/film", "\0\0\0\24ftypisom\0\0\2\0isommp42" .. ("\0\255mdat"):rep(100))
local server = nginx.start { http = "keepalive_timeout 600s;", server = ([[
    default_type application/json;
    location = /v1/videos { return 200 '{"id":"v_$request_id","status":"queued"}'; }
    location ~ ^/v1/videos/(?<id>[^/]+)$ { return 200 '{"id":"$id","status":"completed"}'; }
    location ~ /content$ { default_type video/mp4; alias %s/film; }
    location = /held/videos { return 200 '{"id":"v_$request_id","status":"queued"}'; }
    location ~ ^/held/videos/(?<id>[^/]+)$ { return 200 '{"id":"$id","status":"in_progress"}'; }]])
    :format(scratch) }

-- What Redis has done so far: commands by their names, CPU seconds, bytes of memory.
local function look(srv)
  local text = srv:cli("info", "everything")
  local seen = { commands = {}, cpu = 0, memory = tonumber(text:match "used_memory:(%d+)"),
    file = tonumber(text:match "aof_current_size:(%d+)") or 0 }
  for name, calls in text:gmatch "cmdstat_([%w|]+):calls=(%d+)" do
    seen.commands[name] = tonumber(calls)
  end
  for part in text:gmatch "used_cpu_%l+_main_thread:([%d.]+)" do seen.cpu = seen.cpu + tonumber(part) end
  return seen
end

-- Commands that clients sent, and all, with those that the scripts run.
local SENT = { evalsha = true, script = true, info = true, select = true, auth = true,
  ["script|load"] = true }
local function count(before, after)
  local sent, all = 0, 0
  for name, calls in pairs(after.commands) do
    local new = calls - (before.commands[name] or 0)
    if SENT[name] then sent = sent + new else all = all + new end
  end
  return sent, all
end

local function list(prefix, from, to)
  local prompts = {}
  for i = from, to do prompts[#prompts + 1] = prefix .. " " .. i end
  return prompts
end

-- Runs workers, and calls `meanwhile`; returns films, CPU seconds, requests and seconds.
local function run(srv, workers, base, films, seconds, meanwhile)
  local children, began = {}, cqueues.monotime()
  for i = 1, workers do
    children[i] = process.start(process.lua { "bench/clients/worker.lua", srv.url, server.url .. base,
      scratch, math.ceil(films / workers), seconds })
  end
  if meanwhile then meanwhile() end
  local saved, cpu, requests = 0, 0, 0
  for _, child in ipairs(children) do
    local _, output, errors = child:finish()
    local a, b, c = output:match "(%d+) ([%d.]+) (%d+)"
    assert(a, output .. errors)
    saved, cpu, requests = saved + tonumber(a), cpu + tonumber(b), requests + tonumber(c)
  end
  return saved, cpu, requests, cqueues.monotime() - began
end

local function whole(value) return ("%d"):format(value) end

-- Writes a count, in which no digit is rounded.
local function counted(value)
  return value < 1000 and whole(value) or tables.number(value)
end

local rows = { { "tasks in the queue", "workers", "films", "films a second", "calls a film",
  "commands a film", "Redis µs a film", "AOF bytes a film", "worker ms a film", "put µs", "bytes a task" } }
local function measure_tasks(total, workers)
  local srv = redis.start()
  local queue = assert(work.open(srv.url))
  local empty, began = look(srv), cqueues.monotime()
  assert(queue:put(list("A fox in the snow", 1, total)))
  local put = cqueues.monotime() - began
  local before = look(srv)
  local films, cpu, _, seconds = run(srv, workers, "/v1", math.min(total, MOST), 0)
  local after = look(srv)
  local sent, all = count(before, after)
  rows[#rows + 1] = { counted(total), whole(workers), counted(films), tables.number(films / seconds),
    tables.number(sent / films), tables.number(all / films),
    tables.number((after.cpu - before.cpu) / films * 1e6),
    tables.number((after.file - before.file) / films), tables.number(cpu / films * 1e3),
    tables.number(put / total * 1e6),
    tables.number((before.memory - empty.memory) / total) }
  queue:close()
  srv:remove()
  os.execute("rm -f " .. scratch .. "/*.mp4")
end

local held_rows = { { "tasks in the queue", "workers", "jobs followed", "polls a second", "calls a second",
  "commands a second", "Redis µs a second", "worker µs a poll" } }
local function measure_polls(total, workers)
  local srv = redis.start()
  local queue = assert(work.open(srv.url))
  assert(queue:put(list("A fox in the snow", 1, total)))
  local before, after, from, to
  local _, cpu, requests, seconds = run(srv, workers, "/held", 1e9, HELD, function()
    cqueues.sleep(BEGIN)
    before, from = look(srv), cqueues.monotime()
    cqueues.sleep(HELD - BEGIN - 1)
    after, to = look(srv), cqueues.monotime()
  end)
  local sent, all = count(before, after)
  local jobs, span = math.min(total, workers * JOBS), to - from
  held_rows[#held_rows + 1] = { counted(total), whole(workers), whole(jobs),
    tables.number((requests - jobs) / seconds), tables.number(sent / span), tables.number(all / span),
    tables.number((after.cpu - before.cpu) / span * 1e6), tables.number(cpu / (requests - jobs) * 1e6) }
  queue:close()
  srv:remove()
end

for _, total in ipairs(TASKS) do
  for _, workers in ipairs(WORKERS) do
    measure_tasks(total, workers)
    measure_polls(total, workers)
  end
end
server:stop()
os.execute("rm -rf " .. process.quote(scratch))

local report = ([[# Workers: what the queue costs

`make bench-workers` writes this file. %s; %s; %s. The workers, Redis
(append-only file, `everysec`) and nginx share the cores. Films of 636 bytes go to a folder in memory.

## A task, from put to saved

nginx completes each job at once, so the figures are those of the queue and not of a model. A *call* is what
a worker sends to Redis (one EVALSHA); the *commands* are those that its script runs. Of 100 000 tasks, the
first %d become films while the others wait. With 10 tasks, the start of the programs counts most.

%s
## A job that is followed

Each worker follows %d jobs that do not end, and polls each of them five times a second at the server. No
poll costs Redis anything: twice a second, a worker looks for hints and, where it has capacity, for tasks,
whatever it follows; it renews its leases every 10 s.

%s]]):format(machine.description(), (process.lines("redis-server --version")[1]:match "v=(%S+)"
  or "?"):gsub("^", "Redis "), machine.today(), MOST, tables.markdown(rows), JOBS, tables.markdown(held_rows))
print(report)
process.spill("bench/WORKERS.md", report)
