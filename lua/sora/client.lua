--- A client: one server, its options, and the calls to it.
-- Owns the methods, which join descriptions of calls (videos.lua) and waits (wait.lua) to the C core.
-- Invariant: a client is a table that holds the core's userdata at [1] and nothing secret.
-- @classmod sora.client

local core = require "sora.core"
local normalize = require "sora.normalize"
local videos = require "sora.videos"
local wait = require "sora.wait"

local Client = {}
local metatable = { __index = Client, __name = "sora.client" }

local DEFAULT_TIMEOUT = 60 -- s; one attempt

--- Fetches the job `id`: one HTTP call, made in C. See `sora.get_video`.
-- @function Client:get_video
Client.get_video = core.get_video

--- Creates a video job: `POST /videos` with a JSON body. A create is repeated by itself only where that can't
-- be paid for twice; an error after which the server may have the job says `ambiguous = true`.
-- @tparam table params `prompt`, `model`, `seconds`, `size`, …; fields that no document names are sent as
-- they are
-- @tparam ?table opts the options of a call; `idempotency_key` makes repeats safe where the server knows it
-- @treturn[1] table the job as the server answers
-- @treturn[2] nil
-- @treturn[2] table error
function Client:create_video(params, opts)
  return core.call(self, videos.create(params, "create_video"), opts)
end

--- Downloads the file of a finished job. The bytes go to `<path>.part`, which replaces `path` once it is whole
-- and on disk; JSON or HTML in place of a file is an error. Credentials never follow a redirect to another
-- origin.
-- @tparam string id
-- @tparam string|table target the path, or { path =, variant = }: "video", "thumbnail", "spritesheet"
-- @tparam ?table opts the options of a call; `timeout` is how long the transfer may stand still
-- @treturn[1] table { path =, bytes =, content_type = }
-- @treturn[2] nil
-- @treturn[2] table error
function Client:download_video(id, target, opts)
  return core.call(self, videos.content(id, target, "download_video"), opts)
end

--- Lets others work for at most `seconds`; every wait goes through it.
-- @tparam number seconds
function Client:pause(seconds)
  return core.step(self, seconds)
end

-- Drives a job until its next snapshot, which is returned with the poll's response, or its end: nil.
local function advance(client, job)
  while true do
    local now = core.now()
    local what, seconds = wait.next(job, now)
    if what == "end" then return nil end
    if what == "pause" then
      client:pause(seconds)
    else
      local opts = wait.call_options(job, client.timeout, now)
      local video, err, response = client:get_video(job.id, opts)
      now = core.now()
      if video then
        wait.answer(job, video, response.poll_after, now, math.random())
        return video, response
      end
      wait.failure(job, err, now, math.random())
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
  local last
  repeat
    local video, response = advance(self, job)
    last = response or last
  until not video
  if job.err then return nil, job.err, job.rules.response and last or nil end
  if job.rules.response then return job.video, nil, last end
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

--- Closes the client and ends what is running. May be called again.
-- @function Client:close
Client.close = core.close
metatable.__close = core.close

function metatable.__tostring(client)
  return ("sora.client (%s)"):format(client.base_url)
end

-- A key is only ever taken from the place that names its server: OPENAI_API_KEY never goes to SORA_BASE_URL.
local function from_environment(options, getenv)
  local sora_url, openai_url = getenv("SORA_BASE_URL"), getenv("OPENAI_BASE_URL")
  local found = {}
  if options.base_url ~= nil or sora_url then
    found.base_url = options.base_url or sora_url
    found.api_key = getenv("SORA_API_KEY")
  elseif openai_url then
    found.base_url = openai_url
    found.api_key = getenv("SORA_API_KEY") or getenv("OPENAI_API_KEY")
  end
  return found
end

-- An empty variable counts as none.
local function getenv(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local function print_event(event)
  local parts = { "sora:", event.event, event.method, event.url, "attempt " .. event.attempt }
  if event.status then parts[#parts + 1] = "HTTP " .. event.status end
  if event.error then parts[#parts + 1] = event.error end
  if event.delay then parts[#parts + 1] = ("again in %.2f s"):format(event.delay) end
  if event.seconds then parts[#parts + 1] = ("%.3f s"):format(event.seconds) end
  io.stderr:write(table.concat(parts, " "), "\n")
end

-- SORA_DEBUG=1 prints the events, beside whoever listens to them.
local function with_debug(on_event)
  if getenv("SORA_DEBUG") ~= "1" then return on_event end
  return function(event)
    print_event(event)
    if on_event then on_event(event) end
  end
end

local NO_SERVER = "no server is set: set SORA_BASE_URL and SORA_API_KEY (or OPENAI_BASE_URL and "
  .. "OPENAI_API_KEY) in the environment, or call sora.configure{ base_url = …, api_key = … }"

local client = {}

--- Makes a client.
-- @tparam table options see the README's table; `base_url` and `api_key` are taken from SORA_BASE_URL and
-- SORA_API_KEY, or from OPENAI_BASE_URL and OPENAI_API_KEY, where they are not given
-- @treturn[1] table client
-- @treturn[2] nil
-- @treturn[2] table `config` error
function client.new(options)
  local settings = {}
  for name, value in pairs(options) do settings[name] = value end
  for name, value in pairs(from_environment(options, getenv)) do
    if settings[name] == nil then settings[name] = value end
  end
  settings.on_event = with_debug(options.on_event)
  if settings.base_url == nil then
    return nil, core.error { kind = "config", message = NO_SERVER }
  end
  local userdata, err = core.new(settings)
  if not userdata then return nil, err end
  return setmetatable({ userdata, timeout = options.timeout or DEFAULT_TIMEOUT,
    base_url = settings.base_url:gsub("%?.*", "") }, metatable)
end

client.methods = Client

return client
