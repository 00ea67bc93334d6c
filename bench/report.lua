--- Writes the report of a run.
-- Owns its text and order. Invariant: a reader can repeat the run. Command, machine and versions are above
-- the figures, and clients that are missing or failed are named.
local client = require "bench.client"
local machine = require "bench.machine"
local rounds = require "bench.rounds"
local tables = require "bench.tables"

local report = {}

local HEAD = table.concat({
  "# Results\n",
  "`make bench%s` on %s: %s; %s; %s.\n",
  "Each figure is the median of some rounds, in each of which all clients took turns%s. In brackets:",
  "how many times the figure of the C program in the same table it is, as the median of the ratios of each",
  "round. CPU and instructions are the client's own: user and system time, and what callgrind counts, as the",
  "difference of two runs of different lengths (– where it can't).\n",
  "%s\n",
}, "\n")

--- Finds which clients are installed.
-- @tparam {table,...} programs
-- @treturn {table,...} the installed ones
-- @treturn {string,...} lines with their versions, and with the reasons why others are left out
function report.find(programs)
  local present, lines, absent, last = {}, {}, {}, nil
  for _, program in ipairs(programs) do
    local version, why = client.probe(program)
    local remark = program.remark and "; " .. program.remark or ""
    if version then
      present[#present + 1] = program
      if version ~= last then lines[#lines + 1] = ("- %s: %s%s"):format(program.name, version, remark) end
      last = version
    else
      absent[#absent + 1] = ("- %s is left out: %s"):format(program.name, why)
    end
  end
  for _, line in ipairs(absent) do lines[#lines + 1] = line end
  return present, lines
end

--- Writes the text above the figures.
-- @tparam {string,...} arguments of the run
-- @tparam {string,...} lines from `find`
function report.head(arguments, lines)
  local words = #arguments > 0 and " " .. table.concat(arguments, " ") or ""
  local where = #machine.cores() > 1 and ", on a core that the server did not use"
    or ", on the one core that the server used, too"
  return HEAD:format(words, machine.today(), machine.description(), machine.nginx(),
    machine.valgrind(), where, table.concat(lines, "\n"))
end

local function find(programs, key)
  for _, program in ipairs(programs) do
    if program.key == key then return program end
  end
end

local function measure(programs, section, load, options)
  local entries = rounds.run(programs, load, options.rounds or section.rounds, options.scale)
  if section.counts then rounds.count(entries, load, options.scale) end
  local reference = find(programs, load.reference or section.reference)
  local parts = { ("### %s\n"):format(load.title),
    tables.compare(programs, entries, load, section.figures, reference) }
  local unable = {}
  for _, program in ipairs(programs) do
    local entry = entries[program]
    if entry.why then parts[#parts + 1] = "Failed: " .. entry.why .. "\n" end
    if entry.unable and not program.reference then unable[#unable + 1] = program.name end
  end
  if unable[1] then parts[#parts + 1] = "Unable: " .. table.concat(unable, ", ") .. ".\n" end
  return table.concat(parts, "\n")
end

--- Measures a section and returns its text.
-- @tparam {table,...} programs
-- @tparam table section from loads.lua; if it has a function `measure(options)`, that returns the text
-- @tparam table options `rounds` (nil: the section's own) and `scale`
-- @treturn string
function report.section(programs, section, options)
  local parts = { ("## %s\n\n%s\n"):format(section.title, section.text) }
  if section.measure then parts[2] = section.measure(options) end
  for _, load in ipairs(section.loads or {}) do
    io.stderr:write(section.title, ": ", load.title, "\n")
    parts[#parts + 1] = measure(programs, section, load, options)
  end
  return table.concat(parts, "\n")
end

return report
