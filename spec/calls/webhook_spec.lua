-- Webhooks: signatures made with the openssl command, checked with a clock of our own.
local core = require "sora.core"
local process = require "spec.support.process"
local sora = require "sora"
local webhook = require "sora.webhook"

local NOW = 1764649117
local KEY = "a key of some thirty-two bytes!!"
local SECRET = "whsec_YSBrZXkgb2Ygc29tZSB0aGlydHktdHdvIGJ5dGVzISE="
local BODY = '{"type":"video.completed","data":{"id":"video_1","status":"completed","output":'
  .. '{"url":"https://cdn.example/1.mp4"},"error":null}}'

-- The signature as somebody else makes it.
local function sign(text, key)
  local input = os.tmpname()
  process.spill(input, text)
  local command = "openssl dgst -sha256 -mac HMAC -macopt hexkey:%s -binary %s | openssl base64 -A"
  local signature = process.output(command:format(
    ((key or KEY):gsub(".", function(c) return ("%02x"):format(c:byte()) end)), input))
  os.remove(input)
  return "v1," .. signature
end

local function headers(changes)
  local all = { ["Webhook-Id"] = "msg_1", ["webhook-timestamp"] = tostring(NOW) }
  all["WEBHOOK-SIGNATURE"] = sign("msg_1." .. NOW .. "." .. BODY)
  for name, value in pairs(changes or {}) do all[name] = value or nil end
  return all
end

local function verify(given, body, secret, tolerance, now)
  return webhook.verify(given, body or BODY, secret or SECRET, tolerance, now or NOW)
end

describe("a webhook", function()
  it("that is signed gives its event", function()
    local event = assert(verify(headers()))
    assert.equal("video.completed", event.type)
    assert.is_nil(event.data.error)
    local view = sora.normalize(event)
    assert.same({ "completed", "https://cdn.example/1.mp4" }, { view.state, view.url })
  end)

  it("may be signed with a plain key, and its headers be looked up by a function", function()
    assert.truthy(verify(headers(), BODY, KEY))
    local lower = {}
    for name, value in pairs(headers()) do lower[name:lower()] = value end
    assert.truthy(verify(function(name) return lower[name] end))
    lower["webhook-id"] = { "msg_1" }
    assert.truthy(verify(lower))
  end)

  it("holds if one of several signatures does", function()
    local right = headers()["WEBHOOK-SIGNATURE"]
    local wrong = sign("msg_1." .. NOW .. "." .. BODY, "another key")
    assert.truthy(verify(headers{ ["WEBHOOK-SIGNATURE"] = wrong .. " v1a,AAAA " .. right }))
    assert.equal("webhook_forged", select(2, verify(headers{ ["WEBHOOK-SIGNATURE"] = wrong })).code)
    assert.equal("webhook_forged", select(2, verify(headers{
      ["WEBHOOK-SIGNATURE"] = (right:gsub("^v1", "v2")) })).code)
  end)

  it("that was changed in any place is forged", function()
    local cases = { { headers(), BODY .. " " }, { headers{ ["Webhook-Id"] = "msg_2" } },
      { headers{ ["webhook-timestamp"] = tostring(NOW + 1) } }, { headers(), BODY, "another secret" },
      { headers{ ["WEBHOOK-SIGNATURE"] = "v1," } }, { headers{ ["WEBHOOK-SIGNATURE"] = "v1,%%%" } } }
    for i, case in ipairs(cases) do
      local event, err = verify(case[1], case[2], case[3])
      assert.is_nil(event, "case " .. i)
      assert.same({ "api", "webhook_forged" }, { err.kind, err.code })
    end
  end)

  it("is stale after five minutes, or after the tolerance that is given", function()
    assert.truthy(verify(headers(), BODY, SECRET, nil, NOW + 300))
    assert.equal("webhook_stale", select(2, verify(headers(), BODY, SECRET, nil, NOW + 301)).code)
    assert.equal("webhook_stale", select(2, verify(headers(), BODY, SECRET, nil, NOW - 301)).code)
    assert.truthy(verify(headers(), BODY, SECRET, 3600, NOW + 3600))
    assert.equal("webhook_stale", select(2, sora.verify_webhook(headers(), BODY, SECRET)).code)
  end)

  it("without a header is unsigned", function()
    for _, name in ipairs{ "Webhook-Id", "webhook-timestamp", "WEBHOOK-SIGNATURE" } do
      assert.equal("webhook_unsigned", select(2, verify(headers{ [name] = false })).code)
    end
    assert.equal("webhook_unsigned", select(2, verify(headers{ ["webhook-timestamp"] = "now" })).code)
  end)

  it("that is refused says what was expected", function()
    local function message(...) return select(2, verify(...)).message end
    assert.equal("expected a webhook of the last 300 s, got one from 301 s ago",
      message(headers(), BODY, SECRET, nil, NOW + 301))
    assert.equal("expected a webhook of the last 60 s, got one from 61 s in the future",
      message(headers(), BODY, SECRET, 60, NOW - 61))
    assert.equal("expected the headers of a signed webhook, got none named webhook-id",
      message(headers { ["Webhook-Id"] = false }))
    assert.equal("expected the headers of a signed webhook, got none named webhook-timestamp (whole seconds)",
      message(headers { ["webhook-timestamp"] = "now" }))
  end)

  -- Whoever sends it need not know the secret.
  it("with a header of any length is refused at once", function()
    local long = ("a"):rep(60000)
    local function cost(call)
      local before = os.clock()
      call()
      return os.clock() - before
    end
    local pass = cost(function() assert.equal(60000, select(2, long:gsub(".", "%0"))) end)
    local reading = cost(function()
      local sent = { ["webhook-id"] = long, ["webhook-signature"] = long, ["webhook-timestamp"] = "1" }
      assert.equal("webhook_forged", select(2, webhook.verify(sent, BODY, KEY, nil, NOW)).code)
    end)
    assert.is_true(reading < 20 * pass, ("%g s where one pass takes %g s"):format(reading, pass))
  end)

  it("that holds no JSON is unreadable", function()
    local signature = sign("msg_1." .. NOW .. ".hello")
    assert.equal("webhook_unreadable",
      select(2, verify(headers{ ["WEBHOOK-SIGNATURE"] = signature }, "hello")).code)
  end)

  it("never shows the secret", function()
    local _, err = verify(headers(), BODY .. " ")
    for _, value in pairs(err) do assert.not_matches("YSBrZXk", tostring(value), 1, true) end
    assert.not_matches("YSBrZXk", tostring(err), 1, true)
  end)

  it("raises for misuse, naming the argument", function()
    for name, arguments in pairs{ headers = { 1, BODY, SECRET }, body = { {}, 1, SECRET },
      secret = { {}, BODY, "" }, tolerance = { {}, BODY, SECRET, -1 } } do
      local ok, problem = pcall(sora.verify_webhook, arguments[1], arguments[2], arguments[3], arguments[4])
      assert.is_false(ok)
      assert.matches("bad argument to 'verify_webhook' (" .. name .. ":", problem, 1, true)
    end
    assert.error_matches(function() sora.verify_webhook({}, BODY, "whsec_%%") end, "expected base64 after")
  end)
end)

describe("core.equal", function()
  it("compares bytes", function()
    assert.is_true(core.equal("a\0b", "a\0b"))
    assert.is_true(core.equal("", ""))
    assert.is_false(core.equal("a", "b"))
    assert.is_false(core.equal("a", "ab"))
  end)
end)

describe("core.hmac_sha256", function()
  it("is that of RFC 4231, test case 2", function()
    local digest = core.hmac_sha256("Jefe", "what do ya want for nothing?")
    assert.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      (digest:gsub(".", function(c) return ("%02x"):format(c:byte()) end)))
  end)
end)
