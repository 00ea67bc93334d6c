--- Errors that callbacks raised while `update` ran; it calls the remaining callbacks all the same.
-- Owns the list of each client, and who hears of it. Invariant: `update` raises the first; every other one
-- reaches `on_event`, or stderr where nobody listens. Ctrl-C is raised in any case.
-- @module sora.problems
-- @local

local core = require "sora.core"

core.own()

local problems = {}

--- Tells whether an error is that of Ctrl-C, which stand-alone Lua raises wherever the program is.
function problems.is_interrupt(raised)
  return type(raised) == "string" and raised:find "interrupted!$" ~= nil
end

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

--- Reports what was kept; raises the error of Ctrl-C, if it is among that.
-- @tparam table client
-- @tparam ?boolean but_first true: all but the first
-- @return the first, or nil
function problems.report(client, but_first)
  local list = client._problems
  if not list then return nil end
  client._problems = false
  local interrupt
  for _, problem in ipairs(list) do interrupt = problems.is_interrupt(problem) and problem or interrupt end
  for i = but_first and not interrupt and 2 or 1, #list do
    if list[i] ~= interrupt then report(client, list[i]) end
  end
  if interrupt then error(interrupt, 0) end
  return list[1]
end

return problems
