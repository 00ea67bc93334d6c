-- The OpenResty adapter in a real nginx: calls wait in their own light thread, everybody gets their own
-- answer, and nothing runs when nobody waits. REPORT=1 also measures it beside proxy_pass; no clock
-- decides a test.
local cjson = require("cjson.safe").new()
local cqueues = require "cqueues"
local load = require "spec.support.load"
local nginx = require "spec.support.nginx"

local APP = [[require("spec.support.nginx_app")]]

-- A location for each of these answers with the function of its name.
local LOCATIONS = { "get", "say", "get_in_timer", "make", "make_many", "download", "stream", "get_two",
  "abandon", "watch", "watched", "get_beside_error", "tried", "forked", "worker", "create", "journaled",
  "inside_c", "random" }

local SERVER = [[
  location = /plain { return 200 "plain"; }
  location = /rewrite { rewrite_by_lua_block { APP.get_early() } content_by_lua_block { APP.say() } }
  location = /access { access_by_lua_block { APP.get_early() } content_by_lua_block { APP.say() } }
  location = /filtered {
    set_by_lua_block $nothing { APP.try_in("set") return "" }
    content_by_lua_block { ngx.print("filtered") }
    header_filter_by_lua_block { APP.try_in("header_filter") }
    body_filter_by_lua_block { APP.try_in("body_filter") }
    log_by_lua_block { APP.try_in("log") }
  }
  location = /balanced { proxy_pass http://balanced/plain; }
]]

local HTTP = [[
  lua_shared_dict notes 1m;
  lua_shared_dict journal 1m;
  lua_check_client_abort on;
  init_by_lua_block { APP.init() }
  init_worker_by_lua_block { APP.try_in("init_worker") }
  upstream balanced { server 0.0.0.1; balancer_by_lua_block { APP.balance() } }
]]

local function lines_for(names)
  local lines = {}
  for _, name in ipairs(names) do
    lines[#lines + 1] = ("location = /%s { content_by_lua_block { %s.%s() } }\n"):format(name, APP, name)
  end
  return table.concat(lines)
end

local function start_upstream()
  return nginx.start { http = "lua_shared_dict notes 1m;",
    server = lines_for { "seen", "release", "at_gate", "open_gate" }
    .. "location / { content_by_lua_block { " .. APP .. ".upstream() } }" }
end

-- nginx with the client in it. `http` is more configuration for that level.
local function start_front(upstream, workers, http)
  return nginx.start { workers = workers, main = ("env UPSTREAM=%s;\nenv DIR=@DIR@;"):format(upstream.url),
    http = HTTP:gsub("APP", APP) .. (http or ""), server = lines_for(LOCATIONS) .. SERVER:gsub("APP", APP) }
end

describe("sora.loop.openresty #once", function()
  local upstream, front

  setup(function()
    nginx.build()
    upstream = start_upstream()
    front = start_front(upstream, 2)
  end)
  teardown(function()
    front:stop()
    upstream:stop()
  end)

  local function get(path, server)
    local answer = load.get((server or front).port, path)
    assert.is_nil(answer.err)
    assert.equal(200, answer.status, answer.body)
    return answer.body
  end

  -- Waits until each of the workers has said that it has no timer and no call.
  local function wait_idle(server)
    local idle = {}
    nginx.wait_until(function()
      local worker = cjson.decode(get("/worker", server))
      idle[worker.pid] = worker.running + worker.pending + worker.calls == 0 or nil
      for _, pid in ipairs(server:workers()) do
        if not idle[pid] then return false end
      end
      return true
    end, "all workers to be idle")
  end

  -- No test leaves anything running.
  after_each(function() wait_idle(front) end)

  describe("a hundred requests at once", function()
    it("each get their own answer", function()
      local answers = load.run { port = front.port, connections = 100,
        paths = load.paths(300, "/get?id=v_") }
      assert.equal(300, #answers)
      for i, answer in ipairs(answers) do assert.equal("v_" .. i, answer.body, answer.err) end
    end)

    it("share one pump in each worker", function()
      local _, beside = load.run { port = front.port, connections = 100,
        paths = load.paths(200, "/get?id=v_"), beside = { path = "/worker", connections = 8 } }
      local most = 0
      for _, answer in ipairs(beside) do
        local worker = cjson.decode(answer.body)
        most = math.max(most, worker.running + worker.pending)
      end
      assert.equal(1, most)
    end)
  end)

  describe("waits", function()
    for _, phase in ipairs { "rewrite", "access", "get" } do
      it("in the phase of /" .. phase, function() assert.equal("v1", get("/" .. phase .. "?id=v1")) end)
    end

    it("in a timer", function() assert.equal("timer v1", get("/get_in_timer?id=v1")) end)

    it("in several light threads of a request", function() assert.equal("one other", get("/get_two")) end)

    it("for a job that it made, with on_progress in the request's own light thread", function()
      assert.equal("created job_1\ncontent queued\ncontent in_progress\ncontent completed\nended job_1\n",
        get("/make"))
    end)

    it("for many jobs", function()
      local expected = {}
      for i = 1, 10 do expected[i] = "job_many_a_" .. i .. "\n" end
      assert.equal(table.concat(expected), get("/make_many?id=a"))
    end)

    it("for a download", function() assert.equal("4000", get("/download")) end)

    it("for a sink that writes 20 MB to its own request", function()
      local answer = get("/stream?id=long")
      assert.equal(" whole", answer:sub(-6))
      assert.equal(20e6 + 6, #answer)
      assert.equal(("film"):rep(10), answer:sub(-46, -7))
    end)

    it("while another's callback raises, which is logged", function()
      assert.equal("v1", get("/get_beside_error?id=v1"))
      wait_idle(front)
      assert.truthy(front:log():find("a mistake in on_done", 1, true))
    end)

    it("not at all for a job that is watched: the pump works alone", function()
      assert.equal("watching", get("/watch?id=job_watched"))
      assert.equal("job_watched", nginx.wait_until(function()
        local answer = get("/watched?id=job_watched")
        return answer ~= "" and answer
      end, "the watched job"))
    end)

    it("no longer when its light thread is killed, and the call ends by itself", function()
      assert.equal("killed", get("/abandon?id=v1"))
      wait_idle(front)
      assert.equal("v2", get("/get?id=v2"))
    end)
  end)

  describe("raises where a call can't wait", function()
    local function check(phase)
      local problem = nginx.wait_until(function()
        local answer = get("/tried?name=" .. phase)
        return answer ~= "" and answer
      end, "the error in " .. phase)
      assert.matches("nginx_app%.lua:%d+: sora%.loop%.openresty: a call that waits works in the rewrite, "
        .. "access, content and timer phases, not in '" .. phase
        .. "'; make it in a timer: ngx%.timer%.at%(0, …%)$",
        problem)
    end

    for _, phase in ipairs { "set", "header_filter", "body_filter", "log" } do
      it("in " .. phase .. "_by_lua", function()
        assert.equal("filtered", get("/filtered"))
        check(phase)
      end)
    end

    it("in balancer_by_lua", function()
      assert.equal("plain", get("/balanced"))
      check("balancer")
    end)

    for _, phase in ipairs { "init", "init_worker" } do
      it("in " .. phase .. "_by_lua", function() check(phase) end)
    end
  end)

  describe("keeps in the journal", function()
    it("a job whose lines are appended by a function that yields", function()
      assert.matches("^job_", get("/create?prompt=plain"))
      assert.matches("^job_%d+ queued$", get("/journaled?prompt=plain"))
    end)

    it("a job whose browser left before its answer came, and logs nothing of it", function()
      local before = #front:log()
      for i = 1, 8 do
        local gate = "left_" .. i
        local sock = load.connect(front.port)
        sock:write(("GET /create?prompt=%s&gate=%s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(gate, gate))
        nginx.wait_until(function() return get("/at_gate?name=" .. gate, upstream) == "1" end, "the create")
        sock:close()
      end
      -- others use what the dead requests left, while the answers come
      local answers = load.run { port = front.port, connections = 20, paths = load.paths(100, "/get?id=v_") }
      for i = 1, 8 do get("/open_gate?name=left_" .. i, upstream) end
      for i, answer in ipairs(load.run { port = front.port, connections = 20,
        paths = load.paths(100, "/get?id=w_") }) do
        assert.equal("w_" .. i, answer.body, answer.err)
      end
      for i, answer in ipairs(answers) do assert.equal("v_" .. i, answer.body, answer.err) end
      wait_idle(front)
      for i = 1, 8 do
        nginx.wait_until(function() return get("/journaled?prompt=left_" .. i):find("^job_%d+ queued$") end,
          "the line of left_" .. i)
      end
      assert.equal("", front:log():sub(before + 1))
    end)
  end)

  it("has random numbers of its own in each worker: keys of the journal are made of them", function()
    local fresh = start_front(upstream, 2)
    finally(function() fresh:stop() end)
    local owners, pids, count = {}, {}, 0
    nginx.wait_until(function()
      local pid, numbers = get("/random", fresh):match("^(%d+) (.*)$")
      if not pids[pid] then pids[pid], count = true, count + 1 end
      for number in numbers:gmatch("%S+") do
        assert.is_nil(owners[number], number .. " came twice")
        owners[number] = pid
      end
      return count == 2
    end, "both workers")
  end)

  it("refuses a call inside a callback of C before anything is sent", function()
    local raised = get("/inside_c")
    assert.matches("^gsub: .*sora.loop.openresty: .*string.gsub.*\nsort: .*sora.loop.openresty: ", raised)
    assert.equal("", get("/journaled?prompt=inside"))
  end)

  it("gives `forked` for a client that was made and used before the fork", function()
    for i = 1, 20 do
      local id = "forked_" .. i
      assert.equal("before_fork\n" .. ("error: forked\n"):rep(7), get("/forked?id=" .. id))
      assert.equal("0", get("/seen?id=" .. id, upstream))
    end
  end)

  for _, limit in ipairs { "lua_max_pending_timers", "lua_max_running_timers" } do
    it("waits without a pump where nginx has no timer for one: " .. limit .. " 0", function()
      local poor = start_front(upstream, 1, limit .. " 0;")
      finally(function() poor:stop() end)
      local answers = load.run { port = poor.port, connections = 20, paths = load.paths(60, "/get?id=v_") }
      for i, answer in ipairs(answers) do assert.equal("v_" .. i, answer.body, answer.err) end
      assert.equal(60, #answers)
      assert.equal("job_many_" .. limit .. "_1", get("/make_many?id=" .. limit, poor):match("^[^\n]+"))
    end)
  end

  it("ends its calls when nginx reloads, and then the worker, whatever that watches", function()
    local old = front:workers()
    assert.equal("watching", get("/watch?id=endless_1"))
    local loop, answers = cqueues.new(), {}
    for i = 1, 20 do
      loop:wrap(function() answers[i] = load.get(front.port, "/get?id=held_" .. i) end)
    end
    loop:wrap(function()
      -- all are with the upstream before the reload, and the new workers answer before those are let go
      for i = 1, 20 do
        repeat cqueues.sleep(0.005) until load.get(upstream.port, "/seen?id=held_" .. i).body == "1"
      end
      front:reload()
      local new
      repeat
        new = cjson.decode(load.get(front.port, "/worker").body or "{}") or {}
        cqueues.sleep(0.005)
      until new.pid and new.pid ~= old[1] and new.pid ~= old[2]
      load.get(upstream.port, "/release")
    end)
    assert(loop:loop(20))
    for i = 1, 20 do assert.equal("held_" .. i, answers[i] and answers[i].body) end
    nginx.wait_until(function()
      local left = {}
      for _, pid in ipairs(front:workers()) do left[pid] = true end
      return not left[old[1]] and not left[old[2]]
    end, "the old workers to end")
    assert.equal("v1", get("/get?id=v1"))
  end)

  if os.getenv("REPORT") == "1" then
    it("is measured", function()
      local lines = {}
      require("spec.support.nginx_measure").run(upstream, function(line)
        lines[#lines + 1] = line
        io.stderr:write(line, "\n")
      end)
      assert.is_true(#lines > 0)
    end)
  end
end)
