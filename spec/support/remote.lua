--- A server for specs in a process of its own, driven over a connection.
-- Owns the process and the control connection: one line of JSON for each command, one for its answer. The
-- server's program connects to the port it is given, and ends when that connection closes, which the kernel
-- does however the process of the specs ends. It runs in Lua 5.4, whichever Lua runs the specs.
local cjson = require("cjson.safe").new()
local process = require "spec.support.process"
local socket = require "cqueues.socket"

local START_TIMEOUT, CONTROL_TIMEOUT = 60, 60
local MAX_LINE = 2 ^ 30 -- cqueues cuts lines at 4096 bytes otherwise

local remote = {}
remote.__index = remote

--- Listens on loopback.
-- @return the listener
-- @treturn number its port, chosen by the system
function remote.listen()
  local listener = assert(socket.listen("127.0.0.1", 0))
  local _, _, port = listener:localname()
  return listener, port
end

local function receive(control)
  local line, why = control:read("*l")
  local answer = line and cjson.decode(line)
  if not answer then error("the test server is gone (" .. tostring(why or "end of file") .. ")", 0) end
  return answer
end

--- Starts `lua5.4 PROGRAM CONTROL_PORT ARGUMENTS…` and waits until it listens.
-- @treturn remote with the field `port`, where the server listens
function remote.start(program, ...)
  local listener, control_port = remote.listen()
  -- LD_PRELOAD may hold a sanitizer, which is only for the process of the specs.
  os.execute("env -u LD_PRELOAD " .. process.command { "lua5.4", program, control_port, ... } .. " &")
  local control = listener:accept(START_TIMEOUT)
  listener:close()
  if not control then error("the test server did not start", 2) end
  control:setmode("bn", "bn")
  control:setmaxline(MAX_LINE, MAX_LINE)
  control:onerror(function(_, _, why) return why end)
  control:settimeout(START_TIMEOUT)
  return setmetatable({ control = control, port = math.floor(receive(control).value) }, remote)
end

--- Sends a command and returns its result; an error of the server's is raised.
-- @tparam string command
-- @tparam ?table arguments other fields of the line; `timeout` is how long it may take
function remote:call(command, arguments)
  local line = arguments or {}
  line.command = command
  self.control:settimeout((line.timeout or 0) + CONTROL_TIMEOUT)
  self.control:write(assert(cjson.encode(line)), "\n")
  local answer = receive(self.control)
  if answer.error then error(answer.error, 3) end
  return answer.value
end

--- Ends the process. Its port is closed when this returns. Safe to call twice.
function remote:stop()
  if not self.control then return end
  self.control:settimeout(CONTROL_TIMEOUT)
  self.control:write('{"command":"stop"}\n')
  self.control:read("*l") -- waits for the end of the connection
  self.control:close()
  self.control = nil
end

return remote
