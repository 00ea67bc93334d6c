-- Compares the lists of what is built and installed with the files on disk, so that none is forgotten, and
-- the version with the changelog.
local facts = require "spec.support.facts"
local process = require "spec.support.process"
local sora = require "sora"

local c_sources = process.lines "find src -name '*.c'"
local library_modules = process.lines "find lua -name '*.lua'"
local cli_modules = process.lines "find cli -name '*.lua'"

-- A rockspec is Lua that sets globals.
local function read_rockspec(path)
  local spec = {}
  local chunk
  if setfenv then
    chunk = setfenv(assert(loadfile(path)), spec)
  else
    chunk = assert(loadfile(path, "t", spec))
  end
  chunk()
  return spec
end

local library = read_rockspec "sora-scm-1.rockspec"
local command = read_rockspec "sora-cli-scm-1.rockspec"

-- Returns the path of the C module that these specs run.
local function core_path()
  for template in package.cpath:gmatch "[^;]+" do
    local path = template:gsub("%?", "sora/core")
    if process.slurp(path) then return path end
  end
end

-- Asserts that a list of a rockspec names exactly these Lua files, each under its module's name.
local function assert_lists(paths, modules)
  local listed = {}
  for name, path in pairs(modules) do
    if type(path) == "string" then
      listed[#listed + 1] = path
      local module = path:gsub("%.lua$", ""):gsub("/init$", ""):match "^%l+/(.*)$"
      assert.equal(name, (module:gsub("/", ".")))
    end
  end
  facts.assert_same(paths, listed)
end

describe("the rockspec of the library", function()
  local modules = library.build.modules

  it("compiles every C file", function()
    facts.assert_same(c_sources, modules["sora.core"].sources)
  end)

  it("installs every Lua module of lua/", function()
    assert_lists(library_modules, modules)
  end)

  it("changes nothing but libraries and their folders on a platform", function()
    for _, changes in pairs(library.build.platforms) do
      local core = changes.modules["sora.core"]
      assert.same({ modules = { ["sora.core"] = {
        libraries = core.libraries, incdirs = core.incdirs, libdirs = core.libdirs } } }, changes)
      assert.equal(modules["sora.core"].libraries[1], core.libraries[1])
      assert.equal(modules["sora.core"].incdirs[1], (core.incdirs or modules["sora.core"].incdirs)[1])
    end
  end)
end)

describe("the rockspec of sora-cli", function()
  local install = command.build.install

  it("installs every Lua module of cli/", function()
    assert_lists(cli_modules, install.lua)
  end)

  it("installs every program of bin/", function()
    assert.same(process.lines "ls bin/* 2>/dev/null", install.bin or {})
  end)

  it("installs no module of the library", function()
    for name in pairs(install.lua) do assert.is_nil(library.build.modules[name]) end
  end)

  it("is released with the library", function()
    assert.equal(library.version, command.version)
    assert.same(library.source, command.source)
    assert.is_truthy(table.concat(command.dependencies, ";"):find("sora == scm", 1, true))
  end)
end)

describe("the C module", function()
  -- LuaRocks passes no -fvisibility. Neovim has a loop_close, too, which would be called in place of ours.
  it("exports one symbol, so that no function of the host takes the place of its own", function()
    local module = assert(core_path())
    local names = {}
    for _, line in ipairs(process.lines("nm -D --defined-only " .. process.quote(module))) do
      names[#names + 1] = line:match " [TDBRVWi] ([%l%u][%w_]*)$"
    end
    assert.same({ "luaopen_sora_core" }, names)
  end)

  it("is compiled without flags that LuaRocks does not pass", function()
    assert.is_nil(facts.read("Makefile"):find("-fvisibility", 1, true))
  end)
end)

describe("the Makefile", function()
  it("installs every Lua module", function()
    -- without what a make that runs this spec would hand down
    local make = "env -u MAKEFLAGS -u MFLAGS make --silent --no-print-directory "
    facts.assert_same(process.lines "find lua cli -name '*.lua'", process.lines(make .. "modules"))
  end)
end)

describe("the version", function()
  it("is that of the changelog's newest entry", function()
    local changelog = facts.read "CHANGELOG.md"
    local version, date = changelog:match "\n## (%d+%.%d+%.%d+) %- ([^\n]*)\n"
    assert.equal(sora._VERSION, version)
    assert.is_truthy(date == "unreleased" or date:find "^%d%d%d%d%-%d%d%-%d%d$", date)
  end)

  it("is defined once", function()
    local number = sora._VERSION:gsub("%.", "%%.")
    for _, path in ipairs(process.lines "find src lua cli *.rockspec Makefile tools -type f") do
      local _, times = facts.read(path):gsub("%f[%d.]" .. number .. "%f[^%d.]", "")
      assert.equal(path == "src/lua/binding.h" and 1 or 0, times, path)
    end
  end)
end)
