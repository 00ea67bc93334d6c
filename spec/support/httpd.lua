--- A scripted HTTP/1.1 server on loopback, for specs. It sends exactly the bytes it is told to send, and
-- keeps exactly the bytes it received. The code under test blocks, so each server is a process
-- (httpd_main.lua); this module starts it and controls it over a connection. Works under every Lua.
-- Owns the format of answers, and translates them to the few primitives of the server:
--
--   { status = 200, reason =, headers = { { "Name", "value" }, … } or map, body = "…" or json = table }
--       an ordinary response; Content-Length is added unless it is in headers or `chunked = true`
--   { raw = "bytes" } or { steps = { "bytes", seconds, "bytes", … } }
--       exactly these bytes, with pauses
--
-- and, alone or together with those:
--   delay = seconds       wait before anything else
--   hold = true           wait for release(); alone: then close without a response
--   close = true          close afterwards, with `Connection: close` in a response; alone: no response
--   close_after = true    close afterwards, without `Connection: close`
--   reset = true          end the connection with RST; alone: no response
--   truncate = n          send the Content-Length of the whole body but only n bytes of it, then close
--   tunnel = port         afterwards forward bytes to that port of this machine (for CONNECT)
--
-- `Expect: 100-continue` is answered automatically, and `Connection: close` in a request is obeyed.
local cjson = require("cjson.safe").new()
local remote = require "spec.support.remote"
local socket = require "cqueues.socket"
local sockopt = require "spec.support.sockopt"

local MAIN = debug.getinfo(1, "S").source:match("^@(.*)%.lua$") .. "_main.lua"

local REASONS = { [200] = "OK", [201] = "Created", [202] = "Accepted", [204] = "No Content",
  [206] = "Partial Content", [301] = "Moved Permanently", [302] = "Found", [303] = "See Other",
  [304] = "Not Modified", [307] = "Temporary Redirect", [308] = "Permanent Redirect", [400] = "Bad Request",
  [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found", [409] = "Conflict",
  [429] = "Too Many Requests", [500] = "Internal Server Error", [502] = "Bad Gateway",
  [503] = "Service Unavailable", [504] = "Gateway Timeout" }

local FIELDS = { status = "number", reason = "string", headers = "table", body = "string", json = "table",
  chunked = "boolean", raw = "string", steps = "table", delay = "number", hold = "boolean", close = "boolean",
  close_after = "boolean", reset = "boolean", truncate = "number", tunnel = "number" }

local httpd = {}
local server = {}
server.__index = server
local anchored = {} -- sockets that must stay open until the process ends: they keep a port refused or full

-- Answers ------------------------------------------------------------------------

local function check_answer(answer)
  assert(type(answer) == "table", "an answer is a table")
  for name, value in pairs(answer) do
    assert(type(value) == FIELDS[name],
      ("an answer has no field %s of type %s"):format(tostring(name), type(value)))
  end
end

local function header_list(headers)
  local list = {}
  for _, pair in ipairs(headers or {}) do list[#list + 1] = pair end
  if #list > 0 then return list end
  for name, value in pairs(headers or {}) do list[#list + 1] = { name, tostring(value) } end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

local function find_header(list, wanted)
  for _, pair in ipairs(list) do
    if pair[1]:lower() == wanted then return pair[2] end
  end
end

--- Makes the bytes of an ordinary response.
local function render(answer)
  local status = answer.status or 200
  local body = answer.json and assert(cjson.encode(answer.json)) or answer.body or ""
  local headers = header_list(answer.headers)
  local function default(name, value)
    if not find_header(headers, name:lower()) then headers[#headers + 1] = { name, value } end
  end
  if answer.json then default("Content-Type", "application/json") end
  if answer.chunked then
    default("Transfer-Encoding", "chunked")
    body = (#body > 0 and ("%x\r\n"):format(#body) .. body .. "\r\n" or "") .. "0\r\n\r\n"
  elseif status >= 200 and status ~= 204 and status ~= 304 then
    default("Content-Length", tostring(#body))
  end
  if answer.close then default("Connection", "close") end
  local lines = { ("HTTP/1.1 %d %s\r\n"):format(status, answer.reason or REASONS[status] or "Status") }
  for _, pair in ipairs(headers) do lines[#lines + 1] = pair[1] .. ": " .. pair[2] .. "\r\n" end
  return table.concat(lines) .. "\r\n" .. (answer.truncate and body:sub(1, answer.truncate) or body)
end

local function is_ordinary(answer)
  if answer.raw or answer.steps then return false end
  return answer.status or answer.headers or answer.body or answer.json
    or not (answer.hold or answer.close or answer.reset or answer.tunnel)
end

--- Translates an answer to the server's primitives.
local function compile(answer)
  check_answer(answer)
  local ordinary = is_ordinary(answer)
  local steps = answer.steps or { answer.raw or ordinary and render(answer) or nil }
  local ending = "keep"
  if answer.reset then
    ending = "reset"
  elseif answer.close or answer.close_after or answer.truncate or answer.tunnel or #steps == 0
    or find_header(header_list(answer.headers), "connection") == "close" then
    ending = "close"
  end
  return { hold = answer.hold, delay = answer.delay, steps = steps, tunnel = answer.tunnel, ending = ending }
end

local function compile_all(answers)
  local list = {}
  for i, answer in ipairs(answers) do list[i] = compile(answer) end
  return list
end

-- Servers ------------------------------------------------------------------------

--- Starts a server on a port that the system chooses.
-- @tparam[opt] table options `tls = { cert = path, key = path, client_ca = path, optional = boolean }` makes
-- it speak TLS; with `client_ca` it demands a client certificate, or asks for one if `optional`.
-- `unix` is the path of a socket to listen on in place of a port
-- @return a server with the fields `port` and `url`
function httpd.start(options)
  options = options or {}
  local process = remote.start(MAIN, cjson.encode { tls = options.tls, unix = options.unix })
  local base = options.tls and "https://localhost:%d" or "http://127.0.0.1:%d"
  local url = options.unix and "http://localhost" or base:format(process.port)
  return setmetatable({ remote = process, port = process.port, url = url }, server)
end

--- Appends answers to the script. The n-th request without a matching route, counted over all connections,
-- gets the n-th answer; when the script is used up, a 599 that says so.
function server:reply(...)
  self.remote:call("reply", { answers = compile_all{ ... } })
  return self
end

--- Adds a route: its answers take precedence over the script, and a newer route over an older one.
-- @tparam string method a method, or `*` for all
-- @tparam string path the target without its query; a Lua pattern if it begins with `^`
-- @tparam table answers one answer, or a list whose last one repeats
function server:route(method, path, answers)
  local list = answers[1] and answers or { answers }
  self.remote:call("route", { method = method, path = path, answers = compile_all(list) })
  return self
end

local function whole_numbers(requests)
  for _, request in ipairs(requests) do
    request.n, request.connection = math.floor(request.n), math.floor(request.connection)
  end
  return requests
end

--- Lists all complete requests, in the order of their last byte. Each has `n`, `connection` (the serial
-- number of the TCP connection), `method`, `target` (as sent), `version`, `headers` (lower-case name → value,
-- repeated ones joined by ", "), `raw_head` (exact bytes), `body` (without chunk framing), `at` (monotonic
-- seconds), `certificate` (the name in the client's, if it sent one).
function server:requests()
  return whole_numbers(self.remote:call("requests"))
end

--- Waits for n complete requests and returns all of them. Raises after `timeout` (60) seconds.
function server:wait_requests(n, timeout)
  return whole_numbers(self.remote:call("wait", { n = n, timeout = timeout or 60 }))
end

--- Returns how many TCP connections were accepted.
function server:connections()
  return math.floor(self.remote:call("connections"))
end

--- Sends every answer that is held back now.
function server:release()
  self.remote:call("release")
end

--- Closes the idle connections.
function server:drop_connections()
  self.remote:call("drop")
end

--- Clears script, routes, log and counts, and closes all connections, so that specs are independent.
function server:reset()
  self.remote:call("reset")
end

--- Ends the process. Its port is closed when this returns. Safe to call twice.
function server:stop()
  self.remote:stop()
end

-- Ports without a server ---------------------------------------------------------

--- Returns a URL that refuses connections. Its port is the local end of an open connection, so that no other
-- program can listen on it.
function httpd.refused_url()
  local listener, port = remote.listen()
  local client = assert(socket.connect("127.0.0.1", port):connect())
  local _, _, near_port = client:localname()
  anchored[#anchored + 1] = { client, assert(listener:accept()) }
  listener:close()
  return ("http://127.0.0.1:%d"):format(near_port)
end

--- Returns a URL where connecting neither succeeds nor fails: the listener's queue is full, so Linux drops
-- every further SYN silently.
function httpd.blackhole()
  local listener, port = remote.listen()
  sockopt.backlog(listener, 0)
  anchored[#anchored + 1] = { listener, assert(socket.connect("127.0.0.1", port):connect()) }
  return ("http://127.0.0.1:%d"):format(port)
end

return httpd
