--- `make bench-check`: a guard against getting slower. It counts the instructions of one call and of one
-- poll, which repeat to 1 % wherever the same libraries run, and fails when one is above its bar. Owns the
-- bars. Invariant: nothing is timed, so a busy machine changes nothing.
local client = require "bench.client"
local servers = require "bench.servers"
local tables = require "bench.tables"

-- Instructions a call, JSON included.
local GET_HTTP = 82000
-- The same on HTTP/2, as a multiple of what C + libcurl takes there without JSON.
local GET_H2 = 1.15
-- Instructions of one poll of a watched job whose snapshot has changed, with all that waiting adds to the
-- call.
local POLL = 205000
-- The part of a bar by which a count may be above it.
local SLACK = 0.03

local SORA = { command = { os.getenv("LUA") or arg[-1], "bench/clients/sora.lua" } }
local C = { command = { "build/bench/easy" } }
local TIMES = 3 -- Lua hashes strings another way in each process, which a poll feels: the median of so many

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

-- Prints a count beside its bar; whether it is good.
local function judge(what, number, bar, how)
  local over = number / bar - 1
  print(("%-24s %9s instructions, bar %9s%s: %s"):format(what, tables.number(number), tables.number(bar),
    how or "", over <= 0 and "good" or ("%.1f %% above"):format(over * 100)))
  return over <= SLACK
end

local function check(bench)
  local job = "/videos/video_123"
  local h2 = { what = "one", url = bench.h2 .. "/soon" .. job, ca = bench.ca, http2 = true }
  local watched = { what = "watch", url = bench.http .. "/unfinished" .. job }
  local floor = count(C, h2)
  local good = {
    judge("get_video on http", count(SORA, { what = "one", url = bench.http .. "/soon" .. job }), GET_HTTP),
    judge("get_video on HTTP/2", count(SORA, h2), GET_H2 * floor,
      (" (%.2f times C + libcurl's %s)"):format(GET_H2, tables.number(floor))),
    judge("a poll of a watched job", count_polls(watched), POLL),
  }
  return good[1] and good[2] and good[3]
end

local bench = servers.start()
local done, good = xpcall(function() return check(bench) end, debug.traceback)
bench:stop()
if not done then error(good, 0) end
if not good then print(("A bar is broken by more than %.0f %%."):format(SLACK * 100)) end
os.exit(good and 0 or 1)
