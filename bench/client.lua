--- Runs a client program and reads the line of figures that it prints.
-- Owns the command line and the environment of a client. Invariant: every run has a time limit, runs on the
-- clients' core, and may open as many files as the system allows.
local machine = require "bench.machine"
local process = require "spec.support.process"

local client = {}

local LONGEST = 120 -- s; long because callgrind slows a program down about 50 times
local CORE = #machine.cores() > 1 and machine.cores()[1] or "" -- no server uses this core
local CANNOT = 3 -- the exit status of a client that does not support WHAT
--- The numbers of requests of the two runs under callgrind whose difference is counted.
client.LENGTHS = { 50, 200 }

-- $1 is the time limit, $2 the core or "". Prints the status last, since Lua 5.1 cannot read it from a pipe.
local SHELL = [[
limit=$1 core=$2; shift 2
ulimit -n "$(ulimit -Hn)" 2>/dev/null
[ -z "$core" ] || set -- taskset -c "$core" "$@"
timeout -k 5 "$limit" "$@" </dev/null
echo "status $?"]]

local function words(list)
  local quoted = {}
  for i, word in ipairs(list) do quoted[i] = process.quote(word) end
  return table.concat(quoted, " ")
end

-- Runs a command. Returns what it wrote to stdout and stderr, and its exit status.
local function run(command)
  local line = words { "sh", "-c", SHELL, "sh", LONGEST, CORE } .. " " .. words(command)
  local output, status = process.output(line .. " 2>&1"):match("^(.-)status (%d+)\n$")
  return output, tonumber(status)
end

local function environment(job)
  local list = { "env" }
  if job.ca then
    list[#list + 1] = "BENCH_CA=" .. job.ca
    list[#list + 1] = "NODE_EXTRA_CA_CERTS=" .. job.ca -- Node.js reads it before the client's first line
  end
  if job.http2 then list[#list + 1] = "BENCH_HTTP=2" end
  return list
end

local function join(...)
  local all = {}
  for _, list in ipairs { ... } do
    for _, word in ipairs(list) do all[#all + 1] = word end
  end
  return all
end

-- Runs the program with `count` requests; the words of `before` (valgrind, for instance) come before it.
local function start(program, job, count, before)
  local arguments = { job.what, job.url, count, job.flight or 1, program.extra or job.extra }
  return run(join(environment(job), before or {}, program.command, arguments))
end

--- Checks that a client is installed.
-- @tparam table program `command`, a list of words
-- @treturn[1] string its version
-- @treturn[2] nil
-- @treturn[2] string the last line of its error message
function client.probe(program)
  local output, status = run(join(program.command, { "probe" }))
  output = (output or ""):gsub("%s+$", "")
  if status == 0 then return output end
  return nil, output:match("[^\n]*$")
end

--- Runs a client once.
-- @tparam table program `command`, and optionally `extra` instead of the job's
-- @tparam table job `what`, `url`, `count`, and optionally `flight`, `extra`, `ca`, `http2`
-- @treturn[1] table { count, wall, cpu, rss, growth, flight }: requests, s, s, KiB, KiB, the job's `flight`
-- @treturn[2] nil
-- @treturn[2] string|false the reason; false: this client does not support `what`
function client.measure(program, job)
  local output, status = start(program, job, job.count)
  if status == CANNOT then return nil, false end
  local count, wall, cpu, rss, growth = (output or ""):match("(%d+) ([%d.]+) ([%d.]+) (%d+) (%-?%d+)%s*$")
  if status ~= 0 or not count then
    return nil, ("status %s: %s"):format(status, (output or ""):sub(-300))
  end
  return { count = tonumber(count), wall = tonumber(wall), cpu = tonumber(cpu), rss = tonumber(rss),
    growth = tonumber(growth), flight = job.flight }
end

-- Counts all instructions of one run. `begin` starts it, with the words of valgrind before its command.
local function instructions(begin)
  local out = process.folder()
  local output, status = begin { "valgrind", "--tool=callgrind", "--callgrind-out-file=" .. out .. "/out" }
  local total = (process.slurp(out .. "/out") or ""):match("\ntotals: (%d+)")
  process.output(words { "rm", "-r", out })
  if status == CANNOT then return nil, false end
  if status ~= 0 or not total then return nil, ("status %s: %s"):format(status, (output or ""):sub(-300)) end
  return tonumber(total)
end

--- Counts the instructions of one request, from the difference of two runs, so that start-up does not count.
-- @tparam table program as for `measure`
-- @tparam table job as for `measure`, without `count`
-- @tparam ?{number,number} lengths the numbers of requests of the two runs
-- @treturn[1] number
-- @treturn[2] nil
-- @treturn[2] string|false as in `measure`
function client.count(program, job, lengths)
  local short, long = (lengths or client.LENGTHS)[1], (lengths or client.LENGTHS)[2]
  local function count(requests)
    return instructions(function(before) return start(program, job, requests, before) end)
  end
  local few, why = count(short)
  if not few then return nil, why end
  local many, problem = count(long)
  if not many then return nil, problem end
  return (many - few) / (long - short)
end

--- Counts the instructions of a command from its start to its end.
-- @tparam {string,...} command
-- @tparam {string,...} variables of its environment, as NAME=VALUE
-- @treturn[1] number
-- @treturn[2] nil
-- @treturn[2] string the reason
function client.count_run(command, variables)
  return instructions(function(before) return run(join({ "env" }, variables, before, command)) end)
end

return client
