--- The options of a development server.
-- Owns their names and the values each accepts. Pure.
local check = require "sora.server.check"

local options = {}

local AUTH = { bearer = true, raw = true, ["api-key"] = true, ["x-api-key"] = true }

local RULES = {
  host = { check.text, "a host" },
  port = { check.between(0, 65535), "a port number" },
  allow_remote = { check.type "boolean", "a boolean" },
  duration = { check.seconds, "a number of seconds" },
  queue = { check.seconds, "a number of seconds" },
  expires = { check.seconds, "a number of seconds" },
  delay = { check.seconds, "a number of seconds" },
  keep_alive = { check.seconds, "a number of seconds" },
  fail_rate = { function(v) return check.seconds(v) and v <= 1 end, "a number from 0 to 1" },
  not_ready = { check.between(400, 599), "an HTTP status from 400 to 599" },
  api_key = { check.text, "a string" },
  auth = { function(v) return AUTH[v] end, '"bearer", "raw", "api-key" or "x-api-key"' },
  base_path = { function(v) return check.text(v) and v:find("^/.*[^/]$") end, 'a path such as "/v1"' },
  cors = { check.text, "an origin" },
  format = { check.type "table", "a dialect (see sora.server.format)" },
  clock = { check.type "function", "a function" },
  random = { check.type "function", "a function" },
  log = { check.type "function", "a function" },
}

local function is_loopback(host)
  return host == "localhost" or host == "::1" or host:find("^127%.%d+%.%d+%.%d+$") ~= nil
end

--- Checks a table of options.
-- @tparam table given
-- @treturn ?string the problem; nil when all are valid
function options.problem(given)
  local name, wrong = check.fields(RULES, given)
  if name then
    return ("option %s %s"):format(name, wrong)
  end
  local host = given.host
  if host and not given.allow_remote and not is_loopback(host) then
    return ("%s is not a loopback address; allow_remote = true binds it all the same"):format(host)
  end
  return nil
end

return options
