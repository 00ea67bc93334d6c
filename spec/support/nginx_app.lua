--- The code that runs inside nginx for spec/loop/openresty_spec.lua: a video server, and locations that use
-- the client.
-- Owns the client of each worker, and one made before the fork. Invariant: a location responds with the
-- client's result or the kind of its error; it checks nothing.

-- luacheck: std +ngx_lua
local cjson = require("cjson.safe").new()
local openresty = require "sora.loop.openresty"
local semaphore = require "ngx.semaphore"
local sora = require "sora"

local app = {}
local client, before_fork

local function settings()
  return { base_url = os.getenv("UPSTREAM") .. "/v1", api_key = "sk-spec", max_retries = 0, timeout = 20,
    max_connections = 256 }
end

-- Returns the worker's client, created when it is first needed.
local function get_client()
  client = client or openresty(assert(sora.new(settings())))
  return client
end

local function told(video, err)
  return video and video.id or "error: " .. tostring(err.kind or err)
end

-- The server of videos ---------------------------------------------------------------

local STATES = { "queued", "in_progress", "completed" }

local function state_of(id)
  if id:find("^endless_") then return "queued" end
  if not id:find("^job_") then return "completed" end
  return STATES[math.min(ngx.shared.notes:incr("polls of " .. id, 1, 0), #STATES)]
end

--- Handles GET and POST /v1/videos…: each response takes 50 ms, for an id with "held" until /release is
-- called. Ids "job_…" are completed at the third poll, "endless_…" never, others at once.
function app.upstream()
  local notes = ngx.shared.notes
  local id, below = ngx.var.uri:match("^/v1/videos/([^/]+)(.*)$")
  local created = ngx.req.get_method() == "POST"
  if created then
    id = "job_" .. notes:incr("jobs", 1, 0)
    local gate = ngx.var.arg_gate
    if gate then
      notes:set("at gate " .. gate, true)
      while not notes:get("open " .. gate) do ngx.sleep(0.01) end
    end
  end
  notes:incr("seen " .. id, 1, 0)
  repeat ngx.sleep(0.05) until not id:find("held") or notes:get("released")
  if below == "/content" then
    ngx.header["Content-Type"] = "video/mp4"
    return ngx.print(("film"):rep(id == "long" and 5e6 or 1000))
  end
  ngx.header["Content-Type"] = "application/json"
  ngx.print(cjson.encode { id = id, status = created and "queued" or state_of(id) })
end

--- Responds with the number of requests for an id.
function app.seen()
  ngx.print(ngx.shared.notes:get("seen " .. ngx.var.arg_id) or 0)
end

--- Whether a create waits at a gate; opens it.
function app.at_gate()
  ngx.print(ngx.shared.notes:get("at gate " .. ngx.var.arg_name) and "1" or "0")
end

function app.open_gate()
  ngx.shared.notes:set("open " .. ngx.var.arg_name, true)
end

function app.release()
  ngx.shared.notes:set("released", true)
end

-- Where the client may block ---------------------------------------------------------

--- Fetches the video named in the query and responds with its id.
function app.get()
  ngx.print(told(get_client():get_video(ngx.var.arg_id)))
end

--- Does the same in an earlier phase: keeps the answer for `app.say`.
function app.get_early()
  ngx.ctx.answer = told(get_client():get_video(ngx.var.arg_id))
end

function app.say()
  ngx.print(ngx.ctx.answer)
end

--- Fetches the video in a timer; the request waits for it.
function app.get_in_timer()
  local id, answer, made = ngx.var.arg_id, nil, semaphore.new()
  assert(ngx.timer.at(0, function()
    answer = ngx.get_phase() .. " " .. told(get_client():get_video(id))
    made:post()
  end))
  ngx.print(made:wait(10) and answer or "nothing came")
end

--- Creates a video and reports its progress.
function app.make()
  local job, err = get_client():create_video { prompt = "A lighthouse" }
  if not job then return ngx.say(told(nil, err)) end
  ngx.say("created ", job.id)
  local video
  video, err = get_client():wait(job.id, { interval = 0.05, on_progress = function(_, view)
    ngx.say(ngx.get_phase(), " ", view.state)
    ngx.flush(true)
  end })
  ngx.say("ended ", told(video, err))
end

function app.make_many()
  local ids = {}
  for i = 1, 10 do ids[i] = ("job_many_%s_%d"):format(ngx.var.arg_id, i) end
  for _, result in ipairs(get_client():wait_all(ids, { interval = 0.05 })) do
    ngx.say(told(result.video, result.err))
  end
end

--- Passes a video on as it comes, 20 MB of it: the sink writes to this request, and waits for its reader.
function app.stream()
  local bytes = 0
  local file, err = get_client():download_video(ngx.var.arg_id, { sink = function(chunk)
    bytes = bytes + #chunk
    ngx.print(chunk)
    ngx.flush(true)
  end })
  if not file then ngx.print("error: ", err.message) end
  ngx.print(file and file.bytes == bytes and " whole" or " not whole")
end

function app.download()
  local file, err = get_client():download_video("film", os.getenv("DIR") .. "/film.mp4")
  ngx.print(file and file.bytes or told(nil, err))
end

--- Fetches two videos at once, each in a light thread.
function app.get_two()
  local function get(id) return told(get_client():get_video(id)) end
  local one, other = ngx.thread.spawn(get, "one"), ngx.thread.spawn(get, "other")
  local _, first = ngx.thread.wait(one)
  local _, second = ngx.thread.wait(other)
  ngx.print(first, " ", second)
end

--- Starts a fetch in a light thread and kills the thread while it waits.
function app.abandon()
  local thread = ngx.thread.spawn(function() get_client():get_video(ngx.var.arg_id) end)
  ngx.sleep(0.01)
  ngx.print(ngx.thread.kill(thread) and "killed" or "it had ended")
end

--- Watches a job and responds at once; the adapter's timer keeps polling the job.
function app.watch()
  local id = ngx.var.arg_id
  assert(get_client():watch(id, { interval = 0.05, on_done = function(video, err)
    ngx.shared.notes:set("watched " .. id, told(video, err))
  end }))
  get_client():pause(0)
  ngx.print("watching")
end

function app.watched()
  ngx.print(ngx.shared.notes:get("watched " .. ngx.var.arg_id) or "")
end

--- Fetches a video while the callback of another call raises an error.
function app.get_beside_error()
  assert(get_client():start("get_video", "mine", { on_done = function() error("a mistake in on_done") end }))
  app.get()
end

-- The journal: lines in the workers' shared memory, and each append yields, as one to Redis would.
local keeper
local function get_keeper()
  if keeper then return keeper end
  local lines, options = ngx.shared.journal, settings()
  options.journal = {
    append = function(line)
      ngx.sleep(0.005)
      return lines:rpush("lines", line) ~= nil
    end,
    read = function()
      local at, all = 0, {}
      while lines:llen("lines") > 0 do all[#all + 1] = lines:lpop("lines") end
      for _, line in ipairs(all) do lines:rpush("lines", line) end
      return function()
        at = at + 1
        return all[at]
      end
    end,
  }
  keeper = openresty(assert(sora.new(options)))
  return keeper
end

--- Makes a job whose answer waits at a gate of the upstream, if there is one.
function app.create()
  local job, err = get_keeper():create_video({ prompt = ngx.var.arg_prompt },
    { query = { gate = ngx.var.arg_gate }, label = ngx.var.arg_prompt })
  ngx.print(told(job, err))
end

--- The states of all jobs of the journal with a prompt.
function app.journaled()
  local list = {}
  for _, ticket in ipairs(assert(get_keeper():journaled())) do
    if ticket.prompt == ngx.var.arg_prompt then
      list[#list + 1] = (ticket.id or "no id") .. " " .. (ticket.state or "unknown")
    end
  end
  ngx.print(table.concat(list, ","))
end

--- Tries to make a job where a coroutine can't yield; tells what was raised.
function app.inside_c()
  local raised = {}
  local function try(name, call)
    local good, problem = pcall(call)
    raised[#raised + 1] = name .. ": " .. (good and "nothing" or tostring(problem))
  end
  local function make() get_client():create_video { prompt = "inside" } end
  try("gsub", function() return (("x"):gsub("x", make)) end)
  try("sort", function() table.sort({ 1, 2, 3 }, make) end)
  ngx.print(table.concat(raised, "\n"))
end

-- Where the client cannot block ------------------------------------------------------

--- Tries a blocking call; returns the error that it raises.
function app.try()
  local _, problem = pcall(get_client().get_video, get_client(), "forbidden")
  return tostring(problem)
end

--- Tries the same and keeps the error for `app.tried`.
function app.try_in(name)
  ngx.shared.notes:set("tried in " .. name, app.try())
end

function app.tried()
  ngx.print(ngx.shared.notes:get("tried in " .. ngx.var.arg_name) or "")
end

function app.balance()
  app.try_in("balancer")
  assert(require("ngx.balancer").set_current_peer("127.0.0.1", tonumber(ngx.var.server_port)))
end

--- Runs in the master: makes a client that has an open connection when the workers are forked.
function app.init()
  before_fork = assert(sora.new(settings()))
  ngx.shared.notes:set("before fork", told(before_fork:get_video("before_fork")))
  openresty(before_fork)
  local _, problem = pcall(before_fork.get_video, before_fork, "forbidden")
  ngx.shared.notes:set("tried in init", tostring(problem))
end

--- Uses the master's client in the worker, with every kind of call.
function app.forked()
  local id = ngx.var.arg_id
  ngx.say(ngx.shared.notes:get("before fork"))
  ngx.say(told(before_fork:get_video(id)))
  ngx.say(told(before_fork:create_video { prompt = "A lighthouse" }))
  ngx.say(told(before_fork:wait(id, { timeout = 5 })))
  ngx.say(told(before_fork:start("get_video", id)))
  ngx.say(told(before_fork:watch(id)))
  ngx.say(told(before_fork:update(0)))
  before_fork:pause(0)
  ngx.say(told(nil, before_fork:wait_all({ id })[1].err))
end

-- The worker -------------------------------------------------------------------------

--- Responds with the worker's process id and its next random numbers.
function app.random()
  ngx.print(ngx.worker.pid())
  for _ = 1, 20 do ngx.print((" %.17g"):format(require("sora.core").random())) end
end

--- Responds with the worker's process id, its timers, and the number of its client's pending calls.
function app.worker()
  ngx.print(cjson.encode { pid = ngx.worker.pid(), running = ngx.timer.running_count(),
    pending = ngx.timer.pending_count(),
    calls = (client and client:update(0) or 0) + (keeper and keeper:update(0) or 0) })
end

return app
