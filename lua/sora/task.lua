--- Calls that take several requests and were started: sequential code in a coroutine that `update` resumes.
-- Owns those coroutines and what they wait for. Invariant: code in a task never blocks: its waits yield to
-- `task.step`; a task ends once, and what it holds (`task.hold`) is closed then, whatever ended it.
-- @module sora.task
-- @local

local core = require "sora.core"
local problems = require "sora.problems"

core.own()

local task = {}

-- Lua's own: nginx has others in their place, whose coroutines belong to one request.
-- luacheck: push ignore 143
local create, status = coroutine._create or coroutine.create, coroutine._status or coroutine.status
local continue, yield = coroutine._resume or coroutine.resume, coroutine._yield or coroutine.yield
-- luacheck: pop

-- PUC Lua 5.1 cannot yield across pcall.
local probe = create(function() pcall(yield) end)
continue(probe)
task.yields_through_pcall = status(probe) == "suspended"

local unpack = table.unpack or unpack -- luacheck: std max

local current -- the task that is being resumed

-- A started call, as `Client:start` returns it. It does not keep the client alive.
local Handle = { __name = "sora.handle" }
Handle.__index = Handle
task.Handle = Handle

function Handle:__tostring()
  return ("sora.handle (%s)"):format(self.state.results and "done" or "running")
end

--- Returns the task whose code this is, or nil.
function task.current()
  return current and coroutine.running() == current.co and current or nil
end

local function stopped(client, message)
  return core.error({ kind = "cancelled", message = message }, client)
end

-- Ends a task with these results.
local function finish(self, ...)
  self.state.results = { n = select("#", ...), ... }
  for _, resource in ipairs(self.held) do resource:close() end
  self.held, self.turn, self.co = {}, nil, nil
end

-- What the code raised: an error table is the result, too.
local function fail(self, problem)
  if type(problem) ~= "table" or not problem.kind then problem = stopped(self.client, tostring(problem)) end
  if self.on_fail then self.on_fail(problem) end
  finish(self, nil, problem)
end

-- Takes what the code has yielded, returned or raised.
local function take(self, good, ...)
  if not good then
    self.problem = (...)
    return fail(self, self.problem)
  end
  if status(self.co) == "dead" then return finish(self, ...) end
  if not self.waits then self.ready = true end -- the user's own code has yielded: the next step resumes it
  self.waits = nil
end

local function proceed(self)
  if status(self.co) == "dead" then return fail(self, self.problem or "not enough memory for the result") end
  return take(self, continue(self.co))
end

-- Resumes the code until it waits or has ended. Raises where memory runs out around it: the next step tries
-- again, and a result that got lost becomes an error.
local function resume(self)
  local before = current
  current, self.running, self.ready, self.due = self, true, false, nil
  local good, problem = pcall(proceed, self)
  current, self.running = before, false
  if good then return end
  self.ready = true
  error(problem, 0)
end

--- Lets others work until `turn.wake` is called, at most for `seconds`. Raises if the task was cancelled.
-- @tparam table self the current task
-- @tparam number seconds
-- @tparam ?table turn of the call that is awaited
function task.rest(self, seconds, turn)
  if not self.stop then
    self.turn, self.due, self.waits = turn, core.now() + seconds, true
    if turn then turn.wake = function() self.ready = true end end
    yield()
    if turn then turn.wake = nil end
    self.turn = nil
  end
  if not self.stop then return end
  if turn and turn.handle then turn.handle:cancel() end
  error(self.stop, 0)
end

--- Raises in a task that was cancelled meanwhile.
function task.check()
  local self = task.current()
  if self and self.stop then error(self.stop, 0) end
end

--- Closes `resource` when the current task ends, if there is one.
function task.hold(resource)
  local self = task.current()
  if self then table.insert(self.held, resource) end
end

-- Errors of calls that were not even sent.
local UNSENT = { file = true, config = true, closed = true, forked = true }

local function remove(client, self)
  local list = client._tasks or {} -- the code may have closed the client
  for i, other in ipairs(list) do
    if other == self then table.remove(list, i) end
  end
end

--- Runs `code` as a task of the client, until it waits.
-- @tparam table client
-- @tparam function code
-- @tparam ?function on_done called from `update` with the results
-- @treturn[1] Handle
-- @treturn[2] nil
-- @treturn[2] table error of what could not be begun
function task.start(client, code, on_done)
  local self = { client = client, co = create(code), state = { results = false }, held = {},
    on_done = on_done, problem = false, told = false }
  local handle = setmetatable({ state = self.state, task = setmetatable({ self }, { __mode = "v" }) }, Handle)
  client._tasks = client._tasks or {}
  table.insert(client._tasks, self)
  local good, problem = pcall(resume, self)
  if not good then -- memory is out, and the code has ended
    remove(client, self)
    for _, resource in ipairs(self.held) do resource:close() end
    error(problem, 0)
  end
  local results = self.state.results
  if results and not results[1] and UNSENT[results[2].kind] then
    remove(client, self)
    return nil, results[2]
  end
  return handle
end

-- Whether what a task waits for is there, though nobody has updated the client since.
local function is_awake(self)
  local awaited = self.turn and self.turn.handle
  return awaited and not self.running and awaited:done()
end

-- Tells whether it is done.
function Handle:done()
  local own = self.task[1]
  if own and not self.state.results and is_awake(own) then resume(own) end
  if not (self.state.results or self.task[1]) then -- the client was collected, and the task with it
    self.state.results = { n = 2, nil, core.error { kind = "closed",
      message = "the client was closed before the call was done" } }
  end
  return self.state.results ~= false
end

-- Returns the results; raises while it is running.
function Handle:result()
  if not self:done() then
    core.blame("the call is not done yet: ask handle:done() first, or call handle:wait()")
  end
  return unpack(self.state.results, 1, self.state.results.n)
end

-- Ends a task with an error, at once unless its own code asks for it.
local function stop(self, err)
  if self.state.results then return false end
  self.stop = self.stop or err
  if not self.running then resume(self) end
  if not (self.running or self.state.results) then fail(self, err) end -- it caught the error, and waits again
  return true
end

-- Ends it; returns whether it was running.
function Handle:cancel()
  local own = self.task[1]
  if not own or self:done() then return false end
  local usable, err = core.usable(own.client)
  if not usable and err.kind == "forked" then return false end
  return stop(own, stopped(own.client, "the call was cancelled"))
end

local function tell(self, ...)
  self.told = true
  self.on_done(...)
end

local function tell_results(self)
  tell(self, unpack(self.state.results, 1, self.state.results.n))
end

--- Resumes the tasks that have something to do and calls the callbacks of those that have ended.
function task.step(client)
  local list = client._tasks
  if not list then return end
  local now, i = core.now(), 1
  while list[i] do
    local self = list[i]
    local due = self.ready or self.due and self.due <= now or is_awake(self)
    local state = self.state
    if due and not (state.results or self.running) then resume(self) end
    if state.results and list[i] == self then
      table.remove(list, i)
      if self.on_done then
        local good, problem = pcall(tell_results, self)
        if not self.told then table.insert(list, i, self) end -- memory is out: the next step tries again
        if not good then problems.keep(client, problem) end
        if not self.told then return end
      end
    else
      i = i + 1
    end
  end
  if #list == 0 and client._tasks == list then client._tasks = false end
end

--- Returns when, by `core.now()`, a task has something to do by the clock; nil: none has.
function task.next_due(client)
  local first
  for _, self in ipairs(client._tasks or {}) do
    if self.state.results or self.ready or is_awake(self) then return 0 end
    if not self.running and self.due and (not first or self.due < first) then first = self.due end
  end
  return first
end

--- Returns how many of the client's calls under way belong to tasks.
function task.calls(client)
  local count = 0
  for _, self in ipairs(client._tasks or {}) do
    local handle = self.turn and self.turn.handle
    if handle then count = count + (handle.calling or not handle:done() and 1 or 0) end
  end
  return count
end

--- Ends all tasks of a client that was closed; no callback is called.
function task.close(client)
  local list = client._tasks or {}
  client._tasks = false
  local _, err = core.usable(client)
  for _, self in ipairs(list) do
    stop(self, core.error { kind = err and err.kind or "closed", message = err and err.message or "" })
  end
end

return task
