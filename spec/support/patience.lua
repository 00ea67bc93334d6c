--- Waits for something that must happen: a condition, a call, all calls of a client, coroutines.
-- Owns the timeout after which it counts as stuck, the same for all specs. Invariant: no spec measures with
-- it, so it can be long: a busy machine makes a spec slow but does not make it fail.
local cqueues = require "cqueues"

local patience = {}

--- The timeout in seconds.
patience.LIMIT = 60

--- Calls `work` until a condition holds.
-- @tparam function holds
-- @tparam function work is called as long as `holds()` returns nil or false
-- @tparam ?string what is expected, for the error message
-- @return the value of `holds()`
function patience.wait(holds, work, what)
  local deadline = cqueues.monotime() + patience.LIMIT
  while true do
    local value = holds()
    if value then return value end
    if cqueues.monotime() > deadline then error("in vain waited for: " .. (what or "a condition"), 2) end
    work()
  end
end

--- Updates a client until a condition holds; returns the value of `holds()`.
function patience.pump(client, holds)
  return patience.wait(holds, function() client:update(0.02) end)
end

--- Updates a client until no call is left.
function patience.finish(client)
  patience.wait(function() return client:update(0.05) == 0 end, function() end, "the end of all calls")
end

--- Updates a client until a call or a watched job is done; returns its result.
function patience.result(client, handle)
  patience.pump(client, function() return handle:done() end)
  return handle:result()
end

--- Resumes coroutines, one after the other, until all are dead.
-- @tparam {thread,...} threads
-- @tparam ?function each is called with what a coroutine yielded
function patience.run(threads, each)
  local running = {}
  for i, thread in ipairs(threads) do running[i] = thread end
  patience.wait(function() return #running == 0 end, function()
    for i = #running, 1, -1 do
      if coroutine.status(running[i]) ~= "dead" then
        local good, yielded = coroutine.resume(running[i])
        if not good then error(yielded, 0) end
        if each and coroutine.status(running[i]) ~= "dead" then each(yielded) end
      end
      if coroutine.status(running[i]) == "dead" then table.remove(running, i) end
    end
  end, "the end of all coroutines")
end

return patience
