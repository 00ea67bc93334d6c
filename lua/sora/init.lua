--- The module: video jobs in the OpenAI video format.
--
--    local sora = require "sora"
--    local video, err = sora.get_video("video_123")
--
-- Every method of a client (see `sora.client`) is also a function here, for the default client, which the
-- first call makes: `sora.create_video(params)`, `sora.wait(id)` and so on. `sora._VERSION` is the version.
-- @module sora

-- Owns the module and its default client, which the first call makes. Invariant: every method of a client is
-- also a function here, for the default client.

local client = require "sora.client"
local core = require "sora.core"
local json = require "sora.json"
local misuse = require "sora.misuse"
local normalize = require "sora.normalize"
local webhook = require "sora.webhook"

core.own()

local sora = { _VERSION = core._VERSION }
local late = {} -- functions that assigning must not replace: they have the names of an option and of the hook

local default
local get_video

-- C cannot wait through a pause hook on every Lua, so the client's method replaces get_video while there is
-- one.
local function adopt(made)
  default = made
  made._hooked = function(hook)
    sora.get_video = hook and function(...) return made:get_video(...) end or get_video
  end
  sora.get_video = get_video
  return made
end

local function get_default()
  if default then return default end
  local made, err = client.new({}, "new")
  if not made then return nil, err end
  return adopt(made)
end

local function make(given, who)
  if type(given) ~= "table" then
    core.complain(who, "options: expected a table, got " .. type(given), 1)
  end
  return client.new(given, who)
end

for name, method in pairs(client.methods) do
  sora[name] = function(...)
    local self, err = get_default()
    if not self then return nil, err end
    return method(self, ...)
  end
end

--- Fetches a job with the default client: one HTTP call, made in C.
-- @function get_video
-- @tparam string|table id percent-encoded into the path; empty, "." and ".." raise; or a job: see
-- `sora.client`
-- @tparam ?table opts timeout (s, one attempt), max_retries, headers, query, response, idempotency_key: see
-- docs/options.md
-- @treturn[1] table the answer, field by field: JSON integers are Lua integers (5.3 and later), a JSON null
-- is an absent field
-- @treturn[2] nil
-- @treturn[2] table error; its `kind` says what went wrong, and its `reason`, where code, type or status tell
-- it, why the server said no: "moderation", "quota", "rate_limit", "capacity", "auth", "not_found", "invalid"
-- @return[3] with `response = true`, a third result { status, headers, request_id, attempts, seconds,
-- poll_after }
sora.get_video = core.get_video_from(get_default, sora)
get_video = sora.get_video

--- Iterates over the snapshots of a job with the default client; raises the error if there can be none.
-- @function poll
-- @tparam string|table id
-- @tparam ?table opts as for `Client:poll`
-- @treturn function iterator
function sora.poll(...)
  local self, err = get_default()
  if not self then error(err, 0) end
  return self:poll(...)
end

--- Iterates over the jobs of all pages with the default client; raises the error if there can be none.
-- @function videos
-- @tparam ?table params as for `Client:list_videos`
-- @tparam ?table opts the options of a call
-- @treturn function iterator
function sora.videos(...)
  local self, err = get_default()
  if not self then error(err, 0) end
  return self:videos(...)
end

--- Closes the default client; the next call makes another.
function sora.close()
  if default then default:close() end
  default, sora.get_video = nil, get_video
end

--- Makes a client of your own. See `sora.client`.
-- @tparam table options as in docs/options.md; `base_url` and `api_key` default to SORA_BASE_URL and
-- SORA_API_KEY, or to OPENAI_BASE_URL and OPENAI_API_KEY
-- @treturn[1] table client
-- @treturn[2] nil
-- @treturn[2] table `config` error
function sora.new(options)
  return make(options, "new")
end

--- Sets the default client.
-- @tparam table options as for `new`
-- @treturn[1] table the client
-- @treturn[2] nil
-- @treturn[2] table `config` error; the default client stays as it was
function sora.configure(options)
  local made, err = make(options, "configure")
  if not made then return nil, err end
  return adopt(made)
end

--- Reads a video of any dialect. In the view that it returns every field but `state` may be nil:
--
-- * `id`, a string
-- * `state`: "queued", "in_progress", "completed", "failed", "cancelled", "expired" or "deleted". An unknown
-- word is "in_progress", unless one of its tokens is final ("content_filtered"). A completed job whose files
-- moderation took away is "failed", with the code `moderation_blocked`
-- * `progress`, 0 to 100
-- * `url` of the file; `urls`, those of all outputs in order, `url` first
-- * `last_frame_url`, a picture of the film's end
-- * `seconds`, how long the film is: a number, from `seconds`, `duration` or `usage.duration_seconds`
-- * `cost`, a number in the server's own currency, mostly US dollars, from `usage.cost` or `cost`
-- * `error`: { code, message, type, param, reason }; `reason` is "moderation", "quota", "rate_limit",
-- "capacity", "auth", "not_found" or "invalid" where code or type tell it
-- * `created_at` and `completed_at`, whole seconds since 1970
-- * `raw`, the video itself
-- @tparam table video as a call returned it
-- @treturn table { id, state, progress, url, urls, last_frame_url, seconds, cost, error, created_at,
-- completed_at, raw }
function sora.normalize(video)
  if type(video) ~= "table" then
    core.complain("normalize", "video: expected a table, got " .. type(video))
  end
  return normalize.video(video)
end

--- A JSON null among the params of a call: `extra_body = { seed = sora.null }`. The same as `cjson.null`. A
-- form leaves it out.
sora.null = json.null

--- Marks a list as an array, so that it is sent as one: an empty table is an object otherwise, and a hole a
-- null. Arrays that cjson decoded or made (`array_mt`, `empty_array_mt`) need no mark, where it marks them.
-- @tparam ?table list a new one if missing
-- @treturn table the list itself
function sora.array(list)
  if list ~= nil and type(list) ~= "table" then
    core.complain("array", "list: expected a table, got " .. type(list), 1)
  end
  return json.array(list)
end

--- Checks the signature of a webhook and reads its event.
-- @function verify_webhook
-- @tparam table|function headers of the request, names in any case; or a function that looks up a lower-case
-- name
-- @tparam string body the request's bytes, unchanged
-- @tparam string secret as the server shows it: "whsec_" and base64, or the plain key
-- @tparam ?number tolerance seconds that the timestamp may be off (300)
-- @tparam ?number now seconds since 1970, by default the clock's
-- @treturn[1] table the event: `type`, such as "video.completed", and `data`, which `normalize` reads
-- @treturn[2] nil
-- @treturn[2] table error: its code is `webhook_unsigned`, `webhook_stale`, `webhook_forged` or
-- `webhook_unreadable`
sora.verify_webhook = webhook.verify

for name, code in pairs(sora) do
  if type(code) == "function" and name ~= "get_video" then -- C checks that
    sora[name] = misuse.check_dot(sora, name, code)
  end
end

local known = {}
for name in pairs(sora) do known[name] = true end

-- Raises for what is meant for the default client.
local function set_field(module, name, value)
  if name == "pause" then
    core.blame("'pause' is a field of a client: write client = sora.configure{ … }; client.pause = hook")
  end
  misuse.check_assignment(name, "configure")
  rawset(module, name, value)
end

for _, name in ipairs { "timeout", "pause" } do
  late[name], sora[name] = sora[name], nil
end
setmetatable(late, { __index = misuse.index("sora", known) })

return setmetatable(sora, { __index = late, __newindex = set_field })
