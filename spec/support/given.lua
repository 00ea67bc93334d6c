--- What the specs of one `describe` share: called in it, before its own before_each, they are made before the
-- first spec and gone after the last.
-- Owns the hooks for that. Invariant: what a spec left in them is gone when the next one begins.
local busted = require "busted"
local folder = require "spec.support.folder"
local httpd = require "spec.support.httpd"

local given = {}

-- An object that is `make()` from the first spec on.
local function later(make, clean, drop)
  local object = {}
  busted.setup(function()
    local made = make()
    for name, value in pairs(made) do object[name] = value end
    setmetatable(object, getmetatable(made))
  end)
  busted.before_each(function() clean(object) end)
  busted.teardown(function() drop(object) end)
  return object
end

--- A scripted server (httpd.lua).
function given.server()
  return later(httpd.start, function(server) server:reset() end, function(server) server:stop() end)
end

--- A folder (folder.lua).
function given.folder()
  return later(folder.new, folder.clear, folder.remove)
end

return given
