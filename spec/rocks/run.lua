--- make dist-check: packs a release, and installs its rocks and those of the checkout, as users do.
-- Owns a folder with copies of the checkout and with all that LuaRocks writes. Needs no network: Debian's
-- packages (lua-cjson, lua-http …) are declared to LuaRocks, so that it checks dependencies all the same.
-- Invariant: a step that fails ends the program with status 1 and prints the output of its command.
local process = require "spec.support.process"

local quote = process.quote
local FOLDER = process.folder()
local CHECKOUT = process.lines("pwd")[1]
local LUA_VERSION = _VERSION:match "%d+%.%d+"

local function say(text, ...) print(text:format(...)) end

local function finish(status)
  os.execute("rm -rf " .. quote(FOLDER))
  os.exit(status)
end

local function fail(text, ...)
  say("FAILED: " .. text, ...)
  finish(1)
end

-- Runs a command in a folder; returns its output and status.
local function try(folder, command) return process.run(("cd %s && %s"):format(quote(folder), command)) end

-- Runs a command that must succeed.
local function run(folder, command)
  local output, status = try(folder, command)
  if status ~= 0 then fail("status %d of %s\n%s", status, command, output) end
  return output
end

-- ---- LuaRocks ---------------------------------------------------------------------------------------------

-- Lists the rocks that Debian's packages stand for, with their versions, as LuaRocks's configuration has it.
local function provided()
  local lines = {}
  for rock, package in pairs { ["lua-cjson"] = "lua-cjson", http = "lua-http", argparse = "lua-argparse",
    busted = "lua-busted" } do
    local query = "dpkg-query -W -f '${Version}' %s 2>/dev/null"
    local version = process.output(query:format(package)):match "^[%d.]*%d"
    if version then lines[#lines + 1] = ("  [%q] = %q,\n"):format(rock, version .. "-1") end
  end
  return "rocks_provided = {\n" .. table.concat(lines) .. "}\n"
end

-- In place of luarocks.org: a server that has no rocks.
run(FOLDER, "mkdir server")
process.spill(FOLDER .. "/server/manifest", "commands = {}\nmodules = {}\nrepository = {}\n")
process.spill(FOLDER .. "/config.lua", provided())

local LUAROCKS = "env -u LUA_PATH -u LUA_CPATH " .. process.command {
  "HOME=" .. FOLDER, "LUAROCKS_CONFIG=" .. FOLDER .. "/config.lua",
  "luarocks", "--only-server=" .. FOLDER .. "/server", "--lua-version=" .. LUA_VERSION } .. " "

-- Runs LuaRocks, which must succeed and must not warn.
local function luarocks(folder, words)
  local output = run(folder, LUAROCKS .. words)
  for _, sign in ipairs { "[Ww]arning", "Missing dependenc", "not found" } do
    if output:find(sign) then fail("luarocks %s warns:\n%s", words, output) end
  end
  return output
end

-- ---- trees ------------------------------------------------------------------------------------------------

-- Leaves out the folders of this checkout.
local function system_only(paths)
  local kept = {}
  for path in paths:gmatch "[^;]+" do
    if path:sub(1, 1) == "/" then kept[#kept + 1] = path end
  end
  return table.concat(kept, ";")
end

-- Returns the command line of a Lua that runs code with the modules of a tree and of the system.
local function lua_in(tree, code)
  local modules, libraries = tree .. "/share/lua/" .. LUA_VERSION, tree .. "/lib/lua/" .. LUA_VERSION
  return { "env", "-u", "LUA_INIT",
    ("LUA_PATH=%s/?.lua;%s/?/init.lua;%s"):format(modules, modules, system_only(package.path)),
    ("LUA_CPATH=%s/?.so;%s"):format(libraries, system_only(package.cpath)),
    os.getenv "LUA", "-e", code }
end

-- Runs code outside of the checkout.
local function run_in(tree, code) return run("/", process.command(lua_in(tree, code))) end

-- Checks that a tree has as many Lua files as these folders of the checkout: LuaRocks can install all of lua/
-- unasked, and renames a file that another rock has, too.
local function check_files(tree, folders)
  local count = "find %s -name '*.lua' | wc -l"
  local installed = tonumber(process.output(count:format(quote(tree .. "/share/lua"))))
  local expected = tonumber(process.output(count:format(folders)))
  if installed ~= expected then fail("%d Lua files are installed, not %d", installed, expected) end
end

-- Checks a tree that has the library alone.
local function check_library(tree, version)
  run_in(tree, ([[
    assert(require("sora")._VERSION == %q)
    assert(not pcall(require, "sora.server"), "the library contains the server")]]):format(version))
  check_files(tree, "lua")
end

-- Starts the server of a tree, and makes a job on it with the library of the tree.
local function check_server(tree)
  local server = process.start(lua_in(tree,
    [[os.exit(require("sora.server").main { [0] = "server", "--exit-with-stdin", "--quiet" })]]))
  local url = (server:readline() or ""):match "^listening on (%S+)$"
  if not url then fail("the rock's server did not start:\n%s", server:errors()) end
  run_in(tree, ([[
    local client = assert(require("sora").new { base_url = %q, api_key = "sk-rock" })
    local job = assert(client:create_video { prompt = "A fox" })
    local video = assert(client:get_video(job.id))
    assert(video.id == job.id)]]):format(url))
  server:stop()
end

-- Runs the command of a tree outside of the checkout: makes a film on the server that it starts.
local function check_command(tree, version)
  local words = { "env", "-C", FOLDER, "-u", "LUA_PATH", "-u", "LUA_CPATH", "HOME=" .. FOLDER,
    tree .. "/bin/sora" }
  local sora = process.command(words)
  local output = run("/", sora .. " --version")
  if output ~= "sora " .. version .. "\n" then fail("sora --version says %s", output) end
  for word in ("serve --port 0 --duration 0 --exit-with-stdin"):gmatch "%S+" do words[#words + 1] = word end
  local server = process.start(words)
  local url = (server:readline() or ""):match "^listening on (%S+)$"
  if not url then fail("sora serve did not start:\n%s", server:errors()) end
  run("/", ("%s --base-url %s make 'A fox' -o film.mp4 --force"):format(sora, url))
  server:stop()
end

-- Installs both rocks into a new tree. Without the library, sora-cli must be refused.
local function install(tree, folder, verb, rockspecs, version)
  local words = ("%s --tree %s "):format(verb, quote(tree))
  local output, status = try(folder, LUAROCKS .. words .. rockspecs.cli)
  if status == 0 or not output:find "\n *sora [%w.]+ %(not installed%)" then
    fail("sora-cli does not depend on sora:\n%s", output)
  end
  luarocks(folder, words .. rockspecs.library)
  check_library(tree, version)
  luarocks(folder, words .. rockspecs.cli)
  check_files(tree, "lua cli")
  check_server(tree)
  check_command(tree, version)
  for _, rock in ipairs { "sora", "sora-cli" } do
    local licence = "find %s/lib/luarocks -path '*/%s/*' -name LICENSE"
    if #process.lines(licence:format(quote(tree), rock)) ~= 1 then fail("%s has no licence", rock) end
  end
end

-- ---- a release --------------------------------------------------------------------------------------------

-- Copies the checkout, with what is not committed yet, into a git repository of its own.
local function copy_checkout(copy)
  run(CHECKOUT, "mkdir " .. copy
    .. " && tar --exclude=./build --exclude=./.git -cf - . | tar -xmf - -C " .. copy)
  run(copy, "export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 && git init -q && git add -A && "
    .. "GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' "
    .. "git -c user.name=check -c user.email=check@localhost commit -q -m check")
end

local copy, release = FOLDER .. "/copy", FOLDER .. "/release"
for _, folder in ipairs { copy, FOLDER .. "/again" } do
  copy_checkout(folder)
  run(folder, "env -u MAKEFLAGS -u MFLAGS make dist DIST_URL=file://" .. release)
end
run(FOLDER, "diff -r copy/build/dist again/build/dist && mv copy/build/dist release && rm -r again")
local version = process.output("ls " .. release):match "sora%-(%d[%d.]*)%.tar%.gz\n"
if not version then fail("make dist wrote no tarball:\n%s", process.output("ls " .. release)) end
say("packed %s twice, with the same bytes", version)

local of_release = { library = ("%s/sora-%s-1.rockspec"):format(release, version),
  cli = ("%s/sora-cli-%s-1.rockspec"):format(release, version) }
local of_checkout = { library = "sora-scm-1.rockspec", cli = "sora-cli-scm-1.rockspec" }
for _, rockspecs in ipairs { of_release, of_checkout } do
  for _, rockspec in pairs(rockspecs) do luarocks(copy, "lint " .. rockspec) end
end
say("checked the syntax of four rockspecs")

install(FOLDER .. "/released", FOLDER, "install", of_release, version)
say("installed the release, and made a job on its server")
install(FOLDER .. "/made", copy, "make", of_checkout, version)
say("the same with luarocks make in a checkout")

-- ---- folders of libcurl and OpenSSL -----------------------------------------------------------------------

-- A compiler that records its command line and leaves an empty file.
process.spill(FOLDER .. "/cc", [[
#!/bin/sh
echo " $* " >>"$0.log"
while [ "$1" != -o ]; do shift; done
: >"$2"
]])
run(FOLDER, "chmod +x cc && mkdir -p curl/lib curl/include crypto/lib crypto/include && "
  .. "touch curl/lib/libcurl.so crypto/lib/libcrypto.so")

-- Checks that variables of LuaRocks reach every command line; @ stands for FOLDER.
local function check_variables(variables)
  os.remove(FOLDER .. "/cc.log")
  local words = "make --tree @/recorded CC=@/cc LD=@/cc " .. variables .. " " .. of_checkout.library
  luarocks(copy, (words:gsub("@", FOLDER)))
  local compiled = 0
  for line in (process.slurp(FOLDER .. "/cc.log") or ""):gmatch "[^\n]+" do
    local compiles = line:find(" -c ", 1, true)
    compiled = compiled + (compiles and 1 or 0)
    for _, library in ipairs { "curl", "crypto" } do
      local option = (compiles and " -I%s/%s/include " or " -L%s/%s/lib "):format(FOLDER, library)
      if not line:find(option, 1, true) then fail("%s: no%sin\n%s", variables, option, line) end
    end
  end
  if compiled ~= #process.lines "find src -name '*.c'" then fail("%d files were compiled", compiled) end
end

check_variables "CURL_DIR=@/curl CRYPTO_DIR=@/crypto"
check_variables("CURL_INCDIR=@/curl/include CURL_LIBDIR=@/curl/lib "
  .. "CRYPTO_INCDIR=@/crypto/include CRYPTO_LIBDIR=@/crypto/lib")
say("CURL_DIR, CURL_INCDIR, CURL_LIBDIR, and the same of CRYPTO, reach the compiler")

-- ---- luarocks test ----------------------------------------------------------------------------------------

local test = "test " .. of_checkout.library .. " -- spec/house/"
local output = luarocks(CHECKOUT, test .. "packaging_spec.lua")
if not output:find "\n[1-9]%d* successes / 0 failures" then fail("luarocks test ran nothing:\n%s", output) end
local _, status = try(CHECKOUT, LUAROCKS .. test .. "missing_spec.lua")
if status == 0 then fail("luarocks test succeeds without a spec") end
say("luarocks test runs the specs")
finish(0)
