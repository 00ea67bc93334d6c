--- Many waits at once: due times, not threads, decide which job is polled next.
-- @module sora.client

-- Owns the heap of waiting jobs and the polls under way. Invariant: until it ends, a job is in the heap,
-- being polled, or in on_progress, whatever raises, memory too, and it ends by its own timeout wherever it
-- is; a waiting job is one table of at most eight fields (a ninth would cost 192 bytes). A group is either
-- watched, by a client's `update`, or run by one waiter.

local core = require "sora.core"
local heap = require "sora.wait.heap"
local machine = require "sora.wait.machine"
local normalize = require "sora.normalize"
local options = require "sora.options"
local problems = require "sora.problems"
local pump = require "sora.pump"

core.own()

local MAX_POLLS = 256 -- under way at a time; further jobs wait in the heap, which is cheaper than a queue
local CROWD = 16      -- a group with more jobs spreads their polls
local MAX_REST = 3600 -- s; where nothing is due
local SWEEP = 1       -- s; between two looks for jobs that are past their time
-- s; from one poll to the next after a 429: doubled by each further one, shortened by each answer
local PACE, MAX_PACE, MIN_PACE, FASTER = 0.05, 1, 0.005, 0.9
local COUNTED = "counted" -- in `finished`: the group has counted the job out
local CANCELLING = "cancelling" -- in `finished`: the server is asked to cancel the job

--- A watched job, as `Client:watch` returns it.
-- @type Job
local Job = { __name = "sora.job" }
Job.__index = Job

function Job:__tostring()
  local state = self.finished and (self.err and self.err.kind or "completed") or machine.state(self)
  return ("sora.job (%s, %s)"):format(self.id, state)
end

--- Tells whether the wait has ended.
-- @treturn boolean
function Job:done()
  return self.finished ~= nil and self.finished ~= CANCELLING
end

--- Returns how the wait ended. Raises before that.
-- @treturn[1] table the completed video
-- @treturn[2] nil
-- @treturn[2] table error
function Job:result()
  if not self:done() then
    core.blame("the job is not done yet: ask job:done() first, or call job:wait()")
  end
  if self.err then return nil, self.err end
  return self.video
end

--- Waits until the wait has ended, for at most `seconds`. After that the job is still watched.
-- @tparam ?number seconds by default as long as it takes
-- @treturn[1] table the completed video
-- @treturn[2] nil
-- @treturn[2] table error as from `result`, or a `deadline` error with the last snapshot as `video`
function Job:wait(seconds)
  local group = self.rules.group
  if group.telling == self then
    core.blame("job:wait can't be called in the job's own on_progress, which the wait would wait for")
  end
  return pump.wait_for(group.client, self, seconds)
end

--- Stops watching; the server keeps working on the job.
-- @treturn boolean false if the wait had ended already
function Job:cancel()
  if self.finished then return false end
  local group = self.rules.group
  for _, poll in ipairs(group.polls) do
    if poll.job == self and poll.handle then poll.handle:cancel() end
  end
  machine.cancel(self, "the watch was cancelled")
  group:count_out(self)
  pump.arm(group.client)
  return true
end

--- Returns what another process needs to resume the wait: a plain table without secrets, for `Client:watch`.
-- @treturn table { id, base_url, created, state }
function Job:ticket()
  local view = self.video and not self.doubt and normalize.video(self.video) or {}
  return { id = self.id, base_url = self.rules.group.client.base_url,
    created = view.created_at or self.created, state = view.state }
end

local Group = {}
Group.__index = Group

local group = {}

-- Makes an empty group.
-- @tparam table client
-- @tparam ?function on_end called with each job that has ended
-- @tparam ?boolean watched true: keeps what callbacks raise; otherwise `run` raises it at once
function group.new(client, on_end, watched)
  local made = setmetatable({ client = client, on_end = on_end, watched = watched, waiting = heap.new(),
    polls = {}, cancelling = {}, telling = false, spare = false, first = false, last = false,
    answered = false, finished = {},
    told = 0, calling = 0, open = 0, next_start = 0, next_sweep = math.huge, turn = { wake = false } }, Group)
  made.turn.handle = made
  return made
end

-- Returns rules for jobs of this group: the rules of earlier jobs if they are the same.
-- @tparam table rules from `machine.rules`
-- @treturn table
-- @treturn ?function on_done, which each job has for itself
function Group:share(rules)
  local on_done = rules.on_done
  -- These are here because that saves fields in each job.
  rules.on_done, rules.group, rules.client = nil, self, self.client
  self.rules = machine.share(rules, self.rules)
  return self.rules, on_done
end

-- Adds a job that is due now.
-- @tparam string id
-- @tparam table rules from `share`
-- @tparam ?function on_done
-- @tparam ?number created seconds since 1970, if a ticket says so
-- @treturn Job
function Group:add(id, rules, on_done, created)
  local job = setmetatable(machine.start(id, rules, core.now()), Job)
  job.on_done, job.created = on_done, created
  heap.reserve(self.waiting, self.open + 1) -- so that putting a job back allocates nothing
  heap.push(self.waiting, job)
  self.open = self.open + 1
  self.next_sweep = math.min(self.next_sweep, machine.limit(job, false))
  return job
end

-- Raises, or keeps the error for `Client:update`.
local function fail(self, problem)
  if not self.watched then error(problem, 0) end
  problems.keep(self.client, problem)
end

-- Whether nothing is left to do for a job but to cancel it.
local function is_out(job)
  return job.finished == COUNTED or job.finished == CANCELLING
end

local cancel_job

-- Takes a job that has ended out of the count; the next `step` calls its on_done. Where memory is out it
-- raises, and the job is not counted out.
function Group:count_out(job)
  if is_out(job) then return end
  if machine.is_to_cancel(job) then return cancel_job(self, job) end
  if job.on_done then self.finished[#self.finished + 1] = job end
  job.finished = COUNTED
  self.open = self.open - 1
  if not self.on_end then return end
  local good, problem = pcall(self.on_end, job)
  if not good then fail(self, problem) end
end

-- Makes a call for a job that is being cancelled.
local function call_late(self, name, job, on_done)
  local opts = machine.cancel_options(job)
  opts.on_done = function(...)
    if job.finished == CANCELLING then on_done(...) end -- otherwise the wait was given up
    if self.turn.wake then self.turn.wake() end
  end
  local good, handle, err = pcall(self.client.start, self.client, name, job.id, opts)
  if not good then handle, err = nil, core.error { kind = "config", message = tostring(handle) } end
  if not handle then on_done(nil, err) end
end

-- Cancels a job whose time is over. Its wait ends with the answer; one that was over before ends as it was.
function cancel_job(self, job)
  local err = job.err
  job.finished, self.cancelling[job] = CANCELLING, true
  local function finish(cancelled, problem)
    self.cancelling[job] = nil
    if job.err == err then err.cancelled, err.cancel_error = cancelled, problem end
    job.finished = true
    self:count_out(job)
  end
  call_late(self, "cancel_video", job, function(answer, problem)
    if answer or problem.status ~= 409 then return finish(answer ~= nil, problem) end
    call_late(self, "get_video", job, function(video)
      if video then machine.settle(job, video) end
      finish(false, problem)
    end)
  end)
end

-- Puts a job back into the heap, or counts it out; if that fails, the heap keeps it until memory is there.
local function put_back(self, job, now)
  if job.finished then
    local good, problem = pcall(self.count_out, self, job)
    if not is_out(job) then
      machine.again(job, now)
      heap.push(self.waiting, job)
    end
    if not good then fail(self, problem) end
    return
  end
  heap.push(self.waiting, job)
end

-- Polls: at most MAX_POLLS tables that are used again, so that an unchanged answer makes no garbage, for
-- which the collector would go through all jobs. A poll has all its fields from the beginning, and `false`
-- for none, so that setting one allocates nothing.

-- Appends a finished poll to the list of answers.
local function put_answer(self, poll, video, err, hint, seen, response, request_id)
  poll.handle, poll.video, poll.err = false, video, err
  poll.hint, poll.seen, poll.response = hint or false, seen or false, response or false
  poll.request_id = request_id or false
  if self.first then
    self.last.next = poll
  else
    self.first = poll
  end
  self.last = poll
end

local function release(self, poll)
  poll.job, poll.handle, poll.video, poll.err, poll.response = false, false, false, false, false
  poll.next, self.spare = self.spare, poll
end

local function new_poll(self)
  local poll = { options = {}, call = false, job = false, handle = false, next = false,
    video = false, err = false, hint = false, seen = false, response = false, request_id = false }
  function poll.options.on_done(video, err, hint, seen, response, request_id)
    if not poll.handle then return release(self, poll) end -- the poll was given up
    self.calling = self.calling - 1
    put_answer(self, poll, video or false, err or false, hint, seen, response, request_id)
    if self.turn.wake then self.turn.wake() end
  end
  self.polls[#self.polls + 1] = poll
  return poll
end

-- Removes the next answer from the list; returns its job and what came, or nil.
local function take_answer(self)
  local poll = self.first
  if not poll then return nil end
  local job, video, err, response = poll.job, poll.video, poll.err, poll.response
  self.first = poll.next
  release(self, poll)
  return job, video, err, poll.hint or nil, poll.seen or nil, response, poll.request_id or nil
end

-- Answers ----------------------------------------------------------------------------

-- Holds all polls of the client after a 429 that says for how long, and lets them resume at a slower pace.
local function hold(self, err, now)
  if err.status ~= 429 or not err.retry_after then return end
  local client = self.client
  if now >= (client._held_until or 0) then -- others that were under way then say the same
    client._pace = client._pace and math.min(client._pace * 2, MAX_PACE) or PACE
  end
  client._held_until = math.max(client._held_until or 0, now + machine.clamp(err.retry_after))
end

local function quicken(client)
  local pace = client._pace and client._pace * FASTER
  client._pace = pace and pace > MIN_PACE and pace or false
end

-- Hands an answer to the state machine. Returns the view to call on_progress with, if that is to be called.
local function absorb(self, now, job, video, err, hint, seen, response, request_id)
  if job.finished then return nil end
  local chance = self.open > CROWD and core.random() or nil
  if response and job.rules.call.response then job.response = response end
  if not video then
    hold(self, err, now)
    return machine.failure(job, err, now, core.random(), chance)
  end
  job.seen = seen
  if self.client._pace then quicken(self.client) end
  self.answered = self.answered or video == true or next(video) ~= nil
  return machine.answer(job, video, hint, now, core.random(), chance,
    request_id or response and response.request_id or nil)
end

local function take_answers(self)
  if not self.first then return end
  local now, watched = core.now(), self.watched
  while self.first do
    local job, video, err, hint, seen, response, request_id = take_answer(self)
    local good, view = pcall(absorb, self, now, job, video, err, hint, seen, response, request_id)
    if not good then
      if not job.finished then machine.again(job, now, true) end
      put_back(self, job, now)
      fail(self, view)
    elseif watched then -- its callback may step the group, so it is put back only afterwards
      if view then
        local before = self.telling
        self.telling = job
        local told, problem = pcall(machine.progress, job, view)
        self.telling = before
        if not told then fail(self, problem) end
      end
      put_back(self, job, now)
    else -- no pcall: on_progress may yield, on Lua 5.1 too; nobody else steps this group
      put_back(self, job, now)
      if view then machine.progress(job, view) end
      if job.finished then self:count_out(job) end
    end
  end
end

-- Polls that are due -----------------------------------------------------------------

-- Gives a poll the options of a call, which are mostly those that it has.
local function set_options(poll, call)
  if poll.call == call then return end
  poll.call, poll.options = call, options.copy(call, { on_done = poll.options.on_done })
end

-- Polls a job, or ends its wait. Raises what an api_key function raises.
local function start(self, poll, job, now)
  if not machine.is_to_poll(job, now) then
    self:count_out(job)
    return release(self, poll)
  end
  local pace = self.client._pace or 0
  if self.max_rate then pace = math.max(pace, 1 / self.max_rate) end
  if pace > 0 then self.next_start = math.max(now, self.next_start) + pace end
  set_options(poll, machine.call_options(job, self.client._timeout, now))
  poll.job = job
  local handle, err = core.start_poll(self.client, job.id, poll.options, job.seen)
  if not poll.job then return end -- an api_key function closed the client
  if handle then
    poll.handle, self.calling = handle, self.calling + 1
  else
    put_answer(self, poll, false, err)
  end
end

local function can_start(self, now)
  local first = self.waiting[1]
  return first and first.due <= now and self.calling < MAX_POLLS
    and now >= math.max(self.next_start, self.client._held_until or 0)
end

local function start_due(self, now)
  while can_start(self, now) do
    local poll = self.spare
    if not poll then
      local got, problem = pcall(new_poll, self)
      if not got then return fail(self, problem) end
      release(self, problem)
      poll = self.spare
    end
    self.spare, poll.next = poll.next, false
    local job = heap.pop(self.waiting)
    local good, problem = pcall(start, self, poll, job, now)
    if not good then
      release(self, poll)
      if not is_out(job) then
        machine.again(job, now)
        heap.push(self.waiting, job)
      end
      fail(self, problem)
    end
  end
end

-- Ends a job that is past its time.
local function end_late(self, job)
  machine.expire(job)
  self:count_out(job)
end

-- Ends the jobs that are past their time, because too many others are polled, or because an answer was lost.
-- They stay where they are, and count as ended there.
local function sweep(self, now)
  if now < self.next_sweep then return end
  local next_sweep = math.huge
  for at = 1, self.waiting.count do
    local job = self.waiting[at]
    local limit = machine.limit(job, false)
    if now >= limit and not is_out(job) then
      local good, problem = pcall(end_late, self, job)
      if not good then fail(self, problem) end
    elseif limit < next_sweep and not job.finished then
      next_sweep = limit
    end
  end
  for _, poll in ipairs(self.polls) do
    local job = poll.handle and poll.job
    local limit = job and machine.limit(job, true)
    if limit and now >= limit then
      local handle = poll.handle
      poll.handle, poll.job, self.calling = false, false, self.calling - 1
      handle:cancel()
      heap.push(self.waiting, job)
      local good, problem = pcall(end_late, self, job)
      if not good then fail(self, problem) end
    elseif limit and limit < next_sweep then
      next_sweep = limit
    end
  end
  self.next_sweep = math.max(next_sweep, now + SWEEP)
end

-- Watched jobs -----------------------------------------------------------------------

-- Takes each job out before its on_done is called, which may step the group, or never return.
local function call_on_done(self)
  local finished = self.finished
  local last = #finished
  while self.finished == finished and self.told < last do
    self.told = self.told + 1
    local job = finished[self.told]
    finished[self.told] = false
    local good, problem = pcall(job.on_done, job:result())
    if not good then fail(self, problem) end
  end
  if self.finished == finished and self.told > 0 and self.told == #finished then
    self.finished, self.told = {}, 0
  end
end

-- Takes the answers that came, starts the polls that are due and calls callbacks. Never blocks.
function Group:step()
  take_answers(self)
  local now = core.now()
  start_due(self, now)
  sweep(self, now)
  take_answers(self)
  self:check_client() -- a callback may have closed it
  call_on_done(self)
end

-- Ends all waits if the client can no longer be used.
function Group:check_client()
  if self.open == 0 or core.usable(self.client) then return end
  local function give_up(job)
    if not job then return end
    machine.give_up(job, select(2, core.usable(self.client))) -- an error of its own, with its own snapshot
    self:count_out(job)
  end
  local waiting = self.waiting
  while waiting.count > 0 do
    give_up(waiting[waiting.count])
    waiting[waiting.count], waiting.count = false, waiting.count - 1
  end
  for _, poll in ipairs(self.polls) do
    give_up(poll.job)
    poll.job, poll.handle = false, false
  end
  local cancelling = self.cancelling
  self.cancelling = {}
  for job in pairs(cancelling) do
    job.finished, job.err.cancelled = true, false
    self:count_out(job)
  end
  self.polls, self.spare, self.first, self.calling = {}, false, false, 0
end

-- Returns when, by `core.now()`, the group has work; nil: not before an answer comes.
function Group:next_due()
  if self.first or #self.finished > self.told then return 0 end
  local first, sweeps = self.waiting[1], self.open > 0 and self.next_sweep or nil
  if not first or self.calling >= MAX_POLLS then return sweeps end
  return math.min(math.max(first.due, self.next_start, self.client._held_until or 0), sweeps or math.huge)
end

-- One waiter -------------------------------------------------------------------------

-- Tells whether an answer came: a pause hook asks it through `turn.handle`.
function Group:done()
  return self.first ~= false
end

-- Cancels the polls under way: a pause hook may do so through `turn.handle`.
function Group:cancel()
  local active = false
  for _, poll in ipairs(self.polls) do
    if poll.handle then active = poll.handle:cancel() or active end
  end
  return active
end

-- Lets others run until the group has work. What ends a blocking wait, such as Ctrl-C, ends its polls too.
local function rest(self)
  local due = self:next_due()
  local seconds = due and due - core.now() or MAX_REST
  if seconds <= 0 then return end
  local awaits = self.calling > 0
  if pump.has_hook(self.client) then return pump.rest(self.client, seconds, self.turn, awaits) end
  local good, problem = pcall(pump.rest, self.client, seconds, self.turn, awaits)
  if good then return end
  self:cancel()
  error(problem, 0)
end

-- Runs the group until all its waits have ended. Raises what a callback raises.
-- @tparam ?boolean once true: or until a poll has brought a snapshot
-- @treturn boolean whether a poll has
function Group:run(once)
  pump.check_can_wait(self.client)
  self.answered = false
  while true do
    take_answers(self)
    self:check_client()
    if self.open == 0 or once and self.answered then return self.answered end
    local now = core.now()
    start_due(self, now)
    sweep(self, now)
    if not self.first and self.open > 0 then rest(self) end
  end
end

return group
