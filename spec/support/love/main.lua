-- Runs examples/love and takes two screenshots: when the progress bar is partly full, and when the thumbnail
-- is drawn. Usage, in the checkout's folder: `love spec/support/love FOLDER`
-- Owns the screenshots, FOLDER/NAME.png for people and NAME.rgba (8 bits per channel) for specs; prints each
-- NAME and its size.
-- luacheck: std +love, ignore 122
dofile("examples/love/main.lua")

local load, folder, taken = love.load, nil, {}

local function save(name, image)
  local function write(suffix, bytes)
    local file = assert(io.open(folder .. "/" .. name .. suffix, "wb"))
    file:write(bytes)
    file:close()
  end
  write(".png", image:encode("png"):getString())
  write(".rgba", image:getString())
  io.write(("%s %d %d\n"):format(name, image:getDimensions()))
  io.flush()
end

local function take(name, at_last)
  if taken[name] then return end
  taken[name] = true
  love.graphics.captureScreenshot(function(image)
    save(name, image)
    if at_last then love.event.quit() end
  end)
end

-- Wraps a drawing function: `look` is called first, with the same arguments.
local function watch(name, look)
  local draw = love.graphics[name]
  love.graphics[name] = function(...)
    look(...)
    return draw(...)
  end
end

function love.load(arguments)
  folder = arguments[1]
  load { "a red fox" }
  watch("rectangle", function(mode, _, _, width)
    if mode == "fill" and width > 100 then take("bar") end
  end)
  watch("draw", function() take("thumbnail", true) end)
end
