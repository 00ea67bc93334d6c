-- Holds the lists of what is built and installed against the files on disk, so that none is forgotten.
local facts = require "spec.support.facts"
local process = require "spec.support.process"

local c_sources = process.lines "find src -name '*.c'"
local lua_modules = process.lines "find lua/sora -name '*.lua'"

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

describe("the rockspec", function()
  local rockspec = read_rockspec("sora-scm-1.rockspec")
  local modules = rockspec.build.modules

  it("compiles every C file", function()
    facts.assert_same(c_sources, modules["sora.core"].sources)
  end)

  it("installs every Lua module under its name", function()
    local paths = {}
    for name, path in pairs(modules) do
      if name ~= "sora.core" then
        paths[#paths + 1] = path
        assert.equal("lua/" .. name:gsub("%.", "/"), (path:gsub("%.lua$", ""):gsub("/init$", "")))
      end
    end
    facts.assert_same(lua_modules, paths)
  end)

  it("changes nothing but libraries and their folders on a platform", function()
    for _, changes in pairs(rockspec.build.platforms) do
      local core = changes.modules["sora.core"]
      assert.same({ modules = { ["sora.core"] = {
        libraries = core.libraries, incdirs = core.incdirs, libdirs = core.libdirs } } }, changes)
      assert.equal(modules["sora.core"].libraries[1], core.libraries[1])
      assert.equal(modules["sora.core"].incdirs[1], (core.incdirs or modules["sora.core"].incdirs)[1])
    end
  end)
end)

describe("the Makefile", function()
  it("installs every Lua module", function()
    -- without what a make that runs this spec would hand down
    local make = "env -u MAKEFLAGS -u MFLAGS make --silent --no-print-directory "
    facts.assert_same(lua_modules, process.lines(make .. "modules"))
  end)
end)
