-- The README and the guides name what there is: targets, files, options, methods, kinds of errors. spec/docs
-- runs their code.
local endpoints = require "sora.endpoints"
local facts = require "spec.support.facts"
local meta = require "spec.support.meta"
local process = require "spec.support.process"
local snippets = require "spec.support.snippets"
local sora = require "sora"

local NOWHERE = "http://127.0.0.1:9"

local readme = facts.read "README.md"

-- The text below a heading of a page, up to the next one.
local function section(page, heading)
  local text = facts.read(page)
  local from = select(2, text:find("\n## " .. heading .. "\n", 1, true))
  assert(from, page .. " has no section " .. heading)
  return text:sub(from, text:find("\n## ", from, true))
end

-- The names at the beginning of code spans: `timeout`, `response = true`, `on_progress(video, view)`.
local function spans_in(text)
  local names = {}
  for name in text:gsub("`sora%.", "`"):gmatch "`([%l_]+)[`%s%(]" do names[name] = true end
  return names
end

-- The names in the first column of a section's table.
local function names_in_table(page, heading)
  local cells = {}
  local rows = section(page, heading):match "\n|%-[^\n]*(.*)"
  for cell in rows:gmatch "\n|(.-)|" do cells[#cells + 1] = cell end
  return facts.sorted(spans_in(table.concat(cells)))
end

describe("the README", function()
  it("has at most 130 lines", function()
    local _, lines = readme:gsub("\n", "\n")
    assert.is_true(lines > 0 and lines <= 130, lines .. " lines")
  end)

  it("names targets of the Makefile and files that exist, as the guides do", function()
    local makefile, named = facts.read "Makefile", 0
    for _, page in ipairs(snippets.pages()) do
      local text = facts.read(page)
      for target in text:gmatch "[\n`]make ([%l-]+)" do
        assert.is_truthy(makefile:find("\n" .. target .. ":", 1, true), page .. ": make " .. target)
        named = named + 1
      end
      for path in text:gmatch "`(examples/[%w_/]+%.%w+)`" do assert.is_string(facts.read(path), page) end
    end
    assert.is_true(named >= 10)
    for path in readme:gmatch "%]%(([^:)]+)%)" do assert.is_string(facts.read(path)) end
    for path in readme:gmatch "`lua[%d.]* ([%w_/.]+)" do assert.is_string(facts.read(path)) end
  end)
end)

describe("the guide to options", function()
  local PAGE = "docs/options.md"

  it("has a table of the options of a client", function()
    facts.assert_same(facts.options(sora.new), names_in_table(PAGE, "Options of a client"))
  end)

  it("has, with the guide to waiting, the options of a call and of a wait", function()
    local client = assert(sora.new { base_url = NOWHERE })
    local of_call = names_in_table(PAGE, "Options of a call")
    local of_wait = names_in_table("docs/waiting.md", "Options")
    local function assert_named(call, ...)
      local named = {}
      for _, list in ipairs { ... } do
        for _, name in ipairs(list) do named[name] = true end
      end
      for _, name in ipairs(facts.options(call)) do
        -- a call that is waited for knows on_done only to refuse it
        assert.is_true(named[name] or name == "on_done", name .. " is not in the guide")
      end
    end
    assert_named(function(opts) return client:get_video("v", opts) end, of_call)
    assert_named(function(opts) return client:wait_all({ "v" }, opts) end, of_wait)
    assert_named(function(opts) return client:watch("v", opts) end, of_wait)
    assert_named(function(opts) return client:wait("v", opts) end, of_wait)
    assert_named(function(opts) return client:batch({}, opts) end,
      facts.sorted(spans_in(section("docs/waiting.md", "Many films"))))
    client:close()
  end)

  it("has a table of all methods", function()
    local names = {}
    for _, class in ipairs { sora, require("sora.client").methods } do
      for name in pairs(class) do names[name] = name:sub(1, 1) ~= "_" or nil end
    end
    facts.assert_same(facts.sorted(names), names_in_table(PAGE, "Methods"))
  end)
end)

describe("the guide to servers", function()
  it("has a table of all paths", function()
    local named = names_in_table("docs/dialects.md", "Paths of your own")
    facts.assert_same(facts.sorted(endpoints.paths()), named)
  end)
end)

describe("the guide to errors", function()
  -- How the sources write the code of an error.
  local FORMS = { 'code = "([%l_]+)"', '%.code, [%w_.]+ = "([%l_]+)"', '%.code or "([%l_]+)"',
    'set_string%(L, "code", "([%l_]+)"', '[^.]refuse%("([%l_]+)"', 'problem%("%l+", "([%l_]+)"' }

  it("explains every field of an error", function()
    facts.assert_same(facts.sorted(meta.read("types/sora.lua"):fields "sora.Error"),
      names_in_table("docs/errors.md", "Fields"))
  end)

  it("explains every code that is made here", function()
    local page = section("docs/errors.md", "Codes")
    for _, path in ipairs(process.lines "find lua src -name '*.lua' -o -name '*.c'") do
      local text = facts.read(path)
      for _, form in ipairs(FORMS) do
        for code in text:gmatch(form) do assert.is_truthy(page:find("`" .. code .. "`", 1, true), code) end
      end
    end
  end)

  it("has a table of the kinds of errors", function()
    facts.assert_same(facts.kinds(), names_in_table("docs/errors.md", "Kinds"))
  end)
end)
