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
  task_result video_result generate_video_response generation generations generated_videos generated_samples
  media file files asset assets artifacts creations works draft_info info urls result_json output_json
  response_json]]
local METADATA = names "metadata meta_data"

local TASK_ID = names "task_id job_id video_id"
local CALL_ID = names "request_id generation_id"
local ANY_ID = names "id request_id generation_id"
local PROGRESS = names [[progress progress_pct progress_percent progress_percentage progress_ratio
  percent percentage percent_complete completion_percentage]]
local CREATED = names "created_at created create_time created_time creation_time submit_time submitted_at"
local COMPLETED = names [[completed_at completed completed_time completion_time complete_time finish_time
  finished_at finished_time end_time ended_at]]
local SECONDS = names "seconds duration_seconds video_duration duration"
local COST = names "cost cost_usd"
local TICKS = names "cost_in_usd_ticks"
local USAGE = names "usage"
local LAST_FRAME = names "last_frame_url final_frame_url"
local POLL_AFTER = names "poll_after_seconds poll_after retry_after_seconds retry_after"

-- Signed and plain URLs come before those that may need the key (content_url, unsigned_urls).
local URL = names [[video_url signed_url presigned_url url download_url downloadable_url output_url result_url
  file_url uri video_urls result_urls output_urls urls video videos output outputs result results
  generated_videos media file files content contents data content_url unsigned_urls]]
local PAYLOAD = names "b64_json b64 base64 video_base64 base64_video video_b64 b64_video video videos"

local REASON = names [[error_message error_msg err_msg fail_msg fail_message fail_reason failure_reason
  failed_reason failure_message failure reason status_message status_msg status_reason task_status_msg]]
local ERROR = { "error" }
local REASON_CODE = names "error_code err_code fail_code failure_code"
local MESSAGE = names "message msg detail"

-- What says that moderation took the files away.
local MODERATED = names "moderated is_moderated moderation_blocked content_filtered"
local RESPECTED = names "respect_moderation respects_moderation moderation_passed"
local FILTERED = names [[rai_media_filtered_count media_filtered_count filtered_count moderated_count
  blocked_count]]
local FILTERED_REASONS = names "rai_media_filtered_reasons filtered_reasons moderation_reason block_reason"
local FINISH = names "finish_reason stop_reason"
local STORED = names "file_path file_id file_name"

local TERMINAL = { completed = true, failed = true, cancelled = true, expired = true, deleted = true }
local UNSUCCESSFUL = { failed = true, cancelled = true, expired = true }

local KIND = names "type mime_type content_type kind"
local NO_VIDEO = { image = true, audio = true, thumbnail = true, cover = true, preview = true,
  spritesheet = true }

-- Tells false for a picture in an array of outputs: { type: "image" }, { mime_type: "image/png" }.
-- "image_to_video" is a kind of job.
local function may_be_video(layer)
  local kind = pick(layer, KIND, values.text)
  return not (kind and NO_VIDEO[values.lower(kind):match("^[^/]*")])
end

-- Only a field that is named for a URL may hold a relative one: "/outputs/r1.mp4" elsewhere is a path.
local read_url = each(function(value, name)
  return values.url(value, values.lower(name):find("ur[li]") ~= nil)
end)

-- Trusts a field named for base64; elsewhere (`videos` may hold ids) the text itself must look like a media
-- file.
local read_payload = each(function(value, name)
  if name:find("64", 1, true) then return values.text(value) end
  return values.media(value)
end)

-- Names below which a URL that no rule expects is never a film, and tokens that do the same.
local NO_FILM = { "input", "reference", "image", "thumb", "cover", "preview", "poster", "callback", "webhook",
  "poll", "cancel" }
local NO_FILM_TOKEN = { prompt = true, frame = true, mask = true, audio = true, avatar = true, logo = true,
  model = true, user = true, path = true, status = true, self = true, origin = true, source = true,
  get = true, delete = true, upload = true, docs = true, help = true }
-- Parts of names that may hold a film's URL though its path does not look like a film's.
local LIKELY = { "url", "uri", "video", "media", "film", "clip", "movie", "output", "result", "file", "link",
  "download" }
local MAX_UNLIKELY, MAX_DEPTH, MAX_ITEMS = 500, 6, 16

local function has_part(name, parts)
  for i = 1, #parts do
    if name:find(parts[i], 1, true) then return true end
  end
  return false
end

-- Tells whether a URL below this name may be a film.
local function may_hold_film(name)
  local lowered = values.lower(name)
  if has_part(lowered, NO_FILM) then return false end
  for token in values.lower((name:gsub("(%l)(%u)", "%1 %2"))):gmatch("%a+") do
    if NO_FILM_TOKEN[token] then return false end
  end
  return true
end

local function only_table(value)
  return type(value) == "table" and value or nil
end

local function read_seconds(value)
  local n
  if type(value) == "string" then
    n = values.to_number(value:match("^%s*(%d*%.?%d+)%s*s?%s*$") or "")
  else
    n = values.number(value)
  end
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
  if found.flat and found.job.error == nil then return nil end -- as in most answers
  local function read(value)
    if not UNSUCCESSFUL[state] and errors.is_harmless(value) then return nil end
    local said = errors.failure { error = value }
    said.request_id = nil
    return next(said) and said or nil
  end
  return anywhere(found, ERROR, read)
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
  local base
  for i = 1, #layers do base = base or errors.base_of(layers[i]) end
  said.message = said.message or first(layers, REASON, message) or base and base.message
    or first(layers, MESSAGE, message)
  said.code = said.code or first(layers, REASON_CODE, errors.code) or base and base.code
    or first(layers, { "code" }, errors.code)
  said.reason = said.reason or base and said.code == base.code and base.reason or nil
  return said
end

local function read_error(found, state)
  local said = explicit_error(found, state)
  if UNSUCCESSFUL[state] then said = add_reason(found, said or {}) end
  if not said then return nil end
  said.reason = said.reason or errors.reason(said)
    or UNSUCCESSFUL[state] and errors.reason { code = tree.word(found.layers) } or nil -- "nsfw"
  return next(said) and said or nil
end

local function read_state(found, media, url)
  if is_deletion(found.job) or not found.flat and is_deletion(found.body) then return "deleted" end
  local state = tree.first_state(found.layers) or found.said
  if state then return state end
  if url or first(media, PAYLOAD, read_payload) then return "completed" end
  -- No status, no video, but an error: the job will not change any more.
  if explicit_error(found, "queued") then return "failed" end
  return "queued"
end

-- Files in unlikely fields --------------------------------------------------------------------------

local function string_keys(layer)
  local keys = {}
  for key in next, layer do
    if type(key) == "string" then keys[#keys + 1] = key end
  end
  table.sort(keys)
  return keys
end

-- Searches all tables below `value` for URLs that may be films; `name` is the nearest field's. Keeps the best
-- in `best`: those that look like a film's come before others.
local function search(value, name, depth, best)
  best.left = best.left - 1
  if best.left < 0 or best.rank == 2 then return end
  local url = values.link(value) and values.url(value)
  if url then
    local rank = values.names_film(url) and 2 or has_part(values.lower(name), LIKELY) and 1 or 0
    if rank > best.rank then best.rank, best.url = rank, url end
  elseif type(value) == "table" and depth <= MAX_DEPTH then
    for i = 1, MAX_ITEMS do
      if value[i] ~= nil then search(value[i], name, depth + 1, best) end
    end
    for _, key in ipairs(string_keys(value)) do
      if may_hold_film(key) then search(value[key], key, depth + 1, best) end
    end
  end
end

-- Some servers put the URL of a finished video into the failure's reason, or into a field that is for
-- something else, such as `remixed_from_video_id`.
local function unlikely_url(found)
  local url = anywhere(found, REASON, function(value) return values.url(value) end)
  if url or tree.is_list(found.body) then return url end
  local best = { rank = 0, left = MAX_UNLIKELY }
  search(found.body, "", 1, best)
  return best.url
end

-- Outputs -------------------------------------------------------------------------------------------

-- Adds a URL to a list, once.
local function add_url(list, url)
  if not url then return end
  for i = 1, #list do
    if list[i] == url then return end
  end
  list[#list + 1] = url
end

-- Returns the URL in an item of an array: the item itself, or the first in its tables.
local function url_of_item(item, name)
  if type(item) ~= "table" then return read_url(item, name) end
  if not may_be_video(item) then return nil end
  return first(tree.spread(item, MEDIA_HOLDERS, may_be_video), URL, read_url)
end

-- Looks for the array that has `url` in it; the longest is `best`.
local function find_outputs(value, name, url, best)
  if type(value) ~= "table" or value[1] == nil and value[2] == nil then return best end
  local list = {}
  for i = 1, MAX_ITEMS do
    if value[i] ~= nil then add_url(list, url_of_item(value[i], name)) end
  end
  if #list <= #best then return best end
  for i = 1, #list do
    if list[i] == url then return list end
  end
  return best
end

-- Returns the URLs of all outputs: those in the array that has the video's own URL. That one comes first.
local function outputs_of(found, media, url)
  local best = {}
  if not found.flat then
    for i = 1, #media do
      for key, value in next, media[i] do
        if type(key) == "string" then best = find_outputs(value, key, url, best) end
      end
    end
  end
  local all = { url }
  for i = 1, #best do add_url(all, best[i]) end
  return all
end

-- Moderation ----------------------------------------------------------------------------------------

local function if_true(value)
  return value == true or nil
end

local function if_false(value)
  return value == false or nil
end

local function if_positive(value)
  local n = values.number(value)
  return n and n > 0 or nil
end

local function if_moderation(value)
  return errors.reason { code = value } == "moderation" or nil
end

-- Metadata is left out: it may echo what the user asked for.
local function is_moderated(found, media)
  local function says(layers)
    return first(layers, RESPECTED, if_false) or first(layers, MODERATED, if_true)
      or first(layers, FILTERED, if_positive) or first(layers, FINISH, if_moderation)
  end
  local tables = found.flat and media or tree.spread(found.job, MEDIA_HOLDERS)
  return (says(tables) or says(found.layers)) == true
end

-- Returns the error of a completed job whose files moderation took away; nil: it may have a file.
local function moderation(found, media)
  if first(media, STORED, values.text) or not is_moderated(found, media) then return nil end
  local said = explicit_error(found, "failed") or {}
  said.code, said.reason = said.code or "moderation_blocked", "moderation"
  said.message = said.message or first(media, FILTERED_REASONS, errors.message)
    or first(found.layers, REASON, errors.message) or "moderation took the video away"
  return said
end

-- The view ------------------------------------------------------------------------------------------

local function read_cost(value)
  local n = values.number(value)
  return n and n >= 0 and n or nil
end

-- xAI counts in ticks of 10^-10 dollars.
local function read_ticks(value)
  local n = read_cost(value)
  return n and n / 1e10
end

local NONE = {}

-- Returns the tables that say what the job used. Most answers have none.
local function usages_of(found)
  if found.flat then return NONE end
  local usages = {}
  for i = 1, #found.layers do usages[#usages + 1] = pick(found.layers[i], USAGE, only_table) end
  for i = 1, #found.envelopes do usages[#usages + 1] = pick(found.envelopes[i], USAGE, only_table) end
  return usages
end

local function cost_of(found, usages)
  if found.flat then return pick(found.job, COST, read_cost) end
  return first(usages, COST, read_cost) or first(usages, TICKS, read_ticks)
    or anywhere(found, COST, read_cost)
end

-- Returns how long the film is.
local function seconds_of(found, media, usages)
  if found.flat then return pick(found.job, SECONDS, read_seconds) end
  return anywhere(found, SECONDS, read_seconds) or first(media, SECONDS, read_seconds)
    or first(usages, SECONDS, read_seconds)
end

local function view_of(found, body)
  local media, usages = media_of(found), usages_of(found)
  local url = first(media, URL, read_url)
  local state = read_state(found, media, url)
  local blocked
  if not url and state == "completed" then
    url = unlikely_url(found)
    blocked = not url and not first(media, PAYLOAD, read_payload) and moderation(found, media) or nil
    if blocked then state = "failed" end
  end
  return {
    id = read_id(found),
    state = state,
    progress = anywhere(found, PROGRESS, values.percent),
    url = url,
    urls = url and outputs_of(found, media, url),
    last_frame_url = state == "completed" and first(media, LAST_FRAME, values.link) or nil,
    seconds = seconds_of(found, media, usages),
    cost = cost_of(found, usages),
    error = blocked or read_error(found, state),
    created_at = anywhere(found, CREATED, values.time),
    completed_at = anywhere(found, COMPLETED, values.time),
    raw = body,
  }
end

--- Reads a video in any dialect.
-- @param body the decoded answer, an event that is about a video, or anything else
-- @treturn table a fresh `{ id, state, progress, url, urls, last_frame_url, seconds, cost, error, created_at,
-- completed_at, raw }`, of which all but `state` and `raw` may be nil; `raw` is `body`. `sora.normalize` has
-- the meaning of each.
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
-- @treturn table `{ message=, code=, type=, param=, request_id=, reason= }`, each a string or nil
normalize.failure = errors.failure

--- Says in one word why a server said no.
-- @function reason
-- @tparam table fields of an error: `code`, `type`, `status`
-- @treturn string|nil moderation, quota, rate_limit, capacity, auth, not_found or invalid
normalize.reason = errors.reason

--- Says what an answer is that should be JSON.
-- @function page
-- @param content
-- @treturn string|nil such as "a web page (Welcome)"; nil: none of what is known
normalize.page = errors.page

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
-- @treturn string|nil the word by which it has ended, if no list has that
function normalize.follow(body, viewed)
  local found = locate(body)
  local deleted = is_deletion(found.job) or is_deletion(found.body)
  local state = not (viewed or deleted) and tree.first_state(found.layers)
  local view = (not state or TERMINAL[state]) and view_of(found, body) or nil
  if view then state = view.state end
  local ended = TERMINAL[state] == true
  local doubtful = ended and not deleted and tree.unlisted(found.layers) or nil
  return ended, anywhere(found, POLL_AFTER, read_seconds), (viewed or ended) and view or nil, doubtful
end

--- Returns the word by which a job has ended, if no list has it: one answer is not enough to believe it.
-- @param body the decoded answer
-- @treturn string|nil
function normalize.doubtful(body)
  return (select(4, normalize.follow(body, false)))
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
