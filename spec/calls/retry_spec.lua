-- Which requests are retried, how often and how soon; and that those that may be paid for twice are not.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local rig = require "spec.support.rig"

local SOON = { ["retry-after-ms"] = "1" }
local VIDEO = answers.VIDEO

local function refused(status, headers)
  return { status = status, body = '{"error":{"message":"no"}}', headers = headers or SOON }
end

describe("retries", function()
  local srv = given.server()

  -- Makes one call, and gives its results and the events it led to, by kind.
  local function perform(url, call, options)
    local list, on_event = rig.collector()
    local client = rig.client(url, answers.with({ on_event = on_event, max_retries = 2 }, options))
    local video, err = call(client)
    client:close()
    local events = { request = {}, retry = {}, response = {} }
    for _, event in ipairs(list) do table.insert(events[event.event], event) end
    return video, err, events
  end

  local CALLS = {
    GET = function(client) return client:get_video("v") end,
    DELETE = function(client) return core.call(client, { method = "DELETE", path = "/videos/v" }) end,
    POST = function(client) return client:create_video{ prompt = "p" } end,
    ["POST with an idempotency key"] = function(client)
      return client:create_video({ prompt = "p" }, { idempotency_key = "once" })
    end,
  }

  -- How many attempts a call makes when it meets `answer` each time.
  local function attempts(call, answer, options)
    srv:reset()
    srv:route("*", "^", answer)
    local video, err, events = perform(srv.url, CALLS[call], options)
    assert.is_nil(video)
    assert.equal(#srv:requests(), err.attempts)
    assert.equal(#srv:requests(), #events.request)
    assert.equal(#srv:requests() - 1, #events.retry)
    return err.attempts, err
  end

  local PASSING = { 408, 409, 425, 429, 500, 501, 502, 503, 504, 524, 529 }
  local FINAL = { 300, 304, 400, 401, 402, 403, 404, 405, 410, 413, 415, 422, 451 }

  for _, call in ipairs{ "GET", "DELETE", "POST with an idempotency key" } do
    it(call .. ": after each retryable status", function()
      for _, status in ipairs(PASSING) do assert.equal(3, (attempts(call, refused(status))), status) end
    end)

    it(call .. ": after no other status", function()
      for _, status in ipairs(FINAL) do assert.equal(1, (attempts(call, refused(status))), status) end
    end)
  end

  -- A mesh answers 503 when the connection to the server broke after the request, a proxy 408 when the server
  -- took too long. In both cases there may be a job.
  it("POST: after 429, and after a 503 that asks for a later time", function()
    for _, headers in ipairs{ SOON, { ["Retry-After"] = "0" }, { ["Retry-After"] = rig.http_date(-1) } } do
      for _, status in ipairs(PASSING) do
        local wanted = (status == 429 or status == 503) and 3 or 1
        local count, err = attempts("POST", refused(status, headers))
        assert.equal(wanted, count, status)
        assert.equal((status >= 500 and status ~= 503 or status == 408) or nil, err.ambiguous, status)
      end
    end
    for _, status in ipairs(FINAL) do assert.equal(1, (attempts("POST", refused(status))), status) end
  end)

  it("POST: not after a 503 without a time, nor with one that can't be read; it is ambiguous", function()
    for _, headers in ipairs{ {}, { ["Retry-After"] = "soon" }, { ["retry-after-ms"] = "-1" },
      { ["x-should-retry"] = "true" } } do
      local count, err = attempts("POST", refused(503, headers))
      assert.same({ 1, true, false }, { count, err.ambiguous, err.retryable })
    end
    assert.equal(3, (attempts("POST", refused(429, { ["Retry-After"] = "0" }))))
  end)

  it("POST: not after a 503 that asks for more than 120 s, which made no job", function()
    local count, err = attempts("POST", refused(503, { ["Retry-After"] = "121" }))
    assert.same({ 1, nil, true, 121 }, { count, err.ambiguous, err.retryable, err.retry_after })
  end)

  it("are as many as max_retries says", function()
    assert.equal(3, (attempts("GET", refused(500), { max_retries = rig.NONE }))) -- 2 by default
    for _, n in ipairs{ 0, 1, 2, 5 } do
      assert.equal(n + 1, (attempts("GET", refused(500), { max_retries = n })))
      assert.equal(n + 1, (attempts("POST", refused(503), { max_retries = n })))
    end
    local client = rig.client(srv, { max_retries = 5 })
    local _, err = client:get_video("v", { max_retries = 1 })
    client:close()
    assert.equal(2, err.attempts)
  end)

  it("end with the first answer that is good", function()
    srv:reply(refused(500), refused(429), VIDEO, VIDEO)
    local video, err, events = perform(srv.url, CALLS.GET)
    assert.same({ id = "v" }, video)
    assert.is_nil(err)
    assert.same({ 3, 3, 2, 1 }, { #srv:requests(), #events.request, #events.retry, #events.response })
  end)

  it("end with the first answer that is final", function()
    srv:reply(refused(500), refused(404))
    local _, err = perform(srv.url, CALLS.GET)
    assert.same({ 404, 2 }, { err.status, err.attempts })
  end)

  it("are counted in response.attempts", function()
    srv:reply(refused(500), VIDEO)
    local client = rig.client(srv, { max_retries = 2 })
    local response = select(3, client:get_video("v", { response = true }))
    client:close()
    assert.equal(2, response.attempts)
  end)

  it("carry nothing over from the attempt before", function()
    srv:reply({ status = 500, body = "first", headers = { ["retry-after-ms"] = "1", ["X-A"] = "1" } },
      { status = 400 })
    local _, err = perform(srv.url, CALLS.GET)
    assert.same({ 400, "the server answered 400" }, { err.status, err.message })
    assert.same({}, { err.body, err.retry_after })
  end)

  describe("after a failure of the transport", function()
    -- Whether a call is repeated, or the error that it ends with. Nobody sits through the wait between.
    local function outcome(url, call, options)
      local client, repeated
      local settings = { max_retries = 1, on_event = function(event)
        if event.event ~= "retry" then return end
        repeated = true
        client:close()
      end }
      client = rig.client(url, answers.with(settings, options))
      local _, err = CALLS[call](client)
      client:close()
      return repeated or err
    end

    -- In these the server has read the request.
    local AMBIGUOUS = { ["no answer"] = { close = true }, ["a reset"] = { reset = true },
      ["a body cut off"] = { body = "{}", truncate = 1 }, garbage = { raw = "\1\2", close = true },
      ["a time-out"] = { hold = true } }
    for name, answer in pairs(AMBIGUOUS) do
      it("are made, but never of a POST: " .. name, function()
        srv:route("*", "^", answer)
        local quick = { timeout = answer.hold and 0.4 or 20 }
        for _, call in ipairs{ "GET", "DELETE", "POST with an idempotency key" } do
          assert.is_true(outcome(srv.url, call, quick), call)
        end
        local err = outcome(srv.url, "POST", quick)
        assert.same({ 1, true, false }, { err.attempts, err.ambiguous, err.retryable })
        assert.equal(4, #srv:wait_requests(4))
      end)
    end

    it("are sent to the server", function()
      assert.equal(2, (attempts("GET", { close = true }, { max_retries = 1 })))
    end)

    it("are made of every request that was never sent", function()
      local nowhere = { [httpd.refused_url()] = "connect", [httpd.blackhole()] = "timeout",
        ["http://nowhere.invalid"] = "dns" }
      for url, kind in pairs(nowhere) do
        local limit = kind == "timeout" and 0.05 or 20 -- the others fail by themselves
        for call in pairs(CALLS) do
          assert.is_true(outcome(url, call, { connect_timeout = limit }), url .. call)
          local err = outcome(url, call, { connect_timeout = limit, max_retries = 0 })
          assert.same({ kind, 1, true }, { err.kind, err.attempts, err.retryable })
          assert.is_nil(err.ambiguous)
        end
      end
    end)

    it("are not made after a response that can't be read", function()
      assert.equal(1, (attempts("GET", { body = "no JSON" })))
      assert.equal(1, (attempts("GET", { json = { error = "no" } })))
      local _, err = perform(srv.url, CALLS.GET, { max_response_bytes = 1 })
      assert.same({ "too_large", 1 }, { err.kind, err.attempts })
    end)
  end)

  it("of a POST with an idempotency key send the same key each time", function()
    srv:reply(refused(500), { close = true }, { status = 201, body = '{"id":"v"}' })
    local video = perform(srv.url, CALLS["POST with an idempotency key"])
    assert.same({ id = "v" }, video)
    local requests = srv:requests()
    assert.equal(3, #requests)
    for _, request in ipairs(requests) do
      assert.same({ "once", requests[1].body }, { request.headers["idempotency-key"], request.body })
    end
  end)

  describe("wait", function()
    -- The delays of a call that meets these answers; one longer than `patience` is ended by close.
    local function delays(patience, ...)
      srv:reset()
      srv:reply(...)
      local list = {}
      local client
      client = rig.client(srv, { max_retries = 3, on_event = function(event)
        if event.event ~= "retry" then return end
        list[#list + 1] = event.delay
        if event.delay > patience then client:close() end
      end })
      local video, err = client:get_video("v")
      client:close()
      return list, video, err
    end

    it("half a second, then a whole one, less up to a quarter", function()
      local list, video = delays(1, refused(500, {}), refused(500, {}), VIDEO)
      assert.same({ id = "v" }, video)
      assert.equal(2, #list)
      assert.is_true(list[1] > 0.375 and list[1] <= 0.5, list[1])
      assert.is_true(list[2] > 0.75 and list[2] <= 1, list[2])
    end)

    it("at least as long as retry-after-ms says", function()
      srv:reply(refused(500, { ["retry-after-ms"] = "60" }), VIDEO)
      perform(srv.url, CALLS.GET)
      local requests = srv:requests()
      local waited = requests[2].at - requests[1].at
      assert.is_true(waited >= 0.06)
    end)

    -- headers and the delay that they ask for
    local ASKED = {
      { { ["retry-after-ms"] = "20" }, 0.02 },
      { { ["retry-after-ms"] = "0" }, 0 },
      { { ["retry-after-ms"] = "1.5" }, 0.0015 },
      { { ["Retry-After"] = "0" }, 0 },
      { { ["Retry-After"] = "0.03" }, 0.03 },
      { { ["Retry-After"] = " 120 " }, 120 },
      { { ["Retry-After"] = "60", ["retry-after-ms"] = "5" }, 0.005 },
      { { ["Retry-After"] = "2", ["retry-after-ms"] = "soon" }, 2 },
      { { ["Retry-After"] = "Wed, 21 Oct 2015 07:28:00 GMT" }, 0 },
    }
    for _, case in ipairs(ASKED) do
      local name, value = next(case[1])
      it(("what the server asks for: %s: %s"):format(name, value), function()
        local list = delays(0.1, refused(429, case[1]), VIDEO)
        assert.equal(1, #list)
        assert.is_true(math.abs(list[1] - case[2]) < 1e-9, list[1])
      end)
    end

    it("until the date in Retry-After", function()
      local list = delays(0.1, refused(503, { ["Retry-After"] = rig.http_date(30) }), VIDEO)
      assert.is_true(list[1] > 25 and list[1] <= 30, list[1])
    end)

    it("the usual time when Retry-After can't be read", function()
      for _, value in ipairs{ "soon", "-1", "", "1e1", "0x10", "inf", "nan", "1,5", "12 parsecs" } do
        local list = delays(0.1, refused(429, { ["Retry-After"] = value }), VIDEO)
        assert.is_true(#list == 1 and list[1] > 0.375 and list[1] <= 0.5, value)
      end
    end)

    it("not at all when the server asks for more than 120 s", function()
      for _, headers in ipairs{ { ["Retry-After"] = "121" }, { ["Retry-After"] = rig.http_date(3600) },
        { ["retry-after-ms"] = "120001" }, { ["Retry-After"] = "99999999999999999999" } } do
        local list, _, err = delays(0.1, refused(429, headers), VIDEO)
        assert.same({}, list)
        assert.same({ 429, 1, true }, { err.status, err.attempts, err.retryable })
        assert.is_true(err.retry_after > 120)
      end
    end)

    it("no longer than until the client is closed", function()
      local list, video, err = delays(0.1, refused(429, { ["Retry-After"] = "100" }))
      assert.equal(100, list[1])
      assert.is_nil(video)
      assert.equal("closed", err.kind)
    end)
  end)

  describe("obey x-should-retry", function()
    local function advised(status, advice)
      return refused(status, { ["retry-after-ms"] = "1", ["x-should-retry"] = advice })
    end

    it("false", function()
      for _, call in ipairs{ "GET", "DELETE", "POST", "POST with an idempotency key" } do
        local count, err = attempts(call, advised(503, "false"))
        assert.same({ 1, false }, { count, err.retryable }, call)
      end
      assert.equal(1, (attempts("POST", advised(429, "false"))))
    end)

    it("true", function()
      for _, call in ipairs{ "GET", "DELETE", "POST with an idempotency key" } do
        local count, err = attempts(call, advised(400, "true"))
        assert.same({ 3, true }, { count, err.retryable }, call)
      end
    end)

    it("true, but not of a POST that may be paid for twice", function()
      for _, status in ipairs{ 408, 409, 425, 500, 502, 504 } do
        assert.equal(1, (attempts("POST", advised(status, "true"))), status)
      end
    end)

    it("and no other word", function()
      assert.equal(3, (attempts("GET", advised(500, "maybe"))))
      assert.equal(1, (attempts("GET", advised(400, "1"))))
    end)
  end)
end)
