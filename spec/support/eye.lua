--- An event loop that uses only the client's descriptor.
-- Owns the polling. Invariant: the client is updated when the descriptor is readable, and at no other time.
local cqueues = require "cqueues"
local patience = require "spec.support.patience"

local eye = {}
eye.__index = eye

--- Gets the descriptor of a client once and keeps it.
function eye.of(client)
  return setmetatable({ client = client, pollfd = assert(client:fileno()), events = "r" }, eye)
end

--- Tells whether the descriptor is readable now, or becomes readable within some seconds.
function eye:is_readable(seconds)
  return cqueues.poll(self, seconds or 0) == self
end

-- Updates the client if the descriptor becomes readable within some seconds. Returns how often, 0 or 1.
local function look(self, seconds)
  if not self:is_readable(seconds) then return 0 end
  self.client:update(0)
  return 1
end

--- Updates until the condition holds. Returns how often.
function eye:pump(holds)
  local wakeups = 0
  patience.wait(holds, function() wakeups = wakeups + look(self, 0.1) end, "a wake-up")
  return wakeups
end

--- Updates until the descriptor is not readable.
function eye:calm()
  patience.wait(function() return not self:is_readable() end, function() self.client:update(0) end,
    "a descriptor that is not readable")
end

--- Updates for some seconds. Returns how often.
function eye:count(seconds)
  local wakeups, deadline = 0, cqueues.monotime() + seconds
  repeat
    local left = deadline - cqueues.monotime()
    wakeups = wakeups + look(self, math.max(0, left))
  until left <= 0
  return wakeups
end

return eye
