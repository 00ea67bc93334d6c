--- A client: one server, its options, and waiting for its jobs.
-- Owns how a client is made and how it waits: each wait is the state machine of wait.lua, driven here one at
-- a time or in a group of jobs (jobs.lua). Invariant: a client is a table that holds the core userdata at [1]
-- and nothing secret.
-- @module sora.client

local calls = require "sora.calls"
local core = require "sora.core"
local jobs = require "sora.jobs"
local journal = require "sora.journal"
local normalize = require "sora.normalize"
local pages = require "sora.pages"
local settings = require "sora.settings"
local videos = require "sora.videos"
local wait = require "sora.wait"

core.own()
core.use_readers(normalize.failure, normalize.text, normalize.refusal)

local Client = calls.Client

local DEFAULT_TIMEOUT = 60 -- s; one attempt
local LONGEST_SLEEP = 3600 -- s; where nothing is due

--- The time-out of one attempt, in seconds.
function Client:attempt_timeout()
  return self._timeout
end

-- Drives a job until its next snapshot, or its end: nil. `job.response` is that of the last poll.
local function advance(client, job)
  while true do
    local now = core.now()
    local usable, problem = core.usable(client)
    if not usable then wait.give_up(job, problem) end
    local what, seconds = wait.next(job, now)
    if what == "end" then return nil end
    if what == "pause" then
      client:pause(seconds)
    else
      local opts = wait.call_options(job, client:attempt_timeout(), now)
      local video, err, response = client:get_video(job.id, opts)
      now, job.response = core.now(), response
      if video then
        wait.answer(job, video, response.poll_after, now, core.random())
        return video
      end
      wait.failure(job, err, now, core.random())
    end
  end
end

local function start(id, opts, who)
  videos.check_id(id, who)
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
  repeat until not advance(self, job)
  calls.note_end(self, job)
  local response = job.rules.response and job.response or nil
  if job.err then return nil, job.err, response end
  if response then return job.video, nil, response end
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
    calls.note_end(self, job)
    if job.err and not normalize.terminal(job.video and normalize.video(job.video).state) then
      error(job.err, 0)
    end
  end
end

local function new_group(client)
  local group = jobs.new(client)
  group.on_end = client._journal and function(job) calls.note_end(client, job) end
  return group
end

--- Watches a job without waiting: `update` polls it when it is due and calls the callbacks.
-- @tparam string|table id an id, or a ticket that `job:ticket()` wrote down
-- @tparam ?table opts as for `wait`, and on_done(video, err), and max_rate (polls a second, of all that this
-- client watches)
-- @treturn[1] Job with done(), result(), cancel() and ticket()
-- @treturn[2] nil
-- @treturn[2] table error: the client is closed, or in another process
function Client:watch(id, opts)
  local created
  if type(id) == "table" then
    if id.base_url ~= self.base_url then
      core.complain("watch", ("the ticket is of %s, this client of %s"):format(tostring(id.base_url),
        self.base_url))
    end
    id, created = id.id, id.created
  end
  videos.check_id(id, "watch")
  local rules = wait.rules(opts, "watch")
  local usable, err = core.usable(self)
  if not usable then return nil, err end
  local group = self._jobs or new_group(self)
  self._jobs = group
  if rules.max_rate then group.max_rate = rules.max_rate end
  local shared, on_done = group:share(rules)
  local job = group:add(id, shared, on_done, created)
  core.wake(self, group:next_due())
  return job
end

--- Waits for many jobs at once. What becomes of one touches no other.
-- @tparam {string,...} ids
-- @tparam ?table opts as for `wait`, and max_rate (polls a second)
-- @treturn {table,...} { video = } or { err = } for each id, in their order
function Client:wait_all(ids, opts)
  if type(ids) ~= "table" then
    core.complain("wait_all", "ids: expected a list, got " .. type(ids))
  end
  local rules = wait.rules(opts, "wait_all")
  for _, id in ipairs(ids) do videos.check_id(id, "wait_all") end
  local group, watched, results = new_group(self), {}, {}
  group.max_rate, rules = rules.max_rate, group:share(rules)
  for i, id in ipairs(ids) do watched[i] = group:add(id, rules) end
  while true do
    local problem = group:step()
    if problem then error(problem[1], 0) end
    group:check_client()
    if group.open == 0 then break end
    local due, now = group:next_due(), core.now()
    calls.sleep(self, due and math.max(0, due - now) or LONGEST_SLEEP, group.turn)
  end
  for i, job in ipairs(watched) do
    results[i] = job.err and { err = job.err } or { video = job.video }
  end
  return results
end

-- Fetches the page behind a cursor.
local function page_by_page(client, params, opts)
  return function(after)
    local page = {}
    for name, value in pairs(params or {}) do page[name] = value end
    page.after = after or page.after
    return client:list_videos(page, opts)
  end
end

--- Iterates over the jobs of all pages. A page that can't be had raises its error table.
-- @tparam ?table params as for `list_videos`
-- @tparam ?table opts the options of a call
-- @treturn function iterator
function Client:videos(params, opts)
  if params ~= nil and type(params) ~= "table" then
    core.complain("videos", "params: expected a table, got " .. type(params))
  end
  return pages.iterate(page_by_page(self, params, opts))
end

--- Looks through the list for the jobs that a create may have made whose answer never came.
-- @tparam table what `prompt` and `since` (seconds since 1970)
-- @tparam ?table opts the options of a call
-- @treturn[1] {table,...} jobs with that prompt, made since then; those whose prompt the server does not
-- tell come last
-- @treturn[2] nil
-- @treturn[2] table error
function Client:find_created(what, opts)
  if type(what) ~= "table" then core.complain("find_created", "table expected, got " .. type(what), 1) end
  if what.since ~= nil and type(what.since) ~= "number" then
    core.complain("find_created", "since: expected seconds since 1970, got " .. type(what.since))
  end
  for name in pairs(what) do
    if name ~= "prompt" and name ~= "since" then
      local near = type(name) == "string" and core.nearest(name, { "prompt", "since" })
      core.complain("find_created", ("unknown option '%s'%s"):format(tostring(name),
        near and "; did you mean '" .. near .. "'?" or ""))
    end
  end
  if what.prompt ~= nil and type(what.prompt) ~= "string" then
    core.complain("find_created", "prompt: expected a string, got " .. type(what.prompt))
  end
  local sure, unsure = {}, {}
  local step = pages.walk(page_by_page(self, { order = "desc", limit = 100 }, opts))
  local video, err = step()
  while video do
    local made = normalize.video(video).created_at
    local old = what.since and made and made < what.since -- not the end: some lists have another order
    if not old and (what.prompt == nil or video.prompt == what.prompt) then
      sure[#sure + 1] = video
    elseif not old and video.prompt == nil then
      unsure[#unsure + 1] = video
    end
    video, err = step()
  end
  if err then return nil, err end
  for _, other in ipairs(unsure) do sure[#sure + 1] = other end
  return sure
end

-- The options of `both` that the create understands, and those of the wait.
local function split_options(both)
  if both ~= nil and type(both) ~= "table" then
    core.complain("create_and_wait", "options: expected a table, got " .. type(both))
  end
  local create, waiting = {}, {}
  for name, value in pairs(both or {}) do
    if name == "idempotency_key" then
      create[name] = value
    else
      waiting[name] = value
      if name == "headers" or name == "query" then create[name] = value end
    end
  end
  return create, waiting
end

-- Ends with an error that carries what the job can be taken up by.
local function with_ticket(client, job, err, latest)
  local view = normalize.video(err.video or latest or job)
  local made = normalize.video(job)
  err.ticket = { id = made.id or view.id, base_url = client.base_url, state = view.state,
    created = made.created_at or view.created_at or os.time() }
  return nil, err
end

-- What a hook raises in the middle (Ctrl-C) becomes an error that carries the ticket. A coroutine can't
-- yield through pcall on Lua 5.1, so with a pause hook what is raised goes its way; the journal has the job.
local function guarded(client, job, wait_for)
  if client._pause then return wait_for() end
  local good, result, err = pcall(wait_for)
  if good then return result, err end
  if type(result) ~= "table" or not result.kind then
    result = core.error { kind = "cancelled", message = tostring(result) }
  end
  with_ticket(client, job, result)
  error(result, 0)
end

-- Gives the completed video, and what the create answered: an id may stand in that alone.
local function make_and_wait(client, params, opts)
  local create, waiting = split_options(opts)
  wait.rules(waiting, "create_and_wait")
  local job, err = client:create_video(params, create)
  if not job then return nil, err end
  local view = normalize.video(job)
  if view.state == "completed" then return job, nil, job end
  if not view.id then
    return with_ticket(client, job, core.error { kind = "decode", message = "the created job has no id" })
  end
  local video, problem = guarded(client, job, function() return client:wait(view.id, waiting) end)
  if not video then return with_ticket(client, job, problem) end
  return video, nil, job
end

--- Creates a video and waits for it.
-- @tparam table params as for `create_video`
-- @tparam ?table opts as for `wait`, and `idempotency_key`
-- @treturn[1] table the completed video
-- @treturn[2] nil
-- @treturn[2] table error; once there is a job it has its `ticket`, for `watch`
function Client:create_and_wait(params, opts)
  local video, err = make_and_wait(self, params, opts)
  return video, err
end

--- Creates a video, waits for it and downloads it.
-- @tparam table params as for `create_video`
-- @tparam string|table target as for `download_video`
-- @tparam ?table opts as for `create_and_wait`
-- @treturn[1] table { path =, bytes =, content_type =, video = }
-- @treturn[2] nil
-- @treturn[2] table error; once there is a job it has its `ticket`
function Client:create_and_download(params, target, opts)
  videos.target(target, "create_and_download")
  local create = split_options(opts)
  create.idempotency_key = nil
  local video, err, job = make_and_wait(self, params, opts)
  if not video then return nil, err end
  local file, problem = guarded(self, job, function()
    return calls.download(self, normalize.video(video).id or normalize.video(job).id, target, create, video)
  end)
  if not file then return with_ticket(self, job, problem, video) end
  file.video = video
  return file
end

--- The jobs of the client's journal that nobody has seen end. Needs the option `journal`.
-- @treturn[1] {table,...} tickets for `watch`; one with `ambiguous = true` has no id: see `find_created`
-- @treturn[2] nil
-- @treturn[2] table error
function Client:unfinished()
  if not self._journal then
    return nil, core.error { kind = "config",
      message = "the client has no journal: give it the option 'journal'" }
  end
  return journal.unfinished(self)
end

local client = { methods = Client }

--- Makes a client.
-- @tparam table options see the README's table; `base_url` and `api_key` are taken from SORA_BASE_URL and
-- SORA_API_KEY, or from OPENAI_BASE_URL and OPENAI_API_KEY, where they are not given
-- @tparam string who the function to name when an option is misused
-- @treturn[1] table client
-- @treturn[2] nil
-- @treturn[2] table `config` error
function client.new(options, who)
  local all, own = settings.complete(options, who)
  local paths = videos.paths(own.paths, who)
  local userdata, err = core.new(all, who)
  if not userdata then return nil, err end
  core.set_get_path(userdata, paths.get)
  return calls.adopt { userdata, _timeout = all.timeout or DEFAULT_TIMEOUT, _paths = paths,
    _multipart = own.multipart, _journal = own.journal, base_url = (all.base_url:gsub("%?.*", "")) }
end

return client
