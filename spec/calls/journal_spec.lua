-- The journal: what is on disk before, while and after a job is created, whatever ends the process meanwhile.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local pump = require "sora.pump"
local rig = require "spec.support.rig"
local sora = require "sora"

local unpack = table.unpack or unpack

local QUEUED = answers.job("queued", { created_at = 1764649117 })
local COMPLETED = answers.job("completed", { created_at = 1764649117 })

describe("a journal", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function() client = rig.client(srv, { journal = files:at "journal" }) end)
  after_each(function() client:close() end)

  -- The lines of the file; each must be whole.
  local function lines()
    local list, text = {}, files:read "journal" or ""
    assert.is_truthy(text == "" or text:sub(-1) == "\n")
    for line in text:gmatch "[^\n]+" do list[#list + 1] = cjson.decode(line) end
    return list
  end

  local function events()
    return table.concat(rig.pluck(lines(), "event"), " ")
  end

  local function unfinished()
    return assert(client:unfinished())
  end

  -- The result of a handle or a watched job, which may be done before it is delivered.
  local function finish(handle)
    patience.pump(client, function() return handle:done() end)
    client:update(0)
    return handle:result()
  end

  -- How a create may be made; each gives the results.
  local WAYS = {
    waited = function(params, opts) return client:create_video(params, opts) end,
    started = function(params, opts) return finish(assert(client:start("create_video", params, opts))) end,
    hooked = function(params, opts)
      client.pause = function(self, seconds) self:update(seconds) end
      return client:create_video(params, opts)
    end,
  }

  describe("that Ctrl-C interrupts", function()
    -- Raises what Ctrl-C does in stand-alone Lua, once, after a line was written.
    local function interrupt()
      local store = client._journal
      local append = store.append
      function store.append(line)
        store.append = append
        append(line)
        error("journal.lua:1: interrupted!", 0)
      end
    end

    for name, create in pairs(WAYS) do
      it("before a create sends nothing, raises, and says that nothing was made; " .. name, function()
        interrupt()
        local good, raised = pcall(create, { prompt = "A fox" })
        assert.same({ false, "journal.lua:1: interrupted!" }, { good, raised })
        assert.same({ "asked refused", 0, {} }, { events(), #srv:requests(), unfinished() })
      end)
    end

    it("while a create is started keeps what is known of it, and its answer", function()
      srv:route("POST", "^", QUEUED)
      local core = require "sora.core"
      local start = core.start
      for _, began in ipairs { true, false } do -- Lua raises after C has returned, or before it is called
        function core.start(...)
          core.start = start
          if began then start(...) end
          error("pump.lua:1: interrupted!", 0)
        end
        assert.error_matches(function() client:start("create_video", { prompt = "A fox" }) end,
          "interrupted!$")
        assert.same({ true, true }, { unfinished()[1].ambiguous, pump.expects_answers(client) })
        if began then
          patience.pump(client, function() return not pump.expects_answers(client) end)
          assert.same({ 1, "v" }, { #unfinished(), unfinished()[1].id })
          assert(client:forget "v")
        end
      end
      assert.equal(1, #srv:requests())
    end)

    it("after a create is raised where a waiter drives the client, too", function()
      srv:route("POST", "^", QUEUED)
      srv:route("GET", "^", { hold = true })
      assert(client:start("create_video", { prompt = "A fox" }))
      interrupt()
      assert.error_matches(function() client:wait("w", { timeout = 5 }) end, "interrupted!$")
    end)

    it("after a create raises, and knows the job", function()
      srv:route("POST", "^", QUEUED)
      local handle = assert(client:start("create_video", { prompt = "A fox" }))
      interrupt()
      assert.error_matches(function()
        patience.pump(client, function() return handle:done() end)
        client:update(0)
      end, "interrupted!$")
      client:close()
      client = rig.client(srv, { journal = files:at "journal" })
      assert.same({ 1, "v" }, { #unfinished(), unfinished()[1].id })
    end)
  end)

  it("has a line for a create before the server has answered", function()
    srv:route("POST", "^", { hold = true })
    local before = os.time()
    local handle = assert(client:start("create_video", { prompt = "A fox\n\"quoted\"", secret = "s" }))
    assert.equal("asked", events()) -- nothing was given to the network yet
    while #srv:requests() == 0 do assert(client:update(0.01)) end
    local line = lines()[1]
    assert.same({ "asked", 'A fox\n"quoted"', srv.url .. "/v1" }, { line.event, line.prompt, line.base_url })
    assert.is_true(line.created >= before and line.created <= os.time())
    assert.equal(1, #lines())
    handle:cancel()
  end)

  it("has a line for a blocking create before the server has answered", function()
    srv:route("POST", "^", { hold = true })
    local child, pid = rig.spawn(([[
      local client = require("sora").new { base_url = %q, api_key = "k", journal = %q }
      client:create_video { prompt = "A fox" }]]):format(srv.url .. "/v1", files:at "journal"))
    srv:wait_requests(1)
    assert.same({ "asked", "A fox" }, { events(), lines()[1].prompt })
    os.execute("kill -KILL " .. pid)
    child:close()
    local tickets = unfinished()
    assert.equal(1, #tickets)
    assert.same({ true, "A fox", nil }, { tickets[1].ambiguous, tickets[1].prompt, tickets[1].id })
  end)

  for way, create in pairs(WAYS) do
    it("records the job that was made, " .. way, function()
      srv:route("POST", "^", QUEUED)
      assert.equal("v", assert(create { prompt = "p" }).id)
      local asked, made = unpack(lines())
      assert.equal("asked made", events())
      assert.equal(asked.key, made.key)
      assert.same({ "v", "queued", 1764649117, srv.url .. "/v1" },
        { made.id, made.state, made.created, made.base_url })
      assert.same({ { id = "v", state = "queued", created = 1764649117, base_url = srv.url .. "/v1",
        prompt = "p", key = asked.key } }, unfinished())
    end)

    it("keeps a create unfinished that may have made a job, " .. way, function()
      for _, answer in ipairs { { reset = true }, { close = true }, { status = 500 }, { body = "no JSON" },
        { body = '{"id":"v",' } } do
        srv:route("POST", "^", answer)
        local _, err = create { prompt = "p" }
        assert.is_true(err.ambiguous, tostring(err))
      end
      assert.equal("asked asked asked asked asked", events())
      for _, ticket in ipairs(unfinished()) do
        assert.same({ true, "p" }, { ticket.ambiguous, ticket.prompt })
      end
      assert.equal(5, #unfinished())
    end)

    it("records that a create was refused, " .. way, function()
      for _, answer in ipairs { { status = 400 }, { status = 401 }, { status = 429 }, answers.busy(1),
        { json = { error = { message = "no" } } } } do
        srv:route("POST", "^", answer)
        local _, err = create { prompt = "p" }
        assert.equal("api", err.kind)
        assert.is_nil(err.ambiguous)
      end
      assert.equal(("asked refused "):rep(5), events() .. " ")
      assert.same({}, unfinished())
    end)

    it("keeps a create with an idempotency key unfinished that may have made a job, " .. way, function()
      local function ask(answer, retries)
        srv:route("POST", "^", answer)
        local _, err = create({ prompt = "p" }, { idempotency_key = "k", max_retries = retries })
        assert.is_nil(err.ambiguous)
      end
      for _, answer in ipairs { { reset = true }, { status = 500 }, { status = 408 },
        { body = "no JSON" } } do
        ask(answer, 0)
      end
      ask({ { status = 500 }, { status = 400 } }, 1)
      assert.equal(5, #unfinished())
      ask({ status = 400 }, 0)
      assert.equal(5, #unfinished())
      assert.same({ "k", true }, { unfinished()[1].idempotency_key, unfinished()[1].ambiguous })
    end)

    it("records a create that was never sent as refused, " .. way, function()
      client:close()
      client = rig.client(httpd.refused_url(), { journal = files:at "journal" })
      local _, err = create { prompt = "p" }
      assert.equal("connect", err.kind)
      assert.same({ "asked refused", {} }, { events(), unfinished() })
    end)

    it("keeps a job unfinished that is completed at once, for its file is not saved, " .. way, function()
      srv:route("POST", "^", COMPLETED)
      assert(create { prompt = "p" })
      assert.same({ "asked made", { "completed" } }, { events(), rig.pluck(unfinished(), "state") })
    end)

    it("keeps a create unfinished whose answer is no job, " .. way, function()
      srv:route("POST", "^", { json = { status = "queued" } })
      assert.is_true(select(2, create { prompt = "p" }).ambiguous)
      local tickets = unfinished()
      assert.equal(1, #tickets)
      assert.same({ nil, true, "p" }, { tickets[1].id, tickets[1].ambiguous, tickets[1].prompt })
    end)

    it("that can't be written keeps the call from being made, " .. way, function()
      srv:route("POST", "^", QUEUED)
      for _, path in ipairs { files.path, files:at "none/journal", "/dev/full" } do
        client:close()
        client = rig.client(srv, { journal = path })
        local good, job, err = pcall(create, { prompt = "p" })
        if not good then -- start gives no handle
          assert.matches("^sora: file: ", tostring(job))
        else
          assert.same({ nil, "file" }, { job, err.kind })
          assert.is_truthy(err.message:find(path, 1, true))
          assert.is_nil(err.ambiguous)
        end
      end
      assert.same({ 0, 0 }, { #srv:requests(), srv:connections() })
    end)

    it("has no line for a call that raises for misuse, " .. way, function()
      assert.has_error(function() create { prompt = 5 } end)
      assert.error_matches(function() create({ prompt = "p" }, { timeot = 1 }) end, "did you mean 'timeout'")
      assert.error_matches(function() create({ prompt = "p" }, { timeout = -1 }) end, "option 'timeout'")
      assert.error_matches(function() create({ prompt = "p" }, { on_done = 5 }) end, "option 'on_done'")
      assert.error_matches(function() create({ prompt = "p" }, "x") end, "options: expected a table")
      assert.same({}, lines())
    end)

    it("has nothing unfinished for a create whose input file can't be read, " .. way, function()
      local good, _, err = pcall(create, { prompt = "p", ref = { path = files:at "none" } })
      if good then assert.equal("file", err.kind) end
      assert.same({}, unfinished())
      assert.equal(0, #srv:requests())
    end)
  end

  it("calls on_done of a started create, too", function()
    srv:route("POST", "^", { QUEUED, { status = 400, json = { error = { message = "No." } } } })
    local heard = {}
    for _ = 1, 2 do
      finish(assert(client:start("create_video", { prompt = "p" }, { response = true,
        on_done = function(video, err, response)
          heard[#heard + 1] = { video and video.id, err and err.message, response.status, events() }
        end })))
    end
    assert.same({ { "v", nil, 200, "asked made" }, { nil, "No.", 400, "asked made asked refused" } }, heard)
  end)

  it("keeps a create unfinished that is cancelled or closed in flight", function()
    srv:route("POST", "^", { hold = true })
    local handle = assert(client:start("create_video", { prompt = "a" }))
    assert(client:start("create_video", { prompt = "b" }))
    while #srv:requests() < 2 do assert(client:update(0.01)) end
    handle:cancel()
    assert(client:update())
    client:close()
    client = rig.client(srv, { journal = files:at "journal" })
    assert.same({ "a", "b" }, rig.pluck(unfinished(), "prompt"))
  end)

  it("has every call that makes a job, and no other", function()
    srv:route("*", "^", QUEUED)
    assert(client:remix_video("v", { prompt = "remix" }))
    assert(client:edit_video { video = "v", prompt = "edit" })
    assert(client:extend_video { video = "v", prompt = "extend" })
    assert(finish(assert(client:start("remix_video", "v", { prompt = "started" }))))
    assert.equal(("asked made "):rep(4), events() .. " ")
    assert.same({ "remix", "edit", "extend", "started" }, rig.pluck(unfinished(), "prompt"))
    assert(client:create_character { name = "n", video = "v" })
    assert(client:get_video "v")
    assert(client:list_videos())
    assert.equal(8, #lines())
  end)

  describe("records the end of a job seen by", function()
    local ENDS = {
      wait = function() client:wait "v" end,
      poll = function() for _ in client:poll "v" do assert.is_truthy(client) end end,
      wait_all = function() client:wait_all { "v" } end,
      watch = function()
        finish(assert(client:watch "v"))
      end,
      ["the watch of a ticket"] = function()
        finish(assert(client:watch(unfinished()[1])))
      end,
    }
    for name, follow in pairs(ENDS) do
      for _, word in ipairs { "completed", "failed", "cancelled", "expired" } do
        it(name .. ": " .. word, function()
          srv:route("POST", "^", { QUEUED })
          srv:route("GET", "^", { json = { id = "v", status = word } })
          assert(client:create_video { prompt = "p" })
          assert.equal(1, #unfinished())
          follow()
          local last = lines()[#lines()]
          assert.same({ "ended", "v", word, srv.url .. "/v1" },
            { last.event, last.id, last.state, last.base_url })
          assert.same(word == "completed" and { word } or {}, rig.pluck(unfinished(), "state"))
        end)
      end
    end

    it("create_and_wait", function()
      srv:route("POST", "^", QUEUED)
      srv:route("GET", "^", COMPLETED)
      assert(client:create_and_wait { prompt = "p" })
      assert.equal("asked made ended", events())
      assert.same({ "completed" }, rig.pluck(unfinished(), "state"))
    end)

    it("nobody, when a wait reaches its deadline or a watch is cancelled", function()
      srv:route("*", "^", QUEUED)
      assert(client:create_video { prompt = "p" })
      assert.equal("deadline", select(2, client:wait("v", { timeout = 0.05, interval = 0.02 })).kind)
      client:watch("v"):cancel()
      assert.equal("asked made", events())
      assert.equal("v", unfinished()[1].id)
    end)

    it("a wait for a job whose id is a number", function()
      srv:route("POST", "^", { body = '{"id":42,"status":"queued"}' })
      srv:route("GET", "^", { body = '{"id":42,"status":"failed"}' })
      local job = assert(client:create_video { prompt = "p" })
      assert.equal("failed", select(2, client:wait(job.id)).kind)
      assert.same({}, unfinished())
    end)
  end)

  it("gives tickets that another client can watch", function()
    srv:route("POST", "^", QUEUED)
    assert(client:create_video { prompt = "p" })
    client:close()
    client = rig.client(srv, { journal = files:at "journal" })
    srv:route("GET", "^", COMPLETED)
    assert.equal("completed", assert(finish(assert(client:watch(unfinished()[1])))).status)
  end)

  it("is shared by clients of several servers, each of which sees its own", function()
    srv:route("POST", "^", QUEUED)
    local other = rig.client(srv, { base_url = srv.url .. "/v2", journal = files:at "journal" })
    finally(function() other:close() end)
    assert(client:create_video { prompt = "one" })
    assert(other:create_video { prompt = "two" })
    srv:route("GET", "^", answers.job "expired")
    other:wait "v" -- the same id at the other server
    assert.same({ "one" }, rig.pluck(unfinished(), "prompt"))
    assert.same({}, (other:unfinished()))
  end)

  it("gives the jobs of all servers with all_servers, each with its base URL", function()
    srv:route("POST", "^", QUEUED)
    local other = rig.client(srv, { journal = files:at "journal", base_url = srv.url .. "/v2" })
    assert(client:create_video { prompt = "a" })
    assert(other:create_video { prompt = "b" })
    srv:route("DELETE", "^", { json = { id = "v", deleted = true } })
    assert(client:delete_video "v") -- both servers have a job of this id
    local all = assert(client:journaled { all_servers = true })
    assert.same({ srv.url .. "/v1", srv.url .. "/v2" }, rig.pluck(all, "base_url"))
    assert.same({ "a", "b" }, rig.pluck(all, "prompt"))
    assert.same({ "b" }, rig.pluck(assert(client:unfinished { all_servers = true }), "prompt"))
    assert.same({}, unfinished())
    other:close()
    assert.error_matches(function() client:unfinished { all = true } end, "unknown option 'all'")
  end)

  it("takes the job that was found for a ticket without an id", function()
    srv:route("POST", "^", { close = true })
    assert.is_true(select(2, client:create_video({ prompt = "a" }, { label = "l" })).ambiguous)
    local ticket = unfinished()[1]
    local adopted = assert(client:adopt(ticket, { id = "v", status = "in_progress" }))
    assert.same({ "v", "l", ticket.key, "in_progress" },
      { adopted.id, adopted.label, adopted.key, adopted.state })
    assert.same({ "v" }, rig.pluck(unfinished(), "id"))
    assert.is_nil(unfinished()[1].ambiguous)
    srv:route("GET", "^", answers.FILE)
    assert(client:download_video(unfinished()[1], files:at "v.mp4"))
    assert.same({}, unfinished())
  end)

  it("gives a ticket one job only, and a job one ticket", function()
    srv:route("POST", "^", { QUEUED, { close = true }, { close = true } })
    assert(client:create_video { prompt = "a" })
    client:create_video { prompt = "b" }
    client:create_video { prompt = "c" }
    local made, lost, other = unpack(unfinished())
    local function refused(code, ...)
      local adopted, err = client:adopt(...)
      assert.same({ nil, "config", code }, { adopted, err.kind, err.code })
    end
    refused("taken", lost, "v") -- the first ticket's
    refused("taken", made, "w") -- it has a job
    assert(client:adopt(lost, "w"))
    refused("taken", other, "w")
    refused("not_journaled", { key = "nothing" }, "x")
    assert.error_matches(function() client:adopt(other, {}) end, "job: expected")
    assert.error_matches(function() client:adopt("v", "w") end, "ticket: expected")
  end)

  it("keeps where the film is to go", function()
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "^", { hold = true })
    assert(client:create_video({ prompt = "a" }, { target = "boat.mp4" }))
    client:create_and_download({ prompt = "b" }, files:at "v.mp4", { timeout = 0.05, interval = 0.01 })
    assert.same({ "boat.mp4", files:at "v.mp4" }, rig.pluck(unfinished(), "target"))
    assert.error_matches(function() client:create_video({ prompt = "a" }, { target = {} }) end,
      "option 'target': expected a string, got table")
  end)

  it("starts a new line after one that a crash cut off", function()
    local before = '{"event":"asked","key":"1","base_url":"http://h","created":17646'
    files:write("journal", before)
    srv:route("POST", "^", { close = true })
    assert.is_true(select(2, client:create_video { prompt = "p" }).ambiguous)
    assert.same({ "p" }, rig.pluck(unfinished(), "prompt"))
    assert.equal(before, files:read("journal"):sub(1, #before))
  end)

  it("may hold lines that it does not understand", function()
    files:write("journal", table.concat({ "", "junk", "[]", "{}", "5", '{"event":"made"}', "\0\255",
      '{"event":"ended"}', ('{"event":"ended","base_url":"%s/v1"}'):format(srv.url),
      ('{"event":"made","key":"x","base_url":"%s/v1"}'):format(srv.url), "" }, "\n"))
    srv:route("POST", "^", QUEUED)
    assert(client:create_video { prompt = "p" })
    assert.same({ "v" }, rig.pluck(unfinished(), "id"))
  end)

  it("takes no id that a call would refuse, and no field of another type than it writes", function()
    local written = { '{"event":"asked","key":"k","created":"x","label":[],"idempotency_key":1}' }
    for _, id in ipairs { "1.5", "1e999", "-1e999", "NaN", '""', '" "', '"."', '".."', "{}", "true" } do
      for _, event in ipairs { "made", "ended", "saved", "forgotten" } do
        written[#written + 1] = ('{"event":"%s","id":%s}'):format(event, id)
      end
    end
    written[#written + 1] = '{"event":"made","id":"w","state":{},"created":{},"expires_at":{}}'
    written[#written + 1] = '{"event":"made","id":"x"}'
    written[#written + 1] = '{"event":"saved","id":"x","path":7,"bytes":"y"}'
    local address = (',"v":2,"base_url":"%s/v1"}'):format(srv.url)
    for i, line in ipairs(written) do written[i] = line:gsub("}$", address) end
    files:write("journal", table.concat(written, "\n"))
    local base_url = srv.url .. "/v1"
    assert.same({ { key = "k", base_url = base_url, ambiguous = true }, { id = "w", base_url = base_url },
      { id = "x", base_url = base_url, state = "completed", over = true } }, client:journaled())
  end)

  it("that does not exist yet holds nothing", function()
    assert.same({}, unfinished())
    assert.is_nil(files:read "journal")
  end)

  it("that can't be read is a file error", function()
    client:close()
    client = rig.client(srv, { journal = files.path })
    local tickets, err = client:unfinished()
    assert.same({ nil, "file" }, { tickets, err.kind })
  end)

  it("is not written without the option", function()
    client:close()
    client = rig.client(srv)
    local tickets, err = client:unfinished()
    assert.same({ nil, "config" }, { tickets, err.kind })
    assert.matches("journal", err.message)
    srv:route("POST", "^", QUEUED)
    assert(client:create_video { prompt = "p" })
    assert.equal("", files:list())
    for _, path in ipairs { 5, "", {} } do
      assert.error_matches(function() sora.new { base_url = srv.url, journal = path } end,
        "option 'journal': expected the name of a file")
    end
  end)

  it("can be read by its owner alone", function()
    srv:route("POST", "^", QUEUED)
    assert(client:create_video { prompt = "p" })
    assert.equal("600\n", process.output("stat -c %a " .. files:at "journal"))
  end)

  it("never holds the key, whatever the server says", function()
    local KEYS = { rig.KEY, "sk-header-0123456789", "sk-query-0123456789", "sk-function-0123456789" }
    local options = { journal = files:at "journal", headers = { ["X-Api-Key"] = KEYS[2] },
      base_url = srv.url .. "/v1?token=" .. KEYS[3] }
    for _, more in ipairs { {}, { auth = "raw" }, { api_key = function() return KEYS[4] end } } do
      client:close()
      client = rig.client(srv, answers.with(options, more))
      for _, answer in ipairs { QUEUED, { close = true },
        { status = 401, json = { error = { message = "no key " .. table.concat(KEYS, " ") } } } } do
        srv:route("POST", "^", answer)
        client:create_video { prompt = "p" }
        finish(assert(client:start("create_video", { prompt = "p" })))
      end
      srv:route("GET", "^", COMPLETED)
      assert(client:wait "v")
      for _, key in ipairs(KEYS) do
        assert.is_nil(files:read("journal"):find(key, 1, true))
        assert.is_nil(rig.shown(unfinished()):find(key, 1, true))
      end
    end
    assert.equal(3 * (6 + 4 + 1), #lines())
  end)

  it("is shared by several processes, whose lines are whole", function()
    srv:route("POST", "^", QUEUED)
    local CHILDREN, CREATES = 4, 100
    local children = {}
    for i = 1, CHILDREN do
      children[i] = rig.spawn(([[
        local client = require("sora").new { base_url = %q, api_key = "k", journal = %q }
        while not io.open(%q) do client:update(0.001) end
        local prompt = %q
        for i = 1, %d do assert(client:create_video { prompt = prompt .. i }) end
        print "done"]]):format(srv.url .. "/v1", files:at "journal", files:at "go", i .. ("x"):rep(2000 * i),
        CREATES))
    end
    files:write("go", "")
    for _, child in ipairs(children) do
      assert.equal("done", child:read "*l")
      child:close()
    end
    local prompts, keys, made = {}, {}, 0
    for _, line in ipairs(lines()) do
      if line.event == "asked" then
        assert.is_nil(keys[line.key])
        assert.is_nil(prompts[line.prompt])
        keys[line.key], prompts[line.prompt] = true, true
      else
        assert.is_true(line.event == "made" and keys[line.key])
        made = made + 1
      end
    end
    assert.equal(CHILDREN * CREATES, made)
    assert.equal(CHILDREN * CREATES * 2, #lines())
    for i = 1, CHILDREN do
      for n = 1, CREATES do assert.is_true(prompts[i .. ("x"):rep(2000 * i) .. n]) end
    end
  end)
end)

describe("a process that is killed", function()
  local files = given.folder()

  local function read_prompts()
    local asked, made = {}, {}
    for line in (files:read "journal" or ""):gmatch "[^\n]+" do
      local good, item = pcall(cjson.decode, line)
      if good and item.event == "asked" then asked[item.prompt] = true end
      if good and item.event == "made" then made[item.id] = true end
    end
    return asked, made
  end

  it("before the response leaves a line, by which the job is found", function()
    local srv = httpd.start()
    finally(function() srv:stop() end)
    srv:route("POST", "^", { hold = true })
    local child, pid = rig.spawn(([[
      local client = require("sora").new { base_url = %q, api_key = "k", journal = %q }
      client:create_and_wait { prompt = "A fox" }]]):format(srv.url .. "/v1", files:at "journal"))
    srv:wait_requests(1)
    os.execute("kill -KILL " .. pid)
    child:close()
    local client = rig.client(srv, { journal = files:at "journal" })
    local ticket = assert(client:unfinished())[1]
    assert.same({ "A fox", true }, { ticket.prompt, ticket.ambiguous })
    srv:route("GET", "^", { json = { data = { { id = "w", prompt = "A dog", created_at = ticket.created },
      { id = "v", prompt = "A fox", created_at = ticket.created } }, has_more = false } })
    local found = assert(client:find_created { prompt = ticket.prompt, since = ticket.created - 60 })
    assert.same({ "v" }, rig.pluck(found, "id"))
    client:close()
  end)

  it("while it waits leaves the id, and the job can be watched again", function()
    local srv = httpd.start()
    finally(function() srv:stop() end)
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "^", { QUEUED, { hold = true } })
    local child, pid = rig.spawn(([[
      local client = require("sora").new { base_url = %q, api_key = "k", journal = %q }
      client:create_and_wait({ prompt = "A fox" }, { interval = 0.01 })]]):format(srv.url .. "/v1",
      files:at "journal"))
    srv:wait_requests(3)
    os.execute("kill -KILL " .. pid)
    child:close()
    srv:route("GET", "^", COMPLETED)
    local client = rig.client(srv, { journal = files:at "journal" })
    local tickets = assert(client:unfinished())
    assert.equal(1, #tickets)
    assert.same({ "v", "A fox", nil }, { tickets[1].id, tickets[1].prompt, tickets[1].ambiguous })
    local job = assert(client:watch(tickets[1]))
    assert.equal("completed", assert(patience.result(client, job)).status)
    assert.same({ "completed" }, rig.pluck(client:unfinished(), "state"))
    client:close()
  end)

  it("while it downloads leaves a completed job, whose film can be fetched", function()
    local srv = httpd.start()
    finally(function() srv:stop() end)
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "^", COMPLETED)
    srv:route("GET", "^/v1/videos/v/content", { hold = true })
    local child, pid = rig.spawn(([[
      local client = require("sora").new { base_url = %q, api_key = "k", journal = %q }
      client:create_and_download({ prompt = "A fox" }, %q, { interval = 0.01 })]]):format(srv.url .. "/v1",
      files:at "journal", files:at "film.mp4"))
    srv:wait_requests(3)
    os.execute("kill -KILL " .. pid)
    child:close()
    srv:route("GET", "^/v1/videos/v/content", answers.file "film")
    local client = rig.client(srv, { journal = files:at "journal" })
    local tickets = assert(client:unfinished())
    assert.same({ { "v" }, { "completed" } }, { rig.pluck(tickets, "id"), rig.pluck(tickets, "state") })
    assert(client:download_video(tickets[1], files:at "film.mp4"))
    assert.equal("film", files:read "film.mp4")
    assert.same({}, (client:unfinished()))
    client:close()
  end)

  it("at any moment leaves no job without a line", function()
    local server = process.serve { "--quiet", "--api-key", rig.KEY }
    finally(function() server:stop() end)
    local client = rig.client(server.origin, { journal = files:at "journal" })
    local CODE = [[
      io.stdout:setvbuf "no"
      local client = require("sora").new { base_url = %q, api_key = %q, journal = %q }
      local round = %d
      for i = 1, 1e6 do
        if round %% 2 == 0 then
          assert(client:create_video { prompt = round .. "/" .. i })
        else
          local handle = assert(client:start("create_video", { prompt = round .. "/" .. i }))
          while not handle:done() do assert(client:update(1)) end
        end
        print(i)
      end]]
    for round = 1, 10 do
      local child, pid = rig.spawn(CODE:format(server.url, rig.KEY, files:at "journal", round))
      for _ = 1, round do assert.is_truthy(child:read "*l") end -- each time at another moment
      os.execute("kill -KILL " .. pid)
      child:close()
    end
    local asked, made = read_prompts()
    local jobs, ambiguous = 0, {}
    for _, ticket in ipairs(assert(client:unfinished())) do
      if ticket.ambiguous then ambiguous[ticket.prompt] = true end
    end
    for video in client:videos { limit = 100 } do
      jobs = jobs + 1
      assert.is_true(asked[video.prompt], video.prompt)
      assert.is_true(made[video.id] or ambiguous[video.prompt], video.prompt)
      if ambiguous[video.prompt] then
        local found = assert(client:find_created { prompt = video.prompt, since = os.time() - 600 })
        assert.same({ video.id }, rig.pluck(found, "id"))
      end
    end
    assert.is_true(jobs >= 10)
    client:close()
  end)
end)
