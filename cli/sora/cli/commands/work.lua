--- `sora work`: a worker, which makes the videos of a queue until it is stopped.
-- Owns what is shown of it; `sora.work` owns the tasks and the promise.
-- @local
local exit = require "sora.cli.exit"
local params = require "sora.cli.params"
local queue = require "sora.cli.queue"
local target = require "sora.cli.target"
local text = require "sora.cli.text"

local work = { about = "Make the videos of a queue, on any number of machines.",
  usage = "-o DIR [-j N] [--redis URL] [--queue NAME] [--drain] [--idempotent] [--lease S] [--timeout S]" }

function work.define(command)
  command:option "-o --output":argname "DIR":description "The folder for the videos (the current one)."
  command:option "-j --jobs":argname "N":default "20":convert(params.count):description "Jobs at a time (20)."
  command:flag "--drain":description "End when the queue is done."
  command:flag "--idempotent"
    :description "The server honours Idempotency-Key: repeat a request whose answer was lost."
  command:option "--lease":argname "S":convert(params.seconds)
    :description "Seconds after which others take over what this worker leaves behind (30)."
  command:option "--name":argname "NAME":description "The worker's name in `sora tasks`."
  params.define_waiting(command)
  queue.define(command)
end

local ENDS = { saved = true, failed = true, unsure = true }

-- Says what becomes of each task: a progress line while it runs, and a line at its end.
local function teller(session)
  local screen, lines = session.screen, {}
  return function(entry)
    if not entry.id then
      screen:note(entry.err and "Redis: " .. text.shown(entry.err.message) or "Redis answers again")
      return
    end
    lines[entry.id] = lines[entry.id] or screen:track(text.cut(text.shown(entry.prompt or entry.id), 30))
    if not ENDS[entry.state] then return lines[entry.id]:show(entry.state, entry.progress) end
    lines[entry.id]:finish()
    lines[entry.id] = nil
    if entry.state == "saved" then
      screen:saved("saved " .. text.shown(entry.path or entry.id), entry.path or entry.id)
    else
      screen:fail(("%s: %s: %s"):format(entry.state, text.shown(entry.prompt or entry.id),
        entry.err and entry.err.message or ""))
    end
  end
end

function work.run(session)
  local args = session.args
  local opened, client = queue.open(session), session:client()
  local dir = args.output or "."
  target.need_folder(dir)
  local worker = opened:worker(client, { dir = dir, jobs = args.jobs, drain = args.drain or false,
    idempotent = args.idempotent or false, lease = args.lease, name = args.name, timeout = args.timeout,
    on_progress = teller(session) })
  session.screen:note "Ctrl-C lets what is running end; a second one leaves it to the other workers."
  local results, err = worker:run()
  local counts = results or err.results or {}
  opened:close()
  session.screen:note(("%d made, %d saved, %d failed, %d unsure"):format(counts.made or 0, counts.saved or 0,
    counts.failed or 0, counts.unsure or 0))
  for _, left in ipairs(counts.unwritten or {}) do
    session.screen:fail(("the queue could not be told that task %s is %s%s"):format(text.shown(left.id),
      text.shown(left.event), left.job and ", as job " .. text.shown(left.job) or ""),
      left.job and ("When it answers again:  sora tasks retry %s --job %s"):format(left.id, left.job))
  end
  session.screen:object(counts)
  if not results then return session:fail(err) end
  if (counts.unsure or 0) > 0 then return exit.UNSURE end
  return (counts.failed or 0) > 0 and exit.REFUSED or exit.DONE
end

return work
