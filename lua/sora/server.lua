--- The development server: an honest little server of the video format on loopback.
-- Jobs take their time and are then done; their content is a film that plays. It stands in for a paid service
-- while a game, a web page or a client is written, and fails on demand, so that the unhappy paths can be
-- tried as well.
--
--     local server = assert(require("sora.server").new { duration = 3 })
--     print(server:url())
--     server:run()
--
-- Besides the format, a create takes a field `dev`, an object that says how this job behaves: `duration`,
-- `queue`, `expires` (seconds, as in the options), `fail` (an error code, or `{ code, message }`),
-- `content_bytes` (the film's size), `poll_after_ms` (sent as `openai-poll-after-ms` while it runs), `id`.
-- And there is a control surface, for loopback alone:
--
-- * `POST /dev/faults`: a list of faults, each with a `match` (`method`, and `path`, a Lua pattern), how many
--   `times` it happens (always), how many matches come `after` which it does, and what happens: `status`,
--   `body`, `headers` (false removes one), `delay` (seconds before the answer), `close` (true: no answer;
--   "after": closed after it, unannounced), `truncate` (send only so many bytes of the body), `stall`
--   (seconds before it is then cut). What stands in place of an answer also keeps the request from being
--   looked at, unless there is `process = true`: then only its answer is lost.
-- * `DELETE /dev/faults`, `GET /dev/faults`
-- * `GET /dev/requests`: the last thousand requests, keys left out; `GET /dev/stats`: counts
-- * `GET /dev/jobs/{id}`: the fields and files that a job was made from
--
-- Owns the life of a server: the socket, and the way of each request from reading it to its record. Needs
-- lua-http, which sora itself does not.
-- @module sora.server
local loaded, http_server = pcall(require, "http.server")
if not loaded then
  error("sora.server needs lua-http: `luarocks install http`, or Debian's package lua-http. (Debian installs "
    .. "it for Lua 5.1 to 5.3; for newer ones, LUA_PATH must end in "
    .. "/usr/share/lua/5.3/?.lua;/usr/share/lua/5.1/?.lua.)\n" .. tostring(http_server):match("^[^\n]*"), 2)
end
local cqueues = require "cqueues"
local http_util = require "http.util"
local rand = require "openssl.rand"
local app = require "sora.server.app"
local control = require "sora.server.control"
local faults = require "sora.server.faults"
local format = require "sora.server.format"
local input = require "sora.server.input"
local jobs = require "sora.server.jobs"
local options_of = require "sora.server.options"
local transport = require "sora.server.transport"

local server = {}

local Server = {}
Server.__index = Server

local function random()
  return rand.uniform(2 ^ 30) / 2 ^ 30
end

-- ---- one request ------------------------------------------------------------------------------------------

-- The real answer. A mistake in a handler is a mistake here, and must not take the server with it.
local function process(self, request)
  if not request.body then
    local refusal = self.app:refusal(input.problem(413, "The body is too large.", nil, "request_too_large"))
    refusal.headers.connection = "close"
    return refusal
  end
  local ok, response = xpcall(function() return self.app:handle(request) end, debug.traceback)
  if not ok then
    self:note(response)
    response = self.app:refusal(input.problem(500, "The server made a mistake; its log tells more."))
  end
  return response
end

local function spoil(response, fault)
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

-- What every response has. Headers that are there already, or were taken away with false, stay as they are.
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
  if not (fault and faults.replaces(fault)) then
    response = process(self, request)
  end
  if fault then
    response = spoil(response, fault)
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

-- ---- the server -------------------------------------------------------------------------------------------

--- Makes a server and binds its port.
-- @tparam ?table options
--
-- * `host` ("127.0.0.1"), `port` (0: the system chooses), `allow_remote` (false; without it only loopback is
--   bound)
-- * `duration` (6) seconds a job takes after `queue` (a tenth of that) seconds of waiting; `fail_rate` (0) of
--   the jobs fail; content `expires` (3600) seconds after completion
-- * `delay` (0) seconds before each answer; `keep_alive` (75) seconds before an idle connection is closed
-- * `api_key`, and `auth` ("bearer"), how it is to be sent; `base_path` ("/v1"); `cors`, an origin that may
--   call from a browser; `not_ready` (404), the status of content that is not ready; `format`, a dialect
-- * `log`, a function called with a line for each request; `clock` and `random`, in place of the real ones
-- @treturn ?Server nil when the port cannot be bound
-- @treturn ?string why
function server.new(options)
  options = options or {}
  local problem = options_of.problem(options)
  if problem then
    error("sora.server.new: " .. problem, 2)
  end
  local clock = options.clock or cqueues.monotime
  local self = setmetatable({
    delay = options.delay or 0,
    log = options.log,
    clock = clock,
    base_path = options.base_path or "/v1",
    connections = setmetatable({}, { __mode = "k" }), -- those that are alive
    served = 0,
    tag = ("%08x"):format(rand.uniform(2 ^ 31)),
  }, Server)
  self.app = app.new {
    jobs = jobs.new {
      clock = clock, date = not options.clock and os.time or nil, random = options.random or random,
      duration = options.duration, queue = options.queue, expires = options.expires,
      fail_rate = options.fail_rate,
    },
    format = options.format or format,
    base_path = self.base_path, api_key = options.api_key, auth = options.auth, not_ready = options.not_ready,
    cors = options.cors,
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

--- The base URL, as a client wants it.
-- @treturn string
function Server:url()
  return self.origin .. self.base_path
end

--- Does what there is to do, and waits for it up to a time.
-- @tparam ?number timeout seconds; without one it waits until something happens
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

--- Serves until it is stopped.
function Server:run()
  while self:step() do end
end

--- Ends the server and closes its connections. It may be called at any time, also from within a request, and
-- again.
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

--- Runs a function beside the requests, as a coroutine of the server's loop.
-- @tparam function run
function Server:spawn(run)
  self.http.cq:wrap(run)
end

--- The server as a program.
-- @tparam {string,...} arguments the command line's
-- @treturn number the exit status
function server.main(arguments)
  return require("sora.server.main")(server, arguments)
end

return server
