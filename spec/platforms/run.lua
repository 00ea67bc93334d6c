--- make platforms: compiles every C file for platforms that are not this one, and runs the units there.
-- Owns which platforms those are. A platform whose compiler is missing is left out, with a line that says so.
-- Invariant: it ends with status 1 where a file does not compile, a unit fails, or nothing was checked.
local process = require "spec.support.process"
local units = require "spec.support.units"

local WARNINGS = "-std=c99 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wconversion -Werror"
local OUT = "build/platforms"
local INCLUDE = OUT .. "/include"
local WINE = "/usr/lib/wine/wine64" -- Debian has it there, beside wineserver64
local EVERY_SOURCE = table.concat(process.lines "find src -name '*.c' | sort", " ")

local passed, failed = 0, 0

local function say(platform, text, ...) print(("%-8s %s"):format(platform.name, text:format(...))) end

local function count(platform, good, what, why)
  passed, failed = passed + (good and 1 or 0), failed + (good and 0 or 1)
  if not good then say(platform, "%s FAILED:\n%s", what, why) end
  return good
end

-- Replaces each $name of a command by its value.
local function fill(command, values)
  return (command:gsub("%$(%l+)", values))
end

-- Runs a command, which must succeed; returns whether it did.
local function run(platform, what, command)
  local output, status = process.run(command)
  return count(platform, status == 0, what, command .. "\n" .. output)
end

-- Copies the headers of libcurl, OpenSSL and Lua, which are the same for every platform, into a folder
-- without those of this system's C library.
local function copy_headers()
  local multiarch = process.output "gcc -print-multiarch":gsub("%s", "")
  local lua = os.getenv "LUA_PC" or "lua5.4"
  local flags = process.output(("pkg-config --cflags-only-I %s libcurl"):format(lua))
  local folders = { "/usr/include", "/usr/include/" .. multiarch }
  for folder in flags:gmatch "%-I(%S+)" do folders[#folders + 1] = folder end
  process.run(fill("rm -rf $out && mkdir -p $include", { out = OUT, include = INCLUDE }))
  for _, folder in ipairs(folders) do
    process.run(fill("cp -rL $from/curl $from/openssl $to/; cp -L $from/lua*.h $from/lauxlib.h $to/",
      { from = folder, to = INCLUDE }))
  end
end

-- Whether the compiler makes a program.
local function works(platform)
  local _, status = process.run(("printf '#include <stdlib.h>\\nint main(void) { return 0; }' | "
    .. "%s -x c - -o %s/probe"):format(platform.cc, OUT))
  return status == 0
end

local function objects(platform) return ("%s/%s-objects"):format(OUT, platform.name) end

-- Compiles the files, one for each processor at a time.
local function compile(platform)
  local good = run(platform, "compiling", fill([[
    mkdir -p $folder && printf '%s\n' $sources | xargs -P "$(nproc)" -n 1 sh -c '
      $cc $warnings -O1 -Isrc -isystem $include $flags -c -o $folder/$(echo $0 | tr / -).o $0']], {
    folder = objects(platform), sources = platform.sources or EVERY_SOURCE, cc = platform.cc,
    warnings = WARNINGS, include = INCLUDE, flags = platform.flags or "",
  }))
  if good then say(platform, "compiles with %s", platform.cc) end
  return good
end

-- Links the objects to a DLL, with import libraries that have each name of libcurl and Lua that they use.
local function link_dll(platform)
  local folder = objects(platform)
  for _, library in ipairs{ "curl", "lua" } do
    run(platform, "the import library of " .. library, fill([[
      $tools-nm -u $dir/*.o | sed -n 's/.* \(__imp_\)*\($nameL*_\)/\2/p' | sort -u >$dir/$name.names &&
      { echo EXPORTS; cat $dir/$name.names; } >$dir/$name.def &&
      $tools-dlltool -d $dir/$name.def -D $name.dll -l $dir/lib$name.a]],
      { tools = platform.tools, dir = folder, name = library }))
  end
  if run(platform, "linking", fill("$cc -shared -o $dir/core.dll $dir/*.o -L$dir -lcurl -llua $libraries",
      { cc = platform.cc, dir = folder, libraries = platform.libraries })) then
    say(platform, "core.dll links")
  end
end

-- Runs the program of a unit; returns how many checks it made, or 0.
local function run_unit(platform, name)
  local program = ("%s/%s-%s%s"):format(OUT, platform.name, name, platform.suffix or "")
  local cc = ("%s -O2 -isystem %s"):format(platform.cc, INCLUDE)
  if not run(platform, name, units.compiler(cc, name, program, platform.libraries)) then return 0 end
  local output, status = process.run(("%s ./%s"):format(platform.launcher or "timeout 100", program))
  local good, checks = units.passed(output, status)
  return count(platform, good, name, output) and checks or 0
end

local function run_units(platform)
  local total, ran = 0, 0
  for name, unit in pairs(units.list) do
    if not (unit.posix and platform.windows or unit.crypto and not platform.crypto) then
      total, ran = total + run_unit(platform, name), ran + 1
    end
  end
  say(platform, "%d units ran, %d checks", ran, total)
end

local function check(platform)
  if not works(platform) then
    say(platform, "left out: %s makes no program here", platform.cc)
    return
  end
  if compile(platform) and platform.windows then link_dll(platform) end
  if platform.only_compiles then return end
  if platform.why_not then
    say(platform, "units left out: %s", platform.why_not)
  else
    run_units(platform)
  end
end

-- All names of libcurl that the sources use are in its headers of 7.66.0, or in curl_compat.h.
local function check_names()
  local known, missing = {}, {}
  for _, path in ipairs{ "spec/platforms/libcurl-7.66.0.names", "src/http/curl_compat.h" } do
    for name in process.slurp(path):gmatch "[%w_]+" do known[name] = true end
  end
  for _, name in ipairs(process.lines "grep -rohwE 'CURL[A-Z]*_[A-Z0-9_]+|curl_[a-z_]+' src | sort -u") do
    if not known[name] and name ~= "curl_compat" then missing[#missing + 1] = name end
  end
  local libcurl = { name = "libcurl" }
  if count(libcurl, #missing == 0, "names", ("7.66.0 has no %s: src/http/curl_compat.h must give it")
      :format(table.concat(missing, ", "))) then
    say(libcurl, "all names are those of 7.66.0, or in curl_compat.h")
  end
end

copy_headers()
check_names()
check{ name = "32-bit", cc = "gcc -m32", libraries = "-lm -ldl -pthread" }
check{ name = "musl", cc = "musl-gcc", libraries = "-lm -ldl -pthread" }

-- Wine takes some seconds to make its folder; the first program would show what it says meanwhile.
local wine_folder = process.folder()
local wine = ("env WINEPREFIX=%s WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml= "):format(wine_folder)
local _, has_wine = process.run(("test -x %s && %s timeout 100 %s wineboot"):format(WINE, wine, WINE))
check{ name = "windows", windows = true, crypto = true, suffix = ".exe",
  cc = "x86_64-w64-mingw32-gcc", tools = "x86_64-w64-mingw32",
  flags = "-include winsock2.h -include windows.h", -- no name of ours may be one of those
  libraries = "-lws2_32 -lbcrypt", launcher = wine .. "timeout 100 " .. WINE,
  why_not = has_wine ~= 0 and ("%s does not run here"):format(WINE) or nil }
process.run(("%s %s -k; rm -rf %s"):format(wine, WINE:gsub("wine64", "wineserver64"), wine_folder))

for _, cc in ipairs{ "gcc", "clang" } do
  check{ name = "kqueue", cc = cc, only_compiles = true, flags = "-DSORA_USE_KQUEUE -Ispec/support/kqueue",
    sources = "src/loop/poller_kqueue.c" }
  check{ name = "macos", cc = cc, only_compiles = true,
    flags = "-D__APPLE__ -DF_FULLFSYNC=51 -Ispec/support/darwin",
    sources = "src/base/sys_hmac.c src/base/sys_posix.c" }
end

print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and passed > 0)
