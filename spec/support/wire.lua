--- A server on loopback that breaks HTTP byte by byte, for specs.
-- Owns the program behind it (wire_main.lua) and how a fault is written down. As long as a server is armed,
-- each connection and each request it gets meets the fault; otherwise it answers as `serve` says, and keeps
-- connections. It counts what it has read, so that a spec can tell how often a POST arrived.
--
-- A fault is a table:
--   read = "nothing", "line", "head", "half" or "all"
--       how much of a request is read before anything is sent: nothing since the connection was accepted, its
--       first line, its headers, half of its body, or (the default) the whole of it
--   steps = { "bytes", seconds, { "bytes", count }, … }
--       what is sent: bytes, pauses, and bytes that are repeated
--   ending = "close", "keep" or "stay"
--       close the connection (the default; on a server with `resets = true` that is a RST), read the next
--       request, or stay silent until `disarm`
--   times = n      the fault meets n requests (or connections, for "nothing"), and the others are answered
--   most = n       of a server with `forwards`: bytes it lets through to the client of each connection
--   refuse = true  the port is closed
local remote = require "spec.support.remote"

local MAIN = debug.getinfo(1, "S").source:match("^@(.*)%.lua$") .. "_main.lua"

local wire = {}
wire.__index = wire

--- Starts a server.
-- @tparam ?table options `tls = { cert = path, key = path, protocol = "TLS" }` makes it speak TLS;
-- `resets = true` makes each close a RST; `forwards = port` makes it pass bytes on to that port
-- @treturn wire with the fields `port` and `url`
function wire.start(options)
  options = options or {}
  local tls = options.tls
  local process = remote.start(MAIN, options.resets and "resets" or "closes", options.forwards or "",
    tls and tls.cert, tls and tls.key, tls and tls.protocol)
  local base = (tls or options.forwards) and "https://localhost:%d" or "http://127.0.0.1:%d"
  return setmetatable({ remote = process, port = process.port, url = base:format(process.port) }, wire)
end

--- Sets the answers to requests that meet no fault.
-- @tparam {table,...} answers `{ method =, path = (Lua pattern), bytes = }`; the first that fits is sent
function wire:serve(answers)
  self.remote:call("serve", { answers = answers })
end

--- Arms the server. The counts begin at 0, and idle connections are closed.
-- @tparam table fault
-- @tparam ?boolean keep leaves idle connections open: their next request meets the fault
function wire:arm(fault, keep)
  self.remote:call("arm", { fault = fault, keep = keep })
end

--- Sends bytes over all idle connections.
-- @treturn number how many these are
function wire:push(bytes)
  return math.floor(self.remote:call("push", { bytes = bytes }))
end

--- Disarms the server and closes the connections that met the fault.
-- @treturn table `connections`, `requests` and `posts`: how many were accepted or, if only in part, read
function wire:disarm()
  local counts = self.remote:call("disarm")
  for name, count in pairs(counts) do counts[name] = math.floor(count) end
  return counts
end

--- Ends the process. Safe to call twice.
function wire:stop()
  self.remote:stop()
end

return wire
