--- sora in OpenResty, or nginx with lua-nginx-module: calls wait in their light threads, the worker goes on.
--
--    local client = require "sora.loop.openresty"(assert(sora.new { base_url = … }))
--
-- Owns the pump of each client, a timer. Invariant: a worker has one a client, and only while something runs;
-- where nginx has no timer for it, those who wait pump themselves.
-- @module sora.loop.openresty

-- luacheck: std +ngx_lua

local core = require "sora.core"
local semaphore = require "ngx.semaphore"

local TICK = 0.002  -- s; between two looks of the pump; half of that where MANY calls share its cost
local MANY = 8
local LEAST = 0.001 -- s; nginx takes less for 0, and a wait that is nearly over would spin
local REST = 1      -- s; at most, while there are only watched jobs that wait for their time
local LOST = 1      -- s; a pump that is so late was never run, or is gone

local CAN_WAIT = { server_rewrite = true, rewrite = true, access = true, content = true, timer = true }
local REFUSAL = "sora.loop.openresty: a call that waits works in the rewrite, access, content and timer "
  .. "phases, not in '%s'; make it in a timer: ngx.timer.at(0, …)"

local pumps = setmetatable({}, { __mode = "k" }) -- client → { late = when it is lost, works, bell }

-- Works without waiting. Returns how many calls and watched jobs there are, and how many calls. A worker that
-- exits ends its calls, but not what it watches: that may take hours.
local function look(client)
  local group = not ngx.worker.exiting() and client._jobs
  local good, running, err, raised = pcall(group and client.update or core.update, client, 0)
  if good and not raised then
    running = running or 0
    return running, group and running - group.open + group.calling or running
  end
  ngx.log(ngx.ERR, "sora: a callback raised an error: ", tostring(good and err or running))
  return 1, 1
end

-- Rests until a watched job is due, or a call rings.
local function rest(client, state)
  local seconds = math.max(LEAST, math.min(core.timeout(client) or 0, REST))
  state.late, state.works, state.bell = state.late + seconds, false, semaphore.new()
  state.bell:wait(seconds)
  state.bell = nil
end

local function pump(_, client, state)
  while pumps[client] == state do
    local running, calls = look(client)
    if running == 0 then break end
    state.late, state.works = ngx.now() + LOST, true
    if calls == 0 then
      rest(client, state)
    else
      ngx.sleep(calls < MANY and TICK or TICK / 2)
    end
  end
  if pumps[client] == state then pumps[client] = nil end
end

-- Whether the pump works already; starts it if there is none.
local function is_pumped(client)
  local state = pumps[client]
  if state and ngx.now() < state.late then
    if state.bell then state.bell:post() end
    return state.works
  end
  state = { late = ngx.now() + LOST }
  pumps[client] = ngx.timer.at(0, pump, client, state) and state or nil
end

local function can_wait()
  local phase = ngx.get_phase()
  if not CAN_WAIT[phase] then error(REFUSAL:format(phase), 0) end
end

local function pause(client, seconds, turn)
  can_wait()
  local pumped = is_pumped(client)
  if not turn then return ngx.sleep(math.max(seconds, LEAST)) end
  if not turn.semaphore then
    local made = assert(semaphore.new())
    turn.semaphore, turn.wake = made, function() made:post() end
  end
  turn.semaphore:wait(pumped and seconds or math.min(seconds, TICK))
end

--- Makes the client's waiting calls cooperative in OpenResty.
-- @tparam table client of this worker
-- @treturn table the client
return function(client)
  client.pause, client.can_wait = pause, can_wait
  return client
end
