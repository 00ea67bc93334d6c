-- Bodies with files: when a call sends a form, what is in it byte by byte, and what is refused before
-- anything is sent.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local form = require "sora.server.input"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

local JOB = answers.QUEUED
local BOUNDARY = "^multipart/form%-data; boundary=(%S+)$"

-- Every byte, and what looks like the end of a part.
local function all_bytes()
  local bytes = {}
  for i = 0, 255 do bytes[i + 1] = string.char(i) end
  return table.concat(bytes) .. "\r\n--\r\n\r\n--------------------------\r\n"
end

describe("a create with a file", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function()
    srv:route("*", "^", JOB)
    client = rig.client(srv)
  end)
  after_each(function() client:close() end)

  -- The parts of a request, by name, and their names in order.
  local function parts_of(request)
    local boundary = assert(request.headers["content-type"]:match(BOUNDARY), "no form")
    local list = assert(form.parts(request.body, boundary))
    assert.equal(tostring(#request.body), request.headers["content-length"])
    local parts, names = {}, {}
    for i, part in ipairs(list) do
      names[i] = part.name
      parts[part.name] = part
    end
    return parts, names, list
  end

  local function last()
    local requests = srv:requests()
    return requests[#requests]
  end

  local function sent(params, opts)
    assert(client:create_video(params, opts))
    return parts_of(last())
  end

  it("is a form of all fields", function()
    files:write("a.png", all_bytes())
    local params = { prompt = "A cat\r\n--x", seconds = 4, fps = 23.976, enhance = true, hd = false,
      model = "sora-2", seed = 1e15, metadata = { a = { 1, "b" } },
      input_reference = { path = files:at "a.png" } }
    local parts, names = sent(params)
    assert.equal("enhance fps hd input_reference metadata model prompt seconds seed",
      table.concat(names, " "))
    local texts = { prompt = "A cat\r\n--x", seconds = "4", fps = "23.976", enhance = "true", hd = "false",
      model = "sora-2", seed = "1000000000000000" }
    for name, text in pairs(texts) do
      assert.same({ text }, { parts[name].body, parts[name].filename, parts[name].content_type }, name)
    end
    assert.same({ a = { 1, "b" } }, cjson.decode(parts.metadata.body))
    local file = parts.input_reference
    assert.is_true(file.body == all_bytes())
    assert.same({ "a.png", "image/png" }, { file.filename, file.content_type })
    assert.same({ path = files:at "a.png" }, params.input_reference)
    assert.is_nil(last().headers.expect) -- many gateways do not know 100-continue
    assert.equal("Bearer " .. rig.KEY, last().headers.authorization)
  end)

  it("is JSON when no param is a file", function()
    local params = { prompt = "p", input_reference = { file_id = "f" }, images = { { id = "i" } } }
    assert(client:create_video(params))
    assert.equal("application/json", last().headers["content-type"])
    assert.same(params, cjson.decode(last().body))
  end)

  it("is a form, then JSON, then a form, on one client", function()
    for i = 1, 3 do
      assert(client:create_video { prompt = "p", ref = i ~= 2 and { data = "x" } or nil })
      assert.equal(i == 2 and "application/json" or "multipart/form-data",
        last().headers["content-type"]:match "^[^;]*")
    end
    assert(client:get_video "v")
    assert.same({ "GET", "" }, { last().method, last().body })
    assert.is_nil(last().headers["content-type"])
    assert.equal(4, #srv:requests())
  end)

  it("sends bytes from memory", function()
    local parts = sent { ref = { data = all_bytes(), filename = "b.webp", content_type = "image/webp" },
      plain = { data = "x" }, empty = { data = "", content_type = "text/x-none" } }
    assert.is_true(parts.ref.body == all_bytes())
    assert.same({ "b.webp", "image/webp" }, { parts.ref.filename, parts.ref.content_type })
    assert.same({ "x", "plain" }, { parts.plain.body, parts.plain.filename })
    assert.same({ "", "empty", "text/x-none" },
      { parts.empty.body, parts.empty.filename, parts.empty.content_type })
  end)

  it("sends the filename and content_type that are given", function()
    files:write("a.png", "1")
    files:write("empty.mp4", "")
    local parts = sent { ref = { path = files:at "a.png", filename = "caf\195\169 (1).mp4",
      content_type = "video/mp4" }, empty = { path = files:at "empty.mp4" } }
    assert.same({ "1", "caf\195\169 (1).mp4", "video/mp4" },
      { parts.ref.body, parts.ref.filename, parts.ref.content_type })
    assert.same({ "", "empty.mp4" }, { parts.empty.body, parts.empty.filename })
  end)

  local HEADS = {
    { "image/png", "\137PNG\r\n\26\n", ".png" },
    { "image/jpeg", "\255\216\255\224\0\16JFIF", ".jpg" },
    { "image/gif", "GIF89a\1\0", ".gif" },
    { "image/webp", "RIFF\36\0\0\0WEBPVP8 ", ".webp" },
    { "image/avif", "\0\0\0\32ftypavif", ".avif" },
    { "image/heic", "\0\0\0\32ftypheic", ".heic" },
    { "video/mp4", answers.MP4, ".mp4" },
    { "video/quicktime", "\0\0\0\20ftypqt  \0\0\0\0", ".mov" },
    { "video/webm", "\26\69\223\163\159\66\134\129\1", ".webm" },
    { "application/octet-stream", "RIFF\36\0\0\0WAVE", "" },
    { "application/octet-stream", "text", "" },
    { "application/octet-stream", "", "" },
  }

  it("tells the type of a file by its extension", function()
    for name, kind in pairs { ["a.png"] = "image/png", ["A.JPG"] = "image/jpeg", ["a.jpeg"] = "image/jpeg",
      ["a.webp"] = "image/webp", ["a.gif"] = "image/gif", ["a.b.mp4"] = "video/mp4", ["a.m4v"] = "video/mp4",
      ["a.mov"] = "video/quicktime", ["a.webm"] = "video/webm" } do
      files:write(name, "1")
      local parts = sent { ref = { path = files:at(name) }, memory = { data = "1", filename = name } }
      assert.same({ kind, name, "1" }, { parts.ref.content_type, parts.ref.filename, parts.ref.body })
      assert.same({ kind, name }, { parts.memory.content_type, parts.memory.filename })
    end
    files:write("a.png", "1")
    local parts = sent { ref = { path = files:at "a.png", filename = "b" } }
    assert.same({ "image/png", "b" }, { parts.ref.content_type, parts.ref.filename })
  end)

  it("tells the type of a file without a known extension by its first bytes", function()
    for _, row in ipairs(HEADS) do
      local kind, bytes, extension = row[1], row[2], row[3]
      files:write("film", bytes)
      files:write("film.part", bytes)
      files:run "ln -sf film link"
      local parts = sent { one = { path = files:at "film" }, two = { path = files:at "film.part" },
        three = { path = files:at "link" }, four = { data = bytes, filename = "frame" },
        input_reference = { data = bytes } }
      for name, filename in pairs { one = "film", two = "film.part", three = "link", four = "frame",
        input_reference = "input_reference" .. extension } do
        assert.same({ kind, filename }, { parts[name].content_type, parts[name].filename })
        assert.is_true(parts[name].body == bytes)
      end
    end
  end)

  it("names bytes after their content_type", function()
    local parts = sent { ref = { data = "x", content_type = "image/webp" },
      other = { data = "x", content_type = "image/x-new" } }
    assert.same({ "ref.webp", "image/webp" }, { parts.ref.filename, parts.ref.content_type })
    assert.same({ "other", "image/x-new" }, { parts.other.filename, parts.other.content_type })
  end)

  it("escapes quotes in names", function()
    local parts, names = sent { ref = { data = "1", filename = 'a"; name="b' }, ['n"; x="y'] = "2" }
    assert.equal(2, #names)
    assert.is_nil(parts.b)
    assert.equal("1", parts.ref.body)
    assert.equal('a"; name="b', (parts.ref.filename:gsub("%%22", '"'))) -- as browsers write it
  end)

  it("sends lists of files under one name, in their order", function()
    files:write("a.png", "a")
    local _, names, list = sent { images = { { path = files:at "a.png" }, { data = "b", filename = "b.png" },
      { data = "c" } }, prompt = "p" }
    assert.same({ "images", "images", "images", "prompt" }, names)
    assert.same({ "a", "b", "c", "p" }, rig.pluck(list, "body"))
    assert.same({ "a.png", "b.png", "images" }, rig.pluck(list, "filename"))
  end)

  it("sends integers to their last digit", function()
    local wanted = rig.has_integers and "9007199254740993" or "9007199254740992"
    local parts = sent { seed = tonumber "9007199254740993", list = { tonumber "9007199254740993" },
      ref = { data = "x" } }
    assert.equal(wanted, parts.seed.body)
    assert.equal("[" .. wanted .. "]", parts.list.body)
  end)

  it("leaves out what is null", function()
    local _, names = sent { seed = cjson.null, prompt = "p", ref = { data = "x" } }
    assert.same({ "prompt", "ref" }, names)
  end)

  it("is a form in every call that posts, blocking or started", function()
    local FILE = { data = "bytes", filename = "v.mp4", content_type = "video/mp4" }
    local calls = {
      { "/v1/videos", "create_video", { prompt = "p", video = FILE } },
      { "/v1/videos/v/remix", "remix_video", "v", { prompt = "p", video = FILE } },
      { "/v1/videos/edits", "edit_video", { prompt = "p", video = FILE } },
      { "/v1/videos/extensions", "extend_video", { prompt = "p", video = FILE } },
      { "/v1/videos/characters", "create_character", { name = "n", video = FILE } },
    }
    for _, call in ipairs(calls) do
      assert(client[call[2]](client, call[3], call[4]))
      assert(patience.result(client, assert(client:start(call[2], call[3], call[4]))))
      local requests = srv:requests()
      for i = #requests - 1, #requests do
        local parts = parts_of(requests[i])
        assert.equal(call[1], requests[i].target)
        assert.same({ "bytes", "v.mp4", "video/mp4" },
          { parts.video.body, parts.video.filename, parts.video.content_type })
      end
    end
    assert.equal(10, #srv:requests())
  end)

  it("is what a client with `multipart` always sends", function()
    client:close()
    client = rig.client(srv, { multipart = true })
    local parts, names = sent { prompt = "p", seconds = 4 }
    assert.same({ "prompt", "seconds" }, names)
    assert.same({ "p", "4" }, { parts.prompt.body, parts.seconds.body })
    for _, call in ipairs { { "remix_video", "v", { prompt = "p" } },
      { "edit_video", { prompt = "p", video = "v" } }, { "extend_video", { prompt = "p", video = "v" } },
      { "create_character", { name = "n", video = "v" } } } do
      assert(client[call[1]](client, call[2], call[3]))
      parts = parts_of(last())
      assert.equal(call[1] == "create_character" and "n" or "p", (parts.prompt or parts.name).body)
      if call[1] ~= "remix_video" then assert.same({ id = "v" }, cjson.decode(parts.video.body)) end
    end
    assert.error_matches(function() rig.client(srv, { multipart = 1 }) end,
      "option 'multipart': expected a boolean, got number")
  end)

  it("reaches a development server as it was", function()
    local server = process.serve { "--quiet", "--api-key", rig.KEY }
    finally(function() server:stop() end)
    local live = rig.client(server.origin)
    for _, params in ipairs { { prompt = "A fox", model = "sora-2", seconds = "8", input_reference = {
      data = "\137PNG\r\n\26\n", filename = "a.png" } }, { prompt = "A fox", seconds = "8" } } do
      local video = assert(live:create_video(params))
      assert.same({ "A fox", "8" }, { video.prompt, video.seconds })
    end
    live:close()
  end)
end)

describe("a form", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function() files:write("a.bin", all_bytes()) end)
  after_each(function()
    if client then client:close() end
    client = nil
  end)

  local function connect(options)
    client = rig.client(srv, options)
    return client
  end

  local function start(self, all) return self:start("create_video", all) end

  local function params()
    return { prompt = "p", ref = { path = files:at "a.bin" }, more = { data = all_bytes() } }
  end

  -- All that arrived were the same form, but for the boundary.
  local function assert_forms(count)
    local requests = srv:requests()
    assert.equal(count, #requests)
    for i, request in ipairs(requests) do
      local parts = assert(form.parts(request.body, request.headers["content-type"]:match(BOUNDARY)))
      assert.same({ "more", "prompt", "ref" }, rig.pluck(parts, "name"))
      assert.is_true(parts[1].body == all_bytes() and parts[3].body == all_bytes(), "request " .. i)
      assert.equal("POST", request.method)
    end
    return requests
  end

  for _, way in ipairs { "waited", "started" } do
    local function create(opts)
      if way == "waited" then return client:create_video(params(), opts) end
      return patience.result(client, assert(client:start("create_video", params(), opts)))
    end

    it("is sent again whole after a 503 and a 429, " .. way, function()
      srv:reply(answers.busy(1),
        { status = 429, headers = { ["retry-after-ms"] = "1" } }, JOB)
      connect { max_retries = 2 }
      assert.equal("v", assert(create()).id)
      assert_forms(3)
    end)

    it("is sent whole after a 307 and a 308, " .. way, function()
      srv:reply(answers.redirect(307, "/v1/there"),
        answers.redirect(308, "/v1/farther"), JOB)
      connect()
      assert.equal("v", assert(create()).id)
      local requests = assert_forms(3)
      assert.same({ "/v1/videos", "/v1/there", "/v1/farther" }, rig.pluck(requests, "target"))
    end)

    it("becomes a GET without a body after a 303, " .. way, function()
      srv:reply(answers.redirect(303, "/v1/there"), JOB)
      connect()
      assert.equal("v", assert(create()).id)
      local requests = srv:requests()
      assert.same({ "POST", "GET" }, rig.pluck(requests, "method"))
      assert.same({ "", nil }, { requests[2].body, requests[2].headers["content-type"] })
    end)

    it("is sent once where the server may have received it, " .. way, function()
      for _, answer in ipairs { { reset = true }, { close = true }, { status = 500 }, { status = 502 },
        { status = 504 }, { raw = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", close = true } } do
        srv:reset()
        srv:route("*", "^", answer)
        connect { max_retries = 3 }
        local job, err = create()
        assert.is_nil(job)
        assert.is_true(err.ambiguous, tostring(err))
        assert.is_nil(err.retryable or nil)
        assert_forms(1)
        client:close()
      end
    end)

    it("is sent again after such a failure with an idempotency key, " .. way, function()
      srv:reply({ status = 500, headers = { ["retry-after-ms"] = "1" } }, { close = true }, JOB)
      connect { max_retries = 2 }
      assert.equal("v", assert(create { idempotency_key = "once" }).id)
      for _, request in ipairs(assert_forms(3)) do
        assert.equal("once", request.headers["idempotency-key"])
      end
    end)
  end

  it("that can't be read any more when it is sent again is a file error", function()
    srv:route("*", "^", answers.busy(200))
    connect { max_retries = 1, on_event = function(event)
      if event.event == "retry" then os.remove(files:at "a.bin") end
    end }
    local job, err = client:create_video(params())
    assert.same({ nil, "file" }, { job, err.kind })
    assert.is_nil(err.ambiguous)
    assert.equal(1, #srv:requests())
  end)

  describe("with a file that can't be read", function()
    local function assert_refused(path, pattern)
      connect()
      local fields = { prompt = "p", ref = { path = path } }
      for _, call in ipairs { client.create_video, start } do
        local job, err = call(client, fields)
        assert.is_nil(job)
        assert.equal("file", err.kind)
        assert.is_truthy(err.message:find(path, 1, true), err.message)
        assert.matches(pattern, err.message)
        assert.is_nil(err.ambiguous)
      end
      assert.same({ 0, 0 }, { #srv:requests(), srv:connections() })
      srv:route("*", "^", JOB)
      assert(client:create_video(params())) -- the client is as good as before
    end

    it("because it does not exist", function() assert_refused(files:at "none", "No such file") end)

    it("because it is a folder", function() assert_refused(files.path, "directory") end)

    it("because it is a FIFO, which would wait for its writer", function()
      files:run "mkfifo fifo"
      assert_refused(files:at "fifo", "it is not a regular file")
    end)

    it("because it may not be read", function()
      if process.output "id -u" == "0\n" then -- the superuser may read all but what the kernel keeps back
        assert_refused("/proc/self/mem/x", "Not a directory")
      else
        files:run "chmod 000 a.bin"
        assert_refused(files:at "a.bin", "denied")
      end
    end)
  end)

  it("raises for misuse before anything is sent", function()
    srv:route("*", "^", JOB)
    connect()
    local path = files:at "a.bin"
    local function refuses(text, field, more)
      local fields = { prompt = "p", ref = field, f = more }
      for _, call in ipairs { client.create_video, start } do
        local good, problem = pcall(function()
          local result = call(client, fields)
          return result
        end)
        assert.is_false(good, text)
        assert.matches("multipart_spec%.lua:%d+: bad argument.*'create_video'", problem)
        assert.matches(text, problem)
      end
    end
    refuses("ref: expected either path or data, got both", { path = path, data = "x" })
    refuses("unknown option 'file_name'; did you mean 'filename'%?", { path = path, file_name = "x" })
    refuses("unknown option 'type'", { data = "x", type = "image/png" })
    refuses("ref.path: expected a string, got number", { path = 5 })
    refuses("ref.data: expected a string, got table", { data = {} })
    refuses("ref.filename: expected a string, got boolean", { data = "x", filename = true })
    refuses("ref.content_type: expected a string, got number", { data = "x", content_type = 5 })
    refuses("ref.path: ", { path = "" })
    refuses("ref.path: ", { path = "a\0b" })
    refuses("ref.content_type: ", { data = "x", content_type = "a/b\r\nX-Evil: 1" })
    refuses("ref.filename: ", { data = "x", filename = "a\r\nb" })
    refuses("ref: expected either path or data, got both", { { data = "x" }, { path = path, data = "x" } })
    refuses("ref", { { data = "x" }, "https://h.example/a.png" })
    refuses("ref", { "https://h.example/a.png", { data = "x" } })
    refuses("f: ", { data = "x" }, print)
    refuses("f: ", { data = "x" }, { print })
    refuses("f: ", { data = "x" }, 0 / 0)
    refuses("f: ", { data = "x" }, io.stdout)
    assert.equal(0, #srv:requests())
  end)
end)

describe("a large file", function()
  local srv, files = given.server(), given.folder()
  local SIZE = 20 * 1024 * 1024

  it("is streamed, with memory that does not grow with it", function()
    srv:route("*", "^", JOB)
    files:run(("head -c %d /dev/urandom >big.mp4"):format(SIZE))
    -- The first form, of a small file, has libcurl and Lua take all that any form needs.
    local output = rig.run(([[
      local sora = require "sora"
      local function peak()
        for line in io.lines "/proc/self/status" do
          if line:find "^VmHWM" then return tonumber(line:match "%%d+") end
        end
      end
      local client = assert(sora.new { base_url = %q, api_key = "k" })
      assert(client:create_video { prompt = "p", ref = { data = "x" } })
      local before = peak()
      assert(client:create_video { prompt = "p", input_reference = { path = %q } })
      print(peak() - before)]]):format(srv.url .. "/v1", files:at "big.mp4"))
    local grown = tonumber(output)
    assert.is_truthy(grown, output)
    assert.is_true(grown < 2048, grown .. " KiB")
    local requests = srv:requests()
    local parts = form.parts(requests[2].body, requests[2].headers["content-type"]:match(BOUNDARY))
    assert.is_true(parts[1].body == files:read "big.mp4")
    assert.is_nil(requests[2].headers.expect)
  end)
end)
