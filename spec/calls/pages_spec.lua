-- Iterating over lists: how one page leads to the next, when that ends, and against a server.
local given = require "spec.support.given"
local pages = require "sora.pages"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local sora = require "sora"

local MOST = 50 -- fetches; an iterator that needs more does not end

-- The ids of items of which every one has one.
local function items(...)
  local list = {}
  for i, id in ipairs { ... } do list[i] = { id = id } end
  return list
end

-- A list of pages by the cursor that leads to each; "" is the first one's. Gives all ids that the iterator
-- gives and the cursors that it used.
local function walk(by_cursor)
  local ids, cursors = {}, {}
  for item in pages.iterate(function(after)
    cursors[#cursors + 1] = after or ""
    assert.is_true(#cursors <= MOST, "the iterator does not end")
    local page = by_cursor[tostring(after or "")]
    if type(page) == "function" then return page(after) end
    return page or { data = {} }
  end) do
    ids[#ids + 1] = item.id or item
  end
  return ids, cursors
end

describe("pages", function()
  it("are followed while the server says that there are more", function()
    local ids, cursors = walk {
      [""] = { data = items("a", "b"), has_more = true, first_id = "a", last_id = "b" },
      b = { data = items("c", "d"), has_more = true, last_id = "d" },
      d = { data = items "e", has_more = false, last_id = "e" },
      e = function() error "must not be asked for" end,
    }
    assert.same({ "a", "b", "c", "d", "e" }, ids)
    assert.same({ "", "b", "d" }, cursors)
  end)

  it("end after one where that is all", function()
    local ids, cursors = walk { [""] = { data = items("a", "b"), has_more = false } }
    assert.same({ { "a", "b" }, { "" } }, { ids, cursors })
  end)

  it("are followed until an empty one where has_more is missing", function()
    local ids, cursors = walk { [""] = { data = items("a", "b") }, b = { data = items "c" } }
    assert.same({ "a", "b", "c" }, ids)
    assert.same({ "", "b", "c" }, cursors)
  end)

  it("are followed by last_id where it is not the last item's id", function()
    local ids = walk {
      [""] = { data = items("a", "b"), has_more = true, last_id = "cursor 1" },
      ["cursor 1"] = { data = items("c", "d"), has_more = true, last_id = "cursor 2" },
      ["cursor 2"] = { data = items "e", has_more = false, last_id = "cursor 3" },
    }
    assert.same({ "a", "b", "c", "d", "e" }, ids)
  end)

  it("are followed by the last item's id where last_id leads nowhere", function()
    local first = { data = items("a", "b"), has_more = true, last_id = "a" } -- some servers list backwards
    local ids = walk { [""] = first, a = first, b = { data = items "c", has_more = false } }
    assert.same({ "a", "b", "c" }, ids)
    ids = walk { [""] = first, a = { data = {} }, b = { data = items "c", has_more = false } }
    assert.same({ "a", "b", "c" }, ids)
  end)

  it("end where the server gives the same one for ever", function()
    local same = { data = items("a", "b"), has_more = true, last_id = "b" }
    local ids, cursors = walk { [""] = same, b = same, a = same }
    assert.same({ "a", "b" }, ids)
    assert.is_true(#cursors <= 3)
  end)

  it("end where the server repeats pages in a circle", function()
    local ids, cursors = walk {
      [""] = { data = items("a", "b"), has_more = true },
      b = { data = items("c", "d"), has_more = true },
      d = { data = items("a", "b"), has_more = true },
    }
    assert.same({ "a", "b", "c", "d" }, ids)
    assert.is_true(#cursors <= 4)
  end)

  it("give a job once that moved from one page to the next", function()
    local ids = walk {
      [""] = { data = items("a", "b"), has_more = true },
      b = { data = items("b", "c"), has_more = false },
    }
    assert.same({ "a", "b", "c" }, ids)
  end)

  it("may be empty", function()
    for _, page in ipairs { { data = {} }, { data = {}, has_more = true }, { data = {}, has_more = false },
      {}, { object = "list" }, { data = {}, has_more = true, last_id = "" } } do
      local ids, cursors = walk { [""] = page }
      assert.same({ {}, { "" } }, { ids, cursors })
    end
  end)

  it("without ids are given once, and never for ever", function()
    local function page() return { data = { { url = "1" }, { url = "2" } }, has_more = true } end
    local ids = walk { [""] = page }
    assert.same({ { url = "1" }, { url = "2" } }, ids)
    local cursors
    page = function() return { data = { { url = "1" } }, has_more = true, last_id = "c" } end
    ids, cursors = walk { [""] = page, c = page }
    assert.is_true(#ids <= 2 and #cursors <= 2)
    assert.same({ url = "1" }, ids[1])
  end)

  it("are followed by ids that are numbers, or have other names", function()
    assert.same({ 1, 2, 3 }, (walk {
      [""] = { data = items(1, 2), has_more = true },
      ["2"] = { data = items(3), has_more = false },
    }))
    local ids = walk {
      [""] = { data = { { task_id = "a" }, { task_id = "b" } }, has_more = true },
      b = { data = { { task_id = "c" } }, has_more = false },
    }
    assert.same({ "a", "b", "c" }, rig.pluck(ids, "task_id"))
  end)

  it("have their items in one of several fields, or are lists themselves", function()
    for _, field in ipairs { "data", "videos", "items", "results" } do
      assert.same({ "a", "b" }, (walk { [""] = { [field] = items("a", "b"), has_more = false } }))
    end
    assert.same({ "a", "b" }, (walk { [""] = items("a", "b") }))
  end)

  it("that can't be fetched raise their error, after all items before them", function()
    local failure = setmetatable({ kind = "api" }, { __tostring = function() return "no" end })
    local seen, fetches = {}, 0
    local good, problem = pcall(function()
      for item in pages.iterate(function(after)
        fetches = fetches + 1
        if after then return nil, failure end
        return { data = items("a", "b"), has_more = true }
      end) do
        seen[#seen + 1] = item.id
      end
    end)
    assert.is_false(good)
    assert.equal(failure, problem)
    assert.same({ { "a", "b" }, 2 }, { seen, fetches })
  end)

  it("are only fetched when they are needed", function()
    local fetches = 0
    local iterator = pages.iterate(function()
      fetches = fetches + 1
      return { data = items("a" .. fetches, "b" .. fetches), has_more = true }
    end)
    assert.equal(0, fetches)
    assert.same({ "a1", "b1" }, { iterator().id, iterator().id })
    assert.equal(1, fetches)
    assert.equal("a2", iterator().id)
    assert.equal(2, fetches)
  end)

  it("give nothing more after their end", function()
    local fetches = 0
    local iterator = pages.iterate(function()
      fetches = fetches + 1
      return { data = items "a", has_more = false }
    end)
    assert.equal("a", iterator().id)
    for _ = 1, 5 do assert.is_nil(iterator()) end
    assert.equal(1, fetches)
  end)
end)

describe("client:videos", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  it("asks for each page with the same params and options", function()
    srv:reply({ json = { data = items("a", "b c"), has_more = true } }, { json = { data = items "d" } },
      { json = { object = "list", data = {} } })
    local params, ids = { model = "m" }, {}
    for video in client:videos(params, { headers = { ["X-Tag"] = "t" } }) do ids[#ids + 1] = video.id end
    assert.same({ "a", "b c", "d" }, ids)
    assert.same({ model = "m" }, params)
    local requests = srv:requests()
    assert.equal(3, #requests)
    for i, after in ipairs { false, "b%20c", "d" } do
      assert.equal(after or nil, requests[i].target:match "after=([^&]*)")
      assert.equal("m", requests[i].target:match "model=([^&]*)")
      assert.equal("t", requests[i].headers["x-tag"])
    end
  end)

  it("begins after the job that is given", function()
    srv:reply { json = { data = items "b", has_more = false } }
    assert.equal("b", client:videos { after = "a" }().id)
    assert.equal("/v1/videos?after=a", srv:requests()[1].target)
  end)

  it("raises the error of a page", function()
    srv:reply({ json = { data = items "a", has_more = true } },
      { status = 401, json = { error = { message = "No.", code = "invalid_api_key" } } })
    local seen = 0
    local good, err = pcall(function()
      for _ in client:videos() do seen = seen + 1 end
    end)
    assert.same({ false, 1 }, { good, seen })
    assert.same({ "api", 401, "invalid_api_key" }, { err.kind, err.status, err.code })
    assert.not_matches(rig.KEY, rig.shown(err), 1, true)
  end)

  it("raises for bad params and options", function()
    local function refuses(text, ...)
      local arguments = { n = select("#", ...), ... }
      local good, problem = pcall(function()
        local iterator = client:videos(arguments[1], arguments[2])
        return iterator()
      end)
      assert.is_false(good)
      assert.matches("bad argument.*'[%l_]*videos'", tostring(problem))
      assert.matches(text, problem)
    end
    refuses("limit: expected a whole number", { limit = 0 })
    refuses("order: expected 'asc' or 'desc'", { order = 1 })
    refuses("params: expected a table, got number", 5)
    refuses("options: expected a table, got string", {}, "x")
    assert.equal(0, #srv:requests())
  end)

  it("of the module raises when no server is configured", function()
    local output = rig.run [[
      local good, err = pcall(function() for _ in require("sora").videos() do end end)
      print(good, type(err) == "table" and err.kind or err)]]
    assert.equal("false\tconfig\n", output)
    assert.is_function(sora.videos)
  end)
end)

describe("client:videos against a development server", function()
  local server, client, made

  setup(function()
    server = process.serve { "--quiet", "--api-key", rig.KEY }
    client = rig.client(server.origin)
    made = {}
    for i = 1, 30 do made[i] = assert(client:create_video { prompt = "number " .. i }).id end
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  local function list(params)
    local ids = {}
    for video in client:videos(params) do ids[#ids + 1] = video.id end
    return ids
  end

  local function reversed()
    local ids = {}
    for i = #made, 1, -1 do ids[#ids + 1] = made[i] end
    return ids
  end

  it("gives every job once, in either order", function()
    assert.same(made, list { limit = 7, order = "asc" })
    assert.same(reversed(), list { limit = 7, order = "desc" })
    assert.same(reversed(), list())
    for _, limit in ipairs { 1, 15, 29, 30, 31, 100 } do
      assert.same(made, list { limit = limit, order = "asc" })
    end
  end)

  it("begins after a given job", function()
    local ids = list { limit = 7, order = "asc", after = made[10] }
    assert.equal(20, #ids)
    assert.same({ made[11], made[30] }, { ids[1], ids[20] })
  end)

  it("can be left by break, and the client still works", function()
    local seen = 0
    for _ in client:videos { limit = 7 } do
      seen = seen + 1
      if seen == 8 then break end
    end
    assert.equal(8, seen)
    assert.equal(made[1], assert(client:get_video(made[1])).id)
    assert.equal(7, #assert(client:list_videos { limit = 7 }).data)
  end)

  it("raises the server's error for a limit that is too high", function()
    local good, err = pcall(list, { limit = 101 })
    assert.same({ false, "api", 400, "limit" }, { good, err.kind, err.status, err.param })
  end)
end)
