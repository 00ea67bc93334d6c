--- The process behind wire.lua: `lua5.4 wire_main.lua CONTROL_PORT resets|closes FORWARD_PORT [CERT KEY
-- [PROTOCOL]]`. Owns the listening socket, the fault and the counts.
-- Invariant: it ends when the control connection closes, so no server is left behind.
package.path = arg[0]:gsub("[^/]*$", "?.lua;") .. package.path

local cjson = require("cjson.safe").new()
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local peer = require "peer"
local socket = require "cqueues.socket"
local sockopt = require "sockopt"

local prepare, read_line = peer.prepare, peer.read_line

local loop = cqueues.new()
local disarmed = condition.new()
local connections = {} -- the open ones: connection → true
local resets, target, tls_context
local listener, port
local answers, fault = {}, nil
local counts

local function count_anew()
  counts = { connections = 0, requests = 0, posts = 0 }
end

-- Reading -------------------------------------------------------------------------

--- Reads the headers; returns the length of the body, or nil if the peer closes before their end.
local function read_head(sock)
  local length = 0
  while true do
    local line = read_line(sock)
    if not line then return nil end
    if line == "\r\n" then return length end
    length = tonumber(line:lower():match("^content%-length:%s*(%d+)")) or length
  end
end

local function read_body(sock, length)
  local left = math.floor(length)
  while left > 0 do
    local bytes = sock:read(-math.min(left, 65536))
    if not bytes or #bytes == 0 then return false end
    left = left - #bytes
  end
  return true
end

--- Reads what comes after the first line of a request. Returns whether it came.
local function read_rest(sock, how_much)
  if how_much == "line" then return true end
  local length = read_head(sock)
  if not length or how_much == "head" then return length ~= nil end
  return read_body(sock, how_much == "half" and length / 2 or length)
end

-- Answering -----------------------------------------------------------------------

--- Takes the fault for one connection (`read` is "nothing") or one request; nil if it meets none.
local function take(at_once)
  if not fault or fault.refuse or fault.most or (fault.read == "nothing") ~= at_once then return nil end
  local taken = fault
  if taken.times then
    taken.times = taken.times - 1
    if taken.times <= 0 then fault = nil end
  end
  return taken
end

local function send(sock, step)
  if type(step) == "number" then
    cqueues.sleep(step)
  elseif type(step) == "string" then
    return sock:write(step) ~= nil
  else
    local times = math.max(1, 65536 // #step[1])
    local block = step[1]:rep(times)
    for sent = 1, step[2], times do
      if not sock:write(block:sub(1, #step[1] * math.floor(step[2] - sent + 1))) then return false end
    end
  end
  return true
end

--- Sends a fault's bytes. Returns whether the connection may carry another request.
local function play(sock, taken)
  for _, step in ipairs(taken.steps or {}) do
    if not send(sock, step) then return false end
  end
  if taken.ending == "stay" then disarmed:wait() end
  return taken.ending == "keep"
end

local function answer(sock, method, path)
  for _, one in ipairs(answers) do
    if one.method == method and path:find(one.path) then return sock:write(one.bytes) end
  end
  return sock:write("HTTP/1.1 599 No Answer\r\nContent-Length: 0\r\n\r\n")
end

local function converse(conn)
  local sock = conn.sock
  if tls_context and not sock:starttls(tls_context) then return end
  local taken = take(true)
  if taken then return play(sock, taken) end
  repeat
    conn.idle = true
    local line = read_line(sock)
    conn.idle = false
    if not line or conn.dropped then return end
    local method, path = line:match("^(%S+) (%S+)")
    counts.requests = counts.requests + 1
    if method == "POST" then counts.posts = counts.posts + 1 end
    taken = take(false)
    if not read_rest(sock, taken and taken.read) then return end
    local goes_on
    if taken then goes_on = play(sock, taken) else goes_on = answer(sock, method, path) end
  until not goes_on
end

--- Passes bytes on between the client and another server, and cuts the way back where the fault says.
local function forward(conn)
  local sock, left = conn.sock, fault and fault.most or math.huge
  local there = prepare(socket.connect { host = "127.0.0.1", port = target, nodelay = true })
  local back_done, is_done = condition.new(), false
  conn.idle = true
  loop:wrap(function()
    while left > 0 do
      local bytes = there:read(-math.floor(math.min(left, 65536)))
      if not bytes or not sock:write(bytes) then break end
      left = left - #bytes
    end
    sock:shutdown("r") -- ends the loop below, and tells the client nothing
    is_done = true
    back_done:signal()
  end)
  repeat
    local bytes = sock:read(-65536)
  until not bytes or not there:write(bytes)
  there:shutdown("rw")
  while not is_done do back_done:wait() end
  there:close()
end

-- Connections ---------------------------------------------------------------------

local function accept_all()
  local own = listener
  for sock in function() return own:accept { nodelay = true } end do
    counts.connections = counts.connections + 1
    local conn = { sock = prepare(sock) }
    connections[conn] = true
    loop:wrap(function()
      if target then forward(conn) else converse(conn) end
      connections[conn] = nil
      sock:close()
    end)
  end
  own:close()
end

-- Each accepted socket inherits the option that makes its close a RST.
local function listen()
  listener = prepare(assert(socket.listen { host = "127.0.0.1", port = port or 0, reuseaddr = true }))
  port = select(3, listener:localname())
  if resets then sockopt.reset_on_close(listener) end
  loop:wrap(accept_all)
end

-- The control connection ----------------------------------------------------------

local commands = {}

function commands.serve(line)
  answers = line.answers
end

function commands.arm(line)
  if not line.keep then peer.drop(connections, true) end
  fault = line.fault
  count_anew()
  if fault and fault.refuse then
    listener:shutdown("rw") -- closes the port, and ends accept_all
    listener = nil
  end
end

function commands.push(line)
  local count = 0
  for conn in pairs(connections) do
    if conn.idle and conn.sock:write(line.bytes) then count = count + 1 end
  end
  return count
end

function commands.disarm()
  fault = nil
  if not listener then listen() end
  disarmed:signal()
  peer.drop(connections, false)
  return counts
end

local function obey(control)
  peer.obey(control, commands)
  if listener then listener:close() end -- before the control connection: when `stop` returns it is closed
  os.exit(0)
end

local function main(control_port, how, forward_port, cert_path, key_path, protocol)
  count_anew()
  resets, target = how == "resets", math.tointeger(tonumber(forward_port))
  tls_context = cert_path and peer.context { cert = cert_path, key = key_path, protocol = protocol }
  local control = prepare(socket.connect("127.0.0.1", control_port))
  listen()
  assert(control:write(cjson.encode { value = port }, "\n"), "nobody listens on the control port")
  loop:wrap(obey, control)
  assert(loop:loop())
end

main(...)
