--- A real nginx with lua-nginx-module on loopback, for specs and benchmarks. Works under every Lua; nginx
-- itself always runs LuaJIT.
-- Owns its folder, its port and its processes. Invariant: nginx does not outlive the process that started it:
-- a shell in between stops nginx and removes its folder when the pipe to it is closed, for whatever reason.
local cqueues = require "cqueues"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local socket = require "cqueues.socket"

local TRIES = 5 -- another program may take the port before nginx does

local nginx = {}
local server = {}
server.__index = server

local function output_of(command)
  return process.output(command .. " 2>&1")
end

--- The path of the checkout.
nginx.root = output_of("pwd"):gsub("\n", "")

--- Waits until `condition()` returns a value, and returns that.
-- @tparam function condition
-- @tparam string what is expected, for the error message
function nginx.wait_until(condition, what)
  return patience.wait(condition, function() cqueues.sleep(0.005) end, what)
end

--- Builds the C module for LuaJIT, which nginx runs.
function nginx.build()
  local output, status = process.run("make LUA=luajit")
  assert(status == 0, output)
end

--- Returns the load_module lines for the Lua module, which is a separate package in Debian and built into
-- OpenResty. The paths are absolute, because nginx resolves relative ones against its prefix.
function nginx.modules()
  local folder = output_of("nginx -V"):match("%-%-modules%-path=(%S+)") or "/usr/lib/nginx/modules"
  local lines = {}
  for _, name in ipairs { "ndk_http_module", "ngx_http_lua_module" } do
    local path = ("%s/%s.so"):format(folder, name)
    if process.slurp(path) then lines[#lines + 1] = ("load_module %s;\n"):format(path) end
  end
  return table.concat(lines)
end

local CONFIG = [[
@MODULES@@USER@worker_processes @WORKERS@;
daemon off;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log @LEVEL@;
@MAIN@
events { worker_connections 2048; }
http {
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path @DIR@/body;
  proxy_temp_path @DIR@/proxy;
  fastcgi_temp_path @DIR@/fastcgi;
  uwsgi_temp_path @DIR@/uwsgi;
  scgi_temp_path @DIR@/scgi;
  lua_package_path "@ROOT@/?.lua;@ROOT@/lua/?.lua;@ROOT@/lua/?/init.lua;;";
  lua_package_cpath "@ROOT@/build/luajit/?.so;;";
  @HTTP@
  server {
    listen 127.0.0.1:@PORT@ reuseport;
    @SERVER@
  }
}
]]

-- The shell runs nginx until it reads a line or the end of the pipe.
local SHELL = [[
{ env -u LD_PRELOAD -u LUA_INIT -u LUA_PATH -u LUA_CPATH ENV \
    nginx -p PREFIX/ -c DIR/nginx.conf -e DIR/error.log >DIR/output 2>&1; echo $? >DIR/ended; } &
read -r _
[ -e DIR/nginx.pid ] && kill "$(cat DIR/nginx.pid)" 2>DIR/output
wait
rm -rf DIR]]

--- Returns a port that is free now.
function nginx.free_port()
  local listener = assert(socket.listen("127.0.0.1", 0))
  local _, _, port = listener:localname()
  listener:close()
  return math.floor(port)
end

local function accepts(port)
  local connection = socket.connect("127.0.0.1", port)
  connection:onerror(function(_, _, why) return why end)
  local good = connection:connect(1)
  connection:close()
  return good
end

-- Tries once to start nginx. Returns nil and the log if nginx ended at once.
local function try(text, port, options)
  local dir = output_of("mktemp -d"):gsub("\n", "")
  local values = { DIR = dir, PORT = tostring(port) }
  process.spill(dir .. "/nginx.conf", (text:gsub("@(%u+)@", values)))
  assert(output_of("chmod 755 " .. dir) == "")
  local self = setmetatable({ dir = dir, port = port, url = "http://127.0.0.1:" .. port }, server)
  local words = { DIR = dir, PREFIX = process.quote(options.prefix or dir), ENV = "" }
  for name, value in pairs(options.env or {}) do
    words.ENV = words.ENV .. process.quote(name .. "=" .. value) .. " "
  end
  self.shell = assert(io.popen((SHELL:gsub("%u+", words)), "w"))
  local ended
  nginx.wait_until(function()
    ended = process.slurp(dir .. "/ended")
    self.pid = (process.slurp(dir .. "/nginx.pid") or ""):match("%d+")
    return ended or (self.pid and accepts(port))
  end, "nginx to start")
  if not ended then return self end
  local log = self:log() .. process.slurp(dir .. "/output")
  self:stop()
  return nil, log
end

--- Starts nginx with your own configuration and returns when it accepts connections.
-- @tparam string text must contain `daemon off;` and `pid @DIR@/nginx.pid;`; @PORT@ and @DIR@ are replaced by
-- a free port and a new folder
-- @tparam ?table options `prefix` for nginx's -p (the new folder), and `env`, more environment variables
-- @treturn table the same as from `start`
function nginx.run(text, options)
  local self, log
  for _ = 1, TRIES do
    self, log = try(text, nginx.free_port(), options or {})
    if self then return self end
    if not log:find("Address already in use", 1, true) then break end
  end
  error("nginx did not start:\n" .. log, 2)
end

--- Starts nginx and returns when it accepts connections.
-- @tparam table options `workers` (1), lines of configuration for the levels `main`, `http` and `server`, and
-- `level` of the error log ("warn")
-- @treturn table with `port`, `url`, `pid` (of the master) and `dir`
function nginx.start(options)
  local values = { MODULES = nginx.modules(), WORKERS = tostring(options.workers or 1), ROOT = nginx.root,
    USER = output_of("id -u"):match("^0\n") and "user root;\n" or "", LEVEL = options.level or "warn",
    MAIN = options.main or "", HTTP = options.http or "", SERVER = options.server or "" }
  return nginx.run((CONFIG:gsub("@(%u+)@", values)))
end

--- Reads the error log.
function server:log()
  return process.slurp(self.dir .. "/error.log") or ""
end

--- Lists the process ids of the workers, including those that are shutting down.
function server:workers()
  local list = {}
  local children = process.slurp(("/proc/%s/task/%s/children"):format(self.pid, self.pid)) or ""
  for pid in children:gmatch("%d+") do list[#list + 1] = tonumber(pid) end
  return list
end

--- Returns the CPU time used by all workers so far, in seconds.
function server:cpu()
  local sum = 0
  for _, pid in ipairs(self:workers()) do
    local nanoseconds = (process.slurp(("/proc/%d/schedstat"):format(pid)) or "0"):match("%d+")
    sum = sum + tonumber(nanoseconds) / 1e9
  end
  return sum
end

--- Reloads the configuration; old workers end when they have finished their requests.
function server:reload()
  assert(output_of("kill -HUP " .. self.pid) == "")
end

--- Stops nginx and removes its folder. Safe to call twice.
function server:stop()
  if not self.shell then return end
  self.shell:write("stop\n")
  self.shell:close()
  self.shell = nil
end

return nginx
