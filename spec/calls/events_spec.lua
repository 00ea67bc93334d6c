-- on_event and SORA_DEBUG: the events of requests, retries and responses; listening changes nothing.
local answers = require "spec.support.answers"
local core = require "sora.core"
local facts = require "spec.support.facts"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"

local VIDEO = answers.VIDEO
local AGAIN = { status = 503, body = "{}", headers = { ["retry-after-ms"] = "2" } }

describe("events", function()
  local srv = given.server()

  -- The events of one call, by default a get_video.
  local function events_of(call, options, url)
    local list, on_event = rig.collector()
    local client = rig.client(url or srv, answers.with({ on_event = on_event, max_retries = 2 }, options))
    call = call or function(c) return c:get_video("v") end
    call(client)
    client:close()
    return list
  end

  local function fields(event)
    return table.concat(facts.sorted(event), " ")
  end

  it("report a request and its response", function()
    srv:reply(VIDEO)
    local list = events_of()
    assert.same({ "request", "response" }, rig.pluck(list, "event"))
    local url = srv.url .. "/v1/videos/v"
    assert.same({ event = "request", method = "GET", url = url, attempt = 1 }, list[1])
    assert.equal("attempt event method seconds status url", fields(list[2]))
    assert.same({ "GET", url, 1, 200 }, { list[2].method, list[2].url, list[2].attempt, list[2].status })
    assert.is_true(list[2].seconds > 0 and list[2].seconds < 5)
  end)

  it("report retries", function()
    srv:reply(AGAIN, AGAIN, VIDEO)
    local list = events_of()
    assert.same({ "request", "retry", "request", "retry", "request", "response" }, rig.pluck(list, "event"))
    assert.same({ 1, 1, 2, 2, 3, 3 }, rig.pluck(list, "attempt"))
    assert.equal("attempt delay error event method seconds status url", fields(list[2]))
    assert.same({ 503, "api", 0.002 }, { list[2].status, list[2].error, list[2].delay })
    assert.equal("attempt event method url", fields(list[3]))
    assert.same({ 200, nil }, { list[6].status, list[6].error })
    for i = 2, 6, 2 do assert.is_true(list[i].seconds > 0) end
    assert.is_true(list[6].seconds >= list[4].seconds and list[4].seconds >= list[2].seconds)
    assert.equal("integer", rig.type(list[2].status, "integer"))
    assert.equal("integer", rig.type(list[2].attempt, "integer"))
  end)

  it("report errors", function()
    srv:reply({ status = 404, body = "{}" })
    local list = events_of()
    assert.same({ "api", 404 }, { list[2].error, list[2].status })
    list = events_of(nil, { max_retries = 0 }, httpd.refused_url())
    assert.same({ "request", "response" }, rig.pluck(list, "event"))
    assert.same({ "connect", nil }, { list[2].error, list[2].status })
    srv:reply{ hold = true }
    list = events_of(nil, { timeout = 0.1, max_retries = 0 })
    assert.equal("timeout", list[2].error)
  end)

  it("report other methods", function()
    srv:route("*", "^", VIDEO)
    local list = events_of(function(client)
      client:create_video{ prompt = "p" }
      core.call(client, { method = "DELETE", path = "/videos/v" })
    end)
    assert.same({ "POST", "POST", "DELETE", "DELETE" }, rig.pluck(list, "method"))
    assert.equal(srv.url .. "/v1/videos", list[1].url)
  end)

  it("hold no query, header or body", function()
    srv:reply{ body = '{"id":"answer-text"}', headers = { ["X-Header"] = "header-text" } }
    local list = events_of(function(client)
      client:create_video({ prompt = "prompt-text" }, { query = { a = "query-text" },
        headers = { ["X-A"] = "sent-text" } })
    end)
    assert.equal(2, #list)
    assert.not_matches("-text", rig.shown(list), 1, true)
  end)

  it("have ids as they are sent", function()
    srv:route("*", "^", VIDEO)
    local list = events_of(function(client) client:get_video("a b/c\r\n") end)
    assert.equal(srv.url .. "/v1/videos/a%20b%2Fc%0D%0A", list[1].url)
  end)

  it("come in order, each before the call returns", function()
    srv:reply(VIDEO, VIDEO)
    local seen = {}
    local list = events_of(function(client)
      client:get_video("a")
      seen[1] = "returned"
      client:get_video("b")
    end, { on_event = function(event) seen[#seen + 1] = event.event .. event.url:sub(-1) end })
    assert.same({}, list)
    assert.same({ "returned", "responsea", "requestb", "responseb" }, seen)
  end)

  describe("of what callbacks raise", function()
    -- Makes calls of each kind whose callbacks raise; `act` drives the client until that has happened.
    local function raise_all(client)
      local count = 0
      local function raise(what)
        return function()
          count = count + 1
          error(what, 0)
        end
      end
      for i = 1, 4 do
        client:start("get_video", "v" .. i, { on_done = raise("call " .. i) })
        client:start("download_video", "v" .. i, { sink = function() end },
          { on_done = raise("download " .. i) })
        client:watch("v" .. i, { on_done = raise("job " .. i) })
        client:watch("v" .. i, { on_progress = raise("progress " .. i) })
      end
      return function() return count == 16 end
    end

    local function all()
      local list = {}
      for _, what in ipairs { "call", "download", "job", "progress" } do
        for i = 1, 4 do list[#list + 1] = what .. " " .. i end
      end
      return list
    end

    it("tell on_event of each, but of what update raises", function()
      srv:route("*", "^", answers.DONE)
      local told, raised = {}, {}
      local client = rig.client(srv, { on_event = function(event)
        if event.event == "callback_error" then told[#told + 1] = event.raised end
      end })
      local is_over = raise_all(client)
      patience.wait(is_over, function()
        local good, problem = pcall(client.update, client, 0.1)
        if not good then raised[#raised + 1] = problem end
      end)
      assert.equal(0, client:update(0))
      client:close()
      assert.is_true(#raised > 0)
      for _, problem in ipairs(raised) do told[#told + 1] = problem end
      table.sort(told)
      assert.same(all(), told)
    end)

    it("tell on_event of those that another call's wait meets, and stderr where nobody listens", function()
      srv:route("*", "^", answers.DONE)
      for _, listens in ipairs { true, false } do
        local said, restore = rig.catch_stderr()
        finally(restore)
        local told = {}
        local client = rig.client(srv, { on_event = listens and function(event)
          if event.event == "callback_error" then told[#told + 1] = event.raised end
        end or nil })
        client.pause = function(self, seconds) -- a hook that drives by itself, as an adapter does
          local good, problem = pcall(self.update, self, math.min(seconds, 0.01))
          if not good and not self:report(problem) then io.stderr:write("hook: " .. problem) end
        end
        local is_over = raise_all(client)
        patience.wait(is_over, function() assert(client:get_video("other")) end)
        client:close()
        restore()
        if not listens then
          assert.same({}, told)
          for i, text in ipairs(said) do told[i] = text:match("(%a+ %d)\n?$") end
        else
          assert.same({}, said)
        end
        table.sort(told)
        assert.same(all(), told)
      end
    end)
  end)

  describe("in a listener", function()
    it("that raises do no harm", function()
      srv:route("*", "^", VIDEO)
      local output = rig.run(([[
        local sora = require "sora"
        for _, problem in ipairs{ "boom", {}, false } do
          local client = sora.new{ base_url = %q, on_event = function() error(problem, 0) end }
          print(client:get_video("v").id)
        end]]):format(srv.url))
      assert.equal(3, select(2, output:gsub("v\n", "")))
      assert.equal(2, select(2, output:gsub("on_event raised an error: boom", "")))
    end)

    it("that makes calls are delivered, for the inner calls as well", function()
      srv:route("*", "^", VIDEO)
      local seen, client = {}, nil
      client = rig.client(srv, { on_event = function(event)
        seen[#seen + 1] = event.event .. " " .. event.url:match("[^/]*$")
        if #seen == 1 then assert(client:get_video("inner")) end
      end })
      assert.same({ id = "v" }, (client:get_video("outer")))
      client:close()
      table.sort(seen)
      assert.same({ "request inner", "request outer", "response inner", "response outer" }, seen)
    end)

    it("that closes the client end the call", function()
      srv:route("*", "^", { hold = true })
      local client
      client = rig.client(srv, { on_event = function() client:close() end })
      local video, err = client:get_video("v")
      assert.same({ nil, "closed" }, { video, err.kind })
    end)

    it("that collects garbage do no harm", function()
      srv:route("*", "^", VIDEO)
      local video
      local function on_event() collectgarbage() end
      events_of(function(client) video = client:get_video("v") end, { on_event = on_event })
      assert.same({ id = "v" }, video)
    end)
  end)

  describe("printed with SORA_DEBUG=1", function()
    local CODE = [[
      local sora = require "sora"
      print("out", sora.get_video("v", { query = { a = "query-text" } }).id)]]

    local function environment(debug)
      return { SORA_BASE_URL = srv.url .. "/v1", SORA_API_KEY = rig.KEY, SORA_DEBUG = debug }
    end

    it("are lines on stderr", function()
      srv:reply(AGAIN, VIDEO)
      local output = rig.run(CODE, environment("1"))
      local lines = {}
      for line in output:gmatch("[^\n]+") do
        if line:find("^sora:") then lines[#lines + 1] = line end
      end
      local url = srv.url:gsub("%p", "%%%0") .. "/v1/videos/v"
      assert.equal(4, #lines)
      assert.matches("^sora: request GET " .. url .. " attempt 1$", lines[1])
      assert.matches("^sora: retry GET " .. url .. " attempt 1 HTTP 503 api again in 0%.00 s 0%.%d+ s$",
        lines[2])
      assert.matches("^sora: request GET " .. url .. " attempt 2$", lines[3])
      assert.matches("^sora: response GET " .. url .. " attempt 2 HTTP 200 0%.%d+ s$", lines[4])
      assert.matches("out\tv\n", output, 1, true)
      assert.not_matches(rig.KEY, output, 1, true)
      assert.not_matches("query-text", output, 1, true)
    end)

    it("are still passed to on_event", function()
      srv:reply(VIDEO)
      local output = rig.run([[
        local sora = require "sora"
        sora.configure{ on_event = function(event) print("heard", event.event) end }
        sora.get_video("v")]], environment("1"))
      assert.matches("heard\trequest", output, 1, true)
      assert.matches("heard\tresponse", output, 1, true)
      assert.matches("sora: response GET", output, 1, true)
    end)

    it("are not printed otherwise", function()
      for _, debug in ipairs{ "0", "", "yes" } do
        srv:reply(VIDEO)
        assert.equal("out\tv\n", rig.run(CODE, environment(debug)))
      end
    end)
  end)
end)
