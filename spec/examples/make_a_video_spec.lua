-- examples/make_a_video.lua: a run that was ended goes on with its job in the next one.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

describe("the example of the whole process", function()
  local srv, home = given.server(), given.folder()

  local function begin()
    local words = { "env", "SORA_BASE_URL=" .. srv.url .. "/v1", "SORA_API_KEY=" .. rig.KEY }
    for _, word in ipairs(process.lua { "examples/make_a_video.lua", "A fox", home:at "fox.mp4" }) do
      words[#words + 1] = word
    end
    return process.start(words)
  end

  local function posts() return rig.posts(srv) end

  it("resumes its job after it was killed", function()
    srv:route("POST", "/v1/videos", answers.QUEUED)
    srv:route("GET", "/v1/videos/v", answers.with(answers.RUNNING, { hold = true }))
    local killed = begin()
    local function sleep() process.run "sleep 0.02" end
    patience.wait(function() return #srv:requests() == 2 end, sleep, "a poll")
    killed:kill "KILL"
    killed:wait()
    srv:route("GET", "/v1/videos/v", answers.job("completed", { seconds = "4", size = "1280x720" }))
    srv:route("GET", "/v1/videos/v/content", answers.FILE)
    local status, output, errors = begin():finish()
    assert.same({ 0, "" }, { status, errors })
    assert.matches("^resumed  v\n.*saved    .*/fox.mp4", output)
    assert.same({ 1, answers.MP4 }, { posts(), home:read "fox.mp4" })
  end)

  it("makes no job for a file that is there already", function()
    srv:route("POST", "/v1/videos", answers.QUEUED)
    home:write("fox.mp4", "an old film")
    local status, _, errors = begin():finish()
    assert.equal(1, status)
    assert.matches("fox.mp4 exists already", errors)
    assert.same({ 0, "an old film" }, { posts(), home:read "fox.mp4" })
  end)

  it("makes no second job when an answer was lost", function()
    srv:route("POST", "/v1/videos", { close = true })
    for _ = 1, 2 do
      local status, _, errors = begin():finish()
      assert.equal(1, status)
      assert.matches("the server may have", errors)
    end
    assert.equal(1, posts())
  end)
end)
