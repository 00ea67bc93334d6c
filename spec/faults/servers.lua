-- The two servers of a `describe`: one closes connections, the other resets them; both have all good answers.
local busted = require "busted"
local calls = require "spec.faults.calls"
local wire = require "spec.support.wire"

-- Call this in the `describe`. Returns a table whose fields `close` and `reset` are there when a spec runs.
return function()
  local servers = {}
  busted.setup(function()
    servers.close, servers.reset = wire.start(), wire.start { resets = true }
    for _, server in pairs(servers) do server:serve(calls.answers()) end
  end)
  busted.teardown(function()
    for _, server in pairs(servers) do server:stop() end
  end)
  return servers
end
