-- Holds the declarations for editors, types/sora.lua, against the live tables.
local answers = require "spec.support.answers"
local facts = require "spec.support.facts"
local given = require "spec.support.given"
local meta = require "spec.support.meta"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local sora = require "sora"

local types = meta.read "types/sora.lua"
local methods = require("sora.client").methods
local endpoints = require "sora.endpoints"

local NOWHERE = "http://127.0.0.1:9"

local function methods_of(class)
  return facts.sorted(types.classes[class].methods)
end

local function functions_in(live)
  local names = {}
  for name, value in pairs(live) do
    if type(value) == "function" and not name:find "^_" then names[name] = true end
  end
  return facts.sorted(names)
end

local function index_of(object)
  return debug.getmetatable(object).__index
end

describe("types/sora.lua", function()
  it("is a module that Lua loads", function()
    assert.equal("---@meta sora", facts.read("types/sora.lua"):match "^[^\n]*")
    assert.equal("table", type(assert(loadfile "types/sora.lua")()))
  end)

  it("declares every type that it names, and says what it is", function()
    for name, line in pairs(types.used) do
      local declared = types.classes[name] or types.aliases[name]
      assert.is_truthy(declared, ("%s in line %d is declared nowhere"):format(name, line))
      assert.is_true(declared.doc, name .. " says nothing about itself")
    end
  end)

  it("gives the module's functions the parameters of the client's methods", function()
    local module, client = types.classes.sora.methods, types.classes["sora.Client"].methods
    local compared = 0
    for name, method in pairs(client) do
      if module[name] and name ~= "close" then
        assert.same(method.parameters, module[name].parameters, name)
        compared = compared + 1
      end
    end
    assert.is_true(compared > 0)
  end)
end)

describe("types/sora.lua declares the methods", function()
  local client

  setup(function() client = assert(sora.new { base_url = NOWHERE }) end)
  teardown(function() client:close() end)

  it("of the module", function()
    local late = getmetatable(sora).__index -- of names that assigning must not replace
    facts.assert_same(functions_in(answers.with(sora, late)), methods_of "sora")
    assert.is_string(sora._VERSION)
    assert.is_truthy(types.classes.sora.fields._VERSION)
  end)

  it("of a client", function()
    facts.assert_same(functions_in(methods), methods_of "sora.Client")
  end)

  it("that can be started", function()
    local live = {}
    for name in pairs(methods) do
      local good, problem = pcall(client.start, client, name)
      live[name] = good or not tostring(problem):find "not a call that can be started" or nil
    end
    facts.assert_same(facts.sorted(live), types.aliases["sora.CallName"].words)
  end)

  it("of a handle", function()
    local handle = client:start("get_video", "v")
    facts.assert_same(functions_in(index_of(handle)), methods_of "sora.Handle")
    handle:cancel()
  end)

  it("of a watched job", function()
    local job = client:watch("v")
    facts.assert_same(functions_in(index_of(job)), methods_of "sora.Job")
    job:cancel()
  end)
end)

describe("types/sora.lua declares the options", function()
  local client

  setup(function() client = assert(sora.new { base_url = NOWHERE, timeout = 1, max_retries = 0 }) end)
  teardown(function() client:close() end)

  local function assert_options(class, call)
    facts.assert_same(facts.options(call), facts.sorted(types:fields(class)), class)
  end

  it("of a client", function()
    assert_options("sora.ClientOptions", sora.new)
    assert_options("sora.ClientOptions", sora.configure)
  end)

  it("of a call that is started", function()
    assert_options("sora.StartOptions", function(opts) return client:start("get_video", "v", opts) end)
    assert_options("sora.StartCreateOptions",
      function(opts) return client:start("create_video", {}, opts) end)
  end)

  -- A call that is waited for knows on_done, only to say that it is of no use there.
  it("of a blocking call", function()
    local expected = types:fields "sora.StartOptions"
    expected.on_done = nil
    facts.assert_same(facts.sorted(expected), facts.sorted(types:fields "sora.CallOptions"))
    expected = types:fields "sora.StartCreateOptions"
    expected.on_done = nil
    facts.assert_same(facts.sorted(expected), facts.sorted(types:fields "sora.CreateOptions"))
    assert.error_matches(function() client:get_video("v", { on_done = print }) end,
      "on_done.*for calls that are started")
  end)

  it("of waits", function()
    assert_options("sora.WaitOptions", function(opts) return client:wait("v", opts) end)
    assert_options("sora.PollOptions", function(opts) return client:poll("v", opts) end)
    assert_options("sora.WaitAllOptions", function(opts) return client:wait_all({}, opts) end)
    assert_options("sora.WatchOptions", function(opts) return client:watch("v", opts) end)
  end)

  it("of a batch", function()
    assert_options("sora.BatchOptions", function(opts)
      return client:batch({}, answers.with({ dir = "/nowhere" }, opts))
    end)
  end)

  it("of a create that is waited for", function()
    local target = { path = "/nowhere" }
    assert_options("sora.CreateAndWaitOptions", function(opts) return client:create_and_wait({}, opts) end)
    assert_options("sora.CreateAndWaitOptions", function(opts)
      return client:create_and_download({}, target, opts)
    end)
  end)

  it("of a client's paths and dialects", function()
    facts.assert_same(facts.sorted(endpoints.paths()), facts.sorted(types:fields "sora.Paths"))
    facts.assert_same(facts.sorted(require("sora.options").dialects), types.aliases["sora.Dialect"].words)
  end)

  it("of input files and of find_created's argument", function()
    facts.assert_same({ "content_type", "data", "filename", "path" },
      facts.sorted(types:fields "sora.InputFile"))
    facts.assert_same({ "prompt", "since" }, facts.sorted(types:fields "sora.Sought"))
    facts.assert_same(facts.sorted(types:fields "sora.DownloadTarget"), facts.options(function(target)
      return client:create_and_download({}, target)
    end))
  end)

  it("of a download's target", function()
    assert_options("sora.DownloadTarget", function(target) return client:download_video("v", target) end)
  end)
end)

describe("types/sora.lua declares the fields", function()
  local srv, files = given.server(), given.folder()
  local client

  setup(function() client = rig.client(srv) end)
  teardown(function() client:close() end)

  -- A live table: everything in it is declared, and everything is there that is not optional.
  local function assert_fields(class, live)
    assert.is_table(live, class)
    local fields = types:fields(class)
    for name in pairs(live) do
      assert.is_truthy(fields[name], ("%s has %s, which is not declared"):format(class, tostring(name)))
    end
    for name, about in pairs(fields) do
      assert.is_true(about.optional or live[name] ~= nil, ("%s lacks %s"):format(class, name))
    end
  end

  local REFUSAL = { status = 429, headers = { ["retry-after"] = "3", ["x-request-id"] = "req_1" },
    body = '{"error":{"message":"no","code":"c","type":"t","param":"p"}}' }

  it("of a client", function()
    local live = {}
    for name, value in pairs(client) do
      if type(name) == "string" and not name:find "^_" then live[name] = value end
    end
    live.base_url = client.base_url -- which assigning does not replace
    assert_fields("sora.Client", live)
  end)

  it("of errors, and their kinds", function()
    srv:route("*", "^", REFUSAL)
    local _, refused = client:get_video "v"
    assert_fields("sora.Error", refused)
    local lost = rig.client(NOWHERE)
    local _, failed = lost:create_video {}
    lost:close()
    assert.equal("connect", failed.kind)
    assert_fields("sora.Error", failed)
    facts.assert_same(facts.kinds(), types.aliases["sora.ErrorKind"].words)
  end)

  it("of responses", function()
    srv:route("*", "^", REFUSAL)
    local _, _, response = client:get_video("v", { response = true })
    assert_fields("sora.Response", response)
    facts.assert_same(facts.sorted(response), facts.sorted(types:fields "sora.Response"))
  end)

  it("of events", function()
    local seen, events, listen = {}, rig.collector()
    srv:route("*", "^", answers.busy(1))
    local listener = rig.client(srv, { max_retries = 1, on_event = listen })
    listener:get_video "v"
    listener:report "what a callback raised"
    listener:close()
    for _, event in ipairs(events) do
      assert_fields("sora.Event", event)
      for name in pairs(event) do seen[name] = true end
    end
    facts.assert_same(facts.sorted(seen), facts.sorted(types:fields "sora.Event"))
  end)

  it("of files", function()
    srv:route("*", "^", answers.file "bytes")
    local file = assert(client:download_video("v", files:at "v.mp4"))
    assert_fields("sora.File", file)
    facts.assert_same(facts.sorted(file), facts.sorted(types:fields "sora.File"))
  end)

  it("of files of jobs that were created for them", function()
    srv:route("POST", "^", { body = '{"id":"v","status":"completed"}' })
    srv:route("GET", "^", answers.file "bytes")
    local file = assert(client:create_and_download({ prompt = "p" }, files:at "v.mp4"))
    facts.assert_same(facts.sorted(file), facts.sorted(types:fields "sora.CreatedFile"))
  end)

  it("of tickets in errors, and of those in the journal", function()
    srv:route("GET", "^", { body = '{"id":"v","status":"failed"}' })
    srv:route("POST", "^", { { body = '{"id":"v","status":"queued","created_at":1764649117}' },
      { body = '{"id":"w","status":"queued","created_at":1764649117}' }, { close = true } })
    local keeper = rig.client(srv, { journal = files:at "journal" })
    local _, err = keeper:create_and_wait { prompt = "p" }
    assert.equal("failed", err.kind)
    assert_fields("sora.Error", err)
    facts.assert_same(facts.sorted(err.ticket), facts.sorted(types:fields "sora.Ticket"))
    assert(keeper:create_video({ prompt = "p" }, { label = "l", target = "v.mp4", idempotency_key = "i" }))
    assert.is_true(select(2, keeper:create_video { prompt = "p" }).ambiguous)
    local function assert_all(class, tickets)
      local seen = {}
      for _, ticket in ipairs(tickets) do
        assert_fields(class, ticket)
        for name in pairs(ticket) do seen[name] = true end
      end
      facts.assert_same(facts.sorted(seen), facts.sorted(types:fields(class)))
    end
    assert_all("sora.UnfinishedTicket", assert(keeper:unfinished()))
    srv:route("GET", "^", answers.file "bytes")
    assert(keeper:download_video("w", files:at "w.mp4"))
    assert_all("sora.JournalTicket", assert(keeper:journaled()))
    keeper:close()
  end)

  it("of views", function()
    local view = sora.normalize { id = "v", status = "completed", progress = 10,
      url = "https://cdn.example/v.mp4", created_at = 1764649117, completed_at = 1764649118,
      last_frame_url = "https://cdn.example/last.png", seconds = "4", usage = { cost = 0.5 },
      error = { message = "no", code = "not_found", type = "t", param = "p" } }
    facts.assert_same(facts.sorted(view), facts.sorted(types:fields "sora.View"))
    facts.assert_same(facts.sorted(view.error), facts.sorted(types:fields "sora.ViewError"))
  end)

  it("of results and tickets", function()
    srv:route("*", "^", { body = '{"id":"v","status":"completed","created_at":1764649117}' })
    local results = client:wait_all { "v" }
    assert_fields("sora.WaitResult", results[1])
    local job = client:watch "v"
    patience.result(client, job)
    assert_fields("sora.Ticket", job:ticket())
    facts.assert_same(facts.sorted(job:ticket()), facts.sorted(types:fields "sora.Ticket"))
  end)
end)

describe("the types of other modules", function()
  it("are declared for each adapter, with its parameters", function()
    local count = 0
    for _, path in ipairs(process.lines "ls types/sora/loop/*.lua") do
      local name = path:match "([%l%d]+)%.lua$"
      local code = facts.read("lua/sora/loop/" .. name .. ".lua")
      assert.equal("---@meta sora.loop." .. name, facts.read(path):match "^[^\n]*")
      assert.equal(code:match "\nreturn function(%b())", facts.read(path):match "\nreturn function(%b())")
      count = count + 1
    end
    assert.equal(5, count)
  end)

  it("are declared for sora.work: its functions, and the methods of queues and workers", function()
    local declared, defined = {}, {}
    for name in facts.read("types/sora/work.lua"):gmatch "\nfunction (%u%l+:%l+)%(" do
      declared[name] = true
    end
    for _, path in ipairs { "cli/sora/work.lua", "cli/sora/work/worker.lua" } do
      for name in facts.read(path):gmatch "\nfunction (%u%l+:%l+)%(" do
        defined[name] = true
      end
    end
    facts.assert_same(facts.sorted(defined), facts.sorted(declared))
    assert(loadfile "types/sora/work.lua")
  end)
end)
