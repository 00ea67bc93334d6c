--- Webhooks of the development server: one event for each job that has ended.
-- Owns the event, its signature (Standard Webhooks 1.0.0, which `sora.verify_webhook` checks) and the
-- repeats. Functions that send yield.
local basexx = require "basexx"
local cqueues = require "cqueues"
local hmac = require "openssl.hmac"
local http_request = require "http.request"
local http_util = require "http.util"

local webhook = {}

local TIMEOUT = 10 -- s; of one request
local PAUSES = { 1, 5 } -- s; before each repeat

--- Returns the event of a job that has ended.
-- @tparam string id of the event
-- @tparam table view of the job
-- @tparam string video the job as the server's dialect encodes it
-- @tparam number now seconds since 1970
-- @treturn string JSON
function webhook.event(id, view, video, now)
  return ('{"id":"%s","object":"event","created_at":%d,"type":"video.%s","data":%s}'):format(
    id, now, view.status, video)
end

--- Signs a body.
-- @tparam string secret "whsec_" and base64, or the plain key
-- @tparam string id of the event
-- @tparam number now seconds since 1970
-- @tparam string body
-- @treturn string the value of `webhook-signature`
function webhook.sign(secret, id, now, body)
  local encoded = secret:match("^whsec_(.*)$")
  local key = encoded and basexx.from_base64(encoded) or secret
  local digest = hmac.new(key, "sha256"):final(("%s.%d.%s"):format(id, now, body))
  return "v1," .. basexx.to_base64(digest)
end

local function post(url, id, body, secret)
  local request = http_request.new_from_uri(url)
  local headers, now = request.headers, os.time()
  request.follow_redirects = false
  headers:upsert(":method", "POST")
  headers:upsert("content-type", "application/json")
  headers:upsert("webhook-id", id)
  headers:upsert("webhook-timestamp", ("%d"):format(now))
  if secret then
    headers:upsert("webhook-signature", webhook.sign(secret, id, now, body))
  end
  request:set_body(body)
  headers:delete("expect") -- small, and some servers don't answer it
  local answer, stream = request:go(TIMEOUT)
  if not answer then
    return nil, tostring(stream)
  end
  stream:shutdown()
  if stream.connection then
    stream.connection:close()
  end
  return tonumber((answer:get(":status")))
end

--- Sends an event, and repeats it when the receiver answers with no 2xx.
-- @tparam string url
-- @tparam string id
-- @tparam string body
-- @tparam ?string secret without it the event is not signed
-- @tparam function note receives a line for each attempt
-- @treturn boolean whether it was received
function webhook.send(url, id, body, secret, note)
  for attempt = 1, #PAUSES + 1 do
    local ok, status, err = http_util.yieldable_pcall(post, url, id, body, secret)
    if not ok then
      status, err = nil, status
    end
    note(("webhook %s %s %s"):format(id, url, tostring(status or err)))
    if status and status >= 200 and status < 300 then
      return true
    end
    cqueues.sleep(PAUSES[attempt] or 0)
  end
  return false
end

return webhook
