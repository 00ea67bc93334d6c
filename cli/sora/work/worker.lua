--- A worker: takes tasks from a store, and makes a film of each.
--
-- Each task that it holds is code in a coroutine of the client's (`sora.task`), from the lease to the end:
--
--     asked → POST → made → watch → download → saved
--
-- Owns that order, and what becomes of a task that another worker has left behind. Invariant: nothing is sent
-- before `asked` is in the store; a POST that was asked for is not sent again, unless the server honours
-- idempotency keys and the user said so; an answer to it is brought to the store, whoever holds the lease by
-- then; a worker that may have lost a lease stops following the job.
-- @module sora.work.worker
-- @local

local batch = require "sora.batch"
local core = require "sora.core"
local endpoints = require "sora.endpoints"
local json = require "sora.json"
local normalize = require "sora.normalize"
local options = require "sora.options"
local task = require "sora.task"

core.own()

local worker = {}

local JOBS = 20
local LEASE = 30       -- s
local BEAT = 0.5       -- s; between two looks at the queue
local SEARCH = 2       -- s; between two looks for a job whose answer was lost
local MAX_PAUSE = 30   -- s; between two tries of what a server puts off
local MAX_HOLD = 120   -- s; for which a server may put off all tasks
local MAX_TRIES = 8    -- of a download, or of a POST that may be repeated
local MAX_NAME = 200   -- bytes of the name of a film
local PROBE = ".sora-work" -- a file in the folder that is never put in place

local SHORTEST = 0.2   -- s; of a lease
local MAX_STOPS = 6    -- for whoever does not end

local RULES = {
  dir = options.rule("string", "the name of a folder", function(text) return text ~= "" end),
  jobs = options.rule("number", "a whole number, 1 or more", function(n) return n >= 1 and n % 1 == 0 end),
  lease = options.rule("number", "a number of seconds, 0.2 or more", function(n) return n >= SHORTEST end),
  name = options.rule("string", "a name", function(text) return text ~= "" end),
  settle = options.SECONDS,
  keep = options.SECONDS,
  idempotent = options.FLAG,
  drain = options.FLAG,
  on_progress = options.FUNCTION,
  interval = true, max_interval = true, timeout = true, max_failures = true, max_rate = true,
  headers = true, query = true,
}
local WAIT = { "interval", "max_interval", "timeout", "max_failures", "max_rate", "headers", "query" }

local function problem(kind, code, message)
  return core.error { kind = kind, code = code, message = message, retryable = false }
end

--- Returns what is wrong with the name of a film, or nil. Whoever puts a task chooses it, and a worker writes
-- to it on its own machine.
function worker.flaw(output)
  if type(output) ~= "string" then return "expected the name of a file, got a " .. type(output) end
  if output == "" then return "expected the name of a file, got an empty string" end
  if #output > MAX_NAME then return ("the name has %d bytes, at most %d"):format(#output, MAX_NAME) end
  if output:find "[%z\r\n]" then return "a name has no line breaks and no zeros" end
  if batch.is_absolute(output) or ("/" .. output .. "/"):find("/../", 1, true) or output:sub(-1) == "/" then
    return ("'%s': expected the name of a file below the worker's folder"):format(output)
  end
end

-- Telling ----------------------------------------------------------------------------

local Worker = { __name = "sora.worker" }
Worker.__index = Worker

-- Tells on_progress how far a task is. What that raises stops the worker, and is raised again at the end.
local function tell(self, entry)
  if not self.opts.on_progress then return end
  local good, said = pcall(self.opts.on_progress, entry)
  if not good then self.raised = self.raised or { said } end
  if not good or said == false then self:stop() end
end

local function set_state(self, entry, state)
  entry.state = state
  tell(self, entry)
end

-- Notes that the store can't be reached, or can again: `trouble` is an error, or nil.
local function set_trouble(self, trouble)
  local before = self.trouble
  self.trouble = trouble
  if (trouble and trouble.code) == (before and before.code) then return end
  tell(self, { state = trouble and "trouble" or "recovered", err = trouble })
end

-- Ends the worker with an error: it takes nothing more, and leaves what it has to others.
local function give_up(self, err)
  self.err = self.err or err
  self:stop()
  self:stop()
end

-- Writing ----------------------------------------------------------------------------

-- Writes an event to the store, as often as it takes. Returns the store's answer. While the store does not
-- answer, one task tries for all: each try blocks the process, and so every call to the server.
local function write(self, entry, event, fields)
  entry.unwritten = { event, fields }
  while true do
    if not self.trouble or core.now() >= self.next_try then
      local said, more = self.store:note(entry.id, entry.lease, event, fields)
      if said then
        entry.unwritten = nil
        set_trouble(self, nil)
        return said, more
      end
      self.next_try = core.now() + self.beat
      set_trouble(self, more)
    end
    self.client:pause(self.beat)
  end
end

local COUNTED = { saved = true, failed = true, unsure = true }

-- Ends a task in the store, and here.
local function finish(self, entry, event, fields, err)
  local said = write(self, entry, event, fields)
  entry.err = err
  entry.over = true
  if said ~= "ok" then return set_state(self, entry, "lost") end
  if COUNTED[event] then self.results[event] = self.results[event] + 1 end
  return set_state(self, entry, event)
end

local function text_of(err)
  return tostring(err.message or err)
end

local function fail(self, entry, err, over)
  return finish(self, entry, "failed", { error = text_of(err), over = over }, err)
end

-- Asking for a job -------------------------------------------------------------------

local NEVER_SENT = { dns = true, connect = true, tls = true, closed = true, forked = true }
local OF_THE_WORKER = { config = true, file = true } -- such as a journal on a full disk
local UNUSABLE = { auth = true, quota = true } -- every other task would be refused for these reasons

-- Tells what an error of a create means: "unknown", if there may be a job, "later", "never" or "stop".
-- `repeated`: another POST with the same key may have been sent before this answer.
local function judge(err, repeated)
  if err.ambiguous then return "unknown" end
  if OF_THE_WORKER[err.kind] or UNUSABLE[err.reason] or err.status == 401 then return "stop" end
  if repeated then return "unknown" end
  if NEVER_SENT[err.kind] then return "later" end
  if err.kind ~= "api" then return "unknown" end
  return batch.is_put_off(err) and "later" or "never"
end

-- Takes no tasks for a while.
local function hold(self, err)
  self.holds = math.min((self.holds or 0.5) * 2, MAX_PAUSE)
  local seconds = math.max(math.min(err.retry_after or 0, MAX_HOLD), self.holds)
  self.held_until = math.max(self.held_until or 0, core.now() + seconds)
end

-- What is sent with a create. Without the user's word for the server, the key is a mere header, and the
-- client repeats nothing by itself: who dies between two attempts leaves a task that looks as if it was sent.
local function create_options(self, entry)
  local opts = { query = self.opts.query, headers = options.copy(self.opts.headers) }
  if self.opts.idempotent then
    opts.idempotency_key = entry.key
  else
    opts.headers["Idempotency-Key"], opts.max_retries = entry.key, 0
  end
  return opts
end

-- Notes that there is no job. Puts the task back where it may be asked for again.
local function refused(self, entry, err, again)
  entry.fixed = true
  local said = write(self, entry, "refused", { again = again, error = text_of(err) })
  entry.err, entry.over = err, true
  if said ~= "ok" then return set_state(self, entry, "lost") end
  if not again then self.results.failed = self.results.failed + 1 end
  return set_state(self, entry, again and "released" or "failed")
end

local follow, search

-- Withdraws what was asked, of which nothing was sent by this worker. It remains if another may have sent it.
local function withdraw(self, entry, why)
  if entry.asked then return finish(self, entry, "released") end
  return refused(self, entry, problem("cancelled", nil, why), true)
end

-- Brings an answer to the store.
local function answered(self, entry, video)
  local view = normalize.video(video)
  if not view.id then
    entry.fixed = nil
    if view.state == "completed" then
      entry.video = video
      return follow(self, entry)
    end
    local err = problem("decode", "no_id", "the created job has no id")
    return finish(self, entry, "unsure", { error = text_of(err) }, err)
  end
  entry.job, entry.created = view.id, view.created_at
  local said = write(self, entry, "made", { job = view.id })
  self.results.made = self.results.made + 1
  entry.fixed = nil
  if said == "ok" then return follow(self, entry, video) end
  entry.over = true
  if said == "unsure" then self.results.unsure = self.results.unsure + 1 end
  return set_state(self, entry, said == "unsure" and "unsure" or "lost")
end

-- Returns what is wrong with a task's output, or nil; and whether it is wrong for every task.
local function check_target(self, entry)
  local flaw = worker.flaw(entry.output)
  if flaw then return problem("config", "output", "output: " .. flaw) end
  if core.file_kind(self.opts.dir) ~= "folder" then
    return problem("file", nil, self.opts.dir .. ": the folder does not exist"), true
  end
  local folder = entry.path:match "^(.*)/"
  if core.file_kind(folder) ~= "folder" then
    return problem("file", nil, ("output: the folder '%s' does not exist"):format(folder))
  end
  local err = batch.write_problem(entry.path)
  if not err then return nil end
  return err, batch.write_problem(self.opts.dir .. "/" .. PROBE) ~= nil
end

-- Returns what is wrong with the files among a task's params, or nil: they are read on this machine.
local function check_files(entry)
  for name, value in pairs(entry.params) do
    local path = type(value) == "table" and value.path
    if type(path) == "string" then
      local kind, why = core.file_kind(path), nil
      local file = kind == "file" and io.open(path, "rb")
      if file then file:close() end
      if not kind then why = "there is no such file" end
      if kind and not file then why = kind == "file" and "it can't be read" or "it is not a regular file" end
      if why then
        return problem("file", nil, ("%s: %s: %s; the worker reads it on its own machine, a URL works on all")
          :format(tostring(name), path, why))
      end
    end
  end
end

-- Ends a task that can't be made here. What is wrong for every task stops the worker.
local function stop_or_fail(self, entry, flaw, everybody)
  if not everybody then return fail(self, entry, flaw) end
  give_up(self, flaw)
  return finish(self, entry, "released")
end

local function create(self, entry)
  local good, raised = pcall(endpoints.describe.create_video, self.client, entry.params)
  if not good then return fail(self, entry, problem("config", nil, tostring(raised))) end
  local flaw, everybody = check_target(self, entry)
  flaw = flaw or check_files(entry)
  if flaw then return stop_or_fail(self, entry, flaw, everybody) end
  if self.stops > 0 then return finish(self, entry, "released") end
  entry.key = entry.asked or ("sora-%s-%d"):format(entry.id, entry.attempt)
  entry.fixed = true -- nothing may end this code between asking and the answer
  local said = write(self, entry, "asked", { key = entry.key })
  if said == "made" then return finish(self, entry, "released") end -- another worker's answer has come
  if said ~= "ok" then -- `asked` may have been written at a first try, whose answer was lost
    return withdraw(self, entry, "the lease was lost")
  end
  if self.stops > 1 then return withdraw(self, entry, "the worker was stopped") end
  set_state(self, entry, "asked")
  entry.since, entry.asked_at = core.now(), os.time()
  local video, err = self.client:create_video(entry.params, create_options(self, entry))
  if video then
    self.holds = nil
    return answered(self, entry, video)
  end
  local repeated = self.opts.idempotent and (entry.asked ~= nil or (err.attempts or 1) > 1
    or (err.status or 0) >= 500 or err.status == 408 or err.status == 409)
  local verdict = judge(err, repeated)
  if verdict == "stop" then give_up(self, err) end
  if verdict == "stop" and repeated then return finish(self, entry, "released") end
  if verdict == "later" then hold(self, err) end
  if verdict ~= "unknown" then return refused(self, entry, err, verdict ~= "never") end
  entry.fixed = nil
  entry.asked, entry.failure = entry.key, err
  return search(self, entry)
end

-- Looking for a job whose answer was lost ------------------------------------------------

local function unsure(self, entry, why)
  local err = problem("api", "unsure",
    ("nobody knows whether the job was made (%s); it is not asked for again by itself"):format(why))
  err.ambiguous = true
  return finish(self, entry, "unsure", { error = text_of(err) }, err)
end

-- The jobs at the server that may be the task's.
local function candidates(self, entry)
  local list, err = self.client:find_created({ prompt = entry.prompt, since = entry.asked_at - batch.SKEW },
    { headers = self.opts.headers, query = self.opts.query })
  if not list then return nil, err end
  local ids = {}
  for _, video in ipairs(list) do
    if batch.may_be(entry, video, {}) then ids[#ids + 1] = normalize.video(video).id end
  end
  return ids
end

local TRANSIENT = { dns = true, connect = true, tls = true, timeout = true, transport = true }

local function is_transient(err)
  return TRANSIENT[err.kind] or err.kind == "api" and (err.status or 0) >= 429
end

-- Looks until the server has had time to answer the POST that was lost: until then another worker may bring
-- the answer, or the job appear in the list.
function search(self, entry)
  set_state(self, entry, "searching")
  if self.opts.idempotent then -- the same key gives the same job
    entry.tries = (entry.tries or 0) + 1
    if entry.tries > MAX_TRIES then return unsure(self, entry, text_of(entry.failure)) end
    if entry.failure then self.client:pause(math.min(0.25 * 2 ^ entry.tries, MAX_PAUSE)) end
    return create(self, entry)
  end
  if type(entry.prompt) ~= "string" then return unsure(self, entry, "it has no prompt to look for") end
  local settled = entry.since + (self.opts.settle or self.client:attempt_timeout())
  local pause = SEARCH
  while true do
    local why
    local last = core.now() >= settled
    local ids, err = candidates(self, entry)
    if ids and #ids > 0 then
      entry.fixed = true
      local said, job = write(self, entry, "found", { jobs = json.encode(ids) })
      entry.fixed = nil
      if said == "ok" or said == "made" then
        entry.job = job
        return follow(self, entry)
      elseif said == "stale" then
        return finish(self, entry, "released")
      end
      why = said == "several" and "several jobs may be it" or "no such job was found"
    else
      why = err and text_of(err) or "no such job was found"
      if err and TRANSIENT[err.kind] then last = false end -- the server is not there
      if err and not is_transient(err) then last = true end
    end
    if last then return unsure(self, entry, why) end
    self.client:pause(math.min(pause, math.max(settled - core.now(), self.beat)))
    pause = math.min(pause * 2, MAX_PAUSE)
  end
end

-- Following a job ------------------------------------------------------------------------

local OVER = { failed = true, cancelled = true, expired = true }

-- Watches a job until it ends. A hint cancels the watch, and the next one polls at once.
local function watch(self, entry)
  local rules = {}
  for _, name in ipairs(WAIT) do rules[name] = self.opts[name] end
  function rules.on_progress(_, view)
    entry.progress = view.progress
    set_state(self, entry, view.state)
  end
  while true do
    local job, err = self.client:watch({ id = entry.job, base_url = self.client.base_url,
      created = entry.created }, rules)
    if not job then return nil, err end
    entry.watched, entry.hinted = job, nil
    local video
    video, err = job:wait()
    entry.watched = nil
    if video or not (entry.hinted or is_transient(err)) then return video, err end
    if not entry.hinted then self.client:pause(SEARCH) end
  end
end

local function download(self, entry)
  local pause = 1
  for try = 1, math.huge do
    set_state(self, entry, "downloading")
    local file, err = self.client:download_video(entry.job or entry.video, entry.path,
      { headers = self.opts.headers, query = self.opts.query })
    if file then return file end
    local waits = err.code == "locked" -- a worker that has lost its lease still writes
    if not waits and (try >= MAX_TRIES or not is_transient(err)) then return nil, err end
    self.client:pause(pause)
    pause = math.min(pause * 2, MAX_PAUSE)
  end
end

function follow(self, entry)
  local flaw, everybody = check_target(self, entry)
  if flaw then return stop_or_fail(self, entry, flaw, everybody) end
  if entry.job then
    local video, err = watch(self, entry)
    if not video then
      return fail(self, entry, err, OVER[err.kind] and err.video and normalize.terminal(
        normalize.video(err.video).state))
    end
  end
  local file, err = download(self, entry)
  if file then
    entry.bytes = file.bytes
    return finish(self, entry, "saved", { job = entry.job or "", path = entry.path, bytes = file.bytes,
      keep = self.opts.keep })
  end
  if err.kind ~= "file" then return fail(self, entry, err) end
  flaw, everybody = check_target(self, entry)
  return stop_or_fail(self, entry, flaw or err, everybody or not flaw) -- no flaw: the disk may be full
end

-- Decides what is to be done about a task first.
local function begin(self, entry)
  local params, why = json.decode(entry.body or "")
  if type(params) ~= "table" then
    return fail(self, entry, problem("config", "not_json", "the task is not JSON: " .. tostring(why)))
  end
  entry.params, entry.prompt = params, params.prompt
  if entry.job then return follow(self, entry) end
  if entry.asked then return search(self, entry) end
  return create(self, entry)
end

-- The tasks that it holds --------------------------------------------------------------------

local function add(self, taken)
  local entry = taken
  entry.path = self.opts.dir .. "/" .. tostring(entry.output)
  entry.since, entry.asked_at = core.now() - (entry.age or 0), os.time() - math.ceil(entry.age or 0)
  entry.state = "taken"
  self.entries[#self.entries + 1] = entry
  self.by_id[entry.id] = entry
  local handle, err = task.start(self.client, function()
    begin(self, entry)
    return true
  end)
  if not handle then give_up(self, err) end -- the client is closed
  entry.handle = handle
end

-- Ends the code of a task, unless it must not be ended now.
local function cancel(entry, force)
  if entry.over or entry.fixed and not force or not entry.handle then return end
  entry.cancelled = true
  local watched = entry.watched
  entry.handle:cancel() -- before the watch, whose end would let the code proceed
  if watched then watched:cancel() end
end

-- Gives the lease of a task back whose code was ended before it was over.
local function give_back(self, entry)
  local last = entry.unwritten
  if entry.lost and not last then return end
  if last and last[1] == "asked" then -- nothing was sent
    last = entry.asked and { "released" } or { "refused", { again = true, error = "the worker was stopped" } }
  end
  local said, err = self.store:note(entry.id, entry.lease, last and last[1] or "released", last and last[2])
  if said and last then said, err = self.store:note(entry.id, entry.lease, "released") end
  if said then return end
  set_trouble(self, err)
  if last then self.unwritten[#self.unwritten + 1] = { id = entry.id, event = last[1], job = entry.job } end
end

-- Whether something raised is Ctrl-C, in stand-alone Lua.
local function is_interrupt(raised)
  return tostring(type(raised) == "table" and raised.message or raised):find("interrupted!", 1, true) ~= nil
end

-- Drops those whose code has ended.
local function collect(self)
  for i = #self.entries, 1, -1 do
    local entry = self.entries[i]
    if not entry.handle or entry.handle:done() then
      local _, err
      if entry.handle then _, err = entry.handle:result() end
      table.remove(self.entries, i)
      self.by_id[entry.id] = nil
      if not entry.over then
        if err and not entry.cancelled then -- Ctrl-C on LuaJIT, or a mistake in here
          if is_interrupt(err) then self:stop() else give_up(self, err) end
        end
        give_back(self, entry)
        set_state(self, entry, entry.lost and "lost" or "released")
      end
    end
  end
end

local function lose(entry)
  entry.lost = true
  cancel(entry)
end

-- The loop -----------------------------------------------------------------------------

-- Renews the leases when it is time, and polls the jobs of hints. Without the store, leases are taken for
-- lost when they expire by the own clock.
local function renew(self, now)
  local leases = {}
  local due = now - self.renewed >= self.opts.lease / 3
  if due then
    for _, entry in ipairs(self.entries) do
      if not entry.over then leases[entry.id] = entry.lease end
    end
  end
  local lost, hints = self.store:renew(self.name, self.opts.lease, leases)
  if not lost then
    set_trouble(self, hints)
    if now - self.renewed < self.opts.lease then return end
    for _, entry in ipairs(self.entries) do lose(entry) end
    return
  end
  set_trouble(self, nil)
  if due then self.renewed = now end
  for id in pairs(lost) do
    if self.by_id[id] then lose(self.by_id[id]) end
  end
  for _, job in ipairs(hints) do
    for _, entry in ipairs(self.entries) do
      if entry.job == job and entry.watched then
        entry.hinted = true
        entry.watched:cancel()
      end
    end
  end
end

-- Takes tasks where there is capacity. Returns false and the error if it could not.
local function take(self, now)
  local free = self.opts.jobs - #self.entries
  if self.stops > 0 or free <= 0 or (self.held_until or 0) > now then return true end
  if #self.entries == 0 then self.renewed = now end
  local tasks, err = self.store:take(self.name, self.opts.lease, free, self.client.base_url)
  if not tasks then
    set_trouble(self, err)
    if err.code == "other_server" then give_up(self, err) end
    return false, err
  end
  set_trouble(self, nil)
  for _, taken in ipairs(tasks) do
    if not self.by_id[taken.id] then add(self, taken) end
  end
  self.hungry = #tasks == free -- there may be more
  return true
end

-- Whether nobody has anything to do any more.
local function is_drained(self)
  if not self.opts.drain or #self.entries > 0 then return false end
  local counts = self.store:list()
  return counts and counts.waiting == 0 and counts.running == 0
end

local function turn(self)
  local now = core.now()
  local beat = now >= self.next_beat
  if beat and #self.entries > 0 then renew(self, now) end -- first: the process may have been asleep
  if self.stops > 1 then
    for _, entry in ipairs(self.entries) do cancel(entry, self.stops > 2) end
  end
  collect(self)
  if beat or self.opts.drain and #self.entries == 0 then
    self.next_beat = core.now() + self.beat
    take(self, core.now())
    if is_drained(self) then self.done = true end
  elseif self.hungry and #self.entries < self.opts.jobs then
    self.hungry = false
    take(self, now)
  end
  if self.stops > 0 and #self.entries == 0 then self.done = true end
  if self.done then return end
  self.client:wake(math.max(self.next_beat - core.now(), 0))
  local running, err = self.client:update(self.beat)
  if not running then -- the client is closed: so are all calls
    give_up(self, err)
    collect(self)
    self.done = true
  end
end

--- Stops the worker: it takes no more tasks, and `run` returns when those that it has are over. The second
-- time it leaves them to others, except for a POST whose answer has not come; the third time that, too.
function Worker:stop()
  self.stops = self.stops + 1
end

--- Works until it is stopped. What Ctrl-C raises in stand-alone Lua stops it, too.
-- @treturn[1] table { made =, saved =, failed =, unsure = }, how many; and `unwritten`, a list of
-- { id =, event =, job = }: what the store could not be told, so that a person has to
-- @treturn[2] nil
-- @treturn[2] table error; its `results` are the counts
function Worker:run()
  local good, err = take(self, core.now())
  if not good and #self.entries == 0 then
    err.results = self.results
    return nil, err
  end
  while not self.done do
    local fine, raised = pcall(turn, self)
    if not fine then
      self:stop()
      if not is_interrupt(raised) then -- a mistake: others may do better
        self.raised = self.raised or { raised }
        self:stop()
        self.done = self.stops > MAX_STOPS
      end
    end
  end
  if core.usable(self.client) then self.client:wake(nil) end
  if self.raised then error(self.raised[1], 0) end
  if self.err then
    self.err.results = self.results
    return nil, self.err
  end
  return self.results
end

local function host_name()
  local file = io.open("/proc/sys/kernel/hostname", "r")
  local name = file and file:read "*l" or os.getenv "HOSTNAME" or "worker"
  if file then file:close() end
  return name
end

--- Makes a worker; see `Queue:worker` in work.lua for its options.
-- @tparam table store
-- @tparam table client
-- @tparam table opts
-- @treturn Worker
function worker.new(store, client, opts)
  opts = options.check("worker", opts or {}, RULES)
  if not opts.dir then
    core.complain("worker", "option 'dir' is missing: write { dir = 'films' }, the folder for the films")
  end
  if client._pause then core.complain("worker", "expected a client without a pause hook") end
  opts.jobs, opts.lease = opts.jobs or JOBS, opts.lease or LEASE
  return setmetatable({ store = store, client = client, opts = opts, entries = {}, by_id = {}, stops = 0,
    name = opts.name or ("%s/%06x"):format(host_name(), math.floor(core.random() * 0x1000000)),
    beat = math.min(BEAT, opts.lease / 6), renewed = core.now(), next_beat = 0, next_try = 0, unwritten = {},
    results = { made = 0, saved = 0, failed = 0, unsure = 0 } }, Worker)
end

return worker
