-- The configuration that LÖVE reads first: the window, the save directory's name, only the modules in use.
-- luacheck: std +love
function love.conf(t)
  t.identity = "sora-example"
  t.window.title = "sora"
  t.window.width, t.window.height = 800, 600
  for _, name in ipairs { "audio", "joystick", "physics", "sound", "touch", "video" } do
    t.modules[name] = false
  end
end
