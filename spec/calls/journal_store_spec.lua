-- Where the journal's lines go: functions of one's own, which may yield, and a file that moves, fails or is
-- none; and that the answer writes the outcome, whoever waits for it.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local sora = require "sora"

local QUEUED = answers.job "queued"
local FILM = { body = ("film"):rep(100), headers = { ["Content-Type"] = "video/mp4" } }
local PCALL_YIELDS = _VERSION ~= "Lua 5.1" or rawget(_G, "jit") ~= nil

-- A journal in memory; `before(line)` is called before a line is added.
local function in_memory(before)
  local store = { lines = {} }
  function store.append(line)
    if before then
      local result, problem = before(cjson.decode(line))
      if problem then return result, problem end
    end
    store.lines[#store.lines + 1] = line
    return true
  end
  function store.read()
    local at = 0
    return function()
      at = at + 1
      return store.lines[at]
    end
  end
  function store.events()
    local list = {}
    for i, line in ipairs(store.lines) do list[i] = cjson.decode(line).event end
    return table.concat(list, " ")
  end
  return store
end

describe("a journal in a table", function()
  local srv, files = given.server(), given.folder()
  local client, store, restore

  local function open(before)
    if client then client:close() end
    store = in_memory(before)
    client = rig.client(srv, { journal = store })
    return client
  end
  before_each(function()
    srv:route("POST", "^", QUEUED)
    open()
  end)
  after_each(function()
    client:close()
    if restore then restore() end
    restore = nil
  end)

  it("has each line as one JSON object, in the order of events, in every way", function()
    srv:route("GET", "^", answers.job "completed")
    srv:route("GET", "^/v1/videos/v/content", FILM)
    assert(client:create_and_download({ prompt = "a\nb" }, files:at "film.mp4"))
    assert.equal("asked made ended saved", store.events())
    for _, line in ipairs(store.lines) do assert.is_nil(line:find("\n", 1, true)) end
    assert.same({}, (client:unfinished()))
    local handle = assert(client:start("create_video", { prompt = "b" }))
    assert.equal("asked made ended saved asked", store.events())
    assert(patience.result(client, handle))
    patience.finish(client)
    assert.equal("asked made ended saved asked made", store.events())
    client.pause = function(self, seconds) self:update(seconds) end
    assert(client:create_and_wait { prompt = "c" })
    assert.equal("asked made ended saved asked made asked made ended", store.events())
    assert.same({ "b", "c" }, rig.pluck(client:unfinished(), "prompt"))
    assert.is_true(client:forget(client:unfinished()[1]))
    assert.same({ "c" }, rig.pluck(client:unfinished(), "prompt"))
  end)

  it("whose first line can't be added keeps the call from being made", function()
    for _, failing in ipairs { function() return nil, "disk full" end,
      function() return false, "disk full" end, function() error("disk full", 0) end } do
      open(failing)
      local job, err = client:create_video { prompt = "p" }
      assert.same({ nil, "file", "the journal: disk full" }, { job, err.kind, err.message })
      assert.is_nil(client:start("create_video", { prompt = "p" }))
    end
    client:close()
    client = rig.client(srv, { journal = { append = function() end, read = function() end } })
    assert.equal("file", select(2, client:create_video { prompt = "p" }).kind)
    assert.same({}, srv:requests())
  end)

  it("whose later lines can't be added is told on stderr, and gets them with the next", function()
    local full = true
    open(function(line)
      if line.event == "made" and full then return nil, "disk full" end
    end)
    local said
    said, restore = rig.catch_stderr()
    assert.equal("v", assert(client:create_video { prompt = "p1" }).id)
    assert.equal("asked", store.events())
    assert.matches("the journal could not be written: the journal: disk full", table.concat(said))
    assert.equal(0, client:update(0)) -- nobody spins for it
    full = false
    assert(client:create_video { prompt = "p2" })
    assert.equal("asked asked made made", store.events())
    assert.same({ "v", "v" }, rig.pluck(client:unfinished(), "id"))
  end)

  it("gets them when the client is closed", function()
    local full = true
    open(function(line)
      if line.event ~= "asked" and full then return nil, "disk full" end
    end)
    local said
    said, restore = rig.catch_stderr()
    assert(client:create_video { prompt = "p" })
    full = false
    client:close()
    client:close()
    assert.equal("asked made", store.events())
    assert.equal(1, #said)
  end)

  it("gets an answer that came and was not delivered", function()
    srv:route("GET", "^", QUEUED)
    local told = 0
    local handle = assert(client:start("create_video", { prompt = "p" }, {
      on_done = function() told = told + 1 end }))
    while not handle:done() do assert(client:get_video "v") end -- drives the other, and delivers nothing
    client:close()
    assert.same({ "asked made", 0 }, { store.events(), told })
  end)

  it("that can't be read is an error", function()
    for _, read in ipairs { function() return nil, "gone" end,
      function() return function() return nil, "gone" end end } do
      store.read = read
      client:close()
      client = rig.client(srv, { journal = store })
      for _, name in ipairs { "unfinished", "journaled" } do
        local tickets, err = client[name](client)
        assert.same({ nil, "file", "the journal: gone" }, { tickets, err.kind, err.message })
      end
      assert.equal("file", select(2, client:forget "v").kind)
    end
  end)

  it("may iterate as io.lines does", function()
    store.read = function()
      return function(state, last)
        assert.equal("state", state)
        return last == nil and store.lines[1] or last == store.lines[1] and store.lines[2] or nil
      end, "state"
    end
    client:close()
    client = rig.client(srv, { journal = store })
    assert(client:create_video { prompt = "p" })
    assert.same({ "v" }, rig.pluck(client:unfinished(), "id"))
  end)

  it("needs both functions", function()
    for _, journal in ipairs { {}, { append = print }, { read = print }, { append = "x", read = print }, 5,
      "", "a\0b", true } do
      assert.error_matches(function() sora.new { base_url = srv.url, journal = journal } end,
        "'new' %(option 'journal': expected the name of a file, or a table with the functions append and")
    end
  end)

  describe("under coroutines", function()
    -- A client whose waiting calls yield, with a journal whose `append` yields before each line.
    local function cooperative()
      open(function()
        if coroutine.running() and coroutine.isyieldable ~= nil and coroutine.isyieldable() then
          coroutine.yield "append"
        elseif not coroutine.isyieldable and store.yields then
          coroutine.yield "append"
        end
      end)
      return require "sora.loop.coroutine"(client)
    end

    it("may yield in append and read", function()
      cooperative()
      store.yields = true
      local read = store.read
      function client._journal.read()
        local step = read()
        return function()
          coroutine.yield "read"
          return step()
        end
      end
      local yielded, tickets = {}, nil
      patience.run({ coroutine.create(function()
        assert(client:create_video { prompt = "p" })
        assert.equal("asked made", store.events()) -- written when the call returns
        tickets = assert(client:unfinished())
      end) }, function(what) yielded[what] = true end)
      assert.is_true(yielded.append and yielded.read)
      assert.same({ "v" }, rig.pluck(tickets, "id"))
      store.yields = false
    end)

    it("gets the outcome of a call whose waiter is gone", function()
      client = require "sora.loop.coroutine"(client)
      srv:route("POST", "^", answers.with(QUEUED, { hold = true }))
      local waiter = coroutine.create(function() client:create_video { prompt = "p" } end)
      while #srv:requests() == 0 do assert(coroutine.resume(waiter)) end
      waiter = nil -- luacheck: ignore
      rig.collect()
      srv:release()
      patience.finish(client)
      assert.equal("asked made", store.events())
      assert.same({ "v" }, rig.pluck(client:unfinished(), "id"))
    end)

    if coroutine.close then
      it("gets it when the waiter was closed, and nobody is resumed", function()
        client = require "sora.loop.coroutine"(client)
        srv:route("POST", "^", answers.with(QUEUED, { hold = true }))
        local waiter = coroutine.create(function() client:create_video { prompt = "p" } end)
        while #srv:requests() == 0 do assert(coroutine.resume(waiter)) end
        assert.is_true(coroutine.close(waiter))
        srv:release()
        patience.finish(client)
        assert.equal("asked made", store.events())
      end)
    end

    it("is written by the pump while a writer hangs, and no line is lost with it", function()
      local hang = true
      open(function(line)
        if line.event == "made" and hang then
          hang = false
          coroutine.yield "hanging"
          error("nobody resumes this")
        end
      end)
      client = require "sora.loop.coroutine"(client)
      local waiter, what = coroutine.create(function() client:create_video { prompt = "p" } end), nil
      while what ~= "hanging" do what = select(2, assert(coroutine.resume(waiter))) end
      waiter = nil -- luacheck: ignore
      assert.equal(1, client:update(0)) -- a line waits, and hosts go on for it
      client:close()
      client._journal.writing = client._journal.writing - 60 -- as if a minute had gone by
      client:close()
      assert.equal("asked made", store.events())
    end)
  end)
end)

describe("the ticket of create_and_wait", function()
  local srv = given.server()

  before_each(function()
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "^", { QUEUED, QUEUED, answers.job "in_progress" })
  end)

  it("is there when a callback raises, through a pause hook too", function()
    for _, hook in ipairs { false, function(self, seconds) self:update(seconds) end,
      function(self, seconds)
        self:update(0)
        coroutine.yield(seconds)
      end } do
      local client = rig.client(srv)
      client.pause = hook or nil
      local problem
      patience.run { coroutine.create(function()
        local function wait()
          client:create_and_wait({ prompt = "p" },
            { interval = 0.01, on_progress = function() error "oh no" end })
        end
        if hook and not PCALL_YIELDS then return end -- nobody can catch it there
        problem = select(2, pcall(wait))
      end) }
      if problem then
        assert.same({ "cancelled", "v" }, { problem.kind, problem.ticket.id })
        assert.matches("oh no", problem.message)
      end
      client:close()
    end
  end)
end)

describe("a journal in a file", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function()
    srv:route("POST", "^", QUEUED)
    client = rig.client(srv, { journal = files:at "journal" })
  end)
  after_each(function() client:close() end)

  it("that is no regular file is refused before anything is sent", function()
    files:run "mkfifo fifo && mkdir folder && ln -s fifo link && ln -s none dangling"
    for name, why in pairs { fifo = "it is not a regular file", link = "it is not a regular file",
      folder = "Is a directory" } do
      client:close()
      client = rig.client(srv, { journal = files:at(name) })
      for _, call in ipairs { function() return client:create_video { prompt = "p" } end,
        function() return client:start("create_video", { prompt = "p" }) end,
        function() return client:unfinished() end, function() return client:forget "v" end } do
        local result, err = call()
        assert.same({ nil, "file" }, { result, err.kind })
        assert.truthy(err.message:find(files:at(name) .. ": " .. why, 1, true), err.message)
      end
    end
    assert.same({}, srv:requests())
    client:close()
    client = rig.client(srv, { journal = files:at "dangling" })
    assert(client:create_video { prompt = "p" })
    assert.same({ "v" }, rig.pluck(client:unfinished(), "id"))
    assert.is_string(files:read "none")
  end)

  it("has one descriptor, which the client closes", function()
    local function open()
      local count = 0
      for _, target in ipairs(process.lines("readlink /proc/$PPID/fd/* 2>/dev/null || true")) do
        if target == files:at "journal" then count = count + 1 end
      end
      return count
    end
    assert.equal(0, open())
    for _ = 1, 3 do assert(client:create_video { prompt = "p" }) end
    assert.equal(1, open())
    client:close()
    assert.equal(0, open())
  end)

  it("that was moved away is begun anew", function()
    assert(client:create_video { prompt = "p1" })
    files:run "mv journal old"
    assert(client:create_video { prompt = "p2" })
    assert.same({ "p2" }, rig.pluck(client:unfinished(), "prompt"))
    assert.matches("p1", files:read "old")
  end)

  it("is whole after a line that did not fit, which is written again", function()
    files:write("program.lua", ([[
      local client = require("sora").new { base_url = %q, api_key = "k", journal = %q }
      local first = client:create_video { prompt = "p1" }
      local _, err = client:create_video { prompt = ("x"):rep(4000) }
      print(first.id, err.kind, err.message:find("File too large", 1, true) ~= nil)]])
      :format(srv.url .. "/v1", files:at "journal"))
    assert.equal("v\tfile\ttrue\n", process.output("trap '' XFSZ; ulimit -f 1; exec "
      .. process.command(process.lua { files:at "program.lua" })))
    assert(client:create_video { prompt = "p3" })
    assert.same({ "p1", "p3" }, rig.pluck(client:unfinished(), "prompt"))
    assert.equal(2, #srv:requests())
  end)
end)
