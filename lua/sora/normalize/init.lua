--- Reads the answers of all dialects of the OpenAI video format.
-- Owns which fields mean what: ordered lists of names, looked up in every table of the answer that may hold a
-- job's fields. There is no list of servers; a new one is read by the same rules. Invariant: pure functions
-- of the decoded body (a JSON null is an absent field) that accept any JSON, never raise and change nothing.
-- @module sora.normalize

local values = require "sora.normalize.values"
local tree = require "sora.normalize.tree"
local errors = require "sora.normalize.errors"

local normalize = {}

local names, first, pick, each = tree.names, tree.first, tree.pick, tree.each

-- Fields that may hold a table with the job's fields.
local JOB_HOLDERS = names [[detail pending_info data payload task task_info job output result response
  generation video status]]

-- Fields that may hold its files. Inputs, thumbnails and the like are missing, so they are never taken for
-- them.
local MEDIA_HOLDERS = names [[video videos output outputs result results response data detail content contents
  task_result video_result generation generations generated_videos generated_samples media file files asset
  assets artifacts creations works draft_info info urls]]
local METADATA = names "metadata meta_data"

local TASK_ID = names "task_id job_id video_id"
local CALL_ID = names "request_id generation_id"
local ANY_ID = names "id request_id generation_id"
local PROGRESS = names [[progress progress_pct progress_percent progress_percentage progress_ratio
  percent percentage percent_complete completion_percentage]]
local CREATED = names "created_at created create_time created_time creation_time submit_time submitted_at"
local COMPLETED = names [[completed_at completed completed_time completion_time complete_time finish_time
  finished_at finished_time end_time ended_at]]
local POLL_AFTER = names "poll_after_seconds poll_after retry_after_seconds retry_after"

-- Signed and plain URLs come before those that may need the key (content_url, unsigned_urls).
local URL = names [[video_url signed_url presigned_url url download_url downloadable_url output_url result_url
  file_url uri video_urls result_urls output_urls urls video videos output outputs result results
  generated_videos media file files content contents data content_url unsigned_urls]]
local PAYLOAD = names "b64_json b64 base64 video_base64 base64_video video_b64 b64_video video videos"

local REASON = names [[error_message error_msg err_msg fail_reason failure_reason failed_reason
  failure_message failure reason status_message status_msg status_reason task_status_msg]]
local REASON_CODE = names "error_code err_code fail_code failure_code"
local MESSAGE = names "message msg detail"

local TERMINAL = { completed = true, failed = true, cancelled = true, expired = true, deleted = true }
local UNSUCCESSFUL = { failed = true, cancelled = true, expired = true }

local KIND = names "type mime_type content_type kind"
local NO_VIDEO = { image = true, audio = true, thumbnail = true, cover = true, preview = true,
  spritesheet = true }

-- Tells false for a picture in an array of outputs: { type: "image" }, { mime_type: "image/png" }.
-- "image_to_video" is a kind of job.
local function may_be_video(layer)
  local kind = pick(layer, KIND, values.text)
  return not (kind and NO_VIDEO[kind:lower():match("^[^/]*")])
end

-- Only a field that is named for a URL may hold a relative one: "/outputs/r1.mp4" elsewhere is a path.
local read_url = each(function(value, name)
  return values.url(value, name:lower():find("ur[li]") ~= nil)
end)

-- Trusts a field named for base64; elsewhere (`videos` may hold ids) the text itself must look like a media
-- file.
local read_payload = each(function(value, name)
  if name:find("64", 1, true) then return values.text(value) end
  return values.media(value)
end)

local function only_table(value)
  return type(value) == "table" and value or nil
end

local function read_seconds(value)
  local n = values.number(value)
  if n and n > 0 and n <= 86400 then return n end   -- beyond a day it is a date, or junk
  return nil
end

-- Finds the tables that the rules below look into: the job, the tables around it, and the state in an event's
-- name.
local function locate(body)
  if type(body) ~= "table" then body = {} end
  -- Checked first, because this halves the work for most answers.
  if tree.is_flat(body) then
    return { body = body, job = body, layers = { body }, envelopes = {}, flat = true }
  end
  local job, envelopes, said = tree.unwrap(body)
  local layers = tree.spread(job, JOB_HOLDERS)
  return { body = body, job = job, layers = layers, envelopes = envelopes, said = said }
end

-- Returns the tables that may hold the files. Metadata may echo the user's own words, so it comes last.
local function media_of(found)
  if found.flat then return found.layers end
  local media = tree.spread(found.job, MEDIA_HOLDERS, may_be_video)
  for _, envelope in ipairs(found.envelopes) do media[#media + 1] = envelope end
  for _, list in ipairs { found.layers, found.envelopes } do
    for i = 1, #list do
      local metadata = pick(list[i], METADATA, only_table)
      if metadata then media[#media + 1] = metadata end
    end
  end
  return media
end

-- Looks into the job's layers, then into the envelopes.
local function anywhere(found, list, read)
  return first(found.layers, list, read) or first(found.envelopes, list, read)
end

local function is_deletion(layer)
  local object = layer.object
  if layer.deleted ~= nil then return layer.deleted == true end
  return type(object) == "string" and object:find("%.deleted$") ~= nil
end

local function any_id(value)
  return values.id(value) or values.row_id(value)
end

local function read_id(found)
  return tree.id(found.job)
    or first(found.layers, TASK_ID, values.id)
    or pick(found.job, CALL_ID, any_id)
    or first(found.layers, ANY_ID, any_id)
    or first(found.envelopes, ANY_ID, any_id)
end

-- Reads the error object, or a text in its place. Ignores "code 0" of a job that did not fail.
local function explicit_error(found, state)
  for _, list in ipairs { found.layers, found.envelopes } do
    for i = 1, #list do
      local value = list[i].error
      if value ~= nil and (UNSUCCESSFUL[state] or not errors.is_harmless(value)) then
        local said = errors.failure { error = value }
        said.request_id = nil
        if next(said) then return said end
      end
    end
  end
  return nil
end

-- Adds the reason of servers that have no error object. Names that can only mean a failure come before
-- `message`, which is often about the call.
local function add_reason(found, said)
  local function message(value, name)
    if errors.is_fine(value) then return nil end
    -- A `detail` with fields is a holder: the message is in one of them.
    if name == "detail" and type(value) == "table" and value[1] == nil then return nil end
    return errors.message(value)
  end
  local layers = {}
  for i = 1, #found.layers do layers[i] = found.layers[i] end
  for i = 1, #found.envelopes do
    local envelope = found.envelopes[i]
    if not errors.is_fine(envelope.code) then layers[#layers + 1] = envelope end
  end
  said.message = said.message or first(layers, REASON, message) or first(layers, MESSAGE, message)
  said.code = said.code or first(layers, REASON_CODE, errors.code) or first(layers, { "code" }, errors.code)
  return said
end

local function read_error(found, state)
  local said = explicit_error(found, state)
  if UNSUCCESSFUL[state] then said = add_reason(found, said or {}) end
  if said and next(said) then return said end
  return nil
end

-- One server puts the URL of a finished video into the failure's reason.
local function url_as_reason(found)
  return anywhere(found, REASON, function(value) return values.url(value) end)
end

local function read_state(found, media, url)
  if is_deletion(found.job) or is_deletion(found.body) then return "deleted" end
  local state = tree.first_state(found.layers) or found.said
  if state then return state end
  if url or first(media, PAYLOAD, read_payload) then return "completed" end
  -- No status, no video, but an error: the job will not change any more.
  if explicit_error(found, "queued") then return "failed" end
  return "queued"
end

local function view_of(found, body)
  local media = media_of(found)
  local url = first(media, URL, read_url)
  local state = read_state(found, media, url)
  if not url and state == "completed" then url = url_as_reason(found) end
  return {
    id = read_id(found),
    state = state,
    progress = anywhere(found, PROGRESS, values.percent),
    url = url,
    error = read_error(found, state),
    created_at = anywhere(found, CREATED, values.time),
    completed_at = anywhere(found, COMPLETED, values.time),
    raw = body,
  }
end

--- Reads a video in any dialect.
-- @param body the decoded answer, an event that is about a video, or anything else
-- @treturn table a fresh `{ id, state, progress, url, error, created_at, completed_at, raw }`. `state` is one
-- of queued, in_progress, completed, failed, cancelled, expired, deleted; the others may be nil. `error` is
-- `{ code, message, type, param }`, strings where there; `raw` is `body`.
function normalize.video(body)
  return view_of(locate(body), body)
end

--- Returns the video itself, if an answer holds it as base64.
-- @param body the decoded answer
-- @treturn string|nil base64 text, not decoded
function normalize.payload(body)
  return first(media_of(locate(body)), PAYLOAD, read_payload)
end

--- Reads a decoded error body of any shape.
-- @function failure
-- @param body the decoded answer
-- @treturn table `{ message=, code=, type=, param=, request_id= }`, each a string or nil
normalize.failure = errors.failure

-- Fields beside an id that show that it is a job's.
local JOB_LIKE = names [[model prompt progress seconds size created_at created completed_at expires_at
  polling_url video_url remixed_from_video_id]]

local function is_job(found)
  local job = found.job
  if is_deletion(found.body) or is_deletion(job) or tree.is_list(found.body) then return true end
  if found.said or tree.first_state(found.layers) then return true end
  local media = media_of(found)
  if first(media, URL, read_url) or first(media, PAYLOAD, read_payload) then return true end
  if not tree.id(job) then return false end
  if job ~= found.body then return true end
  local object = type(job.object) == "string" and job.object or ""
  return object:find("video", 1, true) ~= nil or pick(job, JOB_LIKE, function() return true end) ~= nil
end

--- Returns the refusal in a body that came with HTTP success: an error, and no job, list or deletion. A
-- failed job is no refusal; `video` reads it.
-- @param body the decoded answer
-- @treturn table|nil the same as `failure` gives, or nil
function normalize.refusal(body)
  -- A shortcut: nearly every body has its status at the top.
  if type(body) ~= "table" or tree.state(body) or is_job(locate(body)) then return nil end
  local data = type(body.data) == "table" and body.data or {}
  if not errors.complains(body) and not errors.complains { error = data.error } then return nil end
  return errors.failure(body)
end

--- Makes readable text from an error body that is not JSON.
-- @function text
-- @tparam string content
-- @treturn string|nil at most 200 bytes on one line; nil if there is nothing to read
normalize.text = errors.text

--- Reads what a wait needs from an answer; without the view it is much cheaper than `video`.
-- @param body the decoded answer
-- @tparam boolean viewed whether the caller wants the view
-- @treturn boolean whether the job has ended
-- @treturn number|nil seconds after which the server asks to be polled again
-- @treturn table|nil the view, as from `video`, if the caller wants it or the job has ended
function normalize.follow(body, viewed)
  local found = locate(body)
  local deleted = is_deletion(found.job) or is_deletion(found.body)
  local state = not (viewed or deleted) and tree.first_state(found.layers)
  local view = (not state or TERMINAL[state]) and view_of(found, body) or nil
  if view then state = view.state end
  local ended = TERMINAL[state] == true
  return ended, anywhere(found, POLL_AFTER, read_seconds), (viewed or ended) and view or nil
end

--- Tells whether a state is terminal.
-- @param state anything
-- @treturn boolean
function normalize.terminal(state)
  return TERMINAL[state] == true
end

--- Returns after how many seconds the server asks to be polled again.
-- @param body the decoded answer
-- @treturn number|nil seconds
function normalize.poll_after(body)
  return anywhere(locate(body), POLL_AFTER, read_seconds)
end

return normalize
