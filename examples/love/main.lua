-- A LÖVE game that makes films: type a prompt, press Enter, and catch stars while the film is made.
-- Usage: SORA_BASE_URL=… SORA_API_KEY=… love examples/love ["a prompt"]; see docs/love.md
-- Owns the game, the screen and the keys. Invariant: `update` and `draw` never wait.
-- luacheck: std +love
local films = require "films"
local utf8 = require "utf8"

local IDEAS = { "A lighthouse in a storm", "A paper boat in the rain", "A red fox in the snow" }
local HELP = "Enter: make the film    Tab: an idea    F5: try again    Delete: dismiss error    F3: timings"
local SEA, PAD, ROW, BOX = 210, 16, 78, { 104, 62 } -- pixels: the game's height; a film's row, its thumbnail
local WHITE, GREY, DARK = { 1, 1, 1 }, { 0.62, 0.65, 0.72 }, { 0.2, 0.22, 0.27 }
local COLOURS = { saved = { 0.55, 0.85, 0.6 }, failed = { 1, 0.55, 0.5 }, unsure = { 1, 0.8, 0.4 } }

local g, prompt, idea, fonts = love.graphics, "", 0, {}
local boat, stars, score = 400, {}, 0
local slowest, timings = 0, false -- s, of `films.update`

function love.load(arguments)
  fonts.big, fonts.small = g.newFont(18), g.newFont(13)
  love.keyboard.setKeyRepeat(true)
  prompt = arguments[1] or ""
  for i = 1, 14 do stars[i] = { x = love.math.random(20, 780), y = -15 * i, size = 2 + i % 3 } end
  films.open()
end

function love.update(seconds)
  local way = (love.keyboard.isDown "right" and 420 or 0) - (love.keyboard.isDown "left" and 420 or 0)
  boat = math.max(34, math.min(766, boat + way * seconds))
  for _, star in ipairs(stars) do
    star.y = star.y + 24 * star.size * seconds
    local caught = star.y > SEA - 30 and math.abs(star.x - boat) < 34
    if caught then score = score + 1 end
    if caught or star.y > SEA - 16 then star.x, star.y = love.math.random(20, 780), 0 end
  end
  local before = love.timer.getTime()
  films.update()
  slowest = math.max(slowest, love.timer.getTime() - before)
end

function love.textinput(text) prompt = prompt .. text end

local keys = { f5 = films.resume, delete = films.dismiss, escape = love.event.quit }
keys["return"] = function()
  if prompt:find "%S" then films.make(prompt) end
  prompt = ""
end
function keys.tab() idea, prompt = idea % #IDEAS + 1, IDEAS[idea % #IDEAS + 1] end
function keys.backspace() prompt = prompt:sub(1, (utf8.offset(prompt, -1) or 1) - 1) end
function keys.f3() timings = not timings end

function love.keypressed(key)
  if keys[key] then keys[key]() end
end

function love.quit() films.close() end

-- Returns the beginning of a text that fits, or its end. LÖVE refuses to print what is not UTF-8.
local function fit(text, font, width, keep_end)
  text = text:gsub("%c", " ")
  if not utf8.len(text) then text = text:gsub("[\128-\255]", "?") end
  if font:getWidth(text) <= width then return text end
  while font:getWidth(text .. "…") > width do
    text = keep_end and text:sub(utf8.offset(text, 2)) or text:sub(1, utf8.offset(text, -1) - 1)
  end
  return keep_end and "…" .. text or text .. "…"
end

local function write(colour, text, font, x, y, width, keep_end)
  g.setColor(colour)
  g.print(fit(text, font, width, keep_end), font, x, y)
end

local function box(colour, ...)
  g.setColor(colour)
  g.rectangle("fill", ...)
end

local function draw_game()
  box({ 0.07, 0.13, 0.25 }, 0, 0, 800, SEA)
  box({ 0.12, 0.35, 0.5 }, 0, SEA - 14, 800, 14)
  g.setColor(1, 0.87, 0.5)
  for _, star in ipairs(stars) do g.circle("fill", star.x, star.y, star.size, 12) end
  g.setColor(0.9, 0.42, 0.33)
  g.polygon("fill", boat - 34, SEA - 24, boat + 34, SEA - 24, boat + 20, SEA - 7, boat - 20, SEA - 7)
  g.setColor(WHITE)
  g.polygon("fill", boat - 2, SEA - 62, boat - 2, SEA - 28, boat + 24, SEA - 28)
  write(WHITE, "Stars: " .. score, fonts.big, PAD, PAD, 200)
end

-- Draws a picture in the middle of a film's box, as large as it fits there with its aspect.
local function draw_picture(picture, y)
  local width, height = picture:getDimensions()
  local scale = math.min(BOX[1] / width, BOX[2] / height)
  g.setColor(WHITE)
  g.draw(picture, PAD + (BOX[1] - width * scale) / 2, y + (BOX[2] - height * scale) / 2, 0, scale)
end

local function draw_film(film, y)
  local x, width = PAD * 2 + BOX[1], 800 - PAD * 3 - BOX[1]
  box(DARK, PAD, y, BOX[1], BOX[2], 4)
  if film.picture then draw_picture(film.picture, y) end
  write(WHITE, film.prompt, fonts.big, x, y, width)
  write(COLOURS[film.state] or GREY, film.text, fonts.small, x, y + 25, width, film.state == "saved")
  if film.busy then
    box(DARK, x, y + 48, width, 10, 4)
    box({ 0.4, 0.65, 1 }, x, y + 48, math.max(8, width * film.progress / 100), 10, 4)
  elseif film.state == "saved" then
    local note = film.note or "LÖVE plays nothing but Ogg Theora: open the file with a video player"
    write(GREY, note, fonts.small, x, y + 45, width)
  end
end

function love.draw()
  g.clear(0.11, 0.12, 0.15)
  draw_game()
  local times = ("longest update %.1f ms, %d frames a second"):format(slowest * 1000, love.timer.getFPS())
  if timings then write(WHITE, times, fonts.small, 490, PAD, 300) end
  box(DARK, PAD, SEA + PAD, 800 - 2 * PAD, 36, 6)
  write(WHITE, "Film: " .. prompt .. "|", fonts.big, PAD + 10, SEA + PAD + 8, 780 - 2 * PAD, true)
  write(GREY, films.problem or HELP, fonts.small, PAD + 10, SEA + PAD + 44, 780 - 2 * PAD)
  for i, film in ipairs(films.list) do
    local y = SEA + 88 + (i - 1) * ROW
    if y + BOX[2] <= 600 then draw_film(film, y) end
  end
end
