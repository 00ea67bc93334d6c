--- The requests of `sora doctor`: single GETs, each with a time limit, and all of them together, too.
--
-- Owns the clients. Invariant: every request is a GET; the key goes to the origin of the base URL alone, and
-- not over a connection whose certificate was not checked.
-- @module sora.cli.doctor.probe
-- @local

local core = require "sora.core"
local options = require "sora.options"
local pump = require "sora.pump"
local settings = require "sora.cli.settings"
local sora = require "sora"

local probe = {}

local Probe = {}
Probe.__index = Probe

local ALL = 60 -- s; requests that were not sent until then are left out

-- Kinds of errors without an answer over HTTP.
local NETWORK = { dns = true, connect = true, tls = true, timeout = true, transport = true, config = true }

--- Makes a prober of a server.
-- @tparam table found from `settings.find`; its key is a string or nil
-- @tparam string origin
-- @tparam ?string query of the base URL
-- @tparam number timeout of one request
-- @tparam ?function on_event gets every event of the clients
function probe.new(found, origin, query, timeout, on_event)
  local preset = options.dialects[found.client.dialect] or {}
  return setmetatable({ found = found, origin = origin, query = query, timeout = timeout, on_event = on_event,
    auth = found.key and (found.client.auth or preset.auth or "bearer") or "none", clients = {}, sent = 0,
    ends = core.now() + math.max(ALL, timeout) }, Probe)
end

local function name_of(how)
  local parts = {}
  for _, name in ipairs(options.names(how)) do parts[#parts + 1] = name .. "=" .. tostring(how[name]) end
  return table.concat(parts, " ")
end

-- Makes the client for a way to ask: `auth`, `proxy`, `verify`, `ca_file`, `origin`. Returns nil, err.
function Probe:make(how)
  local found, origin = self.found, how.origin or self.origin
  local trusted = settings.origin(origin) == settings.origin(self.origin) and how.verify ~= false
  local given = options.copy(found.client)
  given.dialect, given.max_retries, given.timeout, given.connect_timeout = nil, 0, self.timeout, self.timeout
  given.base_url = origin .. (self.query and "?" .. self.query or "")
  given.auth = trusted and found.key and (how.auth or self.auth) or "none"
  given.api_key = given.auth ~= "none" and found.key or nil
  if not trusted then given.cert_file, given.key_file = nil, nil end
  given.verify, given.proxy = how.verify, how.proxy or given.proxy
  if how.ca_file ~= nil then given.ca_file = how.ca_file or nil end
  function given.on_event(event)
    if event.event == "request" then self.sent = self.sent + 1 end
    if self.on_event then self.on_event(event) end
  end
  local good, client, err = pcall(sora.new, given)
  if good then return client, err end
  return nil, { kind = "config", message = tostring(client):gsub("^.-%(new%) *", "") }
end

--- Sends a GET.
-- @tparam string target a path, perhaps with a query
-- @tparam ?table how `auth`, `proxy` ("" for none), `verify`, `ca_file` (false for libcurl's own), `origin`:
-- other than configured
-- @treturn table { value or err, status, headers, redirected, seconds, failed: there is no answer over HTTP,
-- perhaps because the time for all requests is over }
function Probe:get(target, how)
  how = how or {}
  if self:is_over() then
    return { failed = true, headers = {}, err = { kind = "timeout", message = "there was no time left" } }
  end
  local name = name_of(how)
  local client = self.clients[name]
  if not client then
    local err
    client, err = self:make(how)
    if not client then return { err = err, failed = true, headers = {} } end
    self.clients[name] = client
  end
  local path, query = target:match "^([^?]*)%??(.*)$"
  self.sent = 0
  local spec = { name = "get_video", method = "GET", path = path, query = query ~= "" and query or nil }
  local value, problem, response = pump.call(client, spec, { response = true })
  response = response or {}
  return { value = value, err = problem, status = response.status ~= 0 and response.status or nil,
    headers = response.headers or {}, seconds = response.seconds, redirected = self.sent > 1,
    failed = problem ~= nil and NETWORK[problem.kind] == true }
end

--- Tells whether the time for all requests is over.
function Probe:is_over()
  return core.now() > self.ends
end

function Probe:close()
  for _, client in pairs(self.clients) do client:close() end
  self.clients = {}
end

return probe
