-- The configuration that LÖVE reads first: a small window, and only the modules that the example uses.
-- luacheck: std +love
function love.conf(t)
  t.identity = "sora-example"
  t.window.title = "sora"
  t.window.width, t.window.height = 480, 360
  for _, name in ipairs { "audio", "joystick", "physics", "sound", "touch", "video" } do
    t.modules[name] = false
  end
end
