--- A queue of prompts that many workers share, on one machine or on many: each is paid for once.
--
--     local work = require "sora.work"
--     local queue = assert(work.open "redis://127.0.0.1:6379")
--     assert(queue:put { "A fox in the snow", { prompt = "Rain", output = "rain.mp4" } })
--     assert(queue:worker(sora.new {}, { dir = "films" }):run())
-- @module sora.work

-- Owns how a prompt becomes a task of a store, and what people do with tasks. Invariant: a task is known by
-- its params, its output, its label and, among equal ones, its number; to put it again changes nothing.

local batch = require "sora.batch"
local core = require "sora.core"
local json = require "sora.json"
local options = require "sora.options"
local worker = require "sora.work.worker"

core.own()

local work = {}

local PAGE = 500 -- tasks that are fetched at a time

local Queue = { __name = "sora.queue" }
Queue.__index = Queue

function Queue:__tostring()
  return ("sora.queue (%s)"):format(tostring(self.store))
end

local function problem(code, message)
  return core.error { kind = "config", code = code, message = message, retryable = false }
end

--- Opens a queue.
-- @tparam ?string|table where the address of a Redis, by default SORA_REDIS_URL; or a store of your own (see
-- the head of `sora.store.redis`)
-- @tparam ?table opts `name` of the queue ("sora"): queues of different names share nothing; `patience` (2 s:
-- for how long a call tries to reach a Redis that is restarting)
-- @treturn[1] Queue
-- @treturn[2] nil
-- @treturn[2] table error
function work.open(where, opts)
  if type(where) == "table" then return setmetatable({ store = where }, Queue) end
  options.expect_optional("open", "where", where, "string", "the address of a Redis, or a store")
  local store, err = require("sora.store.redis").open(where, opts)
  if not store then return nil, err end
  return setmetatable({ store = store, durable = store.durable }, Queue)
end

--- A queue, as `open` returns it.
-- @type Queue

-- Putting ----------------------------------------------------------------------------

-- Makes a task of one item of the list. `seen` counts equal ones.
local function new_task(given, i, label, seen)
  local params = type(given) == "string" and { prompt = given } or given
  if type(params) ~= "table" then return nil, ("expected a prompt or params, got %s"):format(type(given)) end
  params = options.copy(params)
  local output = params.output
  params.output = nil
  if params.prompt ~= nil and type(params.prompt) ~= "string" then
    return nil, ("prompt: expected a string, got %s"):format(type(params.prompt))
  end
  if next(params) == nil then return nil, "expected a prompt, got empty params" end
  local flaw = output ~= nil and worker.flaw(output)
  if flaw then return nil, "output: " .. flaw end
  local body, why = json.encode(params)
  if not body then return nil, "can't be written as JSON: " .. tostring(why) end
  local sum = batch.digest(label or "queue", params, output or false)
  if batch.digest(label or "queue", json.decode(body), output or false) ~= sum then
    return nil, "JSON can't hold all of it: a null is an absent field"
  end
  seen[sum] = (seen[sum] or 0) + 1
  if seen[sum] > 1 then sum = batch.digest(sum, seen[sum]) end
  return { id = sum, body = body, twin = params.prompt and batch.digest(params.prompt) or nil, index = i,
    output = output or ("%s-%s.mp4"):format(batch.slug(params.prompt), sum) }
end

local PUT = { label = options.rule "string" }

--- Puts tasks into the queue. Those that it knows already are left as they are, whatever became of them: to
-- make a film again, give another `label`.
-- @tparam {string|table,...} list prompts, or params as for `create_video` with one more field, `output`: the
-- name of the film in the folder of the worker that makes it
-- @tparam ?table opts `label`
-- @treturn[1] table { added =, known = }, numbers
-- @treturn[2] nil
-- @treturn[2] table error: nothing was put if its code is `task`, and else `put` says how many of the first
-- are in the queue; to put the same list again completes it
function Queue:put(list, opts)
  options.expect("put", "list", list, "table", "a list of prompts or params")
  opts = options.check("put", opts or {}, PUT)
  local tasks, seen, outputs, length = {}, {}, {}, 0
  for i in pairs(list) do
    if type(i) ~= "number" then
      core.complain("put", "list: expected a list, got the params of one; write { params }")
    end
    length = math.max(length, i)
  end
  for i = 1, length do
    local task, why = new_task(list[i], i, opts.label, seen)
    if task and outputs[task.output] then
      why = ("output: '%s' is also that of item %d; each needs its own"):format(task.output,
        outputs[task.output])
    end
    if why then return nil, problem("task", ("item %d: %s"):format(i, why)) end
    tasks[i], outputs[task.output] = task, i
  end
  local added, err = self.store:put(tasks)
  if not added then return nil, err end
  return { added = added, known = #tasks - added }
end

-- Looking ----------------------------------------------------------------------------

-- Adds what a person wants to see of a task.
local function show(task)
  local params = task.body and json.decode(task.body)
  task.params, task.prompt = params, params and params.prompt or nil
  task.lapsed = task.left ~= nil and task.left < 0 or nil
  return task
end

--- Counts the tasks.
-- @treturn[1] table { waiting =, running =, saved =, failed =, unsure = }
-- @treturn[2] nil
-- @treturn[2] table error
function Queue:counts()
  return self.store:list()
end

local STATES = { waiting = true, running = true, saved = true, failed = true, unsure = true }

--- Lists tasks, the oldest first.
-- @tparam string state "waiting", "running", "saved", "failed" or "unsure"
-- @tparam ?integer limit
-- @treturn[1] {table,...} { id =, state =, prompt =, params =, output =, attempt =, owner = (the worker of
-- one that is running), left = (seconds of its lease), lapsed = (the worker is dead or stuck), job =,
-- others = (ids of further jobs that were made for it), asked = (a job may have been made), path =, bytes =,
-- error = }
-- @treturn[2] nil
-- @treturn[2] table error
function Queue:tasks(state, limit)
  if not STATES[state] then
    core.complain("tasks", ("state: expected waiting, running, saved, failed or unsure, got %s%s"):format(
      tostring(state), options.suggest(state, STATES)))
  end
  local all, from = {}, 1
  while not limit or #all < limit do
    local page, err = self.store:list(state, from, math.min(PAGE, (limit or math.huge) - #all))
    if not page then return nil, err end
    for _, task in ipairs(page) do all[#all + 1] = show(task) end
    if #page == 0 then break end
    from = from + #page
  end
  return all
end

-- Deciding ---------------------------------------------------------------------------

local WHY_NOT = {
  unknown = "the queue has no task '%s'",
  running = "task '%s' is running; stop its worker, or wait for it",
  several = "several jobs were made for task '%s': name the one to follow, or make it anew",
  taken = "that job is another task's, not of '%s'",
}

local function decide(self, id, event, fields)
  options.expect(event, "id", id, "string", "the id of a task")
  local said, err = self.store:note(id, nil, event, fields)
  if not said then return nil, err end
  if said == "ok" or said == "waiting" then return true end
  return nil, problem(said, (WHY_NOT[said] or "task '%s' is " .. said):format(id))
end

local RETRY = { job = options.rule "string", anew = options.FLAG }

--- Puts a failed, unsure or saved task back. Its job is followed again if the server may still have its film;
-- otherwise, or if nobody knows whether there is a job, it is asked for anew, which is paid for.
-- @tparam string id of the task
-- @tparam ?table opts `job`: the id of the job to follow, as you found it at the server; `anew` (false): asks
-- for another job in any case
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error: its code is `unknown`, `running`, `several` or `taken`
function Queue:retry(id, opts)
  opts = options.check("retry", opts or {}, RETRY)
  return decide(self, id, "retry", { job = opts.job, anew = opts.anew })
end

--- Removes a task that is not running. Its job and its film stay where they are.
-- @tparam string id of the task
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Queue:drop(id)
  return decide(self, id, "drop")
end

--- Lets the worker that follows a job poll it at once: for the receiver of webhooks.
-- @tparam string job its id at the server
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error
function Queue:hint(job)
  return decide(self, job, "hint")
end

--- Makes a worker. It does nothing until its `run()`, which returns { made =, saved =, failed =, unsure = },
-- how many; or nil and an error whose `results` are these. `stop()` ends it when the tasks that it has are
-- over; a second `stop()` leaves them to others. Ctrl-C in stand-alone Lua does the same.
-- @tparam table client without a pause hook
-- @tparam table opts `dir` (the folder for the films), `jobs` (20 at a time), `lease` (30 s: after that,
-- others take over what this worker leaves behind), `name`, `drain` (false; true: ends when the queue is
-- done), `idempotent` (false; true: the server honours Idempotency-Key, so that a POST whose answer was lost
-- may be sent again), `settle` (how many seconds after a lost POST its job may appear in the server's list,
-- by default the timeout of an attempt), `keep` (after how many seconds tasks that were saved are forgotten,
-- by default never), `on_progress(entry)` with { id, state, prompt, path, job, progress, err }, which stops
-- the worker by returning false; interval, max_interval, timeout, max_failures and max_rate as for `watch`,
-- headers and query
-- @treturn Worker
function Queue:worker(client, opts)
  return worker.new(self.store, client, opts)
end

--- Closes the connection.
function Queue:close()
  if self.store.close then self.store:close() end
end

return work
