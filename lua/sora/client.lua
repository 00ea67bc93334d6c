--- A client: one server, its options, and waiting for its jobs.
-- Owns how a client is made and how it waits: each wait is the state machine of wait.lua, driven here one at
-- a time or in a group of jobs (jobs.lua). Invariant: a client is a table that holds the core userdata at [1]
-- and nothing secret.
-- @module sora.client

local calls = require "sora.calls"
local core = require "sora.core"
local jobs = require "sora.jobs"
local normalize = require "sora.normalize"
local settings = require "sora.settings"
local videos = require "sora.videos"
local wait = require "sora.wait"

core.own()

local Client = calls.Client

local DEFAULT_TIMEOUT = 60 -- s; one attempt
local LONGEST_SLEEP = 3600 -- s; where nothing is due

--- The time-out of one attempt, in seconds.
function Client:attempt_timeout()
  return self._timeout
end

-- Drives a job until its next snapshot, or its end: nil. `job.response` is that of the last poll.
local function advance(client, job)
  while true do
    local now = core.now()
    local usable, problem = core.usable(client)
    if not usable then wait.give_up(job, problem) end
    local what, seconds = wait.next(job, now)
    if what == "end" then return nil end
    if what == "pause" then
      client:pause(seconds)
    else
      local opts = wait.call_options(job, client:attempt_timeout(), now)
      local video, err, response = client:get_video(job.id, opts)
      now, job.response = core.now(), response
      if video then
        wait.answer(job, video, response.poll_after, now, core.random())
        return video
      end
      wait.failure(job, err, now, core.random())
    end
  end
end

local function start(id, opts, who)
  videos.path(id, "", who)
  return wait.start(id, wait.rules(opts, who), core.now())
end

--- Waits until a job ends. Polls after `interval`, then ever later up to `max_interval`, or when the server
-- says so; a poll that fails does not end the wait before `max_failures` in a row.
-- @tparam string id
-- @tparam ?table opts interval (2 s), max_interval (15 s), timeout (1800 s, of the whole wait), max_failures
-- (10), on_progress(video, view), called when anything changed (`false` stops the wait), and the options of a
-- call
-- @treturn[1] table the completed video
-- @treturn[2] nil
-- @treturn[2] table error: `failed`, `cancelled`, `expired`, `deadline`, or what ended the polls; `err.video`
-- is the last snapshot
function Client:wait(id, opts)
  local job = start(id, opts, "wait")
  repeat until not advance(self, job)
  local response = job.rules.response and job.response or nil
  if job.err then return nil, job.err, response end
  if response then return job.video, nil, response end
  return job.video
end

--- Iterates over the snapshots of a job, the last one terminal. What ends the polls before that raises the
-- error table.
-- @tparam string id
-- @tparam ?table opts as for `wait`
-- @treturn function iterator
function Client:poll(id, opts)
  local job = start(id, opts, "poll")
  return function()
    local video = advance(self, job)
    if video then return video end
    if job.err and not normalize.terminal(job.video and normalize.video(job.video).state) then
      error(job.err, 0)
    end
  end
end

--- Watches a job without waiting: `update` polls it when it is due and calls the callbacks.
-- @tparam string|table id an id, or a ticket that `job:ticket()` wrote down
-- @tparam ?table opts as for `wait`, and on_done(video, err), and max_rate (polls a second, of all that this
-- client watches)
-- @treturn[1] Job with done(), result(), cancel() and ticket()
-- @treturn[2] nil
-- @treturn[2] table error: the client is closed, or in another process
function Client:watch(id, opts)
  local created
  if type(id) == "table" then
    if id.base_url ~= self.base_url then
      core.complain("watch", ("the ticket is of %s, this client of %s"):format(tostring(id.base_url),
        self.base_url))
    end
    id, created = id.id, id.created
  end
  videos.path(id, "", "watch")
  local rules = wait.rules(opts, "watch")
  local usable, err = core.usable(self)
  if not usable then return nil, err end
  local group = self._jobs or jobs.new(self)
  self._jobs = group
  if rules.max_rate then group.max_rate = rules.max_rate end
  local job = group:add(id, rules, rules.on_done, created)
  core.wake(self, group:next_due())
  return job
end

--- Waits for many jobs at once. What becomes of one touches no other.
-- @tparam {string,...} ids
-- @tparam ?table opts as for `wait`, and max_rate (polls a second)
-- @treturn {table,...} { video = } or { err = } for each id, in their order
function Client:wait_all(ids, opts)
  if type(ids) ~= "table" then
    core.complain("wait_all", "ids: expected a list, got " .. type(ids))
  end
  local rules = wait.rules(opts, "wait_all")
  for _, id in ipairs(ids) do videos.path(id, "", "wait_all") end
  local group, watched, results = jobs.new(self), {}, {}
  group.max_rate = rules.max_rate
  for i, id in ipairs(ids) do watched[i] = group:add(id, rules) end
  while true do
    local problem = group:step()
    if problem then error(problem[1], 0) end
    local usable, err = core.usable(self)
    if not usable then group:abandon(err) end
    if group.open == 0 then break end
    local due, now = group:next_due(), core.now()
    calls.sleep(self, due and math.max(0, due - now) or LONGEST_SLEEP, group.turn)
  end
  for i, job in ipairs(watched) do
    results[i] = job.err and { err = job.err } or { video = job.video }
  end
  return results
end

local client = { methods = Client }

--- Makes a client.
-- @tparam table options see the README's table; `base_url` and `api_key` are taken from SORA_BASE_URL and
-- SORA_API_KEY, or from OPENAI_BASE_URL and OPENAI_API_KEY, where they are not given
-- @tparam string who the function to name when an option is misused
-- @treturn[1] table client
-- @treturn[2] nil
-- @treturn[2] table `config` error
function client.new(options, who)
  local all = settings.complete(options)
  local userdata, err = core.new(all, who)
  if not userdata then return nil, err end
  return calls.adopt { userdata, _timeout = options.timeout or DEFAULT_TIMEOUT,
    base_url = (all.base_url:gsub("%?.*", "")) }
end

return client
