--- The section about frames: the longest `update(0)` of a download, whose end is part of it.
-- Owns the table. Invariant: the file goes to a disk where there is one, because a file system in memory has
-- nothing to sync.
local machine = require "bench.machine"
local process = require "spec.support.process"
local tables = require "bench.tables"

local FOLDER = "build/bench"
local LONGEST = 60 -- s; the time limit of one process
local HEAD = { "download", "longest `update(0)`, ms", "updates" }

local TEXT = [[
A game calls `update(0)` in each frame, here as often as it can, while a file of 256 MiB is saved %s.
The file is synced at its end, inside `update`; write-back that began earlier leaves little for that, and
`sync = false` does not wait for it at all. The rest is libcurl's: on a network that is this fast, it reads up
to 100 buffers of 256 KiB in one call. The median of the rounds.]]

-- Runs the client; returns the longest update in ms, and their number.
local function run(url, sync)
  local target = FOLDER .. "/frames.mp4"
  local program = process.quote(os.getenv("LUA") or arg[-1]) .. " bench/clients/frames.lua "
  local output = process.output(("timeout %d taskset -c %d %s %s %s %s 2>&1"):format(LONGEST,
    machine.cores()[1], program, process.quote(url), target, sync))
  os.remove(target)
  local longest, updates = output:match("^([%d.]+) (%d+)\n$")
  if not longest then error("bench/clients/frames.lua: " .. output, 0) end
  return tonumber(longest), tonumber(updates)
end

local function row(title, url, sync, rounds)
  io.stderr:write("Frames: ", title, "\n")
  local longest, updates = {}, {}
  for i = 1, rounds do longest[i], updates[i] = run(url, sync) end
  return { title, tables.number(tables.median(longest)), tables.number(tables.median(updates)) }
end

-- Makes the section for run.lua.
return function(bench)
  bench:make_file()
  local where = machine.in_memory(FOLDER) and "in memory" or "on a disk"
  return { title = "Frames", text = TEXT:format(where), measure = function(options)
    local rounds = options.rounds or 5
    return tables.markdown { HEAD, row("synced (the default)", bench.http, "true", rounds),
      row("`sync = false`", bench.http, "false", rounds) }
  end }
end
