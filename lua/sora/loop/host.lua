--- What the adapters of this folder share.
-- Owns who is waiting and how the client is pumped for them. Invariant: what a callback raises ends neither
-- the pump nor the host's loop.
-- @module sora.loop.host

local Client = require("sora.calls").Client

local host = {}

local NO_FD = 0.005 -- s; where the platform has no descriptor to wait for, each waiter looks so often

--- The coroutine to resume later; raises outside one, where nothing could be resumed.
-- @tparam string name the adapter's
-- @treturn thread
function host.running(name)
  local safe = package.loaded.coxpcall -- runs what it protects in coroutines of its own, on Lua 5.1
  local co, is_main = (safe and safe.running or coroutine.running)()
  if co and not is_main then return co end
  return host.refuse(name, "a coroutine")
end

--- Raises: the call can't be waited for here.
function host.refuse(name, where)
  error(("sora.loop.%s: a call that waits works in %s only; elsewhere use client:start")
    :format(name, where), 0)
end

--- Does what there is to do without waiting.
-- @tparam table client
function host.pump(client)
  Client.pause(client, 0)
end

--- How long a pause may be.
function host.cap(client, seconds)
  return client:fileno() and seconds or math.min(seconds, NO_FD)
end

return host
