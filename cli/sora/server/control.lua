--- The control endpoints under /dev: they inject faults, set the mode and show the requests that arrived.
-- Owns the faults and the log of requests. The endpoints are not part of the video format: they answer only
-- to loopback, need no key, and are neither logged nor affected by faults. Pure.
-- Invariant: every fault in a list has passed the rules below, so acting on it cannot fail.
local check = require("sora.server.input").check
local json = require("sora.server.format").json
local modes = require "sora.server.modes"

local control = {}

-- ---- faults -----------------------------------------------------------------------------------------------

local faults = {}
control.faults = faults

local List = {}
List.__index = List

local function is_header_value(value)
  return type(value) == "string" and not value:find("%c")
end

-- The value false removes a header from the response.
local function is_headers(value)
  if type(value) ~= "table" then
    return false
  end
  for name, text in pairs(value) do
    if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+.^_`|~-]+$")
      or name:lower() == "content-length" or name:lower() == "transfer-encoding"
      or text ~= false and not is_header_value(text) then
      return false
    end
  end
  return true
end

local function is_match(value)
  if type(value) ~= "table" then
    return false
  end
  for name, text in pairs(value) do
    if name ~= "method" and name ~= "path" or type(text) ~= "string" then
      return false
    end
  end
  return value.path == nil or (pcall(string.find, "/v1/videos", value.path))
end

local RULES = {
  match = { is_match, "an object with method and path (a Lua pattern)" },
  times = { check.whole, "a whole number" },
  after = { check.whole, "a whole number" },
  status = { check.between(200, 999), "a number from 200 to 999" },
  body = { function(v) return type(v) == "string" or type(v) == "table" end, "a text or JSON" },
  headers = { is_headers, "an object of texts (or false), without content-length and transfer-encoding" },
  delay = { check.seconds, "a number of seconds" },
  close = { function(v) return type(v) == "boolean" or v == "after" end, 'a boolean or "after"' },
  truncate = { check.whole, "a number of bytes" },
  stall = { check.seconds, "a number of seconds" },
  process = { check.type "boolean", "a boolean" },
}

--- Creates an empty list.
function faults.new()
  return setmetatable({ entries = {} }, List)
end

--- Adds faults: all of them, or none if one is invalid.
-- @tparam {table,...} list
-- @treturn ?boolean true; nil if one is invalid
-- @treturn ?string the reason
function List:add(list)
  for i, fault in ipairs(list) do
    if type(fault) ~= "table" then
      return nil, ("fault %d must be an object"):format(i)
    end
    local name, wrong = check.fields(RULES, fault)
    if name then
      return nil, ("fault %d: %s %s"):format(i, name, wrong)
    end
  end
  for _, fault in ipairs(list) do
    if type(fault.body) == "table" then
      fault.body = json.encode(fault.body)
    end
    self.entries[#self.entries + 1] = { fault = fault, seen = 0, used = 0 }
  end
  return true
end

function List:clear()
  self.entries = {}
end

local function matches(match, method, path)
  if not match then
    return true
  end
  if match.method and match.method:upper() ~= method then
    return false
  end
  if not match.path then
    return true
  end
  -- Lua reports some malformed patterns only when matching gets as far as the malformed part.
  local ok, found = pcall(string.find, path, match.path)
  return ok and found ~= nil
end

--- Finds the fault for a request: the first that matches it, has been skipped `after` times and has been
-- applied fewer than `times` times.
-- @tparam string method
-- @tparam string path decoded
-- @treturn ?table the fault
function List:take(method, path)
  for _, entry in ipairs(self.entries) do
    local fault = entry.fault
    if entry.used < (fault.times or math.huge) and matches(fault.match, method, path) then
      entry.seen = entry.seen + 1
      if entry.seen > (fault.after or 0) then
        entry.used = entry.used + 1
        return fault
      end
    end
  end
  return nil
end

--- Tells whether a fault replaces the real response, so that the request is not processed at all.
-- @tparam table fault
-- @treturn boolean
function faults.replaces(fault)
  if fault.process then
    return false
  end
  return fault.status ~= nil or fault.body ~= nil or fault.close == true
end

-- ---- the endpoints ----------------------------------------------------------------------------------------

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

-- Sets the mode of the jobs that are created from now on and name none; null: no mode.
function Control:set_mode(request)
  local body = json.decode_object(request.body)
  local mode = body and modes.find(body.mode)
  if not body or body.mode ~= nil and not mode then
    local message = "the body must be {\"mode\": name or null}; known modes: " .. modes.names()
    return { status = 400, body = json.object({ "error" }, { error = message }) }
  end
  self.app.mode = mode
  return self:show_mode()
end

function Control:show_mode()
  local items = {}
  for name, text in modes.each() do
    items[#items + 1] = json.object({ "name", "text" }, { name = name, text = text })
  end
  local mode = json.encode(self.app.mode and self.app.mode.name or json.null)
  return { body = ('{"mode":%s,"modes":%s}'):format(mode, json.array(items)) }
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
  ["GET mode"] = Control.show_mode,
  ["POST mode"] = Control.set_mode,
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
    response = { status = 404, body = '{"error":"unknown path or method under /dev"}' }
  elseif not is_local then
    response = { status = 403, body = '{"error":"/dev answers only to loopback"}' }
  else
    response = handler(self, request, segments[3])
  end
  response.status = response.status or 200
  response.headers = response.headers or {}
  return response
end

return control
