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
-- @tparam table options the paths `cert` and `key`; a `protocol` such as "TLSv1", any by default;
-- `client_ca`, the path of the CA that signs the certificates of clients, and `optional`: they need not send
-- one
function peer.context(options)
  local tls = require "openssl.ssl.context"
  local x509 = require "openssl.x509"
  local context = tls.new(options.protocol or "TLS", true)
  if options.protocol == "TLSv1" then context:setCipherList "ALL:@SECLEVEL=0" end
  context:setCertificate(x509.new(slurp(options.cert)))
  context:setPrivateKey(require("openssl.pkey").new(slurp(options.key)))
  if options.client_ca then
    local store = require("openssl.x509.store").new()
    store:add(x509.new(slurp(options.client_ca)))
    context:setStore(store)
    context:setVerify(tls.VERIFY_PEER + (options.optional and 0 or tls.VERIFY_FAIL_IF_NO_PEER_CERT))
  end
  return context
end

--- The common name in the certificate that the other side sent; nil if it sent none.
function peer.certificate(sock)
  local ssl = sock:checktls()
  local certificate = ssl and ssl:getPeerCertificate()
  return certificate and tostring(certificate:getSubject()):match "CN=([^/,]*)"
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
