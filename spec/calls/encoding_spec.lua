-- Answers that a server compresses though nobody asked for that: they are read like any other.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local gzip = require "spec.support.gzip"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"

local BODY = '{"id":"v","status":"queued","prompt":"' .. ("fox "):rep(200) .. '"}'

describe("a compressed answer", function()
  local srv, files = given.server(), given.folder()
  local client

  local function connect(options)
    client = rig.client(srv, options)
    return client
  end
  after_each(function()
    if client then client:close() end
    client = nil
  end)

  -- An answer with a compressed body, and more fields if given.
  local function packed(label, bytes, more)
    return answers.with({ body = bytes, headers = { ["Content-Encoding"] = label,
      ["Content-Type"] = "application/json" } }, more)
  end

  local function assert_read(answer, what)
    srv:reset()
    srv:route("*", "^", answer)
    local video, err = client:get_video("v")
    assert.equal("v", video and video.id, what .. ": " .. tostring(err))
    video, err = client:create_video { prompt = "p" }
    assert.equal("v", video and video.id, what .. ": " .. tostring(err))
    assert.equal(("fox "):rep(200), video.prompt)
    assert.equal("v", patience.result(client, assert(client:start("get_video", "v"))).id)
    assert.equal(3, #srv:requests())
    for _, request in ipairs(srv:requests()) do assert.is_nil(request.headers["accept-encoding"]) end
  end

  it("is read whatever the encoding is called, and asked for once", function()
    connect()
    for label, bytes in pairs { gzip = gzip.pack(BODY), ["x-gzip"] = gzip.pack(BODY), GZIP = gzip.pack(BODY),
      deflate = gzip.zlib(BODY), Deflate = gzip.raw(BODY) } do
      assert_read(packed(label, bytes), label)
      assert_read(packed(label, bytes, { chunked = true }), label .. ", chunked")
    end
    assert_read({ body = gzip.pack(BODY) }, "no label")
    assert_read(packed("gzip", gzip.pack(BODY:sub(1, 99)) .. gzip.pack(BODY:sub(100))), "two members")
  end)

  it("is read as it is where only its label is wrong", function()
    connect()
    for _, label in ipairs { "gzip", "deflate", "br", "utf-8", "identity", "aws-chunked", "" } do
      assert_read(packed(label, BODY), label)
    end
  end)

  it("is read in a list, in a wait and where it says why a call failed", function()
    connect()
    srv:route("GET", "/v1/videos", packed("gzip", gzip.pack('{"data":[' .. BODY .. "]}")))
    assert.equal("v", assert(client:list_videos()).data[1].id)
    srv:route("GET", "/v1/videos/v", { packed("gzip", gzip.pack(BODY)),
      packed("gzip", gzip.pack '{"id":"v","status":"completed"}') })
    assert.equal("completed", assert(client:wait("v", rig.FAST)).status)
    for status in pairs { [400] = true, [429] = true, [500] = true } do
      local text = '{"error":{"message":"No such model","code":"model_not_found"}}'
      srv:route("*", "^", packed("gzip", gzip.pack(text), { status = status }))
      for _, call in ipairs { client.get_video, client.delete_video, client.cancel_video } do
        local video, err = call(client, "v")
        assert.same({ nil, "api", "No such model", "model_not_found", text },
          { video, err.kind, err.message, err.code, err.body })
      end
    end
  end)

  it("that shows the key is cleaned of it", function()
    connect()
    srv:route("*", "^", packed("gzip", gzip.pack('{"error":{"message":"bad key ' .. rig.KEY .. '"}}'),
      { status = 401 }))
    local _, err = client:get_video("v")
    assert.is_nil(rig.shown(err):find(rig.KEY, 1, true))
    assert.matches("^bad key %*+$", err.message)
  end)

  it("may be as large as max_response_bytes when it is read, and no larger", function()
    connect { max_response_bytes = #BODY }
    assert_read(packed("gzip", gzip.pack(BODY)), "gzip")
    client:close()
    connect { max_response_bytes = #BODY - 1 }
    srv:reset()
    srv:route("*", "^", packed("gzip", gzip.pack(BODY)))
    local video, err = client:get_video("v")
    assert.same({ nil, "too_large", ("the answer is larger than max_response_bytes (%d): raise that "
      .. "option, or ask for less"):format(#BODY - 1) },
      { video, err.kind, err.message })
    video, err = client:create_video { prompt = "p" }
    assert.same({ nil, "too_large", true }, { video, err.kind, err.ambiguous })
  end)

  it("that would fill the memory ends at the limit", function()
    files:run "head -c 200000000 /dev/zero | gzip -9 >bomb"
    srv:route("*", "^", packed("gzip", files:read "bomb"))
    local output = rig.run(([[
      local sora = require "sora"
      local client = assert(sora.new { base_url = %q, api_key = "k", max_retries = 0 })
      local _, err = client:get_video "v"
      for line in io.lines "/proc/self/status" do
        if line:find "^VmHWM" then print(err.kind, tonumber(line:match "%%d+") < 60000) end
      end]]):format(srv.url .. "/v1"))
    assert.equal("too_large\ttrue\n", output)
  end)

  it("that is damaged or cut is asked for again, but not if it costs", function()
    local whole = gzip.pack(BODY)
    for _, bytes in ipairs { whole:sub(1, -9), whole:sub(1, 40), whole:sub(1, 2),
      whole:sub(1, -6) .. "\0\0\0\0\0",
      whole:sub(1, 20) .. "\0\255\0\255" .. whole:sub(25) } do
      srv:reset()
      srv:reply(packed("gzip", bytes), packed("gzip", whole), packed("gzip", bytes))
      connect { max_retries = 1 }
      assert.equal("v", assert(client:get_video("v")).id)
      local video, err = client:create_video { prompt = "p" }
      assert.same({ nil, "decode", true }, { video, err.kind, err.ambiguous })
      assert.equal("the answer is compressed, and its data is damaged", err.message)
      assert.equal(3, #srv:requests())
      client:close()
    end
  end)

  it("in an encoding that can't be read says so", function()
    connect()
    for label, bytes in pairs { br = "\27\3\2\0\36\12", zstd = "\40\181\47\253\4\0",
      compress = "\31\157\144" } do
      srv:route("*", "^", packed(label, bytes))
      local video, err = client:get_video("v")
      assert.same({ nil, "decode" }, { video, err.kind })
      assert.equal(("the answer is compressed as '%s', which was not asked for; the header Accept-Encoding "
        .. "must not name it"):format(label), err.message)
      video, err = client:create_video { prompt = "p" }
      assert.same({ nil, "decode", true }, { video, err.kind, err.ambiguous })
    end
  end)

  it("of an error shows as much as can be read", function()
    connect()
    srv:route("*", "^", packed("gzip", gzip.pack(("sorry "):rep(100)):sub(1, 25), { status = 500 }))
    local _, err = client:get_video("v")
    assert.same({ "api", 500 }, { err.kind, err.status })
    assert.matches("^sorry", err.body)
    srv:route("*", "^", packed("br", "\27\3\2\0\36\12", { status = 502 }))
    _, err = client:get_video("v")
    assert.same({ "api", 502 }, { err.kind, err.status })
  end)
end)

describe("a download that meets a compressed answer", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  local CONTENT = "/v1/videos/v/content"

  local function file(bytes, label, more)
    return answers.with({ body = bytes, headers = { ["Content-Type"] = "video/mp4",
      ["Content-Encoding"] = label } }, more)
  end

  local function assert_refused(answer)
    srv:reset()
    srv:route("GET", "/v1/videos/v", answers.DONE)
    srv:route("GET", CONTENT, answer)
    local result, err = client:download_video("v", files:at "a.mp4")
    assert.same({ nil, "api" }, { result, err.kind })
    assert.matches("^the server sent the file compressed", err.message)
    local got = {}
    result = client:download_video("v", { sink = function(chunk) got[#got + 1] = chunk end })
    assert.same({ nil, 0 }, { result, #got })
    assert.equal("", files:list())
  end

  it("never saves a file compressed, whatever it is called and however it comes", function()
    local packed = gzip.pack(answers.MP4)
    assert_refused(file(packed, "gzip"))
    assert_refused(file(packed))
    assert_refused(file(packed, "gzip", { chunked = true }))
    assert_refused(file(gzip.zlib(answers.MP4), "deflate"))
    local head = "HTTP/1.1 200 OK\r\nContent-Length: " .. #packed .. "\r\n\r\n"
    assert_refused { steps = { head .. packed:sub(1, 1), 0.05, packed:sub(2) } }
  end)

  it("refuses a large file as well", function()
    files:run "head -c 9000000 /dev/urandom | (printf '\\0\\0\\0\\40ftypisom'; cat) | gzip -1 >packed"
    local packed = files:read "packed"
    files:clear()
    assert_refused(file(packed, "gzip"))
  end)

  it("saves a file whose label alone is wrong", function()
    for _, label in ipairs { "gzip", "deflate", "br", "aws-chunked", "identity" } do
      srv:route("GET", CONTENT, file(answers.MP4, label))
      assert.equal(#answers.MP4, assert(client:download_video("v", files:at "a.mp4")).bytes)
      assert.is_true(files:read "a.mp4" == answers.MP4)
    end
  end)

  it("reads JSON in place of the file", function()
    srv:route("GET", "/elsewhere.mp4", answers.FILE)
    srv:route("GET", CONTENT, { body = gzip.pack('{"url":"' .. srv.url .. '/elsewhere.mp4"}'),
      headers = { ["Content-Encoding"] = "gzip" } })
    assert(client:download_video("v", files:at "a.mp4"))
    assert.is_true(files:read "a.mp4" == answers.MP4)
    srv:route("GET", "/v1/videos/v", { body = gzip.pack '{"id":"v","status":"queued"}' })
    srv:route("GET", CONTENT, { body = gzip.pack '{"error":"not ready"}', status = 400 })
    local _, err = client:download_video("v", { path = files:at "b.mp4", grace = 0 })
    assert.equal("not_ready", err.code)
  end)
end)
