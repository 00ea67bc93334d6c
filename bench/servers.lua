--- The servers for the measurements: three nginx on loopback, for http, https, and https with HTTP/2.
-- Owns their configuration, the certificate and the file to download. Invariant: all of them send the same
-- response for the same path, and run on cores that no client uses if there are two or more.
--
-- /v1/videos/ID is a job, and /v1/videos/ID/content its file. Instead of /v1, /headers adds 17 response
-- headers, /delay waits 50 ms and /spread 0.5 to 1.5 s. Instructions are counted with paths that wait 10 ms:
-- /soon, /soon_headers, and /unfinished, a job in progress whose every response differs. With the wait, a
-- client has to poll its socket once in every call. Without it, chance would decide, and counts would vary.
local machine = require "bench.machine"
local nginx = require "spec.support.nginx"
local process = require "spec.support.process"
local tls = require "spec.support.tls"

local FILE_MIB = 256
local MOST_WORKERS = 4
local CONNECTIONS = 12000 -- the capacity of a worker

local servers = {}
local Servers = {}
Servers.__index = Servers

local LISTEN = { http = "", tls = "ssl", h2 = "ssl http2" }

-- The example in the API reference, with a shorter id.
local JOB = [[{"created_at":1764649117,"id":"video_123","model":"sora-2","object":"video","progress":%s,]]
  .. [["seconds":"10","size":"720x1280","status":"in_progress"}]]

-- Headers that a gateway behind a CDN adds to the usual ones.
local HEADERS = {
  { "cf-ray", "8e9d1f3a2b4c5d6e-FRA" }, { "cf-cache-status", "DYNAMIC" },
  { "strict-transport-security", "max-age=31536000; includeSubDomains; preload" },
  { "x-content-type-options", "nosniff" }, { "alt-svc", 'h3=":443"; ma=86400' },
  { "x-request-id", "req_0123456789abcdef0123456789abcdef" }, { "openai-version", "2020-10-01" },
  { "openai-organization", "org-0123456789abcdef" }, { "openai-processing-ms", "42" },
  { "x-ratelimit-limit-requests", "10000" }, { "x-ratelimit-remaining-requests", "9999" },
  { "x-ratelimit-reset-requests", "6ms" }, { "access-control-allow-origin", "*" },
  { "access-control-expose-headers", "X-Request-ID" }, { "vary", "Origin, Accept-Encoding" },
  { "cache-control", "no-store, private" },
  { "set-cookie", "__cf_bm=0123456789abcdef0123456789abcdef; path=/; HttpOnly; Secure" },
}

local CONFIG = [[
@MODULES@worker_processes @WORKERS@;
@AFFINITY@worker_rlimit_nofile @FILES@;
daemon off;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log warn;
events { worker_connections @CONNECTIONS@; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  keepalive_timeout 60s;
  http2_max_concurrent_streams 100;
  open_file_cache max=16;
@LUA@  types { }
  default_type application/json;
  client_body_temp_path @DIR@/body;
  proxy_temp_path @DIR@/proxy;
  fastcgi_temp_path @DIR@/fastcgi;
  uwsgi_temp_path @DIR@/uwsgi;
  scgi_temp_path @DIR@/scgi;
  server {
    listen 127.0.0.1:@PORT@ @LISTEN@ reuseport backlog=65535;
    @CERTIFICATE@
    location = /v1/videos/video_123 { return 200 '@JOB@'; }
    location = /headers/videos/video_123 { @HEADERS@ return 200 '@JOB@'; }
    location = /v1/videos/video_123/content { default_type video/mp4; alias @FILE@; }
    location = /delay/videos/video_123 { content_by_lua_block { answer_after(0.05) } }
    location = /spread/videos/video_123 { content_by_lua_block { answer_after(spread()) } }
    location = /soon/videos/video_123 { content_by_lua_block { answer_after(0.01) } }
    location = /soon_headers/videos/video_123 { @HEADERS@ content_by_lua_block { answer_after(0.01) } }
    location /unfinished/videos/ { content_by_lua_block { answer_after(0.01, unfinished()) } }
  }
}
]]

-- `spread` gives the same delays in every run: steps of 389 visit all thousand values before one repeats.
local LUA = [[
  init_by_lua_block {
    local JOB, UNFINISHED, turn, progress = '@JOB@', '@UNFINISHED@', 0, 0
    function answer_after(seconds, text)
      text = text or JOB
      ngx.sleep(seconds)
      ngx.header["Content-Length"] = #text
      ngx.print(text)
    end
    function spread()
      turn = (turn + 389) % 1000
      return 0.5 + turn / 1000
    end
    function unfinished()
      progress = (progress + 1) % 97
      return UNFINISHED:format(progress)
    end
  }
]]

local function output_of(command)
  return (process.output(command .. " 2>&1"):gsub("%s+$", ""))
end

-- Returns the number of workers and their cores: one worker for each core but the first, which the clients
-- use.
local function affinity()
  local cores, masks = machine.cores(), {}
  for i = 2, math.min(#cores, MOST_WORKERS + 1) do masks[#masks + 1] = "1" .. ("0"):rep(cores[i]) end
  if #masks == 0 then return 1, "" end
  return #masks, ("worker_cpu_affinity %s;\n"):format(table.concat(masks, " "))
end

local function header_lines()
  local lines = {}
  for i, header in ipairs(HEADERS) do lines[i] = ("add_header %s '%s';"):format(header[1], header[2]) end
  return table.concat(lines, " ")
end

-- Creates a folder, in memory if possible, so that the disk is not measured.
local function make_folder()
  local folder = output_of("mktemp -d -p /dev/shm || mktemp -d"):match("(/[^\n]*)$")
  assert(output_of(("chmod 755 '%s'"):format(folder)) == "")
  return folder
end

-- Replaces @NAME@ by its value, again until no @JOB@ is left, because a value may contain other names.
local function fill(text, values)
  local count
  repeat
    text, count = text:gsub("@(%u+)@", values)
  until count == 0 or not text:find("@JOB@", 1, true)
  return text
end

local function configuration(self, name)
  local workers, masks = affinity()
  local server = tls.certificates().server
  return fill(CONFIG, {
    MODULES = nginx.modules(), WORKERS = tostring(workers), AFFINITY = masks,
    FILES = tostring(CONNECTIONS + 100), CONNECTIONS = tostring(CONNECTIONS), LISTEN = LISTEN[name],
    CERTIFICATE = name == "http" and ""
      or ("ssl_certificate %s; ssl_certificate_key %s;"):format(server.cert, server.key),
    HEADERS = header_lines(), FILE = self.folder .. "/video.mp4", LUA = LUA,
    JOB = JOB:format(45), UNFINISHED = JOB:format("%d"),
  })
end

--- Makes the file that /content serves, if it does not exist. It starts like an MP4.
-- @treturn number its size in bytes
function Servers:make_file()
  if self.file_size then return self.file_size end
  local path = self.folder .. "/video.mp4"
  local command = [[printf '\0\0\0\040ftypisom' >'%s' && head -c %d /dev/zero >>'%s']]
  local size = FILE_MIB * 1024 * 1024
  assert(output_of(command:format(path, size - 12, path)) == "")
  self.file_size = size
  return size
end

--- Stops all servers. Safe to call twice.
function Servers:stop()
  for _, server in ipairs(self.running) do server:stop() end
  output_of(("rm -rf '%s'"):format(self.folder))
end

--- Starts the servers.
-- @treturn table `http`, `tls` and `h2` (the origins of the servers), `ca` (a path) and `folder`
function servers.start()
  local self = setmetatable({ running = {}, folder = make_folder(),
    ca = tls.certificates().ca }, Servers)
  for _, name in ipairs { "http", "tls", "h2" } do
    local server = nginx.run(configuration(self, name))
    self.running[#self.running + 1] = server
    self[name] = (name == "http" and "http" or "https") .. "://127.0.0.1:" .. server.port
  end
  return self
end

return servers
