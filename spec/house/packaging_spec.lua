-- Holds the lists of what is built and installed against the files on disk, so that none is forgotten.

local function lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

-- Tells only what differs, which is easier to read than two long lists.
local function assert_same_set(expected, found)
  local missing, spare = {}, {}
  for _, item in ipairs(found) do spare[item] = true end
  for _, item in ipairs(expected) do
    if not spare[item] then missing[#missing + 1] = item end
    spare[item] = nil
  end
  assert.same({ missing = {}, spare = {} }, { missing = missing, spare = spare })
  assert.equal(#expected, #found)
end

local c_sources = lines_of("find src -name '*.c'")
local lua_modules = lines_of("find lua/sora -name '*.lua'")

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
    assert_same_set(c_sources, modules["sora.core"].sources)
  end)

  it("installs every Lua module under its name", function()
    local paths = {}
    for name, path in pairs(modules) do
      if name ~= "sora.core" then
        paths[#paths + 1] = path
        assert.equal("lua/" .. name:gsub("%.", "/"), (path:gsub("%.lua$", ""):gsub("/init$", "")))
      end
    end
    assert_same_set(lua_modules, paths)
  end)

  it("changes nothing but the libraries on Linux", function()
    local linux = rockspec.build.platforms.linux.modules
    assert.same({ ["sora.core"] = { libraries = linux["sora.core"].libraries } }, linux)
    assert.equal(modules["sora.core"].libraries[1], linux["sora.core"].libraries[1])
  end)
end)

describe("the Makefile", function()
  it("installs every Lua module", function()
    -- without what a make that runs this spec would hand down
    local make = "env -u MAKEFLAGS -u MFLAGS make --silent --no-print-directory "
    assert_same_set(lua_modules, lines_of(make .. "modules"))
  end)
end)
