--- The control endpoints under /dev: they inject faults and show the requests that arrived.
-- Owns the faults and the log of requests. They are not part of the video format: they answer only to
-- loopback, need no key, and are neither logged nor affected by faults.
local faults = require "sora.server.faults"
local json = require "sora.server.json"

local control = {}

local Control = {}
Control.__index = Control

local KEPT = 1000 -- requests in the log
local SECRET = {
  authorization = true, ["proxy-authorization"] = true, ["api-key"] = true, ["x-api-key"] = true,
  cookie = true,
}

--- Creates the control endpoints of an application.
-- @tparam table app
function control.new(app)
  return setmetatable({
    app = app, faults = faults.new(), kept = {}, total = 0, by_status = {},
    connections = 0, numbers = setmetatable({}, { __mode = "k" }),
  }, Control)
end

--- Numbers the connection of a request, so that a test can see whether a client reuses connections.
-- @tparam table request
-- @tparam table connection
function Control:number(request, connection)
  if not self.numbers[connection] then
    self.connections = self.connections + 1
    self.numbers[connection] = self.connections
  end
  request.connection = self.numbers[connection]
end

--- Logs a finished request, without its body. It becomes JSON only when /dev/requests is read.
-- @tparam table request
-- @tparam number status 0 when the connection was closed without a response
function Control:record(request, status)
  self.total = self.total + 1
  self.by_status[status] = (self.by_status[status] or 0) + 1
  request.body = nil
  self.kept[(self.total - 1) % KEPT + 1] = { request = request, status = status }
end

local function headers_of(request)
  local headers = { authorization = "absent" }
  for name, value in request.each_header() do
    if SECRET[name] then
      headers[name] = "present"
    elseif name:sub(1, 1) ~= ":" then
      headers[name] = headers[name] and headers[name] .. ", " .. value or value
    end
  end
  headers.host = request.header(":authority")
  return headers
end

function Control:requests()
  local items = {}
  for i = math.max(1, self.total - KEPT + 1), self.total do
    local entry = self.kept[(i - 1) % KEPT + 1]
    local request = entry.request
    items[#items + 1] = json.object(
      { "method", "path", "target", "query", "headers", "status", "bytes", "connection", "time" }, {
        method = request.method, path = request.path, target = request.target, query = request.query,
        headers = headers_of(request), status = entry.status, bytes = request.bytes,
        connection = request.connection, time = request.time,
      })
  end
  return { body = '{"requests":' .. json.array(items) .. "}" }
end

function Control:stats()
  local by_status = {}
  for status, count in pairs(self.by_status) do
    by_status[tostring(status)] = count
  end
  local names = { "jobs_created", "jobs", "requests", "requests_by_status", "connections", "memory_kb" }
  return { body = json.object(names, {
    jobs_created = self.app.jobs.created,
    jobs = self.app.jobs.count,
    requests = self.total,
    requests_by_status = by_status,
    connections = self.connections,
    memory_kb = math.floor(collectgarbage("count")),
  }) }
end

function Control:add_faults(request)
  local text = request.body
  local list = text:find("^%s*[%[{]") and json.decode(text)
  if not list then
    return { status = 400, body = '{"error":"the body must be a fault or a list of faults"}' }
  end
  -- a single fault does not need a list around it
  local ok, wrong = self.faults:add((list[1] or next(list) == nil) and list or { list })
  if not ok then
    return { status = 400, body = json.object({ "error" }, { error = wrong }) }
  end
  return self:list_faults()
end

function Control:list_faults()
  local items = {}
  for i, entry in ipairs(self.faults.entries) do
    items[i] = json.object({ "fault", "seen", "used" }, entry)
  end
  return { body = '{"faults":' .. json.array(items) .. "}" }
end

function Control:clear_faults()
  self.faults:clear()
  return self:list_faults()
end

-- Shows the fields and files that created a job, as they arrived.
function Control:input(_, id)
  local job = self.app.jobs:get(id)
  if not job then
    return { status = 404, body = '{"error":"there is no such job"}' }
  end
  return { body = json.object({ "id", "fields", "files" }, {
    id = id, fields = self.app.inputs[job].fields, files = self.app.inputs[job].files,
  }) }
end

local ENDPOINTS = {
  ["POST faults"] = Control.add_faults,
  ["GET faults"] = Control.list_faults,
  ["DELETE faults"] = Control.clear_faults,
  ["GET requests"] = Control.requests,
  ["GET stats"] = Control.stats,
  ["GET jobs"] = Control.input,
}

--- Tells whether a request is for the control endpoints.
function control.owns(request)
  return request.segments[1] == "dev"
end

--- Handles a request.
-- @tparam table request
-- @tparam boolean is_local whether it came over loopback
-- @treturn table response
function Control:handle(request, is_local)
  local segments = request.segments
  local handler = ENDPOINTS[request.method .. " " .. (segments[2] or "")]
  local response
  if not handler or #segments ~= (handler == Control.input and 3 or 2) then
    response = { status = 404, body = '{"error":"there is no such thing under /dev"}' }
  elseif not is_local then
    response = { status = 403, body = '{"error":"/dev answers on loopback alone"}' }
  else
    response = handler(self, request, segments[3])
  end
  response.status = response.status or 200
  response.headers = response.headers or {}
  return response
end

return control
