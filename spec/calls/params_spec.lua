-- What is refused among the params of a create before anything is sent, and what answers are not taken for a
-- job.
local cjson = require "cjson"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"
local sora = require "sora"

describe("the params", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function()
    srv:route("*", "^", { json = { id = "v", status = "queued" } })
    client = rig.client(srv)
  end)
  after_each(function() client:close() end)

  local OPTIONS = { timeout = 5, max_retries = 0, headers = {}, query = {}, response = true,
    idempotency_key = "k", label = "l", on_done = print, on_progress = print }
  local CREATES = {
    create_video = function(params) client:create_video(params) end,
    remix_video = function(params) client:remix_video("v", params) end,
    edit_video = function(params) client:edit_video(params) end,
    extend_video = function(params) client:start("extend_video", params) end,
    create_character = function(params) client:create_character(params) end,
    create_and_wait = function(params) client:create_and_wait(params) end,
    create_and_download = function(params) client:create_and_download(params, files:at "film") end,
  }

  for name, call in pairs(CREATES) do
    it("hold no option of the call: " .. name, function()
      local who = name:find "_and_" and "create_video" or name
      for option, value in pairs(OPTIONS) do
        local params = { prompt = "p", video = "v", name = "n", [option] = value }
        assert.error_matches(function() call(params) end,
          ("bad argument to '%s' %%('%s' is an option, not a field of the params: "
            .. "write %s%%({ … }, { %s = … }%%); "
            .. "a field of that name goes into extra_body = { %s = … }%%)")
            :format(who, option, who, option, option))
      end
      assert.same({}, srv:requests())
    end)
  end

  it("of a list hold none either", function()
    assert.error_matches(function() client:list_videos { limit = 1, timeout = 5 } end,
      "'timeout' is an option, not .* list_videos%({ … }, { timeout = … }%); a parameter of that "
        .. "name goes into its query = { timeout = … }")
    assert.error_matches(function() client:videos { headers = {} }() end, "'headers' is an option")
    assert(client:list_videos({}, { query = { timeout = 5 } }))
    assert.equal("/v1/videos?timeout=5", srv:requests()[1].target)
  end)

  describe("with null and arrays", function()
    local function body_of(params)
      assert(client:create_video(params))
      local requests = srv:requests()
      return requests[#requests].body
    end

    it("are sent as null and as arrays", function()
      assert.equal('{"a":null}', body_of { a = sora.null })
      assert.equal('{"a":null}', body_of { a = cjson.null })
      assert.equal('{"a":[]}', body_of { a = sora.array() })
      assert.equal('{"a":[]}', body_of { extra_body = { a = sora.array {} } })
      assert.equal('{"a":[1,null,"3"]}', body_of { a = sora.array { 1, nil, "3" } })
      assert.equal('{"a":[[],{},[9007199254740992]]}',
        body_of { a = { sora.array {}, {}, sora.array { 9007199254740992 } } })
      assert.equal('{"a":{}}', body_of { a = {} })
    end)

    it("are told from strings that hold the same bytes", function()
      for _, text in ipairs{ "\255", "\255=", "\255=[]", "\255=1.5", '"\255=1.5"', "\255+", "\255+\255=7" } do
        local quoted = '"' .. text:gsub('"', '\\"') .. '"'
        assert.equal(('{"a":[%s,1.5,[]]}'):format(quoted), body_of { a = { text, 1.5, sora.array() } })
        assert.equal(("{%s:%s}"):format(quoted, quoted), body_of { [text] = text })
      end
    end)

    it("are text in a form, and null is left out", function()
      client:close()
      client = rig.client(srv, { multipart = true })
      local body = body_of { a = sora.array(), b = sora.null, c = sora.array { 1, sora.null } }
      assert.truthy(body:find('name="a"\r\n\r\n[]\r\n', 1, true))
      assert.truthy(body:find('name="c"\r\n\r\n[1,null]\r\n', 1, true))
      assert.is_nil(body:find('name="b"', 1, true))
    end)

    it("may be of another JSON library", function()
      assert.equal('{"a":[]}', body_of { a = setmetatable({}, { __jsontype = "array" }) })
      assert.equal('{"a":{}}', body_of { a = setmetatable({}, { __jsontype = "object" }) })
    end)

    it("may be what a cjson marks as arrays, which decodes them so", function()
      local shown = rig.run [[
        local real, on = require "cjson.safe", nil
        local array_mt, empty_array_mt = {}, {}
        package.loaded["cjson.safe"] = setmetatable({ new = function()
          local made = real.new()
          made.array_mt, made.empty_array_mt = array_mt, empty_array_mt
          function made.decode_array_with_array_mt(value) on = value end
          return made
        end }, { __index = real })
        local json = require "sora.json"
        print(json.encode({ setmetatable({}, array_mt), setmetatable({}, empty_array_mt),
          setmetatable({ a = 1 }, empty_array_mt), setmetatable({ 1 }, empty_array_mt), {} }), on)
      ]]
      assert.equal('[[],[],{"a":1},[1],{}]\ttrue\n', shown)
    end)

    it("are refused with a field that no array has", function()
      assert.error_matches(function() client:create_video { a = sora.array { 1, x = 2 } } end,
        "params: an array has no field 'x'")
      assert.error_matches(function() client:create_video { a = sora.array { [1e6] = 2 } } end, "sparse")
      assert.error_matches(function() sora.array "x" end, "list: expected a table, got string")
      assert.same({}, srv:requests())
    end)
  end)

  it("know the names of another SDK's options", function()
    assert.error_matches(function() client:create_video { prompt = "p", extra_headers = {} } end,
      "create_video%({ … }, { headers = … }%)")
  end)

  local function sent()
    local requests = srv:requests()
    return cjson.decode(requests[#requests].body)
  end

  it("have the fields of extra_body, which nobody checks", function()
    local extra = { timeout = 5, label = "x", input_reference = "fox.png", prompt = "other",
      spec = { path = "/a", data = "b" } }
    assert(client:create_video { prompt = "p", model = "m", extra_body = extra })
    assert.same({ prompt = "other", model = "m", timeout = 5, label = "x", input_reference = "fox.png",
      spec = { path = "/a", data = "b" } }, sent())
    assert(client:edit_video { video = { id = "v" }, prompt = "p", extra_body = {} })
    assert.same({ video = { id = "v" }, prompt = "p" }, sent())
    assert(client:edit_video { extra_body = { video = "clip.mp4", prompt = "p" } })
    assert.same({ video = "clip.mp4", prompt = "p" }, sent())
    assert.same({ path = "/a", data = "b" }, extra.spec)
    assert.error_matches(function() client:create_video { prompt = "p", extra_body = "x" } end,
      "extra_body: expected a table, got string")
  end)

  it("have them in a form, too", function()
    assert(client:create_video { prompt = "p", input_reference = { data = "GIF89a" },
      extra_body = { timeout = 5, prompt = "other", nested = { path = "/a" } } })
    local body = srv:requests()[1].body
    assert.truthy(body:find('name="timeout"\r\n\r\n5\r\n', 1, true))
    assert.truthy(body:find('name="prompt"\r\n\r\nother\r\n', 1, true))
    assert.truthy(body:find('name="nested"\r\n\r\n{"path":"\\/a"}\r\n', 1, true))
    assert.is_nil(body:find('\r\n\r\np\r\n', 1, true))
  end)

  it("name no file where its bytes are meant", function()
    for _, name in ipairs { "fox.png", "a/b.JPG", "x.jpeg", "f.webp", "f.gif", "clip.mp4", "f.mov", "f.webm",
      "C:\\fox.png", "./f.png" } do
      local message = (": '%s' is the name of a file; to send the file, write { path = '%s' }")
        :format(name, name):gsub("[%.%-%%]", "%%%0")
      for _, params in ipairs { { input_reference = name }, { input_reference = { name } },
        { input_reference = { { data = "x" }, name } } } do
        params.prompt = "p"
        assert.error_matches(function() client:create_video(params) end, "input_reference" .. message)
      end
      assert.error_matches(function() client:edit_video { prompt = "p", video = name } end,
        "video" .. message)
    end
    assert.same({}, srv:requests())
  end)

  it("may hold what only looks like one", function()
    for _, reference in ipairs { "https://h/fox.png", "data:image/png;base64,AA", "asset://fox.png",
      "A fox in fox.png", "file_123", "png", { file_id = "fox.png" }, { id = "fox.mp4" } } do
      assert(client:create_video { prompt = "p", input_reference = reference })
      assert.same(reference, sent().input_reference)
    end
    assert(client:create_video { prompt = "fox.png", model = "m.mp4" })
  end)
end)

describe("an answer to a create", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function() client = rig.client(srv, { journal = files:at "journal" }) end)
  after_each(function() client:close() end)

  local function check(answer, message)
    srv:route("POST", "^", answer)
    local function assert_ambiguous(job, err)
      assert.same({ nil, "decode", true, false }, { job, err.kind, err.ambiguous, err.retryable })
      assert.truthy(err.message:find(message, 1, true), err.message)
      assert.equal(answer.body and answer.body:sub(1, 1024), err.body)
    end
    assert_ambiguous(client:create_video { prompt = "p" })
    assert_ambiguous(client:remix_video("v", { prompt = "p" }))
    assert_ambiguous(client:create_and_wait { prompt = "p" })
    assert_ambiguous(patience.result(client, assert(client:start("create_video", { prompt = "p" }))))
    assert.equal(4, #srv:requests())
    for _, ticket in ipairs(assert(client:unfinished())) do assert.is_true(ticket.ambiguous) end
    assert.equal(4, #assert(client:unfinished()))
  end

  local EMPTY = "expected a JSON object, got an empty answer"

  it("that is empty may stand for a job", function() check({ status = 200 }, EMPTY) end)

  it("of 204 may, too", function() check({ status = 204 }, EMPTY) end)

  for _, status in ipairs { 300, 304 } do
    it("of " .. status .. " may, too", function() check({ status = status }, "a POST") end)
  end

  it("that is blank may, too", function() check({ body = " \n" }, EMPTY) end)

  it("without an id and a film quotes what it says", function()
    check({ body = '{"message":"queued, you are the 5th"}' },
      "the answer has neither a job's id nor a video: queued, you are the 5th")
  end)

  it("without them and without a message quotes itself", function()
    check({ body = '{"status":"queued","id":""}' }, "nor a video: {")
  end)

  it("with a film and no id is a finished job", function()
    for _, answer in ipairs { { url = "https://h/a.mp4" }, { b64_json = ("AAAAIGZ0eXBpc29t"):rep(9) },
      { data = { { url = "https://h/a.mp4" } } } } do
      srv:route("POST", "^", { json = answer })
      assert(client:create_video { prompt = "p" })
    end
    assert.same({ "completed", "completed", "completed" }, rig.pluck(client:unfinished(), "state"))
  end)

  it("of a job that failed at once needs no id", function()
    srv:route("POST", "^", { json = { status = "failed", error = { message = "No foxes." } } })
    assert.equal("failed", assert(client:create_video { prompt = "p" }).status)
    assert.same({}, (client:unfinished()))
    local _, err = client:create_and_wait { prompt = "p" }
    assert.truthy(err.message:find("No foxes.", 1, true))
  end)

  it("never shows a key", function()
    srv:route("POST", "^", { json = { status = "queued", message = "for " .. rig.KEY } })
    local _, err = client:create_video { prompt = "p" }
    assert.equal("decode", err.kind)
    assert.is_nil(rig.shown(err):find(rig.KEY, 1, true))
  end)

  it("that came with 202 is a job", function()
    srv:route("POST", "^", { status = 202, json = { task_id = "t" } })
    assert.equal("t", assert(client:create_video { prompt = "p" }).task_id)
  end)
end)
