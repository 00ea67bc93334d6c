--- sora under luv: calls wait in coroutines, which the uv loop resumes.
--
--    local client = require "sora.loop.uv"(assert(sora.new { base_url = … }))
--    coroutine.wrap(function() print(client:get_video("video_123")) end)()
--    uv.run()
--
-- In Neovim, where uv's callbacks may call few functions, add { call = vim.schedule } after the client.
-- @module sora.loop.uv

-- Owns one poll handle per client, open only while a coroutine waits, so that the loop can end by itself.
-- Invariant: only the timer of its pause resumes a coroutine, so coroutines never nest; a callback of uv does
-- its work through `call`.

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

local function run(work) return work() end

local probe

-- Resumes a coroutine that is in its probe: one whose yield raised may be anywhere by now.
local function end_probe(co)
  local frame = debug and coroutine.status(co) == "suspended" and debug.getinfo(co, 1, "f")
  if frame and frame.func == probe then resume(co) end
end

-- Yields for one turn of the loop.
function probe(co, call)
  local timer = uv.new_timer()
  timer:start(0, 0, function()
    timer:close()
    call(function() end_probe(co) end)
  end)
  coroutine.yield()
end

--- Makes the client's waiting calls cooperative under luv.
-- @tparam table client
-- @tparam ?table opts `call`: a function that soon calls the function it gets, where coroutines and callbacks
-- may run
-- @treturn table the client
return function(client, opts)
  local call = opts and opts.call
  if call ~= nil and type(call) ~= "function" then
    core.blame("sora.loop.uv: option 'call': expected a function, got " .. type(call))
  end
  local waiting, poll, look = 0, nil, nil

  local function pump() host.pump(client) end

  -- Rests until the call comes: the descriptor stays readable until then.
  local function pump_later()
    poll:stop()
    call(function()
      pump()
      if poll and not poll:is_closing() then poll:start("r", look) end
    end)
  end
  look, call = call and pump_later or pump, call or run

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
    poll:start("r", look)
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
      probe(co, call)
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
    local function proceed()
      if timer:is_closing() then return end -- it was resumed between the timer and the call
      finish()
      resume(co)
    end
    local function continue() call(proceed) end
    timer:start(math.ceil(host.cap(client, seconds) * 1000), 0, continue)
    if turn then turn.wake = function() timer:start(0, 0, continue) end end
    enter()
    coroutine.yield()
    finish() -- no-op unless somebody else resumed the coroutine
  end
  return client
end
