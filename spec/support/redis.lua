--- A Redis server for specs, with an append-only file, on a Unix socket in a folder of its own.
-- Owns the process. Invariant: it ends when the process of the specs does, however that ends.
local process = require "spec.support.process"

local redis = {}

local Redis = {}
Redis.__index = Redis

-- A Redis does not end with its stdin, so a shell beside it waits for that and ends it.
local WATCHDOG = [[
exec 3<&0
redis-server "$@" </dev/null & server=$!
{ read -r _; kill $server; } <&3 2>/dev/null & watch=$!
wait $server
kill $watch 2>/dev/null]]

local function start_process(self)
  local words = { "sh", "-c", WATCHDOG, "sh", "--port", "0", "--unixsocket", self.path, "--dir", self.folder,
    "--appendonly", "yes", "--save", "", "--pidfile", self.folder .. "/pid", "--daemonize", "no" }
  for name, value in pairs(self.options) do
    words[#words + 1] = "--" .. name
    words[#words + 1] = value
  end
  self.process = process.start(words)
  local lines = {}
  repeat
    local line = self.process:readline()
    if not line then
      error("redis-server did not start: " .. table.concat(lines, "\n") .. self.process:errors(), 2)
    end
    lines[#lines + 1] = line
  until line:find "eady to accept connections"
  self.pid = assert(tonumber((process.slurp(self.folder .. "/pid"):match "%d+")))
end

--- Starts a Redis.
-- @tparam ?table options of its configuration
-- @treturn Redis with `url` and `folder`
function redis.start(options)
  local folder = process.folder()
  local self = setmetatable({ folder = folder, path = folder .. "/redis.sock" }, Redis)
  self.options = options or {}
  self.url = "unix://" .. self.path
  start_process(self)
  return self
end

--- Stops it; `resume` or `remove` come next.
-- @tparam ?string signal by default TERM; KILL is a crash
function Redis:halt(signal)
  if not self.pid then return end
  os.execute(("kill -s %s %d 2>/dev/null"):format(signal or "TERM", self.pid))
  self.process:wait()
  self.pid = nil
end

--- Starts it again on its append-only file.
function Redis:resume()
  start_process(self)
end

--- Runs a command with redis-cli.
-- @treturn string what it prints
function Redis:cli(...)
  return process.output(process.command { "redis-cli", "-s", self.path, ... })
end

--- Removes all keys.
function Redis:clear()
  self:cli "flushall"
end

--- Stops it and removes its files.
function Redis:remove()
  self:halt()
  os.execute("rm -rf " .. process.quote(self.folder))
end

return redis
