--- Checks named values: options, the `dev` object of a create, faults.
-- Pure. A rule is a predicate and a text that says what is allowed. A name without a rule is an error too: it
-- is most likely misspelt.
local check = {}

function check.seconds(value)
  return type(value) == "number" and value >= 0 and value < math.huge
end

function check.whole(value)
  return check.seconds(value) and value % 1 == 0
end

function check.text(value)
  return type(value) == "string" and value ~= ""
end

--- Returns a predicate for a Lua type.
-- @tparam string name
function check.type(name)
  return function(value) return type(value) == name end
end

--- Returns a predicate for whole numbers in a range.
-- @tparam number least
-- @tparam number most
function check.between(least, most)
  return function(value) return check.whole(value) and value >= least and value <= most end
end

--- Finds a value that breaks its rule.
-- @tparam table rules by name: `{ predicate, text that says what is allowed }`
-- @tparam table values by name
-- @treturn ?string the name of an invalid value; nil when all are valid
-- @treturn ?string the reason
function check.fields(rules, values)
  for name, value in pairs(values) do
    local rule = rules[name]
    if not rule then
      return tostring(name), "is not known"
    elseif not rule[1](value) then
      return name, "must be " .. rule[2]
    end
  end
  return nil
end

return check
