--- Describes the machine and the programs that the results were measured with.
-- Owns the commands that find this out. Invariant: reveals no host name, user name or path.
local process = require "spec.support.process"

local machine = {}

local function first_line(command)
  return (process.output(command .. " 2>&1"):match("^[^\n]*"))
end

--- Lists the numbers of the cores that this process may use.
function machine.cores()
  local status, list = process.slurp("/proc/self/status") or "", {}
  for part in (status:match("Cpus_allowed_list:%s*(%S+)") or "0"):gmatch("[^,]+") do
    local first, last = part:match("^(%d+)-?(%d*)$")
    for core = tonumber(first), tonumber(last) or tonumber(first) do list[#list + 1] = core end
  end
  return list
end

--- Describes the processor, its cores and the kernel.
function machine.description()
  local cores = machine.cores()
  local model = (process.slurp("/proc/cpuinfo") or ""):match("model name%s*:%s*([^\n]+)")
  return ("%s, %d %s, %s"):format(model or "an unknown processor", #cores, #cores == 1 and "core" or "cores",
    first_line("uname -sr"))
end

--- Returns the version of nginx.
function machine.nginx()
  return (first_line("nginx -v"):gsub("^nginx version: ", ""))
end

function machine.valgrind()
  return (first_line("valgrind --version"))
end

function machine.today()
  return first_line("date -u +%Y-%m-%d")
end

--- Returns how many files a process may have open at most.
function machine.most_files()
  return tonumber(first_line("sh -c 'ulimit -Hn'")) or math.huge
end

--- Measures how many seconds an fsync of a newly written file of `size` bytes takes.
function machine.fsync_seconds(size)
  local nanoseconds = first_line(([[
    file=build/bench/fsync; head -c %d /dev/zero >$file; start=$(date +%%s%%N)
    sync $file; echo $(($(date +%%s%%N) - start)); rm $file; :]]):format(size))
  return tonumber(nanoseconds) / 1e9
end

--- Tells whether a folder is in memory (tmpfs), where an fsync costs nothing.
function machine.in_memory(folder)
  return first_line("stat -f -c %T '" .. folder .. "'") == "tmpfs"
end

return machine
