--- sora in OpenResty, or nginx with lua-nginx-module: calls wait in their light threads, the worker goes on.
--
--    local client = require "sora.loop.openresty"(assert(sora.new { base_url = … }))
-- @module sora.loop.openresty

-- Owns the pump of each client, which is an nginx timer. Invariant: a worker has one pump per client, and
-- only while something runs; where nginx has no timer for it, those who wait update the client themselves.

-- luacheck: std +ngx_lua

local host = require "sora.loop.host"
local core = require "sora.core"
local semaphore = require "ngx.semaphore"

core.own()

local TICK = 0.002      -- s; between two updates of the pump; half of that where MANY calls share its cost
local MANY = 8
local MIN_SLEEP = 0.001 -- s; nginx takes less for 0, and a wait that is nearly over would spin
local MAX_REST = 1      -- s; while there are only watched jobs that wait for their next poll
local LOST = 1          -- s; a pump that is this late was never run, or is gone

local CAN_WAIT = { server_rewrite = true, rewrite = true, access = true, content = true, timer = true }
local REFUSAL = "sora.loop.openresty: a call that waits works in the rewrite, access, content and timer "
  .. "phases, not in '%s'; make it in a timer: ngx.timer.at(0, …)"

local pumps = setmetatable({}, { __mode = "k" }) -- client → { late = when it counts as lost, works, bell }

-- Updates a client without waiting. Returns how many calls and watched jobs are left, and how many are on the
-- wire. A worker that exits finishes its calls, but not its watched jobs: they may take hours.
local function update(client)
  local good, running, on_wire = pcall(client.update, client, 0, ngx.worker.exiting())
  if not good then
    if not client:report(running) then
      ngx.log(ngx.ERR, "sora: a callback raised an error: ", tostring(running))
    end
    return 1, 1
  end
  if not running then return 0, 0 end
  return running, on_wire
end

-- Rests until a watched job is due, or a new call rings the bell.
local function rest(client, state)
  local seconds = math.max(MIN_SLEEP, math.min(client:timeout() or 0, MAX_REST))
  state.late, state.works, state.bell = state.late + seconds, false, semaphore.new()
  state.bell:wait(seconds)
  state.bell = nil
end

local function pump(_, client, state)
  while pumps[client] == state do
    local running, on_wire = update(client)
    if running == 0 then break end
    state.late, state.works = ngx.now() + LOST, true
    if on_wire == 0 then
      rest(client, state)
    else
      ngx.sleep(on_wire < MANY and TICK or TICK / 2)
    end
  end
  if pumps[client] == state then pumps[client] = nil end
end

-- Starts the pump if there is none. Returns whether it updates the client already.
local function is_pumped(client)
  local state = pumps[client]
  if state and ngx.now() < state.late then
    if state.bell then state.bell:post() end
    return state.works
  end
  state = { late = ngx.now() + LOST }
  pumps[client] = ngx.timer.at(0, pump, client, state) and state or nil
end

local function check_phase()
  local phase = ngx.get_phase()
  if not CAN_WAIT[phase] then core.blame(REFUSAL:format(phase)) end
end

local function can_wait()
  check_phase()
  host.check_yield("openresty")
end

-- Gives a waiter a semaphore that its call posts to. This function has returned by then: a closure refers to
-- nothing on the stack of a thread that nginx may have killed, and given to another request.
local function add_semaphore(turn)
  local made = assert(semaphore.new())
  turn.semaphore, turn.wake = made, function() made:post() end
end

local function pause(client, seconds, turn)
  check_phase()
  local pumped = is_pumped(client)
  if not turn then return ngx.sleep(math.max(seconds, MIN_SLEEP)) end
  if not turn.wake then add_semaphore(turn) end
  turn.semaphore:wait(pumped and seconds or math.min(seconds, TICK))
end

--- Makes the client's waiting calls cooperative in OpenResty.
-- @tparam table client of this worker
-- @treturn table the client
return function(client)
  client.pause, client.can_wait = pause, can_wait
  return client
end
