-- Which fault a request meets.
local faults = require("sora.server.control").faults

describe("sora.server.control.faults", function()
  local list

  before_each(function() list = faults.new() end)

  local function statuses(n, method, path)
    local seen = {}
    for i = 1, n do
      local fault = list:take(method or "GET", path or "/v1/videos/x")
      seen[i] = fault and fault.status or 0
    end
    return seen
  end

  it("gives no fault when there is none", function()
    assert.is_nil(list:take("GET", "/v1/videos"))
  end)

  it("gives a fault always, a number of times, or after a number of matches", function()
    assert.is_true(list:add { { status = 500 } })
    assert.are.same({ 500, 500, 500 }, statuses(3))
    list:clear()
    assert.is_true(list:add { { status = 500, times = 2, after = 1 } })
    assert.are.same({ 0, 500, 500, 0, 0 }, statuses(5))
  end)

  it("goes through the list in order", function()
    assert.is_true(list:add { { status = 500, times = 1 }, { status = 429, times = 2 } })
    assert.is_true(list:add { { status = 400, times = 1 } })
    assert.are.same({ 500, 429, 429, 400, 0 }, statuses(5))
  end)

  it("matches methods and decoded paths", function()
    assert.is_true(list:add { { match = { method = "post", path = "^/v1/videos$" }, status = 503 } })
    assert.are.same({ 503 }, statuses(1, "POST", "/v1/videos"))
    assert.are.same({ 0 }, statuses(1, "GET", "/v1/videos"))
    assert.are.same({ 0 }, statuses(1, "POST", "/v1/videos/x/remix"))
    assert.is_true(list:add { { match = { path = "a/b c" }, status = 404 } })
    assert.are.same({ 404 }, statuses(1, "GET", "/v1/videos/a/b c"))
  end)

  it("counts the matches, not the requests", function()
    assert.is_true(list:add { { match = { path = "x$" }, status = 500, after = 1 } })
    assert.are.same({ 0, 0 }, statuses(2, "GET", "/v1/videos/y"))
    assert.are.same({ 0, 500 }, statuses(2))
  end)

  it("turns a body that is JSON into its text", function()
    assert.is_true(list:add { { body = { error = "no" } } })
    assert.are.equal('{"error":"no"}', list:take("GET", "/").body)
  end)

  local NO_MATCH = "fault 1: match must be an object with method and path (a Lua pattern)"
  local NO_HEADERS = "fault 1: headers must be an object of texts (or false), "
    .. "without content-length and transfer-encoding"

  it("refuses faults that make no sense, all or none", function()
    local cases = {
      { "x", "fault 1 must be an object" },
      { { stauts = 500 }, "fault 1: stauts is not known" },
      { { status = 99 }, "fault 1: status must be a number from 200 to 999" },
      { { times = -1 }, "fault 1: times must be a whole number" },
      { { delay = "1" }, "fault 1: delay must be a number of seconds" },
      { { close = "maybe" }, 'fault 1: close must be a boolean or "after"' },
      { { match = { path = "(" } }, NO_MATCH },
      { { match = { host = "x" } }, NO_MATCH },
    }
    for _, headers in ipairs {
      { ["content-length"] = "5" }, { ["a b"] = "c" }, { a = "b\r\nc: d" }, { a = 5 },
    } do
      cases[#cases + 1] = { { headers = headers }, NO_HEADERS }
    end
    for _, case in ipairs(cases) do
      assert.are.same({ nil, case[2] }, { list:add { case[1], { status = 500 } } })
    end
    assert.is_nil(list:take("GET", "/"))
  end)

  it("survives a pattern whose error shows only when it is used", function()
    assert.is_true(list:add { { match = { path = "/v2/%f" }, status = 500 } })
    assert.are.same({ 0, 0 }, { statuses(1)[1], statuses(1, "GET", "/v2/x")[1] })
  end)

  it("tells faults that replace an answer from those that alter one", function()
    for _, fault in ipairs {
      { status = 500 }, { body = "" }, { close = true }, { status = 500, truncate = 3 },
    } do
      assert.is_true(faults.replaces(fault))
    end
    for _, fault in ipairs {
      { delay = 1 }, { truncate = 5 }, { headers = {} }, { close = "after" },
      { close = true, process = true }, { status = 500, process = true },
    } do
      assert.is_false(faults.replaces(fault))
    end
  end)
end)
