-- A small window without vsync, so that the screen does not limit the frame rate.
-- luacheck: std +love
function love.conf(t)
  t.window.width, t.window.height, t.window.vsync = 160, 120, 0
  for _, name in ipairs { "audio", "joystick", "physics", "sound", "touch", "video" } do
    t.modules[name] = false
  end
end
