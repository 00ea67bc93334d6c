-- download_video where the file comes late, or at another place than /content: after any answer that is no
-- file the job is asked, once; for some seconds after its end its file is asked for again.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"

local MP4, FILE = answers.MP4, answers.FILE
local CONTENT, JOB = "/v1/videos/v/content", "/v1/videos/v"

describe("download_video", function()
  local srv, dir = given.server(), given.folder()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  local function download(target)
    return client:download_video("v", answers.with({ path = dir:at("a.mp4") }, target))
  end

  local function asked()
    return table.concat(rig.pluck(srv:requests(), "target"), " ")
  end

  local NO_FILES = {
    ["a JSON error with status 200"] = { json = { error = { message = "No file here." } } },
    ["401"] = { status = 401 }, ["500"] = { status = 500 }, ["502"] = { status = 502, body = "<html>" },
    ["a web page"] = { headers = { ["Content-Type"] = "text/html" }, body = "<html>Welcome</html>" },
    ["nothing"] = { body = "", headers = answers.TYPE },
  }
  for name, answer in pairs(NO_FILES) do
    it("looks into the job when /content answers " .. name, function()
      srv:route("GET", CONTENT, answer)
      srv:route("GET", JOB, answers.job("completed", { video_url = srv.url .. "/f.mp4" }))
      srv:route("GET", "/f.mp4", FILE)
      assert.equal(#MP4, assert(download()).bytes)
      assert.equal(CONTENT .. " " .. JOB .. " /f.mp4", asked())
    end)

    it("says that the job is not ready when /content answers " .. name, function()
      srv:route("GET", CONTENT, answer)
      srv:route("GET", JOB, answers.RUNNING)
      local _, err = download()
      assert.same({ "not_ready", true }, { err.code, err.retryable })
    end)
  end

  it("gives the first error where the job has no file, either", function()
    srv:route("GET", CONTENT, { status = 500, json = { error = { message = "Broken." } } })
    srv:route("GET", JOB, answers.DONE)
    local _, err = download()
    assert.same({ 500, "Broken." }, { err.status, err.message })
    assert.equal(CONTENT .. " " .. JOB, asked())
  end)

  local function just_completed()
    return answers.job("completed", { completed_at = os.time() })
  end

  for _, status in ipairs{ 202, 400, 403, 404 } do
    it("asks again when the file of a job that has just ended answers " .. status, function()
      srv:route("GET", CONTENT, { { status = status }, { status = status }, FILE })
      srv:route("GET", JOB, just_completed())
      assert.equal(#MP4, assert(download()).bytes)
      assert.equal(table.concat({ CONTENT, JOB, CONTENT, CONTENT }, " "), asked())
    end)
  end

  it("says of a completed job that it has no file anywhere, not the 404 of a path", function()
    srv:route("GET", CONTENT, { status = 404, json = { error = { message = "Invalid URL" } } })
    srv:route("GET", JOB, answers.job("completed", { completed_at = os.time() - 100 }))
    local _, err = download()
    assert.same({ "api", 404, "no_file", "not_found" }, { err.kind, err.status, err.code, err.reason })
    assert.equal("the job is completed, but it has no file: it names no URL, and its /content answered 404 "
      .. "(Invalid URL)", err.message)
  end)

  it("says that moderation took the file away", function()
    srv:route("GET", CONTENT, { status = 404 })
    srv:route("GET", JOB, answers.job("done", { video = { url = "", respect_moderation = false } }))
    local _, err = download()
    assert.same({ "failed", "moderation_blocked", "moderation" }, { err.kind, err.code, err.reason })
  end)

  it("says not_fetched when the file does not come in time", function()
    srv:route("GET", CONTENT, { status = 404, json = { error = { message = "Not there." } } })
    srv:route("GET", JOB, just_completed())
    local before = core.now()
    local _, err = download{ grace = 0.7 }
    assert.is_true(core.now() - before >= 0.7)
    assert.same({ "api", 404, "not_fetched", true }, { err.kind, err.status, err.code, err.retryable })
    assert.matches("Not there", err.message)
    assert.equal("", dir:list())
  end)

  it("does not wait for a file that is gone, or is long completed, or with grace = 0", function()
    local missing = { status = 404 }
    srv:route("GET", CONTENT, { missing, missing, { status = 410 }, missing })
    srv:route("GET", JOB, { answers.job("completed", { completed_at = os.time() - 100 }), just_completed(),
      just_completed(), answers.job("completed", { completed_at = os.time(), expires_at = os.time() - 1 }) })
    for _, target in ipairs{ {}, { grace = 0 }, {}, {} } do assert.is_nil((download(target))) end
    assert.equal(8, #srv:requests())
  end)

  it("waits in a started call without blocking update", function()
    srv:route("GET", CONTENT, { { status = 404 }, FILE })
    srv:route("GET", JOB, just_completed())
    local handle, longest = assert(client:start("download_video", "v", dir:at("a.mp4"))), 0
    patience.wait(function() return handle:done() end, function()
      local before = core.now()
      client:update(0)
      longest = math.max(longest, core.now() - before)
    end)
    assert.equal(#MP4, assert(handle:result()).bytes)
    assert.is_true(longest < 0.4, longest) -- the pause alone is longer
  end)

  describe("of a create that is answered with the film", function()
    local FILM = { status = 200, headers = answers.TYPE, body = MP4 }

    it("writes it", function()
      srv:reply(FILM)
      local job = assert(client:create_video{ prompt = "p" })
      assert.same({ status = "completed", content_type = "video/mp4", data = MP4 }, job)
      assert.same({ path = dir:at("a.mp4"), bytes = #MP4, content_type = "video/mp4" },
        client:download_video(job, dir:at("a.mp4")))
      assert.equal(MP4, dir:read("a.mp4"))
      assert.equal(1, #srv:requests())
    end)

    it("knows it by its first bytes, whatever its length", function()
      client:close()
      client = rig.client(srv, { max_response_bytes = 10 })
      local head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
      srv:reply({ body = MP4 }, { steps = { head .. "\0\0", 0.05, "\0\24ftypx" } })
      assert.equal(MP4, assert(client:create_video{ prompt = "p" }).data)
      local job = client:create_and_download({ prompt = "p" }, dir:at("a.mp4"))
      assert.equal("\0\0\0\24ftypx", dir:read("a.mp4"))
      assert.equal(9, job.bytes)
    end)

    it("streams it to its target, or hands it to a sink", function()
      srv:reply(FILM, FILM)
      local file, err = client:create_and_download({ prompt = "p" }, dir:at("a.mp4"))
      assert.is_nil(err)
      assert.same({ dir:at("a.mp4"), #MP4, "completed" }, { file.path, file.bytes, file.video.status })
      assert.equal(MP4, dir:read("a.mp4"))
      assert.equal("a.mp4", dir:list())
      local pieces, sink = rig.collector()
      assert.equal(#MP4, assert(client:create_and_download({ prompt = "p" }, { sink = sink })).bytes)
      assert.equal(MP4, table.concat(pieces))
    end)

    it("takes no other text for one", function()
      srv:reply({ body = "Hello, world" }, { body = "<html>", headers = answers.TYPE })
      for _ = 1, 2 do
        local job, err = client:create_video{ prompt = "p" }
        assert.same({ nil, "decode", true }, { job, err.kind, err.ambiguous })
      end
    end)
  end)
end)
