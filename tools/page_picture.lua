-- tools/page_picture.lua FILE: makes the picture of the example for OpenResty, in a headless Chromium.
-- Owns what it shows: a film that plays, and one that is being made.
local browser = require "spec.support.browser"
local core = require "sora.core"
local film_site = require "spec.support.film_site"

local site, page = film_site.start { "--duration", "6" }, browser.start()

local function make(prompt)
  page:type("#prompt", prompt)
  page:click "#make"
end

local good, problem = pcall(function()
  page:devtools("Emulation.setDeviceMetricsOverride",
    { width = 860, height = 830, deviceScaleFactor = 1, mobile = false })
  page:devtools("Emulation.setScrollbarsHidden", { hidden = true })
  page:open("http://127.0.0.1:" .. site.port .. "/")
  make "A paper boat on a rainy street"
  page:wait "return document.querySelector('li video')"
  page:run "const film = document.querySelector('li video'); film.muted = true; film.loop = true; film.play()"
  make "A red fox in the snow"
  page:wait "const bar = document.querySelector('li progress'); return bar && bar.value > 40"
  local shot = page:devtools("Page.captureScreenshot", { format = "png" })
  local file = assert(io.open(arg[1], "wb"))
  assert(file:write(core.unbase64(shot.data)))
  file:close()
end)
page:stop()
site:stop()
if not good then error(problem, 0) end
