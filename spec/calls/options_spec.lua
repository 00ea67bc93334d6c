-- Options of clients and of calls, right and wrong: misuse raises, names what is wrong, and shows no value.
local given = require "spec.support.given"
local rig = require "spec.support.rig"
local sora = require "sora"

local SECRET = "sk-never-shown"

-- option → values that it takes
local GOOD = {
  base_url = { "http://h", "https://h:8443/v1/", "HTTP://H/", "http://[::1]:80/v1", "http://h/v1?a=b" },
  api_key = { "k", "ü", "a b", function() return "k" end },
  auth = { "bearer", "api-key", "x-api-key", "raw", "none" },
  headers = { {}, { ["X-A"] = "b" }, { ["X-A"] = "" }, { ["X-A"] = 1 }, { ["x!#$%&'*+-.^_`|~0"] = "ü" } },
  timeout = { 60, 0.001, 1e300, 1 / 0 },
  connect_timeout = { 10, 0.001, 1 / 0 },
  max_retries = { 0, 1, 2147483647 },
  max_response_bytes = { 1, 2147483647 },
  max_connections = { 1, 64 },
  proxy = { "http://127.0.0.1:3128", "127.0.0.1:3128", "http://u:p@127.0.0.1", "" },
  ca_file = { "/etc/ssl/ca.pem" },
  ca_path = { "/etc/ssl/certs" },
  cert_file = {}, -- see client_certificate_spec.lua
  key_file = {},
  unix_socket = { "/run/api.sock", "api.sock" },
  verify = { true, false },
  user_agent = { "game/1.0 (x)" },
  on_event = { function() end },
}

local EMPTY = "expected a string, got an empty one"
local CONTROL = "expected a string without control characters, got one with "
local TIMEOUT = "option 'timeout': expected a positive number of seconds, got 0"
local NO_NAME = "expected names of letters, digits and '-', as in 'X-Name', got one that no header may have"

-- option → value → what the complaint says of it
local BAD = {
  base_url = { [""] = EMPTY, ["http://h/\n"] = CONTROL,
    [true] = "expected a string, got boolean" },
  api_key = { [1] = "expected a string or a function, got number", [""] = EMPTY,
    [SECRET .. "\n"] = CONTROL .. "a newline at its end", [SECRET
      .. "\0x"] = CONTROL,
    [SECRET .. "\r\nX-Evil: 1"] = CONTROL, [SECRET .. "\127"] = CONTROL,
    [false] = "expected a string or a function, got boolean" },
  auth = { basic = "expected 'bearer', 'api-key', 'x-api-key', 'raw' or 'none', got another",
    [""] = "expected 'bearer'",
    Bearer = "expected 'bearer'", [{}] = "expected a string, got table" },
  headers = { x = "expected a table of names and values, got string",
    [{ "X-A: b" }] = "expected names that are strings, got a number as a name",
    [{ ["X-A"] = true }] = "got a boolean as the value of 'X-A'", [{ ["X A"] = "b" }] = NO_NAME,
    [{ ["X-A:"] = "b" }] = NO_NAME, [{ [""] = "b" }] = NO_NAME,
      [{ ["X-A\n"] = "b" }] = NO_NAME,
    [{ ["X-\195\188"] = "b" }] = NO_NAME, [{ ["X-A"] = SECRET
      .. "\r\nX-B: c" }] = "got one in the value of 'X-A'",
    [{ ["X-A"] = SECRET .. "\0" }] = "got one in the value of 'X-A'" },
  timeout = { [0] = "expected a positive number of seconds, got 0", [-1] = "got -1",
    ["60"] = "expected a positive number of seconds, got string" },
  connect_timeout = { [0] = "expected a positive number of seconds, got 0", [{}] = "got table" },
  max_retries = { [-1] = "expected a whole number, 0 or more, got -1", [1.5] = "got 1.5",
    [2147483648] = "expected a whole number",
    ["2"] = "expected a whole number, 0 or more, got string" },
  max_response_bytes = { [0] = "expected a whole number of bytes", [2147483648] = "below 2^31",
    [1 / 0] = "got inf",
    x = "got string" },
  max_connections = { [0] = "expected a whole number, 1 or more, got 0", [0.5] = "got 0.5" },
  proxy = { [{}] = "expected a string, got table", ["http://p\n"] = CONTROL },
  ca_file = { [""] = EMPTY, [true] = "expected a string, got boolean", ["a\0b"] = CONTROL },
  ca_path = { [""] = EMPTY, [false] = "expected a string" },
  cert_file = { [""] = EMPTY, [true] = "expected a string, got boolean", ["a\n"] = CONTROL },
  key_file = { [""] = EMPTY, [1] = "expected a string, got number", ["k.pem"] = "needs its certificate" },
  unix_socket = { [""] = EMPTY, [{}] = "expected a string, got table", ["a\0b"] = CONTROL },
  verify = { [0] = "expected a boolean, got number", ["false"] = "expected a boolean, got string" },
  user_agent = { [""] = EMPTY, ["a\r\nb"] = CONTROL },
  on_event = { x = "expected a function, got string", [true] = "expected a function, got boolean" },
}

local function with(name, value)
  local options = { base_url = "http://127.0.0.1:1/v1", api_key = SECRET }
  options[name] = value
  return options
end

describe("a client option", function()
  for name, values in pairs(GOOD) do
    it(name .. " accepts valid values", function()
      for _, value in ipairs(values) do
        local client, err = sora.new(with(name, value))
        assert.is_nil(err)
        client:close()
      end
    end)

    it(name .. " refuses invalid values", function()
      local count = 0
      for value, complaint in pairs(BAD[name]) do
        count = count + 1
        local ok, problem = pcall(sora.new, with(name, value))
        assert.is_false(ok, tostring(value))
        assert.matches("bad argument #1 to 'new' (option '" .. name .. "'", problem, 1, true)
        assert.matches(complaint, problem, 1, true)
        assert.not_matches(SECRET, problem, 1, true)
      end
      assert.is_true(count > 0)
    end)
  end

  it("that is NaN is refused where a number is expected", function()
    for _, name in ipairs{ "timeout", "connect_timeout", "max_retries", "max_response_bytes",
      "max_connections" } do
      assert.error_matches(function() sora.new(with(name, 0 / 0)) end,
        "option '" .. name .. "': expected a", 1, true)
    end
  end)

  it("that is unknown is refused, with the nearest name", function()
    local NEAREST = { basse_url = "base_url", apikey = "api_key", ["api-key"] = "api_key",
      time_out = "timeout",
      Headers = "headers", max_retry = "max_retries", cafile = "ca_file",
      certfile = "cert_file", keyfile = "key_file", unixsocket = "unix_socket", onevent = "on_event",
        useragent = "user_agent",
      verfy = "verify" }
    for name, nearest in pairs(NEAREST) do
      assert.error_matches(function() sora.new(with(name, SECRET)) end,
        ("bad argument #1 to 'new' (unknown option '%s'; did you mean '%s'?)"):format(name, nearest), 1,
          true)
    end
    for _, name in ipairs{ "xyzzy_frobnicate", ("x"):rep(500) } do
      assert.error_matches(function() sora.new(with(name, 1)) end, "unknown option '" .. name .. "')", 1,
        true)
    end
  end)

  it("has a name that is a string", function()
    assert.error_matches(function() sora.new(with(1, "http://h")) end,
      "options: expected names that are strings, as in { timeout = 60 }, got a number", 1, true)
  end)

  it("is given in a table", function()
    for _, value in ipairs{ "http://h", 1, true } do
      assert.error_matches(function() sora.new(value) end,
        "bad argument #1 to 'new' (options: expected a table, got "
        .. type(value), 1, true)
      assert.error_matches(function() sora.configure(value) end,
        "bad argument #1 to 'configure' (options: expected a table", 1, true)
    end
    assert.error_matches(function() sora.new() end,
      "bad argument #1 to 'new' (options: expected a table, got nil)", 1,
      true)
  end)

  it("base_url that is no http(s) URL is a config error, since it may come from outside", function()
    local WRONG = { ["ftp://h/v1"] = "http", ["file:///etc/passwd"] = "http", ["h/v1"] = "http",
      ["//h/v1"] = "",
      ["http://"] = "", ["http://u:" .. SECRET .. "@h/v1"] = "user name or password",
        ["http://h/v1#top"] = "fragment",
      ["http://h:99999/"] = "", ["http://[::1/"] = "", ["http://a b/"] = "", [" "] = "" }
    for url, why in pairs(WRONG) do
      local client, err = sora.new{ base_url = url }
      assert.is_nil(client, url)
      assert.equal("config", err.kind)
      assert.matches("^base_url ", err.message)
      assert.matches(why, err.message, 1, true)
      assert.not_matches(SECRET, tostring(err), 1, true)
    end
  end)

  it("that must be a string can't be a number", function()
    for _, name in ipairs{ "base_url", "auth", "proxy", "ca_file", "ca_path", "cert_file", "key_file",
      "unix_socket", "user_agent" } do
      local ok, problem = pcall(sora.new, with(name, 1))
      assert.is_false(ok, name)
      assert.matches("option '" .. name .. "': expected a string, got number", problem, 1, true)
    end
  end)

  it("is checked before base_url is missed, which may be misspelt", function()
    assert.error_matches(function() sora.new{ baseurl = "http://h/v1" } end, "did you mean 'base_url'?", 1,
      true)
    assert.error_matches(function() sora.configure{ baseurl = "http://h/v1" } end, "did you mean 'base_url'?",
      1, true)
    assert.error_matches(function() sora.new{ timeout = 0 } end, TIMEOUT, 1, true)
  end)

  it("is not changed by the client", function()
    local options = with("headers", { ["X-A"] = "b" })
    sora.new(options):close()
    assert.same(with("headers", { ["X-A"] = "b" }), options)
  end)
end)

describe("an option of a call", function()
  local srv = given.server()
  local client

  setup(function() client = rig.client(srv) end)
  before_each(function() srv:route("*", "^", { body = '{"id":"v","status":"completed"}' }) end)
  teardown(function() client:close() end)

  local GOOD_OPTS = { {}, { timeout = 1 }, { max_retries = 0 }, { headers = { A = "b" } },
    { query = { a = "b", c = 1 } },
    { response = true }, { response = false }, { idempotency_key = "k" } }
  local BAD_OPTS = { { { timeout = 0 }, TIMEOUT }, { { max_retries = -1 },
    "option 'max_retries': expected a whole number, 0 or more, got -1" },
    { { headers = "x" }, "option 'headers': expected a table" }, { { query = "a=b" },
      "option 'query': expected a table" },
    { { query = { a = {} } }, "option 'query': expected values that are" },
    { { query = { "a" } }, "option 'query': expected names that are strings" },
    { { response = 1 }, "option 'response': expected a boolean" }, { { idempotency_key = "" },
      "option 'idempotency_key': expected a string, got an empty one" },
    { { idempotency_key = "a\r\nb" }, "option 'idempotency_key': " .. CONTROL .. "such a character" },
    { { time_out = 1 }, "unknown option 'time_out'; did you mean 'timeout'?" }, { { 1 },
      "options: expected names that are strings" },
    { "x", "options: expected a table, got string" }, { true, "options: expected a table, got boolean" } }
  -- No tail calls: LuaJIT can't name what is called by one.
  local CALLS = {
    get_video = function(opts) return (client:get_video("v", opts)) end,
    create_video = function(opts) return (client:create_video({ prompt = "p" }, opts)) end,
    download_video = function(opts) return (client:download_video("v", "/nonexistent/v.mp4", opts)) end,
  }

  it("is accepted", function()
    for _, opts in ipairs(GOOD_OPTS) do
      assert(CALLS.get_video(opts))
      assert(CALLS.create_video(opts))
    end
    assert.equal(2 * #GOOD_OPTS, #srv:requests())
  end)

  for name, call in pairs(CALLS) do
    it("is refused by " .. name .. ", and nothing is sent", function()
      for _, case in ipairs(BAD_OPTS) do
        local ok, problem = pcall(call, case[1])
        assert.is_false(ok, case[2])
        assert.matches("'" .. name .. "' (" .. case[2], problem, 1, true)
      end
      assert.same({}, srv:requests())
    end)

    it("is refused by " .. name .. " with the caller's line", function()
      local ok, problem = pcall(call, { timeout = 0 })
      assert.is_false(ok)
      assert.matches("^spec/calls/options_spec.lua:%d+: ", problem)
    end)
  end

  it("is refused on the module, too", function()
    assert(sora.configure{ base_url = srv.url })
    finally(sora.close)
    for _, case in ipairs(BAD_OPTS) do
      assert.error_matches(function() sora.get_video("v", case[1]) end, "bad argument #2 to 'get_video' ("
        .. case[2], 1, true)
    end
    assert.error_matches(function() sora.get_video() end,
      "bad argument #1 to 'get_video' (id: expected a string, got nil)",
      1, true)
  end)

  it("is refused by new and configure with the caller's line", function()
    for _, make in ipairs{ sora.new, sora.configure } do
      local ok, problem = pcall(function() local made = make(with("timeout", 0)) return made end)
      assert.is_false(ok)
      assert.matches("^spec/calls/options_spec.lua:%d+: ", problem)
    end
  end)
end)

describe("what a create takes", function()
  local srv = given.server()
  local client

  setup(function() client = rig.client(srv) end)
  teardown(function() client:close() end)

  it("is a table with a prompt that is a string, and what JSON can hold", function()
    local BAD_PARAMS = { { nil, "params: expected a table, got nil" }, { "x",
      "params: expected a table, got string" },
      { { prompt = 1 }, "prompt: expected a string, got number" }, { { prompt = "p", f = print },
        "params: " },
      { { prompt = "p", n = 0 / 0 }, "params: " } }
    for _, case in ipairs(BAD_PARAMS) do
      local ok, problem = pcall(function() client:create_video(case[1]) end)
      assert.is_false(ok)
      assert.matches("'create_video' (" .. case[2], problem, 1, true)
      assert.matches("^spec/calls/options_spec.lua:%d+: ", problem)
    end
    assert.same({}, srv:requests())
  end)
end)
