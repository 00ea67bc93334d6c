--- Webhooks: events that a server posts when a job has ended.
-- Owns the check of their signatures (Standard Webhooks 1.0.0: HMAC-SHA256 over "id.timestamp.body").
-- Invariant: returns an event only if a signature over exactly these bytes is right and recent.
-- @module sora.webhook
-- @local

local core = require "sora.core"
local json = require "sora.json"
local options = require "sora.options"
local values = require "sora.normalize.values"

core.own()

local webhook = {}

local TOLERANCE = 300 -- s
local PREFIX = "whsec_" -- before a secret in base64

local function refuse(code, message)
  return nil, core.error { kind = "api", code = code, message = message, retryable = false }
end

-- Looks up a header by its lower-case name. `headers` is a table with names in any case, or a function.
local function lookup(headers, name)
  if type(headers) == "function" then return headers(name) end
  for given, value in pairs(headers) do
    if type(given) == "string" and values.lower(given) == name then
      return type(value) == "table" and value[1] or value
    end
  end
end

local function key_of(secret)
  if secret:sub(1, #PREFIX) ~= PREFIX then return secret end
  return core.unbase64(secret:sub(#PREFIX + 1))
end

-- Checks "v1,BASE64 v1,BASE64 v1a,…": one right signature is enough, so that a secret can be replaced.
local function holds(signatures, expected)
  local held = false
  for signature in signatures:gmatch("%S+") do
    local bytes = signature:sub(1, 3) == "v1," and core.unbase64(signature:sub(4))
    if bytes and core.equal(bytes, expected) then held = true end
  end
  return held
end

local function check(headers, body, secret, tolerance)
  local kind = type(headers)
  if kind ~= "table" and kind ~= "function" then
    core.complain("verify_webhook", "headers: expected a table or a function, got " .. kind)
  end
  options.expect("verify_webhook", "body", body, "string", "the bytes as they came")
  if type(secret) ~= "string" or secret == "" then
    core.complain("verify_webhook", "secret: expected a string, got "
      .. (secret == "" and "an empty one" or type(secret)))
  end
  if tolerance ~= nil and not (type(tolerance) == "number" and tolerance > 0) then
    core.complain("verify_webhook", "tolerance: expected a positive number of seconds, got "
      .. (type(tolerance) == "number" and tostring(tolerance) or type(tolerance)))
  end
  local key = key_of(secret)
  if not key or key == "" then
    core.complain("verify_webhook", "secret: expected base64 after 'whsec_', as the server shows it")
  end
  return key
end

--- Checks the signature of a webhook and reads its event.
-- @tparam table|function headers of the request, names in any case; or a function that looks up a lower-case
-- name
-- @tparam string body the request's bytes, unchanged
-- @tparam string secret as the server shows it: "whsec_" and base64, or the plain key
-- @tparam ?number tolerance seconds that the timestamp may be off (300)
-- @tparam ?number now seconds since 1970
-- @treturn[1] table the event: `type`, such as "video.completed", and `data`, which `sora.normalize` reads
-- @treturn[2] nil
-- @treturn[2] table error with the code `webhook_unsigned`, `webhook_stale`, `webhook_forged` or
-- `webhook_unreadable`
function webhook.verify(headers, body, secret, tolerance, now)
  local key = check(headers, body, secret, tolerance)
  local id, stamp = lookup(headers, "webhook-id"), lookup(headers, "webhook-timestamp")
  local signatures = lookup(headers, "webhook-signature")
  local lacking = type(id) ~= "string" and "webhook-id"
    or type(signatures) ~= "string" and "webhook-signature"
    or not tostring(stamp):find("^%d+$") and "webhook-timestamp (whole seconds)"
  if lacking then
    return refuse("webhook_unsigned", "expected the headers of a signed webhook, got none named " .. lacking)
  end
  local signed = ("%s.%s."):format(id, stamp) .. body
  if not holds(signatures, core.hmac_sha256(key, signed)) then
    return refuse("webhook_forged", "no signature of the webhook matches: is the secret this endpoint's, and "
      .. "the body unchanged?")
  end
  local age, most = (now or os.time()) - tonumber(stamp), tolerance or TOLERANCE
  if math.abs(age) > most then
    return refuse("webhook_stale", ("expected a webhook of the last %g s, got one from %.0f s %s"):format(
      most, math.abs(age), age > 0 and "ago" or "in the future"))
  end
  local event, problem = json.decode(body)
  if not event then return refuse("webhook_unreadable", problem) end
  return event
end

return webhook
