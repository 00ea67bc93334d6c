--- Many waits at once: due times, not threads, decide who is polled.
-- Owns the heap of waiting jobs and the polls that are under way. Invariant: a job that waits is one table in
-- the heap, of eight fields with its last snapshot, and costs nothing until it is due; what a callback of one
-- job raises harms no other.
-- @module sora.jobs

local core = require "sora.core"
local heap = require "sora.heap"
local normalize = require "sora.normalize"
local wait = require "sora.wait"

local MAX_CALLS = 256 -- polls under way; the others wait in the heap, which is cheaper than in a queue

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
  local group = self.group
  if group.polls[self] then group.polls[self]:cancel() end
  wait.cancel(self, "the watch was cancelled")
  group:count_out(self)
  core.wake(group.client, group:next_due())
  return true
end

--- What another process needs to take the wait up: a plain table without secrets, for `Client:watch`.
-- @treturn table { id, base_url, created, state }
function Job:ticket()
  local view = self.video and normalize.video(self.video) or {}
  return { id = self.id, base_url = self.group.client.base_url, created = view.created_at or self.created,
    state = view.state }
end

local Group = {}
Group.__index = Group

--- @section end

local jobs = {}

--- An empty group. Whoever owns it calls `step`.
-- @tparam table client
function jobs.new(client)
  local group = setmetatable({ client = client, waiting = {}, polls = {}, answers = {}, finished = {},
    calling = 0, open = 0, next_slot = 0, turn = {} }, Group)
  group.turn.handle = group
  return group
end

--- Many jobs that are waited for together.
-- @type Group

--- Adds a job that is due now.
-- @tparam string id
-- @tparam table rules from `wait.rules`
-- @tparam ?number created seconds since 1970, where a ticket told it
function Group:add(id, rules, created)
  local job = setmetatable(wait.start(id, rules, core.now()), Job)
  job.group, job.created = self, created
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
  if job.rules.on_done then self.finished[#self.finished + 1] = job end
end

local function poll(group, job, now)
  local opts = wait.call_options(job, group.client:attempt_timeout(), now)
  local call = {}
  for name, value in pairs(opts) do call[name] = value end
  call.on_done = function(video, err, response)
    group.calling = group.calling - 1
    group.answers[#group.answers + 1] = { job, video, err, response }
    if group.turn.wake then group.turn.wake() end
  end
  local handle, err = core.start_get_video(group.client, job.id, call)
  if handle then
    group.calling = group.calling + 1
    group.polls[job] = handle
  else
    group.answers[#group.answers + 1] = { job, nil, err }
  end
end

-- Takes one answer; may raise what on_progress raises.
local function absorb(job, video, err, response, now)
  if job.finished then return end
  if video then
    wait.answer(job, video, response.poll_after, now, core.random())
  else
    wait.failure(job, err, now, core.random())
  end
end

local function keep_first(group, good, problem)
  if not good then group.problem = group.problem or { problem } end
end

local function absorb_all(group)
  local answers, now = group.answers, core.now()
  if #answers == 0 then return end
  group.answers = {}
  for _, answer in ipairs(answers) do
    local job = answer[1]
    group.polls[job] = nil
    local good, problem = pcall(absorb, job, answer[2], answer[3], answer[4], now)
    keep_first(group, good, problem)
    -- on_progress raised before the next poll was planned: the wait goes on all the same
    if not good and not job.finished then wait.again(job, now) end
    if job.finished then
      group:count_out(job)
    else
      heap.push(group.waiting, job)
    end
  end
end

local function start_due(group, now)
  local waiting = group.waiting
  while waiting[1] and waiting[1].due <= now and group.calling < MAX_CALLS and now >= group.next_slot do
    local job = heap.pop(waiting)
    local what = wait.next(job, now)
    if what == "poll" then
      if group.max_rate then group.next_slot = math.max(now, group.next_slot) + 1 / group.max_rate end
      poll(group, job, now)
    else
      group:count_out(job)
    end
  end
end

local function report(group)
  local finished = group.finished
  if #finished == 0 then return end
  group.finished = {}
  for _, job in ipairs(finished) do keep_first(group, pcall(job.rules.on_done, job:result())) end
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
  return #self.answers > 0
end

--- Ends all waits if the client can no longer be used.
function Group:check_client()
  if core.usable(self.client) then return end
  local waiting, polls = self.waiting, self.polls
  self.waiting, self.polls, self.calling = {}, {}, 0
  local function give_up(job)
    wait.give_up(job, select(2, core.usable(self.client)))
    self:count_out(job)
  end
  for _, job in ipairs(waiting) do give_up(job) end
  for job in pairs(polls) do give_up(job) end
end

--- When, by `core.now()`, the group has work; nil: only answers bring any.
function Group:next_due()
  if #self.answers > 0 or #self.finished > 0 then return 0 end
  local first = self.waiting[1]
  if not first or self.calling >= MAX_CALLS then return nil end
  return math.max(first.due, self.next_slot)
end

return jobs
