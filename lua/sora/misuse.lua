--- How functions are called by mistake: with a dot or a colon in place of the other, under a misspelt name;
-- and options that are assigned.
-- Owns the wording of these. Invariant: what is no mistake costs nothing: a known name is found without a
-- function, and an unknown one that resembles none is nil.
-- @module sora.misuse
-- @local

local core = require "sora.core"
local options = require "sora.options"

core.own()

local misuse = {}

local MOST = 2 -- edits between a name and a misspelling of it; one for each four letters

-- Returns the known name that a name is nearly; nil if it is one, or resembles none.
local function misspelt(name, known)
  local near, edits = options.nearest(name, known)
  return near and edits > 0 and edits <= math.min(MOST, math.floor(#near / 4)) and near or nil
end

--- Makes an __index: nil for an unknown name, unless it is a misspelt one, which raises.
-- @tparam string what has the functions
-- @tparam table known name → function
-- @treturn function
function misuse.index(what, known)
  return function(_, name)
    if type(name) ~= "string" or name:sub(1, 1) == "_" then return nil end
    local near = misspelt(name, known)
    if near then core.blame(("%s has no '%s'; did you mean '%s'?"):format(what, name, near)) end
  end
end

--- Makes methods that raise if they were called with a dot.
-- @tparam table methods name → function; changed
-- @tparam table objects that have them, as keys
function misuse.check_colons(methods, objects)
  for name, code in pairs(methods) do
    methods[name] = function(self, ...)
      if not objects[self] then core.blame(("%s is a method: write client:%s(…)"):format(name, name)) end
      return code(self, ...)
    end
  end
end

--- Returns a function of the module that raises if it was called with a colon.
-- @tparam table module
-- @tparam string name
-- @tparam function code
function misuse.check_dot(module, name, code)
  return function(first, ...)
    if rawequal(first, module) then
      core.blame(("%s is a function of the module: write sora.%s(…)"):format(name, name))
    end
    return code(first, ...)
  end
end

--- Raises if a field that is assigned is an option of a client.
-- @param name
-- @tparam string maker the function that takes options: "new" or "configure"
function misuse.check_assignment(name, maker)
  local option = type(name) == "string" and core.client_option(name)
  if not option then return end
  core.blame(("'%s' is an option, which is set when a client is made: write sora.%s{ %s = … }"):format(name,
    maker, option))
end

return misuse
