-- A job from create to file in each mode of the development server: blocking, through the adapter for
-- coroutines, and started. The table below says what must come of it: the file, or which error.
local answers = require "spec.support.answers"
local facts = require "spec.support.facts"
local given = require "spec.support.given"
local media = require "sora.server.media"
local modes = require "sora.server.modes"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local sora = require "sora"

local PROMPT = "a boat"
local film = media.open("video", nil, PROMPT)
local FILM = film.read(0, film.length)
local WEBP = "RIFF\26\0\0\0WEBPVP8L\13\0\0\0\47\0\0\0\16\7\16\17\17\136\136\254\7\0"
local OPTS = { interval = 0.03, max_interval = 0.03, timeout = 20 }

-- By mode: `file`, or fields of the error (`message` is found in its message); more fields of the create
-- (`params`); `grace`, the seconds to wait for a late file (10).
local EXPECTED = {
  ["sync-film"] = { file = true },
  ["base-resp"] = { kind = "api", message = "insufficient balance" },
  ["strict-forms"] = { file = true, params = { input_reference = { data = WEBP } } },
  ["strict-arrays"] = { file = true, params = { tags = sora.array {} } },
  ["web-page"] = { kind = "decode", message = "is a web page (Welcome to the gateway), not JSON" },
  ["event-stream"] = { kind = "decode", message = "event stream" },
  ["empty-202"] = { file = true },
  ["replica-404"] = { file = true },
  ["rate-limit"] = { file = true },
  ["array"] = { kind = "decode" },
  ["huge-header"] = { kind = "too_large" },
  ["bom"] = { file = true },
  ["lone-surrogate"] = { file = true },
  ["nan"] = { file = true },
  ["fractions"] = { file = true },
  ["gzip"] = { file = true },
  ["nsfw"] = { kind = "failed", reason = "moderation" },
  ["unknown-word"] = { kind = "failed" },
  ["odd-word"] = { file = true },
  ["moderated"] = { kind = "failed", code = "moderation_blocked", reason = "moderation", grace = 0 },
  ["no-file"] = { kind = "api", message = "no file", grace = 0 },
  ["fail-msg"] = { kind = "failed", message = "The prompt names a celebrity." },
  ["result-json"] = { file = true },
  ["url-in-remix-id"] = { file = true },
  ["media-urls"] = { file = true },
  ["content-json-error"] = { file = true },
  ["content-401"] = { file = true },
  ["content-500"] = { file = true },
  ["content-page"] = { file = true },
  ["late-file"] = { file = true },
  ["whole-206"] = { file = true },
  ["gzip-film"] = { kind = "api", message = "compressed" },
}

-- How a job is made. Each returns what create_and_download does.
local WAYS = {
  ["by a blocking call"] = function(client, ...) return client:create_and_download(...) end,
  ["in a coroutine"] = function(client, ...)
    require "sora.loop.coroutine"(client)
    local results
    local thread = coroutine.create(function(...) results = { client:create_and_download(...) } end)
    assert(coroutine.resume(thread, ...))
    patience.run { thread }
    return results[1], results[2]
  end,
  ["by a started call"] = function(client, ...)
    return patience.result(client, assert(client:start("create_and_download", ...)))
  end,
}

describe("in the mode", function()
  local dir = given.folder()
  local server

  setup(function() server = process.serve { "--duration", 0.1, "--quiet" } end)
  teardown(function() server:stop() end)

  local function check(mode, expected, way)
    local client = rig.client(server.origin)
    finally(function() client:close() end)
    local params = answers.with({ prompt = PROMPT, dev = { mode = mode } }, expected.params)
    local target = { path = dir:at("a.mp4"), grace = expected.grace or 10 }
    local result, err = WAYS[way](client, params, target, OPTS)
    if expected.file then
      assert.is_nil(err, tostring(err))
      assert.same({ dir:at("a.mp4"), #FILM }, { result.path, result.bytes })
      assert.is_true(dir:read("a.mp4") == FILM)
      assert.equal("a.mp4", dir:list())
    else
      assert.is_nil(result)
      for _, field in ipairs { "kind", "code", "reason" } do
        assert.is_true(expected[field] == nil or expected[field] == err[field],
          ("%s: %s (%s)"):format(field, tostring(err[field]), tostring(err)))
      end
      assert.matches(expected.message or "", err.message, 1, true)
      assert.equal("", dir:list())
    end
  end

  for mode, expected in pairs(EXPECTED) do
    for way in pairs(WAYS) do
      local outcome = expected.file and "the file" or "an error of the kind " .. expected.kind
      local title = ("%s a job made %s ends with %s"):format(mode, way, outcome)
      it(title, function() check(mode, expected, way) end)
    end
  end

  it("of each name a job is run here", function()
    local known, specified = {}, {}
    for name in modes.each() do known[#known + 1] = name end
    for name in pairs(EXPECTED) do specified[#specified + 1] = name end
    facts.assert_same(known, specified)
  end)
end)
