--- Objects that all specs of one `describe` share, such as a server.
-- Call these functions in the `describe`, before its own before_each. Owns the hooks that create the object
-- before the first spec and remove it after the last. Invariant: it is clean when a spec begins.
local busted = require "busted"
local folder = require "spec.support.folder"
local httpd = require "spec.support.httpd"
local redis = require "spec.support.redis"

local given = {}

-- Returns a table that becomes the object made by `make()` before the first spec.
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

--- Returns a scripted server (httpd.lua).
function given.server()
  return later(httpd.start, function(server) server:reset() end, function(server) server:stop() end)
end

--- Returns a folder (folder.lua).
function given.folder()
  return later(folder.new, folder.clear, folder.remove)
end

--- Returns a Redis (redis.lua).
function given.redis(options)
  return later(function() return redis.start(options) end, function(server) server:clear() end,
    function(server) server:remove() end)
end

return given
