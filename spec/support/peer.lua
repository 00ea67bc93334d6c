--- What the processes behind httpd.lua and wire.lua share: sockets, TLS, and the control connection.
-- Invariant: network errors become results; only bugs of these programs raise.
local cjson = require("cjson.safe").new()

local peer = {}

local MAX_LINE = 2 ^ 30 -- cqueues cuts lines at 4096 bytes otherwise

--- Sets up a socket.
function peer.prepare(sock)
  sock:setmode("bn", "bn")
  sock:setmaxline(MAX_LINE, MAX_LINE)
  sock:onerror(function(_, _, why) return why end)
  return sock
end

--- Reads a line with its end; nil if the other side closes before that.
function peer.read_line(sock)
  local line = sock:read("*L")
  return line and line:sub(-1) == "\n" and line or nil
end

--- Shuts connections down: their coroutines wake up at the end of file and close them.
-- @tparam table connections connection → true
-- @tparam boolean only_idle
function peer.drop(connections, only_idle)
  for conn in pairs(connections) do
    if conn.idle or not only_idle then
      conn.dropped = true
      conn.sock:shutdown("rw")
    end
  end
end

local function slurp(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

--- Makes the TLS context of a server.
-- @tparam string cert_path
-- @tparam string key_path
-- @tparam ?string protocol such as "TLSv1"; any by default
function peer.context(cert_path, key_path, protocol)
  local context = require("openssl.ssl.context").new(protocol or "TLS", true)
  if protocol == "TLSv1" then context:setCipherList "ALL:@SECLEVEL=0" end
  context:setCertificate(require("openssl.x509").new(slurp(cert_path)))
  context:setPrivateKey(require("openssl.pkey").new(slurp(key_path)))
  return context
end

--- Runs commands, each a line of JSON with the field `command`, until "stop" or the end of the connection.
-- @param control the control connection
-- @tparam table commands name → function(line), which returns a value, or nil and why there is none
function peer.obey(control, commands)
  for text in control:lines("*l") do
    local line = assert(cjson.decode(text))
    if line.command == "stop" then break end
    local value, why = commands[line.command](line)
    if not control:write(assert(cjson.encode { value = value, error = why }), "\n") then break end
  end
end

return peer
