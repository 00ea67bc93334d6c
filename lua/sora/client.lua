--- A client: one server, its options, and the calls to it.
--
-- `sora.new` makes one. docs/options.md lists its options and those of a call, docs/waiting.md those of a
-- wait, docs/errors.md the fields of an error.
--
-- An `id` is a job's id, or a table that has one: a job as any call returned it, whatever its server calls
-- the id; a view, from `sora.normalize`; a ticket; a watched job; or a result with `video`.
-- @module sora.client

-- Owns the class: how a client is made and closed, and its methods. Invariant: a client is a table that holds
-- the core's userdata at [1], all its private fields from the beginning, and nothing secret.

local batch = require "sora.batch"
local core = require "sora.core"
local download = require "sora.download"
local endpoints = require "sora.endpoints"
local group = require "sora.wait.group"
local journal = require "sora.journal"
local machine = require "sora.wait.machine"
local misuse = require "sora.misuse"
local normalize = require "sora.normalize"
local options = require "sora.options"
local pages = require "sora.pages"
local pump = require "sora.pump"
local task = require "sora.task"

core.own()
core.use_readers(normalize.failure, normalize.text, normalize.refusal, endpoints.find_id, endpoints.flaw,
  normalize.page, normalize.reason)

local Client = options.copy(pump.methods)
local class = { __newindex = pump.set_field, __name = "sora.client" } -- each client has a copy

local unpack = table.unpack or unpack -- luacheck: std max

local DEFAULT_TIMEOUT = 60 -- s; one attempt

-- One call ---------------------------------------------------------------------------

--- Fetches a job: one HTTP call, made in C. See `sora.get_video`.
-- @function Client:get_video
-- @tparam string|table id an id, or a job, as for all calls below
-- @tparam ?table opts the options of a call
-- @treturn[1] table the job, as the server answers
-- @treturn[2] nil
-- @treturn[2] table error
Client.get_video = core.get_video

local function method(name)
  local describe = endpoints.describe[name]
  return function(client, ...) return pump.call(client, describe(client, ...)) end
end

--- Creates a video job: `POST /videos`, as JSON, or as multipart if there is a file. Repeats the request only
-- where that cannot be paid for twice; after an error with `ambiguous = true` the server may have the job.
-- @function Client:create_video
-- @tparam table params `prompt`, `model`, `seconds`, `size`, `input_reference`, …; other fields are sent as
-- they are, and those of `extra_body` unchecked; a file is { path = } or { data = }, with `filename` and
-- `content_type` where its name and its first bytes do not tell them
-- @tparam ?table opts the options of a call; `idempotency_key` makes repeats safe where the server knows it,
-- `label`, and `target`, the path where its file is to go, are for the journal
-- @treturn[1] table the job as the server answers
-- @treturn[2] nil
-- @treturn[2] table error
Client.create_video = method "create_video"

--- Makes a new video from a finished one: `POST /videos/{id}/remix`.
-- @function Client:remix_video
-- @tparam string|table id
-- @tparam table params `prompt`, …
-- @tparam ?table opts the options of a call
-- @treturn table the new job, or nil and an error
Client.remix_video = method "remix_video"

--- Edits a video: `POST /videos/edits`.
-- @function Client:edit_video
-- @tparam table params `video` (an id, a job, or a file), `prompt`, …
-- @tparam ?table opts the options of a call
-- @treturn table the new job, or nil and an error
Client.edit_video = method "edit_video"

--- Makes a video longer: `POST /videos/extensions`.
-- @function Client:extend_video
-- @tparam table params `video` (an id, a job, or a file), `prompt`, `seconds`, …
-- @tparam ?table opts the options of a call
-- @treturn table the new job, or nil and an error
Client.extend_video = method "extend_video"

--- Makes a character from a video: `POST /videos/characters`.
-- @function Client:create_character
-- @tparam table params `name`, `video` (a file, an id or a job), …
-- @tparam ?table opts the options of a call
-- @treturn table the character, or nil and an error
Client.create_character = method "create_character"

--- Fetches a character: `GET /videos/characters/{id}`.
-- @function Client:get_character
-- @tparam string|table id
-- @tparam ?table opts the options of a call
-- @treturn table the character, or nil and an error
Client.get_character = method "get_character"

--- Deletes a job and its file: `DELETE /videos/{id}`.
-- @function Client:delete_video
-- @tparam string|table id
-- @tparam ?table opts the options of a call
-- @treturn table the server's answer, or nil and an error
Client.delete_video = method "delete_video"

--- Cancels a job that is not over, so that it is not paid for where the server stops in time:
-- `POST /videos/{id}/cancel` (the option `paths.cancel`; docs.inworld.ai documents it). Many servers have no
-- such call (404, 405); one whose job is over already answers 409.
-- @function Client:cancel_video
-- @tparam string|table id
-- @tparam ?table opts the options of a call
-- @treturn[1] table the job as the server answers, or an empty table
-- @treturn[2] nil
-- @treturn[2] table error
Client.cancel_video = method "cancel_video"

--- Fetches one page of the list of jobs: `GET /videos`.
-- @function Client:list_videos
-- @tparam ?table params `limit`, `after` (an id), `order` ("asc" or "desc"), …
-- @tparam ?table opts the options of a call
-- @treturn table { data = { video, … }, last_id =, has_more =, … }, or nil and an error
Client.list_videos = method "list_videos"

--- Downloads the file of a finished job, wherever the server has it: at /content, at a URL or inside an
-- answer. Writes to `<path>.part`, which replaces `path` when it is complete and on disk; JSON or HTML in
-- place of a file is an error. An interrupted transfer resumes where it stopped. Credentials go to the base
-- URL's origin alone.
-- @tparam string|table id
-- @tparam string|table target the path, or { path =, variant =, on_progress =, resume =, sync =, grace = },
-- or { sink = }: `variant` is "video", "thumbnail" or "spritesheet"; `on_progress(received, total)` stops the
-- download by returning false; `sink(chunk)` gets the bytes instead of a file, and may wait; `sync = false`
-- does not wait for the disk; `grace` is how many seconds the file of a job that has just ended may be late.
-- See docs/downloads.md
-- @tparam ?table opts the options of a call; `timeout` is how long the transfer may stand still
-- @treturn[1] table { path =, bytes =, content_type = }
-- @treturn[2] nil
-- @treturn[2] table error; its code is `not_ready` while the job has no file yet, `not_fetched` where the job
-- is completed and its file has not come, `locked` while another download writes to the target
function Client:download_video(id, target, opts)
  return pump.written(self, download.prepare(self, id, target, opts)())
end
pump.composites.download_video = { prepare = download.prepare, opts_at = 3 }

--- Returns the timeout of one attempt, in seconds.
function Client:attempt_timeout()
  return self._timeout
end

-- Waiting ----------------------------------------------------------------------------

-- Notes in the journal that a job has ended, if its snapshot says so.
local function note_end(client, job)
  local state = job.video and not job.doubt and normalize.video(job.video).state
  if state and normalize.terminal(state) then journal.ended(client, job.id, state, job.video) end
end

local function new_group(client, watched)
  return group.new(client, client._journal and function(job) note_end(client, job) end, watched)
end

-- A wait for one job is a group of one.
local function wait_for_one(client, id, opts, who)
  id = endpoints.id_of(id, who, client)
  local rules = machine.rules(opts, who)
  local waits = new_group(client)
  return waits, waits:add(id, waits:share(rules))
end

--- Waits until a job ends. Polls after `interval`, which grows up to `max_interval`, or when the server says
-- so, and rides out up to `max_failures` failed polls in a row.
-- @tparam string|table id
-- @tparam ?table opts interval (2 s), max_interval (15 s), timeout (1800 s, of the whole wait), max_failures
-- (10), on_progress(video, view), which is called when anything changed and stops the wait by returning
-- false, cancel_on_timeout (false), headers and query. See docs/waiting.md
-- @treturn[1] table the completed video
-- @treturn[2] nil
-- @treturn[2] table error: `failed`, `cancelled`, `expired`, `deadline`, or the error that ended the polls;
-- `err.video` is the last snapshot. With `cancel_on_timeout` a job that is not over in time is cancelled
-- (`cancel_video`) before the `deadline` error is returned: `err.cancelled` tells whether the server did, and
-- `err.cancel_error` why not. A job that turns out to be over (409) ends the wait as it is
function Client:wait(id, opts)
  local waits, job = wait_for_one(self, id, opts, "wait")
  pump.written(self, waits:run())
  if job.err then return nil, job.err, job.response end
  if job.response then return job.video, nil, job.response end
  return job.video
end

--- Iterates over the snapshots of a job; the last one is terminal. If the polls end before that, raises the
-- error table: `for video, view in client:poll(id) do print(view.state, view.progress) end`.
-- @tparam string|table id
-- @tparam ?table opts as for `wait`
-- @treturn function iterator: gives the snapshot, and its reading as `sora.normalize` returns it
function Client:poll(id, opts)
  local waits, job = wait_for_one(self, id, opts, "poll")
  return function()
    if pump.written(self, waits:run(true)) then return job.video, machine.view(job) end
    local seen = job.video and not job.doubt and normalize.video(job.video)
    if job.err and not (seen and normalize.terminal(seen.state)) then
      error(job.err, 0)
    end
  end
end

--- Watches a job without waiting: `update` polls it when it is due and calls the callbacks.
-- @tparam string|table id an id or a job, or a ticket from `job:ticket()` or `unfinished`
-- @tparam ?table opts as for `wait`, and `on_done(video, err)` and `max_rate` (polls a second, of all jobs
-- that this client watches)
-- @treturn[1] Job with done(), result(), wait(), cancel() and ticket()
-- @treturn[2] nil
-- @treturn[2] table error: the client is closed, or belongs to another process
function Client:watch(id, opts)
  local created = type(id) == "table" and id.base_url and tonumber(id.created) or nil
  id = endpoints.id_of(id, "watch", self)
  local rules = machine.rules(opts, "watch")
  local usable, err = core.usable(self)
  if not usable then return nil, err end
  local watched = self._watched or new_group(self, true)
  self._watched = watched
  if rules.max_rate then watched.max_rate = rules.max_rate end
  local shared, on_done = watched:share(rules)
  local job = watched:add(id, shared, on_done, created)
  pump.arm(self)
  return job
end

--- Waits for many jobs at once. The failure of one does not affect the others.
-- @tparam table ids a list of ids or jobs, or an answer of `list_videos`
-- @tparam ?table opts as for `wait`, and `max_rate` (polls a second)
-- @treturn {table,...} { video = } or { err = } for each id, in their order
function Client:wait_all(ids, opts)
  ids = endpoints.ids_of(ids, "wait_all", self)
  local rules = machine.rules(opts, "wait_all")
  local waits, jobs, results = new_group(self), {}, {}
  waits.max_rate, rules = rules.max_rate, waits:share(rules)
  for i, id in ipairs(ids) do jobs[i] = waits:add(id, rules) end
  pump.written(self, waits:run())
  for i, job in ipairs(jobs) do
    results[i] = job.err and { err = job.err } or { video = job.video }
  end
  return results
end

-- Lists ------------------------------------------------------------------------------

-- Returns a function that fetches the page after a cursor.
local function page_by_page(client, params, opts)
  return function(after)
    local page = options.copy(params)
    page.after = after or page.after
    return client:list_videos(page, opts)
  end
end

--- Iterates over the jobs of all pages. Raises the error table of a page that cannot be fetched.
-- @tparam ?table params as for `list_videos`
-- @tparam ?table opts the options of a call
-- @treturn function iterator
function Client:videos(params, opts)
  options.expect_optional("videos", "params", params, "table")
  return pages.iterate(page_by_page(self, params, opts))
end

local SOUGHT = { prompt = true, since = true }

--- Finds jobs that a create with a lost response may have made.
-- @tparam table what `prompt` and `since` (seconds since 1970)
-- @tparam ?table opts the options of a call
-- @treturn[1] {table,...} jobs with that prompt, made since then; jobs whose prompt the server does not tell
-- come last
-- @treturn[2] nil
-- @treturn[2] table error
function Client:find_created(what, opts)
  options.expect("find_created", "what", what, "table", "a table with `prompt` and `since`")
  options.check("find_created", what, SOUGHT)
  options.expect_optional("find_created", "since", what.since, "number", "seconds since 1970")
  options.expect_optional("find_created", "prompt", what.prompt, "string")
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

-- Creating and waiting -----------------------------------------------------------------

local CREATE = { "headers", "query", "label", "target", "idempotency_key" }
local CREATE_ALONE = { "label", "target", "idempotency_key", "on_created" }

-- Splits options into those of the create, those of the wait and those of the download; and on_created.
local function split_options(both, who)
  options.expect_optional(who, "options", both, "table")
  both = both or {}
  options.expect_optional(who, "option 'on_created'", both.on_created, "function")
  local create, waiting = {}, options.copy(both)
  for _, name in ipairs(CREATE) do create[name] = both[name] end
  for _, name in ipairs(CREATE_ALONE) do waiting[name] = nil end
  return create, waiting, { headers = both.headers, query = both.query }, both.on_created
end

-- Adds a ticket to an error, with which `watch` can resume.
local function add_ticket(client, job, err, latest)
  local view = normalize.video(err.video or latest or job)
  local made = normalize.video(job)
  err.ticket = { id = made.id or view.id, base_url = client.base_url, state = view.state,
    created = made.created_at or view.created_at or os.time() }
  return err
end

-- Turns what a hook raises (Ctrl-C) into an error with the ticket, wherever Lua can catch it. Elsewhere it
-- propagates as it is; the journal has the job.
local function guarded(client, job, wait_for)
  local own = task.current()
  if own then own.on_fail = function(err) add_ticket(client, job, err) end end
  if not pump.can_protect(client) then return wait_for() end
  local good, result, err = pcall(wait_for)
  if good then return result, err end
  if type(result) ~= "table" or not result.kind then
    result = core.error({ kind = "cancelled", message = tostring(result) }, client)
  end
  error(add_ticket(client, job, result), 0)
end

local function no_id(view)
  return "the created job has no id; the answer says: " .. ((view.error or {}).message or view.state)
end

-- Waits for a job that was just created. Returns the completed video, or nil, err.
local function wait_for_job(client, job, waiting)
  local view = normalize.video(job)
  if view.state == "completed" then return job end
  if not view.id then
    local err = core.error({ kind = "decode", message = no_id(view) }, client)
    return nil, add_ticket(client, job, err)
  end
  local video, err = guarded(client, job, function() return client:wait(view.id, waiting) end)
  if not video then return nil, add_ticket(client, job, err) end
  return video
end

-- Checks the arguments; returns a function that creates the job, and the other options.
local function prepare_create(client, name, args, opts, who, path)
  local create, waiting, downloading, on_created = split_options(opts, who)
  machine.rules(waiting, who)
  local spec = endpoints.describe[name](client, unpack(args))
  core.check_call(pump.without_notes(who, create), who)
  create.target = create.target or path
  return function(part)
    spec.file = part
    local job, err = pump.call(client, spec, create)
    if job and on_created then guarded(client, job, function() on_created(job) end) end
    return job, err
  end, waiting, downloading
end

local function prepare_and_wait(client, name, args, opts, who)
  local create, waiting = prepare_create(client, name, args, opts, who)
  return function()
    local job, err = create()
    if not job then return nil, err end
    return wait_for_job(client, job, waiting)
  end
end

-- Only the create's answer may have an id, and only the last snapshot may say where the file is.
local function prepare_and_download(client, name, args, target, opts, who)
  target = endpoints.target(target, who)
  local create, waiting, downloading = prepare_create(client, name, args, opts, who, target.path)

  local function run(part)
    local job, err = create(part)
    if not job then return nil, err end
    local file, problem
    if part and type(job.bytes) == "number" and job.id == nil and job.status == "completed" then
      file, problem = download.finish(client, target, part, job)
      if file then file.video = job end
      return file, problem
    end
    local video
    video, err = wait_for_job(client, job, waiting)
    if not video then return nil, err end
    local ended = core.now()
    file, problem = guarded(client, job, function()
      return download.fetch { client = client, id = normalize.video(video).id or normalize.video(job).id,
        target = target, part = part or nil, opts = downloading, who = who, known = video, job = job,
        ended = ended }
    end)
    if not file then return nil, add_ticket(client, job, problem, video) end
    file.video = video
    return file
  end

  return function()
    local usable, err = core.usable(client)
    if not usable then return nil, err end
    local part
    part, err = download.reserve(target) -- before anything is paid for
    if part == nil then return nil, err end
    return download.with(client, part, function() return run(part or nil) end)
  end
end

--- Creates a video and waits for it.
-- @function Client:create_and_wait
-- @tparam table params as for `create_video`
-- @tparam ?table opts as for `wait`, and `idempotency_key`, `label` and `target` as for `create_video`, and
-- `on_created(job)`, which is called as soon as the server has answered with the job
-- @treturn[1] table the completed video
-- @treturn[2] nil
-- @treturn[2] table error; if the job was created it has a `ticket`, for `watch`

--- Remixes a video and waits for the new one, as `create_and_wait` does.
-- @function Client:remix_and_wait
-- @tparam string|table id
-- @tparam table params as for `remix_video`
-- @tparam ?table opts as for `create_and_wait`
-- @treturn table as for `create_and_wait`

--- Edits a video and waits for the new one, as `create_and_wait` does.
-- @function Client:edit_and_wait
-- @tparam table params as for `edit_video`
-- @tparam ?table opts as for `create_and_wait`
-- @treturn table as for `create_and_wait`

--- Makes a video longer and waits for the new one, as `create_and_wait` does.
-- @function Client:extend_and_wait
-- @tparam table params as for `extend_video`
-- @tparam ?table opts as for `create_and_wait`
-- @treturn table as for `create_and_wait`

--- Creates a video, waits for it and downloads it. Checks and locks the target before anything is paid for.
-- @function Client:create_and_download
-- @tparam table params as for `create_video`
-- @tparam string|table target as for `download_video`
-- @tparam ?table opts as for `create_and_wait`
-- @treturn[1] table { path =, bytes =, content_type =, video = }
-- @treturn[2] nil
-- @treturn[2] table error; if the job was created it has a `ticket`

--- Remixes a video, waits for the new one and downloads it, as `create_and_download` does.
-- @function Client:remix_and_download
-- @tparam string|table id
-- @tparam table params as for `remix_video`
-- @tparam string|table target as for `download_video`
-- @tparam ?table opts as for `create_and_wait`
-- @treturn table as for `create_and_download`

--- Edits a video, waits for the new one and downloads it, as `create_and_download` does.
-- @function Client:edit_and_download
-- @tparam table params as for `edit_video`
-- @tparam string|table target as for `download_video`
-- @tparam ?table opts as for `create_and_wait`
-- @treturn table as for `create_and_download`

--- Makes a video longer, waits for the new one and downloads it, as `create_and_download` does.
-- @function Client:extend_and_download
-- @tparam table params as for `extend_video`
-- @tparam string|table target as for `download_video`
-- @tparam ?table opts as for `create_and_wait`
-- @treturn table as for `create_and_download`

-- Adds VERB_and_wait and VERB_and_download; `count` is how many arguments the call itself takes.
local function add_followed(verb, count)
  local name, waiting, downloading = verb .. "_video", verb .. "_and_wait", verb .. "_and_download"
  local function prepare_wait(client, ...)
    local opts = (select(count + 1, ...))
    return prepare_and_wait(client, name, { ... }, opts, waiting)
  end
  local function prepare_download(client, ...)
    local target, opts = select(count + 1, ...)
    return prepare_and_download(client, name, { ... }, target, opts, downloading)
  end
  Client[waiting] = function(client, ...) return prepare_wait(client, ...)() end
  Client[downloading] = function(client, ...) return pump.written(client, prepare_download(client, ...)()) end
  pump.composites[waiting] = { prepare = prepare_wait, opts_at = count + 1 }
  pump.composites[downloading] = { prepare = prepare_download, opts_at = count + 2 }
end

add_followed("create", 1)
add_followed("remix", 2)
add_followed("edit", 1)
add_followed("extend", 1)

--- Makes many films, each once: may be killed and run again at any time. Items that the journal knows are
-- not paid for again: their jobs are waited for, and their files saved. An item whose last job was refused,
-- failed or was forgotten (`Client:forget`) is asked for anew; one whose answer was lost is looked for on the
-- server, and reported as unsure if it is not found there. While the server puts creates off (429, or 503
-- with Retry-After), the batch waits, and asks for an item again until its `timeout` is over. After an error
-- that would meet every item, such as a refused key, no further job is asked for. One process works on a
-- batch at a time. Needs the option `journal`.
-- @tparam table list of prompts, or of params as for `create_video` with one more field, `output`, the name
-- of the file; two equal items are two films
-- @tparam table opts `dir` (the folder for the files), `jobs` (8 at a time), `max_jobs` (how many jobs the
-- items may cost, in all runs together), `label` (the batch's name: another one makes all films anew),
-- `remake` (asks again for what an earlier run left unsure, which may be paid for twice),
-- `on_progress(item)` (stops the batch by returning false), and those of `wait` but its `on_progress`
-- @treturn[1] {table,...} { path =, bytes =, id =, label =, had = } or { err =, id =, label =, unsure = } for
-- each item, in order; and how many jobs were `made`, and how many items are `saved`, `failed`, `unsure`
-- @treturn[2] nil
-- @treturn[2] table error: there is no journal, or no such folder
function Client:batch(list, opts)
  return batch.run(self, list, opts)
end

-- The journal ------------------------------------------------------------------------

-- Returns every ticket of the journal, or nil, err.
local function read_journal(client, opts, who)
  options.expect_optional(who, "options", opts, "table")
  opts = options.check(who, opts or {}, { all_servers = options.FLAG })
  if client._journal then return journal.tickets(client, opts.all_servers) end
  return nil, core.error { kind = "config",
    message = "the client has no journal: write sora.new{ journal = 'jobs.log' }" }
end

--- Returns every job of the client's journal, oldest first. Needs the option `journal`.
-- @tparam ?table opts `all_servers = true`: also the jobs of other servers; by default those of this base URL
-- @treturn[1] {table,...} tickets { key, label, target, idempotency_key, prompt, base_url, id, state,
-- created, path, bytes, ambiguous, over }: `target` is where its file was to go, as the caller named it,
-- `path` where it was saved, `over` tells whether the job is over
-- @treturn[2] nil
-- @treturn[2] table error
function Client:journaled(opts)
  return read_journal(self, opts, "journaled")
end

--- Returns the jobs of the client's journal that are not over: their file is not saved, and they are not
-- known to have failed. Needs the option `journal`.
-- @tparam ?table opts as for `journaled`
-- @treturn[1] {table,...} tickets, for `watch` and `download_video`; one with `ambiguous = true` has no id:
-- see `find_created`, `adopt` and `forget`
-- @treturn[2] nil
-- @treturn[2] table error
function Client:unfinished(opts)
  local tickets, err = read_journal(self, opts, "unfinished")
  if not tickets then return nil, err end
  local open = {}
  for _, ticket in ipairs(tickets) do
    if not ticket.over then open[#open + 1] = ticket end
  end
  return open
end

--- Gives a ticket without an id the job that was made for it, as `find_created` or the server's list shows
-- it: the ticket is then like any other.
-- @tparam table ticket from `unfinished`
-- @tparam string|table job its id, or the job
-- @treturn[1] table the ticket, with its `id`
-- @treturn[2] nil
-- @treturn[2] table error: its code is `not_journaled` if the journal does not know the ticket, `taken` if
-- the ticket has a job, or the job a ticket
function Client:adopt(ticket, job)
  if type(ticket) ~= "table" or type(ticket.key) ~= "string" then
    core.complain("adopt", "ticket: expected one that client:unfinished() returned, got " .. type(ticket))
  end
  endpoints.check_id(job, "adopt", "job")
  if not self._journal then return read_journal(self, nil, "adopt") end
  local id = endpoints.id_of(job, "adopt", self)
  return journal.adopt(self, ticket.key, type(job) == "table" and job.status and job or { id = id })
end

--- Closes a job of the journal by hand: `unfinished` no longer returns it. The server hears nothing of it.
-- @tparam table|string what a ticket, or a job's id
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error: its code is `not_journaled` if the journal does not know the job
function Client:forget(what)
  local key = type(what) == "table" and type(what.key) == "string" and what.key or nil
  if not key then endpoints.check_id(what, "forget") end
  if not self._journal then return read_journal(self, nil, "forget") end
  return journal.forget(self, key, not key and what or nil)
end

-- The class --------------------------------------------------------------------------

--- Closes the client and ends everything under way: handles and watched jobs give `closed`, and no callback
-- is called. May be called again.
function Client:close()
  local usable, err = core.usable(self)
  if usable then pump.settle(self) end
  core.close(self)
  if self._watched then self._watched:check_client() end
  if usable or err.kind ~= "forked" then journal.close(self) end -- a child leaves the lines to its parent
  task.close(self)
end

function class.__tostring(client)
  return ("sora.client (%s)"):format(client.base_url)
end

local clients = setmetatable({}, { __mode = "k" }) -- client → true

-- Names that are found in the class; the others may be misspelt.
local known = options.copy(Client, { base_url = true, can_wait = true })
misuse.check_colons(Client, clients)
Client.get_video = core.get_video -- checks it in C
local lookup = { __index = setmetatable(Client, { __index = misuse.index("a client", known) }) }

-- Makes the metatable of a client. The base URL is below it, so that assigning it comes to __newindex.
local function new_class(base_url)
  return options.copy(class, { __index = setmetatable({ base_url = base_url }, lookup) })
end

-- Calls the method, not core.close: an adapter may have put its own in front.
function class.__close(client)
  client:close()
end

local client = { methods = Client }

local ENDS_IN_PATH = "base_url ends in '%s', the path of a call: give the part before it, as in "
  .. "'https://gateway.example/v1'"

-- Returns the error of a base URL that holds the path of a call too, or nil. The URL itself may be secret.
local function check_base_url(url, paths)
  local path = paths.create:gsub("%?.*", "")
  local address = url:gsub("[?#].*", ""):gsub("/+$", "")
  if path:find("^/+$") or address:sub(-#path) ~= path or paths.get:sub(1, #path) ~= path then return nil end
  return core.error { kind = "config", message = ENDS_IN_PATH:format(path) }
end

--- Makes a client.
-- @tparam table given the options
-- @tparam string who the function that the user called
-- @treturn[1] table client
-- @treturn[2] nil
-- @treturn[2] table `config` error
-- @local
function client.new(given, who)
  local all, own = options.complete(given, who)
  local paths, record = endpoints.paths(own.paths, who), journal.open(own.journal, who)
  local userdata, err = core.new(all, who)
  if not userdata then return nil, err end
  err = check_base_url(all.base_url, paths)
  if err then
    core.close(userdata)
    return nil, err
  end
  core.set_get_path(userdata, paths.get)
  local made = setmetatable({ userdata, _timeout = all.timeout or DEFAULT_TIMEOUT, _paths = paths,
    _on_event = all.on_event or false, _multipart = own.multipart or false, _journal = record or false,
    _journal_until = own.journal_until or false, _pause = false, _hooked = false, _watched = false,
    _tasks = false, _waiters = false, _alarm = false, _problems = false, _held_until = false, _pumped = 0,
    _pace = false }, new_class((all.base_url:gsub("%?.*", ""))))
  clients[made] = true
  core.adopt(made)
  return made
end

return client
