--- `sora batch`: makes many videos, each once, however often it is ended and run again.
-- Owns what identifies a batch: the folder that its films go to. Invariant: one process works on a folder at
-- a time; a film that an earlier run made, or may have made, is not asked for again.
-- @local
local batch = require "sora.batch"
local core = require "sora.core"
local exit = require "sora.cli.exit"
local files = require "sora.cli.files"
local params = require "sora.cli.params"
local prompts = require "sora.cli.prompts"
local target = require "sora.cli.target"
local text = require "sora.cli.text"

local command = { about = "Make many videos, each once.",
  usage = "FILE|- [-o DIR] [-j N] [--max-jobs N] [--remake] [-n] [-m MODEL] [-s SECONDS] [--size WxH]" }

local FEW = 5 -- lines that are named one by one

function command.define(parser)
  parser:argument "file":argname "FILE"
    :description "A prompt, or a JSON object with a prompt and other fields, a line; # begins a comment."
  parser:option "-o --output":argname "DIR":description "The folder for the videos (the current one)."
  parser:option "-j --jobs":argname "N":convert(params.count):description "Jobs at a time (8)."
  parser:option "--max-jobs":argname "N":convert(params.count)
    :description "Never make more jobs than this for these prompts, in all runs together."
  parser:flag "--remake"
    :description "Ask again for the videos of which nobody knows whether they were made."
  parser:flag "--force":description "Overwrite files that exist."
  parser:flag "-n --dry-run":description "Tell what would be done, and do nothing."
  parser:option "-m --model":argname "MODEL":description "The model, where a line names none."
  parser:option "-s --seconds":argname "S":description "The length, where a line names none."
  parser:option "--size":argname "WxH":description "The size, where a line names none."
  params.define_waiting(parser)
end

-- What is there, and what is to be done ------------------------------------------------------

-- Calls the library about the list; names lines in place of items where that raises.
local function with_lines(job, code)
  local good, result, more = pcall(code)
  if good then
    if not result then error(more, 0) end
    return result, more
  end
  if type(result) ~= "string" or not result:find "list%[%d+%]" then error(result, 0) end
  local at = tonumber(result:match "list%[(%d+)%]")
  result = result:gsub("^.-%(list%[%d+%][:.]?", ""):gsub("%)$", "")
    :gsub("list%[(%d+)%]", function(i) return "line " .. job.lines[tonumber(i)] end)
  return exit.fail(exit.USAGE, ("%s: %s"):format(prompts.where(job.file, job.lines[at]),
    (result:gsub("^%s+", ""))))
end

local NAMES = { create = "new", find = "unsure", wait = "running", download = "running" }

-- Counts the items by what is known of them: saved, running, unsure, gone, new.
local function count(items)
  local counts = { saved = 0, running = 0, unsure = 0, gone = 0, new = 0 }
  for _, item in ipairs(items) do
    item.was = NAMES[item.step] or (item.state == "saved" and "saved" or "gone")
    counts[item.was] = counts[item.was] + 1
  end
  return counts
end

local function overview(items, counts, remake)
  local parts = {}
  local function add(name, words)
    if counts[name] > 0 then parts[#parts + 1] = counts[name] .. words end
  end
  add("saved", " saved")
  add("running", " running")
  add("unsure", remake and " unsure, to be looked for and made again" or " unsure, to be looked for")
  add("gone", " no longer at the server")
  add("new", " to make")
  return ("%s: %s"):format(text.count(#items, "prompt"), table.concat(parts, ", "))
end

local NOT_MADE = { refused = true, failed = true, cancelled = true }

-- Without -o, nothing is made anew that was made in another folder: that would be paid for twice.
local function check_other_folders(job, items, tickets)
  if job.args.output then return end
  local new = {}
  for _, item in ipairs(items) do
    if item.was ~= "new" or item.ticket then return end
    new[item.sum] = true
  end
  for i = #tickets, 1, -1 do
    local folder, sum = (tickets[i].label or ""):match "^(.+)/(%x+)#%d+$"
    if sum and new[sum] and not NOT_MADE[tickets[i].state] and folder ~= job.dir then
      local again = "batch " .. text.quote(job.file) .. " -o "
      exit.fail(exit.USAGE, "these prompts were made in " .. folder, {
        "To go on there:  " .. job.session:command(again .. text.quote(folder)),
        "To make them anew here:  " .. job.session:command(again .. ".") })
    end
  end
end

local function check_targets(job, items)
  for _, item in ipairs(items) do
    if item.was == "new" and not job.args.force and core.file_kind(item.path) then
      exit.fail(exit.USAGE, ("%s: %s exists already, and no job of this batch made it"):format(
        prompts.where(job.file, job.lines[item.index]), target.shown(item.path)), "--force overwrites it.")
    end
  end
end

local function make_folders(items)
  for _, item in ipairs(items) do
    if item.was ~= "saved" then files.make_folder((files.split(item.path):gsub("(.)/+$", "%1")), true) end
  end
end

-- One process at a time: two would make each film twice. The lock goes with the process.
local function lock(job)
  local part, err = core.part(files.state_folder() .. "/batch-" .. batch.digest(job.dir))
  if part then return part end
  if err.code == "locked" then
    exit.fail(exit.USAGE, "another `sora batch` works in this folder: " .. target.shown(job.dir),
      "Wait until it has ended.")
  end
  error(err, 0)
end

-- Progress ---------------------------------------------------------------------------------

local function show_total(job)
  local done = job.saved + job.failed
  job.total.name = ("%d of %d"):format(job.saved, #job.list)
  job.total:show(job.failed > 0 and ("saved, %d not"):format(job.failed) or "saved", done / #job.list * 100)
end

local function end_line(row)
  if row.line then row.line:finish() end
  row.line, row.over = nil, true
end

-- A full or closed standard output ends the command only once all is saved.
local function tell_saved(job, item)
  job.saved = job.saved + 1
  local path = target.shown(item.path)
  local message = ("saved %s (%s), %d of %d"):format(text.shown(path), text.size(item.bytes or 0), job.saved,
    #job.list)
  local good, raised = pcall(function()
    job.session.screen:saved(message, path)
    job.session.screen:flush()
  end)
  if not good and type(raised) ~= "table" then error(raised, 0) end -- Ctrl-C
  job.out_problem = job.out_problem or raised
end

-- Takes note of an item that has changed.
local function follow(job, item)
  local row = job.rows[item.index]
  if row.over then return end
  if item.err or item.state == "saved" then
    end_line(row)
    if item.err then job.failed = job.failed + 1 else tell_saved(job, item) end
  elseif job.session.screen.live then
    row.line = row.line or job.session.screen:track(select(2, files.split(item.path)))
    row.line:show(item.state == "asked" and "sending" or item.state, item.progress)
  end
  if job.session.screen.live then show_total(job) end
end

-- The end ------------------------------------------------------------------------------------

local function names_of(job, indices)
  local names = {}
  for i = 1, math.min(#indices, FEW) do names[i] = tostring(job.lines[indices[i]]) end
  local all = table.concat(names, ", ")
  if #indices > FEW then all = ("%s and %d more"):format(all, #indices - FEW) end
  return (#indices == 1 and "line " or "lines ") .. all
end

-- Tells what failed, the lines of one reason together.
local function tell_failed(job, results)
  local reasons, by_message = {}, {}
  for i, result in ipairs(results) do
    if result.err and not result.unsure then
      local message = result.err.message
      if not by_message[message] then
        by_message[message] = { err = result.err }
        reasons[#reasons + 1] = by_message[message]
      end
      table.insert(by_message[message], i)
    end
  end
  for _, reason in ipairs(reasons) do
    if reason.err.code == "max_jobs" then
      job.session.screen:warn(("not sent, because of --max-jobs %d: %s"):format(job.args.max_jobs,
        names_of(job, reason)))
    else
      job.session.screen:fail(("%s: %s"):format(names_of(job, reason), reason.err.message))
    end
  end
end

local function tell_unsure(job, results)
  for i, result in ipairs(results) do
    if result.unsure then
      job.session.screen:fail(("line %d: nobody knows whether this was made: %s"):format(job.lines[i],
        text.cut(tostring(job.list[i].prompt), 60)))
    end
  end
  if results.unsure > 0 then
    job.session.screen:warn "  They are not sent again; --remake sends them again, which may cost twice."
    job.session.screen:warn("  The server's list:  " .. job.session:command "list --remote")
  end
end

local function status_of(results)
  local statuses = {}
  for i, result in ipairs(results) do
    local code = result.err and result.err.code
    statuses[i] = not result.err and exit.DONE or code == "max_jobs" and exit.UNFINISHED
      or code == "not_sent" and exit.DONE or exit.of(result.err) -- the error before it counts
  end
  return exit.combine(statuses)
end

local function object_of(job, results)
  local object = { prompts = #results, made = results.made, saved = results.saved, failed = results.failed,
    unsure = results.unsure, jobs = {} }
  for i, result in ipairs(results) do
    object.jobs[i] = { line = job.lines[i], prompt = job.list[i].prompt, id = result.id, path = result.path,
      bytes = result.bytes, error = result.err and job.session.error_object(result.err) or nil }
  end
  return object
end

local function summary(job, results)
  local parts = { results.saved .. " saved" }
  if results.failed > 0 then parts[#parts + 1] = results.failed .. " not saved" end
  if results.unsure > 0 then parts[#parts + 1] = results.unsure .. " unsure" end
  return ("%s: %s; %s in this run, %s"):format(text.count(#job.list, "prompt"), table.concat(parts, ", "),
    text.count(results.made, "job"), text.duration(core.now() - job.began))
end

-- Running ------------------------------------------------------------------------------------

local function prepare(session)
  local args, defaults = session.args, session:server().defaults
  local job = { session = session, args = args, file = args.file, began = core.now(), saved = 0, failed = 0,
    rows = {} }
  job.list, job.lines = prompts.read(args.file, { model = args.model or defaults.model,
    seconds = args.seconds or defaults.seconds, size = args.size or defaults.size })
  local dir = args.output or "."
  if dir ~= "." and not args.dry_run then files.make_folder((dir:gsub("(.)/+$", "%1")), true) end
  job.dir = core.real_path(dir) or files.absolute(dir)
  for i in ipairs(job.list) do job.rows[i] = {} end
  session:client() -- makes the folder of the journal
  return job
end

local function run(job)
  local session, screen, client = job.session, job.session.screen, job.session:client()
  function client.pause(_, seconds)
    client:update(math.min(seconds, 0.2))
    screen:draw()
  end
  function session.on_interrupt()
    session:await_answers()
    screen:warn "The jobs go on at the server. To go on with them, run the same command again."
  end
  local results = with_lines(job, function()
    return client:batch(job.list, { dir = job.dir, label = job.dir, jobs = job.args.jobs,
      max_jobs = job.args.max_jobs, remake = job.args.remake, timeout = job.args.timeout,
      on_progress = function(item) follow(job, item) end })
  end)
  client.pause = nil
  return results
end

function command.run(session)
  local job = prepare(session)
  local screen = session.screen
  local held = not job.args.dry_run and lock(job)
  local items, tickets = with_lines(job, function()
    return batch.survey(session:client(), job.list, { dir = job.dir, label = job.dir })
  end)
  local counts = count(items)
  screen:note(overview(items, counts, job.args.remake))
  check_other_folders(job, items, tickets)
  check_targets(job, items)
  if job.args.dry_run then
    screen:object { prompts = #items, saved = counts.saved, running = counts.running, unsure = counts.unsure,
      gone = counts.gone, new = counts.new }
    return exit.DONE
  end
  make_folders(items)
  if screen.live then job.total = screen:track "" end
  for _, item in ipairs(items) do
    if item.was == "saved" then
      job.saved, job.rows[item.index].over = job.saved + 1, true
      if not screen.stdout_is_terminal() then screen:result(target.shown(item.path)) end
    end
  end
  local results = run(job)
  if job.total then job.total:finish() end
  if not screen.json then
    tell_failed(job, results)
    if counts.saved < #items then screen:note(summary(job, results)) end
    tell_unsure(job, results)
  end
  screen:object(object_of(job, results))
  held:close()
  if job.out_problem then error(job.out_problem, 0) end
  if results.failed > 0 then screen:note "To go on, run the same command again." end
  return status_of(results)
end

return command
