--- What the clients in Lua share: the command line, the clocks, the memory, the line at the end.
-- `client WHAT URL COUNT FLIGHT [EXTRA]`, as bench/client.lua calls it; `client probe` prints the versions.
-- Owns the exit statuses: 0 after `COUNT WALL CPU RSS GROWTH` was printed, 3 for what the client cannot do,
-- another one with a message for everything else.
-- Invariant: no line is printed unless every answer was checked by `expect`.
-- Plain Lua for 5.1 to 5.4 and LuaJIT, so that nothing is loaded which the client does not load by itself.
-- Some clients have the name of the module that they measure, so this folder should not be on package.path:
-- local common = dofile(arg[0]:gsub("[^/]*$", "common.lua", 1))
local common = {}

-- What every client sends: "Authorization: Bearer KEY", and two headers more.
common.KEY = "sk-bench"
common.ACCEPT = "*/*"
common.USER_AGENT = "bench/1"

-- The job that every answer is of.
common.ID = "video_123"

local CANNOT = 3
local WARM_UP = 3

local job = {}
job.__index = job

-- KiB of one line of the kernel's account: VmRSS now, VmHWM at most so far.
local function memory(name)
  local file = assert(io.open("/proc/self/status"))
  local text = file:read("*a")
  file:close()
  return tonumber(text:match(name .. ":%s+(%d+)"))
end

--- Calls `call` a few times, so that the connection is there and what is done once is done.
function job.warm_up(_, call)
  for _ = 1, WARM_UP do call() end
end

--- Begins the measured section.
function job:start()
  collectgarbage()
  self.expected, self.growth, self.wall, self.cpu = 0, -memory("VmRSS"), -self.clock(), -os.clock()
end

--- Raises unless an answer is right. `expected` counts the right ones.
-- @param got the `id` of the job answered, or the size of the file
-- @param[opt] wanted the id of the job unless given
function job:expect(got, wanted)
  if got ~= (wanted or common.ID) then error("a wrong answer: " .. tostring(got), 0) end
  self.expected = (self.expected or 0) + 1
end

--- Ends the measured section, prints the line and ends the process.
function job:finish()
  local cpu, wall, peak = self.cpu + os.clock(), self.wall + self.clock(), memory("VmHWM")
  assert(self.expected == self.count, "some answers are missing")
  print(("%d %.6f %.6f %d %d"):format(self.count, wall, cpu, peak, self.growth + peak))
  os.exit(0)
end

--- Measures `call`, made COUNT times, one after another.
function job:repeat_call(call)
  self:warm_up(call)
  self:start()
  for _ = 1, self.count do call() end
  self:finish()
end

--- The size of a file that was written.
function common.size(path)
  local file = assert(io.open(path, "rb"))
  local size = file:seek("end")
  file:close()
  return size
end

--- Ends the process with the status for what a client cannot do.
function common.cannot(why)
  io.stderr:write(why, "\n")
  os.exit(CANNOT)
end

--- Reads the command line and does what it says.
-- @tparam table client `version`, `clock` (a function that gives seconds, of the client's own library), and
-- functions for what it can do: `one`, `many`, `download`. Each is called with the job: `url`, `secure`,
-- `host`, `port`, `path`, `count`, `flight`, `extra`, `ca` (a file's path), `http2` (a boolean), and the
-- methods above.
function common.main(client)
  local what, url, count, flight, extra = (arg[1] or "probe"), arg[2], arg[3], arg[4], arg[5]
  if what == "probe" then return print(client.version) end
  if not client[what] then common.cannot("not for this client: " .. what) end
  local scheme, host, port, path = url:match("^(https?)://([^:/]+):?(%d*)(/.*)$")
  client[what](setmetatable({
    url = url, secure = scheme == "https", host = host, path = path,
    port = tonumber(port) or (scheme == "https" and 443 or 80),
    count = tonumber(count), flight = tonumber(flight), extra = extra, clock = client.clock,
    ca = os.getenv("BENCH_CA"), http2 = os.getenv("BENCH_HTTP") == "2",
  }, job))
end

return common
