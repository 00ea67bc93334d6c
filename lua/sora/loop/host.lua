--- What the adapters in this folder share.
-- Owns who may wait and how the client is driven for them. Invariant: what a callback raises ends neither the
-- driving nor the host's loop.
-- @module sora.loop.host
-- @local

local core = require "sora.core"

core.own()

local host = {}

local NO_FD = 0.005 -- s; where the platform has no descriptor, each waiter looks this often

--- Returns the coroutine to resume later. Raises outside one, because nothing could be resumed there.
-- @tparam string name of the adapter
-- @treturn thread
function host.running(name)
  local safe = package.loaded.coxpcall -- runs what it protects in coroutines of its own, on Lua 5.1
  local co, is_main = (safe and safe.running or coroutine.running)()
  if co and not is_main then return co end
  return host.refuse(name, "a coroutine")
end

local BETWEEN = "a call that waits can't yield here, inside a C function such as string.gsub, table.sort or "
  .. "require (on Lua 5.1 also pcall and metamethods); make the call outside it, or use client:start"

--- Raises where the running coroutine can't yield, before anything is sent.
-- @tparam string name of the adapter
-- @tparam ?function probe yields once and is resumed soon: what Lua 5.1 and 5.2 have in place of a question
function host.check_yield(name, probe)
  local yields = core.isyieldable()
  if yields == false then core.blame(("sora.loop.%s: %s"):format(name, BETWEEN)) end
  if yields == nil and probe then probe() end
end

--- Raises: a call cannot wait here.
function host.refuse(name, where)
  core.blame(("sora.loop.%s: a call that waits works only in %s; elsewhere use client:start")
    :format(name, where))
end

--- Updates a client without waiting.
-- @tparam table client
function host.pump(client)
  local good, problem = pcall(client.update, client, 0)
  if not good and not client:report(problem) then
    io.stderr:write("sora: a callback raised an error: ", core.printable(tostring(problem)), "\n")
  end
end

--- Bounds the length of a pause.
function host.cap(client, seconds)
  return client:fileno() and seconds or math.min(seconds, NO_FD)
end

local Waiters = {}
Waiters.__index = Waiters

--- Makes the count of those who wait for one pump, which ends with the last of them. One that never leaves,
-- because its thread was removed, counts until the last pause would have ended.
-- @treturn table { count = number, enter = …, leave = …, any = … }
function host.waiters()
  return setmetatable({ count = 0, till = 0 }, Waiters)
end

--- Adds one who waits for at most `seconds`.
function Waiters:enter(seconds)
  self.count, self.till = self.count + 1, math.max(self.till, core.now() + seconds)
end

--- Removes one.
function Waiters:leave()
  self.count = self.count - 1
end

--- Tells whether anybody still waits.
function Waiters:any()
  return self.count > 0 and core.now() < self.till
end

return host
