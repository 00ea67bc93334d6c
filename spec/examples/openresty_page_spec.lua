-- The page of the example for OpenResty, in a headless Chromium: what a person types, clicks and sees.
local browser = require "spec.support.browser"
local film_site = require "spec.support.film_site"
local nginx = require "spec.support.nginx"

if not browser.exists() then return end

describe("the page of the OpenResty example #once", function()
  local site, page

  setup(function()
    nginx.build()
    page = browser.start()
  end)
  teardown(function() page:stop() end)

  local function open(...)
    site = film_site.start { ... }
    finally(function() site:stop() end)
    page:open("http://127.0.0.1:" .. site.port .. "/")
  end

  local function make(prompt)
    page:type("#prompt", prompt)
    page:click "#make"
  end

  it("makes a film: the bar moves, and the film plays", function()
    open("--duration", "3")
    page:wait "return document.getElementById('status').textContent === 'None yet.'"
    make "A <b>lighthouse</b> & a <script>document.title = 'broken'</script>"
    local first = page:wait "const bar = document.querySelector('li progress'); return bar && bar.value"
    page:wait("const bar = document.querySelector('li progress'); return !bar || bar.value > " .. first)
    page:wait "return document.querySelector('li video')"
    page:run "const v = document.querySelector('li video'); v.muted = true; v.play()"
    page:wait "return document.querySelector('li video').currentTime > 0"
    assert.equal("A <b>lighthouse</b> & a <script>document.title = 'broken'</script>",
      page:run "return document.querySelector('li .prompt').textContent")
    assert.equal("Films from words", page:run "return document.title")
    assert.equal("", page:run "return document.getElementById('prompt').value")
    -- the history is there again
    page:open("http://127.0.0.1:" .. site.port .. "/")
    page:wait "return document.querySelectorAll('li video').length === 1"
    assert.same({}, page:console())
  end)

  it("says why there is no film", function()
    open("--duration", "60")
    for i = 1, 3 do
      make("film " .. i)
      page:wait("return document.querySelectorAll('li').length === " .. i)
    end
    make "one too many"
    assert.matches("wait until one of your films is ready",
      page:wait "return document.getElementById('message').textContent")
    assert.equal("one too many", page:run "return document.getElementById('prompt').value")
    assert.equal("film 3", page:run "return document.querySelector('li .prompt').textContent")
  end)

  it("goes on by itself after a reload and a kill of nginx's workers", function()
    open("--duration", "2")
    make "a fox"
    page:wait "return document.querySelector('li')"
    site.nginx:reload()
    os.execute("kill -KILL " .. site:worker(true))
    page:wait "return document.querySelector('li video')"
  end)

  it("fits a narrow window", function()
    open()
    page:devtools("Emulation.setDeviceMetricsOverride", { width = 320, height = 600, deviceScaleFactor = 1,
      mobile = true })
    make(("long"):rep(50))
    page:wait "return document.querySelector('li')"
    assert.equal(320, page:run "return document.documentElement.scrollWidth")
  end)
end)
