-- core.start_poll: a poll of a watched job. It does not decode an answer that is known, and makes no garbage.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"

local RUNNING, FURTHER = answers.RUNNING, answers.job("in_progress", { progress = 41 })

describe("a poll", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  -- What on_done gets.
  local function poll(seen, opts)
    local got
    opts = opts or {}
    opts.on_done = function(...) got = { n = select("#", ...), ... } end
    assert(core.start_poll(client, "v", opts, seen))
    return patience.pump(client, function() return got end)
  end

  it("gives the answer and its digest, and true for an answer with the same digest", function()
    srv:reply(RUNNING, RUNNING, FURTHER, FURTHER, RUNNING)
    local first = poll()
    assert.same(RUNNING.json, first[1])
    assert.equal("number", type(first[4]))
    assert.same({ n = 4, true, nil, nil, first[4] }, poll(first[4]))
    local further = poll(first[4])
    assert.same(FURTHER.json, further[1])
    assert.are_not.equal(first[4], further[4])
    assert.is_true(poll(further[4])[1])
    assert.same(first, poll(further[4]))
  end)

  it("gives the server's poll hint", function()
    local asks = { json = RUNNING.json, headers = { ["openai-poll-after-ms"] = "1500" } }
    srv:reply(asks, asks)
    local got = poll()
    assert.equal(1.5, got[3])
    assert.same({ n = 4, true, nil, 1.5, got[4] }, poll(got[4]))
  end)

  it("gives nil and the error for a failed poll, whatever digest was given", function()
    local refusal = { json = { error = { message = "busy", code = "overloaded" } } }
    srv:reply(RUNNING, { status = 502, json = RUNNING.json }, refusal, refusal, { body = "OK" }, RUNNING)
    local seen = poll()[4]
    local bad = poll(seen)
    assert.same({ nil, "api", 502 }, { bad[1], bad[2].kind, bad[2].status })
    bad = poll(seen)
    assert.same({ nil, "api", "busy" }, { bad[1], bad[2].kind, bad[2].message })
    bad = poll(seen)
    assert.same({ nil, "api" }, { bad[1], bad[2].kind })
    assert.equal("decode", poll(seen)[2].kind)
    assert.is_true(poll(seen)[1])
  end)

  it("accepts the options of a call", function()
    srv:reply(RUNNING)
    poll(nil, { headers = { ["X-Tenant"] = "7" }, query = { a = 1 } })
    local request = srv:requests()[1]
    assert.same({ "/v1/videos/v?a=1", "7" }, { request.target, request.headers["x-tenant"] })
  end)

  it("that is cancelled gets a cancelled error", function()
    srv:reply { hold = true }
    local err
    local handle = core.start_poll(client, "v", { on_done = function(_, problem) err = problem end })
    client:update(0.05)
    assert.is_true(handle:cancel())
    client:update(0.05)
    assert.equal("cancelled", err.kind)
  end)

  it("makes no garbage that grows with the answer, if that is the same", function()
    local LONG, COUNT = 100000, 50
    srv:route("*", "^", { json = { id = "v", status = "in_progress", prompt = ("p"):rep(LONG) } })
    local count, seen, opts = 0, nil, {}
    function opts.on_done(_, _, _, digest)
      count, seen = count + 1, digest
    end
    local function run(many)
      for i = count + 1, count + many do
        core.start_poll(client, "v", opts, seen)
        while count < i do core.update(client, 1) end
      end
    end
    run(COUNT)
    collectgarbage()
    collectgarbage("stop")
    finally(function() collectgarbage("restart") end)
    local before = collectgarbage("count")
    run(COUNT)
    local bytes = (collectgarbage("count") - before) / COUNT * 1024
    assert.is_true(bytes < LONG / 100, ("%.0f bytes a poll"):format(bytes))
  end)

  it("may be started in the on_done of another, and disturbs neither", function()
    srv:route("*", "^", RUNNING)
    local got = {}
    core.start_poll(client, "a", { on_done = function(video)
      core.start_poll(client, "b", { on_done = function(other) got[2] = other end })
      client:update(0.05)
      got[1] = video
    end })
    patience.pump(client, function() return got[1] and got[2] end)
    assert.same({ RUNNING.json, RUNNING.json }, got)
    assert.same({ "/v1/videos/a", "/v1/videos/b" }, rig.pluck(srv:requests(), "target"))
  end)
end)
