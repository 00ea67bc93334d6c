--- `make bench-check`: fails when a call, a poll or the command takes more instructions than its limit here
-- (BARS).
-- Owns the limits. Counts vary by about 1 % between machines with the same libraries.
-- Invariant: nothing is timed, so a busy machine does not change the result.
local client = require "bench.client"
local servers = require "bench.servers"
local tables = require "bench.tables"

-- `get_http`: instructions of a call, with JSON. `get_h2`: the same over HTTP/2, as a multiple of a C program
-- with one easy handle and no JSON. `poll`: instructions of one poll of a watched job whose snapshot has
-- changed, including the work of the wait. `version` and `get`: all instructions of the command, most of them
-- for loading libraries and modules.
local BARS = { get_http = 86000, get_h2 = 1.15, poll = 217000, version = 41e6, get = 79e6 }

-- The limits with a libcurl whose easy handles must not be reused (a server could make it write to freed
-- memory): each call then creates a new one.
local BARS_NEW_HANDLES = { get_http = 110000, get_h2 = 1.35, poll = 243000, version = 41e6, get = 79e6 }

-- How far a count may be above its limit, as a fraction of it.
local SLACK = 0.03

local SORA = { command = { os.getenv("LUA") or arg[-1], "bench/clients/sora.lua" } }
local C = { command = { "build/bench/easy" } }
local TIMES = 3 -- runs, of which the median counts: Lua's hash seed differs per process and affects a poll

local function count(program, job)
  local number, why = client.count(program, job)
  if not number then error(why or "the client has no way to do that", 0) end
  return number
end

local function count_polls(job)
  local counts = {}
  for i = 1, TIMES do counts[i] = count(SORA, job) end
  return tables.median(counts)
end

-- Counts the instructions of the command `sora`, in a folder of its own.
local function count_command(folder, url, ...)
  return assert(client.count_run({ SORA.command[1], "bin/sora", ... }, { "SORA_BASE_URL=" .. url,
    "XDG_CONFIG_HOME=" .. folder, "XDG_STATE_HOME=" .. folder }))
end

-- Prints a count beside its limit. Returns whether it is low enough.
local function judge(what, number, bar, how)
  local over = number / bar - 1
  print(("%-24s %9s instructions, bar %9s%s: %s"):format(what, tables.number(number), tables.number(bar),
    how or "", over <= 0 and "good" or ("%.1f %% above"):format(over * 100)))
  return over <= SLACK
end

-- Tells whether the libcurl in use is one of 7.83.0 to 8.1.0.
local function needs_new_handles()
  local version = assert(client.probe(C))
  local major, minor, patch = version:match("libcurl (%d+)%.(%d+)%.(%d+)")
  local number = assert(tonumber(major), version) * 1e6 + tonumber(minor) * 1e3 + tonumber(patch)
  return number >= 7083000 and number <= 8001000
end

local function check(bench)
  local bars = needs_new_handles() and BARS_NEW_HANDLES or BARS
  local job = "/videos/video_123"
  local plain = { what = "one", url = bench.http .. "/soon" .. job }
  local h2 = { what = "one", url = bench.h2 .. "/soon" .. job, ca = bench.ca, http2 = true }
  local watched = { what = "watch", url = bench.http .. "/unfinished" .. job }
  local floor = count(C, h2)
  local good = {
    judge("get_video on http", count(SORA, plain), bars.get_http),
    judge("get_video on HTTP/2", count(SORA, h2), bars.get_h2 * floor,
      (" (%.2f times C + libcurl's %s)"):format(bars.get_h2, tables.number(floor))),
    judge("a poll of a watched job", count_polls(watched), bars.poll),
    judge("sora --version", count_command(bench.folder, bench.http, "--version"), bars.version),
    judge("sora get", count_command(bench.folder, bench.http .. "/v1", "get", "video_123"), bars.get),
  }
  return good[1] and good[2] and good[3] and good[4] and good[5]
end

local bench = servers.start()
local done, good = xpcall(function() return check(bench) end, debug.traceback)
bench:stop()
if not done then error(good, 0) end
if not good then print(("A bar is broken by more than %.0f %%."):format(SLACK * 100)) end
os.exit(good and 0 or 1)
