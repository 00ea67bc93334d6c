-- The jobs of all users: what is known of each, and who follows it to its film.
-- Owns the journal and the films in data/, the shared memory, and the worker's client. Invariants: a job is
-- asked for once, by `jobs.make`, after the journal has it; shared memory is a cache of the journal; worker 0
-- follows every job that the journal calls unfinished, so that a start, a reload and a crash are one path.
-- The name of a job, "USER/ID", is its label in the journal.

-- luacheck: std +ngx_lua
local cjson = require("cjson.safe").new()
local openresty = require "sora.loop.openresty"
local sora = require "sora"

local jobs = {}

local LIMITS = { at_once = 3, a_day = 20, everyone_a_day = 500 } -- films of a user, of a user, of all users
local DATA = ngx.config.prefix() .. "data/"
local WEBHOOK = os.getenv "SORA_WEBHOOK_URL"
local DAY = 86400    -- s
local SHOWN = 50     -- films in a user's list; at least LIMITS.a_day
local ASKING = 90    -- s; longer than the client's timeout: an answer that has not come by then is lost
local SYNC = 5       -- s; at least, between two looks into the journal
local SHARE = 20     -- of these, one at most is spent looking
local RETRY = 30     -- s; until a job that could not be followed is followed again
local UNLOCKED = 0.5 -- s; the same for a film that an exiting worker is still writing

local BUSY = { asked = true, queued = true, in_progress = true, completed = true }
local ENDED = { failed = true, cancelled = true, expired = true, deleted = true }

local films, state = ngx.shared.films, ngx.shared.state
local client

-- Returns the worker's client. One that is made before nginx forks the workers does not work in them.
local function get_client()
  client = client or openresty(assert(sora.new { journal = DATA .. "journal", max_connections = 256 }))
  return client
end

-- Shared memory --------------------------------------------------------------------------

--- Reads what is known of a film: { id, prompt, state, created, progress, error }, or nil.
function jobs.read(name)
  local film = cjson.decode(films:get(name) or "")
  if film and film.state == "asked" and ngx.time() - film.created > ASKING then film.state = "unsure" end
  return film
end

-- Changes some fields of a film.
local function show(name, fields)
  local film = cjson.decode(films:get(name) or "") or {}
  for field, value in pairs(fields) do film[field] = value end
  films:set(name, cjson.encode(film))
  films:incr("version " .. name:match "^%x+", 1, 0)
end

--- Lists the names of a user's films, oldest first.
function jobs.list(user)
  local list = {}
  for name in (films:get("list " .. user) or ""):gmatch "%S+" do list[#list + 1] = name end
  return list
end

--- Returns a number that changes whenever a film of the user does.
function jobs.version(user)
  return films:get("version " .. user)
end

-- Locks a user's list for a change that does not wait. The lock of a worker that was killed expires.
local function open_list(user)
  while not state:safe_add("lock " .. user, true, 5) do ngx.sleep(0.01) end
  return jobs.list(user)
end

local function close_list(user, list)
  films:set("list " .. user, table.concat(list, " ", math.max(1, #list - SHOWN + 1)))
  state:delete("lock " .. user)
end

-- Making ---------------------------------------------------------------------------------

local function limit(message, seconds) return { kind = "limit", message = message, retry_after = seconds } end

-- Returns why a user can't have another film now, or nil.
local function over_limit(list)
  local now, busy, recent = ngx.time(), 0, {}
  for _, name in ipairs(list) do
    local film = jobs.read(name) or { state = "refused" }
    if BUSY[film.state] then busy = busy + 1 end
    if film.state ~= "refused" and film.created > now - DAY then recent[#recent + 1] = film.created end
  end
  if busy >= LIMITS.at_once then return limit("Please wait until one of your films is ready.", 10) end
  if #recent >= LIMITS.a_day then
    return limit(("You can make %d films a day."):format(LIMITS.a_day), recent[1] + DAY - now)
  end
  if (state:get "today" or 0) >= LIMITS.everyone_a_day then
    return limit("No more films can be made today.", DAY / 24)
  end
end

-- Takes up a film if it is new and allowed. Returns the film and whether it is new, or nil, err.
local function add(name, user, id, prompt)
  local list = open_list(user)
  local film = jobs.read(name)
  local err = not film and over_limit(list) or nil
  local is_new = not film and not err
  if is_new then
    film = { id = id, prompt = prompt, state = "asked", created = ngx.time() }
    list[#list + 1] = name
    show(name, film)
    state:incr("today", 1, 0)
  end
  close_list(user, list)
  return film, err or is_new
end

--- Asks for a film, and returns when the server has answered: the film, and whether it is new; or nil and an
-- error, of the kind `limit` or of the client. One whose id is known is not asked for again.
function jobs.make(user, id, prompt)
  local name = user .. "/" .. id
  local film, is_new = add(name, user, id, prompt)
  if is_new ~= true then return film, is_new end
  local job, err = get_client():create_video({ prompt = prompt, model = os.getenv "SORA_MODEL",
    webhook_url = WEBHOOK }, { label = name, max_retries = 0 })
  local job_id = job and sora.normalize(job).id
  if job_id then
    state:rpush("made", name .. " " .. job_id) -- tells worker 0 at once; it would see it in the journal
    return film, true
  end
  err = err or { ambiguous = true, message = "the answer has no id" }
  ngx.log(ngx.ERR, name, ": ", tostring(err))
  show(name, { state = err.ambiguous and "unsure" or "refused" })
  return nil, err
end

-- Following: in worker 0 -------------------------------------------------------------------

local following = {} -- name → the watched job, or the handle of the download
local later = {}     -- name → { at =, id = } of a job to follow again
local over = {}      -- names of jobs that are over, and shown so
local size, synced, next_sync = -1, 0, 0

--- Returns the path of a film in data/. It begins with the user, so nobody can name another's.
function jobs.file(name)
  return name:gsub("/", "-") .. ".mp4"
end

local function put_off(name, job_id, err)
  following[name] = nil
  later[name] = { id = job_id, at = ngx.now() + (err.code == "locked" and UNLOCKED or RETRY) }
  ngx.log(ngx.WARN, name, ": ", tostring(err))
end

local function finish(name, fields)
  following[name], over[name] = nil, true
  show(name, fields)
end

local function save(name, job_id)
  local handle, err
  handle, err = client:start("download_video", job_id, DATA .. jobs.file(name), {
    on_done = function(file, problem)
      if following[name] ~= handle then return end
      if file then return finish(name, { state = "saved" }) end
      put_off(name, job_id, problem)
    end })
  following[name] = handle
  if not handle then put_off(name, job_id, err) end
end

local function follow(name, job_id)
  if following[name] or over[name] then return end
  local job
  job = assert(client:watch(job_id, { interval = WEBHOOK and 30 or 1, max_interval = WEBHOOK and 60 or 5,
    on_progress = function(_, view)
      if not ENDED[view.state] then show(name, { state = view.state, progress = view.progress }) end
    end,
    on_done = function(video, err)
      if following[name] ~= job then return end
      if video then return save(name, job_id) end
      local view = sora.normalize(err.video or {})
      if not ENDED[view.state] then return put_off(name, job_id, err) end
      finish(name, { state = view.state, error = view.error and view.error.message })
    end }))
  following[name] = job
end

-- Polls a job at once.
local function hurry(job_id)
  for name, job in pairs(following) do
    if job.id == job_id then
      following[name] = nil
      job:cancel()
      return follow(name, job_id)
    end
  end
end

-- Tells the state of a job as the page has it.
local function state_of(ticket)
  if ticket.path then return "saved" end
  if not ticket.over then return ticket.id and (ticket.state or "queued") or "asked" end
  return ticket.state ~= "completed" and ticket.state or "forgotten"
end

local function take_ticket(name, ticket)
  if over[name] then return end
  local film, now = jobs.read(name), state_of(ticket)
  if not film or ticket.over and film.state ~= now then
    show(name, { id = name:match "%x+$", prompt = ticket.prompt, created = ticket.created, state = now })
  end
  over[name] = ticket.over
  if ticket.id and not later[name] then follow(name, ticket.id) end
end

-- Shows what the journal knows and shared memory does not, and follows what is unfinished.
local function read_journal()
  local began, lists, known, today = ngx.now(), {}, {}, 0
  for _, ticket in ipairs(assert(client:journaled())) do
    local name = ticket.label or ""
    local user = name:match "^(%x+)/%x+$"
    if user then
      take_ticket(name, ticket)
      lists[user] = lists[user] or {}
      table.insert(lists[user], name)
      known[name] = true
      if ticket.state ~= "refused" and ticket.created > began - DAY then today = today + 1 end
    end
  end
  for user, list in pairs(lists) do
    for _, name in ipairs(open_list(user)) do
      local film = not known[name] and jobs.read(name)
      if film and film.state == "unsure" then show(name, { state = "unsent" }) end -- its worker was killed
      if film then list[#list + 1] = name end
    end
    close_list(user, list)
  end
  state:set("today", today)
  synced, next_sync = began, ngx.now() + math.max(SYNC, SHARE * (ngx.now() - began))
end

-- Reads the journal if it has grown, and once a minute, because time passes.
local function sync()
  if ngx.now() < next_sync then return end
  local file = io.open(DATA .. "journal", "rb")
  local grown = file and file:seek "end" or 0
  if file then file:close() end
  if grown == size and ngx.now() - synced < 60 then return end
  read_journal()
  size = grown
end

-- Takes what is new.
local function turn()
  get_client()
  sync()
  state:set("ready", true)
  for line in function() return state:lpop "made" end do follow(line:match "^(%S+) (.*)$") end
  for job_id in function() return state:lpop "ended" end do hurry(job_id) end
  for name, job in pairs(later) do
    if ngx.now() >= job.at then
      later[name] = nil
      follow(name, job.id)
    end
  end
  if next(following) then client:pause(0) end -- starts the pump, unless it runs
end

-- Follows all jobs until this worker exits. Its successor reads the journal, and resumes the downloads.
local function lead(premature)
  while not (premature or ngx.worker.exiting()) do
    local good, problem = pcall(turn)
    if not good then
      ngx.log(ngx.ERR, tostring(problem))
      ngx.sleep(1)
    end
    ngx.sleep(0.05)
  end
  local left = following
  following = {}
  for _, job in pairs(left) do job:cancel() end
end

--- Starts the work of a worker.
function jobs.start()
  if ngx.worker.id() == 0 then assert(ngx.timer.at(0, lead)) end
end

--- Tells whether shared memory has what the journal knows; waits for that after a start.
function jobs.ready()
  for _ = 1, 50 do
    if state:get "ready" then return true end
    ngx.sleep(0.1)
  end
end

--- Takes note that the video server says a job has ended.
function jobs.ended(job_id)
  state:rpush("ended", job_id)
end

return jobs
