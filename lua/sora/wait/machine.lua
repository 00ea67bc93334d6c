--- The state machine of one wait: when to poll next, and when to stop.
-- Owns the options of a wait and the meaning of each answer. Invariant: it has no clock, no random source and
-- no network, and calls no callback but in `progress`; every error that ends a wait carries the last
-- snapshot, in which no secret of `rules.client` is shown.
-- @module sora.wait.machine
-- @local

local core = require "sora.core"
local normalize = require "sora.normalize"
local options = require "sora.options"

core.own()

local machine = {}

local BACKOFF = 1.5         -- each pause is longer than the one before by this factor
local JITTER = 0.25         -- a pause is shortened by up to this part, so that waits spread
local MIN_HINT = 0.2        -- s; a server's poll-after is kept between these two
local MAX_HINT = 60         -- s
local LATE = -math.huge     -- the due time of a job that is polled late, together with others
local LAST = 0              -- the interval of a job whose last poll was begun
local LONGEST_LAST = 5      -- s; for the poll that is made at the deadline, and for cancelling the job
local PATIENCE = 1          -- s; beyond that, a poll whose answer never came counts as lost
local FRESH = 10            -- s; for so long a 404 may mean that the server does not know the job yet

-- Options of a wait; those with `true` are options of a call, for each poll, which C checks.
local POLL_RULES = {
  interval = options.SECONDS,
  max_interval = options.SECONDS,
  timeout = options.SECONDS,
  max_failures = options.COUNT,
  cancel_on_timeout = options.FLAG,
  on_progress = options.FUNCTION,
  max_retries = true,
  headers = true,
  query = true,
}
local RULES = {
  wait = options.copy(POLL_RULES, { response = true }),
  wait_all = options.copy(POLL_RULES, { max_rate = options.SECONDS }),
  watch = options.copy(POLL_RULES, { max_rate = options.SECONDS, on_done = options.FUNCTION }),
}

local DEFAULTS = { interval = 2, max_interval = 15, timeout = 1800, max_failures = 10 }
local CALL = { max_retries = 0 } -- the options of each poll: a failed one is followed by another anyway

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

--- Returns the earlier rules if they are the same: ten thousand jobs then share one table.
function machine.share(rules, before)
  return before and same(rules, before) and before or rules
end

--- Makes the rules of a wait from its options.
-- @tparam ?table opts
-- @tparam string who the function that the user called; misuse raises
-- @treturn table the rules; `rules.call` are the options of each poll
function machine.rules(opts, who)
  options.expect_optional(who, "options", opts, "table")
  local known = RULES[who] or POLL_RULES
  local rules, call = options.copy(DEFAULTS), nil
  for name, value in pairs(options.check(who, opts or {}, known)) do
    if known[name] == true then
      call = call or options.copy(CALL)
      call[name] = value
    else
      rules[name] = value
    end
  end
  if call then core.check_call(call, who) end
  rules.call = call or CALL
  return rules
end

--- Begins a wait; its first poll is due at once.
-- @tparam string id
-- @tparam table rules from `machine.rules`
-- @tparam number now seconds of any clock that never runs backwards
-- @treturn table the job: `due` (when to poll), `deadline`, and in the end `finished` with `video` or `err`
function machine.start(id, rules, now)
  return { id = id, rules = rules, due = now, deadline = now + rules.timeout, interval = rules.interval }
end

-- `finished` comes last: whatever raises here leaves a job that has not ended.
local function finish(job, err)
  if err then
    err.video = job.video
    core.error(err, job.rules.client)
  end
  if err or job.err then job.err = err end
  job.finished = true
end

local function fail(job, kind, message, request_id)
  finish(job, core.error { kind = kind, message = message, retryable = kind == "deadline",
    request_id = request_id })
end

--- Returns the state that the last snapshot tells, or "unknown".
function machine.state(job)
  return job.video and not job.doubt and normalize.video(job.video).state or "unknown"
end

-- `request_id` is that of the last answer, if one is known.
local function expire(job, request_id)
  fail(job, "deadline", ("the job did not end within %g s; its state is %s"):format(
    job.rules.timeout, machine.state(job)), request_id)
end

--- Keeps a server's poll-after within bounds.
function machine.clamp(hint)
  return math.min(math.max(hint, MIN_HINT), MAX_HINT)
end

-- How long the poll at the deadline may take.
local function last_timeout(job)
  return math.min(LONGEST_LAST, job.rules.timeout)
end

-- Sets the time of the next poll: after the server's hint, or after our own interval, which grows; the last
-- one is due at the deadline, and what comes after that ends the wait.
--
-- A job that is one of many has a `chance`, a second random number. Jitter alone would keep jobs that began
-- together in step for dozens of intervals, so their first pause is any part of an interval, the pause after
-- a late poll is up to twice as long, and their intervals grow by a factor between 1 and 2.
local function schedule(job, hint, now, random, chance, first, request_id)
  if now >= job.deadline then return expire(job, request_id) end
  local delay = hint and machine.clamp(hint) or job.interval * (1 - JITTER * random)
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

local function settle(job, view, request_id)
  if view.state == "completed" then return finish(job) end
  local cause = view.error or {}
  finish(job, core.error { kind = ENDS[view.state], retryable = false, message = cause.message
    or ("the job %s"):format(view.state == "failed" and "failed" or "was " .. view.state),
    code = cause.code, type = cause.type, param = cause.param, reason = cause.reason,
    request_id = request_id })
end

-- Decides whether a final word that no list has is believed: only when two polls in a row say it. Until then
-- the job has a `doubt`, and its view is that of a running job.
local function is_believed(job, word, view, request_id)
  if not word or job.doubt and job.doubt.word == word then return true end
  job.doubt = { word = word, request_id = request_id }
  view.state, view.error = "in_progress", nil
  return false
end

--- Decides what becomes of a job whose time has come.
-- @treturn boolean whether to poll it: for the last time at its deadline; false: the wait has ended
function machine.is_to_poll(job, now)
  if job.finished then return false end
  if now >= job.deadline then
    if job.interval == LAST then expire(job) end
    job.interval = LAST
    return not job.finished
  end
  if now - job.due > JITTER * job.interval then job.due = LATE end
  return true
end

--- Returns when a wait must have ended, also while nothing is heard of its poll.
-- @tparam table job
-- @tparam boolean polled whether a poll of it is under way
function machine.limit(job, polled)
  return job.deadline + last_timeout(job) * (polled and 2 or 1) + (polled and PATIENCE or 0)
end

--- Ends a wait whose time is over.
function machine.expire(job)
  if not job.finished then expire(job) end
end

--- Tells whether a wait has ended that wants its job to be cancelled.
function machine.is_to_cancel(job)
  local err = job.rules.cancel_on_timeout and job.err
  return err and err.kind == "deadline" and err.cancelled == nil or false
end

--- Returns the options of the calls that cancel it.
function machine.cancel_options(job)
  return options.copy({ timeout = LONGEST_LAST }, options.copy(job.rules.call))
end

--- Ends a wait with what the job was at last, if it was over before it could be cancelled.
-- @treturn boolean whether it was
function machine.settle(job, video)
  local ends, _, view = normalize.follow(video, false)
  if not ends then return false end
  job.video = video
  settle(job, view)
  return true
end

--- Reads the last snapshot; a final word that is not believed yet is left out.
-- @treturn table view
function machine.view(job)
  local view = normalize.video(job.video)
  if job.doubt then view.state, view.error = "in_progress", nil end
  return view
end

--- Ends a wait as cancelled.
function machine.cancel(job, message)
  fail(job, "cancelled", message)
end

--- Ends a wait with an error of the caller's.
function machine.give_up(job, err)
  if not job.finished then finish(job, err) end
end

--- Plans the next poll after one that could not be begun, or whose answer could not be read. Allocates
-- nothing, since memory may be what was out; forgets the snapshot if it may have been read half.
-- @tparam table job
-- @tparam number now
-- @tparam ?boolean reading whether it was the answer
function machine.again(job, now, reading)
  if reading then -- a nil takes a field, too, where there was none
    if job.video then job.video = nil end
    if job.seen then job.seen = nil end
    if job.hint then job.hint = nil end
    if job.doubt then job.doubt = nil end
  end
  local delay = math.max(job.interval, MIN_HINT)
  job.interval = math.min(job.interval * BACKOFF, math.max(job.rules.interval, job.rules.max_interval))
  job.due = now < job.deadline and math.min(now + delay, job.deadline) or now + MIN_HINT
end

--- Takes the answer of a poll: plans the next one, or ends the wait.
-- @tparam table job
-- @tparam table|boolean video the snapshot; true: unchanged; an empty one: not yet
-- @tparam ?number hint seconds the server asks to wait
-- @tparam number now
-- @tparam number random in [0, 1)
-- @tparam ?number chance another one, for a job that is one of many
-- @tparam ?string request_id
-- @treturn ?table the view to call `progress` with; nil if nothing changed or nobody listens
function machine.answer(job, video, hint, now, random, chance, request_id)
  local first, doubt = not job.video, job.doubt
  job.failures = nil
  if video ~= true and next(video) == nil then
    if doubt then job.doubt = nil end
    return schedule(job, hint, now, random, chance, first, request_id)
  end
  local known = video == true or not first and same(video, job.video)
  if known and not doubt then -- most answers; reading one is expensive
    return schedule(job, hint or job.hint, now, random, chance, nil, request_id)
  end
  if known then video = job.video end
  local ends, own_hint, view, word = normalize.follow(video, job.rules.on_progress ~= nil)
  job.video, job.hint = video, own_hint
  if video.id == job.id then video.id = job.id end -- keep one string, not two
  if ends and is_believed(job, word, view, request_id) then
    settle(job, view, request_id or doubt and doubt.request_id)
  else
    schedule(job, hint or own_hint, now, random, chance, first, request_id)
  end
  if doubt and (job.finished or not word) then job.doubt = nil end
  return not known and job.rules.on_progress and view or nil
end

--- Calls on_progress, which stops the wait by returning false. May raise what it raises.
function machine.progress(job, view)
  if job.rules.on_progress(job.video, view) == false and not job.finished then
    fail(job, "cancelled", "on_progress stopped the wait")
  end
end

-- Whether a wait survives an error, and whether that counts as a failed poll. A 404 about a job that was seen
-- may come from a replica that does not know it; who says when to come back is there, and only busy.
local function tolerates(job, err, now)
  local age = now - (job.deadline - job.rules.timeout)
  if err.status == 429 and err.retry_after and err.retryable then return true, false end
  if err.status == 404 and job.video then return true, true end
  if err.status == 404 and age < FRESH then return true, false end
  return err.retryable or (err.kind == "api" and err.status == 200), true -- a refusal in a 200 may pass
end

--- Takes the error of a poll: plans the next one, or ends the wait.
function machine.failure(job, err, now, random, chance)
  local survives, counts = tolerates(job, err, now)
  if counts then job.failures = (job.failures or 0) + 1 end
  if not survives or (job.failures or 0) > job.rules.max_failures then return finish(job, err) end
  schedule(job, err.retry_after, now, random, chance, nil, err.request_id)
end

--- Returns the options of the next poll, whose timeout ends with the wait.
-- @tparam table job
-- @tparam number timeout the client's own timeout of one attempt
-- @tparam number now
function machine.call_options(job, timeout, now)
  local left = job.deadline - now
  local last = left <= 0
  if last then left = last_timeout(job) end
  if left >= timeout and not last then return job.rules.call end
  -- The last answer's request id goes into the error.
  return options.copy({ timeout = math.min(left, timeout), response = last or job.rules.call.response },
    options.copy(job.rules.call))
end

return machine
