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
local JITTER = 0.25         -- at most this part is taken off, so that waits that began together part
local LEAST_HINT = 0.2      -- s; a server's own wish is kept between these two
local LONGEST_HINT = 60     -- s
local LATE = -math.huge     -- the due time of a job that is polled so late that others are polled with it
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

-- The options of a call, and those of a poll where the wait was given none of them.
local CALL_OPTIONS = { max_retries = true, headers = true, query = true, response = true }
local POLL = { max_retries = 0, response = true }

-- Options that only some functions have.
local ONLY = {
  on_done = { watch = true },
  max_rate = { watch = true, wait_all = true },
  response = { wait = true },
}

local DEFAULTS = { interval = 2, max_interval = 15, timeout = 1800, max_failures = 10 }

local function is_known(name, who)
  return not (ONLY[name] and not ONLY[name][who]) and (CHECKS[name] or CALL_OPTIONS[name])
end

-- The options that a function has.
local function words_of(who)
  local words = {}
  for _, list in ipairs { CHECKS, CALL_OPTIONS } do
    for name in pairs(list) do
      if is_known(name, who) then words[#words + 1] = name end
    end
  end
  table.sort(words)
  return words
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

local function copy(list)
  local twin = {}
  for name, value in pairs(list) do twin[name] = value end
  return twin
end

local function same(a, b)
  if a == b or type(a) ~= "table" or type(b) ~= "table" then return a == b end
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
  local rules, call = {}, nil
  for name, value in pairs(opts or {}) do
    check(name, value, who)
    if CHECKS[name] then
      rules[name] = value
    elseif name == "response" then
      core.check_call({ response = value }, who)
      rules.response = value
    else
      call = call or copy(POLL)
      call[name] = value
    end
  end
  if call then core.check_call(call, who) end -- 15k instructions, which most waits can do without
  rules.call = call or POLL
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
-- Jobs of a crowd, which have a `chance` in [0, 1), are not to be polled in step, as by jitter alone they are
-- for dozens of intervals: of 1,000 that begin together, a twentieth of the second interval brings up to 3.3
-- times its share of polls, and 1.2 times so. The first pause is any part of a usual one, or up to twice what
-- the server wishes; that after a late poll is up to twice as long; and pauses grow by a factor from 1 to 2.
local function schedule(job, hint, now, random, chance, first)
  local delay = hint and math.min(math.max(hint, LEAST_HINT), LONGEST_HINT)
    or job.interval * (1 - JITTER * random)
  if chance and (first or job.due == LATE) then
    delay = delay * (first and not hint and chance or 1 + chance)
  end
  if not hint then
    local growth = chance and 1 + chance or BACKOFF
    job.interval = math.min(job.interval * growth, math.max(job.rules.interval, job.rules.max_interval))
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
  if now >= job.due then
    if now - job.due > JITTER * job.interval then job.due = LATE end
    return "poll"
  end
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

--- Plans the next poll after an answer that nothing was learned from.
function wait.again(job, now)
  schedule(job, nil, now, 0)
end

--- Takes the answer of a poll.
-- @tparam table job
-- @tparam table|boolean video the snapshot; true: the same as before
-- @tparam ?number hint seconds the server asks to wait
-- @tparam number now
-- @tparam number random in [0, 1)
-- @tparam ?number chance another one, for a job that is one of many
function wait.answer(job, video, hint, now, random, chance)
  local first = not job.video
  job.failures = nil
  -- Most answers bring nothing new, and what they mean is known then: to read one takes 23k instructions, and
  -- 50k more where its view is asked for.
  if video == true or not first and same(video, job.video) then
    return schedule(job, hint or job.hint, now, random, chance)
  end
  local heard = job.rules.on_progress
  local ends, wish, view = normalize.follow(video, heard ~= nil)
  job.video, job.hint = video, wish
  if video.id == job.id then video.id = job.id end -- one string, not two: 70 bytes
  if ends then settle(job, view) end -- before on_progress, which may raise
  if heard and heard(video, view) == false and not ends then
    return fail(job, "cancelled", "on_progress stopped the wait")
  end
  if not ends then schedule(job, hint or job.hint, now, random, chance, first) end
end

-- A 200 that holds an error may be a hiccup of the gateway; a 404 may come before the job is known
-- everywhere.
local function may_pass(job, err, now)
  local age = now - (job.deadline - job.rules.timeout)
  if err.status == 404 and not job.video and age < FRESH then return true, true end
  return err.retryable or (err.kind == "api" and err.status == 200), false
end

--- Takes the error of a poll.
function wait.failure(job, err, now, random, chance)
  local passes, early = may_pass(job, err, now)
  if not early then job.failures = (job.failures or 0) + 1 end
  if not passes or (job.failures or 0) > job.rules.max_failures then return finish(job, err) end
  schedule(job, err.retry_after, now, random, chance)
end

--- The options of the next poll: its time-out ends with the wait.
-- @tparam table job
-- @tparam number timeout the client's own time-out of an attempt
-- @tparam number now
function wait.call_options(job, timeout, now)
  local left = job.deadline - now
  if left >= timeout then return job.rules.call end
  local opts = copy(job.rules.call)
  opts.timeout = left
  return opts
end

return wait
