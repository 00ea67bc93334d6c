--- The process behind httpd.lua: `lua5.4 httpd_main.lua CONTROL_PORT OPTIONS`, where OPTIONS is JSON:
-- `tls`, as peer.context takes it, and `unix`, the path of a socket to listen on in place of a port.
-- Owns the listening socket, the script of answers and the log of requests. It connects to the control port,
-- sends the port that it listens on, and then answers each line of JSON with one line of JSON. It always runs
-- in Lua 5.4, whichever Lua runs the specs.
-- Invariant: it ends when the control connection closes. The kernel closes that when the process of the specs
-- ends, however it ends, so no server is left behind.
-- httpd.lua sends answers in this form:
--   { hold = boolean, delay = seconds, steps = { bytes or seconds, … }, tunnel = port, ending = E }
-- where E is "keep", "close" or "reset".
package.path = arg[0]:gsub("[^/]*$", "?.lua;") .. package.path

local cjson = require("cjson.safe").new()
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local peer = require "peer"
local socket = require "cqueues.socket"
local sockopt = require "sockopt"

local prepare, read_line = peer.prepare, peer.read_line

local loop = cqueues.new()
local arrived, released = condition.new(), condition.new()
local tls, tls_context
local connections = {} -- the open ones: connection → true
local state -- everything that `reset` clears

local function forget()
  state = { script = {}, routes = {}, log = {}, accepted = 0, answered = 0 }
end

-- Reading requests ------------------------------------------------------------

local function read_block(sock, size)
  local block = sock:read(size)
  return block and #block == size and block or nil
end

--- Reads lines up to and including the empty one; nil if the peer closes before it.
local function read_lines(sock)
  local lines = {}
  repeat
    local line = read_line(sock)
    if not line then return nil end
    lines[#lines + 1] = line
  until line == "\r\n" or line == "\n"
  return lines
end

local function read_chunks(sock)
  local chunks = {}
  while true do
    local line = read_line(sock)
    local size = line and tonumber(line:match("^%x+") or "", 16)
    if not size then return nil end
    if size == 0 then return read_lines(sock) and table.concat(chunks) end
    chunks[#chunks + 1] = read_block(sock, size)
    if not chunks[#chunks] or not read_line(sock) then return nil end
  end
end

local function read_body(sock, headers)
  if (headers.expect or ""):lower() == "100-continue" then
    sock:write("HTTP/1.1 100 Continue\r\n\r\n")
  end
  if (headers["transfer-encoding"] or ""):lower() == "chunked" then return read_chunks(sock) end
  local size = tonumber(headers["content-length"] or 0)
  return size and read_block(sock, size)
end

local function parse_headers(lines)
  local headers = {}
  for i = 2, #lines - 1 do
    local name, value = lines[i]:match("^([^:%s]+):[ \t]*(.-)[ \t]*\r?\n$")
    if not name then return nil end
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  return headers
end

--- Reads a complete request. Returns nil if the peer has closed; nil and true if the bytes are not HTTP.
local function read_request(conn)
  conn.idle = true
  local first = read_line(conn.sock)
  conn.idle = false
  if not first then return nil end
  local method, target, version = first:match("^(%S+) (%S+) HTTP/(%d%.%d)\r?\n$")
  if not method then return nil, true end
  local rest = read_lines(conn.sock)
  if not rest then return nil end
  table.insert(rest, 1, first)
  local headers = parse_headers(rest)
  if not headers then return nil, true end
  local body = read_body(conn.sock, headers)
  return body and { connection = conn.serial, method = method, target = target, version = version,
    headers = headers, raw_head = table.concat(rest), body = body, at = cqueues.monotime() }
end

-- Answering -------------------------------------------------------------------

local function text_answer(status, text)
  return { ending = "close", steps = { ("HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
    .. "Connection: close\r\n\r\n%s"):format(status, #text, text) } }
end

local function route_matches(route, request)
  local path = request.target:match("^[^?]*")
  return (route.method == "*" or route.method == request.method)
    and (route.path == path or (route.path:sub(1, 1) == "^" and path:find(route.path) ~= nil))
end

local function choose_answer(request)
  for _, route in ipairs(state.routes) do
    if route_matches(route, request) then
      route.used = math.min((route.used or 0) + 1, #route.answers)
      return route.answers[route.used]
    end
  end
  state.answered = state.answered + 1
  return state.script[state.answered] or text_answer("599 Script Ran Out",
    ("the script has %d answers; this is request %d: %s %s"):format(#state.script, state.answered,
      request.method, request.target))
end

local function copy_bytes(from, to)
  repeat
    local bytes = from:read(-65536)
  until not bytes or not to:write(bytes)
  to:shutdown("w")
end

--- Forwards bytes between the client and a port of this machine until both sides have closed.
local function tunnel(sock, port)
  local target = prepare(socket.connect("127.0.0.1", math.tointeger(port)))
  local back_done, is_done = condition.new(), false
  loop:wrap(function()
    copy_bytes(target, sock)
    is_done = true
    back_done:signal()
  end)
  copy_bytes(sock, target)
  while not is_done do back_done:wait() end
  target:close()
end

--- Sends an answer. Returns true if the connection may carry another request.
local function give(conn, request, answer)
  local sock = conn.sock
  if answer.hold then released:wait() end
  if answer.delay then cqueues.sleep(answer.delay) end
  for _, step in ipairs(answer.steps) do
    if type(step) == "number" then
      cqueues.sleep(step)
    elseif not sock:write(step) then
      return false
    end
  end
  if answer.tunnel then tunnel(sock, answer.tunnel) end
  if answer.ending == "reset" then sockopt.reset_on_close(sock) end
  local wanted = (request.headers.connection or ""):lower()
  return answer.ending == "keep" and wanted ~= "close"
    and (request.version ~= "1.0" or wanted == "keep-alive")
end

-- Makes a connection speak TLS. Where client certificates count, each has a context of its own: OpenSSL
-- resumes no session then, which would need what luaossl can't set (the session id context).
local function start_tls(conn)
  local context = tls.client_ca and peer.context(tls) or tls_context
  if conn.sock:starttls(context) then return true end
  if tls.client_ca then released:wait() end -- a close at once may send RST, which destroys the alert
end

local function converse(conn)
  if tls and not start_tls(conn) then return end
  repeat
    local request, not_http = read_request(conn)
    if not_http then
      give(conn, { headers = {} }, text_answer("400 Bad Request", "these bytes are not an HTTP/1 request"))
    end
    if not request or conn.dropped then return end
    request.n = #state.log + 1
    request.certificate = peer.certificate(conn.sock)
    state.log[request.n] = request
    arrived:signal()
  until not give(conn, request, choose_answer(request))
end

local function accept_all(listener)
  for sock in listener:clients() do
    state.accepted = state.accepted + 1
    local conn = { sock = prepare(sock), serial = state.accepted, idle = true }
    connections[conn] = true
    loop:wrap(function()
      converse(conn)
      connections[conn] = nil
      sock:close()
    end)
  end
end

-- The control connection ------------------------------------------------------

local commands = {}

function commands.reply(line)
  table.move(line.answers, 1, #line.answers, #state.script + 1, state.script)
end

function commands.route(line)
  table.insert(state.routes, 1, { method = line.method, path = line.path, answers = line.answers })
end

function commands.requests()
  return state.log
end

function commands.connections()
  return state.accepted
end

function commands.wait(line)
  local deadline = cqueues.monotime() + line.timeout
  while #state.log < line.n do
    local left = deadline - cqueues.monotime()
    if left <= 0 then
      return nil, ("waited %g s for %d requests and got %d"):format(line.timeout, line.n, #state.log)
    end
    arrived:wait(left)
  end
  return state.log
end

function commands.release()
  released:signal()
end

function commands.drop()
  peer.drop(connections, true)
end

function commands.reset()
  peer.drop(connections, false)
  released:signal()
  forget()
end

local function obey(control, listener)
  peer.obey(control, commands)
  listener:close() -- before the control connection, so that the port is closed when `stop` returns
  os.exit(0)
end

local function main(control_port, text)
  forget()
  local options = assert(cjson.decode(text))
  tls = options.tls
  tls_context = tls and peer.context(tls)
  local listener = assert(socket.listen(options.unix and { path = options.unix, unlink = true }
    or { host = "127.0.0.1", port = 0 }))
  assert(listener:listen())
  local control = prepare(socket.connect("127.0.0.1", control_port))
  local _, _, port = listener:localname()
  assert(control:write(cjson.encode{ value = port or 0 }, "\n"), "nobody listens on the control port")
  loop:wrap(obey, control, listener)
  loop:wrap(accept_all, listener)
  assert(loop:loop())
end

main(...)
