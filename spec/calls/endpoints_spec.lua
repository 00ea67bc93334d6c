-- The endpoints on the wire: which method, path and body each call has, for every way of making it, with the
-- option `paths` and with every dialect.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"
local sora = require "sora"

local unpack = table.unpack or unpack

local JOB = answers.QUEUED

-- A call by its method's name: what it is called with, and what has to arrive.
local CALLS = {
  { "create_video", { { prompt = "p", seconds = "4", fps = 24 } }, "POST", "/v1/videos",
    { prompt = "p", seconds = "4", fps = 24 } },
  { "list_videos", {}, "GET", "/v1/videos" },
  { "get_video", { "v 1" }, "GET", "/v1/videos/v%201" },
  { "delete_video", { "v 1" }, "DELETE", "/v1/videos/v%201" },
  { "cancel_video", { "v 1" }, "POST", "/v1/videos/v%201/cancel" },
  { "remix_video", { "v 1", { prompt = "p", extra_params = { a = { 1 } } } }, "POST",
    "/v1/videos/v%201/remix", { prompt = "p", extra_params = { a = { 1 } } } },
  { "edit_video", { { video = { id = "v" }, prompt = "p" } }, "POST", "/v1/videos/edits",
    { video = { id = "v" }, prompt = "p" } },
  { "extend_video", { { video = { id = "v" }, prompt = "p", seconds = "8" } }, "POST",
    "/v1/videos/extensions", { video = { id = "v" }, prompt = "p", seconds = "8" } },
  { "create_character", { { name = "Bo", video = { id = "v" } } }, "POST", "/v1/videos/characters",
    { name = "Bo", video = { id = "v" } } },
  { "get_character", { "c 1" }, "GET", "/v1/videos/characters/c%201" },
}

-- How a call may be made. Each gives the results of the call.
local WAYS = {
  waited = function(client, name, ...) return client[name](client, ...) end,
  started = function(client, name, ...)
    return patience.result(client, assert(client:start(name, ...)))
  end,
  hooked = function(client, name, ...)
    client.pause = function(self, seconds) self:update(seconds) end
    return client[name](client, ...)
  end,
}

-- Asserts that a method, called and started, raises an error that blames the line of the call.
local function assert_misuse(client, name, text, ...)
  local arguments = { n = select("#", ...), ... }
  local function start(self, ...) return self:start(name, ...) end
  for _, call in ipairs { client[name], start } do
    local good, problem = pcall(function()
      local result = call(client, unpack(arguments, 1, arguments.n))
      return result
    end)
    assert.is_false(good, name)
    assert.matches("endpoints_spec%.lua:%d+: bad argument.*'" .. name .. "'", problem)
    assert.matches(text, problem)
  end
end

describe("an endpoint", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function() srv:route("*", "^", JOB) end)
  after_each(function()
    if client then client:close() end
    client = nil
  end)

  local function connect(options)
    client = rig.client(srv, options)
    return client
  end

  -- The targets that arrived; some versions of libcurl write %2f for %2F.
  local function targets()
    local list = rig.pluck(srv:requests(), "target")
    for i, target in ipairs(list) do list[i] = target:gsub("%%%x%x", string.upper) end
    return list
  end

  for way, make in pairs(WAYS) do
    for _, call in ipairs(CALLS) do
      local name, arguments, method, target, body = unpack(call, 1, 5)
      it(("has its method, path and body: %s, %s"):format(name, way), function()
        local result, err = make(connect(), name, unpack(arguments, 1, 2))
        assert.is_nil(err)
        assert.same(JOB.json, result)
        local requests = srv:requests()
        assert.equal(1, #requests)
        local request = requests[1]
        assert.same({ method, target, "Bearer " .. rig.KEY },
          { request.method, request.target, request.headers.authorization })
        if body then
          assert.equal("application/json", request.headers["content-type"])
          assert.same(body, cjson.decode(request.body))
        else
          assert.same({ "", nil }, { request.body, request.headers["content-type"] })
        end
      end)
    end

    it("of files saves them, " .. way, function()
      srv:route("GET", "^", answers.file "bytes")
      connect()
      assert.equal(5, make(client, "download_video", "v 1", files:at "v").bytes)
      assert(make(client, "download_video", "v", { path = files:at "v", variant = "thumbnail" }))
      assert.same({ "/v1/videos/v%201/content", "/v1/videos/v/content?variant=thumbnail" }, targets())
      assert.equal("bytes", files:read "v")
    end)

    it("accepts the options of a call, " .. way, function()
      srv:route("*", "^", { json = JOB.json, headers = { ["x-request-id"] = "req_1" } })
      connect()
      for _, call in ipairs(CALLS) do
        local arguments = { unpack(call[2], 1, 2) }
        arguments[call[1] == "list_videos" and 2 or #arguments + 1] = { headers = { ["X-Tag"] = "t" },
          query = { k = "a b" }, response = true, idempotency_key = "once" }
        local result, err, response = make(client, call[1], arguments[1], arguments[2], arguments[3])
        assert.is_nil(err, call[1])
        assert.same(JOB.json, result)
        assert.same({ 200, "req_1", 1 }, { response.status, response.request_id, response.attempts })
      end
      for i, request in ipairs(srv:requests()) do
        assert.same({ CALLS[i][4] .. "?k=a%20b", "t", "once" },
          { request.target, request.headers["x-tag"], request.headers["idempotency-key"] })
      end
    end)

    it("gives the server's error, " .. way, function()
      srv:route("*", "^", { status = 400, json = { error = { message = "No.", code = "c", param = "q" } } })
      connect()
      for _, call in ipairs(CALLS) do
        local result, err = make(client, call[1], unpack(call[2], 1, 2))
        assert.is_nil(result)
        assert.same({ "api", 400, "No.", "c", "q" },
          { err.kind, err.status, err.message, err.code, err.param })
        assert.is_nil(err.ambiguous)
      end
    end)

    it("is retried only where that is safe, " .. way, function()
      connect { max_retries = 1 }
      for i, call in ipairs(CALLS) do
        srv:reset()
        srv:reply({ status = 500, headers = { ["retry-after-ms"] = "1" } }, JOB)
        local result, err = make(client, call[1], unpack(call[2], 1, 2))
        assert.equal(call[3] == "POST" and 1 or 2, #srv:requests(), call[1])
        if call[3] == "POST" then
          assert.same({ nil, "api", 500, true }, { result, err.kind, err.status, err.ambiguous })
        else
          assert.same({ JOB.json, nil }, { result, err })
        end
        assert.equal(CALLS[i][4], targets()[1])
      end
    end)
  end

  it("that deletes accepts a response without a body", function()
    srv:route("DELETE", "^", { status = 204 })
    assert.same({}, (assert(connect():delete_video "v")))
    srv:route("DELETE", "^", { json = { id = "v", object = "video.deleted", deleted = true } })
    assert.same({ id = "v", object = "video.deleted", deleted = true }, (client:delete_video "v"))
  end)

  it("that cancels says when it is too late, and is not repeated then", function()
    srv:route("POST", "^", { status = 204 })
    assert.same({}, (assert(connect({ max_retries = 2 }):cancel_video "v")))
    srv:route("POST", "^", { json = { id = "v", status = "cancelled" } })
    assert.equal("cancelled", assert(client:cancel_video "v").status)
    local sent = #srv:requests()
    srv:route("POST", "^", { status = 409,
      json = { error = { code = "video_not_cancellable", message = "done" } } })
    local job, err = client:cancel_video "v"
    assert.same({ nil, "api", 409, "video_not_cancellable" }, { job, err.kind, err.status, err.code })
    assert.equal(sent + 1, #srv:requests())
  end)

  describe("with an id", function()
    local IDS = { ["sora-2:task_01k7"] = "sora-2:task_01k7", ["a=b=="] = "a%3Db%3D%3D", ["a/b?c#d%"] =
      "a%2Fb%3Fc%23d%25", ["\r\n\0\255 "] = "%0D%0A%00%FF%20", [("x"):rep(200)] = ("x"):rep(200),
      ["..."] = "...", ["%7Bid%7D"] = "%257Bid%257D", ["{id}"] = "%7Bid%7D" }
    local BY_ID = { get_video = "", delete_video = "", cancel_video = "/cancel",
      get_character = "characters/", remix_video = "/remix" }

    it("encodes it as one segment", function()
      connect()
      local expected = {}
      for id, encoded in pairs(IDS) do
        for name, rest in pairs(BY_ID) do
          assert(client[name](client, id, name == "remix_video" and { prompt = "p" } or nil))
          expected[#expected + 1] = "/v1/videos/"
            .. (rest:sub(-1) == "/" and rest .. encoded or encoded .. rest)
        end
      end
      assert.same(expected, targets())
    end)

    it("takes a number", function()
      connect()
      assert(client:get_video(9007199254740991))
      assert(client:delete_video(42))
      assert(client:remix_video(42, { prompt = "p" }))
      assert.same({ "/v1/videos/9007199254740991", "/v1/videos/42", "/v1/videos/42/remix" }, targets())
    end)

    it("raises for an invalid id", function()
      connect()
      for name in pairs(BY_ID) do
        for _, id in ipairs { "", ".", "..", {}, true, 1.5 } do
          -- get_video is a C function, which Lua names
          local text = name == "get_video" and "%(id: " or "'" .. name .. "' %(id: "
          assert.error_matches(function() client[name](client, id, { prompt = "p" }) end, text)
          assert.error_matches(function() client:start(name, id, { prompt = "p" }) end, text)
        end
      end
      assert.equal(0, #srv:requests())
    end)
  end)

  describe("with the option paths", function()
    local PATHS = { create = "/c", list = "/l", get = "/g/{id}/x", delete = "/d/{id}",
      cancel = "/k/{id}", remix = "/r/{id}", edit = "/e", extend = "/x", create_character = "/cc",
      get_character = "/gc/{id}", content = "/f/{id}" }
    local ORDER = { "create", "list", "get", "delete", "cancel", "remix", "edit", "extend",
      "create_character", "get_character" }

    local function call_all(way, opts)
      for _, call in ipairs(CALLS) do
        local first, second = unpack(call[2], 1, 2)
        if first == nil then first = {} end
        if second == nil then second = opts end
        assert(way(client, call[1], first, second, call[1] == "remix_video" and opts or nil))
      end
    end

    local function assert_targets(expected)
      local found = targets()
      for i, name in ipairs(ORDER) do assert.equal(expected(name), found[i], name) end
      assert.equal(#ORDER, #found)
    end

    local function filled(path, name)
      return (path:gsub("{id}", name == "get_character" and "c%%201" or "v%%201"))
    end

    for _, way in ipairs { "waited", "started" } do
      it("requests those paths, " .. way, function()
        connect { paths = PATHS }
        call_all(WAYS[way])
        assert_targets(function(name) return "/v1" .. filled(PATHS[name], name) end)
      end)

      it("sends the paths' query and the call's, " .. way, function()
        local paths = {}
        for name, path in pairs(PATHS) do paths[name] = path .. "?a=1" end
        connect { paths = paths }
        call_all(WAYS[way], { query = { k = "b c" } })
        assert_targets(function(name) return "/v1" .. filled(paths[name], name) .. "&k=b%20c" end)
      end)

      it("keeps the base URL's query in front, " .. way, function()
        local paths = {}
        for name, path in pairs(PATHS) do paths[name] = path .. "?a=1" end
        connect { paths = paths, base_url = srv.url .. "/v1?api-version=preview" }
        call_all(WAYS[way])
        assert_targets(function(name)
          return "/v1" .. filled(paths[name], name):gsub("%?", "?api-version=preview&")
        end)
      end)
    end

    it("encodes an id in a query", function()
      connect { paths = { get = "/q?id={id}", delete = "/q?id={id}&x=1", get_character = "/q/{id}?id={id}",
        remix = "/q?id={id}" } }
      local id = "a b&c=d/%"
      assert(client:get_video(id))
      assert(client:delete_video(id))
      assert(client:get_character(id))
      assert(client:remix_video(id, { prompt = "p" }))
      for i, target in ipairs(targets()) do
        local value = target:match "[?&]id=([^&]*)" or target
        assert.equal(id, (value:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)), i)
      end
      assert.equal(4, #targets())
    end)

    it("downloads from the content path", function()
      srv:route("GET", "^", answers.file "bytes")
      connect { paths = { content = "/f/{id}?index=0" } }
      assert(client:download_video("v 1", files:at "v"))
      assert(client:download_video("v", { path = files:at "v", variant = "spritesheet" },
        { query = { a = 1 } }))
      assert.same({ "/v1/f/v%201?index=0", "/v1/f/v?index=0&variant=spritesheet&a=1" }, targets())
    end)

    it("keeps the default paths for the others", function()
      connect { paths = { get = "/g/{id}" } }
      assert(client:get_video "v")
      assert(client:delete_video "v")
      assert.same({ "/v1/g/v", "/v1/videos/v" }, targets())
    end)

    it("polls the get path in wait and wait_all", function()
      srv:route("GET", "^", { json = { id = "v", status = "completed" } })
      connect { paths = { get = "/g?id={id}" } }
      assert(client:wait "v")
      assert(client:wait_all({ "v" })[1].video)
      assert.same({ "/v1/g?id=v", "/v1/g?id=v" }, targets())
    end)

    it("raises for an invalid path", function()
      local function refuses(paths, text)
        assert.error_matches(function() sora.new { base_url = srv.url, paths = paths } end, text)
      end
      refuses(5, "option 'paths': expected a table, got number")
      refuses({ gett = "/g/{id}" }, "unknown option 'gett'; did you mean 'get'%?")
      refuses({ remixx = "/g/{id}" }, "unknown option 'remixx'; did you mean 'remix'%?")
      refuses({ qqqqqqqqqq = "/g" }, "unknown option 'qqqqqqqqqq'")
      refuses({ get = "/g" }, "get: expected '{id}' in it")
      refuses({ get = "g/{id}" }, "get: expected a string that begins with '/'")
      refuses({ create = 5 }, "create: expected a string that begins with '/'")
      refuses({ "/g" }, "options: expected names that are strings")
    end)
  end)
end)

describe("a dialect", function()
  local srv = given.server()
  local client

  before_each(function() srv:route("*", "^", JOB) end)
  after_each(function()
    if client then client:close() end
    client = nil
  end)

  local NAMES = { create = "POST /v1/videos", get = "GET /v1/videos/v", delete = "DELETE /v1/videos/v",
    content = "GET /v1/videos/v/content", auth = "authorization", key = "Bearer " .. rig.KEY,
    type = "application/json" }
  local DIALECTS = {
    openai = {},
    azure = { auth = "api-key", key = rig.KEY },
    openrouter = { content = "GET /v1/videos/v/content?index=0" },
    ["newapi-generations"] = { create = "POST /v1/video/generations", get = "GET /v1/video/generations/v" },
    ["video-query"] = { create = "POST /v1/video/create", get = "GET /v1/video/query?id=v" },
    ["videos-generations"] = { create = "POST /v1/videos/generations", get = "GET /v1/videos/generations/v" },
    ["vllm-omni"] = { type = "multipart/form-data" },
    ["raw-key"] = { key = rig.KEY },
  }

  it("has a row in this spec for each preset", function()
    local known, here = {}, {}
    for name in pairs(require("sora.options").dialects) do known[#known + 1] = name end
    for name in pairs(DIALECTS) do here[#here + 1] = name end
    table.sort(known)
    table.sort(here)
    assert.same(known, here)
  end)

  for dialect, differs in pairs(DIALECTS) do
    local expected = setmetatable(differs, { __index = NAMES })
    for way, make in pairs(WAYS) do
      it(("%s has its paths and its authentication, %s"):format(dialect, way), function()
        client = rig.client(srv, { dialect = dialect })
        assert(make(client, "create_video", { prompt = "p" }))
        assert(make(client, "get_video", "v"))
        assert(make(client, "delete_video", "v"))
        srv:route("GET", "^", answers.file "bytes")
        assert(make(client, "download_video", "v", { sink = function() end }))
        local lines, requests = {}, srv:requests()
        for i, request in ipairs(requests) do
          lines[i] = request.method .. " " .. request.target
          for _, name in ipairs { "authorization", "api-key", "x-api-key" } do
            assert.equal(name == expected.auth and expected.key or nil, request.headers[name])
          end
        end
        assert.same({ expected.create, expected.get, expected.delete, expected.content }, lines)
        assert.equal(expected.type, requests[1].headers["content-type"]:match "^[^;]*")
      end)
    end
  end

  it("is overridden by explicit options", function()
    client = rig.client(srv, { dialect = "azure", auth = "bearer" })
    assert(client:get_video "v")
    client:close()
    client = rig.client(srv, { dialect = "newapi-generations", paths = { get = "/mine/{id}" } })
    assert(client:get_video "v")
    client:close()
    client = rig.client(srv, { dialect = "vllm-omni", multipart = false })
    assert(client:create_video { prompt = "p" })
    local requests = srv:requests()
    assert.same({ "Bearer " .. rig.KEY, nil },
      { requests[1].headers.authorization, requests[1].headers["api-key"] })
    assert.equal("/v1/mine/v", requests[2].target)
    assert.equal("application/json", requests[3].headers["content-type"])
  end)

  it("keeps its other paths beside those that are given", function()
    client = rig.client(srv, { dialect = "newapi-generations", paths = { delete = "/mine/{id}" } })
    assert(client:get_video "v")
    assert(client:create_video { prompt = "p" })
    assert(client:delete_video "v")
    assert.same({ "/v1/video/generations/v", "/v1/video/generations", "/v1/mine/v" },
      rig.pluck(srv:requests(), "target"))
  end)

  it("that is unknown raises, with the nearest name", function()
    local function refuses(dialect, text)
      assert.error_matches(function() sora.new { base_url = srv.url, dialect = dialect } end, text)
    end
    refuses("azur", "option 'dialect': unknown dialect 'azur'; did you mean 'azure'%?")
    refuses("new-api-generations", "did you mean 'newapi%-generations'%?")
    refuses("", "unknown dialect ''; known dialects: azure, newapi%-generations, openai, openrouter")
    refuses(5, "option 'dialect': expected a string, got number")
    assert.error_matches(function() sora.new { base_url = srv.url, dialct = "azure" } end,
      "unknown option 'dialct'; did you mean 'dialect'%?")
    assert.error_matches(function() sora.new { base_url = srv.url, path = {} } end,
      "unknown option 'path'; did you mean 'paths'%?")
  end)
end)

describe("list_videos", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  it("sends its params as a query, and gives the page", function()
    local page = { object = "list", data = { { id = "a" }, { id = "b" } }, last_id = "b", has_more = true }
    srv:reply { json = page }
    assert.same(page, (client:list_videos { limit = 2, after = "a b", order = "asc" }))
    local query = {}
    for name, value in srv:requests()[1].target:match("^/v1/videos%?(.*)$"):gmatch "([^=&]+)=([^&]*)" do
      query[name] = value
    end
    assert.same({ limit = "2", after = "a%20b", order = "asc" }, query)
  end)

  it("sends fields that no document names, numbers as they are", function()
    srv:route("GET", "^", { json = { data = {} } })
    for _, pair in ipairs { { { model = "m" }, "model=m" }, { { limit = 1e15 }, "limit=1000000000000000" },
      { { score = 1.5 }, "score=1.5" }, { { mine = true }, "mine=true" }, { { page = 3 }, "page=3" } } do
      assert(client:list_videos(pair[1]))
      local requests = srv:requests()
      assert.equal("/v1/videos?" .. pair[2], requests[#requests].target)
    end
  end)

  it("prefers the options' query to its params, and changes neither table", function()
    srv:reply { json = { data = {} } }
    local params, opts = { limit = 2 }, { query = { limit = 3 } }
    assert(client:list_videos(params, opts))
    assert.equal("/v1/videos?limit=3", srv:requests()[1].target)
    assert.same({ { limit = 2 }, { query = { limit = 3 } } }, { params, opts })
  end)

  it("accepts an empty list", function()
    srv:reply({ json = { object = "list", data = {} } }, { body = '{"data":[]}' })
    assert.same({}, client:list_videos().data)
    assert.same({ data = {} }, (client:list_videos {}))
  end)

  it("raises for bad params and options", function()
    local function misused(...) assert_misuse(client, "list_videos", ...) end
    for _, limit in ipairs { 0, -1, 1.5, math.huge, 0 / 0 } do
      misused("limit: expected a whole number, 1 or more, got ", { limit = limit })
    end
    misused("limit: expected a whole number, 1 or more, got ", { limit = "2" })
    misused("order: expected 'asc' or 'desc', got up", { order = "up" })
    misused("order: expected 'asc' or 'desc', got true", { order = true })
    misused("after: expected an id, got boolean", { after = true })
    misused("after: expected an id, got string", { after = "" })
    misused("params: expected a table, got string", "x")
    misused("params: expected names that are strings, got a number", { "x" })
    misused("options: expected a table, got string", {}, "x")
    misused("option 'query': expected a table", {}, { query = "x" })
    misused("unknown option 'tiemout'; did you mean 'timeout'%?", {}, { tiemout = 1 })
    assert.equal(0, #srv:requests())
  end)
end)

describe("params", function()
  local srv = given.server()
  local client

  before_each(function()
    srv:route("*", "^", JOB)
    client = rig.client(srv)
  end)
  after_each(function() client:close() end)

  it("name the video by its id alone", function()
    for _, id in ipairs { "video_1", "sora-2:task_1", "video:1", "a/b" } do
      for _, call in ipairs { { "edit_video", { video = id, prompt = "p" } },
        { "extend_video", { video = id } }, { "create_character", { video = id, name = "Bo" } } } do
        local before = call[2].video
        assert(client[call[1]](client, call[2]))
        assert.equal(before, call[2].video)
        local requests = srv:requests()
        assert.same({ id = id }, cjson.decode(requests[#requests].body).video)
      end
    end
  end)

  it("may name the video by URL", function()
    for _, url in ipairs { "https://h.example/v.mp4", "data:video/mp4;base64,AAAA", "http://h.example/" } do
      assert(client:edit_video { video = url, prompt = "p" })
      local requests = srv:requests()
      assert.equal(url, cjson.decode(requests[#requests].body).video)
    end
  end)

  it("that are missing or of a wrong type raise", function()
    local function misused(text, name, ...) assert_misuse(client, name, text, ...) end
    misused("params: expected a table, got nil", "remix_video", "v")
    misused("params: 'prompt' is missing", "remix_video", "v", {})
    misused("prompt: expected a string, got number", "remix_video", "v", { prompt = 5 })
    misused("params: 'video' is missing", "edit_video", { prompt = "p" })
    misused("params: 'prompt' is missing", "edit_video", { video = "v" })
    misused("params: expected a table, got string", "edit_video", "v")
    misused("params: 'video' is missing", "extend_video", { prompt = "p" })
    misused("prompt: expected a string, got table", "extend_video", { video = "v", prompt = {} })
    misused("params: 'name' is missing", "create_character", { video = "v" })
    misused("name: expected a string, got number", "create_character", { video = "v", name = 5 })
    misused("params: 'video' is missing", "create_character", { name = "n" })
    misused("params: ", "edit_video", { video = "v", prompt = "p", f = print })
    assert.equal(0, #srv:requests())
  end)
end)

describe("start", function()
  it("raises for an unknown method, with the nearest name", function()
    local client = rig.client("http://127.0.0.1:9")
    finally(function() client:close() end)
    for word, near in pairs { creat_video = "create_video", get_vidoe = "get_video",
      list_video = "list_videos", remixvideo = "remix_video" } do
      assert.error_matches(function() client:start(word) end,
        ("'%s' is not a call that can be started; did you mean '%s'%%?"):format(word, near))
    end
    for _, name in ipairs { "wait", "videos", "wait_all", "find_created", "unfinished" } do
      assert.error_matches(function() client:start(name) end,
        "'" .. name .. "' is not a call that can be started")
    end
    assert.error_matches(function() client:start(nil) end, "'nil' is not a call that can be started")
  end)
end)
