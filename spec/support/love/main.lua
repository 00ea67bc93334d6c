-- Runs examples/love and takes a picture of its window when there is something to see: once the bar is partly
-- full, and once the thumbnail is drawn. `love spec/support/love FOLDER`, in the checkout's folder.
-- Owns the pictures: FOLDER/NAME.png for people, NAME.rgba (8 bits each) for specs; it says so on stdout.
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

-- Calls `look` with the arguments of each call of a drawing function.
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
