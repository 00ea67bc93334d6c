--- One call: waited for, made through the pause hook, or started.
-- Owns the three ways of making a call, and the pump behind them. Invariant: a call is described once, and
-- all three ways send the same request through the same transfer.
-- @module sora.client

local core = require "sora.core"
local videos = require "sora.videos"

core.own()

local Client = {}
local blocking = { __index = Client, __name = "sora.client" }
local cooperative = { __index = setmetatable({}, { __index = Client }), __name = "sora.client" }

local LONGEST_PAUSE = 0.1  -- s; another waiter's update may have finished our call, so no pause is longer
local LEAST_PUMP = 0.001   -- s; waiters pump no more often, however many they are
local SPINNING = 100       -- pauses in a row that took no time: the hook does not wait

-- Works on all that was started and watched. Returns how many are running, or nil, err; and in third place
-- what a callback raised, in a table, once everything else that was done is delivered.
local function work(client, seconds)
  local group = client._jobs
  local problem = group and group:step()
  if group then core.wake(client, group:next_due()) end
  local running, err, raised = core.update(client, seconds)
  if not running and not raised then return nil, err end
  if raised then problem = problem or { err } end
  if not group then return running, nil, problem end
  local calls = running and running - group.calling -- before the step starts polls that it did not count
  problem = problem or group:step()
  core.wake(client, group:next_due())
  return calls and calls + group.open, nil, problem
end

-- Works for a waiter, which must not be hit by what somebody else's callback raises.
local function work_quietly(client, seconds)
  local running, err, problem = work(client, seconds)
  if problem then io.stderr:write("sora: a callback raised an error: ", tostring(problem[1]), "\n") end
  return running or (problem and 0) or nil, err
end

-- One call ---------------------------------------------------------------------------

-- Works without waiting, unless that was done just now: a thousand waiters need one pump.
local function pump(client)
  local now = core.now()
  if now - client._pumped < LEAST_PUMP then return end
  client._pumped = now
  work_quietly(client, 0)
end

-- Lets others run until the handle of `turn` is done. The hook may set `turn.wake`: it is called then.
local function await(client, turn)
  local idle = 0
  work_quietly(client, 0)
  while not turn.handle:done() do
    local before = core.now()
    client:pause(LONGEST_PAUSE, turn)
    idle = core.now() - before < 1e-4 and idle + 1 or 0
    if idle >= SPINNING then work_quietly(client, LEAST_PUMP) end
    pump(client)
  end
end

-- Makes a call through the pause hook: `start` is the core's function that starts it.
local function cooperate(client, start, what, opts)
  if client.can_wait then client:can_wait() end -- raises where it can't: before anything is sent or paid for
  local turn, own = {}, {}
  for name, value in pairs(opts or {}) do own[name] = value end
  own.on_done = function()
    if turn.wake then turn.wake() end
  end
  local handle, err = start(client, what, own)
  if not handle then return nil, err end
  turn.handle = handle
  await(client, turn)
  return handle:result()
end

local function perform(client, spec, opts)
  if client._pause then return cooperate(client, core.start, spec, opts) end
  return core.call(client, spec, opts)
end

--- Fetches the job `id`: one HTTP call, made in C. See `sora.get_video`.
-- @function Client:get_video
-- @tparam string id
-- @tparam ?table opts the options of a call
Client.get_video = core.get_video

function cooperative.__index:get_video(id, opts)
  return cooperate(self, core.start_get_video, id, opts)
end

-- Which call is meant, for those that are made by description: arguments -> description, options.
local describe = {}

function describe.create_video(params, opts)
  return videos.create(params, "create_video"), opts
end

function describe.download_video(id, target, opts)
  return videos.content(id, target, "download_video"), opts
end

--- Creates a video job: `POST /videos` with a JSON body. A create is repeated by itself only where that can't
-- be paid for twice; an error after which the server may have the job says `ambiguous = true`.
-- @tparam table params `prompt`, `model`, `seconds`, `size`, …; fields that no document names are sent as
-- they are
-- @tparam ?table opts the options of a call; `idempotency_key` makes repeats safe where the server knows it
-- @treturn[1] table the job as the server answers
-- @treturn[2] nil
-- @treturn[2] table error
function Client:create_video(params, opts)
  return perform(self, describe.create_video(params, opts))
end

--- Downloads the file of a finished job. The bytes go to `<path>.part`, which replaces `path` once it is
-- whole and on disk; JSON or HTML in place of a file is an error. Credentials never follow a redirect to
-- another origin.
-- @tparam string id
-- @tparam string|table target the path, or { path =, variant = }: "video", "thumbnail", "spritesheet"
-- @tparam ?table opts the options of a call; `timeout` is how long the transfer may stand still
-- @treturn[1] table { path =, bytes =, content_type = }
-- @treturn[2] nil
-- @treturn[2] table error
function Client:download_video(id, target, opts)
  return perform(self, describe.download_video(id, target, opts))
end

-- Never blocking ---------------------------------------------------------------------

--- Starts a call and returns at once. Any method that makes one call can be started:
-- `client:start("get_video", id, { on_done = function(video, err) end })`.
-- @tparam string name
-- @param ... the method's arguments; `on_done` in its options is called from `update` with the results
-- @treturn[1] table handle with `done()`, `result()` (raises before the call is done) and `cancel()`
-- @treturn[2] nil
-- @treturn[2] table error: the client is closed, or in another process
function Client:start(name, ...)
  if name == "get_video" then return core.start_get_video(self, ...) end
  local method = describe[name]
  if not method then
    local names = { "get_video" }
    for known in pairs(describe) do names[#names + 1] = known end
    local near = type(name) == "string" and core.nearest(name, names)
    core.complain("start", ("no method '%s' makes one call%s"):format(tostring(name),
      near and "; did you mean '" .. near .. "'?" or ""))
  end
  return core.start(self, method(...))
end

--- Works on all that was started and watched, and calls the callbacks of what is done.
-- @tparam ?number seconds 0 (the default) never blocks; otherwise it returns when something is done, or then
-- @treturn[1] number how many calls and jobs are still running
-- @treturn[2] nil
-- @treturn[2] table error: the client is closed, or in another process
-- @raise what a callback raised, once everything else that was done is delivered
function Client:update(seconds)
  local running, err, problem = work(self, seconds)
  if problem then error(problem[1], 0) end
  return running, err
end

--- One descriptor that is readable whenever `update(0)` has work, also by the clock; nil where the platform
-- has none. It belongs to the client: don't read or close it.
-- @treturn ?number
function Client:fileno()
  return core.fileno(self)
end

--- The descriptor to poll, for cqueues: a client can be yielded to its controller.
-- @function Client:pollfd
Client.pollfd = Client.fileno

--- What to poll for, for cqueues.
function Client.events()
  return "r"
end

--- Seconds until `update(0)` has work by the clock; nil: not by the clock.
-- @treturn ?number
function Client:timeout()
  return core.timeout(self)
end

--- Lets others work for at most `seconds`: every waiting call goes through it. It may be set to a function of
-- one's own, the one hook that makes all of them cooperative; `turn`, if there, has a `handle` that is waited
-- for (`done()`), and a field `wake` that the hook may set to be told when it is. A client's field `can_wait`,
-- if set, is called before anything is sent: it raises where the hook could not wait.
-- @function Client:pause
-- @tparam number seconds
-- @tparam ?table turn
function Client:pause(seconds)
  return work_quietly(self, seconds)
end

function cooperative.__index:pause(seconds, turn)
  return self._pause(self, seconds, turn)
end

-- `pause` is never a field of the client, so that setting it always comes here.
local function set_field(client, name, value)
  if name ~= "pause" then return rawset(client, name, value) end
  if value ~= nil and type(value) ~= "function" then
    error("client.pause: expected a function or nil, got " .. type(value), 2)
  end
  rawset(client, "_pause", value)
  if client._hooked then client._hooked(value) end
  setmetatable(client, value and cooperative or blocking)
end
blocking.__newindex, cooperative.__newindex = set_field, set_field

--- Lets the calls under way go on for at most `seconds`, or until one is done.
-- @tparam table client
-- @tparam number seconds
-- @tparam table turn whose `wake` is called when one is done
-- @local
local function sleep(client, seconds, turn)
  if not client._pause then return work_quietly(client, seconds) end
  client:pause(math.min(seconds, LONGEST_PAUSE), turn)
  turn.wake = nil
  pump(client)
end

--- Makes a table a client.
-- @tparam table client with the core's userdata at [1]
-- @local
local function adopt(client)
  client._pumped = 0
  return setmetatable(client, blocking)
end

--- Closes the client and ends what is running: handles give `closed`. May be called again.
-- @function Client:close
Client.close = core.close

function blocking.__tostring(client)
  return ("sora.client (%s)"):format(client.base_url)
end
cooperative.__tostring = blocking.__tostring

-- Not core.close: an adapter may have put its own in front.
function blocking.__close(client)
  client:close()
end
cooperative.__close = blocking.__close

return { Client = Client, adopt = adopt, sleep = sleep }
