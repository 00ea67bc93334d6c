--- Runs all clients under a load, round by round.
-- Owns the order: in each round every client has its turn, and each round begins with another one, so that
-- what slows the machine down for a while hits all of them. Invariant: a client that fails or can't is not
-- tried again under that load, and why is kept.
local client = require "bench.client"

local rounds = {}

local function at_least_one(number)
  return math.max(1, math.floor(number + 0.5))
end

-- Whether a load is for a program at all.
local function takes_part(program, load)
  return (not program.only or program.only == load.name) and (load.flight or 1) <= (program.most or math.huge)
end

-- The load as this program has it: slow ones make fewer requests.
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
-- @tparam {table,...} programs `name`, `command`, and where they have them `extra`, `share` (the part of the
-- requests it makes), `only` (the name of the one load it is for), `most` (requests in flight)
-- @tparam table load `name`, `title`, and what client.lua calls a job
-- @tparam number count of rounds
-- @tparam number scale of the numbers of requests
-- @treturn table for each program { results = {…}, out = true when it is not tried any more: because the load
-- is for others, it is `unable`, or it failed and `why` says how }
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

--- Counts the instructions of a request, for the programs that did the load; into `instructions` of their
-- first result.
-- @tparam table entries from `run`
-- @tparam table load `counted` is the URL to do it with
-- @tparam number scale
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
