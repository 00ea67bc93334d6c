-- Faults on demand, and what the development server tells of itself, over HTTP.
local control = require "sora.server.control"
local curl = require "spec.support.curl"
local process = require "spec.support.process"

describe("the control surface", function()
  local program

  setup(function() program = process.serve { "--duration", 0, "--quiet" } end)
  teardown(function() program:stop() end)
  after_each(function() curl.get(program.origin .. "/dev/faults", { "-X", "DELETE" }) end)

  local function fault(list)
    local answer = curl.post(program.origin .. "/dev/faults", list)
    assert.are.equal(200, answer.status, answer.body)
    return answer.json.faults
  end

  local function list(options)
    return curl.get(program.url .. "/videos", options)
  end

  local function jobs()
    return curl.get(program.origin .. "/dev/stats").json.jobs_created
  end

  it("answers with what it is told", function()
    local headers = { ["Content-Type"] = "text/html", ["X-A"] = "b" }
    fault { { times = 1, status = 502, body = "<html>", headers = headers } }
    local answer = list()
    assert.are.same({ 502, "<html>", "text/html", "b" },
      { answer.status, answer.body, answer.headers["content-type"], answer.headers["x-a"] })
    assert.are.equal(200, list().status)
  end)

  it("answers 200 when only a body is given, and with nothing when that is empty", function()
    fault { { body = "" } }
    local answer = list()
    assert.are.same({ 200, "", "0" }, { answer.status, answer.body, answer.headers["content-length"] })
    fault { { body = "never reached" } }
    assert.are.equal("", list().body)
  end)

  it("removes headers", function()
    fault { { headers = { ["content-type"] = false, ["x-request-id"] = false } } }
    local answer = list()
    assert.are.equal(200, answer.status)
    assert.is_nil(answer.headers["content-type"])
    assert.is_nil(answer.headers["x-request-id"])
  end)

  it("redirects, and answers without a body", function()
    local headers = { location = program.origin .. "/elsewhere" }
    fault { { status = 302, headers = headers, times = 1 }, { status = 204 } }
    assert.are.equal(program.origin .. "/elsewhere", list().headers.location)
    local answer = list()
    assert.are.same({ 204, 0, "" }, { answer.status, answer.exit, answer.body })
  end)

  it("does not look at a request that it answers with a fault", function()
    local before = jobs()
    fault { { status = 503 } }
    assert.are.equal(503, curl.post(program.url .. "/videos", { prompt = "p" }).status)
    assert.are.equal(before, jobs())
  end)

  it("closes the connection without an answer", function()
    local before = jobs()
    fault { { close = true } }
    local answer = curl.post(program.url .. "/videos", { prompt = "p" })
    assert.are.same({ 0, 52 }, { answer.status, answer.exit }) -- 52: nothing came back
    assert.are.equal(before, jobs())
  end)

  it("loses an answer after the work is done", function()
    local before = jobs()
    fault { { close = true, process = true, times = 1 }, { status = 504, body = "late", process = true } }
    assert.are.equal(52, curl.post(program.url .. "/videos", { prompt = "p" }).exit)
    assert.are.equal(before + 1, jobs())
    local answer = curl.post(program.url .. "/videos", { prompt = "p" })
    assert.are.same({ 504, "late" }, { answer.status, answer.body })
    assert.are.equal(before + 2, jobs())
  end)

  it("closes a connection after an answer, without saying so", function()
    fault { { close = "after", times = 1 } }
    local before = curl.get(program.origin .. "/dev/stats").json.connections
    local answer = curl.get(program.url .. "/videos?[1-3]")
    assert.are.same({ 200, 0, nil }, { answer.status, answer.exit, answer.headers.connection })
    assert.are.equal(before + 2, curl.get(program.origin .. "/dev/stats").json.connections)
  end)

  it("breaks off in the middle of a body", function()
    fault { { truncate = 10, times = 1 }, { truncate = 0, times = 1 }, { truncate = 1000000, times = 1 } }
    local answer = list()
    assert.are.same({ 200, 18, 10 }, { answer.status, answer.exit, #answer.body }) -- 18: partial file
    assert.is_true(tonumber(answer.headers["content-length"]) > 10)
    assert.are.equal(18, list().exit)
    assert.are.equal(0, list().exit)
  end)

  it("breaks off in the middle of a film", function()
    local made = curl.post(program.url .. "/videos", { prompt = "p", dev = { content_bytes = 1000000 } }).json
    fault { { match = { path = "/content$" }, truncate = 600000, times = 1 } }
    local url = program.url .. "/videos/" .. made.id .. "/content"
    local part = curl.get(url)
    assert.are.same({ 18, 600000 }, { part.exit, #part.body })
    assert.are.equal(1000000, #curl.get(url).body)
  end)

  it("stalls before it breaks off", function()
    fault { { truncate = 10, stall = 30 } }
    local answer = list { "--max-time", "0.3" }
    assert.are.same({ 28, 10 }, { answer.exit, #answer.body }) -- 28: time is up
  end)

  it("delays answers, after the work is done", function()
    local before = jobs()
    fault { { delay = 30, match = { method = "POST" } } }
    assert.are.equal(28, curl.post(program.url .. "/videos", { prompt = "p" }, { "--max-time", "0.3" }).exit)
    assert.are.equal(before + 1, jobs())
    assert.are.equal(200, list().status)
  end)

  it("matches decoded paths", function()
    fault { { match = { path = "/a b/c$" }, status = 418 } }
    assert.are.equal(418, curl.get(program.url .. "/videos/a%20b%2Fc").status)
  end)

  it("tells how often each fault was seen and used", function()
    local faults = fault { { status = 500, after = 1, times = 1 } }
    assert.are.same({ { fault = { status = 500, after = 1, times = 1 }, seen = 0, used = 0 } }, faults)
    assert.are.same({ 200, 500, 200 }, { list().status, list().status, list().status })
    faults = curl.get(program.origin .. "/dev/faults").json.faults
    assert.are.same({ 2, 1 }, { faults[1].seen, faults[1].used })
    assert.are.equal('{"faults":[]}', curl.get(program.origin .. "/dev/faults", { "-X", "DELETE" }).body)
  end)

  it("takes one fault without a list, and an empty list", function()
    assert.are.equal(0, #fault "[]")
    assert.are.equal(1, #fault { status = 500 })
  end)

  it("says what is wrong with a fault", function()
    for body, message in pairs {
      ["nonsense"] = "the body must be a fault or a list of faults",
      ['[{"status":500},{"status":1}]'] = "fault 2: status must be a number from 200 to 999",
      ['{"match":{"path":"("}}'] = "fault 1: match must be an object with method and path (a Lua pattern)",
    } do
      local answer = curl.post(program.origin .. "/dev/faults", body)
      assert.are.same({ 400, message }, { answer.status, answer.json.error })
    end
    assert.are.equal(200, list().status)
  end)

  it("remembers the requests, but no keys", function()
    curl.get(program.url .. "/videos/a%2Fb?x=1%202", { "-H", "Authorization: Bearer secret-1", "-H",
      "x-api-key: secret-2", "-H", "X-Odd: a", "-H", "X-Odd: b" })
    local answer = curl.get(program.origin .. "/dev/requests")
    local last = answer.json.requests[#answer.json.requests]
    assert.are.same({ "GET", "/v1/videos/a/b", "/v1/videos/a%2Fb?x=1%202", { x = "1 2" }, 404 },
      { last.method, last.path, last.target, last.query, last.status })
    assert.are.same({ "present", "present", "a, b" },
      { last.headers.authorization, last.headers["x-api-key"], last.headers["x-odd"] })
    assert.is_nil(answer.body:find("secret", 1, true))
    assert.is_number(last.time)
    assert.is_number(last.connection)
  end)

  it("counts a closed connection as status 0", function()
    local function closed()
      return curl.get(program.origin .. "/dev/stats").json.requests_by_status["0"] or 0
    end
    local before = closed()
    fault { { close = true } }
    list()
    assert.are.equal(before + 1, closed())
  end)

  it("keeps the last thousand requests", function()
    curl.get(program.url .. "/videos/none?n=[1-1005]")
    local requests = curl.get(program.origin .. "/dev/requests").json.requests
    assert.are.equal(1000, #requests)
    assert.are.equal("6", requests[1].query.n)
    assert.are.equal("1005", requests[1000].query.n)
  end)

  it("is not recorded itself, needs no key and meets no faults", function()
    local keyed = process.serve { "--api-key", "k", "--quiet" }
    curl.post(keyed.origin .. "/dev/faults", { status = 500 })
    local stats = curl.get(keyed.origin .. "/dev/stats")
    assert.are.same({ 200, 0, 0 }, { stats.status, stats.json.requests, stats.json.connections })
    keyed:stop()
  end)

  it("shows what a job was made from", function()
    local fields = { prompt = "p", num_frames = 5, extra = { a = { 1 } } }
    local id = curl.post(program.url .. "/videos", fields).json.id
    assert.are.same({ id = id, fields = fields, files = {} },
      curl.get(program.origin .. "/dev/jobs/" .. id).json)
    assert.are.equal(404, curl.get(program.origin .. "/dev/jobs/nobody").status)
  end)

  it("answers on loopback alone", function()
    local surface = control.new { jobs = { created = 3, count = 2 } }
    local request = { method = "GET", segments = { "dev", "stats" } }
    assert.are.equal(200, surface:handle(request, true).status)
    local refused = surface:handle(request, false)
    assert.are.equal(403, refused.status)
    assert.is_nil(refused.body:find("jobs", 1, true))
  end)

  it("answers 404 to anything else", function()
    for _, path in ipairs { "/dev", "/dev/", "/dev/nothing", "/dev/stats/x", "/dev/jobs" } do
      assert.are.equal(404, curl.get(program.origin .. path).status, path)
    end
    assert.are.equal(404, curl.post(program.origin .. "/dev/stats", "{}").status)
  end)
end)
