--- Checks whether the server can be reached: name, connection, certificate, proxy, redirects, and the clock.
--
-- Owns the reading of libcurl's errors. Invariant: whatever else is tried after a failure (another scheme, no
-- proxy, an unchecked certificate) goes without the key.
-- @module sora.cli.doctor.network
-- @local

local address = require "sora.cli.doctor.address"
local core = require "sora.core"
local exit = require "sora.cli.exit"
local files = require "sora.cli.files"
local repair = require "sora.cli.doctor.repair"
local text = require "sora.cli.text"

local network = {}

local MOST_SKEW = 300 -- s between the clocks

local getenv = files.getenv

-- Clock ------------------------------------------------------------------------------

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10,
  Nov = 11, Dec = 12 }

-- Returns the seconds since 1970 of "Sun, 06 Nov 1994 08:49:37 GMT"; nil if it is no such date.
local function parse_date(value)
  local day, name, year, hour, min, sec = tostring(value):match
    "^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$"
  local month = name and MONTHS[name]
  if not month then return nil end
  local y = month <= 2 and year - 1 or year + 0
  local years = math.floor(y / 400)
  local of_era = y - years * 400
  local of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  local leap_days = math.floor(of_era / 4) - math.floor(of_era / 100)
  local days = years * 146097 + of_era * 365 + leap_days + of_year - 719468
  return ((days * 24 + hour) * 60 + min) * 60 + sec
end

-- Returns by how many seconds this computer's clock is ahead of an answer's; nil if that has no date.
local function skew_of(answer)
  local date = parse_date(answer.headers.date)
  return date and os.time() - date - (tonumber(answer.headers.age) or 0)
end

local function set_clock()
  if files.ON_WINDOWS then return "w32tm /resync" end
  if core.file_kind "/usr/bin/timedatectl" then return "sudo timedatectl set-ntp true" end
  return "sudo sntp -sS pool.ntp.org"
end

local function in_words(skew)
  return text.duration(math.abs(skew)) .. (skew > 0 and " ahead of" or " behind")
end

local function clock_problem(skew, minor)
  return { status = exit.USAGE, minor = minor, repair = { set_clock() },
    text = ("The clock of this computer is %s the server's."):format(in_words(skew)) }
end

--- Compares the clock with that of an answer.
function network.check_clock(report, answer)
  local skew = skew_of(answer)
  if not skew then return report:unsure("clock", "the server's answer has no date to compare with") end
  if math.abs(skew) <= MOST_SKEW then return report:ok("clock", "agrees with the server's") end
  report:bad("clock", in_words(skew) .. " the server's", clock_problem(skew, true))
end

-- Proxy ------------------------------------------------------------------------------

-- Returns the proxy that libcurl would ask, and where it is set; it reads HTTP_PROXY in small letters alone.
local function find_proxy(server)
  if server.found.client.proxy then return server.found.client.proxy, "the profile" end
  local names = server.parts.scheme == "https" and { "https_proxy", "HTTPS_PROXY" } or { "http_proxy" }
  names[#names + 1], names[#names + 2] = "all_proxy", "ALL_PROXY"
  for _, name in ipairs(names) do
    if getenv(name) then return getenv(name), name end
  end
end

-- Tells whether no_proxy names the host, as libcurl reads it.
local function is_excepted(server)
  if server.found.client.proxy then return false end
  local host = "." .. server.parts.host
  for name in (getenv "no_proxy" or getenv "NO_PROXY" or ""):lower():gmatch "[^%s,]+" do
    name = name:gsub("^%.", "")
    if name == "*" or host:sub(-#name - 1) == "." .. name then return true end
  end
  return false
end

--- Says which proxy is used, and keeps it in `server.proxy`.
function network.check_proxy(report, server)
  if server.found.client.unix_socket then return end
  local url, from = find_proxy(server)
  if not url then
    if getenv "HTTP_PROXY" and server.parts.scheme == "http" then
      report:unsure("proxy", "HTTP_PROXY is not read; the variable is http_proxy, in small letters")
    end
    return
  end
  local shown = ("%s, from %s"):format(address.shown(url), from)
  if is_excepted(server) then
    return report:ok("proxy", shown .. "; not used, because no_proxy names the host")
  end
  server.proxy, server.proxy_from = url, from
  report:ok("proxy", shown)
end

-- Removes the proxy for this host.
local function without_proxy(server)
  if server.proxy_from == "the profile" then return { repair.command(server, "config unset proxy") } end
  local others = getenv "no_proxy" or getenv "NO_PROXY"
  return { repair.export("no_proxy", (others and others .. "," or "")
    .. server.parts.host:gsub("[%[%]]", "")) }
end

-- Tells what the proxy has to do with a failure. Returns true if that is all of it.
local function blame_proxy(report, server, err)
  local shown = ("%s (from %s)"):format(address.shown(server.proxy), server.proxy_from)
  local function blame(message, sentence, commands)
    report:bad("proxy", message, { status = exit.NETWORK, text = sentence, repair = commands })
    return true
  end
  if err.status == 407 or err.message:find "code 407" or err.message:find "response 407" then
    local url = "http://USER:PASSWORD@" .. server.proxy:gsub("^%a+://", ""):gsub("^.*@", "")
    return blame(err.message, ("The proxy %s wants a user name and a password."):format(shown),
      { server.proxy_from == "the profile" and repair.command(server, "config set proxy " .. url)
        or repair.export(server.proxy_from, url) })
  end
  local direct = server.probe:get(server.base .. server.paths.list, { proxy = "", auth = "none" })
  if not direct.failed and not (direct.status and direct.status >= 500) then
    return blame(err.message .. "; without the proxy the server answers",
      ("The proxy %s fails, and the server answers without it."):format(shown), without_proxy(server))
  elseif err.kind == "tls" or err.kind == "api" then
    return false
  end
  return blame(("%s; and without the proxy: %s"):format(err.message, direct.err.message),
    ("Neither the proxy %s answers, nor the server without it. To see how far it gets:"):format(shown),
    { "curl -v --max-time 20 " .. text.quote(address.shown(server.found.base_url)) })
end

-- What failed --------------------------------------------------------------------------

local function fail(report, message, sentence, commands)
  report:bad("network", message, { status = exit.NETWORK, text = sentence, repair = commands })
  return false
end

-- The same address with the other scheme, if the server answers there. A certificate that is not trusted is
-- an answer, too.
local function try_scheme(server)
  local parts = server.parts
  local scheme = parts.scheme == "https" and "http" or "https"
  local origin = scheme .. "://" .. parts.authority
  local answer = server.probe:get(server.base .. server.paths.list, { origin = origin, auth = "none" })
  local curl = answer.err and answer.err.curl
  if answer.failed and curl ~= "CURLE_PEER_FAILED_VERIFICATION" and curl ~= "CURLE_SSL_CLIENTCERT" then
    return nil
  end
  -- A server of TLS says in plain HTTP that it wants TLS.
  if scheme == "http" and answer.status == 400 then return nil end
  return address.join { scheme = scheme, authority = parts.authority, path = parts.path, query = parts.query }
end

local BUNDLES = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem", "/usr/local/etc/openssl/cert.pem" }
local BUNDLE_VARIABLES = { "SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS" }

-- Returns a file on this computer that has the server's CA.
local function find_bundle(server)
  local paths = {}
  for _, name in ipairs(BUNDLE_VARIABLES) do paths[#paths + 1] = getenv(name) end
  for _, path in ipairs(BUNDLES) do paths[#paths + 1] = path end
  for _, path in ipairs(paths) do
    if core.file_kind(path) == "file" then
      local answer = server.probe:get(server.base .. server.paths.list, { ca_file = path, auth = "none" })
      if not answer.failed then return files.absolute(path) end
    end
  end
end

local function openssl(server, words)
  return ("openssl s_client -connect %s:%d -servername %s </dev/null 2>/dev/null | openssl x509 %s"):format(
    server.parts.host, server.parts.port, server.parts.host, words)
end

local function explain_ca(report, server, message)
  if server.found.client.ca_file
    and not server.probe:get(server.base .. server.paths.list, { ca_file = false, auth = "none" }).failed then
    return fail(report, message, "The server's CA is not in ca_file, but this computer trusts it.",
      { repair.command(server, "config unset ca_file") })
  end
  local bundle = find_bundle(server)
  if bundle then
    return fail(report, message, ("The server's certificate is signed by a CA that only %s has.")
      :format(bundle), repair.set(server, { ca_file = bundle }))
  elseif message:find "self.signed certificate$" then
    return fail(report, message,
      "The server's certificate is signed by itself; if the server is yours, trust it:",
      repair.join({ openssl(server, "> gateway.pem") },
        repair.set(server, { ca_file = files.absolute "gateway.pem" })))
  end
  return fail(report, message, "The server's certificate is signed by a CA that this computer does not know; "
    .. "ask its operator for the CA's certificate.", repair.set(server, { ca_file = "/path/to/ca.pem" }))
end

-- The certificate was refused. An answer without checking it, and without the key, tells the time there.
local function explain_certificate(report, server, message)
  local dated = message:find "expired" or message:find "not yet valid"
  if dated then
    local answer = server.probe:get(server.base .. server.paths.list, { verify = false, auth = "none" })
    local skew = skew_of(answer)
    if skew and math.abs(skew) > MOST_SKEW then
      report:add("network", "bad", message)
      report:bad("clock", in_words(skew) .. " the server's", clock_problem(skew))
      return false
    end
    local why = message:find "expired" and "has expired" or "is not yet valid"
    return fail(report, message .. "; this computer's clock is right",
      ("The server's certificate %s; its operator must renew it. Its dates:"):format(why),
      { openssl(server, "-noout -dates") })
  elseif message:find "subject name" or message:find "does not match" then
    return fail(report, message, ("The server's certificate is not for the name %s; its names:")
      :format(server.parts.host), { openssl(server, "-noout -ext subjectAltName") })
  end
  return explain_ca(report, server, message)
end

local EXPLAIN = {} -- kind of the error → function

function EXPLAIN.tls(report, server, err)
  if err.curl == "CURLE_SSL_CACERT_BADFILE" then
    return fail(report, err.message, "The file of trusted certificates cannot be read.",
      { repair.command(server, "config unset ca_file") })
  elseif err.curl == "CURLE_PEER_FAILED_VERIFICATION" then
    return explain_certificate(report, server, err.message)
  elseif err.curl == "CURLE_SSL_CLIENTCERT" or err.curl == "CURLE_SSL_CERTPROBLEM" then
    return fail(report, err.message, not server.found.client.cert_file and "The server demands a client "
      .. "certificate, which its operator issues." or err.curl == "CURLE_SSL_CLIENTCERT"
      and "The server refuses the client certificate of cert_file."
      or "The client certificate cannot be used: cert_file and key_file must belong together.",
      repair.set(server, { cert_file = "/path/to/client.pem", key_file = "/path/to/its-key.pem" }))
  end
  local other = try_scheme(server)
  if other then
    return fail(report, err.message, "The server speaks plain http there, not https.",
      repair.set(server, { base_url = other }))
  end
  return fail(report, err.message, "Server and client found no way to speak TLS with each other.",
    { repair.export("SORA_DEBUG", "1") .. "; sora doctor" })
end

function EXPLAIN.dns(report, server, err)
  return fail(report, err.message, ("There is no host '%s', or this computer has no network.")
    :format(text.shown(server.parts.host)), repair.set(server, { base_url = repair.EXAMPLE }))
end

function EXPLAIN.connect(report, server, err)
  local unix_socket = server.found.client.unix_socket
  if unix_socket then
    return fail(report, err.message, ("Nothing listens at the Unix socket %s: start the server, or take the "
      .. "setting out."):format(unix_socket), { repair.command(server, "config unset unix_socket") })
  end
  local parts, other = server.parts, try_scheme(server)
  if other then
    return fail(report, err.message, ("Nothing listens there; the server is at %s.")
      :format(address.shown(other)), repair.set(server, { base_url = other }))
  end
  local example = address.is_local(parts.host) and "http://127.0.0.1:PORT/v1" or repair.EXAMPLE
  return fail(report, err.message, ("Nothing listens at %s, port %d: start the server, or set its address.")
    :format(parts.host, parts.port), repair.set(server, { base_url = example }))
end

function EXPLAIN.timeout(report, server, err)
  local other = not err.message:find "^Operation" and try_scheme(server)
  if other then
    return fail(report, err.message, ("There is no answer; the server is at %s.")
      :format(address.shown(other)), repair.set(server, { base_url = other }))
  end
  return fail(report, err.message, ("%s, port %d, does not answer: a firewall, a VPN, a wrong port, or a "
    .. "server that is down. To see how far it gets:"):format(server.parts.host, server.parts.port),
    { "curl -v --max-time 20 " .. text.quote(address.shown(server.found.base_url)) })
end

function EXPLAIN.transport(report, server, err)
  local other = try_scheme(server)
  if other then
    return fail(report, err.message, ("The server speaks %s there, not %s."):format(other:match "^%a+",
      server.parts.scheme), repair.set(server, { base_url = other }))
  end
  return fail(report, err.message, ("%s, port %d, does not speak HTTP, or breaks connections off."):format(
    server.parts.host, server.parts.port), repair.set(server, { base_url = repair.EXAMPLE }))
end

function EXPLAIN.config(report, _, err)
  return fail(report, err.message, ("A setting is invalid: %s."):format(err.message), { "sora config list" })
end

-- Redirects --------------------------------------------------------------------------

-- Not every POST is repeated behind a redirect, and a key is not sent to another origin.
local function check_redirect(report, server, answer)
  if not answer.redirected then return true end
  local other = server.parts.scheme == "http" and try_scheme(server)
  if other then
    report:bad("network", "it redirects", { status = exit.USAGE,
      repair = repair.set(server, { base_url = other }),
      text = ("The server redirects; it is at %s, and the key is not sent there on the way."):format(
        address.shown(other)) })
    return false
  end
  server.redirects = true
  report:unsure("network", "it redirects; a request that makes a video may not be repeated elsewhere, so the "
    .. "base URL should be the last address")
  return true
end

-- A server of TLS that answers plain HTTP, or a proxy that refuses.
local function check_front(report, server, answer)
  local status = answer.status
  if server.proxy and (status == 407 or status == 502 or status == 503 or status == 504)
    and blame_proxy(report, server, answer.err) then
    return false
  end
  if server.parts.scheme == "http" and answer.status == 400 then
    local other = try_scheme(server)
    if other then return EXPLAIN.transport(report, server, { message = answer.err.message }) end
  end
  return true
end

--- Sends the first request.
-- @tparam table report
-- @tparam table server
-- @treturn boolean false: the server cannot be reached
function network.reach(report, server)
  local answer = server.probe:get(server.base .. server.paths.list)
  server.list = answer
  if answer.failed and answer.err.kind == "timeout" and answer.err.message:find "^Operation" then
    answer = server.probe:get(server.base .. server.job) -- a list may be slow
  end
  if answer.failed then
    if server.proxy and blame_proxy(report, server, answer.err) then return false end
    return EXPLAIN[answer.err.kind](report, server, answer.err)
  end
  if not check_front(report, server, answer) then return false end
  report:ok("network", ("%s answers in %.2f s%s"):format(text.shown(server.parts.host), answer.seconds or 0,
    server.parts.scheme == "https" and ", with a valid certificate" or ""))
  if not check_redirect(report, server, answer) then return false end
  if server.parts.scheme == "http" and not address.is_local(server.parts.host) and server.found.key then
    report:unsure("network", "over plain http others on the way can read the key")
  end
  network.check_clock(report, answer)
  return true
end

return network
