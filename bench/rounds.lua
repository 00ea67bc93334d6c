--- Runs all clients under a load, round by round.
-- Owns the order: every client runs once in each round, and each round starts with a different one, so that a
-- temporary slowdown of the machine affects all of them. Invariant: a client that fails, or does not support
-- a load, is not run again under that load, and the reason is kept.
local client = require "bench.client"

local rounds = {}

local function at_least_one(number)
  return math.max(1, math.floor(number + 0.5))
end

-- Tells whether a program takes part in a load.
local function takes_part(program, load)
  return (not program.only or program.only == load.name) and (load.flight or 1) <= (program.most or math.huge)
end

-- Scales a load for a program: slow programs make fewer requests.
local function job_of(program, load, scale)
  local flight = load.flight and at_least_one(load.flight * scale)
  local count = at_least_one(load.count * scale * (program.share or 1))
  return { what = load.what, url = load.url, count = math.max(count, flight or 1), flight = flight,
    ca = load.ca, http2 = load.http2, extra = load.extra }
end

local function note(entry, program, load, why)
  entry.out, entry.unable = true, not why
  if why then entry.why = ("%s, %s: %s"):format(program.name, load.title, (why:gsub("%s+", " "))) end
end

local function run_one(entry, program, load, scale)
  local result, why = client.measure(program, job_of(program, load, scale))
  if result then
    entry.results[#entry.results + 1] = result
  else
    note(entry, program, load, why)
  end
end

--- Measures clients under one load.
-- @tparam {table,...} programs `name`, `command`, and optionally `extra`, `share` (the fraction of the
-- requests that it makes), `only` (the name of the only load for it), `most` (the most requests in flight)
-- @tparam table load `name`, `title`, and the fields of a job in client.lua
-- @tparam number count the number of rounds
-- @tparam number scale multiplies the numbers of requests
-- @treturn table for each program `{ results, out, unable, why }`. `out`: it is not run any more, because it
-- does not take part, does not support the load (`unable`), or failed (`why` is the reason)
function rounds.run(programs, load, count, scale)
  local entries = {}
  for _, program in ipairs(programs) do
    entries[program] = { results = {}, out = not takes_part(program, load) }
  end
  for round = 1, count do
    for i = 1, #programs do
      local program = programs[(i + round - 2) % #programs + 1]
      if not entries[program].out then run_one(entries[program], program, load, scale) end
    end
  end
  return entries
end

--- Counts the instructions of a request for each program that ran the load. Stores them in `instructions` of
-- its first result.
-- @tparam table entries from `run`
-- @tparam table load `counted` is the URL to use
-- @tparam number scale multiplies the numbers of requests
function rounds.count(entries, load, scale)
  for program, entry in pairs(entries) do
    if not entry.out and not program.uncounted then
      local lengths, job = program.lengths or client.LENGTHS, job_of(program, load, scale)
      job.url = load.counted
      local ir, why = client.count(program, job, { lengths[1], lengths[1] + math.max(1, math.floor(
        (lengths[2] - lengths[1]) * scale)) })
      if ir then entry.results[1].instructions = ir else note(entry, program, load, why) end
    end
  end
end

return rounds
