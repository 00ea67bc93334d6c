-- The host's locale, which it may set at any time: GTK and Qt do, and so does os.setlocale. What goes to a
-- server and comes from one has a '.' in its numbers, and words are read alike.
local cjson = require "cjson"
local given = require "spec.support.given"
local input = require "sora.server.input"
local locales = require "spec.support.locales"
local rig = require "spec.support.rig"

local JOB = '{"id":"v","status":"queued","progress":37.5,"cost":-0.125,"list":[1.5,2,1e3,2.5e-3],"whole":4.0}'

-- Reads and sends numbers, with `base` as the base URL. Prints what it read.
local WORK = [[
  local client = assert(sora.new { base_url = base, api_key = "k", max_retries = 0,
    headers = { ["X-Client"] = 0.5 } })
  local function show(video)
    assert(video.progress == 37.5 and video.cost == -0.125 and video.list[1] == 1.5 and video.list[2] == 2
      and video.list[3] == 1000 and video.list[4] == 0.0025 and video.whole == 4)
    local view = sora.normalize { id = "v", status = "IN_PROGRESS", progress = "37.5%", duration = "2.5s" }
    local failed = sora.normalize { id = "v", status = "FAILED" }
    print(view.state, view.progress == 37.5 and view.seconds == 2.5, failed.state)
  end
  show(assert(client:get_video("v", { query = { scale = 0.75 }, headers = { ["X-Call"] = 1.25 } })))
  show(assert(client:create_video { prompt = "p", list = { 1.5, 2 }, cfg_scale = 7.5, seed = 1e15,
    tiny = 1.5e-7 }))
  show(assert(client:create_video { cfg_scale = 7.5, list = { 1.5, 2 }, ref = { data = "x" } }))
  show(assert(client:list_videos { scale = 0.75 }))
  client:close()
]]

local SHOWN = "in_progress\ttrue\tfailed\n"

describe("in a locale with another decimal point", function()
  local srv = given.server()
  setup(locales.environment)
  teardown(locales.remove)

  -- Runs the work in a process of its own, between other lines of code.
  local function run(before, after)
    srv:route("*", "^", { body = JOB })
    local code = ("local base = %q\n%s\n%s\n%s"):format(srv.url .. "/v1", before, WORK, after or "")
    return rig.run(code, locales.environment())
  end

  local function assert_sent(times)
    local requests = srv:requests()
    assert.equal(4 * times, #requests)
    for i = 1, #requests, 4 do
      local get, json, form, list = requests[i], requests[i + 1], requests[i + 2], requests[i + 3]
      assert.equal("/v1/videos/v?scale=0.75", get.target)
      assert.same({ "0.5", "1.25" }, { get.headers["x-client"], get.headers["x-call"] })
      assert.same({ prompt = "p", list = { 1.5, 2 }, cfg_scale = 7.5, seed = 1e15, tiny = 1.5e-7 },
        cjson.decode(json.body))
      local texts = {}
      local boundary = form.headers["content-type"]:match("boundary=(%S+)$")
      for _, part in ipairs(input.parts(form.body, boundary)) do
        texts[part.name] = part.body
      end
      assert.same({ cfg_scale = "7.5", list = "[1.5,2]", ref = "x" }, texts)
      assert.equal("/v1/videos?scale=0.75", list.target)
    end
  end

  for what, name in pairs { ["a comma"] = locales.COMMA, ["two bytes"] = locales.WIDE } do
    local set = ("assert(os.setlocale(%q))"):format(name)

    it("sends and reads numbers with a point where the locale has " .. what, function()
      assert.equal(SHOWN:rep(4), run("sora = require 'sora' " .. set))
      assert_sent(1)
    end)

    it("does so where the locale changes meanwhile: " .. what, function()
      assert.equal(SHOWN:rep(8), run("sora = require 'sora' " .. set, "assert(os.setlocale 'C')" .. WORK))
      assert_sent(2)
    end)

    -- PUC Lua can't read the literal 0.5 where the point has two bytes, so no module loads there.
    if jit or name == locales.COMMA then
      it("does so where the locale was set before the module was loaded: " .. what, function()
        assert.equal(SHOWN:rep(8), run(set .. " sora = require 'sora'", "assert(os.setlocale 'C')" .. WORK))
        assert_sent(2)
      end)
    end
  end

  it("leaves the locale and the host's own cjson alone", function()
    local set = ("assert(os.setlocale(%q))"):format(locales.COMMA)
    assert.equal(SHOWN:rep(4) .. locales.COMMA .. "\t0.5\ttrue\n",
      run(set .. " cjson = require 'cjson' sora = require 'sora'",
        "print(os.setlocale(nil, 'numeric'), cjson.encode(0.5), cjson.decode('[0.5]')[1] == 0.5)"))
  end)

  it("reads words and headers where 'I' has no lower case of one byte", function()
    local set = ("assert(os.setlocale(%q))"):format(locales.TURKISH)
    assert.equal(SHOWN:rep(4), run("sora = require 'sora' " .. set))
    assert_sent(1)
  end)
end)
