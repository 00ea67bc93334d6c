--- make platforms: compiles every C file for the platforms that are not this one, and runs the units that can run.
-- Owns which platforms those are. A platform whose compiler is missing is left out, with a line that says so.
-- Invariant: it ends with status 1 where a file does not compile, a unit fails, or nothing was checked.
local process = require "spec.support.process"
local units = require "spec.support.units"

local WARNINGS = "-std=c99 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wconversion -Werror"
local OUT = "build/platforms"
local INCLUDE = OUT .. "/include"
local WINE = "/usr/lib/wine/wine64" -- Debian has it there, without a name on the PATH

local sources = process.lines("find src -name '*.c' | sort")
local every = table.concat(sources, " ")
local pkg_config = os.getenv("LUA_PC") or "lua5.4"

local failures, checked = 0, 0

local function say(name, text, ...) print(("%-10s %s"):format(name, text:format(...))) end

-- Runs a command; whether it succeeded. Shows its output if it did not.
local function run(name, what, command)
  local output, status = process.run(command)
  checked = checked + 1
  if status == 0 then return true, output end
  failures = failures + 1
  say(name, "%s FAILED:\n%s\n%s", what, command, output)
  return false, output
end

local function succeeds(command)
  local _, status = process.run(command)
  return status == 0
end

-- Copies the headers of libcurl, OpenSSL and Lua, which are the same for every platform, into a folder without
-- those of this system's C library.
local function copy_headers()
  assert(succeeds("rm -rf " .. OUT .. " && mkdir -p " .. INCLUDE), "cannot make " .. OUT)
  local cflags = process.output(("pkg-config --cflags-only-I %s libcurl"):format(pkg_config))
  local folders = { "/usr/include", "/usr/include/" .. process.output("gcc -print-multiarch"):gsub("%s", "") }
  for folder in cflags:gmatch("%-I(%S+)") do folders[#folders + 1] = folder end
  for _, folder in ipairs(folders) do
    process.run(("cp -rL %s/curl %s/openssl %s/"):format(folder, folder, INCLUDE))
    process.run(("cp -L %s/lua*.h %s/lauxlib.h %s/"):format(folder, folder, INCLUDE))
  end
end

-- Whether the compiler makes a program; without one the platform is left out.
local function works(platform)
  local source = "printf '#include <stdlib.h>\\nint main(void) { return 0; }' | "
  return succeeds(("%s %s -x c - -o %s/probe%s"):format(source, platform.cc, OUT, platform.suffix or ""))
end

local function objects(platform) return ("%s/%s-objects"):format(OUT, platform.name) end

-- Compiles the files, some at a time.
local function compile(platform)
  local one = ("%s %s -O2 -Isrc -isystem %s %s"):format(platform.cc, WARNINGS, INCLUDE, platform.flags or "")
  local command = ([[mkdir -p %s && printf '%%s\n' %s | xargs -P "$(nproc)" -n 1 sh -c '%s -c -o %s/$(echo $0 | tr / -).o $0']])
    :format(objects(platform), platform.sources or every, one, objects(platform))
  local good = run(platform.name, "compiling", command)
  if good then say(platform.name, "compiles with %s", platform.cc) end
  return good
end

local function run_units(platform)
  local names, total, good = {}, 0, 0
  for name, unit in pairs(units.list) do
    if not (unit.posix and platform.windows) and not (unit.crypto and not platform.crypto) then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local program = ("%s/%s-%s%s"):format(OUT, platform.name, name, platform.suffix or "")
    local cc = ("%s -O2 -isystem %s"):format(platform.cc, INCLUDE)
    if run(platform.name, name, units.compiler(cc, name, program, platform.libraries)) then
      local command = ("%s timeout 100 %s"):format(platform.environment or "", (platform.run or "./%s"):format(program))
      local _, output = run(platform.name, name, command)
      local passed, count = units.passed(output, 0)
      if not passed then
        failures = failures + 1
        say(platform.name, "%s FAILED: %s", name, output)
      else
        total, good = total + count, good + 1
      end
    end
  end
  say(platform.name, "%d units ran, %d checks", good, total)
end

-- Links the objects to a DLL, with import libraries that have each name of libcurl and Lua that they use.
local function link_dll(platform)
  local folder = objects(platform)
  for _, library in ipairs{ "curl", "lua" } do
    local exports = ([[{ echo EXPORTS; x86_64-w64-mingw32-nm -u DIR/*.o | sed -n 's/.* \(__imp_\)*\(NAMEL*_\)/\2/p' |
      sort -u; } >DIR/NAME.def && x86_64-w64-mingw32-dlltool -d DIR/NAME.def -D NAME.dll -l DIR/libNAME.a]])
    if not run(platform.name, "import library", (exports:gsub("DIR", folder):gsub("NAME", library))) then return end
  end
  local link = ("%s -shared -o %s/core.dll %s/*.o -L%s -lcurl -llua %s"):format(
    platform.cc, folder, folder, folder, platform.libraries)
  if run(platform.name, "linking", link) then say(platform.name, "core.dll links") end
end

local function check(platform)
  if not works(platform) then
    say(platform.name, "left out: %s compiles nothing here", platform.cc)
    return
  end
  if compile(platform) and platform.windows then link_dll(platform) end
  if platform.run and not succeeds(("test -x %s"):format(WINE)) then
    say(platform.name, "units left out: there is no %s", WINE)
  elseif not platform.compile_only then
    if platform.run then process.run(("%s %s wineboot"):format(platform.environment, WINE)) end
    run_units(platform)
  end
end

-- All names of libcurl that the sources use are in its headers of 7.66.0, or in curl_compat.h.
local function check_names()
  local known, missing = {}, {}
  for _, path in ipairs{ "spec/platforms/libcurl-7.66.0.names", "src/http/curl_compat.h" } do
    for name in process.slurp(path):gmatch("[%w_]+") do known[name] = true end
  end
  for _, name in ipairs(process.lines("grep -rohwE 'CURL[A-Z]*_[A-Z0-9_]+|curl_[a-z_]+' src | sort -u")) do
    if not known[name] and not name:match("^curl_compat") then missing[#missing + 1] = name end
  end
  checked = checked + 1
  if #missing > 0 then
    failures = failures + 1
    say("libcurl", "7.66.0 lacks %s: src/http/curl_compat.h must have it", table.concat(missing, ", "))
  else
    say("libcurl", "all names are those of 7.66.0, or in curl_compat.h")
  end
end

copy_headers()
local prefix = process.folder()
local wine = ("WINEPREFIX=%s WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml='"):format(prefix)
check_names()
check{ name = "32-bit", cc = "gcc -m32", libraries = "-lm -ldl -pthread" }
check{ name = "musl", cc = "musl-gcc", libraries = "-lm -ldl -pthread" }
check{ name = "windows", cc = "x86_64-w64-mingw32-gcc", suffix = ".exe", windows = true, crypto = true,
  flags = "-include winsock2.h -include windows.h", -- a name of ours that those define fails
  libraries = "-lws2_32 -lbcrypt", run = WINE .. " %s", environment = wine }
for _, cc in ipairs{ "gcc", "clang" } do
  check{ name = "kqueue", cc = cc, compile_only = true, flags = "-DSORA_USE_KQUEUE -Ispec/support/kqueue",
    sources = "src/loop/poller_kqueue.c" }
  check{ name = "macos", cc = cc, compile_only = true, flags = "-D__APPLE__ -DF_FULLFSYNC=51 -Ispec/support/darwin",
    sources = "src/base/sys_hmac.c src/base/sys_posix.c" }
end
process.run(("%s /usr/lib/wine/wineserver64 -k; rm -rf %s"):format(wine, prefix))

print(("%d checks, %d failed"):format(checked, failures))
os.exit(failures == 0 and checked > 0)
