--- `sora help`: the overview, a command's options, or a topic.
-- @local
local exit = require "sora.cli.exit"
local help = require "sora.cli.help"

local command = { about = "Show help.", usage = "[COMMAND|exit-codes|environment]" }

function command.define(parser)
  parser:argument "topic":args "?":description "A command, exit-codes or environment."
end

function command.run(session)
  local topic = session.args.topic
  if not topic then
    session.screen:bytes(help.overview())
  elseif help.topics[topic] then
    session.screen:bytes(help.topics[topic]())
  else
    for _, other in ipairs(session.parser._commands) do
      if other._name == topic then
        session.screen:bytes(other:get_help() .. "\n")
        return
      end
    end
    exit.usage(("no help about '%s'"):format(topic))
  end
end

return command
