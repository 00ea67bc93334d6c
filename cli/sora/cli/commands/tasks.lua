--- `sora tasks`: what is in a queue, and what a person decides about a task.
-- Invariant: only `retry` may lead to another job for a prompt, and only of a task that is named.
-- @local
local exit = require "sora.cli.exit"
local params = require "sora.cli.params"
local queue = require "sora.cli.queue"
local target = require "sora.cli.target"
local text = require "sora.cli.text"

local tasks = { about = "Show the tasks of a queue, or decide about one.",
  usage = "[retry ID [--job JOB|--anew] | drop ID] [--redis URL] [--queue NAME] [--state S] [-n N]" }

local STATES = { "waiting", "running", "saved", "failed", "unsure" }
local SHOWN = { "running", "failed", "unsure" } -- without --state: what moves, and what needs somebody

function tasks.define(command)
  command:argument "action":args "?":choices { "retry", "drop" }
    :description "retry puts a task back; drop removes it."
  command:argument "id":argname "ID":args "?":description "The task."
  command:option "--job":argname "JOB":description "retry: the job to follow, as the server's list has it."
  command:flag "--anew":description "retry: ask for another job, which is paid for."
  command:option "--state":argname "S":choices(STATES)
    :description("Only those in this state: " .. table.concat(STATES, ", ") .. ".")
  command:option "-n --number":argname "N":default "20":convert(params.count)
    :description "How many of each state (20)."
  queue.define(command)
end

local function decide(session, opened)
  local args = session.args
  if not args.id then
    exit.usage("which task is to be " .. (args.action == "drop" and "dropped" or "retried"))
  end
  local done, err
  if args.action == "drop" then
    done, err = opened:drop(args.id)
  else
    done, err = opened:retry(args.id, { job = args.job, anew = args.anew })
  end
  if not done then queue.fail(err) end
  local what = args.action == "drop" and "dropped" or "put back"
  session.screen:note(("%s %s"):format(text.shown(args.id), what))
  session.screen:object { id = args.id, done = args.action }
end

local function get(list, err)
  return list or queue.fail(err)
end

-- Who has a running task, or why another one needs somebody.
local function about(task)
  if task.state == "running" then
    return (task.owner or "?") .. (task.lapsed and ", whose lease is over" or "")
  end
  local problem = task.error
  return type(problem) == "table" and (problem.message or problem.kind) or problem or task.path or ""
end

local function row(task)
  return { text.shown(task.id), task.state, text.shown(task.job or ""), text.shown(about(task)),
    text.shown(task.prompt or "") }
end

local function show(session, opened)
  local args, counts, lines = session.args, get(opened:counts()), {}
  for _, state in ipairs(args.state and { args.state } or SHOWN) do
    for _, task in ipairs(get(opened:tasks(state, args.number))) do
      session.screen:object { id = task.id, state = task.state, prompt = task.prompt, owner = task.owner,
        left = task.left, lapsed = task.lapsed, job = task.job, others = task.others,
        path = task.path and target.shown(task.path), error = task.error }
      lines[#lines + 1] = row(task)
    end
  end
  if session.screen.json then return session.screen:object { counts = counts } end
  local parts = {}
  for i, state in ipairs(STATES) do parts[i] = ("%d %s"):format(counts[state] or 0, state) end
  session.screen:result(table.concat(parts, ", "))
  if #lines > 0 then session.screen:table({ "TASK", "STATE", "JOB", "ABOUT", "PROMPT" }, lines) end
end

function tasks.run(session)
  local opened = queue.open(session);
  (session.args.action and decide or show)(session, opened)
  opened:close()
end

return tasks
