-- Ends of every kind, in every phase of a call: closed, cancelled, collected, abandoned, from inside
-- callbacks, with the process, and in a process that was forked off.
local answers = require "spec.support.answers"
local cqueues_socket = require "cqueues.socket"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local native = require "spec.support.native"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

local QUEUED, DONE, HELD = answers.QUEUED, answers.DONE, answers.HELD
local BUSY = answers.busy(100000)
local collect, open_files = rig.collect, process.open_files
local pump, wait_for = patience.pump, patience.wait

describe("a call", function()
  local srv, files = given.server(), given.folder()
  local black, silent, silent_url

  setup(function()
    black = httpd.blackhole()
    silent = assert(cqueues_socket.listen("127.0.0.1", 0))
    silent_url = "https://127.0.0.1:" .. select(3, silent:localname())
  end)
  teardown(function() silent:close() end)
  before_each(collect)

  -- Each makes a client and a call that it leaves in that phase. `heard` counts what on_done hears.
  local PHASES = {}

  local function start(client, heard, name, ...)
    local args = { ... }
    args[#args + 1] = { on_done = function(_, err)
      heard.count = heard.count + 1
      heard.err = err
    end }
    return assert(client:start(name, args[1], args[2], args[3]))
  end

  function PHASES.queued(heard)
    srv:route("*", "^", HELD)
    local client = rig.client(srv, { max_connections = 1 })
    assert(client:start("get_video", "first"))
    pump(client, function() return #srv:requests() == 1 end)
    return client, start(client, heard, "get_video", "second"), 2
  end

  function PHASES.dns(heard)
    local client, handle
    for _ = 1, 100 do -- where that is told at once, the next try may be slower
      client = rig.client("http://nobody.invalid")
      handle = start(client, heard, "get_video", "v")
      if not handle:done() then break end
      client:close()
    end
    assert.is_false(handle:done())
    return client, handle -- the next update may tell that there is no such name
  end

  function PHASES.connect(heard)
    local client = rig.client(black)
    local handle = start(client, heard, "get_video", "v")
    client:update(0)
    return client, handle, 1
  end

  function PHASES.handshake(heard)
    local client = rig.client(silent_url, { verify = false })
    local handle = start(client, heard, "get_video", "v")
    local peer, byte
    wait_for(function() return byte end, function()
      client:update(0.01)
      peer = peer or silent:accept(0)
      if not peer then return end
      peer:settimeout(0)
      peer:onerror(function(_, _, why) return why end)
      byte = peer:read(1) -- the first of the ClientHello
      peer:clearerr()
    end)
    heard.peer = peer -- closed, it would end the call
    return client, handle, 1
  end

  function PHASES.headers(heard)
    srv:route("*", "^", HELD)
    local client = rig.client(srv)
    local handle = start(client, heard, "get_video", "v")
    pump(client, function() return #srv:requests() == 1 end)
    return client, handle, 1
  end

  function PHASES.body(heard)
    srv:route("*", "^", answers.HALF)
    local client = rig.client(srv)
    local handle = start(client, heard, "download_video", "v", files:at("f"))
    pump(client, function() return (files:read("f.part") or "") ~= "" end)
    return client, handle, 1
  end

  PHASES["retry delay"] = function(heard)
    srv:route("*", "^", BUSY)
    local last
    local client = rig.client(srv, { max_retries = 1, on_event = function(event) last = event.event end })
    local handle = start(client, heard, "get_video", "v")
    pump(client, function() return last == "retry" end)
    return client, handle, 1
  end

  for phase, enter in pairs(PHASES) do
    describe("in its phase '" .. phase .. "'", function()
      local heard
      before_each(function() heard = { count = 0 } end)
      after_each(function() if heard.peer then heard.peer:close() end end)

      local function assert_ended(handle, kind)
        assert.is_true(handle:done())
        local video, err = handle:result()
        assert.is_nil(video)
        assert.equal(kind, err.kind)
        assert.equal(err, select(2, handle:result()))
        assert.is_false(handle:cancel())
      end

      it("ends with its client, which closes its descriptors", function()
        local before = open_files()
        local client, handle, running = enter(heard)
        if heard.peer then before = before + 1 end
        if running then assert.equal(running, client:update(0)) end
        client:close()
        assert_ended(handle, "closed")
        client:close()
        assert.is_nil((client:update(0)))
        assert_ended(handle, "closed")
        -- the resolver's thread closes its own when it is through
        wait_for(function() return open_files() <= before end, collect)
      end)

      it("ends with its client when that is garbage-collected", function()
        local before = open_files()
        local client, handle = enter(heard)
        if heard.peer then before = before + 1 end
        assert.is_true(tostring(client) ~= nil and not handle:done())
        client = nil -- luacheck: ignore 311
        collect()
        assert_ended(handle, "closed")
        wait_for(function() return open_files() <= before end, collect)
      end)

      it("and its client are collected together", function()
        local before = open_files()
        local client, handle = enter(heard)
        if heard.peer then before = before + 1 end
        assert.is_false(handle:done() and client == nil)
        client, handle = nil, nil -- luacheck: ignore 311
        wait_for(function() return open_files() <= before end, collect)
        assert.equal(0, heard.count)
      end)

      it("ends when it is cancelled, and the client still works", function()
        local client, handle, running = enter(heard)
        assert.is_true(handle:cancel())
        assert_ended(handle, "cancelled")
        assert.equal(0, heard.count)
        assert.equal((running or 1) - 1, client:update(0))
        assert.same({ 1, "cancelled" }, { heard.count, heard.err.kind })
        client:update(0.01)
        assert.equal(1, heard.count)
        client:close()
        assert_ended(handle, "cancelled")
      end)

      it("is cancelled and its client closed at once", function()
        local client, handle = enter(heard)
        handle:cancel()
        client:close()
        assert_ended(handle, "cancelled")
        collect()
        assert_ended(handle, "cancelled")
      end)

      it("continues when nobody holds its handle", function()
        local client, handle, running = enter(heard)
        assert.is_false(handle:done())
        running = running or client:update(0)
        handle = nil -- luacheck: ignore 311
        collect()
        local left = client:update(0)
        assert.is_true(left == running or (phase == "dns" and left == 0))
        client:close()
      end)

      it("outlives a coroutine that waited beside it and is dropped", function()
        local client, handle, running = enter(heard)
        client.pause = function() coroutine.yield() end
        local co = coroutine.create(function() client:get_video("w") end)
        assert(coroutine.resume(co))
        co = nil -- luacheck: ignore 311
        collect()
        if running then
          assert.equal(running + 1, client:update(0))
          assert.is_false(handle:done())
        end
        client:close()
        assert.is_true(handle:done())
        if running then assert_ended(handle, "closed") end
      end)
    end)
  end

  it("that is done when its client is closed keeps its answer", function()
    srv:route("*", "^", DONE)
    local client = rig.client(srv)
    local handle = client:start("get_video", "v")
    wait_for(function() return handle:done() end, function() client:get_video("w") end)
    client:close()
    assert.same(DONE.json, handle:result())
    client = nil -- luacheck: ignore 311
    collect()
    assert.same(DONE.json, handle:result())
  end)

  it("of many, each in a phase of its own, ends with all clients in any order", function()
    local clients, handles = {}, {}
    for _, enter in pairs(PHASES) do
      srv:reset()
      clients[#clients + 1], handles[#handles + 1] = enter({ count = 0 })
    end
    for i = 1, #clients, 2 do clients[i]:close() end
    clients = nil -- luacheck: ignore 311
    collect()
    for _, handle in ipairs(handles) do
      local kind = select(2, handle:result()).kind
      assert.is_true(kind == "closed", kind)
    end
  end)
end)

describe("inside a callback", function()
  local srv = given.server()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() if client then client:close() end end)

  -- Calls that run, wait for their next attempt, queue, and are done but not delivered.
  local function fill()
    client:close()
    local retried
    client = rig.client(srv, { max_connections = 3, max_retries = 1, on_event = function(event)
      retried = retried or event.event == "retry"
    end })
    srv:route("GET", "/v1/videos/hangs", HELD)
    srv:route("GET", "/v1/videos/busy", BUSY)
    srv:route("GET", "^/v1/videos/done", DONE)
    local others = { client:start("get_video", "hangs"), client:start("get_video", "hangs"),
      client:start("get_video", "busy") }
    pump(client, function() return retried and #srv:requests() >= 3 end)
    return others
  end

  local function check_closed(others)
    for _, handle in ipairs(others) do
      assert.is_true(handle:done())
      assert.equal("closed", select(2, handle:result()).kind)
    end
    assert.equal("closed", select(2, client:update(0)).kind)
  end

  it("on_done may close the client", function()
    local others, count, own = fill(), 0, nil
    for i = 1, 3 do
      own = client:start("get_video", "done" .. i, { on_done = function()
        count = count + 1
        client:close()
        client:close()
      end })
    end
    pump(client, function() return count > 0 end)
    check_closed(others)
    assert.equal(1, count)
    assert.is_true(own:done())
    client:update(0)
    assert.equal(1, count)
  end)

  it("on_done may close the client and then raise", function()
    local others = fill()
    client:start("get_video", "done", { on_done = function()
      client:close()
      error("oh no", 0)
    end })
    local good, problem
    wait_for(function() return good == false end, function()
      good, problem = pcall(client.update, client, 0.05)
    end)
    assert.equal("oh no", problem)
    check_closed(others)
  end)

  it("on_done may drop the client and collect garbage", function()
    local others, count = fill(), 0
    client:start("get_video", "done", { on_done = function()
      count = count + 1
      client = nil
      collect()
    end })
    local box = { client }
    wait_for(function() return count > 0 end, function() table.remove(box):update(patience.LIMIT) end)
    collect()
    for _, handle in ipairs(others) do assert.equal("closed", select(2, handle:result()).kind) end
  end)

  it("on_progress may close the client", function()
    local others = fill()
    srv:route("GET", "/v1/videos/w", QUEUED)
    local count, jobs = 0, {}
    for i = 1, 3 do
      jobs[i] = client:watch("w", { interval = 1000, max_interval = 1000, on_progress = function()
        count = count + 1
        client:close()
      end })
    end
    pump(client, function() return count > 0 end)
    check_closed(others)
    for i = 1, 3 do
      assert.is_true(jobs[i]:done())
      assert.equal("closed", select(2, jobs[i]:result()).kind)
    end
  end)

  it("on_progress may close the client and then raise", function()
    srv:route("*", "^", QUEUED)
    local good, problem = true, nil
    local job = client:watch("w", { interval = 1000, max_interval = 1000, on_progress = function()
      client:close()
      error("oh no", 0)
    end })
    wait_for(function() return not good end, function()
      good, problem = pcall(client.update, client, 0.05)
    end)
    assert.equal("oh no", problem)
    assert.is_true(job:done())
    assert.equal("closed", select(2, job:result()).kind)
  end)

  it("a watched job's on_done may close the client", function()
    srv:route("GET", "/v1/videos/w", DONE)
    srv:route("GET", "/v1/videos/other", QUEUED)
    local other = client:watch("other", rig.LONG)
    pump(client, function() return other.video end)
    local count = 0
    client:watch("w", { on_done = function()
      count = count + 1
      client:close()
    end })
    pump(client, function() return count > 0 end)
    assert.is_true(other:done())
    assert.equal("closed", select(2, other:result()).kind)
  end)

  it("on_progress of wait and of poll may close the client", function()
    srv:route("*", "^", QUEUED)
    local opts = { on_progress = function() client:close() end }
    assert.equal("closed", select(2, client:wait("v", opts)).kind)
    client = rig.client(srv)
    local next_snapshot = client:poll("v", opts)
    assert.equal("queued", next_snapshot().status)
    local good, err = pcall(next_snapshot)
    assert.same({ false, "closed" }, { good, err.kind })
  end)

  for _, event in ipairs { "request", "retry", "response" } do
    local function listen(action)
      client:close()
      client = rig.client(srv, { max_retries = 1, on_event = function(what)
        if what.event == event then action() end
      end })
      srv:route("*", "^", event == "retry" and BUSY or DONE)
    end

    it("on_event of a " .. event .. " may close the client while a call waits", function()
      listen(function() client:close() end)
      local video, err = client:get_video("v")
      if event == "response" then
        assert.same(DONE.json, video)
      else
        assert.same({ nil, "closed" }, { video, err.kind })
      end
      assert.equal("closed", select(2, client:get_video("v")).kind)
    end)

    it("on_event of a " .. event .. " may close the client in update", function()
      listen(function() client:close() end)
      local handles = { client:start("get_video", "a"), client:start("create_video", { prompt = "p" }) }
      pump(client, function() return handles[1]:done() and handles[2]:done() end)
      assert.equal("closed", select(2, client:update(0)).kind)
      collect()
      for _, handle in ipairs(handles) do
        local video, err = handle:result()
        assert.is_true(video ~= nil or err.kind == "closed")
      end
    end)

    it("on_event of a " .. event .. " may update and start", function()
      local started, count = nil, 0
      listen(function()
        count = count + 1
        client:update(0)
        started = started or client:start("get_video", "b")
        client:update(0.001)
      end)
      local handle = client:start("get_video", "a")
      pump(client, function() return started and count > 1 end)
      client:close()
      assert.is_true(handle:done() and started:done())
    end)
  end
end)

describe("the end of the process", function()
  local srv = given.server()
  local resolver, black

  setup(function()
    black = httpd.blackhole()
    resolver = native.resolver()
  end)
  teardown(function() os.remove(resolver) end)

  -- Runs code in a Lua of its own; gives its exit status and what it wrote.
  local function run(code, preload)
    local words = { "timeout", "-s", "KILL", "60", "env" }
    if preload then
      words[#words + 1] = "LD_PRELOAD=" .. preload
      -- a sanitizer wants to be first
      words[#words + 1] = "ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0"
    end
    for _, word in ipairs(process.lua { "-e", code }) do words[#words + 1] = word end
    local status, output, errors = process.start(words):finish()
    return status, output .. errors
  end

  local PRELUDE = [[
    local sora = require "sora"
    local url, library = %q, %q
    local function new(options)
      options.base_url = options.base_url or url .. "/v1"
      options.api_key, options.timeout = "k", 10
      return assert(sora.new(options))
    end
    local function pump(client, holds)
      repeat client:update(0.01) until holds()
    end
    local client, handle, job
  ]]

  local PHASES = {
    connect = [[
      client = new { base_url = %q .. "/v1" }
      handle = client:start("get_video", "v", { on_done = print })
      client:update(0)
    ]],
    headers = [[
      local sent
      client = new { on_event = function(event) sent = event.event == "request" end }
      handle = client:start("get_video", "hangs", { on_done = print })
      pump(client, function() return sent end)
    ]],
    ["retry delay"] = [[
      local last
      client = new { max_retries = 1, on_event = function(event) last = event.event end }
      handle = client:start("get_video", "busy", { on_done = print })
      pump(client, function() return last == "retry" end)
    ]],
    queued = [[
      client = new { max_connections = 1 }
      for _ = 1, 10 do handle = client:start("get_video", "hangs", { on_done = print }) end
    ]],
    watching = [[
      client = new {}
      job = client:watch("queued", { interval = 100, max_interval = 100, on_done = print })
      handle = client:watch("hangs", { on_done = print })
      pump(client, function() return job.video end)
    ]],
    resolving = [[
      local resolving = package.loadlib(library, "spec_resolving")
      client = new { base_url = "http://slow.example/v1" }
      handle = client:start("get_video", "v", { on_done = print })
      pump(client, function() return resolving(true) end)
    ]],
    ["resolving, which timed out"] = [[
      local resolving = package.loadlib(library, "spec_resolving")
      client = new { base_url = "http://slow.example/v1" }
      handle = client:start("get_video", "v", { timeout = 0.05 })
      pump(client, function() return resolving(true) and handle:done() end)
      assert(select(2, handle:result()).kind == "timeout")
    ]],
    ["resolving, which was cancelled"] = [[
      local resolving = package.loadlib(library, "spec_resolving")
      client = new { base_url = "http://slow.example/v1" }
      handle = client:start("get_video", "v")
      pump(client, function() return resolving(true) end)
      handle:cancel()
      client:close()
    ]],
  }

  -- Under a name of the test: how the script ends.
  local ENDS = {
    ["by its last line"] = "",
    ["by os.exit"] = "os.exit(0)",
    ["by os.exit, which closes the state"] = "os.exit(0, true)",
    ["by os.exit in on_done"] = [[
      local other = new {}
      other:start("get_video", "done", { on_done = function() os.exit(0, true) end })
      while true do other:update(1) end
    ]],
    ["with everything let go of"] = "client, handle, job = nil, nil, nil",
  }

  for phase, enter in pairs(PHASES) do
    for name, ending in pairs(ENDS) do
      it(name .. " does not crash with a call in its phase '" .. phase .. "'", function()
        srv:route("GET", "/v1/videos/hangs", HELD)
        srv:route("GET", "/v1/videos/busy", BUSY)
        srv:route("GET", "/v1/videos/done", DONE)
        srv:route("GET", "/v1/videos/queued", QUEUED)
        local code = PRELUDE:format(srv.url, resolver)
          .. (phase == "connect" and enter:format(black) or enter) .. ending
        local status, output = run(code, phase:find("^resolving") and resolver)
        assert.same({ 0, "" }, { status, output })
      end)
    end
  end

  it("by an error in on_done exits with that error", function()
    srv:route("GET", "/v1/videos/done", DONE)
    local status, output = run(PRELUDE:format(srv.url, resolver) .. [[
      client = new {}
      client:start("get_video", "done", { on_done = function() error("oh no") end })
      while true do client:update(1) end]])
    assert.equal(1, status)
    assert.matches("oh no", output, 1, true)
  end)
end)

describe("a fork with calls in flight", function()
  local srv = given.server()
  local library

  setup(function() library = native.fork() end)
  teardown(function() os.remove(library) end)

  -- What every method gives in the child; %s is how the child ends.
  local CODE = [[
    io.stdout:setvbuf("no")
    local library, url = %q, %q
    local fork, wait, exit = package.loadlib(library, "spec_fork"), package.loadlib(library, "spec_wait"),
      package.loadlib(library, "spec_exit")
    local sora = require "sora"
    local client = assert(sora.new { base_url = url .. "/v1", api_key = "k", max_connections = 5,
      max_retries = 1 })
    client:fileno()
    local handles, delivered = {}, 0
    local function on_done(video) delivered = delivered + (video and 1 or 0) end
    local job = client:watch("w", { interval = 0.05, max_interval = 0.05 })
    repeat client:update(0.01) until job.video
    for i = 1, 10 do handles[i] = client:start("get_video", "v" .. i, { on_done = on_done }) end
    local path = os.tmpname()
    client:update(0)
    print("started")
    io.read("*l")
    if not fork(true) then
      local function check(name, result, err)
        print("child", name, result, type(err) == "table" and err.kind)
      end
      for _, hook in ipairs { false, function(self, seconds) self:update(seconds) end } do
        client.pause = hook or nil
        check("get_video", client:get_video("x"))
        check("create_video", client:create_video { prompt = "p" })
        check("download_video", client:download_video("x", path))
        check("wait", client:wait("x"))
        local good, err = pcall(client:poll("x"))
        check("poll", not good and nil, err)
        local results = client:wait_all { "x", "y" }
        check("wait_all", results[1].video or results[2].video, results[2].err)
        check("watch", client:watch("x"))
        check("start", client:start("get_video", "x"))
        check("start", client:start("create_video", { prompt = "p" }))
        check("start", client:start("download_video", "x", path))
        check("update", client:update(0))
        check("update", client:update(0.05))
        check("fileno", client:fileno())
        check("timeout", client:timeout())
      end
      client.pause = nil
      check("pause", client:pause(0))
      check("result", handles[1]:result())
      check("result", handles[10]:result())
      print("child", handles[1]:cancel(), handles[10]:cancel())
      local own = assert(sora.new { base_url = url .. "/v1", api_key = "child" })
      print("child", own:get_video("own").id)
      %s
    end
    wait()
    print("waited")
    io.read("*l")
    local right = 0
    while delivered < 10 do client:update(1) end
    for i = 1, 10 do
      local video = handles[i]:result()
      if video and video.id == "v" .. i then right = right + 1 end
    end
    print("parent", right, delivered, client:get_video("after").id)
    while not job:done() do client:update(1) end
    print("parent", job:result().status)
    os.remove(path)
  ]]

  local ENDS = {
    ["without cleaning up"] = "exit()",
    ["after it has closed the client"] = "client:close() client:close() own:close() exit()",
    ["after it has collected everything"] = [[
      client, handles, job, own = nil, nil, nil, nil
      collectgarbage() collectgarbage()
      exit()]],
    ["by os.exit"] = "os.exit(0)",
    ["by os.exit, which closes the state"] = "os.exit(0, true)",
  }

  for name, ending in pairs(ENDS) do
    it("gives forked from every method of the child, which ends " .. name
      .. ", and the parent its answers", function()
      for i = 1, 10 do srv:route("GET", "/v1/videos/v" .. i, { hold = true, json = { id = "v" .. i } }) end
      srv:route("GET", "/v1/videos/own", { json = { id = "own" } })
      srv:route("GET", "/v1/videos/after", { json = { id = "after" } })
      srv:route("GET", "/v1/videos/w", { QUEUED, DONE })
      local words = { "timeout", "-s", "KILL", "60" }
      local code = CODE:format(library, srv.url, ending)
      for _, word in ipairs(process.lua { "-e", code }) do words[#words + 1] = word end
      local child = process.start(words)
      finally(function() child:stop() end)
      local function tell()
        child.input:write("\n")
        child.input:flush()
      end
      assert.equal("started", child:readline())
      tell()
      local lines = {}
      for line in function() return child:readline() end do
        if line == "waited" then break end
        lines[#lines + 1] = line
      end
      local expected = {}
      local methods = { "get_video", "create_video", "download_video", "wait", "poll", "wait_all", "watch",
        "start", "start", "start", "update", "update", "fileno", "timeout" }
      for _ = 1, 2 do
        for _, method in ipairs(methods) do
          expected[#expected + 1] = "child\t" .. method .. "\tnil\tforked"
        end
      end
      for _, method in ipairs { "pause", "result", "result" } do
        expected[#expected + 1] = "child\t" .. method .. "\tnil\tforked"
      end
      expected[#expected + 1] = "child\tfalse\tfalse"
      expected[#expected + 1] = "child\town"
      assert.same(expected, lines, child:errors())
      tell()
      -- the first five are at the server, the others queue behind them
      wait_for(function()
        local seen = 0
        for _, request in ipairs(srv:requests()) do
          if request.target:match("^/v1/videos/v%d") then seen = seen + 1 end
        end
        return seen == 10
      end, function() srv:release() end)
      srv:release()
      assert.equal("parent\t10\t10\tafter", child:readline(), child:errors())
      assert.equal("parent\tcompleted", child:readline())
      assert.equal("", child:errors())
      assert.equal(0, child:wait())
    end)
  end
end)
