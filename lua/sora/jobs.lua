--- Many waits at once: due times, not threads, decide who is polled.
-- Owns the heap of waiting jobs and the polls that are under way. Invariant: a job that waits is one table in
-- the heap, of eight fields at most with its last snapshot (a ninth would cost 192 bytes), and costs nothing
-- until it is due; what a callback of one job raises harms no other.
-- @module sora.jobs

local core = require "sora.core"
local heap = require "sora.heap"
local normalize = require "sora.normalize"
local wait = require "sora.wait"

local MAX_CALLS = 256 -- polls under way; the others wait in the heap, which is cheaper than in a queue
local CROWD = 16      -- more jobs than that are kept from being polled in step

--- A watched job, as `Client:watch` gives it.
-- @type Job
local Job = {}
Job.__index = Job

--- Whether the wait has ended.
-- @treturn boolean
function Job:done()
  return self.finished == true
end

--- How it ended; raises while it has not.
-- @treturn[1] table the completed video
-- @treturn[2] nil
-- @treturn[2] table error
function Job:result()
  if not self.finished then error("the job is not done yet: ask job:done() first", 2) end
  if self.err then return nil, self.err end
  return self.video
end

--- Stops watching; the job itself goes on at the server.
-- @treturn boolean whether it was being watched
function Job:cancel()
  if self.finished then return false end
  local group = self.rules.group
  for _, poll in ipairs(group.polls) do
    if poll.job == self and poll.handle then poll.handle:cancel() end
  end
  wait.cancel(self, "the watch was cancelled")
  group:count_out(self)
  core.wake(group.client, group:next_due())
  return true
end

--- What another process needs to take the wait up: a plain table without secrets, for `Client:watch`.
-- @treturn table { id, base_url, created, state }
function Job:ticket()
  local view = self.video and normalize.video(self.video) or {}
  return { id = self.id, base_url = self.rules.group.client.base_url,
    created = view.created_at or self.created, state = view.state }
end

local Group = {}
Group.__index = Group

--- @section end

local jobs = {}

--- An empty group. Whoever owns it calls `step`.
-- @tparam table client
function jobs.new(client)
  local group = setmetatable({ client = client, waiting = heap.new(), polls = {}, spare = {}, finished = {},
    calling = 0, open = 0, next_slot = 0, turn = {} }, Group)
  group.turn.handle = group
  return group
end

--- Many jobs that are waited for together.
-- @type Group

--- The rules for jobs of this group: those of the jobs before, where they are the same.
-- @tparam table rules from `wait.rules`
-- @treturn table
-- @treturn ?function on_done, which is no part of them: each job may have its own
function Group:share(rules)
  local on_done = rules.on_done
  rules.on_done, rules.group = nil, self -- `group` stands here, for that is one field less of each job
  self.rules = wait.share(rules, self.rules)
  return self.rules, on_done
end

--- Adds a job that is due now.
-- @tparam string id
-- @tparam table rules from `share`
-- @tparam ?function on_done
-- @tparam ?number created seconds since 1970, where a ticket told it
function Group:add(id, rules, on_done, created)
  local job = setmetatable(wait.start(id, rules, core.now()), Job)
  job.on_done, job.created = on_done, created
  self.open = self.open + 1
  heap.push(self.waiting, job)
  return job
end

--- Counts out a job that has ended; its on_done is called by the next step.
function Group:count_out(job)
  if job.counted then return end
  job.counted = true
  self.open = self.open - 1
  if self.on_end then self.on_end(job) end
  if job.on_done then self.finished[#self.finished + 1] = job end
end

-- Appends a poll that is over to the list of those whose answers are to be taken.
local function put_answer(group, poll, video, err, hint, seen)
  poll.handle, poll.video, poll.err, poll.hint, poll.seen = nil, video, err, hint, seen
  if group.first then
    group.last.next = poll
  else
    group.first = poll
  end
  group.last = poll
end

-- What a poll needs while it is under way. There are MAX_CALLS of them at most, used again and again: a poll
-- that brings nothing new makes no garbage, for which the collector would go through all jobs.
local function new_poll(group)
  local poll = { options = {} }
  group.polls[#group.polls + 1] = poll
  function poll.options.on_done(video, err, hint, seen)
    group.calling = group.calling - 1
    put_answer(group, poll, video, err, hint, seen)
    if group.turn.wake then group.turn.wake() end
  end
  return poll
end

-- Gives a poll the options of a call, which are mostly those that it has.
local function set_options(poll, call)
  if poll.call == call then return end
  local on_done = poll.options.on_done
  poll.call, poll.options = call, { on_done = on_done }
  for name, value in pairs(call) do poll.options[name] = value end
end

local function start(group, job, now)
  local poll = table.remove(group.spare) or new_poll(group)
  set_options(poll, wait.call_options(job, group.client:attempt_timeout(), now))
  poll.job = job
  local handle, err = core.start_poll(group.client, job.id, poll.options, job.seen)
  if handle then
    poll.handle, group.calling = handle, group.calling + 1
  else
    put_answer(group, poll, nil, err)
  end
end

-- Takes the next answer, and lets go of the poll: gives the job, or nil where there is none, and what came.
local function take_answer(group)
  local poll = group.first
  if not poll then return nil end
  local job, video, err, hint, seen = poll.job, poll.video, poll.err, poll.hint, poll.seen
  group.first, poll.next = poll.next, nil
  poll.job, poll.video, poll.err = nil, nil, nil
  group.spare[#group.spare + 1] = poll
  return job, video, err, hint, seen
end

-- May raise what on_progress raises.
local function absorb(group, now, job, video, err, hint, seen)
  if job.finished then return end
  local chance = group.open > CROWD and core.random() or nil
  if video then
    job.seen = seen
    wait.answer(job, video, hint, now, core.random(), chance)
  else
    wait.failure(job, err, now, core.random(), chance)
  end
end

local function keep_first(group, good, problem)
  if not good then group.problem = group.problem or { problem } end
end

local function absorb_all(group)
  if not group.first then return end
  local now = core.now()
  local job, video, err, hint, seen = take_answer(group)
  while job do
    local good, problem = pcall(absorb, group, now, job, video, err, hint, seen)
    keep_first(group, good, problem)
    -- on_progress raised before the next poll was planned: the wait goes on all the same
    if not good and not job.finished then wait.again(job, now) end
    if job.finished then
      group:count_out(job)
    else
      heap.push(group.waiting, job)
    end
    job, video, err, hint, seen = take_answer(group)
  end
end

local function start_due(group, now)
  local waiting = group.waiting
  while waiting[1] and waiting[1].due <= now and group.calling < MAX_CALLS and now >= group.next_slot do
    local job = heap.pop(waiting)
    local what = wait.next(job, now)
    if what == "poll" then
      if group.max_rate then group.next_slot = math.max(now, group.next_slot) + 1 / group.max_rate end
      start(group, job, now)
    else
      group:count_out(job)
    end
  end
end

local function report(group)
  local finished = group.finished
  if #finished == 0 then return end
  group.finished = {}
  for _, job in ipairs(finished) do keep_first(group, pcall(job.on_done, job:result())) end
end

--- Takes the answers that came and starts the polls that are due. Never blocks.
-- @treturn ?table { what the first callback that raised an error raised }
function Group:step()
  absorb_all(self)
  start_due(self, core.now())
  absorb_all(self)
  self:check_client() -- a callback may have closed it
  report(self)
  local problem = self.problem
  self.problem = nil
  return problem
end

--- Whether answers came that the next step takes.
function Group:done()
  return self.first ~= nil
end

--- Ends all waits if the client can no longer be used.
function Group:check_client()
  if core.usable(self.client) then return end
  local waiting, polls = self.waiting, self.polls
  self.waiting, self.polls, self.spare, self.calling = heap.new(), {}, {}, 0
  local function give_up(job)
    wait.give_up(job, select(2, core.usable(self.client)))
    self:count_out(job)
  end
  for _, job in ipairs(waiting) do give_up(job) end
  for _, poll in ipairs(polls) do
    if poll.job then give_up(poll.job) end
  end
end

--- When, by `core.now()`, the group has work; nil: only answers bring any.
function Group:next_due()
  if self.first or #self.finished > 0 then return 0 end
  local first = self.waiting[1]
  if not first or self.calling >= MAX_CALLS then return nil end
  return math.max(first.due, self.next_slot)
end

return jobs
