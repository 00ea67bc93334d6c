--- Shared by the clients in Lua: the command line, clocks, memory, and the line of figures at the end.
-- `client WHAT URL COUNT FLIGHT [EXTRA]`, as bench/client.lua calls it; `client probe` prints the versions.
-- Owns the exit statuses: 0 after printing `COUNT WALL CPU RSS GROWTH`, 3 if the client does not support
-- WHAT, any other with an error message.
-- Invariant: the line is printed only if `expect` has checked every response.
-- It is plain Lua for 5.1 to 5.4 and LuaJIT and loads no module, so that only the client's own modules count.
-- Load it with dofile, not through package.path: some clients here have the name of the module they measure.
-- local common = dofile(arg[0]:gsub("[^/]*$", "common.lua", 1))
local common = {}

-- Every client sends "Authorization: Bearer KEY" and these two headers.
common.KEY = "sk-bench"
common.ACCEPT = "*/*"
common.USER_AGENT = "bench/1"

-- The id of the job in every response.
common.ID = "video_123"

local CANNOT = 3
local WARM_UP = 3

local job = {}
job.__index = job

-- Reads a memory size of this process in KiB: VmRSS is the current one, VmHWM the peak.
local function memory(name)
  local file = assert(io.open("/proc/self/status"))
  local text = file:read("*a")
  file:close()
  return tonumber(text:match(name .. ":%s+(%d+)"))
end

--- Calls `call` a few times, so that connecting and other one-time work is not measured.
function job.warm_up(_, call)
  for _ = 1, WARM_UP do call() end
end

--- Starts the measurement.
function job:start()
  collectgarbage()
  self.expected, self.growth, self.wall, self.cpu = 0, -memory("VmRSS"), -self.clock(), -os.clock()
end

--- Checks a response: raises if it is wrong, else counts it in `expected`.
-- @param got the `id` in the response, or the size of the file
-- @param[opt] wanted the expected value; nil: the id of the job
function job:expect(got, wanted)
  if got ~= (wanted or common.ID) then error("a wrong answer: " .. tostring(got), 0) end
  self.expected = (self.expected or 0) + 1
end

--- Ends the measurement, prints the line of figures and exits.
function job:finish()
  local cpu, wall, peak = self.cpu + os.clock(), self.wall + self.clock(), memory("VmHWM")
  assert(self.expected == self.count, "some answers are missing")
  print(("%d %.6f %.6f %d %d"):format(self.count, wall, cpu, peak, self.growth + peak))
  os.exit(0)
end

--- Measures COUNT runs of `call`, one after another.
function job:repeat_call(call)
  self:warm_up(call)
  self:start()
  for _ = 1, self.count do call() end
  self:finish()
end

--- Returns the size of a file.
function common.size(path)
  local file = assert(io.open(path, "rb"))
  local size = file:seek("end")
  file:close()
  return size
end

--- Exits with the status that says the client does not support WHAT.
function common.cannot(why)
  io.stderr:write(why, "\n")
  os.exit(CANNOT)
end

--- Reads the command line and calls the client's function for WHAT.
-- @tparam table client `version`, `clock` (a function of the client's own library that returns seconds), and
-- a function for each supported WHAT: `one`, `many`, `download`. Each is called with the job: `url`,
-- `secure`, `host`, `port`, `path`, `count`, `flight`, `extra`, `ca` (a path), `http2` (a boolean), and the
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
