--- The loads to measure, in sections, and the figures reported for each.
-- Owns the numbers of requests and rounds. Invariant: all clients get the same load. A slow client may make
-- fewer requests, never different ones.
local machine = require "bench.machine"
local tables = require "bench.tables"

local JOB = "/videos/video_123"

-- Figures: a column title, and a function that computes the value from a client's result.
local RATE = { "requests a second", function(r) return r.count / r.wall end }
local CPU = { "CPU µs a request", function(r) return r.cpu / r.count * 1e6 end }
local INSTRUCTIONS = { "instructions a request", function(r) return r.instructions end }
local WALL = { "seconds", function(r) return r.wall end }
local GROWTH = { "KiB a request in flight", function(r) return r.growth / r.flight end }
local SPEED = { "MB a second", function(r, load) return load.size * r.count / r.wall / 1e6 end }
local CPU_MS = { "CPU ms", function(r) return r.cpu / r.count * 1e3 end }
local RSS = { "RSS MiB", function(r) return r.rss / 1024 end }

-- Adds the fields `more` to a load.
local function with(more, load)
  for key, value in pairs(more or {}) do load[key] = value end
  return load
end

local loads = {}

--- Makes the section of sequential calls.
function loads.one(bench)
  local function load(name, title, server, more)
    return with(more, { what = "one", name = name, title = title, url = bench[server] .. "/v1" .. JOB,
      counted = bench[server] .. "/soon" .. JOB, count = 3000 })
  end
  return { title = "One call after another", reference = "easy", rounds = 5, counts = true,
    figures = { RATE, CPU, INSTRUCTIONS },
    text = "On a connection that is kept. The JSON is decoded to a table; in C it is only taken into memory. "
      .. "Instructions are counted with a server that answers after 10 ms, so that each call waits once.",
    loads = {
      load("http", "http", "http"),
      load("headers", "http, 17 more response headers", "http", { url = bench.http .. "/headers" .. JOB,
        counted = bench.http .. "/soon_headers" .. JOB }),
      load("tls", "https", "tls", { ca = bench.ca }),
      load("h2", "HTTP/2", "h2", { ca = bench.ca, http2 = true }),
    } }
end

--- Makes the section of many independent calls at once.
function loads.many(bench)
  local function load(name, title, flight, count, more)
    flight = math.min(flight, bench.most)
    return with(more, { what = "many", name = name, flight = flight, count = count,
      url = bench.http .. "/delay" .. JOB,
      title = ("%s, %s in flight, %s requests"):format(title, tables.number(flight), tables.number(count)) })
  end
  local text = "The server answers after 50 ms. Making connections counts; nothing is warmed up. The capped "
    .. "C program knows beforehand that 100 requests share a connection."
  if bench.most < 10000 then text = text .. " More in flight would need more open files than allowed." end
  return { title = "Many at once", reference = "multi", rounds = 3, figures = { WALL, CPU, GROWTH },
    text = text, loads = {
      load("http", "http", 2000, 10000),
      load("http_10000", "http", 10000, 26000),
      load("tls", "https", 2000, 10000, { url = bench.tls .. "/delay" .. JOB, ca = bench.ca }),
      load("h2", "HTTP/2", 2000, 6000, { url = bench.h2 .. "/delay" .. JOB, ca = bench.ca, http2 = true,
        reference = "capped" }),
    } }
end

--- Makes the section of many calls whose responses arrive at different times.
function loads.spread(bench)
  return { title = "Answers spread over a second", reference = "multi", rounds = 3,
    figures = { WALL, CPU, GROWTH }, text = "The server answers after 0.5 to 1.5 s, evenly spread.",
    loads = { { what = "many", name = "spread", title = "http, 2 000 in flight, 4 000 requests",
      url = bench.http .. "/spread" .. JOB, flight = 2000, count = 4000 } } }
end

--- Makes the section of downloads.
function loads.download(bench)
  local size = bench:make_file()
  local function load(name, title, url, ca)
    return { what = "download", name = name, title = title, url = url .. "/v1" .. JOB .. "/content",
      count = 1, ca = ca, extra = bench.folder .. "/download.mp4", size = size }
  end
  local text = ("A file of 256 MiB, to a file %s. sora alone ends with an fsync, which "):format(
    machine.in_memory(bench.folder) and "in memory" or "on a disk")
  if machine.in_memory(bench.folder) then
    text = text .. ("costs nothing there; on the disk of this machine it takes %.2f s by itself.")
      :format(machine.fsync_seconds(size))
  else
    text = text .. "its figure includes."
  end
  return { title = "Downloads", reference = "easy", rounds = 7, figures = { SPEED, CPU_MS, RSS }, text = text,
    loads = { load("http", "http", bench.http), load("tls", "https", bench.tls, bench.ca) } }
end

--- Makes the section of watched jobs, which bench/jobs.lua measures.
function loads.jobs(bench)
  return require("bench.jobs")(bench)
end

--- Makes the section of frames, which bench/frames.lua measures.
function loads.frames(bench)
  return require("bench.frames")(bench)
end

return loads
