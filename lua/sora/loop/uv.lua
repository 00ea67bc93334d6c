--- sora under luv: calls wait in coroutines, which the uv loop resumes.
--
--    local client = require "sora.loop.uv"(assert(sora.new { base_url = … }))
--    coroutine.wrap(function() print(client:get_video("video_123")) end)()
--    uv.run()
-- @module sora.loop.uv

-- Owns one poll handle per client, open only while a coroutine waits, so that the loop can end by itself.
-- Invariant: only the timer of its pause resumes a coroutine, so coroutines never nest.

local core = require "sora.core"
local host = require "sora.loop.host"
local uv = require "luv"

core.own()

-- Resumes a coroutine. uv reports an error from it, as from any callback.
local function resume(co)
  if coroutine.status(co) ~= "suspended" then return end
  local good, err = coroutine.resume(co)
  if not good then error(debug.traceback(co, tostring(err)), 0) end
end

local probe

-- Resumes a coroutine that is in its probe: one whose yield raised may be anywhere by now.
local function end_probe(co)
  local frame = debug and coroutine.status(co) == "suspended" and debug.getinfo(co, 1, "f")
  if frame and frame.func == probe then resume(co) end
end

-- Yields for one turn of the loop.
function probe(co)
  local timer = uv.new_timer()
  timer:start(0, 0, function()
    timer:close()
    end_probe(co)
  end)
  coroutine.yield()
end

--- Makes the client's waiting calls cooperative under luv.
-- @tparam table client
-- @treturn table the client
return function(client)
  local waiting, poll = 0, nil

  local function shut()
    if poll and not poll:is_closing() then poll:close() end
    poll = nil
  end

  local function enter()
    if poll and poll:is_closing() then -- by uv.walk, with the timers of all who waited
      waiting, poll = 0, nil
    end
    waiting = waiting + 1
    local fd = not poll and client:fileno()
    if not fd then return end
    poll = assert(uv.new_poll(fd))
    poll:start("r", function() host.pump(client) end)
  end

  local function leave()
    waiting = waiting - 1
    if waiting == 0 then shut() end
  end

  local close = client.close
  client.close = function(self)
    shut() -- uv ends the process when a descriptor that it polls is gone
    return close(self)
  end

  function client.can_wait()
    local co = host.running("uv")
    host.check_yield("uv", function()
      probe(co)
      return true -- no tail call: `end_probe` looks for the frame
    end)
  end

  client.pause = function(_, seconds, turn)
    local co, timer = host.running("uv"), uv.new_timer()
    local function finish()
      if timer:is_closing() then return end
      timer:close()
      leave()
      if turn then turn.wake = nil end
    end
    local function continue()
      finish()
      resume(co)
    end
    timer:start(math.ceil(host.cap(client, seconds) * 1000), 0, continue)
    if turn then turn.wake = function() timer:start(0, 0, continue) end end
    enter()
    coroutine.yield()
    finish() -- no-op unless somebody else resumed the coroutine
  end
  return client
end
