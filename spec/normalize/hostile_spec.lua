-- Specs of sora.normalize with bodies that no server should send: it never throws, never changes its input,
-- and keeps its promises about types.
local dialects = require "spec.support.dialects"
local normalize = require "sora.normalize"
local promises = require "spec.support.promises"

describe("hostile bodies", function()
  local broken = promises.broken

  local function deep(key, levels)
    local body = { status = "completed", message = "m" }
    for _ = 1, levels do body = { [key] = body } end
    return body
  end

  local JUNK = {
    true, false, 0, -1, 1.5, 1e308, math.huge, -math.huge, 0 / 0, "", " ", "x", "%d%s%z[", "\0",
    "https://", {}, { {} }, { 1, 2 }, { [2] = "x" }, { a = 1 }, { { { {} } } }, dialects.null,
    { data = { data = {} } }, { id = {}, status = {} },
    { message = { message = {} } }, { url = { url = true } }, ("9"):rep(400),
  }

  -- Calls `visit(table, key)` for every field of a body.
  local function each_field(body, visit)
    for key, value in pairs(dialects.copy(body)) do
      visit(body, key)
      if type(value) == "table" then each_field(body[key], visit) end
    end
  end

  for _, case in ipairs(dialects.bodies()) do
    it("never throw: any field of " .. case.entry.file .. " replaced by anything", function()
      local body, tries = case.body, 0
      local before = dialects.copy(body)
      each_field(body, function(layer, key)
        local value = layer[key]
        for i = 1, #JUNK do
          layer[key] = JUNK[i]
          local problem = broken(body)
          if problem then error(("%s, with %s = %s"):format(problem, key, tostring(JUNK[i]))) end
          tries = tries + 1
        end
        layer[key] = value
      end)
      assert.same(before, body)
      assert.is_true(tries > 0)
    end)
  end

  it("never throw: every known field is junk", function()
    local fields = [[id object status state type event error errors message msg code detail data output
      outputs video videos url urls video_url metadata progress progress_pct created_at completed_at
      deleted task_id content result response loc param title status_code request_id fail_reason b64_json
      pending_info]]
    for i = 1, #JUNK do
      local body = {}
      for name in fields:gmatch("%S+") do body[name] = JUNK[i] end
      assert.is_nil(broken(body))
      assert.is_nil(broken { data = body, error = body, detail = { body, body } })
      assert.is_nil(broken(JUNK[i]))
    end
  end)

  -- CPU time of a call. Compared with the time of one plain pass over the same data, so that it means the
  -- same on a slow machine and under valgrind.
  local function cost(call)
    local before = os.clock()
    call()
    return os.clock() - before
  end

  it("cost little, however deep or wide", function()
    for _, key in ipairs { "data", "error", "detail", "errors", "message", "output", "video", "metadata" } do
      assert.is_nil(broken(deep(key, 5000)))
    end
    local wide = { outputs = {}, data = {}, errors = {}, detail = {} }
    for i = 1, 20000 do
      wide.outputs[i], wide.data[i], wide.errors[i] = {}, { data = { {} } }, { { {} } }
      wide.detail["k" .. i] = { "v" }
    end
    local pass = cost(function() dialects.copy(wide) end)
    local problem
    local reading = cost(function() problem = broken(wide) end)
    assert.is_nil(problem)
    assert.is_true(reading < 20 * pass, ("%g s where a copy takes %g s"):format(reading, pass))
  end)

  -- Each text would take the square of its length, or more, if it were read carelessly.
  it("may hold texts of any length", function()
    local digits, name = ("2"):rep(60000) .. "x", ("a"):rep(60000) .. "."
    local pass = cost(function() assert.equal(60000, select(2, digits:gsub("%d", "%0"))) end)
    local function check(what, call)
      local reading = cost(call)
      assert.is_true(reading < 20 * pass, ("%s: %g s, one pass takes %g s"):format(what, reading, pass))
    end
    check("a number", function() assert.is_nil(normalize.video { progress = digits }.progress) end)
    check("a time", function() assert.is_nil(normalize.video { created_at = digits }.created_at) end)
    check("an event", function()
      assert.equal("v", normalize.video { type = name, data = { id = "v" } }.id)
    end)
    check("a status", function()
      local status = ("task"):rep(20000) .. "_success"
      assert.equal("in_progress", normalize.video { id = "v", status = status }.state)
    end)
    check("a page", function()
      assert.equal("x", normalize.text("<p>x" .. ("<"):rep(8192)):sub(1, 1))
      assert.is_nil(normalize.text("<code " .. ("<code "):rep(1300) .. ">"))
    end)
  end)

  it("may have an id that no path can hold, which counts as missing", function()
    for _, id in ipairs { ".", "..", "", " " } do
      assert.is_nil(normalize.video { id = id, status = "queued" }.id)
      assert.equal("t", normalize.video { id = id, task_id = "t", status = "queued" }.id)
    end
  end)

  it("may hold megabytes of base64", function()
    local blob = "AAAAHGZ0eXBpc29t" .. ("AAAA"):rep(2 * 1024 * 1024)
    local pass = cost(function() assert.equal(0, select(2, blob:gsub("%s", ""))) end)
    local view, again
    local reading = cost(function()
      view = normalize.video { videos = { blob } }
      again = normalize.video { url = "data:video/mp4;base64," .. blob }
    end)
    assert.equal("completed", view.state)
    assert.equal("completed", again.state)
    assert.is_true(reading < 10 * pass, ("%g s where one pass takes %g s"):format(reading, pass))
  end)
end)
