-- The site: its check finds what is broken, and its lists are whole. `make site` builds the pages.
local facts = require "spec.support.facts"
local folder = require "spec.support.folder"
local process = require "spec.support.process"

describe("the check of the site", function()
  local GOOD = '<p id="there"><a href="two.html#here">a</a> <a href="#there">b</a> <img src="a/pic.svg">'
    .. '<a href="https://example.org/x">c</a></p>'

  -- Checks a site of a dozen pages whose first has this text in addition.
  local function check(text)
    local site = folder.new()
    finally(function() site:remove() end)
    site:run "mkdir a"
    site:write("a/pic.svg", "<svg/>")
    site:write("two.html", '<h1 id="here">two</h1><a href="one.html">back</a>'
      .. ('<a href="a/pic.svg">p</a>'):rep(100))
    for i = 1, 10 do site:write(("page%d.html"):format(i), GOOD) end
    site:write("one.html", GOOD .. text)
    local words = process.lua { "tools/check_site.lua", site.path }
    return process.run(process.command(words))
  end

  it("passes a good one", function()
    local output, status = check ""
    assert.equal(0, status, output)
    assert.matches("12 pages, 145 links, 0 problems", output, 1, true)
  end)

  for what, case in pairs {
    ["a page that is missing"] = { '<a href="three.html">', "three.html does not exist" },
    ["an anchor that is missing"] = { '<a href="two.html#gone">', "two.html#gone: no such anchor" },
    ["an anchor that is missing in the page itself"] = { '<a href="#gone">', "#gone: no such anchor" },
    ["a picture that is missing"] = { '<img src="a/other.svg">', "a/other.svg does not exist" },
    ["a link out of the site"] = { '<a href="../README.md">', "leads out of the site" },
    ["a script from another server"] = { '<script src="https://cdn.example/x.js">', "loads https://cdn" },
    ["a font from another server"] = { '<link href="https://fonts.example/x.css">', "loads https://fonts" },
    ["a link to a server without TLS"] = { '<a href="http://example.org/">', "not a whole https URL" },
    ["two anchors of one name"] = { '<p id="there">', "two anchors #there" },
  } do
    it("finds " .. what, function()
      local output, status = check(case[1])
      assert.equal(1, status)
      assert.matches(case[2], output, 1, true)
      assert.matches("1 problems", output, 1, true)
    end)
  end
end)

describe("the list of pages", function()
  local settings = facts.read "mkdocs.yml"

  it("has every guide", function()
    for _, path in ipairs(process.lines "ls docs/*.md") do
      local name = path:match "[^/]+$"
      assert.is_truthy(settings:find(": " .. name .. "\n", 1, true), name .. " is not in mkdocs.yml")
    end
  end)

  it("has every module of the reference, whose invariants stay in comments", function()
    for path in facts.read("config.ld"):gmatch '"(%l+/sora/[^"]+)"' do
      local head = facts.read(path):match "^(%-%-%-.-)\n\n"
      local module = head:match "@module (%S+)"
      local listed = settings:find("/" .. module .. ".markdown\n", 1, true)
      assert.is_truthy(listed, module .. " is not in mkdocs.yml")
      assert.is_nil(head:find "Invariant", path)
    end
  end)
end)
