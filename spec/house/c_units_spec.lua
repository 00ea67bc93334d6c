-- Compiles and runs the C programs in c_units/, which test the sources that know neither Lua nor libcurl:
-- once as they are and, where the compiler can, once with its sanitizers. Each says how many checks it made.
local cc = os.getenv("CC") or "cc"
local FLAGS = "-std=c99 -Wall -Wextra -Werror -g -Isrc -Ispec/c_units"
local SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=undefined"
local OUT = "build/c_units"

-- The programs, each with the sources that it is linked with.
local UNITS = {
  base64 = "src/base/base64.c",
  buffer = "src/base/buffer.c",
  headers = "src/http/headers.c src/base/buffer.c",
  json_numbers = "src/base/json_numbers.c src/base/buffer.c",
  part_file = "src/base/part_file.c src/base/sys_posix.c",
  redact = "src/http/redact.c src/http/headers.c src/base/buffer.c",
  retry = "src/http/retry.c",
  timers = "src/loop/timers.c",
}

-- Runs a command; its output, and its exit status. LD_PRELOAD may hold a sanitizer, which is there for this
-- process alone.
local function run(command)
  local pipe = assert(io.popen("unset LD_PRELOAD; { " .. command .. "; } 2>&1; echo \"exit $?\""))
  local text = pipe:read("*a")
  pipe:close()
  local output, status = text:match("^(.*)exit (%d+)\n$")
  return output, tonumber(status)
end

local function program(unit, suffix)
  return ("%s/%s%s"):format(OUT, unit[1], suffix)
end

local function compile(unit, suffix, flags)
  return run(("%s %s %s spec/c_units/%s.c src/%s.c %s -o %s -lm"):format(cc, FLAGS, flags, unit[1], unit[1],
    unit[2], program(unit, suffix)))
end

describe("the C unit", function()
  setup(function() assert(select(2, run("mkdir -p " .. OUT)) == 0) end)

  local function check(unit, suffix, flags)
    local warnings, status = compile(unit, suffix, flags)
    assert.same({ "", 0 }, { warnings, status })
    local output
    output, status = run(program(unit, suffix))
    assert.same({ ("%d checks, 0 failed\n"):format(unit[3]), 0 }, { output, status })
  end

  -- Some systems have a compiler without the libraries of its sanitizers.
  local function can_sanitize()
    local _, status = run(("printf 'int main(void) { return 0; }' | %s %s -x c - -o %s/probe && %s/probe")
      :format(cc, SANITIZE, OUT, OUT))
    return status == 0
  end

  for _, unit in ipairs(UNITS) do
    it(unit[1] .. " holds", function()
      check(unit, "", "-O2")
      if can_sanitize() then check(unit, "-sanitized", SANITIZE) end
    end)
  end

  it("is compiled for every program that there is", function()
    local listed = {}
    for i, unit in ipairs(UNITS) do listed[i] = "spec/c_units/" .. unit[1] .. ".c\n" end
    table.sort(listed)
    assert.equal(table.concat(listed), (run("ls spec/c_units/*.c")))
  end)
end)
