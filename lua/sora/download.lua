--- Finding and fetching a file.
-- Owns where the bytes of a finished job may be: at /content, at a URL that an answer or the job holds, or
-- inside the answer; and how long a file may come late. One sequence of calls serves the blocking method, the
-- pause hook and `start`; `sink` and `on_progress` are called in its coroutine, where they may wait.
-- Invariant: every file is fetched by the same kind of transfer, which alone decides who sees credentials; a
-- target has one owner from the first request on; a part file is resumed or removed.
-- @module sora.download
-- @local

local core = require "sora.core"
local endpoints = require "sora.endpoints"
local journal = require "sora.journal"
local json = require "sora.json"
local normalize = require "sora.normalize"
local pump = require "sora.pump"
local task = require "sora.task"
local values = require "sora.normalize.values"

core.own()

local download = {}

local MAX_TRIES = 4   -- addresses to try for one file
local RECENT = 60     -- s; the file of a job that ended less than that ago may come late
local GRACE = 30      -- s; for so long it is asked for again
local SHORT_GRACE = 10 -- s; where nobody knows when the job ended
local FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.5, 5, 1.5

-- Answers for a signed URL that has expired.
local EXPIRED = { [400] = true, [401] = true, [403] = true, [404] = true, [410] = true }
-- Answers in place of a file that may come late.
local LATE = { [202] = true, [400] = true, [403] = true, [404] = true, [409] = true, [425] = true }

-- Answers of servers that have no /content.
local NO_CONTENT = { [404] = true, [405] = true, [501] = true }

-- Listeners --------------------------------------------------------------------------

-- Calls a listener, if there is one. Returns the error that ends the download if it raises or returns false.
-- What it raises where no pcall can be yielded through ends the download by itself.
local function tell(self, name, ...)
  local listener = self.target[name]
  if not listener then return nil end
  local good, result = true -- luacheck: ignore 311
  if pump.can_protect(self.client) then
    good, result = pcall(listener, ...)
  else
    result = listener(...)
  end
  if good and result ~= false then return nil end
  return core.error({ kind = "cancelled", message = good and name .. " stopped the download"
    or ("%s raised an error: %s"):format(name, tostring(result)) }, self.client)
end

-- What is in an answer ---------------------------------------------------------------

local DATA_URL = "^[Dd][Aa][Tt][Aa]:([^,]*),(.*)$"

-- Decodes "data:video/mp4;base64,AAAA" (RFC 2397).
local function from_data_url(url)
  local form, data = url:match(DATA_URL)
  if not form then return nil end
  if data:find("%", 1, true) then
    data = data:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  end
  if values.lower(form):find(";base64", 1, true) then return core.unbase64(data) end
  return data
end

-- The film that a create was answered with: see `create_video`.
local function raw_film(video)
  return video.id == nil and video.content_type and type(video.data) == "string" and video.data or nil
end

-- Finds the file in an answer: returns its address, or nil and its bytes.
local function find(body)
  if raw_film(body) then return nil, body.data end
  local view = normalize.video(body)
  if view.url and view.url:find(DATA_URL) then return nil, from_data_url(view.url) end
  if view.url then return { url = view.url } end
  local payload = normalize.payload(body)
  return nil, payload and (from_data_url(payload) or core.unbase64(payload))
end

local function not_ready(state, err)
  return core.error { kind = "api", code = "not_ready", status = err.status, retryable = true,
    message = ("the video is not ready: the job is %s"):format(state), request_id = err.request_id }
end

-- Returns the error of a job that has no file because it is not completed.
local function check_state(self, video, err)
  local view = normalize.video(video)
  if view.state == "completed" then return nil end
  if not normalize.terminal(view.state) then return not_ready(view.state, err) end
  local cause = view.error or {}
  return core.error({ kind = view.state == "deleted" and "cancelled" or view.state, code = cause.code,
    video = video, message = cause.message
      or "the job " .. (view.state == "failed" and "failed" or "was " .. view.state),
    type = cause.type, param = cause.param, reason = cause.reason, request_id = err.request_id }, self.client)
end

-- The target -------------------------------------------------------------------------

-- What the note beside a part file says: whose bytes they are.
local function describe(self, validator, total)
  return { id = tostring(self.id), base_url = self.client.base_url, variant = self.target.variant or "video",
    validator = validator, total = total }
end

-- Writes the note. That it can't be written costs no more than a later process's resuming.
local function write_note(self, validator, total)
  if not (self.part and self.id ~= nil and self.target.resume ~= false) then return end
  self.part:note(json.encode(describe(self, validator, total)))
end

-- Returns what another process has left of this very file, if the note says so.
local function read_note(self)
  if not (self.part and self.id ~= nil and self.target.resume ~= false) then return nil end
  local text = self.part:note()
  local note = text and json.decode(text)
  if type(note) ~= "table" or type(note.validator) ~= "string" then return nil end
  for name, value in pairs(describe(self, note.validator, note.total)) do
    if note[name] ~= value then return nil end
  end
  return { validator = note.validator, total = type(note.total) == "number" and note.total or nil }
end

-- Opens a part file. An owner whose code was left by an error, and which is not collected yet, gives it up.
local function open_part(target)
  local part, err = core.part(target.path, target.sync)
  if part or err.code ~= "locked" then return part, err end
  collectgarbage()
  return core.part(target.path, target.sync)
end

--- Opens and locks the file that a target names, so that what could not be kept is not asked for.
-- @tparam table target from `endpoints.target`
-- @treturn[1] table|boolean the part file; false: the target is a sink
-- @treturn[2] nil
-- @treturn[2] table `file` error
function download.reserve(target)
  if target.sink then return false end
  local part, err = open_part(target)
  if not part then return nil, err end
  task.hold(part)
  return part
end

--- Runs code that uses a part file and closes that afterwards, whatever happens.
function download.with(client, part, code)
  if not part then return code() end
  local function close(good, ...)
    part:close()
    if not good then error((...), 0) end
    return ...
  end
  if pump.can_protect(client) then return close(pcall(code)) end
  return close(true, code())
end

-- Puts the file in place, or says how many bytes the sink has had.
local function settle(self, file)
  if self.part then
    local placed, err = self.part:commit()
    if not placed then return nil, err end
    file.path = self.target.path
  end
  local variant = self.target.variant or "video"
  if variant == "video" then
    journal.saved(self.client, self.id == nil and self.job or self.id, file.path, file.bytes)
  end
  return file
end

--- Takes the film that a create was answered with, and that is in the part file already.
function download.finish(client, target, part, job)
  local self = { client = client, target = target, part = part, job = job }
  local stopped = tell(self, "on_progress", job.bytes, job.bytes)
  if stopped then return nil, stopped end
  return settle(self, { bytes = job.bytes, content_type = job.content_type })
end

-- Hands over bytes that came inside JSON.
local function deliver(self, bytes, err, content_type)
  if bytes:find("^[%s\239\187\191]*[{%[<]") then -- JSON or HTML, as receive.c tells them
    err.message = "expected a video in the answer, got JSON or HTML"
    return nil, err
  end
  local stopped = tell(self, "sink", bytes) or tell(self, "on_progress", #bytes, #bytes)
  if stopped then return nil, stopped end
  if self.part then
    local saved, problem = self.part:save(bytes)
    if not saved then return nil, problem end
    self.part = nil
  end
  local file, problem = settle(self, { bytes = #bytes, content_type = content_type })
  if file then file.path = self.target.path end
  return file, problem
end

-- Fetching ---------------------------------------------------------------------------

-- Fetches the file from an address; returns what the call does.
local function fetch(self, address)
  local spec = endpoints.file(self.target, address, self.who)
  spec.file, spec.partial = self.part, self.partial
  local target, noted = self.target, nil
  local file, err, response = pump.receive(self.client, spec, self.opts,
    function(chunk, received, total, validator)
      if validator and validator ~= noted then
        noted = validator
        write_note(self, validator, total)
      end
      local stopped = chunk and tell(self, "sink", chunk) or tell(self, "on_progress", received, total)
      return stopped, target.sink or target.on_progress
    end)
  if file then
    file, err = settle(self, file)
  elseif err.partial then
    local resumable = err.partial.validator and target.resume ~= false
    self.stuck = target.sink and not resumable -- it would get the beginning again
    self.partial = resumable and err.partial or nil
  end
  return file, err, response
end

-- Whether the server has answered, with something else than a file or the way to it.
local function is_answer(err)
  local status = err.status or 0
  return (status == 200 or status == 202 or status >= 400) and (err.kind == "api" or err.kind == "decode")
end

-- Finds the file in the job, which may be known already. Asks for it once for each address that has expired.
local function find_in_job(self, err)
  if self.known then
    local address, bytes = find(self.known)
    if address or bytes then return address, bytes, err end
  end
  if self.asked then return nil, nil, err end
  self.asked = true
  local video, problem = pump.get_video(self.client, self.id, self.opts)
  if not video then return nil, nil, problem.status and err or problem end
  local unfinished = check_state(self, video, err)
  if unfinished then return nil, nil, unfinished end
  self.completed = video
  local address, bytes = find(video)
  return address, bytes, err
end

-- Decides what to do after a failed try: returns another address, or nil and bytes, or nil, nil and the
-- error.
local function find_elsewhere(self, tried, err)
  if tried.url then
    if self.content and err.kind == "api" and EXPIRED[err.status] then
      self.asked = false
      return self.content, nil, err
    end
    return nil, nil, err
  end
  if err.answer then
    local address, bytes = find(err.answer)
    if address or bytes then return address, bytes, err end
    local unfinished = check_state(self, err.answer, err)
    if unfinished then return nil, nil, unfinished end
  end
  if self.target.variant or not is_answer(err) then return nil, nil, err end
  return find_in_job(self, err)
end

-- Late files -------------------------------------------------------------------------

-- Whether the file is known to be gone for good.
local function is_gone(self, err)
  local code = values.lower(tostring(err.code))
  local expires = self.completed and self.completed.expires_at
  return err.status == 410 or code:find("expired", 1, true) or code:find("gone", 1, true)
    or type(expires) == "number" and expires > 0 and expires < os.time()
end

-- Returns how long the job has been completed, in seconds; nil: nobody knows.
local function age(self)
  if self.ended then return core.now() - self.ended end
  local at = normalize.video(self.completed).completed_at
  return at and os.time() - at
end

-- Returns for how long to ask for the file again, in seconds; nil: not at all.
local function grace(self, tried, err)
  if not (self.content and self.completed) or err.kind ~= "api" or not LATE[err.status] then return nil end
  local known = age(self)
  if known and known > RECENT or is_gone(self, err) then return nil end
  if tried.url and not (known and err.status ~= 400) then return nil end -- it has expired
  local seconds = self.target.grace or (known and GRACE or SHORT_GRACE)
  return seconds > 0 and seconds or nil
end

-- Waits until a late file is worth another request. Returns whether it is.
local function wait_for_file(self, tried, err)
  local seconds = not self.until_ and grace(self, tried, err)
  if seconds then self.until_, self.pause = core.now() + seconds, FIRST_PAUSE end
  local left = self.until_ and LATE[err.status] and self.until_ - core.now()
  if not left then return false end
  if left <= 0 then
    err.code, err.retryable = "not_fetched", true
    err.message = "the job is completed, but its file is not there yet: " .. err.message
    return false
  end
  pump.sleep(self.client, math.min(left, math.max(self.pause, err.retry_after or 0)))
  self.pause = math.min(self.pause * GROWTH, LONGEST_PAUSE)
  return true
end

-- Tells the journal that a job is over because its file is gone. 400 and 403 may have another reason, such as
-- the key, so they close nothing.
local function note_gone(self, err)
  if not self.completed or self.id == nil or self.target.variant then return end
  if is_gone(self, err) or err.code == "not_fetched" and err.status == 404 and not self.ended then
    journal.ended(self.client, self.id, "expired")
  end
end

-- Says of a completed job that no file of it is anywhere, in place of what the server says of a path.
local function explain(self, tried, err)
  if err.kind ~= "api" or not NO_CONTENT[err.status] or tried.url or err.code == "not_fetched" then return end
  if not self.completed or self.target.variant or is_gone(self, err) then return end
  local address, bytes = find(self.completed)
  if address or bytes then return end
  err.code, err.reason = "no_file", "not_found"
  err.message = ("the job is completed, but it has no file: it names no URL, and its /content answered %d "
    .. "(%s)"):format(err.status, err.message)
end

-- The sequence -----------------------------------------------------------------------

local function find_and_fetch(self, address)
  local tries = 0
  while true do
    local file, err, response = fetch(self, address)
    if file or self.stuck then return file, err, response end
    local next_address, bytes, problem = find_elsewhere(self, address, err)
    if bytes then return deliver(self, bytes, err) end
    tries = tries + 1
    if not next_address or tries >= MAX_TRIES then
      if not wait_for_file(self, address, problem) then
        note_gone(self, problem)
        explain(self, address, problem)
        return nil, problem, response
      end
      next_address = self.content
    end
    address = next_address
  end
end

-- Removes the fields that only this module understands.
local function clean(file, err, response)
  if err then err.partial, err.answer = nil, nil end
  return file, err, response
end

-- Downloads a video without an id: the file is in it, or at the URL that it names.
local function from_video(self)
  local address, bytes = find(self.known)
  local err = core.error { kind = "api", message = "the video has neither an id nor the URL of a file" }
  if bytes then return deliver(self, bytes, err, raw_film(self.known) and self.known.content_type) end
  if not address then return nil, err end
  return find_and_fetch(self, address)
end

--- Downloads the file of a job to a target that is reserved.
-- @tparam table self client, id, target, part, opts (of the calls) and who (the method's name); and where
-- they are known: `known`, the completed video, and `ended`, when this process saw it end, by `core.now()`
-- @treturn[1] table { path =, bytes =, content_type = }
-- @treturn[2] nil
-- @treturn[2] table error
function download.fetch(self)
  if self.known and normalize.video(self.known).state == "completed" then self.completed = self.known end
  if self.id == nil then return clean(from_video(self)) end
  self.partial = read_note(self)
  self.content = endpoints.content(self.client, self.id, self.target, self.who)
  return clean(find_and_fetch(self, self.content))
end

--- Checks the arguments of `download_video`; misuse raises.
-- @treturn function the code that downloads
function download.prepare(client, id, target, opts)
  local who = "download_video"
  target = endpoints.target(target, who)
  local known = type(id) == "table" and normalize.video(id).id == nil and find(id) and id or nil
  if type(id) == "table" and raw_film(id) then known = id end
  if known then
    id = nil
  else
    id = endpoints.id_of(id, who, client)
    endpoints.content(client, id, target, who)
  end
  if opts ~= nil then opts = core.check_call(opts, who) end
  local function run()
    local usable, err = core.usable(client)
    if not usable then return nil, err end
    local part
    part, err = download.reserve(target)
    if part == nil then return nil, err end
    return download.with(client, part, function()
      return download.fetch { client = client, id = id, target = target, part = part or nil, opts = opts,
        who = who, known = known }
    end)
  end
  return run
end

return download
