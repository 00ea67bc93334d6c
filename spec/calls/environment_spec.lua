-- The default client: what it takes from the environment, what configure sets, and that no key goes to the
-- wrong server. The environment is a process's own, so most of this runs in others.
local given = require "spec.support.given"
local rig = require "spec.support.rig"
local sora = require "sora"

local CALL = [[
  local video, err = require("sora").get_video("v")
  print(video and video.id or err)]]

describe("the default client", function()
  local ours, theirs = given.server(), given.server()

  before_each(function()
    for _, srv in ipairs{ ours, theirs } do srv:route("*", "^", { body = '{"id":"video"}' }) end
  end)
  after_each(function() sora.close() end)

  -- Where a call with this environment goes, and with which credential.
  local function reached(environment, code)
    ours:reset()
    theirs:reset()
    for _, srv in ipairs{ ours, theirs } do srv:route("*", "^", { body = '{"id":"video"}' }) end
    assert.equal("video\n", rig.run(code or CALL, environment))
    local hits = {}
    for name, srv in pairs{ ours = ours, theirs = theirs } do
      for _, request in ipairs(srv:requests()) do
        hits[#hits + 1] = name .. " " .. request.target .. " " .. (request.headers.authorization or "none")
      end
    end
    assert.equal(1, #hits)
    return hits[1]
  end

  it("takes URL and key from SORA_*, then from OPENAI_*", function()
    local s, o = ours.url .. "/s", theirs.url .. "/o/"
    local CASES = {
      { { SORA_BASE_URL = s, SORA_API_KEY = "sk" }, "ours /s/videos/v Bearer sk" },
      { { SORA_BASE_URL = s }, "ours /s/videos/v none" },
      { { OPENAI_BASE_URL = o, OPENAI_API_KEY = "ok" }, "theirs /o/videos/v Bearer ok" },
      { { OPENAI_BASE_URL = o }, "theirs /o/videos/v none" },
      { { SORA_BASE_URL = s, SORA_API_KEY = "sk", OPENAI_BASE_URL = o, OPENAI_API_KEY = "ok" },
        "ours /s/videos/v Bearer sk" },
      { { SORA_BASE_URL = s, SORA_API_KEY = "sk", OPENAI_API_KEY = "ok" }, "ours /s/videos/v Bearer sk" },
      { { SORA_BASE_URL = "", SORA_API_KEY = "", OPENAI_BASE_URL = o, OPENAI_API_KEY = "ok" },
        "theirs /o/videos/v Bearer ok" },
    }
    for _, case in ipairs(CASES) do assert.equal(case[2], reached(case[1])) end
  end)

  it("never sends OPENAI_API_KEY to another server than OPENAI_BASE_URL", function()
    local s, o = ours.url .. "/s", theirs.url .. "/o"
    for _, environment in ipairs{ { SORA_BASE_URL = s, OPENAI_API_KEY = "ok" },
      { SORA_BASE_URL = s, OPENAI_BASE_URL = o, OPENAI_API_KEY = "ok" },
      { SORA_BASE_URL = s, SORA_API_KEY = "", OPENAI_BASE_URL = o, OPENAI_API_KEY = "ok" } } do
      assert.equal("ours /s/videos/v none", reached(environment))
    end
    local explicit = "local sora = require 'sora' print(sora.new{ base_url = '" .. ours.url
      .. "/c' }:get_video('v').id)"
    assert.equal("ours /c/videos/v none", reached({ OPENAI_BASE_URL = o, OPENAI_API_KEY = "ok" }, explicit))
    assert.equal("ours /c/videos/v none", reached({ OPENAI_API_KEY = "ok" }, explicit))
  end)

  it("names the variables to set when none is", function()
    for _, environment in ipairs{ {}, { SORA_BASE_URL = "", OPENAI_BASE_URL = "" },
      { SORA_API_KEY = "sk-secret" },
      { OPENAI_API_KEY = "sk-secret" } } do
      local output = rig.run("print(require('sora').get_video('x'))", environment)
      assert.matches("^nil\tsora: config: base_url is missing: set SORA_BASE_URL", output)
      for _, name in ipairs{ "SORA_BASE_URL", "SORA_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY",
        "sora.configure" } do
        assert.matches(name, output, 1, true)
      end
      assert.not_matches("sk-secret", output, 1, true)
    end
  end)

  it("gives that config error from every function of the module", function()
    local code = [[
      local sora = require "sora"
      for _, result in ipairs{ { sora.get_video("v") }, { sora.wait("v") },
        { sora.create_video{ prompt = "p" } },
        { sora.new{} }, { sora.configure{} } } do
        print(result[1], result[2].kind)
      end
      print(select(2, pcall(sora.poll, "v")).kind)]]
    local output = rig.run(code)
    assert.equal(("nil\tconfig\n"):rep(5) .. "config\n", output)
  end)

  it("says what is wrong with a URL or key of the environment", function()
    assert.matches("^sora: config: base_url ", rig.run(CALL, { SORA_BASE_URL = "ftp://h" }))
    local output = rig.run(CALL, { SORA_BASE_URL = ours.url, SORA_API_KEY = "sk-secret\n" })
    assert.matches("control character", output, 1, true)
    assert.not_matches("sk-secret", output, 1, true)
    assert.same({}, ours:requests())
  end)

  it("is replaced by configure", function()
    local client = assert(sora.configure{ base_url = ours.url .. "/a", api_key = "one" })
    assert.same({ id = "video" }, sora.get_video("v"))
    assert.same({ id = "video" }, (client:get_video("w")))
    assert(sora.configure{ base_url = theirs.url .. "/b", api_key = "two" })
    assert.same({ id = "video" }, sora.get_video("v"))
    assert.same({ id = "video" }, (sora.create_video{ prompt = "p" }))
    assert.same({ "/a/videos/v", "/a/videos/w" }, rig.pluck(ours:requests(), "target"))
    assert.same({ "/b/videos/v", "/b/videos" }, rig.pluck(theirs:requests(), "target"))
    assert.equal("Bearer two", theirs:requests()[1].headers.authorization)
  end)

  it("stays as it was when configure fails", function()
    assert(sora.configure{ base_url = ours.url })
    local made, err = sora.configure{ base_url = "ftp://h" }
    assert.same({ nil, "config" }, { made, err.kind })
    assert.is_false((pcall(sora.configure, { base_url = theirs.url, timeout = 0 })))
    assert.same({ id = "video" }, sora.get_video("v"))
    assert.equal(1, #ours:requests())
  end)

  it("can be configured again after sora.close", function()
    local client = assert(sora.configure{ base_url = ours.url })
    sora.close()
    sora.close()
    local _, err = client:get_video("v")
    assert.equal("closed", err.kind)
    assert(sora.configure{ base_url = ours.url })
    assert.same({ id = "video" }, sora.get_video("v"))
  end)

  it("does not affect clients made with sora.new", function()
    assert(sora.configure{ base_url = ours.url, api_key = "one" })
    local mine = assert(sora.new{ base_url = theirs.url })
    assert.same({ id = "video" }, (mine:get_video("v")))
    mine:close()
    assert.is_nil(theirs:requests()[1].headers.authorization)
    assert.same({}, ours:requests())
  end)
end)
