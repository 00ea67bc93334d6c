--- Finding and fetching a file.
-- Owns where the bytes of a finished job may be: at /content, at a URL that an answer or the job holds, or
-- inside the answer. Invariant: every file is fetched by the same kind of transfer, which alone decides who
-- sees credentials; a part file is resumed or removed.
-- @module sora.download
-- @local

local core = require "sora.core"
local endpoints = require "sora.endpoints"
local journal = require "sora.journal"
local normalize = require "sora.normalize"
local pump = require "sora.pump"

core.own()

local download = {}

local MAX_TRIES = 4 -- addresses to try for one file

-- Answers of a server that has no /content, or no file yet.
local ELSEWHERE = { [400] = true, [404] = true, [405] = true, [409] = true, [425] = true, [501] = true }
-- Answers for a signed URL that has expired.
local EXPIRED = { [400] = true, [401] = true, [403] = true, [404] = true, [410] = true }

local function not_ready(state, err)
  return core.error { kind = "api", code = "not_ready", status = err.status, retryable = true,
    message = ("the video is not ready: the job is %s"):format(state), request_id = err.request_id }
end

-- Decodes "data:video/mp4;base64,AAAA" (RFC 2397).
local function from_data_url(url)
  local form, data = url:match("^data:([^,]*),(.*)$")
  if not form then return nil end
  if form:find(";base64", 1, true) then return core.unbase64(data) end
  return (data:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Calls a listener, if there is one. Returns the error that ends the download if it raises or returns false.
local function tell(target, name, ...)
  if not target[name] then return nil end
  local good, result = pcall(target[name], ...)
  if good and result ~= false then return nil end
  return core.error { kind = "cancelled", message = good and name .. " stopped the download"
    or ("%s raised an error: %s"):format(name, tostring(result)) }
end

-- Hands over bytes that came inside JSON.
local function deliver(target, bytes, err)
  if bytes:find("^[%s\239\187\191]*[{%[<]") then -- JSON or HTML, as receive.c tells them
    err.message = "what the answer holds is no video"
    return nil, err
  end
  local stopped = tell(target, "sink", bytes) or tell(target, "on_progress", #bytes, #bytes)
  if stopped then return nil, stopped end
  if target.sink then return { bytes = #bytes } end
  local saved, problem = core.save(target.path, bytes)
  if not saved then return nil, problem end
  return { path = target.path, bytes = #bytes }
end

-- Finds the file in an answer: returns its address, or nil and its bytes.
local function find(body)
  local view = normalize.video(body)
  if view.url and view.url:find("^data:") then return nil, from_data_url(view.url) end
  if view.url then return { url = view.url } end
  local payload = normalize.payload(body)
  return nil, payload and (from_data_url(payload) or core.unbase64(payload))
end

-- Returns the error of a job that has no file because it is not completed.
local function check_state(video, err)
  local view = normalize.video(video)
  if view.state == "completed" then return nil end
  if not normalize.terminal(view.state) then return not_ready(view.state, err) end
  local cause = view.error or {}
  return core.error { kind = view.state == "deleted" and "cancelled" or view.state, code = cause.code,
    video = video, message = cause.message
      or "the job " .. (view.state == "failed" and "failed" or "was " .. view.state) }
end

-- Finds the file in the job, which may be known already.
local function find_in_job(client, id, err, opts, known)
  if known then
    local address, bytes = find(known)
    if address or bytes then return address, bytes, err end
  end
  local video, problem = client:get_video(id, opts)
  if not video then return nil, nil, problem.kind == "api" and err or problem end
  local unfinished = check_state(video, err)
  if unfinished then return nil, nil, unfinished end
  local address, bytes = find(video)
  return address, bytes, err
end

-- Decides what to do after a failed try: returns another address, or nil and bytes, or nil, nil and the
-- error.
local function find_elsewhere(client, id, tried, err, opts, known)
  if tried.url then
    if err.kind == "api" and EXPIRED[err.status] then return tried.content, nil, err end
    return nil, nil, err
  end
  if err.answer then
    local address, bytes = find(err.answer)
    if address or bytes then return address, bytes, err end
    local unfinished = check_state(err.answer, err)
    if unfinished then return nil, nil, unfinished end
  end
  if tried.variant or err.kind ~= "api" or not (err.answer or ELSEWHERE[err.status]) then
    return nil, nil, err
  end
  return find_in_job(client, id, err, opts, known)
end

-- Removes the part file, and the error's fields that only this module understands.
local function finish(err, target, response)
  if err.partial and target.path then os.remove(target.path .. ".part") end
  err.partial, err.answer = nil, nil
  return nil, err, response
end

-- Downloads a video without an id: the file is in it, or at the URL that it names.
local function from_video(client, video, target, opts)
  local address, bytes = find(video)
  local err = core.error { kind = "api", message = "the video names no file and has no id" }
  if bytes then return deliver(target, bytes, err) end
  if not address then return nil, err end
  local file, problem, response = pump.call(client, endpoints.file(target, address, "download_video"), opts)
  if file then return file, problem, response end
  return finish(problem, target, response)
end

local function run(client, id, target, opts, known)
  if known and id == nil then return from_video(client, known, target, opts) end
  local spec = endpoints.describe.download_video(client, id, target)
  local content = { path = spec.path, query = spec.query }
  local partial, last
  for _ = 1, MAX_TRIES do
    spec.partial, spec.keep_part = partial, target.resume ~= false
    local file, err, response = pump.call(client, spec, opts)
    if file then return file, err, response end
    partial = err.partial
    if partial and target.sink and not (partial.validator and target.resume ~= false) then
      return finish(err, target, response) -- the sink would get the beginning again
    end
    local tried = { url = spec.url, content = content, variant = target.variant }
    local address, bytes, problem = find_elsewhere(client, id, tried, err, opts, known)
    if bytes then
      finish(err, target)
      return deliver(target, bytes, err)
    end
    if not address then
      problem.partial = partial
      return finish(problem, target, response)
    end
    spec, last = endpoints.file(target, address, "download_video"), problem
  end
  last.partial = partial
  return finish(last, target)
end

--- Downloads the file of a job, and notes in the journal that it is saved, or gone.
-- @tparam table client
-- @param id
-- @tparam string|table target
-- @tparam ?table opts the options of a call
-- @tparam ?table known the finished video, if the caller has it
-- @tparam ?table job the answer of its create, which alone names a job without an id
-- @treturn[1] table { path =, bytes =, content_type = }
-- @treturn[2] nil
-- @treturn[2] table error
function download.run(client, id, target, opts, known, job)
  target = endpoints.target(target, "download_video")
  local file, err, response = run(client, id, target, opts, known)
  if target.variant == nil or target.variant == "video" then
    if file then
      journal.saved(client, id == nil and job or id, file.path, file.bytes)
    elseif err.status == 410 then
      journal.ended(client, id, "expired")
    end
  end
  return file, err, response
end

return download
