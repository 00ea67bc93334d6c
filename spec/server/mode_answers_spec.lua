-- The modes, without HTTP: what each answers, byte for byte where that is the point.
local cjson = require("cjson.safe").new()
local control = require "sora.server.control"
local endpoints = require "sora.server.endpoints"
local facts = require "spec.support.facts"
local format = require "sora.server.format"
local input = require "sora.server.input"
local jobs = require "sora.server.jobs"
local media = require "sora.server.media"
local modes = require "sora.server.modes"
local process = require "spec.support.process"

local PROMPT = "a boat"
local film = media.open("video", nil, PROMPT)
local FILM = film.read(0, film.length)

describe("the mode", function()
  local now, app, id

  local function call(method, target, body, headers)
    headers = headers or {}
    headers["content-type"] = headers["content-type"] or "application/json"
    local request = input.target(target)
    request.method, request.header = method, function(name) return headers[name] end
    request.body = type(body) == "table" and cjson.encode(body) or body or ""
    local response = app:handle(request)
    if response.content then
      response.bytes = response.content.read(response.first, response.count)
    end
    return response
  end

  local function create(mode, fields)
    fields = fields or {}
    fields.prompt, fields.dev = PROMPT, { mode = mode, id = "job" }
    return call("POST", "/v1/videos", fields)
  end

  local function get()
    return call("GET", "/v1/videos/" .. id)
  end

  local function content()
    return call("GET", "/v1/videos/" .. id .. "/content")
  end

  local function video(response)
    return assert(cjson.decode(response.body))
  end

  local function finish()
    now = now + 11
  end

  -- Whether a response is the file.
  local function is_film(response)
    local is_video = response.headers["content-type"] == "video/mp4"
    return response.status == 200 and is_video and response.bytes == FILM
  end

  before_each(function()
    now, id = 1700000000, "job"
    app = endpoints.new {
      jobs = jobs.new { clock = function() return now end, duration = 10, queue = 1 }, format = format,
    }
    app.origin = "http://127.0.0.1:1"
  end)

  local URL = "http://127.0.0.1:1/files/job.mp4"

  -- The name of a mode, and a function that checks it; nothing is created before.
  local CREATES = {
    ["sync-film"] = function(mode)
      local response = create(mode)
      assert.is_true(is_film(response))
      assert.is_nil(response.body)
    end,
    ["base-resp"] = function(mode)
      assert.same({ base_resp = { status_code = 1008, status_msg = "insufficient balance" } },
        video(create(mode)))
      assert.equal(0, app.jobs.created)
    end,
    ["strict-forms"] = function(mode)
      local function upload(content_type)
        local lines = { "--B", 'Content-Disposition: form-data; name="prompt"', "", PROMPT, "--B",
          'Content-Disposition: form-data; name="dev"', "", ('{"mode":"%s"}'):format(mode), "--B",
          'Content-Disposition: form-data; name="input_reference"; filename="a"' }
        lines[#lines + 1] = content_type and "Content-Type: " .. content_type
        for _, line in ipairs { "", "bytes", "--B--", "" } do lines[#lines + 1] = line end
        return call("POST", "/v1/videos", table.concat(lines, "\r\n"),
          { ["content-type"] = "multipart/form-data; boundary=B" })
      end
      for _, content_type in ipairs { "none", "application/octet-stream" } do
        local response = upload(content_type ~= "none" and content_type or nil)
        assert.equal(400, response.status)
        assert.equal("unsupported_file_type", video(response).error.code)
        assert.matches(content_type, video(response).error.message, 1, true)
      end
      assert.equal(200, upload("image/webp").status)
      assert.equal(1, app.jobs.created)
    end,
    ["strict-arrays"] = function(mode)
      local body = ('{"prompt":"p","tags":%s,"dev":{"mode":"' .. mode .. '"}}')
      assert.equal(400, call("POST", "/v1/videos", body:format("{}")).status)
      assert.equal(200, call("POST", "/v1/videos", body:format("[]")).status)
    end,
    ["web-page"] = function(mode)
      local response = create(mode)
      assert.same({ 200, "text/html; charset=utf-8" }, { response.status, response.headers["content-type"] })
      assert.matches("<title>Welcome to the gateway</title>", response.body, 1, true)
      assert.equal(0, app.jobs.created)
    end,
    ["event-stream"] = function(mode)
      local response = create(mode)
      assert.same({ 200, "text/event-stream" }, { response.status, response.headers["content-type"] })
      assert.matches("^data: {.-}\n\ndata: %[DONE%]\n\n$", response.body)
      assert.equal(0, app.jobs.created)
    end,
  }

  -- The same; the job is created and not yet running.
  local POLLS = {
    ["empty-202"] = function()
      for _, body in ipairs { "", " \n", "" } do
        local response = get()
        assert.same({ 202, body, "1" }, { response.status, response.body, response.headers["retry-after"] })
      end
      finish()
      assert.equal("completed", video(get()).status)
    end,
    ["replica-404"] = function()
      assert.same({ 200, 404, 200, 404 }, { get().status, get().status, get().status, get().status })
      finish()
      assert.same({ 404, 200, 404 }, { content().status, content().status, content().status })
    end,
    ["rate-limit"] = function()
      assert.equal(200, get().status)
      now = now + 0.5
      local response = get()
      assert.same({ 429, "1" }, { response.status, response.headers["retry-after"] })
      now = now + 0.5
      assert.equal(200, get().status)
    end,
    ["array"] = function()
      assert.matches("^%[{.*}%]$", get().body)
      assert.equal("job", video(get())[1].id)
    end,
    ["huge-header"] = function() assert.equal(120000, #get().headers["x-padding"]) end,
    ["bom"] = function()
      assert.equal("\239\187\191{", get().body:sub(1, 4))
      assert.equal("job", cjson.decode(get().body:sub(4)).id)
    end,
    ["lone-surrogate"] = function()
      assert.matches([[,"note":"cut off \ud83d"}]], get().body, 1, true)
    end,
    ["nan"] = function() assert.matches('"progress":NaN,"eta":Infinity,', get().body, 1, true) end,
    ["fractions"] = function()
      now = now + 4
      assert.same({ 30.5, 0.25 }, { video(get()).progress, video(get()).usage.cost })
      finish()
      assert.equal(100, video(get()).progress)
    end,
    ["gzip"] = function()
      local response = get()
      assert.equal("gzip", response.headers["content-encoding"])
      local path = os.tmpname()
      process.spill(path, response.body)
      local text = process.output("gzip -dc <" .. process.quote(path))
      os.remove(path)
      assert.equal("job", assert(cjson.decode(text)).id)
    end,
    ["nsfw"] = function()
      assert.equal("queued", video(get()).status)
      finish()
      assert.same({ "nsfw", cjson.null }, { video(get()).status, video(get()).error })
    end,
    ["unknown-word"] = function()
      finish()
      assert.same({ "interrupted", cjson.null }, { video(get()).status, video(get()).error })
    end,
    ["odd-word"] = function()
      now = now + 5
      assert.equal("polishing", video(get()).status)
      finish()
      assert.equal("completed", video(get()).status)
    end,
    ["fail-msg"] = function()
      assert.equal("generating", video(get()).data.state)
      finish()
      assert.same({ taskId = "job", state = "fail", resultJson = "", failCode = "422",
        failMsg = "The prompt names a celebrity." }, video(get()).data)
    end,
  }

  -- The same; the job is completed.
  local FILES = {
    ["moderated"] = function()
      assert.same({ "done", { url = "", respect_moderation = false } },
        { video(get()).status, video(get()).video })
      assert.equal(404, content().status)
    end,
    ["no-file"] = function()
      assert.equal("completed", video(get()).status)
      assert.is_nil(video(get()).url)
      assert.equal(404, content().status)
    end,
    ["result-json"] = function()
      assert.same({ "job", "success", '{"resultUrls":["http:\\/\\/127.0.0.1:1\\/files\\/job.mp4"]}' },
        { video(get()).data.taskId, video(get()).data.state, video(get()).data.resultJson })
      assert.equal(404, content().status)
    end,
    ["url-in-remix-id"] = function()
      assert.same({ "completed", URL }, { video(get()).status, video(get()).remixed_from_video_id })
      assert.equal(404, content().status)
    end,
    ["media-urls"] = function()
      assert.same({ URL }, video(get()).outcome.media_urls)
      assert.equal("http://127.0.0.1:1/files/none.jpg", video(get()).thumbnail_url)
      assert.equal(404, content().status)
    end,
    ["content-json-error"] = function()
      assert.equal(URL, video(get()).url)
      local response = content()
      assert.same({ 200, "upstream" }, { response.status, video(response).error.code })
    end,
    ["content-401"] = function() assert.same({ URL, 401 }, { video(get()).url, content().status }) end,
    ["content-500"] = function() assert.same({ URL, 500 }, { video(get()).url, content().status }) end,
    ["content-page"] = function()
      local response = content()
      assert.same({ URL, 200, "text/html; charset=utf-8" },
        { video(get()).url, response.status, response.headers["content-type"] })
      assert.matches("^<!DOCTYPE html>", response.body)
    end,
    ["late-file"] = function()
      assert.same({ 400, 403, 404, true }, { content().status, content().status, content().status,
        is_film(content()) })
    end,
    ["whole-206"] = function()
      local response = content()
      assert.same({ 206, ("bytes 0-%d/%d"):format(#FILM - 1, #FILM), true },
        { response.status, response.headers["content-range"], response.bytes == FILM })
      response = call("GET", "/v1/videos/job/content", nil, { range = "bytes=5-" })
      assert.equal(("bytes 5-%d/%d"):format(#FILM - 1, #FILM), response.headers["content-range"])
    end,
    ["gzip-film"] = function()
      local response = content()
      assert.same({ "gzip", "video/mp4", "\31\139" }, { response.headers["content-encoding"],
        response.headers["content-type"], response.body:sub(1, 2) })
      local path = os.tmpname()
      process.spill(path, response.body)
      local bytes = process.output("gzip -dc <" .. process.quote(path))
      os.remove(path)
      assert.is_true(bytes == FILM)
    end,
  }

  for mode, check in pairs(CREATES) do
    it(mode .. " changes the answer to a create", function() check(mode) end)
  end

  for mode, check in pairs(POLLS) do
    it(mode .. " changes the answer to a poll", function()
      assert.equal(200, create(mode).status)
      check()
    end)
  end

  for mode, check in pairs(FILES) do
    it(mode .. " changes where the file is", function()
      assert.equal(200, create(mode).status)
      finish()
      check()
      assert.is_true(is_film(call("GET", "/files/job.mp4")))
    end)
  end

  it("of each kind is specified here", function()
    local known, specified = {}, {}
    for name, text in modes.each() do
      known[#known + 1] = name
      assert.is_true(#text > 10)
    end
    for _, kind in ipairs { CREATES, POLLS, FILES } do
      for name in pairs(kind) do specified[#specified + 1] = name end
    end
    facts.assert_same(known, specified)
  end)

  it("of the server is that of every job that names none", function()
    app = endpoints.new { jobs = app.jobs, format = format, mode = "bom" }
    assert.equal("\239\187\191", create(nil).body:sub(1, 3))
    assert.equal("[", (call("POST", "/v1/videos", { prompt = "p", dev = { id = "b", mode = "array" } }) and
      call("GET", "/v1/videos/b").body):sub(1, 1))
  end)

  it("of the server answers every request where it is a web page or an event stream", function()
    app = endpoints.new { jobs = app.jobs, format = format, mode = "web-page" }
    for _, path in ipairs { "/", "/v1/videos", "/v1/videos/x", "/v1/videos/x/content" } do
      assert.equal(200, call("GET", path).status)
      assert.matches("^<!DOCTYPE", call("GET", path).body)
    end
  end)

  it("is set and shown by a control endpoint", function()
    local surface = control.new(app)
    local function mode(method, body)
      local request = { method = method, segments = { "dev", "mode" }, body = body or "" }
      local response = surface:handle(request, true)
      return video(response), response.status
    end
    assert.equal(cjson.null, mode("GET").mode)
    assert.equal("sync-film", mode("GET").modes[1].name)
    assert.equal("bom", mode("POST", '{"mode":"bom"}').mode)
    assert.equal("\239\187\191", create(nil).body:sub(1, 3))
    local body, status = mode("POST", '{"mode":"bomb"}')
    assert.equal(400, status)
    assert.matches("known modes: sync-film, base-resp", body.error, 1, true)
    assert.equal("bom", mode("GET").mode)
    assert.equal(cjson.null, mode("POST", '{"mode":null}').mode)
    assert.equal(400, select(2, mode("POST", "nonsense")))
  end)

  it("is refused if its name is unknown", function()
    local err = video(create("bomb")).error
    assert.equal("dev.mode", err.param)
    assert.matches("dev.mode is unknown: 'bomb'; known modes: sync-film, base-resp", err.message, 1, true)
  end)

  it("leaves HEAD and the list alone", function()
    create("huge-header")
    assert.is_nil(call("HEAD", "/v1/videos/job").headers["x-padding"])
    assert.is_nil(call("GET", "/v1/videos").headers["x-padding"])
  end)
end)
