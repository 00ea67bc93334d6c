-- What sora says about itself: help, the manual and the completions know the same commands and options.
local cjson = require "cjson"
local process = require "spec.support.process"
local shell = require "spec.support.shell"

local COMMANDS = { "make", "wait", "get", "list", "download", "remix", "edit", "extend", "cancel", "delete",
  "batch", "resume", "put", "work", "tasks", "doctor", "config", "key", "serve", "completion", "help" }
local TOPICS = { "exit-codes", "environment" }

-- The source of the manual, and all that begins with a dash and is bold in it.
local manual = process.slurp "man/sora.1.scd"

local function options_of(text, pattern)
  local found = {}
  for option in text:gmatch(pattern) do found[option] = true end
  return found
end

local function fits(text, rows)
  local count = 0
  for line in text:gmatch "([^\n]*)\n" do
    count = count + 1
    assert.is_true(#line:gsub("[\128-\191]", "") <= 80, line)
  end
  assert.is_true(not rows or count <= rows, count .. " lines")
end

describe("the help of sora", function()
  local sh = shell.new()

  it("fits a screen, and is printed on stderr with status 2 where a command is missing", function()
    local out, err, status = sh:run { "--help" }
    assert.same({ "", 0 }, { err, status })
    fits(out, 24)
    assert.same({ out, "", 0 }, { sh:run { "help" } })
    assert.same({ "", out, 2 }, { sh:run {} })
    for _, name in ipairs(COMMANDS) do
      if name ~= "completion" and name ~= "help" then assert.matches("%f[%w]" .. name .. "%f[%W]", out) end
    end
  end)

  for _, name in ipairs(COMMANDS) do
    it("has a page about " .. name, function()
      local out, err, status = sh:run { name, "--help" }
      assert.same({ "", 0 }, { err, status })
      assert.equal("Usage: sora " .. name, out:sub(1, 12 + #name))
      local page = out:gsub("^[^\n]*\n", "") -- the usage line is as long as it is
      fits(page)
      assert.same({ out, "", 0 }, { sh:run { "help", name } })
      assert.matches("%f[%w]" .. name .. "%f[%W]", manual)
    end)
  end

  it("has its topics, and says which there are", function()
    for _, topic in ipairs(TOPICS) do
      local out, err, status = sh:run { "help", topic }
      assert.same({ "", 0 }, { err, status })
      fits(out, 24)
    end
    local out, err, status = sh:run { "help", "nonsense" }
    assert.same({ "", 2 }, { out, status })
    assert.matches("no help about 'nonsense'\nUsage: sora help [COMMAND|exit-codes|environment]", err, 1,
      true)
  end)

  it("suggests the nearest name on the same line", function()
    for _, case in ipairs { { { "mkae", "p" },
        "sora: unknown command 'mkae'; did you mean 'make'?\nUsage: " },
      { { "make", "p", "--sise", "1" },
        "sora make: unknown option '--sise'; did you mean '--size'?\nUsage: " } } do
      local out, err, status = sh:run(case[1])
      assert.same({ "", 2, case[2] }, { out, status, err:sub(1, #case[2]) })
    end
  end)

  it("is left out where bad usage is told with --json", function()
    for _, case in ipairs { { { "--json", "mkae" }, "unknown command 'mkae'; did you mean 'make'?" },
      { { "make", "--json" }, "missing argument 'prompt'" },
      { { "list", "--json", "-n", "x" }, "expected a whole number, 1 or more, got 'x'" },
      { { "--json" }, "the command is missing" } } do
      local out, err, status = sh:run(case[1])
      assert.same({ { error = { kind = "config", message = case[2] } }, "", 2 }, { cjson.decode(out), err,
        status })
    end
  end)

  it("ends with 2 where standard output is full", function()
    for _, arguments in ipairs { { "--help" }, { "--version" }, { "make", "--help" }, { "help", "make" },
      { "help", "exit-codes" }, { "completion", "zsh" } } do
      local _, err, status = sh:run(arguments, { output = "/dev/full" })
      assert.equal(2, status, arguments[1])
      assert.matches("^sora: standard output: [^\n]*\n$", err)
    end
  end)

  it("tells the version", function()
    local out, _, status = sh:run { "--version" }
    assert.same({ "sora " .. require("sora")._VERSION .. "\n", 0 }, { out, status })
  end)
end)

describe("the manual of sora", function()
  local sh = shell.new()

  it("has the commands and options that there are, and no others", function()
    local completion = sh:run { "completion", "bash" }
    local names = {}
    for name in completion:gmatch 'cmd="([^"]+)"' do names[#names + 1] = name end
    local expected = { (table.unpack or unpack)(COMMANDS) }
    table.sort(names)
    table.sort(expected)
    assert.same(expected, names)
    local taken = {}
    for list in completion:gmatch 'opts="([^"]*)"' do
      for option in list:gmatch "%-%-?[%w-]+" do taken[option] = true end
    end
    local told = options_of(manual, "%*(%-%-?[%w-]+)%*")
    for option in pairs(taken) do
      assert.is_true(told[option], option .. " is missing in man/sora.1.scd")
    end
    for option in pairs(told) do assert.is_true(taken[option], option .. " is an option of no command") end
  end)

  it("has the exit statuses and the variables of `sora help`", function()
    local statuses, environment = sh:run { "help", "exit-codes" }, sh:run { "help", "environment" }
    for status in statuses:gmatch "\n? +(%d+)  " do
      assert.matches("\n*" .. status .. "*\n\t", manual, 1, true)
    end
    for name in environment:gmatch "%f[%w][%u_]+_[%u]+" do assert.matches(name, manual, 1, true) end
  end)

  it("is what scdoc makes of its source", function()
    if process.output "command -v scdoc" == "" then return end
    local function plain(page)
      return (page:gsub('"%d+%-%d+%-%d+"', "DATE"):gsub("Generated by scdoc [%d.]+", "scdoc"))
    end
    local made = process.output "scdoc <man/sora.1.scd"
    assert.is_true(plain(made) == plain(process.slurp "man/sora.1"), "write: make man")
  end)
end)

describe("the completions of sora", function()
  local sh = shell.new()

  for _, name in ipairs { "bash", "zsh", "fish" } do
    it("are read by " .. name, function()
      local out, err, status = sh:run { "completion", name }
      assert.same({ "", 0 }, { err, status })
      sh.files:write("script", out)
      if process.output("command -v " .. name) == "" then return end
      assert.same({ "", 0 }, { process.run(name .. " -n " .. sh.files:at "script") })
    end)
  end

  it("complete commands and options in bash", function()
    sh.files:write("script", (sh:run { "completion", "bash" }))
    local function complete(...)
      local words = process.command { ... }
      return process.output("bash -c " .. process.quote((". %s; COMP_WORDS=(%s); COMP_CWORD=%d; _sora;"
        .. " echo ${COMPREPLY[@]}"):format(sh.files:at "script", words, select("#", ...) - 1)))
    end
    assert.equal("resume remix\n", complete("sora", "re"):gsub("^remix resume", "resume remix"))
    assert.equal("--max-jobs\n", complete("sora", "batch", "--max"))
    assert.equal("--timeout\n", complete("sora", "wait", "--ti"))
  end)
end)
