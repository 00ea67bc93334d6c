-- Numbers that fit no integer, from the caller and from the server: the sanitizers see where one is cast.
local given = require "spec.support.given"
local rig = require "spec.support.rig"
local sora = require "sora"

local NUMBERS = { 1e300, -1e300, 1 / 0, -1 / 0, 0 / 0, 1e10, 9.3e18, 1.9e19, 4294967296.5, 1e-300, -1, 0 }
local TEXTS = { "1e300", "-1e300", "99999999999999999999999", "-99999999999999999999999", "inf", "nan",
  "9223372036854775808", "1e19", "-1" }

describe("a number that fits no integer", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  -- Makes a call that works, or raises because of its option.
  local function try(option, call)
    local good, problem = pcall(call)
    if not good then assert.matches(option, problem, 1, true) end
  end

  for _, option in ipairs { "timeout", "connect_timeout", "max_retries", "max_response_bytes",
    "max_connections" } do
    it("is an option of a client that works, or is refused: " .. option, function()
      srv:route("*", "^", { json = { id = "v", status = "completed" } })
      for _, value in ipairs(NUMBERS) do
        try(option, function()
          local own = rig.client(srv, { [option] = value })
          own:get_video("v")
          own:close()
        end)
      end
    end)
  end

  for _, option in ipairs { "timeout", "interval", "max_interval", "max_failures", "max_rate" } do
    it("is an option of a watch that works, or is refused: " .. option, function()
      srv:route("*", "^", { json = { id = "v", status = "completed" } })
      for _, value in ipairs(NUMBERS) do
        try(option, function() client:watch("v", { [option] = value }) end)
        client:update(0)
      end
    end)
  end

  for _, name in ipairs { "Retry-After", "retry-after-ms", "openai-poll-after-ms", "Content-Length" } do
    it("is no reason to crash in a header: " .. name, function()
      for _, text in ipairs(TEXTS) do
        srv:reset()
        srv:route("*", "^", { status = 429, headers = { [name] = text }, close = true })
        local _, err = client:get_video("v")
        assert.truthy(err.kind)
        client:watch("v", { interval = 0.01 })
        client:update(0)
      end
    end)
  end

  for _, name in ipairs { "created_at", "completed_at", "expires_at", "progress", "cost" } do
    it("is no reason to crash in a job: " .. name, function()
      for _, text in ipairs { "1e300", "-1e300", "1e19", '"1e300"', "99999999999999999999999" } do
        srv:reset()
        srv:route("*", "^", { body = ('{"id":"v","status":"queued","%s":%s}'):format(name, text) })
        local view = sora.normalize(assert(client:get_video("v")))
        assert.equal("queued", view.state)
      end
    end)
  end
end)
