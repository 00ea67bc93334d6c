--- Sleeping for Copas 1.x, which knows no time: `sleep` and `wakeup` as later versions have them.
-- Owns a clock that select can wait for: a client that makes no calls, but whose descriptor is readable when
-- its time has come. Invariant: the thread that watches it ends when nobody sleeps.
-- @module sora.loop.copas1

local core = require "sora.core"
local heap = require "sora.heap"
local sora = require "sora"

--- Makes the two functions.
-- @tparam table copas
-- @tparam function new_eye makes what Copas takes for a socket
-- @treturn table { sleep = function(seconds), wakeup = function(thread) }
return function(copas, new_eye)
  local clock                 -- made when it is first needed, in the process that needs it
  local asleep, count = heap.new(), 0 -- who was woken stays in it until its time has come
  local awake = {}            -- threads to resume now
  local naps = setmetatable({}, { __mode = "k" }) -- by thread: what it sleeps on
  local watching = false

  local eye = new_eye(function() return clock:fileno() end, function() return #awake > 0 end)

  local function set_clock()
    core.wake(clock, asleep[1] and asleep[1].due)
  end

  -- What Copas takes for its queue of threads; it gives the thread that it knows, whatever runs inside.
  local queue = { insert = function() end }
  function queue.push(_, nap, co)
    nap.co, naps[co] = co, nap
    heap.push(asleep, nap)
    set_clock()
  end

  local function wakeup(co)
    if not naps[co] then return end
    naps[co] = nil
    awake[#awake + 1] = co
  end

  local function watch()
    while count > 0 do
      copas.receive(eye)
      while asleep[1] and asleep[1].due <= core.now() do
        local nap = heap.pop(asleep)
        if naps[nap.co] == nap then wakeup(nap.co) end
      end
      local list = awake
      awake, count = {}, count - #list
      for _, co in ipairs(list) do copas.addthread(co) end -- resumes a thread that exists
      set_clock()
    end
    watching = false
  end

  local function sleep(seconds)
    clock = clock or assert(sora.new { base_url = "http://localhost" })
    count = count + 1
    if not watching then
      watching = true
      copas.addthread(watch)
    end
    coroutine.yield({ due = core.now() + seconds }, queue)
  end

  return { sleep = sleep, wakeup = wakeup }
end
