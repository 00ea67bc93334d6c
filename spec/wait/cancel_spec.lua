-- cancel_on_timeout: a job that is not over in time is cancelled, whoever waits for it and however.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"

local QUEUED, DONE = answers.QUEUED, answers.DONE
local CANCEL = "/v1/videos/v/cancel"
local TOO_LATE = { status = 409, json = { error = { code = "video_not_cancellable", message = "too late" } } }
local OPTS = { interval = 0.01, max_interval = 0.01, timeout = 0.05, cancel_on_timeout = true }

describe("cancel_on_timeout", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function()
    client = rig.client(srv)
    srv:route("GET", "^", QUEUED)
    srv:route("POST", "/v1/videos", QUEUED)
    srv:route("POST", CANCEL, { json = { id = "v", status = "cancelled" } })
  end)
  after_each(function() client:close() end)

  local function cancels()
    local count = 0
    for _, request in ipairs(srv:requests()) do
      if request.method == "POST" and request.target == CANCEL then count = count + 1 end
    end
    return count
  end

  -- Ways to wait for the job "v"; each returns the results of the wait.
  local WAYS = {
    wait = function(opts) return client:wait("v", opts) end,
    wait_all = function(opts)
      local result = client:wait_all({ "v" }, opts)[1]
      return result.video, result.err
    end,
    watch = function(opts) return patience.result(client, assert(client:watch("v", opts))) end,
    create_and_wait = function(opts) return client:create_and_wait({ prompt = "p" }, opts) end,
    ["create_and_wait, started"] = function(opts)
      return patience.result(client, assert(client:start("create_and_wait", { prompt = "p" }, opts)))
    end,
    create_and_download = function(opts)
      return client:create_and_download({ prompt = "p" }, files:at "film.mp4", opts)
    end,
    ["wait, through a pause hook"] = function(opts)
      client.pause = function(self, seconds) self:update(math.min(seconds, 0.01)) end
      return client:wait("v", opts)
    end,
    ["wait, by poll"] = function(opts)
      local good, err = pcall(function() for _ in client:poll("v", opts) do end end) -- luacheck: ignore 542
      return good or nil, err
    end,
  }

  for name, wait in pairs(WAYS) do
    it("cancels once: " .. name, function()
      local video, err = wait(OPTS)
      assert.same({ nil, "deadline", true, nil }, { video, err.kind, err.cancelled, err.cancel_error })
      assert.equal("queued", err.video.status)
      assert.equal(1, cancels())
      assert.equal(0, client:update(0))
    end)

    it("says why the server did not cancel: " .. name, function()
      srv:route("POST", CANCEL, { status = 404, json = { error = { message = "no such path" } } })
      local _, err = wait(OPTS)
      assert.same({ "deadline", false, 404 }, { err.kind, err.cancelled, err.cancel_error.status })
      assert.equal(1, cancels())
    end)
  end

  it("returns a video that was completed before it could be cancelled", function()
    srv:route("POST", CANCEL, { status = 409, json = TOO_LATE.json, delay = 0.05 })
    local job = assert(client:watch("v", OPTS))
    patience.pump(client, function() return cancels() == 1 end)
    assert.is_false(job:done())
    srv:route("GET", "^", DONE)
    local video, err = patience.result(client, job)
    assert.is_nil(err)
    assert.equal("completed", video.status)
  end)

  it("returns the deadline where the job goes on all the same", function()
    srv:route("POST", CANCEL, TOO_LATE)
    local _, err = client:wait("v", OPTS)
    assert.same({ "deadline", false, "video_not_cancellable" },
      { err.kind, err.cancelled, err.cancel_error.code })
  end)

  it("does not cancel a job that ends in time, or whose wait is cancelled", function()
    srv:route("GET", "^", DONE)
    assert(client:wait("v", OPTS))
    srv:route("GET", "^", QUEUED)
    local _, err = client:wait("v", answers.with({ on_progress = function() return false end }, OPTS))
    assert.equal("cancelled", err.kind)
    assert.equal(0, cancels())
  end)

  it("ends with its client", function()
    srv:route("POST", CANCEL, answers.HELD)
    local heard = 0
    local job = assert(client:watch("v", answers.with({ on_done = function() heard = heard + 1 end }, OPTS)))
    patience.pump(client, function() return cancels() == 1 end)
    assert.is_false(job:done())
    assert.is_false(job:cancel())
    client:close()
    assert.is_true(job:done())
    local _, err = job:result()
    assert.same({ "deadline", false }, { err.kind, err.cancelled })
    assert.equal(0, heard)
  end)

  it("takes true or false", function()
    assert.error_matches(function() client:wait("v", { cancel_on_timeout = 1 }) end,
      "option 'cancel_on_timeout': expected a boolean, got number")
  end)
end)
