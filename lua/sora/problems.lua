--- Errors that callbacks raised while `update` ran; it calls the remaining callbacks all the same.
-- Owns the list of each client, and who hears of it. Invariant: `update` raises the first; every other one
-- reaches `on_event`, or stderr where nobody listens.
-- @module sora.problems
-- @local

local core = require "sora.core"

core.own()

local problems = {}

--- Keeps what a callback raised until `update` is done.
function problems.keep(client, problem)
  if problem == nil then problem = "a callback raised nil" end
  local list = client._problems or {}
  client._problems = list
  list[#list + 1] = problem
end

--- Tells `on_event`. Returns whether it listened.
function problems.tell(client, problem)
  local on_event = client._on_event
  return on_event and pcall(on_event, { event = "callback_error", raised = problem }) or false
end

local function report(client, problem)
  if problems.tell(client, problem) then return end
  local good, text = pcall(tostring, problem)
  io.stderr:write("sora: a callback raised an error: ", core.printable(good and text or type(problem)), "\n")
end

--- Reports what was kept.
-- @tparam table client
-- @tparam ?boolean but_first true: all but the first
-- @return the first, or nil
function problems.report(client, but_first)
  local list = client._problems
  if not list then return nil end
  client._problems = false
  for i = but_first and 2 or 1, #list do report(client, list[i]) end
  return list[1]
end

return problems
