-- Compiles and runs the C programs in c_units/, which test the sources that know neither Lua nor libcurl:
-- once as they are and, where the compiler can, once with its sanitizers. Each prints how many checks it
-- made.
local process = require "spec.support.process"

local cc = os.getenv("CC") or "cc"
local FLAGS = "-std=c99 -Wall -Wextra -Werror -g -Isrc -Ispec/c_units"
local SANITIZE = "-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all"
local OUT = "build/c_units"

-- A program of c_units/, and the sources that are linked to it.
local UNITS = {
  append_file = { "src/base/append_file.c", "src/base/sys_posix.c" },
  base64 = { "src/base/base64.c" },
  buffer = { "src/base/buffer.c" },
  headers = { "src/http/headers.c", "src/base/buffer.c" },
  inflate = { "src/base/inflate.c", "src/base/buffer.c" },
  json_numbers = { "src/base/json_numbers.c", "src/base/buffer.c" },
  media = { "src/base/media.c" },
  part_file = { "src/base/part_file.c", "src/base/sys_posix.c" },
  redact = { "src/http/redact.c", "src/base/buffer.c", "src/http/headers.c" },
  retry = { "src/http/retry.c" },
  timers = { "src/loop/timers.c" },
}
local LIBRARIES = "-lm -lcrypto -ldl -pthread"

-- The command that makes `program` of a unit.
local function compiler(name, sources, flags, program)
  return ("%s %s %s spec/c_units/%s.c %s -o %s %s"):format(cc, FLAGS, flags, name,
    table.concat(sources, " "), program, LIBRARIES)
end

describe("the C unit", function()
  setup(function() assert.same({ "", 0 }, { process.run("mkdir -p " .. OUT) }) end)

  local function check(name, sources, flags, suffix)
    local program = ("%s/%s%s"):format(OUT, name, suffix)
    assert.same({ "", 0 }, { process.run(compiler(name, sources, flags, program)) })
    local output, status = process.run(program)
    assert.same({ "0", 0 }, { output:match("^[1-9]%d* checks, (%d+) failed\n$") or output, status })
  end

  -- Some systems have a compiler without the libraries of its sanitizers.
  local function can_sanitize()
    local _, status = process.run(
      ("printf 'int main(void) { return 0; }' | %s %s -x c - -o %s/probe && %s/probe")
        :format(cc, SANITIZE, OUT, OUT))
    return status == 0
  end

  for name, sources in pairs(UNITS) do
    it(name .. " passes all its checks", function()
      check(name, sources, "-O2", "")
      if can_sanitize() then check(name, sources, SANITIZE, "-sanitized") end
    end)
  end

  it("has a row in this file for every program in c_units/", function()
    local listed = {}
    for name in pairs(UNITS) do listed[#listed + 1] = ("spec/c_units/%s.c"):format(name) end
    table.sort(listed)
    assert.same(listed, process.lines("ls spec/c_units/*.c"))
  end)
end)
