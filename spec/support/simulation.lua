--- Drives sora.wait.machine, for one wait or many, without real time, network or chance.
-- Owns a clock that moves only when the machine asks for a pause, and takes responses from a list.
local assert = require "luassert"
local core = require "sora.core"
local heap = require "sora.wait.heap"
local machine = require "sora.wait.machine"

local simulation = {}

local START = 5000 -- not 0, because real clocks rarely begin at 0

--- Runs a wait until it ends or the list of answers is used up.
-- @tparam table opts of the wait
-- @tparam table answers each is `{ video =, hint =, request_id = }` or `{ err = }`, with the seconds it
-- `takes`; with `repeats = true` the last one repeats
-- @tparam ?number|function random the random value, or a function that returns it (0: no jitter)
-- @treturn table job
-- @treturn table the times of its polls, in seconds since the start
-- @treturn table the pauses it asked for, in seconds
-- @treturn number how many seconds it took
function simulation.run(opts, answers, random)
  local job = machine.start("v", machine.rules(opts, "wait"), START)
  local now, polls, pauses = START, {}, {}
  local function draw() return type(random) == "function" and random() or random or 0 end
  while true do
    if not job.finished and now < job.due then
      pauses[#pauses + 1] = job.due - now
      now = job.due
    elseif not machine.is_to_poll(job, now) then
      return job, polls, pauses, now - START
    else
      local got = answers[#polls + 1] or answers.repeats and answers[#answers]
      if not got then return job, polls, pauses, now - START end
      polls[#polls + 1] = now - START
      now = now + (got.takes or 0)
      if got.video then
        local view = machine.answer(job, got.video, got.hint, now, draw(), nil, got.request_id)
        if view then machine.progress(job, view) end
      else
        machine.failure(job, got.err, now, draw())
      end
    end
  end
end

--- Runs many waits that begin together; every response says that the job is in progress.
-- @tparam number count
-- @tparam ?table opts of the waits
-- @tparam table world `seconds` to simulate, `random` (a function with results in [0, 1)), `hint` (of each
-- response), `rate` (the most polls per second; 8000), and `stall` = { from, to }: a time without polls
-- @treturn {number,...} the times of all polls, in seconds since the start
function simulation.crowd(count, opts, world)
  local rules, waiting, now, polls = machine.rules(opts, "wait_all"), heap.new(), START, {}
  local stall = world.stall or { 0, 0 }
  for _ = 1, count do heap.push(waiting, machine.start("v", rules, START)) end
  while true do
    local job = heap.pop(waiting)
    now = math.max(now + 1 / (world.rate or 8000), job.due)
    if now - START >= stall[1] and now - START < stall[2] then now = START + stall[2] end
    if now - START >= world.seconds then return polls end
    assert.is_true(machine.is_to_poll(job, now))
    polls[#polls + 1] = now - START
    machine.answer(job, simulation.video("in_progress"), world.hint, now, world.random(), world.random())
    heap.push(waiting, job)
  end
end

--- Measures how evenly polls are spread. Divides the time from `from` to `to` into 20 parts, and returns the
-- highest and the lowest number of polls in a part, relative to the mean.
function simulation.evenness(polls, from, to)
  local counts, sum = {}, 0
  for i = 1, 20 do counts[i] = 0 end
  for _, at in ipairs(polls) do
    if at >= from and at < to then
      local part = math.floor((at - from) / (to - from) * 20) + 1
      counts[part], sum = counts[part] + 1, sum + 1
    end
  end
  table.sort(counts)
  return counts[20] / sum * 20, counts[1] / sum * 20
end

--- Makes a snapshot. A different `progress` makes it a changed one.
function simulation.video(status, progress)
  return { id = "v", status = status, progress = progress }
end

--- Makes the answer of a failed poll: an `api` error unless the fields say otherwise.
function simulation.failure(fields)
  fields.kind = fields.kind or "api"
  fields.message = fields.message or "no"
  return { err = core.error(fields) }
end

--- Lists the same answer n times, then the others.
function simulation.times(n, answer, ...)
  local list = {}
  for i = 1, n do list[i] = answer end
  for i = 1, select("#", ...) do list[n + i] = (select(i, ...)) end
  return list
end

--- Asserts that two lists of seconds are equal except for rounding.
function simulation.near(expected, got)
  assert.equal(#expected, #got)
  for i, value in ipairs(expected) do
    local distance = value == got[i] and 0 or math.abs(value - got[i])
    assert.is_true(distance < 1e-6, ("at %d: expected %g, got %g"):format(i, value, got[i]))
  end
end

return simulation
