--- The development server's jobs.
-- Owns every job and nothing else: no HTTP, no JSON, no timers. The state of a job is computed from its times
-- and the clock when it is asked for, so jobs that wait cost no CPU time, however many there are.
-- Invariant: `by_id` and the list from `oldest` to `newest` hold the same jobs.
local check = require("sora.server.input").check

local jobs = {}

local Store = {}
Store.__index = Store

-- A job that will fail does so at this share of its duration.
local REACH_OF_FAILURE = 0.5

local FAILURES = {
  moderation_blocked = "The request was blocked by the moderation system.",
  generation_failed = "The video could not be generated.",
}

local function is_failure(value)
  return check.text(value) or type(value) == "table" and check.text(value.code)
end

local DEV_RULES = {
  mode = { check.text, "the name of a mode" },
  duration = { check.seconds, "a number of seconds" },
  queue = { check.seconds, "a number of seconds" },
  expires = { check.seconds, "a number of seconds" },
  poll_after_ms = { check.whole, "a whole number of milliseconds" },
  content_bytes = { check.whole, "a whole number of bytes" },
  fail = { is_failure, "an error code, or an object with code and message" },
  id = { check.text, "a text" },
  webhook_secret = { check.text, "a text" },
}

--- Checks the `dev` object of a create.
-- @tparam table dev
-- @treturn ?string the name of an invalid field; nil when all are valid
-- @treturn ?string the reason
function jobs.check_dev(dev)
  return check.fields(DEV_RULES, dev)
end

--- Creates an empty store.
-- @tparam table options `clock` (returns seconds, from any start), `date` (returns seconds since 1970;
-- without it `clock` must), `random` (returns 0 ≤ x < 1), and the defaults of jobs: `duration` (6), `queue`
-- (a tenth of the duration), `expires` (3600 s after completion), `fail_rate` (0), `poll_after_ms`
-- @treturn Store
function jobs.new(options)
  return setmetatable({
    clock = options.clock,
    date = options.date or function() return math.floor(options.clock()) end,
    random = options.random or math.random,
    duration = options.duration or 6,
    queue = options.queue,
    expires = options.expires or 3600,
    fail_rate = options.fail_rate or 0,
    poll_after_ms = options.poll_after_ms,
    by_id = {},
    created = 0,
    count = 0,
  }, Store)
end

--- Makes a unique id: the serial number makes it unique in this server, the random part across servers.
function Store:new_id(prefix)
  self.serial = (self.serial or 0) + 1
  local a, b = math.floor(self.random() * 0x1000000), math.floor(self.random() * 0x1000000)
  return ("%s_%08x%06x%06x"):format(prefix, self.serial, a, b)
end

local function failure_of(self, dev)
  local fail = dev.fail
  if not fail and self.random() < self.fail_rate then
    fail = "generation_failed"
  end
  if not fail then
    return nil
  end
  local code = type(fail) == "table" and fail.code or fail
  local message = type(fail) == "table" and fail.message or FAILURES[code]
  return { code = code, message = message or "The job failed with " .. code .. "." }
end

--- Creates a job.
-- @tparam table fields of the request: `prompt`, `model`, `size`, `seconds`, `remixed_from_video_id` and
-- `webhook_url`
-- @tparam ?table dev the `dev` object, checked by `check_dev`
-- @treturn table the job
function Store:create(fields, dev)
  dev = dev or {}
  local duration = dev.duration or self.duration
  local fail = failure_of(self, dev)
  local job = {
    id = dev.id or self:new_id("video"),
    created = self.clock(),
    created_at = self.date(),
    duration = duration,
    queue = dev.queue or self.queue or duration / 10,
    reach = fail and REACH_OF_FAILURE or 1,
    fail = fail,
    expires = dev.expires or self.expires,
    poll_after_ms = dev.poll_after_ms or self.poll_after_ms,
    content_bytes = dev.content_bytes,
    prompt = fields.prompt,
    model = fields.model,
    size = fields.size,
    seconds = fields.seconds,
    remixed_from_video_id = fields.remixed_from_video_id,
  }
  -- not above: the constructor makes room for all its fields, also for those that are nil
  job.webhook_url, job.webhook_secret = fields.webhook_url, dev.webhook_secret
  self.by_id[job.id] = job
  job.older = self.newest
  if self.newest then
    self.newest.newer = job
  else
    self.oldest = job
  end
  self.newest = job
  self.created = self.created + 1
  self.count = self.count + 1
  return job
end

--- Finds a job.
-- @tparam string id
-- @treturn ?table the job
function Store:get(id)
  return self.by_id[id]
end

--- Removes a job, unless it was removed before.
function Store:remove(job)
  if self.by_id[job.id] ~= job then
    return
  end
  self.by_id[job.id] = nil
  if job.older then
    job.older.newer = job.newer
  else
    self.oldest = job.newer
  end
  if job.newer then
    job.newer.older = job.older
  else
    self.newest = job.older
  end
  self.count = self.count - 1
end

-- Returns when a job starts to run, and when it ends unless it is cancelled.
local function times_of(job)
  local started = job.created + job.queue
  return started, started + job.duration * job.reach
end

-- Returns the state, the progress, and when the job completed.
local function progress_of(job, now)
  local started, ends = times_of(job)
  local at = job.cancelled or now
  if at < started then
    return job.cancelled and "cancelled" or "queued", 0, nil
  elseif at < ends then
    local progress = math.min(99, math.floor(100 * (at - started) / job.duration))
    return job.cancelled and "cancelled" or "in_progress", progress, nil
  elseif job.fail then
    return "failed", math.floor(100 * job.reach), nil
  end
  return "completed", 100, ends
end

--- Cancels a job.
-- @tparam table job
-- @treturn boolean false when it had ended
function Store:cancel(job)
  if self:remaining(job) == 0 then
    return false
  end
  job.cancelled = self.clock()
  return true
end

--- Returns the seconds until a job ends; 0 when it has ended.
-- @tparam table job
-- @treturn number
function Store:remaining(job)
  local _, ends = times_of(job)
  return job.cancelled and 0 or math.max(0, ends - self.clock())
end

--- Makes a snapshot of a job.
-- @tparam table job
-- @treturn table the fields of the format, and `available`: whether its content can be downloaded now
function Store:view(job)
  local now = self.clock()
  local status, progress, completed = progress_of(job, now)
  local expires = completed and completed + job.expires
  return {
    id = job.id,
    object = "video",
    model = job.model,
    status = status,
    progress = progress,
    created_at = job.created_at,
    completed_at = completed and job.created_at + math.floor(completed - job.created),
    expires_at = expires and job.created_at + math.floor(expires - job.created),
    prompt = job.prompt,
    size = job.size,
    seconds = job.seconds,
    remixed_from_video_id = job.remixed_from_video_id,
    error = status == "failed" and job.fail or nil,
    available = completed ~= nil and now < expires,
  }
end

--- Lists one page of the jobs.
-- @tparam number limit
-- @tparam string order "asc" (oldest first) or "desc"
-- @tparam ?table after the last job of the page before; nil: the first page
-- @treturn {table,...} jobs
-- @treturn boolean whether there are more
function Store:page(limit, order, after)
  local onward = order == "asc" and "newer" or "older"
  local job
  if after then
    job = after[onward]
  else
    job = order == "asc" and self.oldest or self.newest
  end
  local page = {}
  while job and #page < limit do
    page[#page + 1] = job
    job = job[onward]
  end
  return page, job ~= nil
end

return jobs
