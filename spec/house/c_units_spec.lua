-- Compiles and runs the C programs in c_units/, which test the sources that know neither Lua nor libcurl:
-- once as they are and, where the compiler can, once with its sanitizers. Each prints how many checks it
-- made.
local process = require "spec.support.process"
local units = require "spec.support.units"

local cc = os.getenv("CC") or "cc"
local SANITIZE = "-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all"
local LIBRARIES = "-lm -lcrypto -ldl -pthread"
local OUT = process.folder()

describe("the C unit #once", function()
  teardown(function() os.execute("rm -rf " .. OUT) end)

  local function check(name, flags, suffix)
    local program = ("%s/%s%s"):format(OUT, name, suffix)
    assert.same({ "", 0 }, { process.run(units.compiler(cc .. " " .. flags, name, program, LIBRARIES)) })
    local output, status = process.run(program)
    assert.is_true(units.passed(output, status), output)
  end

  -- Some systems have a compiler without the libraries of its sanitizers.
  local function can_sanitize()
    local _, status = process.run(
      ("printf 'int main(void) { return 0; }' | %s %s -x c - -o %s/probe && %s/probe")
        :format(cc, SANITIZE, OUT, OUT))
    return status == 0
  end

  for name, unit in pairs(units.list) do
    it(name .. " passes all its checks", function()
      check(name, "-O2", "")
      if can_sanitize() then check(name, SANITIZE, "-sanitized") end
      for i, flags in ipairs(unit.variants or {}) do check(name, "-O2 " .. flags, "-" .. i) end
    end)
  end

  it("has a row in spec/support/units.lua for every program in c_units/", function()
    local listed = {}
    for name in pairs(units.list) do listed[#listed + 1] = ("spec/c_units/%s.c"):format(name) end
    table.sort(listed)
    assert.same(listed, process.lines("ls spec/c_units/*.c"))
  end)
end)
