--- Finding and fetching a file.
-- Owns where the bytes of a finished job may be: behind /content, behind a URL that an answer or the job
-- carries, or in the answer itself. Invariant: whatever is found is fetched by the same transfer, which
-- alone decides who sees credentials; a part that was kept is gone on from or removed.
-- @module sora.download

local core = require "sora.core"
local normalize = require "sora.normalize"
local videos = require "sora.videos"

core.own()

local download = {}

local MOST_PLACES = 4 -- tried for one file

-- A server that has no /content, or no file yet, says so with one of these.
local ELSEWHERE = { [400] = true, [404] = true, [405] = true, [409] = true, [425] = true, [501] = true }
-- A signed URL that has expired.
local EXPIRED = { [400] = true, [401] = true, [403] = true, [404] = true, [410] = true }

local function not_ready(state, err)
  return core.error { kind = "api", code = "not_ready", status = err.status, retryable = true,
    message = ("the video is not ready: the job is %s"):format(state), request_id = err.request_id }
end

-- "data:video/mp4;base64,AAAA" (RFC 2397)
local function from_data_url(url)
  local form, data = url:match("^data:([^,]*),(.*)$")
  if not form then return nil end
  if form:find(";base64", 1, true) then return core.unbase64(data) end
  return (data:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Calls a listener, if there is one; what it raises, or `false`, ends the download with this error.
local function hear(target, name, ...)
  if not target[name] then return nil end
  local good, result = pcall(target[name], ...)
  if good and result ~= false then return nil end
  return core.error { kind = "cancelled", message = good and name .. " stopped the download"
    or ("%s raised an error: %s"):format(name, tostring(result)) }
end

-- Bytes that came inside JSON.
local function deliver(target, bytes, err)
  if bytes:find("^[%s\239\187\191]*[{%[<]") then -- JSON or HTML, as receive.c tells them
    err.message = "what the answer holds is no video"
    return nil, err
  end
  local stopped = hear(target, "sink", bytes) or hear(target, "on_progress", #bytes, #bytes)
  if stopped then return nil, stopped end
  if target.sink then return { bytes = #bytes } end
  local saved, problem = core.save(target.path, bytes)
  if not saved then return nil, problem end
  return { path = target.path, bytes = #bytes }
end

-- Where the file is by what an answer says: a place, or bytes.
local function look_in(body)
  local view = normalize.video(body)
  if view.url and view.url:find("^data:") then return nil, from_data_url(view.url) end
  if view.url then return { url = view.url } end
  local payload = normalize.payload(body)
  return nil, payload and (from_data_url(payload) or core.unbase64(payload))
end

-- Why a job has no file, unless it is completed.
local function why_none(video, err)
  local view = normalize.video(video)
  if view.state == "completed" then return nil end
  if not normalize.terminal(view.state) then return not_ready(view.state, err) end
  local cause = view.error or {}
  return core.error { kind = view.state == "deleted" and "cancelled" or view.state, code = cause.code,
    video = video, message = cause.message
      or "the job " .. (view.state == "failed" and "failed" or "was " .. view.state) }
end

-- What /content did not give may stand in the job, which may be known already.
local function ask_job(client, id, err, opts, known)
  if known then
    local place, bytes = look_in(known)
    if place or bytes then return place, bytes, err end
  end
  local video, problem = client:get_video(id, opts)
  if not video then return nil, nil, problem.kind == "api" and err or problem end
  local unfinished = why_none(video, err)
  if unfinished then return nil, nil, unfinished end
  local place, bytes = look_in(video)
  return place, bytes, err
end

-- After a failure: another place, or bytes, or the error to end with.
local function where(client, id, state, err, opts, known)
  if state.url then
    if err.kind == "api" and EXPIRED[err.status] then return state.content, nil, err end
    return nil, nil, err
  end
  if err.answer then
    local place, bytes = look_in(err.answer)
    if place or bytes then return place, bytes, err end
    local unfinished = why_none(err.answer, err)
    if unfinished then return nil, nil, unfinished end
  end
  if state.variant or err.kind ~= "api" or not (err.answer or ELSEWHERE[err.status]) then
    return nil, nil, err
  end
  return ask_job(client, id, err, opts, known)
end

-- An error leaves without what only this module understands; a part that nobody will go on with goes.
local function finish(err, target, response)
  if err.partial and target.path then os.remove(target.path .. ".part") end
  err.partial, err.answer = nil, nil
  return nil, err, response
end

-- A video without an id has its file in itself, or at the address that it names.
local function from_video(client, video, target, opts, perform)
  local place, bytes = look_in(video)
  local err = core.error { kind = "api", message = "the video names no file and has no id" }
  if bytes then return deliver(target, bytes, err) end
  if not place then return nil, err end
  local file, problem, response = perform(client, videos.file(target, place, "download_video"), opts)
  if file then return file, problem, response end
  return finish(problem, target, response)
end

--- Downloads the file of the job `id`.
-- @tparam table client
-- @param id
-- @tparam string|table target
-- @tparam ?table opts the options of a call
-- @tparam function perform makes one described call
-- @tparam ?table known the finished video, where it is at hand
-- @treturn[1] table { path =, bytes =, content_type = }
-- @treturn[2] nil
-- @treturn[2] table error
function download.run(client, id, target, opts, perform, known)
  target = videos.target(target, "download_video")
  if known and id == nil then return from_video(client, known, target, opts, perform) end
  local spec = videos.describe.download_video(client, id, target)
  local content = { path = spec.path, query = spec.query }
  local partial, last
  for _ = 1, MOST_PLACES do
    spec.partial, spec.keep_part = partial, target.resume ~= false
    local file, err, response = perform(client, spec, opts)
    if file then return file, err, response end
    partial = err.partial
    if partial and target.sink and not (partial.validator and target.resume ~= false) then
      return finish(err, target, response) -- the sink would hear the beginning again
    end
    local state = { url = spec.url, content = content, variant = target.variant }
    local place, bytes, problem = where(client, id, state, err, opts, known)
    if bytes then
      finish(err, target)
      return deliver(target, bytes, err)
    end
    if not place then
      problem.partial = partial
      return finish(problem, target, response)
    end
    spec, last = videos.file(target, place, "download_video"), problem
  end
  last.partial = partial
  return finish(last, target)
end

return download
