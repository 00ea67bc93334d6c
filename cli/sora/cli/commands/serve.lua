--- `sora serve`: the development server.
-- @local
local exit = require "sora.cli.exit"
local program = require "sora.server.program"

local serve = { about = "Start a server to try things on, without costs.",
  usage = "[--port N] [--duration S] [--mode NAME] [OPTIONS]" }

-- The port is the same each time, so that SORA_BASE_URL may stay; with many polls, bars move.
local DEFAULTS = { port = "8787", poll_after = "0.5" }

function serve.define(command)
  program.define(command, DEFAULTS)
end

-- Tells a person what to do with the server.
local function introduce(session, url)
  local screen = session.screen
  screen:object { url = url }
  screen.flush()
  if not screen.stdout_is_terminal() then return end
  screen:note "In another shell:"
  screen:note("  export SORA_BASE_URL=" .. url)
  if session.args.api_key then screen:note "  export SORA_API_KEY=…   (the one of --api-key)" end
  screen:note '  sora make "a paper boat"'
  screen:note "Nothing costs anything here. Ctrl-C ends the server."
end

function serve.run(session)
  local loaded, server = pcall(require, "sora.server")
  if not loaded then exit.fail(exit.USAGE, (tostring(server):match "^[^\n]*")) end
  local problem = program.run(server, session.args, function(url) introduce(session, url) end)
  if not problem then return exit.DONE end
  if problem:find "^option " then exit.usage(problem) end
  local address = ("%s:%d"):format(session.args.host, session.args.port)
  if problem:find "in use" then
    exit.fail(exit.USAGE, address .. " is in use already", "--port 0 takes a free port.")
  end
  if not problem:find(session.args.host, 1, true) then problem = address .. ": " .. problem end
  return exit.fail(exit.USAGE, problem)
end

return serve
