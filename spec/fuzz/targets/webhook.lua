-- Webhooks: the input is six lines (a flag, the secret, webhook-id, webhook-timestamp, webhook-signature, a
-- number) and the body. With the flag "s" the body is signed rightly, and then changed at that number.
local core = require "sora.core"
local sora = require "sora"
local webhook = require "sora.webhook"

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  local out = {}
  for a, b, c in (bytes .. "\0\0"):gmatch "(.)(.)(.)" do
    local n = a:byte() * 65536 + b:byte() * 256 + c:byte()
    for shift = 18, 0, -6 do
      local at = (n >> shift & 63) + 1
      out[#out + 1] = DIGITS:sub(at, at)
    end
  end
  local left = #bytes % 3
  for i = 1, left > 0 and 3 - left or 0 do out[#out + 1 - i] = "=" end
  return table.concat(out)
end
assert(base64 "" == "" and base64 "f" == "Zg==" and base64 "fo" == "Zm8=" and base64 "foo" == "Zm9v")

local function lines_of(input)
  local lines, at = {}, 1
  for i = 1, 6 do
    local stop = input:find("\n", at, true) or #input + 1
    lines[i] = input:sub(at, stop - 1)
    at = stop + 1
  end
  return lines, input:sub(at)
end

-- Returns the key of a secret, or nil: then it raises.
local function key_of(secret)
  local coded = secret:match "^whsec_(.*)$"
  local key = not coded and secret or core.unbase64(coded)
  return key ~= "" and key or nil
end

local CODES = { webhook_unsigned = true, webhook_forged = true, webhook_stale = true,
  webhook_unreadable = true }

local function check_refused(event, err)
  assert(event == nil and CODES[err.code] and #tostring(err) > 0, "an event with a wrong signature")
end

local function check_signed(headers, body, secret, key, at)
  local id, stamp = headers["webhook-id"], headers["webhook-timestamp"]
  local now = stamp:find "^%d+$" and tonumber(stamp)
  local signed = id .. "." .. stamp .. "." .. body
  headers["webhook-signature"] = "v1a,x v1," .. base64(core.hmac_sha256(key, signed))
  local event, err = webhook.verify(headers, body, secret, nil, now or nil)
  local wanted = now and core.decode_json(body)
  assert((event ~= nil) == (wanted ~= nil and wanted ~= false), "a right signature and " .. tostring(err))
  if not event then return check_refused(event, err) end
  if now > 1e6 and now < 1e15 then
    check_refused(webhook.verify(headers, body, secret, nil, now + 301))
    check_refused(webhook.verify(headers, body, secret, nil, now - 301))
  end
  local place = at % #body + 1
  local changed = body:sub(1, place - 1) .. string.char(body:byte(place) ~ 1) .. body:sub(place + 1)
  check_refused(webhook.verify(headers, changed, secret, nil, now))
  check_refused(webhook.verify(headers, body, "x" .. secret, nil, now))
end

return function(input)
  local lines, body = lines_of(input)
  local secret, key = lines[2], key_of(lines[2])
  local headers = { ["webhook-id"] = lines[3], ["webhook-timestamp"] = lines[4],
    ["webhook-signature"] = lines[5] }
  local function lookup(name) return headers[name] end
  if not key then
    local good, problem = pcall(sora.verify_webhook, headers, body, secret)
    assert(not good and tostring(problem):find("secret", 1, true), "an invalid secret was accepted")
    return
  end
  if lines[1] == "s" then
    return check_signed(headers, body, secret, key, math.abs(math.tointeger(lines[6]) or 0))
  end
  check_refused(sora.verify_webhook(headers, body, secret))
  check_refused(sora.verify_webhook(lookup, body, secret))
  check_refused(sora.verify_webhook({ ["Webhook-ID"] = { lines[3] }, ["webhook-timestamp"] = 12,
    [1] = true, ["WEBHOOK-SIGNATURE"] = { lines[5] } }, body, secret))
end
