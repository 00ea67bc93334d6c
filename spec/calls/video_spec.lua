-- What a video is: the answer's own fields with their own types, whatever server sends them.
local cjson = require "cjson"
local core = require "sora.core"
local dialects = require "spec.support.dialects"
local given = require "spec.support.given"
local rig = require "spec.support.rig"
local sora = require "sora"

local INTEGERS = rig.has_integers

describe("a video", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  local function read(text)
    srv:reply{ body = text, headers = { ["Content-Type"] = "application/json" } }
    return client:get_video("video_1")
  end

  describe("of the OpenAPI document", function()
    it("has the ten fields with their types", function()
      local video = read[[{"completed_at":1764649999,"created_at":1764649117,"id":"video_fe6f922f",
        "model":"sora-2","object":"video","progress":100,"seconds":"10","size":"720x1280",
        "status":"completed","video_url":"https://cdn.example/v.mp4?a=b&c=d"}]]
      assert.same({ completed_at = 1764649999, created_at = 1764649117, id = "video_fe6f922f",
        model = "sora-2", object = "video", progress = 100, seconds = "10", size = "720x1280",
        status = "completed", video_url = "https://cdn.example/v.mp4?a=b&c=d" }, video)
      for _, name in ipairs{ "completed_at", "created_at", "progress" } do
        assert.equal("integer", rig.type(video[name], "integer"), name)
      end
      for _, name in ipairs{ "id", "model", "object", "seconds", "size", "status", "video_url" } do
        assert.equal("string", type(video[name]), name)
      end
    end)

    it("needs none of them: the document's own example lacks two", function()
      local video = read[[{"created_at":1764649117,"id":"video_fe6f922f-da34-48a4-9c35-e71df5950cbf",
        "model":"sora-2","object":"video","progress":45,"seconds":"10","size":"720x1280",
        "status":"in_progress"}]]
      assert.is_nil(video.completed_at)
      assert.is_nil(video.video_url)
      assert.equal("45", tostring(video.progress))
      assert.equal("1764649117", tostring(video.created_at))
      assert.equal("10", video.seconds)
    end)

    it("may have one field alone", function()
      assert.same({ status = "queued" }, read[[{"status":"queued"}]])
    end)
  end)

  describe("with null", function()
    it("lacks the field, at any depth", function()
      assert.same({ id = "v", a = { c = { e = 1 } } },
        read[[{"id":"v","error":null,"a":{"b":null,"c":{"d":null,"e":1}}}]])
    end)

    it("has a gap where an array has one", function()
      local video = read[=[{"id":"v","list":[1,null,"3",null],"none":[null],"deep":[[null,{"x":null}]]}]=]
      assert.equal(1, video.list[1])
      assert.is_nil(video.list[2])
      assert.equal("3", video.list[3])
      assert.is_nil(video.list[4])
      assert.same({ {}, { [1] = { [2] = {} } } }, { video.none, video.deep })
    end)

    it("keeps the words false, 0, \"\" and \"null\"", function()
      assert.same({ id = "v", a = false, b = 0, c = "", d = "null" },
        read[[{"id":"v","a":false,"b":0,"c":"","d":"null"}]])
    end)
  end)

  it("keeps fields that no document names, and nested ones", function()
    local text = [[{"id":"v","usage":{"cost":0.5,"steps":[{"n":1},{"n":2}]},"x-y z":true,"":"empty","1":"one",
      "output":[],"meta":{}}]]
    assert.same({ id = "v", usage = { cost = 0.5, steps = { { n = 1 }, { n = 2 } } }, ["x-y z"] = true,
      [""] = "empty", ["1"] = "one", output = {}, meta = {} }, read(text))
  end)

  -- core marks numbers with the byte "\1"
  it("takes no string for a number", function()
    for _, text in ipairs{ [[\u0001]], [[\u00014.5]], [[\u0001\u00014.5]], [[\u0001n:4.5]], [[\u0001\u0000]],
      [[\u00024.5]], "\0014.5" } do
      local video = read('{"id":"v","n":4.5,"a":"' .. text .. '","' .. text .. '":["' .. text .. '",7.5]}')
      local wanted = text:gsub([[\u000(%d)]], function(digit) return string.char(digit) end)
      assert.same({ id = "v", n = 4.5, a = wanted, [wanted] = { wanted, 7.5 } }, video)
    end
  end)

  describe("number", function()
    local function number(text)
      local video = read('{"id":"v","n":' .. text .. ',"list":[' .. text .. "]}")
      assert.same({ video.n }, video.list)
      return video.n
    end

    it("is an integer when it is written as one", function()
      for text, value in pairs{ ["0"] = 0, ["-1"] = -1, ["45"] = 45, ["999999999999999"] = 999999999999999,
        ["9007199254740991"] = 9007199254740991 } do
        assert.equal(value, number(text))
        assert.equal("integer", rig.type(number(text), "integer"), text)
      end
    end)

    it("is a float when it is written as one", function()
      for text, value in pairs{ ["4.0"] = 4, ["-4.00"] = -4, ["1e3"] = 1000, ["2.5E+1"] = 25, ["0.93"] = 0.93,
        ["0.12345678901234567"] = 0.12345678901234567, ["1e-7"] = 1e-7 } do
        assert.equal(value, number(text))
        assert.equal("float", rig.type(number(text), "float"), text)
      end
    end)

    it("is exact beyond 2^53", function()
      for _, text in ipairs{ "9007199254740993", "-9007199254740993", "9223372036854775807",
        "-9223372036854775808" } do
        assert.equal(text, tostring(number(text)))
        assert.equal(INTEGERS and "number" or "string", type(number(text)))
      end
    end)

    it("is a string of its digits when it fits no Lua number", function()
      for _, text in ipairs{ "9223372036854775808", "-9223372036854775809",
        "123456789012345678901234567890" } do
        assert.equal(text, number(text))
      end
    end)

    it("that is NaN, or infinite as a double, is an absent field", function()
      for _, text in ipairs{ "NaN", "nan", "-NaN", "Infinity", "-Infinity", "INF", "1e999", "-1E400",
        "1" .. ("0"):rep(400) .. ".0" } do
        local video = read('{"id":"v","n":' .. text .. ',"list":[' .. text .. "]}")
        assert.same({ id = "v", list = {} }, video, text)
      end
    end)

    it("of many digits leaves everything around it unchanged", function()
      local video = read[=[{"id":"12345678901234567890","a\\\"5":"4.0","n":12345678901234567890,
        "s":"say \"12345678901234567890\", 4.0","deep":[{"n":4.0,"x":null,"m":"-1.0"}]}]=]
      assert.same({ id = "12345678901234567890", ['a\\"5'] = "4.0", n = "12345678901234567890",
        s = 'say "12345678901234567890", 4.0', deep = { { n = 4, m = "-1.0" } } }, video)
    end)
  end)

  describe("string", function()
    local function text_of(json)
      return read('{"id":"v","s":"' .. json .. '"}').s
    end

    it("has its escapes read", function()
      assert.equal('a"b\\c/d\n\t\r\b\fe', text_of[[a\"b\\c\/d\n\t\r\b\fe]])
      assert.equal("\195\188\226\130\172\240\159\142\172", text_of[[\u00fc\u20AC\ud83c\udfac]])
    end)

    it("may hold UTF-8, NUL and control characters", function()
      assert.equal("視頻 ü 🎬", text_of("視頻 ü 🎬"))
      assert.equal("a\0b\1\2c", text_of[[a\u0000b\u0001\u0002c]])
    end)

    it("stays a string whatever it looks like", function()
      assert.equal("10", text_of("10"))
      assert.equal("1e3", text_of("1e3"))
    end)
  end)

  it("may be large and deep", function()
    local video = read('{"id":"v","blob":"' .. ("x"):rep(1000000) .. '","deep":' .. ("["):rep(500) .. "null"
      .. ("]"):rep(500) .. "}")
    assert.equal(1000000, #video.blob)
    local depth, at = 0, video.deep
    while at do depth, at = depth + 1, at[1] end
    assert.equal(500, depth)
  end)

  it("nested without end is a decode error", function()
    local video, err = read('{"id":"v","deep":' .. ("["):rep(100000) .. ("]"):rep(100000) .. "}")
    assert.is_nil(video)
    assert.equal("decode", err.kind)
  end)

  it("does not depend on how lua-cjson is set up", function()
    finally(function() cjson.decode_max_depth(1000) end)
    cjson.decode_max_depth(1)
    assert.same({ id = "v", a = { b = { 1 } } }, read[=[{"id":"v","a":{"b":[1]}}]=])
    assert.error_matches(function() cjson.decode("[[1]]") end, "nested")
  end)

  describe("of every known dialect", function()
    for _, fixture in ipairs(dialects.bodies()) do
      local entry, body = fixture.entry, fixture.body
      if entry.http >= 200 and entry.http < 300 then
        it("is the server's own table: " .. entry.file, function()
          srv:reply{ status = entry.http, body = dialects.read(entry.file) }
          local video, err = client:get_video("video_1")
          assert.is_nil(err)
          assert.same(body, video)
        end)
      end
    end
  end)

  it("is fetched by a C function, from the module as from a client", function()
    for _, get in ipairs{ sora.get_video, client.get_video, core.get_video } do
      assert.equal("C", debug.getinfo(get, "S").what)
    end
    assert(sora.configure{ base_url = srv.url, api_key = rig.KEY })
    finally(sora.close)
    srv:reply{ body = '{"id":"v"}' }
    assert.same({ id = "v" }, sora.get_video("video_1"))
    assert.equal("/videos/video_1", srv:requests()[1].target)
  end)

  it("keeps strings that look like the decoder's own marks, beside numbers that cjson would round", function()
    local video = read[[{"id":"v","n":12345678901234567890,"a":"\u0001\u000212","b":"\u0001\u0002x",
      "c":"\u0001"}]]
    assert.same({ id = "v", n = "12345678901234567890", a = "\1\00212", b = "\1\2x", c = "\1" }, video)
  end)
end)
