--- The findings of `sora doctor` about one server.
--
-- Owns the verdicts and the problem that is named at the end. Invariant: the problem is the first one found
-- that keeps calls from working; a minor one (a clock, a file's mode) is named only if there is no such.
-- @module sora.cli.doctor.report
-- @local

local report = {}

local Report = {}
Report.__index = Report

--- Makes a report.
-- @tparam function on_finding is called with each finding: { check, verdict, message }
function report.new(on_finding)
  return setmetatable({ checks = {}, on_finding = on_finding }, Report)
end

function Report:add(check, verdict, message)
  local finding = { check = check, verdict = verdict, message = message }
  self.checks[#self.checks + 1] = finding
  self.on_finding(finding)
end

--- Adds a check that is passed.
function Report:ok(check, message) self:add(check, "ok", message) end

--- Adds something that may be wrong, or could not be tested.
function Report:unsure(check, message) self:add(check, "?", message) end

--- Adds a failed check.
-- @tparam string check
-- @tparam string message what was found
-- @tparam table problem { status =, text = (a sentence), repair = (commands), minor = }
function Report:bad(check, message, problem)
  self:add(check, "bad", message)
  if not self.problem or self.problem.minor and not problem.minor then self.problem = problem end
end

return report
