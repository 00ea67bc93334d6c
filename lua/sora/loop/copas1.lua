--- Sleeping for Copas 1.x, which has no timers: `sleep` and `wakeup` as later versions have them.
-- Owns a timer that select can wait for: a client that makes no calls, whose descriptor `Client:wake` makes
-- readable. Invariant: the thread that reads from it ends when nobody sleeps.
-- @module sora.loop.copas1
-- @local

local core = require "sora.core"
local heap = require "sora.wait.heap"
local socket = require "socket"
local sora = require "sora"

core.own()

--- Makes the two functions.
-- @tparam table copas
-- @tparam function new_eye makes an object that Copas reads from like a socket
-- @treturn table { sleep = function(seconds), wakeup = function(thread) }
return function(copas, new_eye)
  local timer                         -- made by the first sleep, in the process that sleeps
  local asleep, count = heap.new(), 0 -- a thread that was woken stays in it until its time has come
  local awake = {}                    -- threads to resume now
  local naps = setmetatable({}, { __mode = "k" }) -- thread → the nap that it takes
  local watching = false

  local eye = new_eye(function() return timer:fileno() end, function() return #awake > 0 end)

  local function set_timer()
    timer:wake(asleep.count > 0 and math.max(0, asleep[1].due - socket.gettime()) or nil)
  end

  local function wakeup(co)
    if not naps[co] then return end
    naps[co] = nil
    awake[#awake + 1] = co
  end

  local function watch()
    while count > 0 do
      copas.receive(eye)
      while asleep.count > 0 and asleep[1].due <= socket.gettime() do
        local nap = heap.pop(asleep)
        if naps[nap.co] == nap then wakeup(nap.co) end
      end
      local list = awake
      awake, count = {}, count - #list
      for _, co in ipairs(list) do copas.addthread(co) end -- resumes a thread that exists
      set_timer()
    end
    watching = false
  end

  -- An object that Copas uses like its queue of threads, once a thread has yielded. Copas passes the thread
  -- that it knows, whatever coroutine runs inside it.
  local queue = { insert = function() end }
  function queue.push(_, nap, co)
    nap.co, naps[co] = co, nap
    heap.push(asleep, nap)
    set_timer()
    count = count + 1
    if not watching then
      watching = true
      copas.addthread(watch)
    end
  end

  local function sleep(seconds)
    timer = timer or assert(sora.new { base_url = "http://localhost" })
    coroutine.yield({ due = socket.gettime() + seconds }, queue)
  end

  return { sleep = sleep, wakeup = wakeup }
end
