-- create_and_wait and create_and_download, and what remains when they are interrupted: the ticket in the
-- error, and the search for a job that a create with a lost response may have made.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

local QUEUED = answers.job("queued", { created_at = 1764649117 })
local RUNNING = answers.job("in_progress", { progress = 40, created_at = 1764649117 })
local COMPLETED = answers.job("completed", { created_at = 1764649117 })
local FAILED = answers.job("failed", { error = { code = "c", message = "No luck." } })
local BYTES = answers.file "bytes"
local QUICK = rig.FAST
local unpack = table.unpack or unpack

describe("create_and_", function()
  local srv, files = given.server(), given.folder()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  local function assert_ticket(err, state)
    assert.same({ "v", srv.url .. "/v1", state }, { err.ticket.id, err.ticket.base_url, err.ticket.state })
    assert.equal("number", type(err.ticket.created))
    assert.not_matches(rig.KEY, rig.shown(err), 1, true)
  end

  -- The ticket of an error brings the job home.
  local function assert_taken_up(ticket)
    srv:route("GET", "^", COMPLETED)
    local other = rig.client(srv)
    assert.equal("completed", assert(patience.result(other, assert(other:watch(ticket)))).status)
    other:close()
  end

  -- Both functions, with the same arguments but for the target.
  local CALLS = {
    wait = function(params, opts) return client:create_and_wait(params, opts) end,
    download = function(params, opts) return client:create_and_download(params, files:at "v.mp4", opts) end,
  }

  it("wait gives the completed video", function()
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "^", { QUEUED, RUNNING, COMPLETED })
    local states = {}
    local video, err = client:create_and_wait({ prompt = "p" }, { interval = 0.01,
      on_progress = function(_, view) states[#states + 1] = view.state end })
    assert.is_nil(err)
    assert.same(COMPLETED.json, video)
    assert.same({ "queued", "in_progress", "completed" }, states)
    assert.same({ "POST", "GET", "GET", "GET" }, rig.pluck(srv:requests(), "method"))
  end)

  it("download gives the file", function()
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "/v1/videos/v", { QUEUED, COMPLETED })
    srv:route("GET", "/v1/videos/v/content", BYTES)
    local file, err = client:create_and_download({ prompt = "p" }, files:at "v.mp4", QUICK)
    assert.is_nil(err)
    assert.same({ path = files:at "v.mp4", bytes = 5, content_type = "video/mp4", video = COMPLETED.json },
      file)
    assert.equal("bytes", files:read "v.mp4")
  end)

  it("download accepts a sink and a variant as its target", function()
    srv:route("POST", "^", COMPLETED)
    srv:route("GET", "^", BYTES)
    local chunks = {}
    local file = assert(client:create_and_download({ prompt = "p" },
      { variant = "thumbnail", sink = function(chunk) chunks[#chunks + 1] = chunk end }))
    assert.same({ "bytes", 5 }, { table.concat(chunks), file.bytes })
    assert.equal("/v1/videos/v/content?variant=thumbnail", srv:requests()[2].target)
  end)

  -- The relatives of create_and_download: what each is called with, and what it posts to.
  local RELATIVES = {
    remix = { path = "/v1/videos/old/remix", arguments = { "old", { prompt = "p" } } },
    edit = { path = "/v1/videos/edits", arguments = { { video = "old", prompt = "p" } } },
    extend = { path = "/v1/videos/extensions", arguments = { { video = "old", prompt = "p" } } },
  }
  for verb, case in pairs(RELATIVES) do
    it("has a relative that follows a job of " .. verb .. "_video, waited for and downloaded", function()
      srv:route("POST", case.path, QUEUED)
      srv:route("GET", "/v1/videos/v", { QUEUED, COMPLETED })
      srv:route("GET", "/v1/videos/v/content", BYTES)
      local arguments, count = { unpack(case.arguments) }, #case.arguments
      arguments[count + 1], arguments[count + 2] = files:at "v.mp4", QUICK
      assert.same({ path = files:at "v.mp4", bytes = 5, content_type = "video/mp4", video = COMPLETED.json },
        assert(client[verb .. "_and_download"](client, unpack(arguments))))
      assert.equal("bytes", files:read "v.mp4")
      arguments = { unpack(case.arguments) }
      arguments[count + 1] = QUICK
      assert.same(COMPLETED.json, assert(client[verb .. "_and_wait"](client, unpack(arguments))))
      arguments[count + 1], arguments[count + 2] = files:at "w.mp4", QUICK
      local handle = assert(client:start(verb .. "_and_download", unpack(arguments)))
      assert.equal(files:at "w.mp4", assert(handle:wait(10)).path)
    end)
  end

  for name, call in pairs(CALLS) do
    it(name .. " calls on_created with the job, before its first poll", function()
      srv:route("POST", "^", QUEUED)
      srv:route("GET", "/v1/videos/v", COMPLETED)
      srv:route("GET", "/v1/videos/v/content", BYTES)
      local heard, asked
      assert(call({ prompt = "p" }, { interval = 0.01, on_created = function(job)
        heard, asked = job, #srv:requests()
      end }))
      assert.same(QUEUED.json, heard)
      assert.equal(1, asked)
    end)

    it(name .. " gives the ticket of a job whose on_created raises", function()
      srv:route("POST", "^", QUEUED)
      local good, err = pcall(call, { prompt = "p" }, { on_created = function() error("broken", 0) end })
      assert.is_false(good)
      assert.equal("broken", err.message)
      assert_taken_up(err.ticket)
    end)
  end

  it("accept a job that is completed at once", function()
    for _, status in ipairs { 200, 201, 202 } do
      srv:reset()
      srv:route("POST", "^", { status = status, json = COMPLETED.json })
      srv:route("GET", "^", BYTES)
      assert.same(COMPLETED.json, (client:create_and_wait { prompt = "p" }))
      assert.equal(1, #srv:requests())
      assert.equal(5, assert(client:create_and_download({ prompt = "p" }, files:at "v.mp4")).bytes)
      assert.same({ "/v1/videos", "/v1/videos", "/v1/videos/v/content" }, rig.pluck(srv:requests(), "target"))
    end
  end)

  it("accept a job that is completed at once, and has no id", function()
    srv:route("GET", "/file.mp4", BYTES)
    srv:route("POST", "^", { json = { status = "completed", url = srv.url .. "/file.mp4" } })
    assert.equal("completed", assert(client:create_and_wait { prompt = "p" }).status)
    local file = assert(client:create_and_download({ prompt = "p" }, files:at "v.mp4"))
    assert.same({ 5, "bytes" }, { file.bytes, files:read "v.mp4" })
  end)

  it("pass the options on to each of their calls", function()
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "/v1/videos/v", COMPLETED)
    srv:route("GET", "/v1/videos/v/content", BYTES)
    assert(client:create_and_download({ prompt = "p" }, files:at "v.mp4", { idempotency_key = "once",
      headers = { ["X-Tag"] = "t" }, query = { k = 1 }, timeout = 5, max_retries = 1 }))
    local requests = srv:requests()
    assert.equal(3, #requests)
    for i, request in ipairs(requests) do
      assert.equal("t", request.headers["x-tag"], request.target)
      assert.matches("k=1$", request.target)
      assert.equal(i == 1 and "once" or nil, request.headers["idempotency-key"])
    end
  end)

  for name, call in pairs(CALLS) do
    it(name .. " gives the ticket of a job that fails", function()
      srv:route("POST", "^", QUEUED)
      srv:route("GET", "^", { QUEUED, FAILED })
      local result, err = call({ prompt = "p" }, QUICK)
      assert.same({ nil, "failed", "c", "No luck." }, { result, err.kind, err.code, err.message })
      assert.same(FAILED.json, err.video)
      assert_ticket(err, "failed")
    end)

    it(name .. " gives a ticket at the deadline, with which the job is watched again", function()
      srv:route("POST", "^", QUEUED)
      srv:route("GET", "^", RUNNING)
      local result, err = call({ prompt = "p" }, { interval = 0.01, timeout = 0.5 })
      assert.same({ nil, "deadline" }, { result, err.kind })
      assert_ticket(err, "in_progress")
      assert.equal(1764649117, err.ticket.created)
      assert_taken_up(err.ticket)
    end)

    it(name .. " gives the ticket when polls fail, and when they are stopped", function()
      srv:route("POST", "^", QUEUED)
      srv:route("GET", "^", { status = 401 })
      assert_ticket(select(2, call({ prompt = "p" }, QUICK)), "queued")
      srv:route("GET", "^", RUNNING)
      local _, err = call({ prompt = "p" }, { on_progress = function() return false end })
      assert.equal("cancelled", err.kind)
      assert_ticket(err, "in_progress")
      assert_taken_up(err.ticket)
    end)

    it(name .. " raises an error with the ticket when something raises in the middle", function()
      srv:route("POST", "^", QUEUED)
      srv:route("GET", "^", RUNNING)
      local good, err = pcall(call, { prompt = "p" }, { on_progress = function() error("a bug", 0) end })
      assert.is_false(good)
      assert.same({ "cancelled", "a bug" }, { err.kind, err.message })
      assert_ticket(err, err.ticket.state)
      assert_taken_up(err.ticket)
    end)

    it(name .. " raises an error with the ticket when a hook ends it, as Ctrl-C does", function()
      srv:route("POST", "^", QUEUED)
      srv:route("GET", "^", QUEUED)
      finally(function() debug.sethook() end)
      local good, err = pcall(call, { prompt = "p" }, { interval = 60, on_progress = function()
        local begun = core.now()
        debug.sethook(function()
          if core.now() - begun < 0.05 then return end
          debug.sethook()
          error "interrupted!"
        end, "", 1)
      end })
      debug.sethook()
      assert.is_false(good)
      assert.equal("cancelled", err.kind)
      assert.matches("interrupted!", err.message, 1, true)
      assert_ticket(err, "queued")
      assert_taken_up(err.ticket)
    end)

    it(name .. " gives the create's own error, without a ticket", function()
      srv:reply({ status = 400, json = { error = { message = "No." } } }, { reset = true })
      local _, err = call { prompt = "p" }
      assert.same({ "api", "No.", nil }, { err.kind, err.message, err.ticket })
      _, err = call { prompt = "p" }
      assert.same({ "transport", true, nil }, { err.kind, err.ambiguous, err.ticket })
      assert.equal(2, #srv:requests())
    end)

    it(name .. " gives a decode error when the job has no id", function()
      srv:route("POST", "^", { json = { status = "queued" } })
      local result, err = call { prompt = "p" }
      assert.same({ nil, "decode" }, { result, err.kind })
      assert.equal(1, #srv:requests())
    end)

    it(name .. " raises for misuse before anything is sent", function()
      local function misuse(text, params, opts)
        local good, problem = pcall(call, params, opts)
        assert.is_false(good)
        assert.matches(text, problem)
      end
      misuse("params: expected a table, got nil", nil)
      misuse("prompt: expected a string", { prompt = 5 })
      misuse("unknown option 'intervall'; did you mean 'interval'%?", {}, { intervall = 1 })
      misuse("option 'timeout': expected a positive number", {}, { timeout = 0 })
      misuse("unknown option 'on_done'", {}, { on_done = print })
      misuse("option 'idempotency_key'", {}, { idempotency_key = 5 })
      misuse("options: expected a table, got string", {}, "x")
      assert.equal(0, #srv:requests())
    end)
  end

  it("download raises for a bad target before anything is sent", function()
    for _, target in ipairs { 5, "", { path = "" }, { paht = "x" }, {}, { path = "x", sink = print } } do
      assert.error_matches(function() client:create_and_download({ prompt = "p" }, target) end,
        "'create_and_download'")
    end
    assert.error_matches(function() client:create_and_download { prompt = "p" } end, "'create_and_download'")
    assert.equal(0, #srv:requests())
  end)

  it("download gives the ticket when the file can't be fetched, and when it can't be written", function()
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "/v1/videos/v", COMPLETED)
    srv:route("GET", "/v1/videos/v/content", { status = 403, json = { error = { message = "No." } } })
    local target = { path = files:at "v.mp4", grace = 0 }
    local _, err = client:create_and_download({ prompt = "p" }, target, QUICK)
    assert.same({ "api", 403 }, { err.kind, err.status })
    assert_ticket(err, "completed")
    srv:route("GET", "/v1/videos/v/content", BYTES)
    local opts = answers.with(QUICK, { on_progress = function() files:run "mkdir v.mp4" end })
    _, err = client:create_and_download({ prompt = "p" }, files:at "v.mp4", opts)
    assert.equal("file", err.kind)
    assert_ticket(err, "completed")
    assert.equal(5, assert(client:download_video(err.ticket.id, files:at "w.mp4")).bytes)
  end)

  it("wait works in a coroutine with a pause hook", function()
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "^", { QUEUED, COMPLETED })
    client.pause = function() coroutine.yield() end
    local result, problem
    local thread = coroutine.create(function()
      result, problem = client:create_and_wait({ prompt = "p" }, QUICK)
    end)
    patience.run({ thread }, function() assert(client:update(0.01)) end)
    assert.is_nil(problem)
    assert.equal("completed", result.status)
  end)

  it("wait ends with the ticket at Ctrl-C", function()
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "^", { QUEUED, { hold = true } })
    local child, pid = rig.spawn(([[
      io.stdout:setvbuf "no"
      local client = require("sora").new { base_url = %q, api_key = "k" }
      local good, err = pcall(client.create_and_wait, client, { prompt = "p" }, { interval = 0.01 })
      print(good, err.kind, err.ticket.id, err.ticket.base_url, tostring(err))]]):format(srv.url .. "/v1"))
    srv:wait_requests(3)
    local before = core.now()
    os.execute("kill -INT " .. pid)
    local line = child:read "*l"
    assert.is_true(core.now() - before < 10)
    child:close()
    assert.matches("^false\tcancelled\tv\t" .. srv.url:gsub("%p", "%%%0") .. "/v1\t.*interrupted!", line)
    assert_taken_up { id = "v", base_url = srv.url .. "/v1" }
  end)

  it("download brings a file from a development server", function()
    local server = process.serve { "--quiet", "--api-key", rig.KEY, "--duration", 0.2 }
    finally(function() server:stop() end)
    local live = rig.client(server.origin)
    local file = assert(live:create_and_download({ prompt = "A fox" }, files:at "fox.mp4",
      { interval = 0.05, timeout = 10 }))
    assert.same({ "completed", "A fox" }, { file.video.status, file.video.prompt })
    assert.equal(file.bytes, #files:read "fox.mp4")
    assert.equal("ftyp", files:read("fox.mp4"):sub(5, 8))
    local _, err = live:create_and_wait({ prompt = "p", dev = { fail = "generation_failed" } },
      { interval = 0.05, timeout = 10 })
    assert.same({ "failed", "generation_failed" }, { err.kind, err.code })
    assert.equal(err.video.id, err.ticket.id)
    live:close()
  end)
end)

describe("find_created", function()
  local srv = given.server()
  local client
  local NOW = 1764649117

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  local function job(id, prompt, age)
    return { id = id, prompt = prompt, created_at = age and NOW - age, status = "queued" }
  end

  local function found(what)
    return table.concat(rig.pluck(assert(client:find_created(what)), "id"), " ")
  end

  it("gives the jobs with the prompt, newest first, and those without one last", function()
    srv:reply { json = { data = { job("e", nil, 1), job("d", "A fox", 2), job("c", "A dog", 3),
      job("b", "A fox", 4), job("a", nil, 5) }, has_more = false } }
    assert.equal("d b e a", found { prompt = "A fox" })
    assert.matches("order=desc", srv:requests()[1].target)
  end)

  it("ignores jobs older than since", function()
    local page = { json = { data = { job("d", "A fox", 1), job("c", "A fox", 20), job("b", "A fox", 40) },
      has_more = false } }
    srv:route("GET", "^", page)
    assert.equal("d c", found { prompt = "A fox", since = NOW - 20 })
    assert.equal("d", found { prompt = "A fox", since = NOW - 19 })
    assert.equal("", found { prompt = "A fox", since = NOW })
    assert.equal("d c b", found { since = NOW - 40 })
    assert.equal("d c b", found {})
  end)

  it("finds the job in a list that is not sorted by time", function()
    srv:route("GET", "^", { json = { has_more = false,
      data = { job("a", "A dog", 40), job("b", "A fox", 30), job("c", "A fox", 1) } } })
    assert.equal("c", found { prompt = "A fox", since = NOW - 10 })
  end)

  it("keeps a job without created_at", function()
    srv:route("GET", "^", { json = { has_more = false,
      data = { job("b", "A fox"), job("a", "A fox", 40) } } })
    assert.equal("b", found { prompt = "A fox", since = NOW - 10 })
  end)

  it("goes through all pages", function()
    srv:reply({ json = { data = { job("c", "A dog", 1) }, has_more = true } },
      { json = { data = { job("b", "A fox", 2) }, has_more = true } },
      { json = { data = { job("a", "A fox", 3) }, has_more = false } })
    assert.equal("b a", found { prompt = "A fox", since = NOW - 10 })
    assert.equal(3, #srv:requests())
  end)

  it("gives the error of a page", function()
    srv:reply({ json = { data = { job("c", "A fox", 1) }, has_more = true } }, { status = 404 })
    local jobs, err = client:find_created { prompt = "A fox" }
    assert.same({ nil, "api", 404 }, { jobs, err.kind, err.status })
  end)

  it("works in a coroutine with a pause hook", function()
    srv:route("GET", "^", { json = { data = { job("a", "A fox", 1) }, has_more = false } })
    client.pause = function() coroutine.yield() end
    local result
    local thread = coroutine.create(function() result = client:find_created { prompt = "A fox" } end)
    patience.run({ thread }, function() assert(client:update(0.01)) end)
    assert.same({ "a" }, rig.pluck(result, "id"))
  end)

  it("raises for misuse", function()
    local function refuses(text, what)
      local good, problem = pcall(function()
        local result = client:find_created(what)
        return result
      end)
      assert.is_false(good)
      assert.matches("create_and_spec%.lua:%d+: bad argument.*'find_created'", problem)
      assert.matches(text, problem)
    end
    refuses("what: expected a table with `prompt` and `since`, got nil", nil)
    refuses("what: expected a table with `prompt` and `since`, got string", "A fox")
    refuses("since: expected seconds since 1970, got string", { since = "today" })
    refuses("prompt: expected a string, got number", { prompt = 5 })
    refuses("unknown option 'promt'; did you mean 'prompt'%?", { promt = "A fox" })
    assert.equal(0, #srv:requests())
  end)

  it("finds what a broken answer left at a development server", function()
    local server = process.serve { "--quiet", "--api-key", rig.KEY }
    finally(function() server:stop() end)
    local live = rig.client(server.origin)
    local since = os.time() - 5
    local id = assert(live:create_video { prompt = "A fox" }).id
    assert(live:create_video { prompt = "A dog" })
    assert.same({ id }, rig.pluck(assert(live:find_created { prompt = "A fox", since = since }), "id"))
    live:close()
  end)
end)
