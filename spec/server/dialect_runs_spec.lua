-- A job from create to file on each kind of server that spec/fixtures/dialects documents: the development
-- server answers in its dialect, and a client with the preset, if it needs one, does the same for all.
local answers = require "spec.support.answers"
local curl = require "spec.support.curl"
local formats = require "spec.support.dialect_formats"
local given = require "spec.support.given"
local media = require "sora.server.media"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local sora = require "sora"

local KINDS = { "openai", "azure", "openrouter", "newapi", "newapi-generations", "anyfast", "fast-token",
  "qiniu", "sglang", "vllm-omni", "xai", "litellm", "octopusx" }
local SYNCHRONOUS = { "vllm-omni, synchronous", "dynamo", "LocalAI" }

local PROMPT = "a paper boat"
local film = media.open("video", nil, PROMPT)
local FILM = film.read(0, film.length)

describe("docs/dialects.md", function()
  it("has every preset", function()
    local presets = require("sora.options").dialects
    local text = process.slurp "docs/dialects.md"
    for name in pairs(presets) do
      assert.matches("\n| `" .. name .. "` |", text, 1, true)
    end
  end)
end)

describe("a job on", function()
  local dir = given.folder()
  local server, client

  -- A server, which wants the key where its kind does, and a client for it.
  local function open(kind, options)
    local wanted = formats[kind].options or {}
    server = formats.serve(kind, wanted.auth ~= "none" and rig.KEY or nil)
    client = rig.client(server.url, answers.with(answers.with({ base_url = server.url }, wanted), options))
  end

  local function close()
    client:close()
    server:stop()
  end

  local function check_file(result, err)
    assert.is_nil(err)
    assert.same({ dir:at("a.mp4"), #FILM }, { result.path, result.bytes })
    assert.is_true(dir:read("a.mp4") == FILM)
    assert.equal("a.mp4", dir:list())
  end

  for _, kind in ipairs(KINDS) do
    describe(kind, function()
      setup(function() open(kind) end)
      teardown(close)

      it("goes from create to file", function()
        local job = assert(client:create_video{ prompt = PROMPT, dev = { queue = 0.1, duration = 0.1 } })
        local view, states = sora.normalize(job), {}
        assert.equal("queued", view.state)
        assert.is_true(#view.id > 0)
        local video = assert(client:wait(view.id, { interval = 0.05, max_interval = 0.05, timeout = 10,
          on_progress = function(_, now) states[now.state] = true end }))
        local last = sora.normalize(video)
        assert.same({ "completed", nil }, { last.state, last.error })
        assert.is_true(last.id == nil or last.id == view.id, last.id)
        assert.is_true(states.completed)
        for state in pairs(states) do assert.matches("^[qic][a-z_]+d?$", state) end
        check_file(client:download_video(view.id, dir:at("a.mp4")))
      end)

      it("says that the file is not ready, and leaves the old one", function()
        local job = assert(client:create_video{ prompt = "x", dev = { queue = 0, duration = 60 } })
        dir:write("a.mp4", "old")
        local result, err = client:download_video(sora.normalize(job).id, dir:at("a.mp4"))
        assert.is_nil(result)
        assert.same({ "api", "not_ready", true }, { err.kind, err.code, err.retryable })
        assert.equal("old", dir:read("a.mp4"))
        assert.equal("a.mp4", dir:list())
      end)

      it("says what is wrong with a request", function()
        local result, err = client:create_video{ model = "sora-2" }
        assert.is_nil(result)
        assert.same({ "api", 400 }, { err.kind, err.status })
        assert.matches("prompt", err.message)
        result, err = client:get_video("no-such-job")
        assert.is_nil(result)
        assert.same({ "api", 404, false }, { err.kind, err.status, err.retryable })
        assert.is_true(#err.message > 0)
      end)

      it("is created and downloaded in one call, and waited for with others", function()
        local params = { prompt = PROMPT, dev = { duration = 0, queue = 0 } }
        local handle = assert(client:start("create_video", params))
        local opts = { interval = 0.05, timeout = 10 }
        local result, err = client:create_and_download(params, dir:at("a.mp4"), opts)
        check_file(result, err)
        assert.equal("completed", sora.normalize(result.video).state)
        patience.finish(client)
        local id = sora.normalize(assert(handle:result())).id
        local results = client:wait_all({ id, id }, opts)
        for i = 1, 2 do assert.equal("completed", sora.normalize(assert(results[i].video)).state) end
      end)
    end)
  end

  for _, kind in ipairs(SYNCHRONOUS) do
    it(kind .. " is completed by its create, and its file is downloaded", function()
      open(kind)
      finally(close)
      local job = assert(client:create_video{ prompt = PROMPT })
      assert.equal("completed", sora.normalize(job).state)
      check_file(client:create_and_download({ prompt = PROMPT }, dir:at("a.mp4")))
    end)
  end

  describe("a server that", function()
    after_each(close)

    it("takes nothing but forms gets a form, and tables in it as JSON", function()
      open "vllm-omni"
      local job = assert(client:create_video{ prompt = "x", num_frames = 33, extra_params = { a = { 1 } } })
      local made = curl.get(server.origin .. "/dev/jobs/" .. job.id).body
      assert.matches('"num_frames":"33"', made, 1, true)
      assert.matches([["extra_params":"{\"a\":[1]}"]], made, 1, true)
    end)

    it("takes nothing but forms refuses JSON", function()
      open("vllm-omni", { dialect = "openai" })
      local _, err = client:create_video{ prompt = "x" }
      assert.same({ 422, "Field required" }, { err.status, err.message:match("Field required") })
    end)

    it("wants its key in another header refuses the usual one", function()
      open("azure", { dialect = "openai", auth = "bearer" })
      assert.equal(401, select(2, client:create_video{ prompt = "x" }).status)
    end)

    it("has other paths is found by `paths` as well as by the preset", function()
      open("octopusx", { dialect = "openai",
        paths = { create = "/video/create", get = "/video/query?id={id}", content = "/none/{id}" } })
      local job = assert(client:create_video{ prompt = PROMPT, dev = { duration = 0, queue = 0 } })
      check_file(client:download_video(job.id, dir:at("a.mp4")))
    end)

    it("deletes with a status does it", function()
      open "sglang"
      local job = assert(client:create_video{ prompt = "x" })
      assert.equal("deleted", sora.normalize(assert(client:delete_video(job.id))).state)
      assert.equal(404, select(2, client:get_video(job.id)).status)
    end)
  end)
end)
