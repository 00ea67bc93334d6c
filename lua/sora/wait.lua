--- Waiting for a video: when to ask next, and when to stop.
-- Owns the state machine of one wait. Invariant: it knows no clock, no random source and no network;
-- whoever drives it passes the time in and makes the calls it asks for. A job's snapshot is never lost:
-- every error that ends a wait carries the last one.
-- @module sora.wait

local core = require "sora.core"
local normalize = require "sora.normalize"

core.own()

local wait = {}
local complain = core.complain

local BACKOFF = 1.5         -- each pause is so much longer than the one before
local JITTER = 0.25         -- at most this part is taken off, so that many waits spread out
local LEAST_HINT = 0.2      -- s; a server's own wish is kept between these two
local LONGEST_HINT = 60     -- s
local FRESH = 10            -- s; so long a 404 may mean that the job is not there yet

local function positive(value)
  return type(value) == "number" and value > 0, "a positive number of seconds"
end

local function count(value)
  return type(value) == "number" and value >= 0 and value % 1 == 0, "a whole number, 0 or more"
end

local function callable(value)
  return type(value) == "function", "a function"
end

-- What a wait understands beside the options of a call, which go on to each poll.
local CHECKS = {
  interval = positive,
  max_interval = positive,
  timeout = positive,
  max_failures = count,
  on_progress = callable,
  on_done = callable,
  max_rate = positive,
}
local CALL_OPTIONS = { "max_retries", "headers", "query", "response" }

-- Options that only some functions have.
local ONLY = {
  on_done = { watch = true },
  max_rate = { watch = true, wait_all = true },
  response = { wait = true },
}

local DEFAULTS = { interval = 2, max_interval = 15, timeout = 1800, max_failures = 10 }

-- The options that a function has.
local function words_of(who)
  local words = {}
  for name in pairs(CHECKS) do words[#words + 1] = name end
  for _, name in ipairs(CALL_OPTIONS) do words[#words + 1] = name end
  for i = #words, 1, -1 do
    local only = ONLY[words[i]]
    if only and not only[who] then table.remove(words, i) end
  end
  table.sort(words)
  return words
end

local function is_known(name, who)
  for _, word in ipairs(words_of(who)) do
    if word == name then return true end
  end
  return false
end

local function check(name, value, who)
  if type(name) ~= "string" then complain(who, "option names are strings, got a " .. type(name)) end
  if not is_known(name, who) then
    local near = core.nearest(name, words_of(who))
    complain(who, ("unknown option '%s'%s"):format(name, near and "; did you mean '" .. near .. "'?" or ""))
  end
  if not CHECKS[name] then return end
  local good, expected = CHECKS[name](value)
  if not good then
    local given = type(value) == "number" and tostring(value) or type(value)
    complain(who, ("option '%s': expected %s, got %s"):format(name, expected, given))
  end
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

--- The rules given before, where they are the same: ten thousand jobs then share one table.
function wait.share(rules, before)
  return before and same(rules, before) and before or rules
end

--- The rules of a wait, from its options: checked once, shared by all jobs that wait by them.
-- @tparam ?table opts interval (2 s), max_interval (15 s), timeout (1800 s), max_failures (10), on_progress,
-- and the options of a call
-- @tparam string who the function to name when an option is misused, which raises
-- @treturn table the rules; `rules.call` are the options for each poll
function wait.rules(opts, who)
  if opts ~= nil and type(opts) ~= "table" then
    complain(who, "options: expected a table, got " .. type(opts))
  end
  local rules = { call = { max_retries = 0, response = true } }
  for name, value in pairs(opts or {}) do
    check(name, value, who)
    if CHECKS[name] then
      rules[name] = value
    elseif name == "response" then
      core.check_call({ response = value }, who)
      rules.response = value
    else
      rules.call[name] = value
    end
  end
  core.check_call(rules.call, who)
  for name, value in pairs(DEFAULTS) do
    if rules[name] == nil then rules[name] = value end
  end
  return rules
end

--- A wait that begins now; its first poll is due at once.
-- @tparam string id
-- @tparam table rules from `wait.rules`
-- @tparam number now seconds of any clock that never runs backwards
-- @treturn table the job: `due` (when to poll), `deadline`, and in the end `finished` with `video` or `err`
function wait.start(id, rules, now)
  return { id = id, rules = rules, due = now, deadline = now + rules.timeout, interval = rules.interval }
end

local function finish(job, err)
  job.finished = true
  job.err = err
  if err then err.video = job.video end
end

local function fail(job, kind, message)
  finish(job, core.error { kind = kind, message = message, retryable = kind == "deadline" })
end

-- Sets the time of the next poll: the server's wish, or our own interval, which grows.
local function schedule(job, hint, now, random)
  local delay
  if hint then
    delay = math.min(math.max(hint, LEAST_HINT), LONGEST_HINT)
  else
    delay = job.interval * (1 - JITTER * random)
    job.interval = math.min(job.interval * BACKOFF, math.max(job.rules.interval, job.rules.max_interval))
  end
  job.due = math.min(now + delay, job.deadline)
end

local ENDS = {
  failed = "failed",
  cancelled = "cancelled",
  expired = "expired",
  deleted = "cancelled",
}

local function settle(job, view)
  if view.state == "completed" then return finish(job) end
  local cause = view.error or {}
  fail(job, ENDS[view.state], cause.message or ("the job %s"):format(
    view.state == "failed" and "failed" or "was " .. view.state))
  job.err.code, job.err.type, job.err.param = cause.code, cause.type, cause.param
end

--- What to do now: "poll", "pause" and for how many seconds, or "end".
function wait.next(job, now)
  if job.finished then return "end" end
  if now >= job.deadline then
    fail(job, "deadline", ("no end after %g s; the job is %s"):format(job.rules.timeout,
      job.video and normalize.video(job.video).state or "unknown"))
    return "end"
  end
  if now >= job.due then return "poll" end
  return "pause", math.min(job.due, job.deadline) - now
end

--- Ends the wait from outside.
function wait.cancel(job, message)
  fail(job, "cancelled", message)
end

--- Ends the wait with an error of the caller's.
function wait.give_up(job, err)
  if not job.finished then finish(job, err) end
end

--- Plans the next poll as after an answer that brought nothing.
function wait.again(job, now)
  schedule(job, nil, now, 0)
end

--- Takes the answer of a poll.
-- @tparam table job
-- @tparam table video the snapshot
-- @tparam ?number hint seconds the server asks to wait
-- @tparam number now
-- @tparam number random in [0, 1)
function wait.answer(job, video, hint, now, random)
  local view = normalize.video(video)
  local changed = not same(video, job.video)
  job.video = video
  job.failures = nil
  if changed and job.rules.on_progress and job.rules.on_progress(video, view) == false
    and not normalize.terminal(view.state) then
    return fail(job, "cancelled", "on_progress stopped the wait")
  end
  if normalize.terminal(view.state) then return settle(job, view) end
  schedule(job, hint or normalize.poll_after(video), now, random)
end

-- A 200 that holds an error may be a hiccup of the gateway; a 404 may come before the job is known
-- everywhere.
local function may_pass(job, err, now)
  local age = now - (job.deadline - job.rules.timeout)
  if err.status == 404 and not job.video and age < FRESH then return true, true end
  return err.retryable or (err.kind == "api" and err.status == 200), false
end

--- Takes the error of a poll.
function wait.failure(job, err, now, random)
  local passes, early = may_pass(job, err, now)
  if not early then job.failures = (job.failures or 0) + 1 end
  if not passes or (job.failures or 0) > job.rules.max_failures then return finish(job, err) end
  schedule(job, err.retry_after, now, random)
end

--- The options of the next poll: its time-out ends with the wait.
-- @tparam table job
-- @tparam number timeout the client's own time-out of an attempt
-- @tparam number now
function wait.call_options(job, timeout, now)
  local left = job.deadline - now
  if left >= timeout then return job.rules.call end
  local opts = {}
  for name, value in pairs(job.rules.call) do opts[name] = value end
  opts.timeout = left
  return opts
end

return wait
