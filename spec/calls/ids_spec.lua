-- Where a call goes: ids as one path segment whatever they hold, and the base URL's path and query.
local core = require "sora.core"
local given = require "spec.support.given"
local rig = require "spec.support.rig"

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
    assert_refused("is empty", "")
    assert_refused("'.' and '..' are no ids", ".")
    assert_refused("'.' and '..' are no ids", "..")
  end)

  it("of another type raises, and nothing is sent", function()
    assert_refused("expected a string, got nil", nil)
    assert_refused("expected a string, got table", {})
    assert_refused("expected a string, got boolean", true)
    assert_refused("expected a string, got function", print)
  end)

  it("that is empty names the caller's line", function()
    local ok, problem = pcall(function() client:get_video("") end)
    assert.is_false(ok)
    assert.matches("^spec/calls/ids_spec.lua:%d+: bad argument #1 to 'get_video' %(id: is empty%)$", problem)
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
