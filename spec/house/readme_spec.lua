-- Holds the README to its word: its examples run against a development server, and its tables name what there
-- is.
local facts = require "spec.support.facts"
local given = require "spec.support.given"
local process = require "spec.support.process"
local sora = require "sora"

local KEY = "sk-readme-0123456789"
local NOWHERE = "http://127.0.0.1:9"

local readme = facts.read "README.md"

-- The code blocks of a language: { code, title }, whose title is the bold text that began last before them.
local function blocks_in(language)
  local blocks, title, code = {}, nil, nil
  for line in readme:gmatch "([^\n]*)\n" do
    if line == "```" and code then
      blocks[#blocks + 1] = { code = table.concat(code, "\n") .. "\n", title = title }
      code = nil
    elseif code then
      code[#code + 1] = line
    elseif line == "```" .. language then
      code = {}
    else
      title = line:match "^%*%*([^%*]-)[.,:]?%*%*" or title
    end
  end
  return blocks
end

-- The text below a heading, up to the next one.
local function section(heading)
  local from = select(2, readme:find("\n## " .. heading .. "\n", 1, true))
  assert(from, "the README has no section " .. heading)
  return readme:sub(from, readme:find("\n## ", from, true))
end

-- The names at the beginning of code spans: `timeout`, `response = true`, `on_progress(video, view)`.
local function spans_in(text)
  local names = {}
  for name in text:gmatch "`([%l_]+)[`%s%(]" do names[name] = true end
  return names
end

-- The names in the first column of a section's table.
local function names_in_table(heading)
  local cells = {}
  local rows = section(heading):match "\n|%-[^\n]*(.*)"
  for cell in rows:gmatch "\n|(.-)|" do cells[#cells + 1] = cell end
  return facts.sorted(spans_in(table.concat(cells)))
end

describe("the README", function()
  it("has at most 200 lines", function()
    local _, lines = readme:gsub("\n", "\n")
    assert.is_true(lines > 0 and lines <= 200, lines .. " lines")
  end)

  it("names targets of the Makefile and files that exist", function()
    local makefile, named = facts.read "Makefile", 0
    for _, block in ipairs(blocks_in "sh") do
      for target in ("\n" .. block.code):gmatch "\nmake ([%l-]+)" do
        assert.is_truthy(makefile:find("\n" .. target .. ":", 1, true), "make " .. target)
        named = named + 1
      end
    end
    assert.is_true(named >= 2)
    for target in readme:gmatch "`make ([%l-]+)" do
      assert.is_truthy(makefile:find("\n" .. target .. ":", 1, true), "make " .. target)
    end
    for path in readme:gmatch "%]%(([^:)]+)%)" do assert.is_string(facts.read(path)) end
    for path in readme:gmatch "`lua[%d.]* ([%w_/.]+)" do assert.is_string(facts.read(path)) end
  end)

  it("has a table of the options of a client", function()
    facts.assert_same(facts.options(sora.new), names_in_table "Options")
  end)

  it("names the options of a call and of a wait", function()
    local client = assert(sora.new { base_url = NOWHERE })
    local named = spans_in(section "Options")
    local function assert_named(call)
      for _, name in ipairs(facts.options(call)) do
        -- a call that is waited for knows on_done only to refuse it
        assert.is_true(named[name] or name == "on_done", name .. " is not in the README")
      end
    end
    assert_named(function(opts) return client:get_video("v", opts) end)
    assert_named(function(opts) return client:wait("v", opts) end)
    assert_named(function(opts) return client:poll("v", opts) end)
    client:close()
  end)

  it("has a table of the kinds of errors", function()
    facts.assert_same(facts.kinds(), names_in_table "Errors")
  end)
end)

-- What an example prints, by its title: patterns that follow each other in its output.
local OUTPUT = {
  ["Fetch a job"] = { "^api\t404\t[^\n]*video_123[^\n]*\n$" },
  ["Create, wait, save"] = { "^%l[%l_]+\t%d+\n", "completed\t100\n", "^fox%.mp4\t[1-9]%d+\n$" },
  ["Look at every snapshot"] = { "^%l[%l_]+\t%d+\n", "completed\t100\n$" },
  ["Your own client"] = { "^request\tPOST\thttp://[^\n]+/v1/videos\tnil\n", "^response\tPOST\t[^\n]+\t200\n",
    "^request\tGET\thttp://[^\n]+/v1/videos/[^\n]+\tnil\n", "^response\tGET\t[^\n]+\t200\n",
    "^table: %w+\tnil\t200\t%S+\t1\n$" },
  ["One reading of all dialects"] = { "^t1\tcompleted\t100\thttps://cdn%.example/t1%.mp4\n$" },
}

-- Runs a piece of code in a folder, in the Lua that runs the specs, for at most half a minute.
local function run(code, place, environment)
  place:write("example.lua", code)
  local words = { "sh", "-c", 'cd "$1" && shift && exec timeout -s KILL 30 "$@"', "sh", place.path, "env" }
  for _, name in ipairs { "SORA_DEBUG", "OPENAI_BASE_URL", "OPENAI_API_KEY" } do
    words[#words + 1] = "-u"
    words[#words + 1] = name
  end
  for name, value in pairs(environment) do words[#words + 1] = name .. "=" .. value end
  for _, word in ipairs(process.lua_anywhere { "example.lua" }) do words[#words + 1] = word end
  return process.start(words):finish()
end

-- What a trailing comment of the last line says: -- t1  completed  100
local function promised(code)
  local comment = code:match "print[^\n]*%-%-%s+([^\n]*)\n$"
  return comment and (comment:gsub("%s+", "\t") .. "\n")
end

describe("an example of the README", function()
  local files = given.folder()
  local server, environment

  setup(function()
    server = process.serve { "--duration", 0.2, "--api-key", KEY, "--quiet" }
    environment = { SORA_BASE_URL = server.url, SORA_API_KEY = KEY }
  end)
  teardown(function() server:stop() end)

  local function run_well(code)
    local status, output, errors = run(code, files, environment)
    assert.equal("", errors)
    assert.equal(0, status)
    return output
  end

  local blocks = blocks_in "lua"

  local function titled(title)
    for _, block in ipairs(blocks) do
      if block.title == title then return block.code end
    end
    error("no example is called " .. title)
  end

  for _, block in ipairs(blocks) do
    it("runs: " .. block.title, function()
      local output = run_well(block.code)
      local patterns = assert(OUTPUT[block.title], "spec/house/readme_spec.lua does not know what it prints")
      local rest = output
      for _, pattern in ipairs(patterns) do
        local _, last = rest:find(pattern)
        assert.is_truthy(last, ("no %s in %s"):format(pattern, output))
        rest = rest:sub(last + 1)
      end
    end)
  end

  it("is there for each output that this spec expects", function()
    local titles = {}
    for _, block in ipairs(blocks) do titles[#titles + 1] = block.title end
    table.sort(titles)
    facts.assert_same(titles, facts.sorted(OUTPUT))
  end)

  it("fetches a job that exists, too", function()
    local id = run_well [[print(assert(require("sora").create_video { prompt = "A fox" }).id)]]:match "%S+"
    local code, replaced = titled("Fetch a job"):gsub("video_123", (id:gsub("%%", "%%%%")))
    assert.equal(1, replaced)
    assert.is_truthy(run_well(code):find "^%l[%l_]+\t%d+\t%S+\n$")
  end)

  it("saves a whole file", function()
    local bytes = tonumber(run_well(titled "Create, wait, save"):match "fox%.mp4\t(%d+)")
    assert.equal(bytes, #files:read "fox.mp4")
    assert.equal("ftyp", files:read("fox.mp4"):sub(5, 8))
  end)

  it("prints what its comment says", function()
    local checked = 0
    for _, block in ipairs(blocks) do
      local comment = promised(block.code)
      if comment then
        assert.equal(comment, run_well(block.code))
        checked = checked + 1
      end
    end
    assert.is_true(checked > 0)
  end)
end)
