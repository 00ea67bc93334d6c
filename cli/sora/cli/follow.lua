--- Follows jobs to their ends: waits, downloads, shows progress, and says how each ended.
-- Owns what `wait`, `resume` and the commands that make a video have in common. Invariant: the id of a job is
-- told before anything else, and once more where the command ends before the job.
-- @module sora.cli.follow
-- @local

local exit = require "sora.cli.exit"
local normalize = require "sora.normalize"
local target = require "sora.cli.target"
local text = require "sora.cli.text"

local unpack = table.unpack or unpack -- luacheck: std max

local follow = {}

-- Tells that a film is saved.
local function tell_saved(session, item)
  local screen, path = session.screen, item.path
  if path == "-" then return end
  screen:saved(("saved %s (%s) after %s"):format(text.shown(target.shown(path)), text.size(item.file.bytes),
    text.duration(item.line:age())), target.shown(path))
end

local function finish(session, item, err)
  err = err and target.problem(session, err)
  item.done, item.err = true, err
  item.line:finish()
  if err then
    item.status = exit.of(err)
    if not session.screen.json then session:fail(err, #session.items > 1 and item.name or nil) end
  else
    item.status = exit.DONE
    if not session.screen.json then tell_saved(session, item) end
  end
end

--- Returns the fields of an item for --json.
function follow.object(session, item)
  return { id = item.id, state = item.state, path = item.file and item.file.path,
    bytes = item.file and item.file.bytes, seconds = math.floor(item.line:age() * 10 + 0.5) / 10,
    error = item.err and session.error_object(item.err) or nil }
end

local function show(item, view)
  item.state = view.state
  item.line:show(view.state, view.progress)
end

-- Says, after Ctrl-C, how to go on with each job.
local function tell_how_to_go_on(session)
  local ids = {}
  for _, item in ipairs(session.items) do
    if not item.done and item.id then ids[#ids + 1] = text.quote(item.id) end
  end
  if #ids > 0 then
    local goes, it = "The job goes", "it"
    if #ids > 1 then goes, it = "The jobs go", "them" end
    session.screen:warn(("%s on at the server. To wait for %s:  %s"):format(goes, it,
      session:command("wait " .. table.concat(ids, " "))))
  end
end

-- Names, after Ctrl-C, the creates whose answer has not come.
local function tell_unanswered(session)
  for _, item in ipairs(session.items) do
    if item.creating and not item.done then
      session.screen:fail("interrupted before the server answered; there may be a job", {
        "To look for it:  " .. session:command "resume" })
    end
  end
end

local function begin(session, items)
  session.items = items
  function session.on_interrupt()
    session:await_answers()
    tell_unanswered(session)
    tell_how_to_go_on(session)
    local objects = {}
    for i, item in ipairs(items) do objects[i] = follow.object(session, item) end
    return objects
  end
end

-- Pumps until all are done; returns the exit status.
local function run(session)
  session:pump(function()
    for _, item in ipairs(session.items) do
      if not item.done then return false end
    end
    return true
  end)
  local statuses = {}
  for i, item in ipairs(session.items) do statuses[i] = item.status end
  return exit.combine(statuses)
end

--- Makes a video, waits for it and saves it.
-- @tparam table session
-- @tparam string verb "create", "remix", "edit" or "extend"
-- @tparam table arguments of the call
-- @tparam string name for its progress line
-- @tparam string path or "-"
-- @tparam ?table opts of the call
-- @treturn integer the exit status
function follow.make(session, verb, arguments, name, path, opts)
  local client, screen = session:client(), session.screen
  local item = { name = name, path = path, line = screen:track(name), creating = true }
  begin(session, { item })
  local all = { timeout = session.args.timeout, target = path ~= "-" and path or nil }
  for option, value in pairs(opts or {}) do all[option] = value end
  function all.on_created(job)
    local view = normalize.video(job)
    item.creating, item.id = false, view.id
    if view.id then screen:note(text.shown(view.id)) end
    show(item, view)
  end
  function all.on_progress(_, view) show(item, view) end
  function all.on_done(file, err)
    item.file, item.state = file, file and "completed" or item.state
    finish(session, item, err)
  end
  local call = {}
  for i, argument in ipairs(arguments) do call[i] = argument end
  call[#call + 1], call[#call + 2] = target.of(session, path, item.line), all
  local handle, err = client:start(verb .. "_and_download", unpack(call))
  if not handle then return session:fail(err) end
  local status = run(session)
  screen:object(follow.object(session, item))
  return status
end

--- Makes a video and returns once the server has answered; what is left is for `sora wait`.
-- @tparam table session
-- @tparam table given the params
-- @tparam string name
-- @tparam ?string path of the file
-- @treturn integer the exit status
function follow.create(session, given, name, path)
  local client, screen = session:client(), session.screen
  local item = { name = name, line = screen:track(name), creating = true }
  begin(session, { item })
  assert(client:start("create_video", given, { target = path, on_done = function(job, err)
    item.creating = false
    if err then return finish(session, item, err) end
    local view = normalize.video(job)
    item.id, item.state = view.id, view.state
  end }))
  session:pump(function() return not item.creating end)
  if not item.err then screen:result(text.shown(item.id or "the job has no id")) end
  screen:object { id = item.id, state = item.state,
    error = item.err and session.error_object(item.err) or nil }
  return item.status or exit.DONE
end

-- Waits for a job, then downloads its video.
local function start(session, item)
  local client = session:client()
  local function saved(file, err)
    item.file = file
    finish(session, item, err)
  end
  local function ended(video, err)
    if err then
      err.ticket = err.ticket or { id = item.id, base_url = client.base_url }
      return finish(session, item, err)
    end
    item.state = "completed"
    if item.only_wait then return finish(session, item) end
    local handle, problem = client:start("download_video", video, target.of(session, item.path, item.line),
      { on_done = saved })
    if not handle then finish(session, item, problem) end
  end
  local job, err = client:watch(item.ticket or item.id, { timeout = session.args.timeout, on_done = ended,
    on_progress = function(_, view) show(item, view) end })
  if not job then finish(session, item, err) end
end

--- Waits for jobs and saves their videos.
-- @tparam table session
-- @tparam {table,...} items { id =, ticket =, name =, path = }
-- @tparam ?boolean as_list with --json, one job is a list, too
-- @treturn integer the exit status
function follow.all(session, items, as_list)
  begin(session, items)
  for _, item in ipairs(items) do item.line = session.screen:track(item.name) end
  for _, item in ipairs(items) do start(session, item) end
  local status = run(session)
  if #items == 1 and not as_list then
    session.screen:object(follow.object(session, items[1]))
  else
    local objects = {}
    for i, item in ipairs(items) do objects[i] = follow.object(session, item) end
    session.screen:object { jobs = objects }
  end
  return status
end

return follow
