--- sora in a loop of your own, without a library: calls wait in coroutines that your program resumes, once a
-- frame for instance.
--
--    local client = require "sora.loop.coroutine"(assert(sora.new { base_url = … }))
--    local task = coroutine.create(function() print(client:get_video("video_123")) end)
--    while coroutine.status(task) ~= "dead" do draw_a_frame(); assert(coroutine.resume(task)) end
-- @module sora.loop.coroutine

-- Owns nothing. Invariant: each pause is one yield, of the seconds after which to resume the coroutine at the
-- latest.

local core = require "sora.core"
local host = require "sora.loop.host"

core.own()

--- Makes the client's waiting calls cooperative in plain coroutines.
-- @tparam table client
-- @treturn table the client
return function(client)
  function client.can_wait()
    host.running("coroutine")
    host.check_yield("coroutine", function() coroutine.yield(0) end)
  end

  client.pause = function(_, seconds)
    host.running("coroutine")
    coroutine.yield(host.cap(client, seconds))
  end
  return client
end
