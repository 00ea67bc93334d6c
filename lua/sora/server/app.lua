--- The application: finds the endpoint of a request and calls its handler.
-- Owns what all endpoints share: the jobs, the dialect, the API key, 404 and 405. Pure: neither this file nor
-- a handler does I/O, so a handler never yields.
--
-- A request is `{ method, path (decoded), segments, query, header = function(name), body }`. A handler is
-- called with the application, the request and the id in the path, and returns a response, or nil and a
-- problem (see input.lua). A response is `{ status (200), headers, body }`. Instead of `body` it may have
-- `content` (see media.lua), with `first` and `count`: the slice of it to send.
local input = require "sora.server.input"
local making = require "sora.server.making"
local reading = require "sora.server.reading"
local url = require "sora.server.url"

local problem = input.problem

local app = {}

local App = {}
App.__index = App

local ID = {} -- stands for an id in a path

-- The first match wins, so fixed names come before ids.
local ENDPOINTS = {
  { path = { "videos" }, POST = making.create, GET = reading.list },
  { path = { "videos", "edits" }, POST = making.edit },
  { path = { "videos", "extensions" }, POST = making.extend },
  { path = { "videos", "characters" }, POST = making.character },
  { path = { "videos", "characters", ID }, GET = reading.character },
  { path = { "videos", ID }, GET = reading.video, DELETE = reading.delete },
  { path = { "videos", ID, "remix" }, POST = making.remix },
  { path = { "videos", ID, "content" }, GET = reading.content },
}

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
-- call the server)
function app.new(options)
  return setmetatable({
    jobs = options.jobs,
    format = options.format,
    base = url.segments(options.base_path or "/v1"),
    api_key = options.api_key,
    auth = CREDENTIALS[options.auth or "bearer"],
    not_ready = options.not_ready or 404,
    cors = options.cors,
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
  return { body = self.format.video(view), headers = headers }
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
  for _, endpoint in ipairs(ENDPOINTS) do
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
  local trouble = problem(405, message, nil, "method_not_allowed")
  trouble.headers = { allow = table.concat(allowed, ", ") }
  return trouble
end

function App:dispatch(request)
  if self.cors and request.method == "OPTIONS" then
    return {
      status = 204,
      headers = {
        ["access-control-allow-methods"] = "GET, POST, DELETE",
        ["access-control-allow-headers"] = "*, authorization",
      },
    }
  elseif not self:authorized(request) then
    return nil, problem(401, "The API key is missing or not the right one.", nil, "invalid_api_key")
  end
  local endpoint, id = self:endpoint(request)
  if not endpoint then
    local message = ("Unknown request URL: %s %s."):format(request.method, request.path)
    return nil, problem(404, message, nil, "unknown_url")
  end
  local handler = endpoint[request.method == "HEAD" and "GET" or request.method]
  if not handler then
    return nil, wrong_method(endpoint, request.method)
  end
  return handler(self, request, id)
end

--- Makes the error response for a problem, in the dialect's format.
-- @tparam table trouble
-- @treturn table response
function App:refusal(trouble)
  return { status = trouble.status, headers = trouble.headers or {}, body = self.format.error(trouble) }
end

--- Handles a request.
-- @tparam table request
-- @treturn table response
function App:handle(request)
  local response, trouble = self:dispatch(request)
  response = response or self:refusal(trouble)
  response.status = response.status or 200
  response.headers = response.headers or {}
  if self.cors then
    response.headers["access-control-allow-origin"] = self.cors
    response.headers["access-control-expose-headers"] = "*"
  end
  return response
end

return app
