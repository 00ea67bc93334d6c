--- sora under Copas: calls wait in its threads. For the current Copas, and for 1.x, which Debian has.
--
--    local client = require "sora.loop.copas"(assert(sora.new { base_url = … }))
--    copas.addthread(function() print(client:get_video("video_123")) end)
--    copas.loop()
-- @module sora.loop.copas

-- Owns one pump per client: a thread that reads from the client's descriptor while others wait.
-- Invariant: the pump ends with the last of them, or when the pauses of removed threads would have ended, so
-- that Copas's loop can end by itself.

local copas = require "copas"
local core = require "sora.core"
local host = require "sora.loop.host"

core.own()

-- Makes an object that Copas reads from like a socket: every second read finds nothing, and so waits for the
-- descriptor.
local function new_eye(getfd, dirty)
  local looked = false
  local function receive()
    looked = not looked
    if looked then return nil, "timeout" end
    return true
  end
  return { getfd = getfd, dirty = dirty, receive = receive, close = function() end }
end

local sleeping = copas.wakeup and copas or require("sora.loop.copas1")(copas, new_eye)
local sleep, wakeup = sleeping.pause or sleeping.sleep, sleeping.wakeup

--- Makes the client's waiting calls cooperative under Copas.
-- @tparam table client
-- @treturn table the client
return function(client)
  local waiters -- of the pump, while there is one

  local function is_over()
    return not (waiters and waiters:any() and client:fileno())
  end

  -- Once the pump is to end, the eye is "dirty", which makes select return at once; that needs a valid
  -- descriptor.
  local eye = new_eye(function() return client:fileno() or 0 end, is_over)

  local function pump()
    while not is_over() do
      copas.receive(eye)
      host.pump(client)
    end
    waiters = nil
  end

  -- Adds a waiter, and starts the pump unless it runs already.
  local function enter(seconds)
    local mine = waiters or host.waiters()
    mine:enter(seconds)
    if not waiters then
      waiters = mine
      copas.addthread(pump)
    end
    return mine
  end

  function client.can_wait()
    host.running("copas")
    host.check_yield("copas", function() sleep(0) end)
  end

  client.pause = function(_, seconds, turn)
    local co = host.running("copas")
    if turn then turn.wake = function() wakeup(co) end end
    seconds = host.cap(client, seconds)
    local mine = enter(seconds)
    sleep(seconds)
    mine:leave()
    if turn then turn.wake = nil end
  end
  return client
end
