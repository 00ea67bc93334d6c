-- Where a call goes: ids as one path segment whatever they hold, and the base URL's path and query.
local cjson = require "cjson"
local core = require "sora.core"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"
local sora = require "sora"

local LITELLM = "video_" .. ("bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOm9wZW5haTttb2RlbF9pZDo="):rep(3) .. "=="

-- id → the segment on the wire
local IDS = {
  ["video_123"] = "video_123",
  ["sora-2:task_01k7"] = "sora-2:task_01k7",
  ["azAZ09-._~"] = "azAZ09-._~",
  ["a/b"] = "a%2Fb",
  ["../../admin"] = "..%2F..%2Fadmin",
  ["..\\x"] = "..%5Cx",
  ["..."] = "...",
  ["%2e%2e"] = "%252e%252e",
  ["a%2Fb"] = "a%252Fb",
  ["v?x=1&y"] = "v%3Fx%3D1%26y",
  ["v#frag"] = "v%23frag",
  ["v;p=1,2"] = "v%3Bp%3D1%2C2",
  ["a b+c"] = "a%20b%2Bc",
  ["v\r\nX-Evil: 1\r\n\r\n"] = "v%0D%0AX-Evil:%201%0D%0A%0D%0A",
  ["v\0w"] = "v%00w",
  ["\0"] = "%00",
  [".\0"] = ".%00",
  ["..\0."] = "..%00.",
  ["@host:80"] = "%40host:80",
  ["視頻"] = "%E8%A6%96%E9%A0%BB",
  ["\255\128"] = "%FF%80",
  ["*'()!$[]{}|\"<>^`"] = "%2A%27%28%29%21%24%5B%5D%7B%7D%7C%22%3C%3E%5E%60",
  [("x"):rep(300)] = ("x"):rep(300),
  [("é"):rep(300)] = ("%C3%A9"):rep(300),
  [LITELLM] = LITELLM:gsub("=", "%%3D"),
}

-- A target with its percent-encoding in upper case: libcurl writes it in lower case, which means the same
-- (RFC 3986, 6.2.2.1).
local function normal(target)
  return (target:gsub("%%%x%x", string.upper))
end

describe("an id", function()
  local srv = given.server()
  local client

  before_each(function()
    srv:route("*", "^", { body = '{"id":"v","status":"completed"}' })
    client = rig.client(srv)
  end)
  after_each(function() client:close() end)

  for id, segment in pairs(IDS) do
    it(("is one path segment: %q"):format(id):gsub("[%c\128-\255]", "."):sub(1, 60), function()
      assert(client:get_video(id))
      local request = srv:requests()[1]
      assert.equal("/v1/videos/" .. segment, normal(request.target))
      assert.is_nil(request.headers["x-evil"])
      assert.equal(1, #srv:requests())
      assert.equal(segment, core.escape(id))
    end)
  end

  it("may be an integer, as some servers number their jobs", function()
    assert(client:get_video(123))
    assert(client:get_video(0))
    assert(client:get_video(-7))
    assert.same({ "/v1/videos/123", "/v1/videos/0", "/v1/videos/-7" }, rig.pluck(srv:requests(), "target"))
  end)

  local function assert_refused(complaint, id)
    local calls = {
      get_video = function() client:get_video(id) end,
      download_video = function() client:download_video(id, "/nonexistent/file") end,
      wait = function() client:wait(id) end,
      poll = function() client:poll(id) end,
    }
    for name, call in pairs(calls) do
      local ok, problem = pcall(call)
      assert.is_false(ok, name)
      assert.matches("bad argument", problem, 1, true)
      assert.matches("'" .. name .. "' (id: " .. complaint, problem, 1, true)
    end
    assert.same({}, srv:requests())
  end

  it("that is empty, '.' or '..' raises, and nothing is sent", function()
    assert_refused("expected an id, got an empty string", "")
    assert_refused("expected an id, got '.' or '..'", ".")
    assert_refused("expected an id, got '.' or '..'", "..")
  end)

  it("of another type raises, and nothing is sent", function()
    assert_refused("expected a string, got nil", nil)
    assert_refused("expected an id, or a job, view, ticket or result that has one; got a table", {})
    assert_refused("expected a string, got boolean", true)
    assert_refused("expected a string, got function", print)
  end)

  it("that is empty names the caller's line", function()
    local ok, problem = pcall(function() client:get_video("") end)
    assert.is_false(ok)
    assert.matches("^spec/calls/ids_spec.lua:%d+: bad argument #1 to 'get_video' %(id: expected an id, "
      .. "got an empty string%)$", problem)
  end)

  it("that is a large integer has all its digits", function()
    assert(client:get_video(1764649117123))
    assert(client:get_video(123456789012345))
    assert(client:get_video(9007199254740992))
    assert.same({ "/v1/videos/1764649117123", "/v1/videos/123456789012345", "/v1/videos/9007199254740992" },
      rig.pluck(srv:requests(), "target"))
  end)

  it("that is a number but no integer raises, and nothing is sent", function()
    assert_refused("expected a string, got number", 1.5)
    assert_refused("expected a string, got number", 1 / 0)
    assert_refused("expected a string, got number", 0 / 0)
  end)
end)

-- Every form in which a job goes where an id is expected; each stands for the id "t/1".
local function forms(client)
  local ticket = { id = "t/1", base_url = client.base_url, created = 5, key = "k", state = "queued" }
  local watched = assert(client:watch "t/1")
  watched:cancel()
  return {
    id = "t/1",
    ["an OpenAI job"] = { id = "t/1", object = "video", status = "queued" },
    ["an answer with task_id"] = { task_id = "t/1", status = "SUBMITTED" },
    ["an answer with request_id"] = { request_id = "t/1", status = "IN_QUEUE" },
    ["an answer in an envelope"] = { code = 0, data = { task_id = "t/1", task_status = "submitted" } },
    ["a view"] = sora.normalize { task_id = "t/1" },
    ["a ticket"] = ticket,
    ["a watched job"] = watched,
    ["a ticket of a watched job"] = watched:ticket(),
    ["a result of create_and_download"] = { path = "a.mp4", bytes = 5, content_type = "video/mp4",
      video = { task_id = "t/1", status = "done" } },
    ["a result of wait_all"] = { video = { id = "t/1", status = "completed" } },
  }
end

describe("a job in place of its id", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function()
    srv:route("*", "^", { body = '{"id":"t/1","status":"completed"}' })
    srv:route("GET", "^.*/content", { body = "film", headers = { ["Content-Type"] = "video/mp4" } })
    client = rig.client(srv)
  end)
  after_each(function() client:close() end)

  local CALLS = {
    get_video = function(id) return client:get_video(id) end,
    ["get_video through a hook"] = function(id)
      client.pause = function(self, seconds) self:update(seconds) end
      return client:get_video(id)
    end,
    ["a started get_video"] = function(id)
      return patience.result(client, assert(client:start("get_video", id)))
    end,
    delete_video = function(id) return client:delete_video(id) end,
    cancel_video = function(id) return client:cancel_video(id) end,
    remix_video = function(id) return client:remix_video(id, { prompt = "p" }) end,
    download_video = function(id) return client:download_video(id, files:at "film") end,
    ["a started download_video"] = function(id)
      return patience.result(client, assert(client:start("download_video", id, files:at "film")))
    end,
    wait = function(id) return client:wait(id) end,
    poll = function(id) return client:poll(id)() end,
    wait_all = function(id) return client:wait_all({ id })[1].video end,
    watch = function(id) return patience.result(client, assert(client:watch(id))) end,
    list_videos = function(id) return client:list_videos { after = id } end,
  }

  for name, call in pairs(CALLS) do
    it("goes to " .. name, function()
      for form, value in pairs(forms(client)) do
        local before = #srv:requests()
        assert.is_truthy(call(value), form)
        assert.is_truthy(normal(srv:requests()[before + 1].target):find("[/=]t%%2F1"), form)
      end
    end)
  end

  it("goes to the functions of the module", function()
    sora.configure { base_url = srv.url .. "/v1" }
    finally(sora.close)
    assert(sora.get_video { task_id = "t/1" })
    assert.equal("/v1/videos/t%2F1", normal(srv:requests()[1].target))
  end)

  it("goes to params.video, as a reference to it", function()
    local function sent(video, call)
      assert(client[call or "edit_video"](client, { prompt = "p", video = video }))
      local requests = srv:requests()
      return cjson.decode(requests[#requests].body).video
    end
    for form, value in pairs(forms(client)) do
      assert.same({ id = "t/1" }, sent(value), form)
      assert.same({ id = "t/1" }, sent(value, "extend_video"), form)
      if type(value) == "table" then
        assert.same({ id = "t/1" }, sent(value, "create_video"), form)
      end
    end
    for _, reference in ipairs { { id = "v", start = 2 }, { file_id = "f" },
      { image_url = "https://h/i.png" },
      { url = "https://h/v.mp4" }, "https://h/v.mp4" } do
      assert.same(reference, sent(reference))
    end
    assert.equal("v", sent("v", "create_video"))
  end)

  it("raises where the table has no id", function()
    for _, value in ipairs { {}, { status = "queued" }, { key = "k", ambiguous = true },
      select(2, rig.client(httpd.refused_url(), { max_retries = 0 }):get_video "v"), { video = {} } } do
      for name, call in pairs(CALLS) do
        if name ~= "list_videos" then
          assert.error_matches(function() call(value) end, "expected an id, or a job, view, ticket or result "
            .. "that has one; got a table without an id")
        end
      end
    end
    assert.same({}, srv:requests())
  end)

  it("raises for another server's ticket", function()
    local ticket = { id = "v", base_url = "http://other.example/v1" }
    for _, name in ipairs { "wait", "watch", "delete_video", "cancel_video", "download_video", "wait_all" } do
      assert.error_matches(function() CALLS[name](ticket) end,
        ("'%s' %%(id: expected a ticket for %s/v1, got one for http://other.example/v1%%)"):format(name,
          srv.url:gsub("%p", "%%%0")))
    end
  end)

  it("of which remix_video does not take the prompt", function()
    local job = { id = "v", prompt = "old", status = "completed" }
    client:close()
    client = rig.client(srv, { journal = files:at "journal" })
    assert(client:remix_video(job, { prompt = "new" }))
    assert.equal('{"prompt":"new"}', srv:requests()[1].body)
    assert.equal("new", assert(client:journaled())[1].prompt)
  end)
end)

describe("wait_all", function()
  local srv = given.server()
  local client

  before_each(function()
    srv:route("*", "^", { body = '{"id":"v","status":"completed"}' })
    client = rig.client(srv)
  end)
  after_each(function() client:close() end)

  it("raises for a hole in its list, and names it", function()
    local function check(list, index)
      assert.error_matches(function() client:wait_all(list) end,
        ("'wait_all' %%(ids%%[%d%%]: expected an id, got nil; a list must have no holes"):format(index))
    end
    check({ "a", nil, "c" }, 2)
    check({ nil, "b" }, 1)
    check({ "a", n = 2 }, 2)
    check({ "a", "b", nil, nil, "e" }, 3)
    assert.same({}, srv:requests())
  end)

  it("raises for a bad item, and names it", function()
    assert.error_matches(function() client:wait_all { "a", "" } end,
      "ids%[2%]: expected an id, got an empty string")
    assert.error_matches(function() client:wait_all { "a", "b", {} } end,
      "ids%[3%]: expected an id, or a job")
    assert.error_matches(function() client:wait_all { a = "b" } end,
      "ids: expected a list, got a table with the field 'a'")
  end)

  it("raises for one job in place of a list", function()
    local watched = assert(client:watch "v")
    watched:cancel()
    for _, job in ipairs { { id = "v", status = "queued" }, { data = { task_id = "t" } }, watched,
      { video = { id = "v" } } } do
      assert.error_matches(function() client:wait_all(job) end,
        "'wait_all' %(ids: expected a list, got one job; write { job }%)")
    end
    assert.error_matches(function() client:wait_all "v" end, "ids: expected a list, got string")
  end)

  it("takes the answer of list_videos, jobs, and a list of none", function()
    assert.equal(2, #client:wait_all { object = "list", data = { { id = "v" }, { task_id = "w" } },
      has_more = false })
    local targets = rig.pluck(srv:requests(), "target")
    table.sort(targets)
    assert.same({ "/v1/videos/v", "/v1/videos/w" }, targets)
    assert.same({}, client:wait_all {})
    assert.same({}, client:wait_all { data = {} })
    assert.equal(2, #client:wait_all { "a", { id = "b" }, n = 2 })
  end)
end)

describe("the base URL", function()
  local srv = given.server()

  before_each(function() srv:route("*", "^", { body = '{"id":"v","status":"completed"}' }) end)

  -- The target of a call with that base URL.
  local function target(tail, opts)
    local client = rig.client(srv, { base_url = srv.url .. tail })
    assert(client:get_video("v 1", opts))
    client:close()
    local requests = srv:requests()
    return normal(requests[#requests].target)
  end

  it("may end in slashes or not", function()
    assert.equal("/videos/v%201", target(""))
    assert.equal("/videos/v%201", target("/"))
    assert.equal("/v1/videos/v%201", target("/v1"))
    assert.equal("/v1/videos/v%201", target("/v1/"))
    assert.equal("/openai/v1/videos/v%201", target("/openai/v1//"))
  end)

  it("keeps its query", function()
    assert.equal("/openai/v1/videos/v%201?api-version=preview", target("/openai/v1?api-version=preview"))
    assert.equal("/openai/v1/videos/v%201?api-version=preview&x=%20y",
      target("/openai/v1/?api-version=preview&x=%20y"))
  end)

  it("has the call's query appended to its own", function()
    assert.equal("/v1/videos/v%201?expand=a%26b%3Dc%20%2B", target("/v1", { query = { expand = "a&b=c +" } }))
    assert.equal("/v1/videos/v%201?v=1&n=2", target("/v1?v=1", { query = { n = 2 } }))
    assert.equal("/v1/videos/v%201?on=true", target("/v1", { query = { on = true } }))
    assert.equal("/v1/videos/v%201", target("/v1", { query = {} }))
    local both = target("/v1?v=1", { query = { a = "1", b = "2" } })
    assert.is_true(both == "/v1/videos/v%201?v=1&a=1&b=2" or both == "/v1/videos/v%201?v=1&b=2&a=1")
  end)

  it("has no query of an earlier call", function()
    local client = rig.client(srv, { base_url = srv.url .. "/v1?v=1" })
    assert(client:get_video("a", { query = { n = "1" } }))
    assert(client:get_video("b"))
    assert(client:create_video({ prompt = "p" }, { query = { n = "2" } }))
    assert(client:create_video({ prompt = "p" }))
    assert.same({ "/v1/videos/a?v=1&n=1", "/v1/videos/b?v=1", "/v1/videos?v=1&n=2", "/v1/videos?v=1" },
      rig.pluck(srv:requests(), "target"))
  end)

  it("keeps what is encoded in it", function()
    assert.equal("/a%20b/c%2Fd/videos/v%201", target("/a%20b/c%2Fd"))
  end)
end)
