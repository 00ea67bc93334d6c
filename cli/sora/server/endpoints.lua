--- The endpoints of the video format: finds the one of a request and handles it.
-- Owns what all endpoints share: the jobs, the dialect, the API key, idempotency keys, the mode, 404 and 405.
-- Pure: nothing here does I/O, so a handler never yields.
--
-- A request is `{ method, path (decoded), segments, query, header = function(name), body }`. A handler is
-- called with the application, the request and the id in the path, and returns a response, or nil and a
-- problem (see input.lua). A response is `{ status (200), headers, body }`. Instead of `body` it may have
-- `content` (see media.lua), with `first` and `count`: the slice of it to send.
local http_util = require "http.util"
local input = require "sora.server.input"
local jobs = require "sora.server.jobs"
local media = require "sora.server.media"
local modes = require "sora.server.modes"

local problem = input.problem

local endpoints = {}

local App = {}
App.__index = App

local DEFAULTS = { model = "sora-2", size = "720x1280", seconds = "4" }

-- ---- making jobs ------------------------------------------------------------------------------------------

local function read_dev(app, fields)
  local dev, err = input.object(fields, "dev")
  if err then
    return nil, err
  end
  dev = dev or {}
  local name, reason = jobs.check_dev(dev)
  if not name and dev.mode and not modes.find(dev.mode) then
    name, reason = "mode", ("is unknown: '%s'; known modes: %s"):format(dev.mode, modes.names())
  elseif not name and dev.content_bytes and not media.can_be(dev.content_bytes, fields.prompt) then
    local least = media.film_length(fields.prompt)
    name, reason = "content_bytes", ("must be %d or at least 8 more"):format(least)
  elseif not name and dev.id and app.jobs:get(dev.id) then
    name, reason = "id", "is taken"
  end
  if name then
    return nil, problem(400, ("dev.%s %s."):format(name, reason), "dev." .. name, "invalid_value")
  end
  return dev
end

-- Reads the fields of any new job. Missing ones come from the source video, or else from DEFAULTS.
local function describe(fields, source)
  local prompt, err = input.required_text(fields, "prompt")
  local description = { prompt = prompt }
  for name, default in pairs(DEFAULTS) do
    if not err then
      description[name], err = input.text(fields, name, source and source[name] or default)
    end
  end
  local url = fields.webhook_url
  if not err and url ~= nil and not input.check.url(url) then
    local message = "'webhook_url' must be an http or https URL."
    err = problem(400, message, "webhook_url", "invalid_value")
  end
  if err then
    return nil, err
  end
  description.webhook_url = url
  return description
end

-- Makes every job. A known idempotency key returns the job it made before, even a deleted one, because a
-- client that repeats a create wants the first response and not a second job.
local function make(app, request, body, source, is_remix)
  local key = request.header("idempotency-key")
  key = key and request.path .. "\n" .. key
  if key and app.made_by_key[key] then
    return app:video(app.made_by_key[key])
  end
  local description
  local dev, err = read_dev(app, body.fields)
  if not err then
    description, err = describe(body.fields, source)
  end
  if err then
    return nil, err
  end
  local mode = modes.find(dev.mode) or app.mode
  if mode and mode.refuse then
    local response, refusal = mode.refuse(request, body)
    if response or refusal then
      return response, refusal
    end
  end
  description.remixed_from_video_id = is_remix and source.id or nil
  local job = app.jobs:create(description, modes.settings(mode, dev))
  job.mode = mode
  app.inputs[job] = body
  if key then
    app.made_by_key[key] = job
  end
  app.on_create(job)
  return app:video(job)
end

-- Finds the completed job that a new one starts from.
local function find_source(app, id)
  local job, err = app:find(id)
  if not job then
    return nil, err
  end
  if app.jobs:view(job).status ~= "completed" then
    return nil, problem(400, ("Video '%s' is not completed."):format(id), "video", "video_not_completed")
  end
  return job
end

-- Handles an edit or an extension, of a job on this server or of a video file in the request.
local function derive(app, request, required)
  local body, err = input.read(request)
  if not body then
    return nil, err
  end
  local source
  local id = input.reference(body.fields, "video")
  if id ~= nil then
    source, err = find_source(app, tostring(id))
  elseif not body.files.video then
    err = input.missing("video")
  end
  if not err and required then
    err = select(2, input.required_text(body.fields, required))
  end
  if err then
    return nil, err
  end
  return make(app, request, body, source)
end

--- `POST /videos`
function endpoints.create(app, request)
  local body, err = input.read(request)
  if not body then
    return nil, err
  end
  return make(app, request, body)
end

--- `POST /videos/{id}/remix`
function endpoints.remix(app, request, id)
  local source, err = find_source(app, id)
  if not source then
    return nil, err
  end
  local body
  body, err = input.read(request)
  if not body then
    return nil, err
  end
  return make(app, request, body, source, true)
end

--- `POST /videos/edits`
function endpoints.edit(app, request)
  return derive(app, request)
end

--- `POST /videos/extensions`
function endpoints.extend(app, request)
  return derive(app, request, "seconds")
end

--- `POST /videos/characters`
function endpoints.create_character(app, request)
  local body, err = input.read(request)
  if not body then
    return nil, err
  end
  local name
  name, err = input.required_text(body.fields, "name")
  if not err and not body.files.video and body.fields.video == nil then
    err = input.missing("video")
  end
  if err then
    return nil, err
  end
  local character = { id = app.jobs:new_id("char"), name = name, created_at = app.jobs.date() }
  app.characters[character.id] = character
  return { body = app.format.character(character) }
end

-- ---- reading, cancelling and deleting jobs ----------------------------------------------------------------

--- `GET /videos/{id}`
function endpoints.get(app, _, id)
  local job, err = app:find(id)
  if not job then
    return nil, err
  end
  return app:video(job)
end

--- `POST /videos/{id}/cancel`
function endpoints.cancel(app, _, id)
  local job, err = app:find(id)
  if not job then
    return nil, err
  elseif not app.jobs:cancel(job) then
    local message = ("The video is %s and can't be cancelled."):format(app.jobs:view(job).status)
    return nil, problem(409, message, nil, "video_not_cancellable")
  end
  app.on_end(job)
  return app:video(job)
end

--- `DELETE /videos/{id}`
function endpoints.delete(app, _, id)
  local job, err = app:find(id)
  if not job then
    return nil, err
  end
  app.jobs:remove(job)
  app.on_end(job)
  return { body = app.format.deleted(id) }
end

--- `GET /videos?limit=&after=&order=`
function endpoints.list(app, request)
  local query = request.query
  local limit, order = tonumber(query.limit or 20), query.order or "desc"
  if not limit or limit < 1 or limit > 100 or limit % 1 ~= 0 then
    return nil, problem(400, "'limit' must be a whole number from 1 to 100.", "limit", "invalid_value")
  elseif order ~= "asc" and order ~= "desc" then
    return nil, problem(400, "'order' must be 'asc' or 'desc'.", "order", "invalid_value")
  end
  local after = query.after and app.jobs:get(query.after)
  if query.after and not after then
    return nil, problem(400, ("No video with id '%s'."):format(query.after), "after", "invalid_value")
  end
  local page, has_more = app.jobs:page(limit, order, after)
  local views = {}
  for i, job in ipairs(page) do
    views[i] = app.jobs:view(job)
  end
  return { body = app.format.list(views, has_more) }
end

--- `GET /videos/characters/{id}`
function endpoints.character(app, _, id)
  local character = app.characters[id]
  if not character then
    return nil, problem(404, ("Character with id '%s' not found."):format(id), "character_id", "not_found")
  end
  return { body = app.format.character(character) }
end

-- ---- content ----------------------------------------------------------------------------------------------

local function unavailable(app, view)
  if view.status == "completed" then
    return problem(404, "The content of this video has expired.", nil, "content_expired")
  elseif view.status == "failed" then
    return problem(404, "This video failed and has no content.", nil, "video_failed")
  elseif view.status == "cancelled" then
    return problem(404, "This video was cancelled and has no content.", nil, "video_cancelled")
  end
  local message = ("Video is not ready yet, its status is '%s'."):format(view.status)
  return problem(app.not_ready, message, nil, "video_not_ready")
end

local function deliver(request, file, completed_at)
  local modified = http_util.imf_date(completed_at)
  local headers = {
    ["content-type"] = file.type,
    ["accept-ranges"] = "bytes",
    ["last-modified"] = modified,
    etag = file.etag,
  }
  local first, last
  if media.is_current(request.header("if-range"), file.etag, modified) then
    first, last = media.range(request.header("range"), file.length)
  end
  if first == false then
    local err = problem(416, "The range begins beyond the end of the file.", "range", "range_not_satisfiable")
    err.headers = { ["content-range"] = ("bytes */%.0f"):format(file.length) }
    return nil, err
  elseif first then
    headers["content-range"] = ("bytes %.0f-%.0f/%.0f"):format(first, last, file.length)
    return { status = 206, headers = headers, content = file, first = first, count = last - first + 1 }
  end
  return { headers = headers, content = file, first = 0, count = file.length }
end

--- `GET /videos/{id}/content?variant=`
function endpoints.content(app, request, id)
  local job, err = app:find(id)
  if not job then
    return nil, err
  end
  local view = app.jobs:view(job)
  local file = media.open(request.query.variant or "video", job.content_bytes, job.prompt)
  if not file then
    local message = "'variant' must be 'video', 'thumbnail' or 'spritesheet'."
    return nil, problem(400, message, "variant", "invalid_value")
  elseif not view.available then
    return nil, unavailable(app, view)
  end
  return deliver(request, file, view.completed_at)
end

-- ---- finding the endpoint ---------------------------------------------------------------------------------

local ID = {} -- stands for an id in a path

-- The first match wins, so fixed names come before ids. The values are names of handlers, which modes.lua
-- refers to as well.
local PATHS = {
  { path = { "videos" }, POST = "create", GET = "list" },
  { path = { "videos", "edits" }, POST = "edit" },
  { path = { "videos", "extensions" }, POST = "extend" },
  { path = { "videos", "characters" }, POST = "create_character" },
  { path = { "videos", "characters", ID }, GET = "character" },
  { path = { "videos", ID }, GET = "get", DELETE = "delete" },
  { path = { "videos", ID, "remix" }, POST = "remix" },
  { path = { "videos", ID, "cancel" }, POST = "cancel" },
  { path = { "videos", ID, "content" }, GET = "content" },
}

-- Where the files are that `url` fields of some modes name. Needs no key, as signed URLs don't.
local FILES = { path = { "files", ID }, GET = "content" }

-- How a key is sent: header and prefix for each value of the client's option `auth`.
local CREDENTIALS = {
  bearer = { "authorization", "Bearer " },
  raw = { "authorization", "" },
  ["api-key"] = { "api-key", "" },
  ["x-api-key"] = { "x-api-key", "" },
}

--- Creates an application.
-- @tparam table options `jobs` (a store), `format` (a dialect), `base_path` ("/v1"), `api_key`, `auth`
-- ("bearer"), `not_ready` (404: the status for content that is not ready), `cors` (an origin whose pages may
-- call the server), `mode` (of jobs that name none), `on_create` and `on_end` (functions that receive a job:
-- made; cancelled or deleted)
function endpoints.new(options)
  return setmetatable({
    jobs = options.jobs,
    format = options.format,
    base = input.target(options.base_path or "/v1").segments,
    api_key = options.api_key,
    auth = CREDENTIALS[options.auth or "bearer"],
    not_ready = options.not_ready or 404,
    cors = options.cors,
    mode = modes.find(options.mode),
    on_create = options.on_create or function() end,
    on_end = options.on_end or function() end,
    origin = "", -- of the URLs of files; known once the port is bound
    characters = {},
    made_by_key = {},
    inputs = setmetatable({}, { __mode = "k" }), -- the fields and files that created each job
  }, App)
end

--- Finds a job by its id.
-- @treturn ?table job
-- @treturn ?table problem
function App:find(id)
  local job = self.jobs:get(id)
  if not job then
    return nil, problem(404, ("Video with id '%s' not found."):format(id), "video_id", "not_found")
  end
  return job
end

--- Makes the response that shows a job as it is now.
-- @treturn table response
function App:video(job)
  local view = self.jobs:view(job)
  local headers = {}
  if job.poll_after_ms and (view.status == "queued" or view.status == "in_progress") then
    headers["openai-poll-after-ms"] = ("%.0f"):format(job.poll_after_ms)
  end
  return { body = self.format.video(view), headers = headers, job = job }
end

local function fits(path, segments, skip)
  if #segments - skip ~= #path then
    return false
  end
  for i, part in ipairs(path) do
    local segment = segments[skip + i]
    if part ~= segment and (part ~= ID or segment == "") then
      return false
    end
  end
  return true
end

local function id_in(path, segments, skip)
  for i, part in ipairs(path) do
    if part == ID then
      return segments[skip + i]
    end
  end
  return nil
end

function App:endpoint(request)
  for i, part in ipairs(self.base) do
    if request.segments[i] ~= part then
      return nil
    end
  end
  for _, endpoint in ipairs(PATHS) do
    if fits(endpoint.path, request.segments, #self.base) then
      return endpoint, id_in(endpoint.path, request.segments, #self.base)
    end
  end
  return nil
end

function App:authorized(request)
  local name, word = self.auth[1], self.auth[2]
  return not self.api_key or request.header(name) == word .. self.api_key
end

local function wrong_method(endpoint, method)
  local allowed = {}
  for name in pairs(endpoint) do
    if name ~= "path" then
      allowed[#allowed + 1] = name
    end
  end
  if endpoint.GET then
    allowed[#allowed + 1] = "HEAD"
  end
  table.sort(allowed)
  local message = ("The method %s is not allowed here."):format(method)
  local err = problem(405, message, nil, "method_not_allowed")
  err.headers = { allow = table.concat(allowed, ", ") }
  return err
end

-- Returns the response or nil and a problem, and the name of the handler and the id if they are known.
function App:dispatch(request)
  if self.cors and request.method == "OPTIONS" then
    return {
      status = 204,
      headers = {
        ["access-control-allow-methods"] = "GET, POST, DELETE",
        ["access-control-allow-headers"] = "*, authorization",
      },
    }
  end
  local method = request.method == "HEAD" and "GET" or request.method
  if method == "GET" and fits(FILES.path, request.segments, 0) then
    return endpoints.content(self, request, (request.segments[2]:gsub("%.mp4$", "")))
  elseif not self:authorized(request) then
    return nil, problem(401, "The API key is missing or not the right one.", nil, "invalid_api_key")
  end
  local endpoint, id = self:endpoint(request)
  if not endpoint then
    local message = ("Unknown request URL: %s %s."):format(request.method, request.path)
    return nil, problem(404, message, nil, "unknown_url")
  end
  local name = endpoint[method]
  if not name then
    return nil, wrong_method(endpoint, request.method)
  end
  local response, err = endpoints[name](self, request, id)
  return response, err, name, id
end

--- Makes the error response for a problem, in the dialect's format.
-- @tparam table err a problem
-- @treturn table response
function App:refusal(err)
  return { status = err.status, headers = err.headers or {}, body = self.format.error(err) }
end

--- Handles a request.
-- @tparam table request
-- @treturn table response
function App:handle(request)
  local response, err, name, id
  if self.mode and self.mode.any then
    response = self.mode.any()
  else
    response, err, name, id = self:dispatch(request)
    response = response or self:refusal(err)
  end
  response.status = response.status or 200
  response.headers = response.headers or {}
  local job = response.job or id and self.jobs:get(id)
  if job and job.mode then
    modes.apply(response, name, { app = self, job = job, request = request })
  end
  if self.cors then
    response.headers["access-control-allow-origin"] = self.cors
    response.headers["access-control-expose-headers"] = "*"
  end
  return response
end

return endpoints
