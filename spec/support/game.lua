--- Starts LÖVE, on a screen that nobody sees.
-- Owns that screen: one X server for all games of a spec file. LÖVE runs LuaJIT, whatever runs the specs.
local busted = require "busted"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

local game = {}

--- Gives each `describe` that calls this a screen. Returns a function that starts LÖVE with a home folder, a
-- base URL, and its arguments.
function game.screen()
  local screen, display
  busted.setup(function()
    screen = process.start { "env", "-u", "LD_PRELOAD", "Xvfb", "-displayfd", "1", "-screen", "0",
      "800x600x24", "-nolisten", "tcp" }
    display = assert(screen:readline(), screen:errors())
  end)
  busted.teardown(function() screen:stop() end)
  return function(home, base_url, ...)
    return process.start { "env", "-u", "LD_PRELOAD", "-u", "XDG_DATA_HOME", "DISPLAY=:" .. display,
      "HOME=" .. home, "SORA_BASE_URL=" .. base_url, "SORA_API_KEY=" .. rig.KEY,
      "LUA_PATH=lua/?.lua;lua/?/init.lua;;", "LUA_CPATH=build/luajit/?.so;;", "LIBGL_ALWAYS_SOFTWARE=1",
      "SDL_AUDIODRIVER=dummy", "love", ... }
  end
end

return game
