-- The webhooks that the development server sends, as sora.verify_webhook reads them.
local curl = require "spec.support.curl"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local process = require "spec.support.process"
local sora = require "sora"
local webhook = require "sora.server.webhook"

local SECRET = "whsec_c29yYSBzcGVj"

describe("the development server's webhooks", function()
  local receiver = given.server()
  local program

  local function serve(...)
    program = process.serve { "--duration", "0.1", "--quiet", ... }
  end

  before_each(function() receiver:route("POST", "/hook", { status = 204 }) end)
  after_each(function() program:stop() end)

  local function create(fields)
    fields.prompt = "a boat"
    local answer = curl.post(program.url .. "/videos", fields)
    assert.equal(200, answer.status, answer.body)
    return answer.json.id
  end

  local function receive(n)
    return receiver:wait_requests(n)[n]
  end

  it("tell that a job is completed, signed", function()
    serve("--webhook", receiver.url .. "/hook", "--webhook-secret", SECRET)
    local id = create {}
    local request = receive(1)
    assert.equal("application/json", request.headers["content-type"])
    local event = assert(sora.verify_webhook(request.headers, request.body, SECRET))
    assert.same({ "event", "video.completed", id }, { event.object, event.type, event.data.id })
    assert.same({ event.id, "completed" },
      { request.headers["webhook-id"], sora.normalize(event.data).state })
    local _, err = sora.verify_webhook(request.headers, request.body, "other")
    assert.equal("webhook_forged", err.code)
    assert.equal("completed", curl.get(program.url .. "/videos/" .. id).json.status)
  end)

  it("go where a create says, with its secret", function()
    serve("--webhook", receiver.url .. "/elsewhere", "--webhook-secret", "other")
    create { webhook_url = receiver.url .. "/hook", dev = { webhook_secret = "plain", fail = "x" } }
    local request = receive(1)
    assert.equal("/hook", request.target)
    assert.equal("video.failed", assert(sora.verify_webhook(request.headers, request.body, "plain")).type)
  end)

  it("are not signed without a secret", function()
    serve()
    create { webhook_url = receiver.url .. "/hook" }
    local request = receive(1)
    assert.is_nil(request.headers["webhook-signature"])
    assert.matches("^%d+$", request.headers["webhook-timestamp"])
  end)

  it("tell at once that a job is cancelled", function()
    serve("--webhook", receiver.url .. "/hook")
    local id = create { dev = { duration = 3600 } }
    assert.equal(200, curl.post(program.url .. "/videos/" .. id .. "/cancel", "").status)
    assert.matches('"type":"video.cancelled"', receive(1).body, 1, true)
  end)

  it("are repeated with the same id until they are received", function()
    receiver:route("POST", "/hook", { { status = 503 }, { status = 204 } })
    serve("--webhook", receiver.url .. "/hook", "--webhook-secret", SECRET)
    create {}
    local first, second = receive(1), receive(2)
    assert.equal(first.headers["webhook-id"], second.headers["webhook-id"])
    assert.equal(first.body, second.body)
    assert.is_table(sora.verify_webhook(second.headers, second.body, SECRET))
  end)

  it("do not end the server when nobody receives them, and not when a job is deleted", function()
    serve("--webhook", httpd.refused_url() .. "/nobody")
    create {}
    local id = create { dev = { duration = 3600 } }
    assert.equal(200, curl.get(program.url .. "/videos/" .. id, { "-X", "DELETE" }).status)
    assert.equal(200, curl.get(program.url .. "/videos").status)
  end)

  it("are signed over id, time and body", function()
    serve()
    local headers = { ["webhook-id"] = "evt_1", ["webhook-timestamp"] = "1700000000" }
    for _, secret in ipairs { SECRET, "plain" } do
      headers["webhook-signature"] = webhook.sign(secret, "evt_1", 1700000000, "{}")
      assert.is_table(require("sora.webhook").verify(headers, "{}", secret, nil, 1700000000))
    end
  end)
end)
