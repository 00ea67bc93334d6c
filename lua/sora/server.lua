--- A development server that speaks the OpenAI video format, on loopback.
-- Its jobs run for some seconds and then complete with a video file that plays. Use it in place of a paid
-- service while you write a game, a web page or a client. It fails on demand, to test how errors are handled.
--
--     local server = assert(require("sora.server").new { duration = 3 })
--     print(server:url())
--     server:run()
--
-- Besides the fields of the format, a create accepts `dev`, an object that controls this job: `duration`,
-- `queue`, `expires` (seconds, as in the options), `fail` (an error code, or `{ code, message }`),
-- `content_bytes` (the size of the video file), `poll_after_ms` (sent as `openai-poll-after-ms` while the job
-- runs), `id`. Requests that come over loopback can also use these endpoints:
--
-- * `POST /dev/faults` adds one fault or a list of faults. Which requests: `match` (`method`, and `path`, a
--   Lua pattern; every request without it), `after` (skip this many matches first), `times` (then apply this
--   often; always without it). What happens: `status`, `body`, `headers` (false removes one), `delay`
--   (seconds before the response), `close` (true: close without a response; "after": close after it, without
--   `Connection: close`), `truncate` (send only this many bytes of the body), `stall` (with `truncate`:
--   seconds before the connection is cut). A fault with `status`, `body` or `close = true` replaces the real
--   response, and the request is not processed; with `process = true` it is processed first.
-- * `DELETE /dev/faults`, `GET /dev/faults`
-- * `GET /dev/requests`: the last thousand requests, without keys; `GET /dev/stats`: counters
-- * `GET /dev/jobs/{id}`: the fields and files that created the job
--
-- Owns the life of a server: the socket, and each request from reading it to recording it. Needs lua-http,
-- which the client does not.
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

-- Makes the real response. An error in a handler is a bug of this server; it must not end the server.
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

-- Adds the headers of every response. Keeps those that are set already, or removed (false) by a fault.
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

--- Creates a server and binds its port.
-- @tparam ?table options
--
-- * `host` ("127.0.0.1"), `port` (0: the system chooses), `allow_remote` (false; true accepts a `host` that
--   is not loopback)
-- * `queue` (a tenth of `duration`) seconds that a job is queued, then `duration` (6) seconds that it runs;
--   `fail_rate` (0), the share of jobs that fail; `expires` (3600) seconds until a completed file is gone
-- * `delay` (0) seconds before each response; `keep_alive` (75) seconds until an idle connection is closed
-- * `api_key`, the key to require, and `auth` ("bearer"), the way a client must send it; `base_path` ("/v1");
--   `cors`, an origin whose pages may call the server; `not_ready` (404), the status for content that is not
--   ready; `format`, a dialect (see sora.server.format)
-- * `log`, a function that receives a line for each request; `clock` and `random` replace the real ones
-- @treturn ?Server nil when the port cannot be bound
-- @treturn ?string the reason
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
    connections = setmetatable({}, { __mode = "k" }), -- weak: finished connections disappear by themselves
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

--- Returns the base URL to give to a client.
-- @treturn string
function Server:url()
  return self.origin .. self.base_path
end

--- Handles pending events, and waits for some if there are none.
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
  return require("sora.server.main")(server, arguments)
end

return server
