--- `sora completion`: prints the completion script of a shell.
-- @local
local completion = { about = "Print the completion script of a shell.", usage = "bash|zsh|fish" }

function completion.define(command)
  command:argument "shell":choices { "bash", "zsh", "fish" }:description "The shell."
end

function completion.run(session)
  local parser = session.parser
  session.screen:bytes(parser["get_" .. session.args.shell .. "_complete"](parser))
end

return completion
