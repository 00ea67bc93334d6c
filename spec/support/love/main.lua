-- Runs examples/love with a player: a script that presses keys and reads the screen.
-- Usage, in the checkout's folder: `love spec/support/love SCRIPT [PROMPT]`; SCRIPT is a file of Lua code.
-- Owns what the script may use, below. Invariant: the script runs in a coroutine that each frame resumes;
-- when it waits in vain or raises, the process ends and stderr says why.
-- luacheck: std +love, ignore 122
package.path = "examples/love/?.lua;" .. package.path
dofile("examples/love/main.lua")
local films = require "films"

local load, update, draw = love.load, love.update, love.draw
local print_text, draw_picture = love.graphics.print, love.graphics.draw
local LIMIT = 40 -- s; a wait that takes longer is in vain
local frames, slowest = 0, 0
local words, pictures = {}, {} -- on the screen, in this frame

function love.graphics.print(text, ...)
  words[#words + 1] = text
  return print_text(text, ...)
end

function love.graphics.draw(picture, x, y, turn, scale, ...)
  pictures[#pictures + 1] = { width = picture:getWidth() * scale, height = picture:getHeight() * scale }
  return draw_picture(picture, x, y, turn, scale, ...)
end

function love.draw()
  words, pictures = {}, {}
  draw()
end

local play = { films = films }

function play.press(key)
  love.keypressed(key)
  coroutine.yield()
end

function play.type(text)
  love.textinput(text)
  coroutine.yield()
end

-- Lets frames go by until a condition holds, one at least.
function play.wait(holds)
  local till = love.timer.getTime() + LIMIT
  repeat
    if love.timer.getTime() > till then error("waited in vain; the screen says:\n" .. play.screen(), 2) end
    coroutine.yield()
  until holds()
end

-- Waits until a text stands on the screen.
function play.see(text)
  return play.wait(function() return table.concat(words, "\n"):find(text, 1, true) end)
end

function play.screen() return table.concat(words, "\n") end
function play.pictures() return pictures end

function play.say(...)
  local list = {}
  for i = 1, select("#", ...) do list[i] = tostring((select(i, ...))):gsub("\n", "\\n") end
  io.write(table.concat(list, " "), "\n")
  io.flush()
end

-- Saves the screen as a PNG, and returns its pixels.
function play.shoot(path)
  local image
  love.graphics.captureScreenshot(function(taken) image = taken end)
  play.wait(function() return image end)
  local file = assert(io.open(path, "wb"))
  file:write(image:encode("png"):getString())
  file:close()
  return image
end

function play.report() play.say(("longest frame %.1f ms"):format(slowest * 1000)) end
function play.quit() love.event.quit() end
function play.frames() return frames end

local player

function love.load(arguments)
  local file = assert(io.open(arguments[1]))
  local script = assert(loadstring(file:read("*a"), "=script"))
  file:close()
  player = coroutine.create(setfenv(script, setmetatable(play, { __index = _G })))
  load { arguments[2] }
end

function love.update(seconds)
  local before = love.timer.getTime()
  update(seconds)
  if frames > 0 then slowest = math.max(slowest, love.timer.getTime() - before) end
  frames = frames + 1
  if coroutine.status(player) == "dead" then return end
  local good, problem = coroutine.resume(player)
  if good then return end
  io.stderr:write(debug.traceback(player, problem), "\n")
  os.exit(1)
end
