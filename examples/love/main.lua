-- A LÖVE game that has a video made: a progress bar while it is, then its thumbnail; no frame ever waits.
-- Usage: SORA_BASE_URL=… SORA_API_KEY=… love examples/love ["a prompt"]
-- (with LUA_PATH and LUA_CPATH set, where sora is not installed)
-- luacheck: std +love
local sora = require "sora"

local client = assert(sora.new {})
local THUMBNAIL = os.tmpname()
local state, progress, picture = "asking", 0, nil

local function check(value, err)
  if not value then state = tostring(err) end
  return value
end

local function show_thumbnail(file, err)
  if not check(file, err) then return end
  local bytes = assert(io.open(THUMBNAIL, "rb"))
  picture = love.graphics.newImage(love.filesystem.newFileData(bytes:read("*a"), "thumbnail"))
  bytes:close()
end

local function fetch_thumbnail(video, err)
  if not check(video, err) then return end
  client:start("download_video", video, { path = THUMBNAIL, variant = "thumbnail" },
    { on_done = show_thumbnail })
end

local function follow(job, err)
  if not check(job, err) then return end
  client:watch(job, { interval = 0.5, max_interval = 1, on_done = fetch_thumbnail,
    on_progress = function(_, view) state, progress = view.state, view.progress or progress end })
end

function love.load(arguments)
  local prompt = arguments[1] or "A lighthouse in a storm"
  client:start("create_video", { prompt = prompt, seconds = "4" }, { on_done = follow })
end

function love.update()
  client:update(0)
end

function love.draw()
  local width, height = love.graphics.getDimensions()
  if picture then
    return love.graphics.draw(picture, 0, 0, 0, width / picture:getWidth(), height / picture:getHeight())
  end
  love.graphics.printf(state, 0, height / 2 - 40, width, "center")
  love.graphics.rectangle("line", 40, height / 2, width - 80, 20)
  love.graphics.rectangle("fill", 40, height / 2, (width - 80) * progress / 100, 20)
end

function love.quit()
  client:close()
  os.remove(THUMBNAIL)
end
