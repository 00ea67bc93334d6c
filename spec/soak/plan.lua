--- What becomes of each job of the soak test, by its number, for the server and for run.lua.
-- Owns the numbers. Invariant: pure, and the same in every Lua.
local plan = {}

--- How many numbers there are. A number is used once.
plan.MOST = 2 ^ 20

local LONGEST = 15 -- s; the life of a job

--- Returns the final status of a job, unless it is cancelled before.
function plan.outcome(number)
  local dice = number * 7919 % 1000
  return dice < 900 and "completed" or dice < 950 and "failed" or dice < 980 and "cancelled" or "expired"
end

--- Returns the seconds from its first poll to its end.
function plan.life(number)
  return number * 31 % 97 / 97 * LONGEST
end

--- Tells what its owner does at the first progress: "deletes" it, "leaves" it (no longer watches it), or nil.
function plan.whim(number)
  local dice = number * 6571 % 100
  return dice < 2 and "deletes" or dice < 3 and "leaves" or nil
end

return plan
