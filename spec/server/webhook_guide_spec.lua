-- docs/webhooks.md: its program runs as it is printed, with events that come, come twice, are forged, and
-- never come.
local answers = require "spec.support.answers"
local basexx = require "basexx"
local core = require "sora.core"
local facts = require "spec.support.facts"
local given = require "spec.support.given"
local patience = require "spec.support.patience"

local SECRET = "the secret of the webhook"

describe("the guide to webhooks", function()
  local srv = given.server()
  local guide, ended

  -- Loads the program of the guide, with these settings and with short intervals.
  before_each(function()
    local code = facts.read("docs/webhooks.md"):match("```lua\n(.-)\n```")
    code = code:gsub("sora%.new {}", ("sora.new { base_url = %q, api_key = 'k' }"):format(srv.url .. "/v1"))
      :gsub('os%.getenv "WEBHOOK_SECRET"', ("%q"):format(SECRET))
      :gsub("interval = %d+", "interval = 0.2")
    guide = assert((loadstring or load)(code, "=docs/webhooks.md"))() -- luacheck: std max
    srv:route("POST", "/v1/videos", answers.QUEUED)
    srv:route("GET", "^", answers.QUEUED)
    ended = {}
    assert(guide.follow({ prompt = "p" }, function(video, err) ended[#ended + 1] = { video, err } end))
  end)
  after_each(function() guide.client:close() end)

  -- Posts an event, signed with a secret; returns the status of the answer.
  local function post(secret)
    local body = '{"type":"video.completed","data":{"id":"v"}}'
    local stamp = ("%d"):format(os.time())
    local digest = core.hmac_sha256(secret, ("msg_1.%s.%s"):format(stamp, body))
    return guide.on_webhook({ ["Webhook-Id"] = "msg_1", ["Webhook-Timestamp"] = stamp,
      ["Webhook-Signature"] = "v1," .. basexx.to_base64(digest) }, body)
  end

  it("ends a wait with the event, once", function()
    srv:route("GET", "^", answers.DONE)
    assert.equal(200, post(SECRET))
    assert.equal(200, post(SECRET))
    patience.pump(guide.client, function() return #ended > 0 end)
    patience.finish(guide.client)
    assert.equal(200, post(SECRET))
    assert.equal(1, #ended)
    assert.equal("completed", ended[1][1].status)
  end)

  it("refuses a forged event", function()
    assert.equal(400, post("another secret"))
    assert.same({}, ended)
  end)

  it("polls on where an event came too early", function()
    assert.equal(200, post(SECRET))
    patience.pump(guide.client, function() return #srv:requests() >= 3 end)
    assert.same({}, ended)
    srv:route("GET", "^", answers.DONE)
    patience.pump(guide.client, function() return #ended > 0 end)
    assert.equal("completed", ended[1][1].status)
  end)

  it("needs no event", function()
    srv:route("GET", "^", answers.DONE)
    patience.pump(guide.client, function() return #ended > 0 end)
    assert.equal("completed", ended[1][1].status)
    assert.equal(1, #ended)
  end)
end)
