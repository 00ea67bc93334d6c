--- What the results were measured on and with.
-- Owns how that is found out. Invariant: no name of a machine, a user or a path is told.
local process = require "spec.support.process"

local machine = {}

local function first_line(command)
  return (process.output(command .. " 2>&1"):match("^[^\n]*"))
end

--- The numbers of the cores that this process may use.
function machine.cores()
  local status, list = process.slurp("/proc/self/status") or "", {}
  for part in (status:match("Cpus_allowed_list:%s*(%S+)") or "0"):gmatch("[^,]+") do
    local first, last = part:match("^(%d+)-?(%d*)$")
    for core = tonumber(first), tonumber(last) or tonumber(first) do list[#list + 1] = core end
  end
  return list
end

--- The processor, its cores, and the kernel.
function machine.description()
  local cores = machine.cores()
  local model = (process.slurp("/proc/cpuinfo") or ""):match("model name%s*:%s*([^\n]+)")
  return ("%s, %d %s, %s"):format(model or "an unknown processor", #cores, #cores == 1 and "core" or "cores",
    first_line("uname -sr"))
end

--- The versions of what is measured with.
function machine.nginx()
  return (first_line("nginx -v"):gsub("^nginx version: ", ""))
end

function machine.valgrind()
  return (first_line("valgrind --version"))
end

function machine.today()
  return first_line("date -u +%Y-%m-%d")
end

--- How many files a process may have open at most.
function machine.most_files()
  return tonumber(first_line("sh -c 'ulimit -Hn'")) or math.huge
end

--- How long it takes until a file of so many bytes is on the disk, once it is written.
function machine.fsync_seconds(size)
  local nanoseconds = first_line(([[
    file=build/bench/fsync; head -c %d /dev/zero >$file; start=$(date +%%s%%N)
    sync $file; echo $(($(date +%%s%%N) - start)); rm $file; :]]):format(size))
  return tonumber(nanoseconds) / 1e9
end

--- Whether a folder is in memory, where writing out a file costs nothing.
function machine.in_memory(folder)
  return first_line("stat -f -c %T '" .. folder .. "'") == "tmpfs"
end

return machine
