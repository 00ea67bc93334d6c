--- A development server that speaks the OpenAI video format, on loopback.
-- Its jobs run for some seconds and then complete with a video file that plays. Use it in place of a paid
-- service while you write a game, a web page or a client. It fails on demand, to test how errors are handled,
-- and plays the odd ways of real servers (its modes).
--
--     local server = assert(require("sora.server").new { duration = 3 })
--     print(server:url())
--     server:run()
--
-- docs/development-server.md describes the fields of a create, the endpoints under /dev and the modes.
-- @module sora.server

-- Owns the life of a server: its options, the socket, each request from reading it to recording it, and the
-- webhooks on their way. Needs lua-http, which the client does not.

local loaded, http_server = pcall(require, "http.server")
if not loaded then
  error("sora.server needs lua-http: `luarocks install http`, or Debian's package lua-http. (Debian installs "
    .. "it for Lua 5.1 to 5.3; for newer ones, LUA_PATH must end in "
    .. "/usr/share/lua/5.3/?.lua;/usr/share/lua/5.1/?.lua.)\n" .. tostring(http_server):match("^[^\n]*"), 2)
end
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local http_util = require "http.util"
local rand = require "openssl.rand"
local control = require "sora.server.control"
local endpoints = require "sora.server.endpoints"
local format = require "sora.server.format"
local input = require "sora.server.input"
local jobs = require "sora.server.jobs"
local modes = require "sora.server.modes"
local transport = require "sora.server.transport"
local webhook = require "sora.server.webhook"

local server = {}

local Server = {}
Server.__index = Server

-- ---- options ----------------------------------------------------------------------------------------------

local check = input.check
local AUTH = { bearer = true, raw = true, ["api-key"] = true, ["x-api-key"] = true }

local RULES = {
  host = { check.text, "a host" },
  port = { check.between(0, 65535), "a port number" },
  allow_remote = { check.type "boolean", "a boolean" },
  duration = { check.seconds, "a number of seconds" },
  queue = { check.seconds, "a number of seconds" },
  expires = { check.seconds, "a number of seconds" },
  delay = { check.seconds, "a number of seconds" },
  poll_after = { check.seconds, "a number of seconds" },
  keep_alive = { check.seconds, "a number of seconds" },
  fail_rate = { function(v) return check.seconds(v) and v <= 1 end, "a number from 0 to 1" },
  not_ready = { check.between(400, 599), "an HTTP status from 400 to 599" },
  api_key = { check.text, "a string" },
  auth = { function(v) return AUTH[v] end, '"bearer", "raw", "api-key" or "x-api-key"' },
  base_path = { function(v) return check.text(v) and v:find("^/.*[^/]$") end, 'a path such as "/v1"' },
  cors = { check.text, "an origin" },
  mode = { modes.find, "one of: " .. modes.names() },
  webhook = { check.url, "an http or https URL" },
  webhook_secret = { check.text, "a string" },
  format = { check.type "table", "a dialect (see sora.server.format)" },
  clock = { check.type "function", "a function" },
  random = { check.type "function", "a function" },
  log = { check.type "function", "a function" },
}

local SECRET = { api_key = true, webhook_secret = true }

local function is_loopback(host)
  return host == "localhost" or host == "::1" or host:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

local function known_options()
  local names = {}
  for name in pairs(RULES) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ", ")
end

-- The value of an option, for a message; of a secret or a table only its type.
local function shown(name, value)
  local kind = type(value)
  if value == "" then return "an empty string" end
  if SECRET[name] or kind ~= "number" and kind ~= "string" then return kind end
  return kind == "string" and ("%q"):format(value) or tostring(value)
end

-- Returns what is wrong with the options; nil when all are valid.
local function find_problem(options)
  if type(options) ~= "table" then return "options: expected a table, got " .. type(options) end
  local name = check.fields(RULES, options)
  if name and not RULES[name] then
    return ("unknown option '%s'; known options: %s"):format(name, known_options())
  elseif name then
    return ("option '%s': expected %s, got %s"):format(name, RULES[name][2], shown(name, options[name]))
  end
  local host = options.host
  if host and not options.allow_remote and not is_loopback(host) then
    return ("%s is not a loopback address; allow_remote = true binds it all the same"):format(host)
  end
  return nil
end

local function random()
  return rand.uniform(2 ^ 30) / 2 ^ 30
end

-- ---- one request ------------------------------------------------------------------------------------------

-- Makes the real response. An error in a handler is a bug of this server and must not end it.
local function process(self, request)
  if not request.body then
    local refusal = self.app:refusal(input.problem(413, "The body is too large.", nil, "request_too_large"))
    refusal.headers.connection = "close"
    return refusal
  end
  local ok, response = xpcall(function() return self.app:handle(request) end, debug.traceback)
  if not ok then
    self:note(response)
    response = self.app:refusal(input.problem(500, "The server failed; see its log."))
  end
  return response
end

-- Changes a response as a fault demands.
local function apply_fault(response, fault)
  response = response or { status = 200, headers = {} }
  if fault.body then
    response.content, response.body = nil, fault.body
  end
  response.status = fault.status or response.status
  response.body = response.content and nil or response.body or ""
  for name, value in pairs(fault.headers or {}) do
    response.headers[name:lower()] = value
  end
  return response
end

-- Adds the headers of every response, unless they are set or a fault removed them (false).
local function complete(self, request, response)
  local headers = response.headers
  local function default(name, value)
    if headers[name] == nil then
      headers[name] = value
    end
  end
  default("x-request-id", request.id)
  default("date", self:date())
  if not transport.NO_BODY[response.status] then
    default("content-type", "application/json")
  end
  response.count = response.count or #(response.body or "")
  return response
end

function Server:answer(stream, request)
  if control.owns(request) then
    local response = self.control:handle(request, transport.is_local(stream))
    return transport.write(stream, request, complete(self, request, response))
  end
  self.control:number(request, stream.connection)
  local fault = self.control.faults:take(request.method, request.path)
  local response
  if not (fault and control.faults.replaces(fault)) then
    response = process(self, request)
  end
  if fault then
    response = apply_fault(response, fault)
  end
  cqueues.sleep(self.delay + (fault and fault.delay or 0))
  complete(self, request, response)
  local status = fault and fault.close == true and 0 or response.status
  self.control:record(request, status)
  self:note(("%s %s %d"):format(request.method, request.target, status))
  transport.write(stream, request, response, fault)
end

function Server:serve(stream)
  self.connections[stream.connection] = true
  local request = transport.read(stream)
  if request then
    self.served = self.served + 1
    request.id = ("req_%s%08x"):format(self.tag, self.served)
    request.time = self.clock()
    self:answer(stream, request)
  end
end

-- ---- webhooks ---------------------------------------------------------------------------------------------

local function announce(self, job)
  local store, changed = self.app.jobs, self.changed[job]
  while store:remaining(job) > 0 and store:get(job.id) == job do
    changed:wait(store:remaining(job))
  end
  self.changed[job] = nil
  if store:get(job.id) ~= job then
    return -- deleted
  end
  local view, id = store:view(job), store:new_id("evt")
  local body = webhook.event(id, view, self.app.format.video(view), os.time())
  local secret = job.webhook_secret or self.webhook_secret
  webhook.send(job.webhook_url or self.webhook, id, body, secret, function(line) self:note(line) end)
end

-- Sends the webhook of a job when it ends, if there is an address for it.
function Server:watch(job)
  if job.webhook_url or self.webhook then
    self.changed[job] = condition.new()
    self:spawn(function() announce(self, job) end)
  end
end

-- ---- the server -------------------------------------------------------------------------------------------

--- Creates a server and binds its port.
-- @tparam ?table options
--
-- * `host` ("127.0.0.1"), `port` (0: the system chooses), `allow_remote` (false; true accepts a `host` that
--   is not loopback)
-- * `queue` (a tenth of `duration`) seconds that a job is queued, then `duration` (6) seconds that it runs;
--   `fail_rate` (0), the share of jobs that fail; `expires` (3600) seconds until a completed file is gone
-- * `poll_after` (nil), the seconds that a client is asked to wait before it polls again
-- * `delay` (0) seconds before each response; `keep_alive` (75) seconds until an idle connection is closed
-- * `api_key`, the key to require, and `auth` ("bearer"), the way a client must send it; `base_path` ("/v1");
--   `cors`, an origin whose pages may call the server; `not_ready` (404), the status for content that is not
--   ready; `format`, a dialect (see sora.server.format)
-- * `mode`, one of sora.server.modes, for all jobs; `webhook`, a URL that receives an event for each job that
--   has ended, and `webhook_secret`, which signs them
-- * `log`, a function that receives a line for each request; `clock` and `random` replace the real ones
-- @treturn ?Server nil when the port cannot be bound
-- @treturn ?string the reason
function server.new(options)
  options = options or {}
  local problem = find_problem(options)
  if problem then
    error("sora.server.new: " .. problem, 2)
  end
  local clock = options.clock or cqueues.monotime
  local self = setmetatable({
    delay = options.delay or 0,
    log = options.log,
    clock = clock,
    base_path = options.base_path or "/v1",
    connections = setmetatable({}, { __mode = "k" }), -- weak: finished connections disappear by themselves
    webhook = options.webhook,
    webhook_secret = options.webhook_secret,
    changed = {}, -- conditions, by the jobs whose webhooks wait for their end
    served = 0,
    tag = ("%08x"):format(rand.uniform(2 ^ 31)),
  }, Server)
  self.app = endpoints.new {
    jobs = jobs.new {
      clock = clock, date = not options.clock and os.time or nil, random = options.random or random,
      duration = options.duration, queue = options.queue, expires = options.expires,
      fail_rate = options.fail_rate, poll_after_ms = options.poll_after and options.poll_after * 1000,
    },
    format = options.format or format,
    base_path = self.base_path, api_key = options.api_key, auth = options.auth, not_ready = options.not_ready,
    cors = options.cors, mode = options.mode,
    on_create = function(job) self:watch(job) end,
    on_end = function(job)
      if self.changed[job] then
        self.changed[job]:signal()
      end
    end,
  }
  self.control = control.new(self.app)
  return self:bind(options)
end

function Server:bind(options)
  local http, err = http_server.listen {
    host = options.host or "127.0.0.1",
    port = options.port or 0,
    tls = false,
    version = 1.1,
    reuseaddr = true,
    intra_stream_timeout = options.keep_alive or 75,
    onstream = function(_, stream)
      local served, why = http_util.yieldable_pcall(self.serve, self, stream)
      if not served then
        self:note(tostring(why))
      end
      transport.finish(stream)
    end,
    onerror = function(_, _, operation, why) self:note(("%s: %s"):format(operation, tostring(why))) end,
  }
  local bound
  if http then
    bound, err = http:listen()
  end
  if not bound then
    return nil, tostring(err)
  end
  local _, host, port = http:localname()
  self.http = http
  self.origin = ("http://%s:%d"):format(host:find(":", 1, true) and "[" .. host .. "]" or host, port)
  self.app.origin = self.origin
  return self
end

function Server:note(line)
  if self.log then
    self.log((line:gsub("[^\n\t\32-\126]", "?")))
  end
end

function Server:date()
  local now = os.time()
  if now ~= self.dated then
    self.dated, self.date_text = now, os.date("!%a, %d %b %Y %H:%M:%S GMT", now)
  end
  return self.date_text
end

--- Returns the base URL to give to a client.
-- @treturn string
function Server:url()
  return self.origin .. self.base_path
end

--- Handles pending events; waits for the first one if nothing is pending.
-- @tparam ?number timeout the longest wait in seconds; nil: no limit
-- @treturn boolean false once the server is stopped
function Server:step(timeout)
  if self.http and not self.stopping then
    self.running = true
    local ok, err = self.http:step(timeout)
    self.running = false
    if not ok then
      self:note("step: " .. tostring(err))
    end
  end
  if self.stopping then
    self:release()
  end
  return self.http ~= nil
end

--- Serves until `stop` is called.
function Server:run()
  while self:step() do end
end

--- Stops the server and closes its connections. Safe to call at any time, from inside a request, and twice.
function Server:stop()
  self.stopping = true
  if not self.running then
    self:release()
  end
end

function Server:release()
  local http = self.http
  if not http then
    return
  end
  self.http = nil
  http.socket:close()
  http.socket = nil
  for connection in pairs(self.connections) do
    if connection.socket then
      connection.socket:close()
      connection.socket = nil
    end
  end
end

--- Runs a function as a coroutine of the server's loop, beside the requests.
-- @tparam function run
function Server:spawn(run)
  self.http.cq:wrap(run)
end

--- Runs the server as a program.
-- @tparam {string,...} arguments of the command line
-- @treturn number the exit status
function server.main(arguments)
  return require("sora.server.program").main(server, arguments)
end

return server
