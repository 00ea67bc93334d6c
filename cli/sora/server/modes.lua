--- Modes: ways in which real servers answer that surprise a client, one for each public report of trouble.
-- Owns the table of modes, from which --help and docs/development-server.md list them. Pure.
--
-- A mode is `{ name, text }` with any of these fields:
--
-- * `settings`, fields of `dev` that its jobs get unless the create has them
-- * `refuse(request, body)` is called before a job is made, and returns a response, or nil and a problem, to
--   make none; `body` is what input.read returned
-- * `any()` returns the response to every request, where the mode is that of the server
-- * `create`, `get`, `content` (names of handlers in endpoints.lua; `create` stands for all that make a job),
--   and `video`, for each response that shows a job: functions that change a response. They receive it and
--   `{ app, job, view, request, count, url }`; `count` is the number of such requests for this job, `url`
--   where its file can be downloaded as well.
local http_util = require "http.util"
local input = require "sora.server.input"
local json = require("sora.server.format").json
local media = require "sora.server.media"

local modes = {}

-- ---- changing responses -----------------------------------------------------------------------------------

local function replace(response, status, body, content_type)
  response.status, response.body = status, body
  response.headers = { ["content-type"] = content_type }
  response.content, response.first, response.count = nil, nil, nil
end

-- Replaces a response by the error that the server's dialect has for a problem.
local function refuse(response, about, status, message, code)
  replace(response, status, about.app.format.error(input.problem(status, message, nil, code)))
end

-- Changes the fields of the video in a response.
local function edit(response, change)
  response.body = json.edit(response.body, change)
end

local function is_running(view)
  return view.status == "queued" or view.status == "in_progress"
end

-- Makes a function that adds fields to the video once the job is completed.
local function when_completed(fields_of)
  return function(response, about)
    if about.view.status == "completed" then
      edit(response, function(video)
        for name, value in pairs(fields_of(about)) do
          video[name] = value
        end
      end)
    end
  end
end

local with_url = when_completed(function(about) return { url = about.url } end)

-- Makes a function that gives a status another word.
local function rename(from, to)
  return function(response, about)
    if about.view.status == from then
      edit(response, function(video) video.status, video.error = to, json.null end)
    end
  end
end

local function no_content(response, about)
  refuse(response, about, 404, "Not Found")
end

local function whole(response)
  return response.content and response.content.read(0, response.content.length) or response.body
end

-- ---- gzip (RFC 1952), without compression -----------------------------------------------------------------

-- Returns a xor b, for whole numbers below 2^32, in any Lua.
local function xor(a, b)
  local result, bit = 0, 1
  while a > 0 or b > 0 do
    local x, y = a % 2, b % 2
    if x ~= y then
      result = result + bit
    end
    a, b, bit = (a - x) / 2, (b - y) / 2, bit * 2
  end
  return result
end

local remainders -- of each byte
local function crc32(text)
  if not remainders then
    remainders = {}
    for byte = 0, 255 do
      local value = byte
      for _ = 1, 8 do
        local half = math.floor(value / 2)
        value = value % 2 == 1 and xor(half, 0xEDB88320) or half
      end
      remainders[byte] = value
    end
  end
  local crc = 0xFFFFFFFF
  for i = 1, #text do
    crc = xor(math.floor(crc / 256), remainders[xor(crc % 256, text:byte(i))])
  end
  return xor(crc, 0xFFFFFFFF)
end

local function little_endian(n, size)
  local bytes = {}
  for i = 1, size do
    bytes[i] = string.char(n % 256)
    n = math.floor(n / 256)
  end
  return table.concat(bytes)
end

local STORED = 65535 -- bytes; the longest stored block

local function gzip(text)
  local parts = { "\31\139\8\0\0\0\0\0\0\255" }
  local at = 1
  repeat
    local block = text:sub(at, at + STORED - 1)
    at = at + #block
    parts[#parts + 1] = (at > #text and "\1" or "\0") .. little_endian(#block, 2)
      .. little_endian(65535 - #block, 2) .. block
  until at > #text
  parts[#parts + 1] = little_endian(crc32(text), 4) .. little_endian(#text, 4)
  return table.concat(parts)
end

local function compress(response)
  local body = gzip(whole(response))
  replace(response, 200, body, response.headers["content-type"])
  response.headers["content-encoding"] = "gzip"
end

-- ---- responses that are no video --------------------------------------------------------------------------

local PAGE = "<!DOCTYPE html>\n<html><head><title>Welcome to the gateway</title></head>"
  .. "<body>Sign in</body></html>\n"

local function web_page()
  return { status = 200, headers = { ["content-type"] = "text/html; charset=utf-8" }, body = PAGE }
end

local function event_stream()
  return {
    status = 200, headers = { ["content-type"] = "text/event-stream" },
    body = 'data: {"id":"video_1","status":"queued"}\n\ndata: [DONE]\n\n',
  }
end

local function answer_json(value)
  return { status = 200, headers = {}, body = json.encode(value) }
end

-- ---- the modes --------------------------------------------------------------------------------------------

local LIMIT_SECONDS = 1 -- of rate-limit: one poll in this time

local list = {
  -- creates
  {
    name = "sync-film",
    text = "POST /videos answers with the MP4 itself",
    settings = { duration = 0, queue = 0 },
    create = function(response, about)
      local film = media.open("video", about.job.content_bytes, about.job.prompt)
      replace(response, 200, nil, film.type)
      response.content, response.first, response.count = film, 0, film.length
    end,
  }, {
    name = "base-resp",
    text = "POST /videos answers 200 with a refusal in base_resp, and makes no job",
    refuse = function()
      return answer_json { base_resp = { status_code = 1008, status_msg = "insufficient balance" } }
    end,
  }, {
    name = "strict-forms",
    text = "POST /videos refuses files whose part has no type or application/octet-stream",
    refuse = function(_, body)
      for name, file in pairs(body.files) do
        local content_type = file.content_type or "none"
        if not content_type:find("^image/") and not content_type:find("^video/") then
          local message = ("Invalid file '%s': unsupported mimetype ('%s')."):format(name, content_type)
          return nil, input.problem(400, message, name, "unsupported_file_type")
        end
      end
    end,
  }, {
    name = "strict-arrays",
    text = "POST /videos refuses {}, which some clients send for an empty list",
    refuse = function(request)
      local name = request.body:match('"([^"]*)"%s*:%s*{%s*}')
      if name then
        local message = ("Invalid type for '%s': expected an array, got an object."):format(name)
        return nil, input.problem(400, message, name, "invalid_type")
      end
    end,
  }, {
    name = "web-page",
    text = "answers 200 with a web page, as a wrong base URL does",
    refuse = web_page, any = web_page,
  }, {
    name = "event-stream",
    text = "answers 200 with an event stream",
    refuse = event_stream, any = event_stream,
  },
  -- polls
  {
    name = "empty-202",
    text = "while a job runs, GET answers 202 without a body, or with a blank one",
    get = function(response, about)
      if is_running(about.view) then
        replace(response, 202, about.count % 2 == 1 and "" or " \n")
        response.headers["retry-after"] = "1"
      end
    end,
  }, {
    name = "replica-404",
    text = "every second poll answers 404, and every second request for the file",
    get = function(response, about)
      if about.count % 2 == 0 then
        no_content(response, about)
      end
    end,
    content = function(response, about)
      if about.count % 2 == 1 then
        no_content(response, about)
      end
    end,
  }, {
    name = "rate-limit",
    text = "more than one poll a second answers 429 with Retry-After: 1",
    get = function(response, about)
      local now = about.app.jobs.clock()
      if now < (about.app.free_at or 0) then
        refuse(response, about, 429, "Rate limit reached.", "rate_limit_exceeded")
        response.headers["retry-after"] = "1"
      else
        about.app.free_at = now + LIMIT_SECONDS
      end
    end,
  }, {
    name = "array",
    text = "GET answers with a list of one video",
    get = function(response) response.body = "[" .. response.body .. "]" end,
  }, {
    name = "huge-header",
    text = "GET answers with a header of 120,000 bytes",
    get = function(response) response.headers["x-padding"] = ("x"):rep(120000) end,
  },
  -- JSON
  {
    name = "bom",
    text = "a byte order mark stands before the JSON",
    video = function(response) response.body = "\239\187\191" .. response.body end,
  }, {
    name = "lone-surrogate",
    text = "a field holds half of a surrogate pair",
    video = function(response) response.body = response.body:gsub("}%s*$", [[,"note":"cut off \ud83d"}]]) end,
  }, {
    name = "nan",
    text = "the progress is NaN, another field Infinity",
    video = function(response)
      response.body = response.body:gsub('"progress":[%d.]+', '"progress":NaN,"eta":Infinity')
    end,
  }, {
    name = "fractions",
    text = "numbers have fractions, for programs in a locale with a decimal comma",
    video = function(response, about)
      edit(response, function(video)
        video.progress = math.min(100, about.view.progress + 0.5)
        video.usage = { cost = 0.25 }
      end)
    end,
  }, {
    name = "gzip",
    text = "JSON is compressed although nobody asked for it",
    video = compress,
  },
  -- how a job ends
  {
    name = "nsfw",
    text = 'the job ends with the status "nsfw"',
    settings = { fail = "nsfw" },
    video = rename("failed", "nsfw"),
  }, {
    name = "unknown-word",
    text = 'the job ends with a status that no list has: "interrupted"',
    settings = { fail = "interrupted" },
    video = rename("failed", "interrupted"),
  }, {
    name = "odd-word",
    text = 'while the job runs, its status is "polishing"; then it completes',
    video = rename("in_progress", "polishing"),
  }, {
    name = "moderated",
    text = "the job completes without a file, because moderation took it away",
    video = when_completed(function()
      return { status = "done", video = { url = "", respect_moderation = false } }
    end),
    content = no_content,
  }, {
    name = "no-file",
    text = "the job completes, but there is no file anywhere",
    content = no_content,
  }, {
    name = "fail-msg",
    text = "the job fails, and says so in failCode and failMsg",
    settings = { fail = "422" },
    get = function(response, about)
      local failed = about.view.status == "failed"
      response.body = json.encode { code = 200, msg = "success", data = { taskId = about.job.id,
        state = failed and "fail" or "generating", resultJson = "", failCode = failed and "422" or "",
        failMsg = failed and "The prompt names a celebrity." or "" } }
    end,
  },
  -- where the file is
  {
    name = "result-json",
    text = "the URL stands in JSON that is a string (resultJson); /content answers 404",
    get = function(response, about)
      local done = about.view.status == "completed"
      response.body = json.encode { code = 200, msg = "success", data = { taskId = about.job.id,
        state = done and "success" or "generating",
        resultJson = done and json.encode { resultUrls = { about.url } } or "" } }
    end,
    content = no_content,
  }, {
    name = "url-in-remix-id",
    text = "the URL stands in remixed_from_video_id; /content answers 404",
    video = when_completed(function(about) return { remixed_from_video_id = about.url } end),
    content = no_content,
  }, {
    name = "media-urls",
    text = "the URL stands in outcome.media_urls[], among URLs of other things; /content answers 404",
    video = when_completed(function(about)
      local other = about.url:gsub("[^/]+$", "none")
      return { outcome = { media_urls = { about.url } }, thumbnail_url = other .. ".jpg",
        input = { image_url = other .. ".png" }, poll_url = other, callback_url = other }
    end),
    content = no_content,
  }, {
    name = "content-json-error",
    text = "/content answers 200 with an error in JSON; the job has a url",
    video = with_url,
    content = function(response)
      replace(response, 200, '{"error":{"message":"upstream error: do request failed","code":"upstream"}}')
    end,
  }, {
    name = "content-401",
    text = "/content answers 401; the job has a url",
    video = with_url,
    content = function(response, about) refuse(response, about, 401, "Invalid token.", "invalid_api_key") end,
  }, {
    name = "content-500",
    text = "/content answers 500; the job has a url",
    video = with_url,
    content = function(response, about) refuse(response, about, 500, "Failed to fetch the video.") end,
  }, {
    name = "content-page",
    text = "/content answers 200 with a web page; the job has a url",
    video = with_url,
    content = function(response) replace(response, 200, PAGE, "text/html; charset=utf-8") end,
  }, {
    name = "late-file",
    text = "/content of a completed job answers 400, 403 and 404 before it gives the file",
    content = function(response, about)
      if about.view.status ~= "completed" then
        return
      end
      about.job.late = (about.job.late or 0) + 1
      if about.job.late == 1 then
        refuse(response, about, 400, "The video is not ready yet.", "video_not_ready")
      elseif about.job.late == 2 then
        refuse(response, about, 403, "Access denied.", "access_denied")
      elseif about.job.late == 3 then
        no_content(response, about)
      end
    end,
  }, {
    name = "whole-206",
    text = "/content answers 206 with the whole file although no range was asked for",
    content = function(response)
      if response.status == 200 and response.content then
        local length = response.content.length
        response.status = 206
        response.headers["content-range"] = ("bytes 0-%.0f/%.0f"):format(length - 1, length)
      end
    end,
  }, {
    name = "gzip-film",
    text = "the file is compressed although nobody asked for it",
    content = function(response)
      if response.content then
        compress(response)
      end
    end,
  },
}

local by_name = {}
for _, mode in ipairs(list) do
  by_name[mode.name] = mode
end

--- Finds a mode.
-- @tparam ?string name
-- @treturn ?table
function modes.find(name)
  return name and by_name[name]
end

--- Lists the names, for messages.
-- @treturn string
function modes.names()
  local names = {}
  for i, mode in ipairs(list) do
    names[i] = mode.name
  end
  return table.concat(names, ", ")
end

--- Iterates over the modes in the order of the documentation.
-- @treturn function returns a name and its text
function modes.each()
  local i = 0
  return function()
    i = i + 1
    if list[i] then
      return list[i].name, list[i].text
    end
  end
end

--- Adds a mode's settings to those of a job.
-- @tparam ?table mode
-- @tparam table dev takes precedence
-- @treturn table
function modes.settings(mode, dev)
  local all = {}
  for _, fields in ipairs { mode and mode.settings or {}, dev } do
    for name, value in pairs(fields) do
      all[name] = value
    end
  end
  return all
end

local SHOWS_JOB = { create = true, get = true, cancel = true }
local MAKES_JOB = { create = true, remix = true, edit = true, extend = true }

--- Changes a response about a job as the job's mode demands.
-- @tparam table response
-- @tparam ?string name of the handler that made it; nil for a file under /files, which no mode changes
-- @tparam table about `app`, `job`, `request`
function modes.apply(response, name, about)
  local job, mode = about.job, about.job.mode
  if not name or about.request.method == "HEAD" then
    return
  end
  name = MAKES_JOB[name] and "create" or name
  job.requests = job.requests or {}
  job.requests[name] = (job.requests[name] or 0) + 1
  about.count = job.requests[name]
  about.view = about.app.jobs:view(job)
  about.url = ("%s/files/%s.mp4"):format(about.app.origin, http_util.encodeURIComponent(job.id))
  if mode[name] then
    mode[name](response, about)
  end
  if mode.video and SHOWS_JOB[name] and response.status == 200 then
    mode.video(response, about)
  end
end

return modes
