-- The benchmark's pure part, how it treats the programs that it runs, and that a small run of it works.
local answers = require "spec.support.answers"
local client = require "bench.client"
local facts = require "spec.support.facts"
local folder = require "spec.support.folder"
local process = require "spec.support.process"
local rounds = require "bench.rounds"
local tables = require "bench.tables"

describe("a median", function()
  it("is the middle, or between the two in the middle", function()
    assert.equal(3, tables.median { 5, 1, 3 })
    assert.equal(2.5, tables.median { 4, 1, 3, 2 })
    assert.equal(7, tables.median { 7 })
  end)

  it("leaves the values in their order", function()
    local values = { 3, 1, 2 }
    tables.median(values)
    assert.same({ 3, 1, 2 }, values)
  end)
end)

describe("a ratio", function()
  it("is the median of those of each round", function()
    -- the second round was slow for both
    assert.equal(2, tables.ratio({ 2, 20, 2.2 }, { 1, 10, 1 }))
  end)

  it("takes the rounds that both have", function()
    assert.equal(3, tables.ratio({ 3, 3 }, { 1 }))
    assert.is_nil(tables.ratio({ 3 }, {}))
    assert.is_nil(tables.ratio({ 3 }, { 0 }))
  end)
end)

describe("a number", function()
  it("has three digits, or its thousands apart", function()
    local cases = { [0.0331] = "0.033", [1.5] = "1.50", [14.26] = "14.3", [99.96] = "100", [123.4] = "123",
      [8550.2] = "8 550", [71234.4] = "71 234", [1234567] = "1 234 567", [-12345] = "-12 345",
      [-0.5] = "-0.500" }
    for value, text in pairs(cases) do assert.equal(text, tables.number(value)) end
  end)
end)

describe("a table", function()
  local FIGURES = { { "speed", function(r) return r.speed end },
    { "share", function(r, load) return r.size and r.size / load.all end } }

  it("compares clients with the reference", function()
    local c, ours, other = { name = "C" }, { name = "ours" }, { name = "other" }
    local broken, absent = { name = "broken" }, { name = "absent" }
    local entries = {
      [c] = { results = { { speed = 10, size = 10 }, { speed = 20, size = 20 } } },
      [ours] = { results = { { speed = 9, size = 9 }, { speed = 18, size = 18 } } },
      [other] = { results = { { speed = 30 }, {} } },
      [broken] = { results = { { speed = 1 } }, out = true, why = "it broke" },
      [absent] = { results = {}, out = true },
    }
    assert.equal([[
| client | speed | share |
|---|---:|---:|
| C | 15.0 (1.00) | 0.150 (1.00) |
| ours | 13.5 (0.90) | 0.135 (0.90) |
| other | 30.0 (3.00) | – |
| broken | failed | failed |
]], tables.compare({ c, ours, other, broken, absent }, entries, { all = 100 }, FIGURES, c))
    assert.is_truthy(tables.compare({ ours }, entries, { all = 100 }, FIGURES)
      :find("| ours | 13.5 | 0.135 |", 1, true))
  end)
end)

-- A program that is a line of shell, in which $1 is WHAT, $2 the URL, $3 COUNT, $4 FLIGHT and $5 EXTRA.
local function shell(line, more)
  return answers.with({ name = "shell", command = { "sh", "-c", line, "sh" } }, more)
end

local JOB = { what = "one", url = "http://127.0.0.1:9/v1/videos/video_123", count = 40 }

describe("a client of the benchmark", function()
  it("gets its arguments, and its figures are parsed", function()
    local program = shell 'echo noise; [ "$1 $4" = "one 1" ] && echo "$3 0.5 0.25 2048 -8"'
    local result = client.measure(program, JOB)
    assert.same({ count = 40, wall = 0.5, cpu = 0.25, rss = 2048, growth = -8 }, result)
  end)

  it("finds certificates and the protocol in its environment", function()
    local program = shell 'echo "1 0.5 0.25 ${#BENCH_CA} $BENCH_HTTP"'
    local result = client.measure(program, { what = "one", url = "u", count = 1, ca = "four", http2 = true })
    assert.same({ 4, 2 }, { result.rss, result.growth })
  end)

  it("may be unable to run a load (status 3)", function()
    assert.same({ nil, false }, { client.measure(shell "exit 3", JOB) })
  end)

  it("fails when its status is not 0, or when it prints no figures", function()
    for line, message in pairs { ["echo no >&2; exit 1"] = "status 1: no", ["true"] = "status 0:" } do
      local result, why = client.measure(shell(line), JOB)
      assert.is_nil(result)
      assert.equal(message, (why:gsub("%s+$", "")))
    end
  end)

  it("is available when its probe works", function()
    assert.equal("one 1.0", client.probe(shell '[ "$1" = probe ] && echo "one 1.0"'))
    local version, why = client.probe { command = { "sh", "-c", "echo first; echo last >&2; exit 1" } }
    assert.is_nil(version)
    assert.equal("last", why)
  end)
end)

describe("a round", function()
  local files

  before_each(function() files = folder.new() end)
  after_each(function() files:remove() end)

  local function load_of(more)
    return answers.with({ what = "one", name = "here", title = "a load", url = "u", count = 100,
      extra = files.path }, more)
  end

  it("has every client in it, and begins with another one each time", function()
    local function writer(letter)
      return shell('printf ' .. letter .. ' >>"$5/order"; echo "$3 1 1 1 1"')
    end
    local a, b = writer "a", writer "b"
    local entries = rounds.run({ a, b }, load_of(), 3, 0.1)
    assert.equal("abbaab", files:read("order"))
    assert.equal(3, #entries[a].results)
    assert.equal(10, entries[b].results[3].count)
  end)

  it("leaves out a client that failed", function()
    local failing, unable = shell 'printf x >>"$5/tries"; exit 1', shell "exit 3"
    local entries = rounds.run({ failing, unable }, load_of(), 3, 1)
    assert.equal("x", files:read("tries"))
    assert.equal("shell, a load: status 1: ", entries[failing].why)
    assert.is_true(entries[unable].unable)
    assert.is_nil(entries[unable].why)
  end)

  it("runs only the clients that support the load", function()
    local program = shell 'echo "$3 1 1 1 1"'
    local other, small = shell("exit 1", { only = "there" }), shell("exit 1", { most = 4 })
    local slow = shell('echo "$3 1 1 1 1"', { share = 0.05 })
    local entries = rounds.run({ program, other, small, slow }, load_of { flight = 8 }, 1, 1)
    assert.same({ 100, 8 }, { entries[program].results[1].count, entries[slow].results[1].count })
    assert.same({ true, true }, { entries[other].out, entries[small].out })
    assert.is_nil(entries[other].unable or entries[small].unable)
  end)
end)

describe("the benchmark #once", function()
  local function run(...)
    return process.start(process.lua { "bench/run.lua", ... }):finish()
  end

  local function count(text, what)
    return select(2, text:gsub(what, ""))
  end

  it("runs, in small", function()
    if process.run("command -v nginx") == "" then return pending("nginx is not installed") end
    local made = process.run("env -u MAKEFLAGS -u MFLAGS make --silent build/bench/easy build/bench/multi")
    assert.equal("", (made:gsub("[^\n]*compile[^\n]*\n", "")))
    local status, output, errors = run("WHAT=many,download", "CLIENTS=easy,multi,capped,sora", "ROUNDS=1",
      "SCALE=0.01")
    assert.equal(0, status, errors)
    local figure = " | [%d. ]+ %([%d.]+%) |"
    assert.equal(6, count(output, "\n| %*%*sora%*%*" .. figure), output)
    assert.equal(4, count(output, "\n| C %+ libcurl multi" .. figure), output)
    assert.equal(1, count(output, "\n| C %+ libcurl multi, capped" .. figure), output)
    assert.equal(2, count(output, "\n| C %+ libcurl" .. figure), output)
    assert.is_nil(output:find("Failed", 1, true))
  end)

  it("names an argument that it does not understand", function()
    local complaints = { ["WHAT=all"] = "nothing is called all", ["CLIENTS=all"] = "no client is called all",
      ["HOW=fast"] = "unknown word: HOW=fast" }
    for argument, complaint in pairs(complaints) do
      local status, _, errors = run(argument)
      assert.equal(1, status)
      assert.is_truthy(errors:find(complaint, 1, true))
    end
  end)
end)

describe("the charts", function()
  it("are those of bench/RESULTS.md", function()
    local count, CHART = 0, '"$LUA" tools/chart%.lua(.-)>"$out/(%w+)%.svg"'
    local program = process.command(process.lua { "tools/chart.lua" })
    for words, name in facts.read("tools/pictures.sh"):gmatch(CHART) do
      count = count + 1
      local chart = process.output(program .. words:gsub("\\\n", " "))
      assert.equal(facts.read("docs/images/" .. name .. ".svg"), chart)
    end
    assert.equal(2, count)
  end)
end)
