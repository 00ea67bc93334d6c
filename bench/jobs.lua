--- The section about watched jobs: the cost of a poll and of a waiting job, for different numbers of jobs.
-- Owns the server, which logs the polls, and the table. Invariant: each number of jobs is measured by a
-- process of its own and with the same number of polls a second, so the load on the connections is equal.
local machine = require "bench.machine"
local nginx = require "spec.support.nginx"
local process = require "spec.support.process"
local tables = require "bench.tables"

local COUNTS = { 100, 1000, 10000, 100000 }
local RATE = 4000      -- polls a second
local COUNTED = { [100] = true, [10000] = true }
local LENGTHS = { 200, 5200 } -- polls of the two runs under callgrind; their difference spans a full GC cycle
local AT_ONCE = 1e9    -- the rate under callgrind: a job is due again as soon as its response has come
local LONGEST = 300    -- s; the time limit of one process

-- The example in the API reference.
local JOB = [[{"created_at":1764649117,"id":"$id","model":"sora-2","object":"video","progress":$progress,]]
  .. [["seconds":"10","size":"720x1280","status":"in_progress"}]]

-- While the file `changing` exists, almost every response differs from the one before.
local CONFIG = [[
worker_processes 1;
@AFFINITY@daemon off;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log warn;
events { worker_connections 1024; }
http {
  map $msec $changing { default 45; "~([1-9]\d)$" $1; }
  log_format poll "$msec";
  log_format mark "$arg_name $msec";
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  client_body_temp_path @DIR@/body;
  proxy_temp_path @DIR@/proxy;
  fastcgi_temp_path @DIR@/fastcgi;
  uwsgi_temp_path @DIR@/uwsgi;
  scgi_temp_path @DIR@/scgi;
  types { }
  default_type application/json;
  server {
    listen 127.0.0.1:@PORT@;
    location ~ ^/v1/videos/(?<id>.+)$ {
      access_log @DIR@/polls poll;
      set $progress 45;
      if (-f @DIR@/changing) { set $progress $changing; }
      return 200 '@JOB@';
    }
    location = /status { access_log off; stub_status; }
    location = /mark { access_log @DIR@/polls mark; return 204; }
  }
}
]]

local TEXT = [[
One client watches many jobs, and polls them %s times a second in all. The CPU is that of a poll that finds
the job as it was, and of one that finds it changed; instructions are those of the former. The bytes are Lua's
own after a full collection, of a job that waits for its first poll and of one that was polled and has its
snapshot; RSS is the latter with garbage and all. `watch` and `wait_all`: the µs a job until they return, or
make their first poll. The spread is the standard deviation of the number of polls in a twentieth of an
interval, as a part of the mean, from the second interval on; in brackets that of polls that come
independently of each other.]]

local HEAD = { "jobs", "CPU µs a poll", "CPU µs, changed", "instructions a poll", "bytes, waiting",
  "bytes with snapshot", "RSS bytes", "`watch` µs", "`wait_all` µs", "spread" }

local function start_server()
  local cores = machine.cores()
  local affinity = cores[2] and ("worker_cpu_affinity 1%s;\n"):format(("0"):rep(cores[#cores])) or ""
  return nginx.run((CONFIG:gsub("@(%u%u%u+)@", { AFFINITY = affinity, JOB = JOB })))
end

-- Runs the client on the first core. Returns its figures by name, and its output.
local function run(server, words, before)
  local line = ("timeout %d taskset -c %d %s %s bench/clients/jobs.lua %d %s"):format(LONGEST,
    machine.cores()[1], before or "", process.quote(os.getenv("LUA") or arg[-1]), server.port, server.dir)
  for _, word in ipairs(words) do line = line .. (" %.0f"):format(word) end
  local output, figures = process.output(line .. " 2>&1"), {}
  for name, value in output:gmatch("([%l_]+)=(%S+)") do figures[name] = tonumber(value) end
  return figures, output
end

-- Counts the instructions of a poll, from the difference of two runs. Returns nil and the output on failure.
local function count(server, jobs)
  local totals, polls = {}, {}
  for i, length in ipairs(LENGTHS) do
    local out = server.dir .. "/callgrind"
    local figures, output = run(server, { jobs, AT_ONCE, length },
      "valgrind --tool=callgrind --callgrind-out-file=" .. out)
    totals[i], polls[i] = (process.slurp(out) or ""):match("\ntotals: (%d+)"), figures.polls
    if not (totals[i] and polls[i]) then return nil, output end
  end
  return (totals[2] - totals[1]) / (polls[2] - polls[1])
end

-- Measures some rounds; returns the median of each figure by name.
local function measure(server, jobs, rounds)
  local lists, medians = {}, {}
  for _ = 1, rounds do
    local figures, output = run(server, { jobs, RATE })
    if not figures.spread then error("bench/clients/jobs.lua: " .. output, 0) end
    for name, value in pairs(figures) do
      lists[name] = lists[name] or {}
      table.insert(lists[name], value)
    end
  end
  for name, list in pairs(lists) do medians[name] = tables.median(list) end
  return medians
end

local function row(server, jobs, rounds, counted)
  io.stderr:write("Watched jobs: ", jobs, "\n")
  local figures = measure(server, jobs, rounds)
  local cells = { tables.number(jobs), tables.number(figures.cpu_us),
    tables.number(figures.changing_us), "–" }
  if counted then
    local instructions, why = count(server, jobs)
    if not instructions then error("callgrind: " .. why, 0) end
    cells[4] = tables.number(instructions)
  end
  for _, name in ipairs { "waiting_bytes", "snapshot_bytes", "rss_bytes", "watch_us", "wait_all_us" } do
    cells[#cells + 1] = tables.number(figures[name])
  end
  cells[#cells + 1] = ("%.2f (%.2f)"):format(figures.spread, figures.chance)
  return cells
end

-- Makes the section for run.lua.
return function()
  return { title = "Watched jobs", text = TEXT:format(tables.number(RATE)), measure = function(options)
    local server, rows = start_server(), { HEAD }
    local good, problem = pcall(function()
      for _, jobs in ipairs(COUNTS) do
        local scaled = math.max(1, math.floor(jobs * options.scale))
        rows[#rows + 1] = row(server, scaled, options.rounds or 1, COUNTED[jobs])
      end
    end)
    server:stop()
    if not good then error(problem, 0) end
    return tables.markdown(rows)
  end }
end
