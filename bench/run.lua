--- `make bench`: compares sora with C + libcurl and other clients, all in one run.
-- Owns the clients, their order, and the file of results. Invariant: each figure is compared with that of
-- C + libcurl in the same run.
--
-- Arguments NAME=VALUE: WHAT=one,many,… (default: all loads), CLIENTS=sora,… (default: all), ROUNDS=n,
-- SCALE=0.1 (a fraction of the requests). Prints the report; without any argument it is also written to
-- bench/RESULTS.md.
local loads = require "bench.loads"
local machine = require "bench.machine"
local report = require "bench.report"
local servers = require "bench.servers"

local ORDER = { "one", "many", "spread", "jobs", "download", "frames" }
local SPARE_FILES = 100 -- files that a client may have open beside its connections

local SHORT = { 20, 120 } -- requests of the two runs under callgrind, for clients that need many instructions

local function in_lua(name, lua)
  return { lua or "lua5.4", ("bench/clients/%s.lua"):format(name) }
end

-- `share`: the fraction of the requests that a slow client makes; `most`: the most requests in flight;
-- `only`: the only load for it; `reference`: figures are compared with it; `uncounted`: not run under
-- callgrind.
local CLIENTS = {
  { key = "easy", name = "C + libcurl", reference = true, command = { "build/bench/easy" } },
  { key = "multi", name = "C + libcurl multi", reference = true, command = { "build/bench/multi" } },
  { key = "capped", name = "C + libcurl multi, capped", reference = true, command = { "build/bench/multi" },
    extra = "capped", only = "h2" },
  { key = "sora", name = "**sora**", command = in_lua("sora", os.getenv("LUA") or arg[-1]),
    remark = "with libcurl 7.83.0 to 8.1.0 it makes a handle for each call, because a used one may crash" },
  { key = "luahttp", name = "lua-http", command = in_lua "luahttp", lengths = SHORT },
  { key = "luacurl", name = "lua-curl", command = in_lua("luacurl", "lua5.1"), lengths = SHORT,
    remark = "binds neither libcurl's multi interface nor HTTP/2" },
  { key = "luasocket", name = "luasocket + luasec", command = in_lua "luasocket", lengths = SHORT,
    share = 0.03, remark = "makes a connection for each call" },
  { key = "luv", name = "luv with HTTP by hand", command = in_lua "luv", lengths = SHORT,
    remark = "a floor rather than a client: no TLS, and no more of HTTP than this server speaks" },
  { key = "openai", name = "openai-node", command = { "node", "bench/clients/openai.mjs" }, uncounted = true,
    share = 0.5, most = 2000, remark = "measured with 2 000 in flight at most" },
  { key = "curl", name = "curl + jq", command = { "bash", "bench/clients/curl.sh" }, uncounted = true,
    share = 0.005, remark = "two processes for each call" },
}

local KNOWN = { WHAT = true, CLIENTS = true, ROUNDS = true, SCALE = true }

local function fail(what, word)
  error(("bench/run.lua: %s %s"):format(what, word), 0)
end

local function words(text)
  local list = {}
  for word in text:gmatch("[^,]+") do list[#list + 1] = word end
  return list
end

local function chosen(text)
  local wanted, programs = {}, {}
  for _, key in ipairs(words(text)) do wanted[key] = true end
  for _, program in ipairs(CLIENTS) do
    if wanted[program.key] then programs[#programs + 1] = program end
    wanted[program.key] = nil
  end
  if next(wanted) then fail("no client is called", next(wanted)) end
  return programs
end

local function read(arguments)
  local found = {}
  for _, argument in ipairs(arguments) do
    local name, value = argument:match("^(%u+)=(.*)$")
    if not KNOWN[name] then fail("unknown word:", argument) end
    found[name] = value
  end
  local list = found.WHAT and words(found.WHAT) or ORDER
  for _, name in ipairs(list) do
    if not loads[name] then fail("nothing is called", name) end
  end
  return list, found.CLIENTS and chosen(found.CLIENTS) or CLIENTS,
    { rounds = tonumber(found.ROUNDS), scale = tonumber(found.SCALE) or 1 }
end

local function measure(bench, list, programs, options)
  local present, lines = report.find(programs)
  local parts = { report.head(arg, lines) }
  for _, name in ipairs(list) do
    parts[#parts + 1] = report.section(present, loads[name](bench), options)
  end
  return table.concat(parts, "\n")
end

local list, programs, options = read(arg)
local bench = servers.start()
bench.most = machine.most_files() - SPARE_FILES
local good, text = xpcall(function() return measure(bench, list, programs, options) end, debug.traceback)
bench:stop()
if not good then error(text, 0) end
io.write(text)
if #arg == 0 then
  local file = assert(io.open("bench/RESULTS.md", "w"))
  assert(file:write(text))
  file:close()
end
