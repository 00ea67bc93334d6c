--- Calls and what drives them: blocking, through the pause hook, or started.
-- @module sora.client

-- Owns the three ways to make a call, `update`, and the pause hook. Invariant: a call is described once, and
-- all three ways send the same request through the same transfer.

local core = require "sora.core"
local endpoints = require "sora.endpoints"
local journal = require "sora.journal"
local misuse = require "sora.misuse"
local options = require "sora.options"
local problems = require "sora.problems"
local task = require "sora.task"

core.own()

local pump = {}
local Client = {} -- methods, which client.lua adds to the class
pump.methods = Client

local MAX_PAUSE = 0.1      -- s; another waiter's update may finish our call, so no pause for a call is longer
local MIN_INTERVAL = 0.001 -- s; between two pumps of waiters, however many there are
local MAX_REST = 3600      -- s; a blocking wait that is woken by what it waits for
local SPINNING = 100       -- pauses in a row that took no time: the hook does not wait

-- Pumping ----------------------------------------------------------------------------

--- Sets when the descriptor becomes readable by the clock: for a watched job, or for `Client:wake`.
-- @local
function pump.arm(client)
  local due, alarm = client._watched and client._watched:next_due(), client._alarm
  if alarm and not (due and due < alarm) then due = alarm end
  local tasks = client._tasks and task.next_due(client)
  if tasks and not (due and due < tasks) then due = tasks end
  core.wake(client, due or nil)
end

-- Updates the core, and keeps what callbacks raised.
local function update(client, seconds)
  local running, raised = core.update(client, seconds)
  if not running then return nil, raised end
  for _, problem in ipairs(raised or {}) do problems.keep(client, problem) end
  return running
end

-- Steps the tasks after an update that left `running` calls. Returns how many of those are not theirs.
local function step_tasks(client, running)
  if not client._tasks then return running end
  running = running - task.calls(client) -- before the step starts calls, which `running` does not count
  task.step(client)
  return running
end

-- Drives all that was started, but starts no polls of watched jobs.
local function work_off(client, seconds)
  core.wake(client, nil) -- a job that is due would end each wait at once
  local running, err = update(client, seconds)
  if not running then return nil, err end
  running = step_tasks(client, running) + task.calls(client)
  return running, running
end

-- Drives calls and watched jobs: see `drive`.
local function work(client, seconds)
  local group, alarm, tasks = client._watched, client._alarm, client._tasks
  if alarm and alarm <= core.now() then client._alarm = false end
  if group then group:step() end
  if tasks then task.step(client) end
  if group or alarm or tasks then pump.arm(client) end
  local running, err = update(client, seconds)
  if not running then return nil, err end
  group = client._watched -- a callback may have made it
  if not (group or client._tasks) then return running, running end
  local calls = step_tasks(client, running - (group and group.calling or 0))
  if group then group:step() end
  pump.arm(client)
  local on_wire, left = calls + task.calls(client), calls + #(client._tasks or {})
  if not group then return left, on_wire end
  return left + group.open, on_wire + group.calling
end

-- Wakes those who wait for a handle or a watched job that is done now.
local function wake_waiters(client)
  for turn in pairs(options.copy(client._waiters)) do
    if turn.wake and turn.handle:done() then turn.wake() end
  end
end

-- Drives all that was started and, unless `calls_only`, watched, and writes the journal's lines. Returns how
-- many calls, jobs and lines are left, and how many of those are on the wire; or nil, err.
local function drive(client, seconds, calls_only)
  local running, on_wire = (calls_only and work_off or work)(client, seconds)
  if client._waiters then wake_waiters(client) end
  if not client._journal then return running, on_wire end
  journal.flush(client)
  return running and running + journal.pending(client), on_wire
end

-- Drives for a waiter, who must not be hit by an error of somebody else's callback.
local function drive_quietly(client, seconds)
  local running, err = drive(client, seconds)
  problems.report(client)
  if not running then return nil, err end
  return running
end

-- Drives without waiting, unless that was done just now: a thousand waiters need one pump.
local function look(client)
  local now = core.now()
  if now - client._pumped < MIN_INTERVAL then return end
  client._pumped = now
  drive_quietly(client, 0)
end

--- Tells whether waiting calls go through a pause hook.
-- @local
function pump.has_hook(client)
  return client._pause ~= false or task.current() ~= nil
end

--- Tells whether a wait may be put into a pcall.
-- @local
function pump.can_protect(client)
  return task.yields_through_pcall or not pump.has_hook(client)
end

--- Raises where the pause hook could not wait.
-- @local
function pump.check_can_wait(client)
  if client._pause and client.can_wait and not task.current() then client:can_wait() end
end

--- Lets others run for at most `seconds`.
-- @tparam table client
-- @tparam number seconds
-- @tparam table turn of the waiter
-- @tparam boolean awaits whether a call is awaited: the hook may set `turn.wake`, which is called when that
-- is done
-- @local
function pump.rest(client, seconds, turn, awaits)
  local own = task.current()
  if own then return task.rest(own, seconds, turn) end
  if not client._pause then return drive_quietly(client, seconds) end
  local before = core.now()
  if awaits then
    client:pause(math.min(seconds, MAX_PAUSE), turn)
  else
    client:pause(seconds)
  end
  turn.wake = nil
  turn.idle = core.now() - before < 1e-4 and (turn.idle or 0) + 1 or 0
  if turn.idle >= SPINNING then drive_quietly(client, MIN_INTERVAL) end
  look(client)
end

-- Calls ------------------------------------------------------------------------------

-- A call whose answer the journal gets: at the latest when it is delivered, whoever waits for it then. It is
-- kept among the journal's `answers`, because a call may be done long before its delivery.
local function expect_answer(client, spec, key)
  local answer = { client = client, spec = spec, key = key }
  client._journal.answers[answer] = true
  return answer
end

-- Notes what an answer says of a job, once: that it was made or not, or that it is deleted or cancelled.
-- Where memory is out that raises, and is tried again by `settle`.
local function record(answer, video, err)
  local client = answer.client
  if not client._journal.answers[answer] then return end
  if answer.key then
    journal.outcome(client, answer.key, video, err)
  elseif video then
    local ends = answer.spec.ends
    local state = ends.state_after(video)
    if state then journal.ended(client, ends.id, state) end
  end
  client._journal.answers[answer] = nil
end

--- Tells whether the answer to a call is awaited that makes or ends a job.
-- @local
function pump.expects_answers(client)
  return client._journal and next(client._journal.answers) ~= nil or false
end

--- Notes the answers that came and are not delivered yet, and writes all lines.
-- @local
function pump.settle(client)
  if not client._journal then return end
  for answer in pairs(options.copy(client._journal.answers)) do
    if answer.handle and answer.handle:done() then record(answer, answer.handle:result()) end
  end
  journal.flush(client)
end

-- The two functions below make what is called when an answer comes. They have returned by then, so it refers
-- to nothing on the stack of a coroutine, which may be gone or somebody else's.
local function recorder(answer, on_done)
  return function(video, err, response)
    local good, problem = pcall(record, answer, video, err)
    if on_done then on_done(video, err, response) end
    if not good then error(problem, 0) end
  end
end

local function waker(waiter, answer)
  return function(video, err)
    local good, problem = true, nil
    if answer then good, problem = pcall(record, answer, video, err) end
    local awake = waiter[1]
    if awake and awake.wake then awake.wake() end
    if not good then error(problem, 0) end
  end
end

-- Starts a call. If that raises, as an api_key function may, nothing was sent; but Ctrl-C may come after the
-- start, and then the answer, if there is one, is recorded as any other.
local function start_recorded(client, start, what, opts, answer)
  if not answer then return start(client, what, opts) end
  local good, handle, err = pcall(start, client, what, opts)
  answer.handle = good and handle or nil
  if answer.handle then return handle end
  if not good and problems.is_interrupt(handle) then error(handle, 0) end
  record(answer, nil, good and err or { kind = "config" })
  if not good then error(handle, 0) end
  return nil, err
end

-- Starts a call whose end, or whose bytes, a turn waits for; `answer` is what the journal expects. Returns
-- the turn, or nil, err. The core must not keep it alive: a waiter that is gone leaves a download that nobody
-- reads, which ends when it is collected.
local function begin(client, start, what, opts, answer)
  local turn, own = {}, options.copy(opts)
  own.on_done = waker(setmetatable({ turn }, { __mode = "v" }), answer)
  local handle, err = start_recorded(client, start, what, own, answer)
  turn.handle = handle
  return handle and turn, err
end

-- Lets others work until the waiter is woken, or for a while. What ends a blocking wait, such as Ctrl-C, ends
-- the call, too. Returns an error where nothing can be waited for.
local function await(client, turn)
  local usable, err = core.usable(client)
  if not usable and not turn.handle:done() then return err end -- in a forked child
  if pump.has_hook(client) then
    pump.rest(client, task.current() and MAX_REST or MAX_PAUSE, turn, true) -- a task misses no wake-up
    return nil
  end
  local good, problem = pcall(pump.rest, client, MAX_REST, turn, true)
  if good then return nil end
  turn.handle:cancel()
  error(problem, 0)
end

-- Makes a call through the pause hook, or in a task; `start` is the core's function that starts it.
local function cooperate(client, start, what, opts, answer)
  local turn, err = begin(client, start, what, opts, answer)
  if not turn then return nil, err end
  if not task.current() then drive_quietly(client, 0) end
  while not turn.handle:done() do
    err = await(client, turn)
    if err then return nil, err end
  end
  return turn.handle:result()
end

local function cooperate_get_video(client, id, opts)
  if opts ~= nil then opts = core.check_call(opts, "get_video") end
  pump.check_can_wait(client)
  return cooperate(client, core.start_get_video, id, opts)
end

--- Fetches a job, like the client's method; in a task without blocking.
-- @local
function pump.get_video(client, id, opts)
  if task.current() then return cooperate_get_video(client, id, opts) end
  return client:get_video(id, opts)
end

--- Lets others work for so long.
-- @local
function pump.sleep(client, seconds)
  local till, turn = core.now() + seconds, {}
  repeat
    pump.rest(client, math.max(till - core.now(), MIN_INTERVAL), turn)
  until core.now() >= till or not core.usable(client)
end

--- Makes a call that receives a file and waits for it.
-- @tparam table client
-- @tparam table spec from `endpoints.describe`, with `file` or `sink`
-- @tparam ?table opts the options of a call
-- @tparam function listen called with each chunk (nil for a file), how many bytes came in all, the length or
-- nil, and the validator or nil. An error that it returns ends the call; a second result `true` asks to be
-- called for all bytes
-- @local
function pump.receive(client, spec, opts, listen)
  pump.check_can_wait(client)
  local turn, err = begin(client, core.start, spec, opts)
  if not turn then return nil, err end
  local handle, all, seen = turn.handle, true, 0
  if not task.current() then drive_quietly(client, 0) end
  while true do
    local done = handle:done()
    local chunk, received, total, validator = core.read(handle, all)
    if received and received ~= seen and received > 0 then
      seen = received
      err, all = listen(chunk, received, total, validator)
      if err then
        handle:cancel()
        return nil, err
      end
      task.check()
    elseif done then
      return handle:result()
    else
      err = await(client, turn)
      if err then return nil, err end
    end
  end
end

-- Waiting for a handle -----------------------------------------------------------------

-- What is awaited, for the hook and for tasks. Ending the wait does not cancel it, and its calls are counted
-- by whoever made them.
local function awaited(handle)
  return { done = function() return handle:done() end, cancel = function() return false end, calling = 0 }
end

--- Waits until a started call or a watched job is done, for at most `seconds`. It runs on after that.
-- @tparam table client
-- @param handle
-- @tparam ?number seconds
-- @return the results, or nil and a `deadline` error
-- @local
function pump.wait_for(client, handle, seconds)
  if seconds ~= nil and not (type(seconds) == "number" and seconds >= 0) then
    core.complain("wait", "seconds: expected a number, 0 or more, got " .. tostring(seconds))
  end
  if handle:done() then return handle:result() end
  pump.check_can_wait(client)
  local till, turn = core.now() + (seconds or math.huge), { handle = awaited(handle) }
  client._waiters = client._waiters or setmetatable({}, { __mode = "k" })
  client._waiters[turn] = true
  repeat
    local usable, err = core.usable(client)
    if not usable then return nil, err end
    pump.rest(client, math.min(math.max(till - core.now(), 0), MAX_REST), turn, true)
  until handle:done() or core.now() >= till
  client._waiters[turn] = nil
  if handle:done() then return handle:result() end
  return nil, core.error({ kind = "deadline", retryable = true, video = handle.video,
    message = ("not done after %g s; it runs on: wait again, or call cancel()"):format(seconds) }, client)
end

-- Waits for a call of the core's.
function core.handle_methods:wait(seconds)
  local client = core.owner(self)
  if client then return pump.wait_for(client, self, seconds) end
  if self:done() then return self:result() end
  -- It is being collected.
  return nil, core.error { kind = "closed", message = "the client was closed before the call was done" }
end

-- Waits for a task, unless it is the one that asks.
function task.Handle:wait(seconds)
  local own = self.task[1]
  if self:done() or not own then return self:result() end
  if own == task.current() then core.blame("handle:wait can't be called in the call's own callback") end
  return pump.wait_for(own.client, self, seconds)
end

--- Checks the options of a call that makes a job which are for the journal alone, and takes them out.
-- @local
function pump.without_notes(who, opts)
  if type(opts) ~= "table" or (opts.label == nil and opts.target == nil) then return opts end
  local own = options.copy(opts)
  for _, name in ipairs { "label", "target" } do
    options.expect_optional(who, ("option '%s'"):format(name), own[name], "string")
    own[name] = nil
  end
  return own
end

local function sent_options(spec, opts)
  return spec.creates and pump.without_notes(spec.name, opts) or opts
end

-- Writes that a job is about to be asked for, if it is. Returns false and the error if nothing may be sent,
-- or true and the key.
local function intend(client, spec, opts)
  if not (spec.creates and client._journal) then return true end
  local usable, err = core.usable(client)
  if not usable then return false, err end
  local key, problem = journal.intend(client, spec.creates, opts)
  return key ~= nil, key or problem
end

--- Writes the journal's lines of now, or waits until another has written them; returns the other arguments.
-- @local
function pump.written(client, ...)
  if not client._journal then return ... end
  local is_written = journal.mark(client)
  journal.flush(client)
  while client._pause and not task.current() and not is_written() and core.usable(client) do
    client:pause(MIN_INTERVAL)
    journal.flush(client)
  end
  return ...
end

-- Notes the answer of a blocking call, then returns it. One that was interrupted has none.
local function recorded(answer, good, ...)
  if not good then
    answer.client._journal.answers[answer] = nil
    error((...), 0)
  end
  record(answer, ...)
  pump.settle(answer.client)
  return ...
end

--- Makes a described call and waits for it. If it makes a job, the journal gets a line before and after.
-- @tparam table client
-- @tparam table spec from `endpoints.describe`
-- @tparam ?table opts the options of a call
-- @local
function pump.call(client, spec, opts)
  local hooked, journaled = pump.has_hook(client), client._journal and (spec.creates or spec.ends)
  if not (hooked or spec.creates or journaled) then return core.call(client, spec, opts) end
  local own = sent_options(spec, opts)
  if own ~= nil then own = core.check_call(own, spec.name) end
  pump.check_can_wait(client)
  local good, key = intend(client, spec, opts)
  if not good then return nil, key end
  local answer = journaled and expect_answer(client, spec, key)
  if hooked and answer then
    return pump.written(client, cooperate(client, core.start, spec, own, answer))
  elseif hooked then
    return cooperate(client, core.start, spec, own)
  end
  if not answer then return core.call(client, spec, own) end
  return recorded(answer, pcall(core.call, client, spec, own))
end

-- Starts a call of which the journal gets the outcome when its answer comes.
local function start_journaled(client, spec, opts)
  options.expect_optional(spec.name, "options", opts, "table")
  local own = options.copy(sent_options(spec, opts))
  local on_done = own.on_done
  options.expect_optional(spec.name, "option 'on_done'", on_done, "function")
  own.on_done = nil
  own = core.check_call(own, spec.name)
  local good, key = intend(client, spec, opts)
  if not good then return nil, key end
  local answer = expect_answer(client, spec, key)
  own.on_done = recorder(answer, on_done)
  return start_recorded(client, core.start, spec, own, answer)
end

--- Calls that take several requests and can be started: name → { prepare = function, opts_at = number }:
-- `prepare` checks the method's arguments, of which the options are number `opts_at`, and returns the code to
-- run.
-- @local
pump.composites = {}

local unpack = table.unpack or unpack -- luacheck: std max

local function start_composite(client, name, ...)
  local composite, arguments = pump.composites[name], { ... }
  local opts, on_done = arguments[composite.opts_at], nil
  if type(opts) == "table" then
    on_done, opts = opts.on_done, options.copy(opts)
    opts.on_done = nil
    arguments[composite.opts_at] = opts
    options.expect_optional(name, "option 'on_done'", on_done, "function")
  end
  local code = composite.prepare(client, unpack(arguments, 1, composite.opts_at))
  local usable, err = core.usable(client)
  if not usable then return nil, err end
  local handle, problem = task.start(client, code, on_done)
  pcall(pump.arm, client) -- where memory is out, the next update does it
  return handle, problem
end

-- What to use in place of methods that cannot be started.
local IN_PLACE = { wait = "watch", wait_all = "watch", poll = "watch", videos = "list_videos",
  find_created = "list_videos" }

--- Starts a call and returns at once. Any method that makes one call can be started, and `download_video`,
-- `create_and_wait` and `create_and_download` with their relatives for remix, edit and extend:
-- `client:start("get_video", id, { on_done = function(video, err) end })`.
-- @tparam string name
-- @param ... the method's arguments; `update` calls `on_done` of the options with the results
-- @treturn[1] table handle with `done()`, `result()` (raises before the call is done), `cancel()` and
-- `wait([seconds])`, which waits until the call is done, by default as long as it takes, and returns its
-- results; or nil and a `deadline` error, and the call runs on
-- @treturn[2] nil
-- @treturn[2] table error: the client is closed, or belongs to another process
function Client:start(name, ...)
  if name == "get_video" then return core.start_get_video(self, ...) end
  if pump.composites[name] then return start_composite(self, name, ...) end
  local describe = endpoints.describe[name]
  if not describe then
    local known = options.copy(endpoints.describe, options.copy(pump.composites, { get_video = true }))
    core.complain("start", ("'%s' is not a call that can be started%s"):format(tostring(name),
      IN_PLACE[name] and "; use client:" .. IN_PLACE[name] or options.suggest(name, known)))
  end
  local spec, opts = describe(self, ...)
  if self._journal and (spec.creates or spec.ends) then return start_journaled(self, spec, opts) end
  return core.start(self, spec, sent_options(spec, opts))
end

-- The client in an event loop ----------------------------------------------------------

--- Drives all that was started and watched, and calls the callbacks of what is done.
-- @tparam ?number seconds 0 (the default) never blocks; otherwise returns when something is done, or after
-- that
-- @tparam ?boolean calls_only true: starts no polls of watched jobs, as in a process that is about to exit
-- @treturn[1] integer how many calls and watched jobs are left
-- @treturn[1] integer how many of them are on the wire; the others are watched jobs that wait for their next
-- poll
-- @treturn[2] nil
-- @treturn[2] table error: the client is closed, or belongs to another process
-- @raise what the first callback raised, after everything else that was done is delivered; `on_event` gets
-- what others raised: { event = "callback_error", raised = … }
function Client:update(seconds, calls_only)
  local running, on_wire = drive(self, seconds, calls_only)
  local problem = problems.report(self, true)
  if problem ~= nil then error(problem, 0) end
  return running, on_wire
end

--- Tells `on_event` of what a callback raised, for an adapter that has caught it from `update`:
-- { event = "callback_error", raised = … }.
-- @param problem
-- @treturn boolean false if there is no `on_event`, or it raised an error itself
function Client:report(problem)
  return problems.tell(self, problem)
end

--- Returns a descriptor that is readable whenever `update(0)` has work, also by the clock; nil where the
-- platform has none. It belongs to the client: don't read or close it.
-- @treturn ?integer
function Client:fileno()
  return core.fileno(self)
end

--- Returns the descriptor to poll, for cqueues: a client can be yielded to its controller.
-- @function Client:pollfd
Client.pollfd = Client.fileno

--- Returns what to poll for, for cqueues.
-- @function Client:events
-- @treturn string
function Client.events()
  return "r"
end

--- Returns the seconds until `update(0)` has work by the clock; nil: not by the clock.
-- @treturn ?number
function Client:timeout()
  return core.timeout(self)
end

--- Makes the descriptor readable, and a blocking `update` return, after `seconds`: a timer for loops without
-- one. Another call replaces it; so does nil, which removes it.
-- @tparam ?number seconds
function Client:wake(seconds)
  options.expect_optional("wake", "seconds", seconds, "number", "a number")
  self._alarm = seconds ~= nil and core.now() + seconds
  pump.arm(self)
end

--- Lets others run for at most `seconds`; every waiting call goes through it. Set it to a function of your
-- own, the pause hook, to make all of them cooperative. `turn`, if given, has the `handle` that is awaited
-- (`done()`); the hook may set its field `wake`, which is called when that is done. The client's field
-- `can_wait`, if set, is called before anything is sent: it raises where the hook could not wait.
-- @tparam number seconds
-- @tparam ?table turn
function Client:pause(seconds, turn)
  local own = task.current()
  if own then return task.rest(own, seconds, turn) end
  if self._pause then return self._pause(self, seconds, turn) end
  return drive_quietly(self, seconds)
end

--- The class's __newindex: keeps the pause hook under another name, so that setting it always comes here.
-- While there is one, a Lua function takes the place of C's `get_video`, which cannot wait through it. Raises
-- for options.
-- @local
function pump.set_field(client, name, value)
  if name ~= "pause" then
    misuse.check_assignment(name, "new")
    return rawset(client, name, value)
  end
  if value ~= nil and type(value) ~= "function" then
    core.blame("client.pause: expected a function or nil, got " .. type(value))
  end
  rawset(client, "_pause", value or false)
  rawset(client, "get_video", value and cooperate_get_video or nil)
  if client._hooked then client._hooked(value) end
end

return pump
