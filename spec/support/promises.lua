--- What sora.normalize promises of every reading, whatever the body is.
-- Owns the list of types; shared by the specs and the fuzz targets. Works under every Lua.
local normalize = require "sora.normalize"

local promises = {}

local STATES = {
  queued = true, in_progress = true, completed = true, failed = true, cancelled = true, expired = true,
  deleted = true,
}
local STRINGS = { "id", "url" }
local TIMES = { "created_at", "completed_at" }
local FAILURE = { message = true, code = true, type = true, param = true, request_id = true, reason = true }

local function broken_strings(found)
  for key, value in pairs(found) do
    if not FAILURE[key] or type(value) ~= "string" or value == "" then return "error field " .. key end
  end
  return nil
end

--- Returns the first promise that a reading of `body` breaks, or nil. Plain comparisons, because the specs
-- call it many thousand times.
function promises.broken(body)
  local view = normalize.video(body)
  if not STATES[view.state] then return "state" end
  for _, key in ipairs(STRINGS) do
    if view[key] ~= nil and (type(view[key]) ~= "string" or view[key] == "") then return key end
  end
  for _, key in ipairs(TIMES) do
    local t = view[key]
    if t ~= nil and (type(t) ~= "number" or t < 1 or t % 1 ~= 0) then return key end
  end
  local p = view.progress
  if p ~= nil and not (type(p) == "number" and p >= 0 and p <= 100) then return "progress" end
  if view.error and (next(view.error) == nil or view.error.request_id) then return "error" end
  local hint = normalize.poll_after(body)
  if hint ~= nil and not (hint > 0 and hint <= 86400) then return "poll_after" end
  local refusal = normalize.refusal(body)
  return broken_strings(view.error or {}) or broken_strings(normalize.failure(body))
    or broken_strings(refusal or {})
end

return promises
