--- One call: waited for, made through the pause hook, or started.
-- Owns the three ways of making a call, and the pump behind them. Invariant: a call is described once, and
-- all three ways send the same request through the same transfer.
-- @module sora.client

local core = require "sora.core"
local download = require "sora.download"
local journal = require "sora.journal"
local normalize = require "sora.normalize"
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
  local later = group:step()
  problem = problem or later
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
  if opts ~= nil then core.check_call(opts, type(what) == "table" and what.name or "get_video") end
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

-- A call after which there may be a job to pay for is written down before and after, if the client has a
-- journal.
local function perform_journaled(client, spec, opts, params)
  if opts ~= nil then core.check_call(opts, spec.name) end -- before a line says that something was asked for
  local key, problem = journal.intend(client, params)
  if not key then return nil, problem end
  local video, err, response = perform(client, spec, opts)
  journal.outcome(client, key, video, err)
  return video, err, response
end

local function method(name)
  local describe = videos.describe[name]
  if not videos.makes_job[name] then
    return function(client, ...) return perform(client, describe(client, ...)) end
  end
  return function(client, ...)
    local spec, opts = describe(client, ...)
    if not client._journal then return perform(client, spec, opts) end
    local params = ...
    if type(params) ~= "table" then params = select(2, ...) end
    return perform_journaled(client, spec, opts, params)
  end
end

--- Creates a video job: `POST /videos`, JSON without a file and multipart with one. A create is repeated by
-- itself only where that can't be paid for twice; an error after which the server may have the job says
-- `ambiguous = true`.
-- @function Client:create_video
-- @tparam table params `prompt`, `model`, `seconds`, `size`, `input_reference`, …; fields that no document
-- names are sent as they are; a file is { path = } or { data =, filename =, content_type = }
-- @tparam ?table opts the options of a call; `idempotency_key` makes repeats safe where the server knows it
-- @treturn[1] table the job as the server answers
-- @treturn[2] nil
-- @treturn[2] table error
Client.create_video = method "create_video"

--- Makes a new video of a finished one: `POST /videos/{id}/remix`.
-- @function Client:remix_video
-- @tparam string id
-- @tparam table params `prompt`, …
-- @tparam ?table opts the options of a call
-- @treturn table the new job, or nil and an error
Client.remix_video = method "remix_video"

--- Edits a video: `POST /videos/edits`.
-- @function Client:edit_video
-- @tparam table params `video` (an id, { id = }, or a file), `prompt`, …
-- @tparam ?table opts the options of a call
-- @treturn table the new job, or nil and an error
Client.edit_video = method "edit_video"

--- Makes a video longer: `POST /videos/extensions`.
-- @function Client:extend_video
-- @tparam table params `video` (an id, { id = }, or a file), `prompt`, `seconds`, …
-- @tparam ?table opts the options of a call
-- @treturn table the new job, or nil and an error
Client.extend_video = method "extend_video"

--- Makes a character from a video: `POST /videos/characters`.
-- @function Client:create_character
-- @tparam table params `name`, `video` (a file or an id), …
-- @tparam ?table opts the options of a call
-- @treturn table the character, or nil and an error
Client.create_character = method "create_character"

--- Fetches a character: `GET /videos/characters/{id}`.
-- @function Client:get_character
-- @tparam string id
-- @tparam ?table opts the options of a call
-- @treturn table the character, or nil and an error
Client.get_character = method "get_character"

--- Deletes a job and its file: `DELETE /videos/{id}`.
-- @function Client:delete_video
-- @tparam string id
-- @tparam ?table opts the options of a call
-- @treturn table what the server answers, or nil and an error
Client.delete_video = method "delete_video"

--- One page of the jobs: `GET /videos`.
-- @function Client:list_videos
-- @tparam ?table params `limit`, `after` (an id), `order` ("asc" or "desc"), …
-- @tparam ?table opts the options of a call
-- @treturn table { data = { video, … }, last_id =, has_more =, … }, or nil and an error
Client.list_videos = method "list_videos"

--- Downloads the file of a finished job, wherever the server has it: behind /content, behind a URL or in the
-- answer itself. The bytes go to `<path>.part`, which replaces `path` once it is whole and on disk; JSON or
-- HTML in place of a file is an error. A transfer that breaks off is gone on with where it broke.
-- Credentials never go to another origin than the base URL's.
-- @tparam string id
-- @tparam string|table target the path, or { path =, variant =, on_progress =, resume = }, or { sink = }:
-- `variant` is "video", "thumbnail" or "spritesheet"; `on_progress(received, total)` stops the download with
-- `false`; `sink(chunk)` gets the bytes instead of a file
-- @tparam ?table opts the options of a call; `timeout` is how long the transfer may stand still
-- @treturn[1] table { path =, bytes =, content_type = }
-- @treturn[2] nil
-- @treturn[2] table error; its code is `not_ready` while the job has no file yet
function Client:download_video(id, target, opts)
  return download.run(self, id, target, opts, perform)
end

-- The same where the finished video is at hand, which may have the file, and no id.
local function download_known(client, id, target, opts, video)
  return download.run(client, id, target, opts, perform, video)
end

-- Never blocking ---------------------------------------------------------------------

-- The outcome is written down when `update` delivers it.
local function start_journaled(client, spec, opts, ...)
  local params, all = ..., {}
  if type(params) ~= "table" then params = select(2, ...) end
  if opts ~= nil and type(opts) ~= "table" then core.check_call(opts, spec.name) end
  if opts and opts.on_done ~= nil and type(opts.on_done) ~= "function" then
    core.complain(spec.name, "option 'on_done': expected a function, got " .. type(opts.on_done))
  end
  for name, value in pairs(opts or {}) do all[name] = value end
  all.on_done = nil
  core.check_call(all, spec.name)
  local key, problem = journal.intend(client, params)
  if not key then return nil, problem end
  all.on_done = function(video, err, response)
    journal.outcome(client, key, video, err)
    if opts and opts.on_done then opts.on_done(video, err, response) end
  end
  local handle, err = core.start(client, spec, all)
  if not handle then journal.outcome(client, key, nil, err) end
  return handle, err
end

--- Starts a call and returns at once. Any method that makes one call can be started:
-- `client:start("get_video", id, { on_done = function(video, err) end })`.
-- @tparam string name
-- @param ... the method's arguments; `on_done` in its options is called from `update` with the results
-- @treturn[1] table handle with `done()`, `result()` (raises before the call is done) and `cancel()`
-- @treturn[2] nil
-- @treturn[2] table error: the client is closed, or in another process
function Client:start(name, ...)
  if name == "get_video" then return core.start_get_video(self, ...) end
  local describe = videos.describe[name]
  if not describe then
    local names = { "get_video" }
    for known in pairs(videos.describe) do names[#names + 1] = known end
    local near = type(name) == "string" and core.nearest(name, names)
    core.complain("start", ("no method '%s' makes one call%s"):format(tostring(name),
      near and "; did you mean '" .. near .. "'?" or ""))
  end
  local spec, opts = describe(self, ...)
  if not (self._journal and videos.makes_job[name]) then return core.start(self, spec, opts) end
  return start_journaled(self, spec, opts, ...)
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
-- for (`done()`), and a field `wake` that the hook may set to be told when it is. The field `can_wait`,
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

--- Writes down that a job was seen to end, if the client has a journal.
-- @tparam table client
-- @tparam table job of wait.lua
-- @local
local function note_end(client, job)
  local state = client._journal and job.video and normalize.video(job.video).state
  if state and normalize.terminal(state) then journal.ended(client, job.id, state) end
end

--- Makes a table a client.
-- @tparam table client with the core's userdata at [1]
-- @local
local function adopt(client)
  client._pumped = 0
  return setmetatable(client, blocking)
end

--- Closes the client and ends what is running: handles and watched jobs give `closed`, and no callback is
-- called. May be called again.
function Client:close()
  core.close(self)
  if self._jobs then self._jobs:check_client() end
end

function blocking.__tostring(client)
  return ("sora.client (%s)"):format(client.base_url)
end
cooperative.__tostring = blocking.__tostring

-- Not core.close: an adapter may have put its own in front.
function blocking.__close(client)
  client:close()
end
cooperative.__close = blocking.__close

return { Client = Client, adopt = adopt, download = download_known, note_end = note_end, sleep = sleep }
