-- What a create sends, byte by byte where that matters, and which misuse raises.
local cjson = require "cjson"
local given = require "spec.support.given"
local rig = require "spec.support.rig"
local endpoints = require "sora.endpoints"

-- The body of a create.
local function body(params)
  return endpoints.describe.create_video({ _paths = endpoints.paths() }, params).body
end

local function path(id, below, who)
  return (endpoints.address("/videos/{id}" .. below, id, who))
end

describe("a create's body", function()
  local function decoded(params)
    return cjson.decode(body(params))
  end

  it("is JSON of all fields, known or not", function()
    local params = { prompt = "A cat on a piano", model = "sora-2", seconds = "8", size = "1280x720",
      num_frames = 81, guidance_scale = 7.5, enhance = false, webhook_url = "https://h.example/a?b=c&d",
      [""] = "empty", ["a b\"c"] = "quoted" }
    assert.same(params, decoded(params))
  end)

  it("may lack any field", function()
    assert.equal("{}", body{})
    assert.equal('{"model":"m"}', body{ model = "m" })
  end)

  it("holds tables and lists", function()
    local params = { prompt = "p", metadata = { a = { b = { c = { 1, 2, { d = "e" } } } } },
      images = { "https://h.example/1.png", "data:image/png;base64,iVBORw0KGgo=" },
      input_reference = { file_id = "file_1" } }
    assert.same(params, decoded(params))
    assert.equal('{"list":[1,2,3]}', body{ list = { 1, 2, 3 } })
  end)

  it("holds null where params have cjson.null", function()
    assert.equal('{"seed":null}', body{ seed = cjson.null })
  end)

  it("keeps text as it is", function()
    local text = {}
    for i = 0, 127 do text[#text + 1] = string.char(i) end
    for _, prompt in ipairs{ table.concat(text), "caf\195\169 \240\159\142\172", 'a "quoted" \\ word',
      "</script>", "", " ", "\r\n", "9007199254740993", "null" } do
      assert.equal(prompt, decoded{ prompt = prompt }.prompt)
    end
  end)

  it("keeps text that looks like the encoder's own placeholders", function()
    local MARK = "\1\2"
    for _, prompt in ipairs{ MARK, MARK .. "42", '"' .. MARK .. "42", 'x"' .. MARK .. "5", MARK .. '42"',
      "\\u0001\\u00025" } do
      local text = body{ prompt = prompt, seed = 1e15 }
      local ok, params = pcall(cjson.decode, text)
      assert.is_true(ok, text)
      assert.equal(prompt, params.prompt)
      assert.same({ [prompt] = 1 }, decoded{ [prompt] = 1 })
    end
  end)

  it("keeps integers of many digits", function()
    for number, wanted in pairs{ [1e14] = "100000000000000", [1e15] = "1000000000000000",
      [-1e15] = "-1000000000000000", [999999999999999] = "999999999999999",
      [123456789012345] = "123456789012345", [2 ^ 53] = "9007199254740992",
      [-2 ^ 53] = "-9007199254740992", [2 ^ 62] = "4611686018427387904" } do
      assert.equal('{"seed":' .. wanted .. "}", body{ seed = number })
      assert.equal('{"a":{"b":[' .. wanted .. "]}}", body{ a = { b = { number } } })
    end
  end)

  it("keeps integers to their last digit where Lua has them", function()
    local function exact(text)
      local seed = tonumber(text) -- a double on Lua without integers
      local wanted = rig.has_integers and text or ("%.0f"):format(seed)
      assert.equal('{"seed":' .. wanted .. "}", body{ seed = seed })
    end
    exact "9007199254740993"
    exact "-9007199254740993"
    exact "1234567890123456789"
    exact "-9223372036854775807"
    if rig.has_integers then
      exact "9223372036854775807"
      assert.equal('{"seed":-9223372036854775808}', body{ seed = math.mininteger })
    end
  end)

  it("keeps short numbers short", function()
    assert.equal('{"n":0}', body{ n = 0 })
    assert.equal('{"n":8}', body{ n = 8 })
    assert.equal('{"n":0.1}', body{ n = 0.1 })
    assert.equal('{"n":7.5}', body{ n = 7.5 })
    assert.equal('{"n":1e+20}', body{ n = 1e20 })
  end)

  it("changes nothing that it was given", function()
    local inner = { 1e15 }
    local params = { prompt = "p", list = inner }
    body(params)
    assert.equal(inner, params.list)
    assert.same({ prompt = "p", list = { 1e15 } }, params)
  end)
end)

describe("a path", function()
  it("is made of an id, encoded", function()
    assert.equal("/videos/video_1", path("video_1", "", "f"))
    assert.equal("/videos/video_1/content", path("video_1", "/content", "f"))
    assert.equal("/videos/sora-2:task_01k7%2F..%3Fa%23b%25", path("sora-2:task_01k7/..?a#b%", "", "f"))
    assert.equal("/videos/%0D%0A%00%FF", path("\r\n\0\255", "", "f"))
    assert.equal("/videos/...", path("...", "", "f"))
    assert.equal("/videos/" .. ("a"):rep(300), path(("a"):rep(300), "", "f"))
  end)

  it("takes the integers that some servers number their jobs with, to the last digit", function()
    assert.equal("/videos/42", path(42, "", "f"))
    for _, text in ipairs{ "100000000000000", "1000000000000001", "9007199254740991" } do
      assert.equal("/videos/" .. text, path(tonumber(text), "", "f"))
    end
  end)

  it("refuses an invalid id, and names the function", function()
    for _, id in ipairs{ "", ".", "..", {}, true, 1.5, 0 / 0, math.huge } do
      assert.error_matches(function() path(id, "", "remix_video") end,
        "bad argument to 'remix_video' %(id: ")
    end
    assert.error_matches(function() path(nil, "", "f") end, "%(id: expected a string, got nil%)")
  end)
end)

describe("create_video", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  it("posts JSON and gives the job", function()
    srv:reply{ json = { id = "video_1", status = "queued" } }
    local video, err = client:create_video{ prompt = "A cat", seconds = "4" }
    assert.is_nil(err)
    assert.same({ id = "video_1", status = "queued" }, video)
    local request = srv:requests()[1]
    assert.same({ "POST", "/v1/videos" }, { request.method, request.target })
    assert.equal("application/json", request.headers["content-type"])
    assert.equal(tostring(#request.body), request.headers["content-length"])
    assert.is_nil(request.headers.expect)
    assert.same({ prompt = "A cat", seconds = "4" }, cjson.decode(request.body))
  end)

  it("sends exact numbers and bytes", function()
    srv:reply{ json = { id = "v", status = "queued" } }
    assert(client:create_video{ seed = 1e15 })
    assert.equal('{"seed":1000000000000000}', srv:requests()[1].body)
  end)

  it("sends a large body whole", function()
    srv:reply{ json = { id = "v", status = "queued" } }
    local image = "data:image/png;base64," .. ("QUJD"):rep(500000)
    assert(client:create_video{ input_reference = image })
    local request = srv:requests()[1]
    assert.is_nil(request.headers.expect) -- many gateways do not know 100-continue
    assert.is_true(cjson.decode(request.body).input_reference == image)
  end)

  it("accepts 200, 201, 202 and a job that is completed at once", function()
    for _, status in ipairs{ 200, 201, 202 } do
      srv:reply{ status = status, json = { id = "v", status = "completed", url = "https://h.example/v.mp4" } }
      assert.equal("completed", client:create_video({ prompt = "p" }).status)
    end
  end)

  it("accepts the options of a call", function()
    srv:reply{ json = { id = "v", status = "queued" }, headers = { ["x-request-id"] = "req_1" } }
    local headers = { ["X-Tag"] = "t", ["Content-Type"] = "application/json; charset=utf-8" }
    local _, _, response = client:create_video({ prompt = "p" }, { response = true, idempotency_key = "once",
      headers = headers, query = { a = "b c" } })
    assert.same({ 200, "req_1" }, { response.status, response.request_id })
    local request = srv:requests()[1]
    assert.equal("/v1/videos?a=b%20c", request.target)
    assert.same({ "once", "t" }, { request.headers["idempotency-key"], request.headers["x-tag"] })
    assert.equal("application/json; charset=utf-8", request.headers["content-type"]) -- the user's, alone
  end)

  it("gives the server's error message, code and param", function()
    srv:reply{ status = 400,
      json = { error = { message = "Bad prompt.", code = "sentinel_block", param = "prompt" } } }
    local video, err = client:create_video{ prompt = "p" }
    assert.is_nil(video)
    assert.same({ "api", 400, "Bad prompt.", "sentinel_block", "prompt" },
      { err.kind, err.status, err.message, err.code, err.param })
    assert.is_nil(err.ambiguous)
  end)

  describe("misused", function()
    local function misuse(params, opts)
      local ok, message = pcall(client.create_video, client, params, opts)
      assert.is_false(ok)
      assert.matches("'create_video'", message)
      assert.equal(0, #srv:requests())
      return message
    end

    it("raises for params that are not a table", function()
      for _, params in ipairs{ 5, "A cat", true, print } do
        assert.matches("params: expected a table, got " .. type(params), misuse(params))
      end
      assert.matches("params: expected a table, got nil", misuse(nil))
    end)

    it("raises for a prompt that is not a string", function()
      for _, prompt in ipairs{ 5, {}, true } do
        assert.matches("prompt: expected a string, got " .. type(prompt), misuse{ prompt = prompt })
      end
    end)

    it("raises for values that JSON can't hold", function()
      assert.matches("params: ", misuse{ callback = print })
      assert.matches("params: ", misuse{ deep = { f = function() end } })
      assert.matches("params: ", misuse{ seed = 0 / 0 })
      assert.matches("params: ", misuse{ seed = math.huge })
      assert.matches("params: ", misuse{ [{}] = 1 })
      assert.matches("params: ", misuse{ [true] = 1 })
    end)

    it("raises for params that contain themselves", function()
      local params = { prompt = "p" }
      params.params = params
      assert.matches("params: ", misuse(params))
    end)

    it("raises for bad options", function()
      assert.matches("options: expected a table, got string", misuse({}, "x"))
      assert.matches("unknown option 'idempotencykey'; did you mean 'idempotency_key'%?",
        misuse({}, { idempotencykey = "a" }))
      assert.matches("option 'timeout'", misuse({}, { timeout = 0 }))
    end)

    it("names the caller's line", function()
      for _, params in ipairs{ 5, { prompt = 5 }, { f = print } } do
        local _, message = pcall(function()
          local result = client:create_video(params)
          return result
        end)
        assert.matches("descriptions_spec%.lua:%d+: bad argument", message)
      end
    end)
  end)
end)
