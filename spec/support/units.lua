--- The C programs of spec/c_units, and how they are compiled.
-- Owns which sources each program is linked with. They know neither Lua nor libcurl's functions, so that each
-- compiler can build them that has a C library.
local units = {}

local SYS = { "src/base/sys.c", "src/base/sys_posix.c", "src/base/sys_win32.c" }
local POLLERS = { "src/loop/poller_epoll.c", "src/loop/poller_kqueue.c", "src/loop/poller_poll.c" }

local function sources(...)
  local all = {}
  for _, list in ipairs{ ... } do
    for _, path in ipairs(type(list) == "table" and list or { list }) do all[#all + 1] = path end
  end
  return all
end

--- By name: its sources; `posix`: it calls what only POSIX has; `crypto`: it needs the system's cryptography;
-- `variants`: further compiler flags to run it with.
units.list = {
  append_file = { sources = sources("src/base/append_file.c", SYS), posix = true },
  base64 = { sources = sources("src/base/base64.c") },
  buffer = { sources = sources("src/base/buffer.c") },
  headers = { sources = sources("src/http/headers.c", "src/base/buffer.c") },
  inflate = { sources = sources("src/base/inflate.c", "src/base/buffer.c") },
  json_numbers = { sources = sources("src/base/json_numbers.c", "src/base/buffer.c") },
  media = { sources = sources("src/base/media.c") },
  part_file = { sources = sources("src/base/part_file.c", SYS), posix = true },
  pem = { sources = sources("src/base/pem.c", SYS), posix = true },
  poller = { sources = sources(POLLERS, SYS), variants = { "-DSORA_USE_POLL" } },
  redact = { sources = sources("src/http/redact.c", "src/base/buffer.c", "src/http/headers.c") },
  retry = { sources = sources("src/http/retry.c") },
  sys = { sources = sources(SYS, "src/base/part_file.c", "src/base/append_file.c") },
  sys_hmac = { sources = sources("src/base/sys_hmac.c"), crypto = true },
  timers = { sources = sources("src/loop/timers.c") },
}

--- Returns the command that compiles the program of a unit.
-- @tparam string cc the compiler, with its flags
-- @tparam string name of the unit
-- @tparam string program the file to write
-- @tparam string libraries flags of the linker
function units.compiler(cc, name, program, libraries)
  local flags = "-std=c99 -Wall -Wextra -Werror -g -Isrc -Ispec/c_units"
  return ("%s %s spec/c_units/%s.c %s -o %s %s"):format(cc, flags, name,
    table.concat(units.list[name].sources, " "), program, libraries)
end

--- Returns whether output and status of a program say that all checks passed, and how many it made.
function units.passed(output, status)
  local count = output:gsub("\r", ""):match("^([1-9]%d*) checks, 0 failed\n$")
  return count ~= nil and status == 0, tonumber(count)
end

return units
