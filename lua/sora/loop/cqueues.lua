--- sora under cqueues: calls wait in the coroutines of a controller.
--
--    local client = require "sora.loop.cqueues"(assert(sora.new { base_url = … }))
--    controller:wrap(function() print(client:get_video("video_123")) end)
--    assert(controller:loop())
-- @module sora.loop.cqueues

-- Owns one pump per client and controller: a coroutine that polls the client while others wait.
-- Invariant: the pump ends with the last of them, or when the pauses of dropped coroutines would have ended,
-- so that the controller's loop can end by itself.

local condition = require "cqueues.condition"
local core = require "sora.core"
local cqueues = require "cqueues"
local host = require "sora.loop.host"
local socket = require "cqueues.socket"

core.own()

local MAX_POLL = 0.1 -- s; so that the pump notices that a client is closed

-- Returns a copy of the client's descriptor and the object to poll; nil where the platform has no descriptor.
-- A copy, because a controller fails when a descriptor that it watches is closed.
local function copy_descriptor(client)
  local fd = client:fileno()
  local copy = fd and assert(socket.dup(fd))
  return copy, copy and { pollfd = copy:pollfd(), events = "r" }
end

--- Makes the client's waiting calls cooperative under cqueues.
-- @tparam table client
-- @treturn table the client
return function(client)
  local pumps = setmetatable({}, { __mode = "k" }) -- controller → pump; controllers may be collected

  local function start_pump(controller)
    local pump = { waiters = host.waiters(), idle = condition.new() }
    local copy, readable = copy_descriptor(client)
    pumps[controller] = pump
    controller:wrap(function()
      repeat
        cqueues.poll(pump.idle, MAX_POLL, readable)
        host.pump(client)
      until not pump.waiters:any()
      pumps[controller] = nil
      if copy then copy:close() end
    end)
    return pump
  end

  local function running()
    return cqueues.running() or host.refuse("cqueues", "a coroutine of a cqueue")
  end

  function client.can_wait()
    running()
    host.check_yield("cqueues", function() cqueues.sleep(0) end)
  end

  client.pause = function(_, seconds, turn)
    local controller = running()
    local pump = pumps[controller] or start_pump(controller)
    local awake = condition.new()
    if turn then turn.wake = function() awake:signal() end end
    seconds = host.cap(client, seconds)
    pump.waiters:enter(seconds)
    awake:wait(seconds)
    pump.waiters:leave()
    if not pump.waiters:any() then pump.idle:signal() end
    if turn then turn.wake = nil end
  end
  return client
end
