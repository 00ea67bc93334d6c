--- Drives sora.wait.machine, for one wait or many, with a clock that only moves when the
-- machine asks for a pause, and with answers from a list: no real time, no network, no luck.
local assert = require "luassert"
local core = require "sora.core"
local heap = require "sora.wait.heap"
local machine = require "sora.wait.machine"

local simulation = {}

local START = 5000 -- clocks rarely begin at 0

--- Runs a wait until it ends or the answers run out.
-- @tparam table opts of the wait
-- @tparam table answers each a `{ video =, hint = }` or `{ err = }`, both with the seconds it `takes`; with
-- `repeats = true` the last one is for all further polls
-- @tparam ?number|function random what the source of randomness gives (0: no jitter)
-- @treturn table job
-- @treturn table the seconds since the start at which it polled
-- @treturn table the pauses it asked for
-- @treturn number how long it took
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
        local view = machine.answer(job, got.video, got.hint, now, draw())
        if view then machine.progress(job, view) end
      else
        machine.failure(job, got.err, now, draw())
      end
    end
  end
end

--- Runs many waits that begin together, with nothing but answers that the job goes on.
-- @tparam number count
-- @tparam ?table opts of the waits
-- @tparam table world `seconds` of time, `random` (a source in [0, 1)), `hint` (of each answer), `rate` (how
-- many polls a second can be made; 8000), and `stall` = { from, to }: in between nothing is done
-- @treturn {number,...} the seconds since the start at which somebody was polled
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

--- How evenly polls come: the busiest twentieth of the time from `from` to `to`, and the quietest one, as
-- parts of the mean.
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

--- A snapshot; with another progress it is another one.
function simulation.video(status, progress)
  return { id = "v", status = status, progress = progress }
end

--- A poll that fails; an `api` error unless the fields say otherwise.
function simulation.failure(fields)
  fields.kind = fields.kind or "api"
  fields.message = fields.message or "no"
  return { err = core.error(fields) }
end

--- So many times the same answer, then the others.
function simulation.times(n, answer, ...)
  local list = {}
  for i = 1, n do list[i] = answer end
  for i = 1, select("#", ...) do list[n + i] = (select(i, ...)) end
  return list
end

--- Asserts that two lists of seconds are the same but for rounding.
function simulation.near(expected, got)
  assert.equal(#expected, #got)
  for i, value in ipairs(expected) do
    local distance = value == got[i] and 0 or math.abs(value - got[i])
    assert.is_true(distance < 1e-6, ("at %d: expected %g, got %g"):format(i, value, got[i]))
  end
end

return simulation
