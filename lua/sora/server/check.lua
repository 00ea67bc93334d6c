--- Checks of named values: options, the `dev` object of a create, faults.
-- Pure. A rule is a predicate and what it asks for; a value that no rule names is wrong as well, since it is
-- most likely a misspelt one.
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

--- A predicate for a Lua type.
-- @tparam string name
function check.type(name)
  return function(value) return type(value) == name end
end

--- A predicate for whole numbers.
-- @tparam number least
-- @tparam number most
function check.between(least, most)
  return function(value) return check.whole(value) and value >= least and value <= most end
end

--- Looks for a value that breaks its rule.
-- @tparam table rules by name: `{ predicate, what it asks for }`
-- @tparam table values
-- @treturn ?string the name of a wrong value; nil when all are right
-- @treturn ?string what is wrong with it
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
