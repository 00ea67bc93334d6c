-- The endpoints, without HTTP: requests as tables, and a clock of our own.
local cjson = require("cjson.safe").new()
local endpoints = require "sora.server.endpoints"
local input = require "sora.server.input"
local jobs = require "sora.server.jobs"

describe("sora.server.endpoints", function()
  local now, served

  local function make(options)
    options = options or {}
    options.jobs = jobs.new { clock = function() return now end, duration = 10, queue = 1 }
    options.format = require "sora.server.format"
    return endpoints.new(options)
  end

  -- Answers a request; the body is sent as JSON, and the answer's is decoded.
  local function call(method, target, body, headers)
    local parts = input.target(target)
    headers = headers or {}
    if body then
      headers["content-type"] = headers["content-type"] or "application/json"
    end
    local response = served:handle {
      method = method, path = parts.path, segments = parts.segments, query = parts.query,
      header = function(name) return headers[name] end,
      body = type(body) == "table" and cjson.encode(body) or body or "",
    }
    response.json = response.body and assert(cjson.decode(response.body))
    return response
  end

  local function create(dev, more)
    local fields = { prompt = "a cat", dev = dev }
    for name, value in pairs(more or {}) do
      fields[name] = value
    end
    local response = call("POST", "/v1/videos", fields)
    assert.are.equal(200, response.status)
    return response.json
  end

  local DONE = { duration = 0, queue = 0 }

  local function refused(status, code, param, response)
    local err = response.json.error
    assert.are.equal(status, response.status)
    assert.are.equal(code, err.code)
    assert.are.equal(param or cjson.null, err.param)
    assert.is_true(#err.message > 10)
    return err
  end

  local function missing(param, response)
    return refused(400, "missing_required_parameter", param, response)
  end

  before_each(function()
    now = 1700000000
    served = make()
  end)

  describe("create", function()
    it("answers with the queued video, all fields there", function()
      local video = create(nil, { model = "sora-2-pro", size = "1280x720", seconds = 8 })
      assert.is_truthy(video.id:find("^video_%x+$"))
      video.id = nil
      assert.are.same({
        object = "video", model = "sora-2-pro", status = "queued", progress = 0, created_at = 1700000000,
        completed_at = cjson.null, expires_at = cjson.null, prompt = "a cat",
        size = "1280x720", seconds = "8", remixed_from_video_id = cjson.null, error = cjson.null,
      }, video)
    end)

    it("has defaults for what is not said", function()
      local video = create()
      assert.are.same({ "sora-2", "720x1280", "4" }, { video.model, video.size, video.seconds })
    end)

    it("refuses what is wrong, naming it", function()
      local function post(body)
        return call("POST", "/v1/videos", body)
      end
      assert.are.equal("invalid_request_error", missing("prompt", post "{}").type)
      missing("prompt", post { prompt = "" })
      refused(400, "invalid_type", "prompt", post { prompt = 5 })
      refused(400, "invalid_type", "size", post { prompt = "p", size = { 1 } })
      refused(400, "invalid_type", "dev", post { prompt = "p", dev = "text" })
      refused(400, "invalid_value", "dev.duration", post { prompt = "p", dev = { duration = "x" } })
      refused(400, "invalid_value", "dev.durration", post { prompt = "p", dev = { durration = 1 } })
      refused(400, "invalid_value", "dev.content_bytes", post { prompt = "p", dev = { content_bytes = 100 } })
      create { id = "mine" }
      refused(400, "invalid_value", "dev.id", post { prompt = "p", dev = { id = "mine" } })
      refused(400, "invalid_value", "webhook_url", post { prompt = "p", webhook_url = "ftp://x/y" })
      refused(400, "invalid_json", nil, post "{")
      refused(415, "unsupported_media_type", nil,
        call("POST", "/v1/videos", "x", { ["content-type"] = "text/plain" }))
      assert.are.equal(1, served.jobs.created)
    end)

    it("makes one job for one idempotency key", function()
      local function post(key, path, body)
        return call("POST", path or "/v1/videos", body or { prompt = "p" }, { ["idempotency-key"] = key })
      end
      local first = post("k1").json
      now = now + 5
      local again = post("k1").json
      assert.are.equal(first.id, again.id)
      assert.are.equal("in_progress", again.status)
      assert.are.equal(1, served.jobs.created)
      assert.are_not.equal(first.id, post("k2").json.id)
      call("DELETE", "/v1/videos/" .. first.id)
      assert.are.equal(first.id, post("k1").json.id)
      assert.are.equal(2, served.jobs.created)
    end)

    it("does not use a key up on a refused request", function()
      local headers = { ["idempotency-key"] = "k" }
      assert.are.equal(400, call("POST", "/v1/videos", "{}", headers).status)
      assert.are.equal(200, call("POST", "/v1/videos", { prompt = "p" }, headers).status)
    end)
  end)

  describe("retrieve and delete", function()
    it("follows a job", function()
      local id = create().id
      local seen = {}
      for _, at in ipairs { 0, 3.5, 11 } do
        now = 1700000000 + at
        local video = call("GET", "/v1/videos/" .. id).json
        seen[#seen + 1] = ("%s %.0f"):format(video.status, video.progress)
      end
      assert.are.same({ "queued 0", "in_progress 25", "completed 100" }, seen)
    end)

    it("shows why a job failed", function()
      local video = create { duration = 0, queue = 0, fail = "moderation_blocked" }
      assert.are.equal("failed", video.status)
      assert.are.equal("moderation_blocked", video.error.code)
    end)

    it("says when to ask again, while there is something to wait for", function()
      local id = create({ poll_after_ms = 1500 }).id
      assert.are.equal("1500", call("GET", "/v1/videos/" .. id).headers["openai-poll-after-ms"])
      now = now + 100
      assert.is_nil(call("GET", "/v1/videos/" .. id).headers["openai-poll-after-ms"])
    end)

    it("takes ids of any kind", function()
      for id, encoded in pairs {
        ["sora-2:task_01k7"] = "sora-2:task_01k7", ["a/b"] = "a%2Fb", ["é ?#%"] = "%C3%A9%20%3F%23%25",
        [("x"):rep(300) .. "="] = ("x"):rep(300) .. "=", [".."] = "..", ["x\0y"] = "x%00y",
      } do
        create { id = id }
        assert.are.equal(id, call("GET", "/v1/videos/" .. encoded).json.id)
      end
    end)

    it("cancels a job that has not ended", function()
      local id = create().id
      now = now + 4
      local video = call("POST", "/v1/videos/" .. id .. "/cancel").json
      assert.are.same({ id, "cancelled", 30 }, { video.id, video.status, video.progress })
      now = now + 100
      assert.are.same({ "cancelled", 30 }, { call("GET", "/v1/videos/" .. id).json.status,
        call("GET", "/v1/videos/" .. id).json.progress })
      refused(404, "video_cancelled", nil, call("GET", "/v1/videos/" .. id .. "/content"))
    end)

    it("answers 409 when it is too late to cancel", function()
      for _, job in ipairs { create(DONE), create { duration = 0, queue = 0, fail = "x" } } do
        local path = "/v1/videos/" .. job.id .. "/cancel"
        local err = refused(409, "video_not_cancellable", nil, call("POST", path))
        assert.is_truthy(err.message:find(job.status, 1, true))
      end
      local id = create().id
      assert.are.equal("cancelled", call("POST", "/v1/videos/" .. id .. "/cancel").json.status)
      refused(409, "video_not_cancellable", nil, call("POST", "/v1/videos/" .. id .. "/cancel"))
      refused(404, "not_found", "video_id", call("POST", "/v1/videos/nobody/cancel"))
    end)

    it("deletes", function()
      local id = create().id
      assert.are.same({ id = id, object = "video.deleted", deleted = true },
        call("DELETE", "/v1/videos/" .. id).json)
      refused(404, "not_found", "video_id", call("GET", "/v1/videos/" .. id))
      refused(404, "not_found", "video_id", call("DELETE", "/v1/videos/" .. id))
    end)
  end)

  describe("list", function()
    it("is empty at first", function()
      assert.are.equal('{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}',
        call("GET", "/v1/videos").body)
    end)

    it("pages", function()
      local ids = {}
      for i = 1, 5 do
        ids[i] = create().id
      end
      local page = call("GET", "/v1/videos?limit=2").json
      assert.are.same({ ids[5], ids[4], true }, { page.first_id, page.last_id, page.has_more })
      assert.are.equal("list", page.object)
      assert.are.equal(ids[4], page.data[2].id)
      page = call("GET", "/v1/videos?limit=3&after=" .. ids[4]).json
      assert.are.same({ ids[3], ids[1], false }, { page.first_id, page.last_id, page.has_more })
      page = call("GET", "/v1/videos?order=asc&limit=1").json
      assert.are.equal(ids[1], page.data[1].id)
      assert.are.equal(5, #call("GET", "/v1/videos").json.data)
    end)

    it("refuses parameters that make no sense", function()
      for _, limit in ipairs { "0", "-1", "101", "x", "1.5", "" } do
        refused(400, "invalid_value", "limit", call("GET", "/v1/videos?limit=" .. limit))
      end
      refused(400, "invalid_value", "order", call("GET", "/v1/videos?order=up"))
      refused(400, "invalid_value", "after", call("GET", "/v1/videos?after=nobody"))
    end)
  end)

  describe("remix, edit and extend", function()
    it("start from a finished video and take over what is not said", function()
      local source = create(DONE, { model = "m", size = "1x1", seconds = "12" })
      local remixed = call("POST", "/v1/videos/" .. source.id .. "/remix", { prompt = "a dog" }).json
      assert.are.same({ "a dog", source.id, "m", "1x1", "12", "queued" }, { remixed.prompt,
        remixed.remixed_from_video_id, remixed.model, remixed.size, remixed.seconds, remixed.status })
      local edited = call("POST", "/v1/videos/edits", { prompt = "blue", video = { id = source.id } }).json
      assert.are.same({ "blue", cjson.null, "12" },
        { edited.prompt, edited.remixed_from_video_id, edited.seconds })
      local extended = call("POST", "/v1/videos/extensions",
        { prompt = "on", video = source.id, seconds = "8" }).json
      assert.are.same({ "on", "8", "m" }, { extended.prompt, extended.seconds, extended.model })
      assert.are.equal(4, served.jobs.created)
    end)

    it("take a video that comes with the request", function()
      local body = table.concat({
        "--B", 'Content-Disposition: form-data; name="prompt"', "", "blue",
        "--B", 'Content-Disposition: form-data; name="video"; filename="v.mp4"', "", "bytes",
        "--B--", "" }, "\r\n")
      local headers = { ["content-type"] = "multipart/form-data; boundary=B" }
      assert.are.equal("blue", call("POST", "/v1/videos/edits", body, headers).json.prompt)
    end)

    it("refuse a video that is not there or not finished", function()
      local running = create().id
      local path = "/v1/videos/" .. running .. "/remix"
      refused(400, "video_not_completed", "video", call("POST", path, { prompt = "p" }))
      refused(400, "video_not_completed", "video",
        call("POST", "/v1/videos/edits", { prompt = "p", video = { id = running } }))
      refused(404, "not_found", "video_id", call("POST", "/v1/videos/nobody/remix", { prompt = "p" }))
      refused(404, "not_found", "video_id",
        call("POST", "/v1/videos/edits", { prompt = "p", video = "nobody" }))
    end)

    it("refuse what is incomplete", function()
      local id = create(DONE).id
      missing("prompt", call("POST", "/v1/videos/" .. id .. "/remix", "{}"))
      missing("video", call("POST", "/v1/videos/edits", { prompt = "p" }))
      missing("prompt", call("POST", "/v1/videos/edits", { video = id }))
      missing("seconds", call("POST", "/v1/videos/extensions", { prompt = "p", video = id }))
    end)
  end)

  describe("characters", function()
    it("can be made and asked for", function()
      local made = call("POST", "/v1/videos/characters", { name = "Ada", video = { file_id = "f" } }).json
      assert.is_truthy(made.id:find("^char_%x+$"))
      assert.are.same({ "Ada", 1700000000 }, { made.name, made.created_at })
      assert.are.same(made, call("GET", "/v1/videos/characters/" .. made.id).json)
      refused(404, "not_found", "character_id", call("GET", "/v1/videos/characters/nobody"))
      missing("name", call("POST", "/v1/videos/characters", { video = "x" }))
      missing("video", call("POST", "/v1/videos/characters", { name = "x" }))
    end)
  end)

  describe("files", function()
    it("are those of the jobs, and need no key", function()
      served = make { api_key = "sk-1" }
      local key = { authorization = "Bearer sk-1" }
      local fields = { prompt = "p", dev = { id = "a/b", duration = 0, queue = 0 } }
      assert.are.equal(200, call("POST", "/v1/videos", fields, key).status)
      local response = call("GET", "/files/a%2Fb.mp4")
      assert.are.same({ 200, "video/mp4" }, { response.status, response.headers["content-type"] })
      assert.are.equal(404, call("GET", "/files/none.mp4").status)
    end)
  end)

  describe("content", function()
    local function content(id, query, headers)
      return call("GET", "/v1/videos/" .. id .. "/content" .. (query or ""), nil, headers)
    end

    it("has a type, a length, a version and a date", function()
      local response = content(create(DONE).id)
      assert.are.equal(200, response.status)
      assert.are.equal("video/mp4", response.headers["content-type"])
      assert.are.equal("bytes", response.headers["accept-ranges"])
      assert.are.equal("Tue, 14 Nov 2023 22:13:20 GMT", response.headers["last-modified"])
      assert.are.equal(response.content.etag, response.headers.etag)
      assert.are.same({ 0, response.content.length }, { response.first, response.count })
    end)

    it("has variants", function()
      local id = create({ duration = 0, queue = 0, content_bytes = 100000 }).id
      assert.are.equal(100000, content(id).count)
      assert.are.equal(100000, content(id, "?variant=video").count)
      assert.are.equal("image/jpeg", content(id, "?variant=thumbnail").headers["content-type"])
      assert.is_true(content(id, "?variant=spritesheet").count < 20000)
      refused(400, "invalid_value", "variant", content(id, "?variant=poster"))
    end)

    it("gives ranges", function()
      local id = create({ duration = 0, queue = 0, content_bytes = 100000 }).id
      local response = content(id, "", { range = "bytes=500-" })
      assert.are.equal(206, response.status)
      assert.are.equal("bytes 500-99999/100000", response.headers["content-range"])
      assert.are.same({ 500, 99500 }, { response.first, response.count })
      response = content(id, "", { range = "bytes=100000-" })
      refused(416, "range_not_satisfiable", "range", response)
      assert.are.equal("bytes */100000", response.headers["content-range"])
    end)

    it("gives a range only of the version it was asked of", function()
      local id = create(DONE).id
      local whole = content(id)
      for _, condition in ipairs { whole.headers.etag, whole.headers["last-modified"] } do
        assert.are.equal(206, content(id, "", { range = "bytes=1-2", ["if-range"] = condition }).status)
      end
      local response = content(id, "", { range = "bytes=1-2", ["if-range"] = '"another"' })
      assert.are.same({ 200, whole.count }, { response.status, response.count })
    end)

    it("says when there is none", function()
      local id = create({ duration = 10, queue = 0, expires = 60 }).id
      local err = refused(404, "video_not_ready", nil, content(id))
      assert.is_truthy(err.message:find("in_progress", 1, true))
      now = now + 11
      assert.are.equal(200, content(id).status)
      now = now + 60
      refused(404, "content_expired", nil, content(id))
      refused(404, "video_failed", nil, content(create({ duration = 0, queue = 0, fail = "x" }).id))
      refused(404, "not_found", "video_id", content "nobody")
      served = make { not_ready = 409 }
      refused(409, "video_not_ready", nil, content(create().id))
    end)
  end)

  describe("every endpoint", function()
    it("answers 405 to other methods", function()
      local response = call("PUT", "/v1/videos/x")
      refused(405, "method_not_allowed", nil, response)
      assert.are.equal("DELETE, GET, HEAD", response.headers.allow)
      assert.are.equal("GET, HEAD, POST", call("DELETE", "/v1/videos").headers.allow)
      assert.are.equal("POST", call("GET", "/v1/videos/edits").headers.allow)
      assert.are.equal(200, call("HEAD", "/v1/videos").status)
    end)

    it("answers 404 at any other path", function()
      for _, path in ipairs {
        "/", "/v1", "/v2/videos", "/v1/videos/", "/v1/videos/x/y", "/v1/videos/x/content/", "/v1//videos",
      } do
        refused(404, "unknown_url", nil, call("GET", path))
      end
    end)

    it("can have another base path", function()
      served = make { base_path = "/openai/v1" }
      assert.are.equal(200, call("GET", "/openai/v1/videos?api-version=preview").status)
      assert.are.equal(404, call("GET", "/v1/videos").status)
    end)

    it("asks for the key in the way it was told", function()
      local ways = {
        bearer = { "authorization", "Bearer sk-1" }, raw = { "authorization", "sk-1" },
        ["api-key"] = { "api-key", "sk-1" }, ["x-api-key"] = { "x-api-key", "sk-1" },
      }
      for auth, right in pairs(ways) do
        served = make { api_key = "sk-1", auth = auth }
        assert.are.equal(200, call("GET", "/v1/videos", nil, { [right[1]] = right[2] }).status)
        for other, wrong in pairs(ways) do
          if other ~= auth then
            local response = call("GET", "/v1/videos", nil, { [wrong[1]] = wrong[2] })
            local err = refused(401, "invalid_api_key", nil, response)
            assert.are.equal("authentication_error", err.type)
            assert.is_nil(response.body:find("sk-1", 1, true))
          end
        end
        assert.are.equal(401, call("GET", "/v1/videos").status)
      end
    end)

    it("may be called from a web page when that is wanted", function()
      assert.is_nil(call("GET", "/v1/videos").headers["access-control-allow-origin"])
      refused(405, "method_not_allowed", nil, call("OPTIONS", "/v1/videos"))
      served = make { cors = "*", api_key = "k" }
      assert.are.equal("*", call("GET", "/v1/videos").headers["access-control-allow-origin"])
      local preflight = call("OPTIONS", "/v1/videos")
      assert.are.equal(204, preflight.status)
      assert.is_truthy(preflight.headers["access-control-allow-headers"]:find("authorization", 1, true))
    end)
  end)
end)
