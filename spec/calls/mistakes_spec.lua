-- Mistakes of people who use the module for the first time: each raises at their own line and says what to
-- write instead.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local rig = require "spec.support.rig"
local sora = require "sora"

local URL = "http://127.0.0.1:9/v1"

local client

-- Code, and what its error says. `c` is a client, `p` the params of a job, `n` what does nothing.
local MISTAKES = {
  -- A dot in place of a colon.
  ["c.create_video { prompt = 'x' }"] = "create_video is a method: write client:create_video(…)",
  ["c.get_video('v')"] = "get_video is a method: write client:get_video(…)",
  ["c.get_video()"] = "get_video is a method: write client:get_video(…)",
  ["c.wait('v')"] = "wait is a method: write client:wait(…)",
  ["c.poll('v')"] = "poll is a method: write client:poll(…)",
  ["c.watch({ id = 'v' })"] = "watch is a method: write client:watch(…)",
  ["c.update(0)"] = "update is a method: write client:update(…)",
  ["c.start('get_video', 'v')"] = "start is a method: write client:start(…)",
  ["c.download_video('v', 'x.mp4')"] = "download_video is a method: write client:download_video(…)",
  ["c.close()"] = "close is a method: write client:close(…)",
  ["c.videos()"] = "videos is a method: write client:videos(…)",
  ["c.fileno()"] = "fileno is a method: write client:fileno(…)",

  -- A colon in place of a dot.
  ["s:create_video { prompt = 'x' }"] =
    "create_video is a function of the module: write sora.create_video(…)",
  ["s:get_video('v')"] = "get_video is a function of the module: write sora.get_video(…)",
  ["s:new { base_url = 'http://h/v1' }"] = "new is a function of the module: write sora.new(…)",
  ["s:configure {}"] = "configure is a function of the module: write sora.configure(…)",
  ["s:normalize {}"] = "normalize is a function of the module: write sora.normalize(…)",
  ["s:poll('v')"] = "poll is a function of the module: write sora.poll(…)",
  ["s:close()"] = "close is a function of the module: write sora.close(…)",
  ["s:array {}"] = "array is a function of the module: write sora.array(…)",
  ["s:timeout()"] = "timeout is a function of the module: write sora.timeout(…)",

  -- Misspelt names.
  ["c:get_vidoe('v')"] = "a client has no 'get_vidoe'; did you mean 'get_video'?",
  ["c:create_vide(p)"] = "a client has no 'create_vide'; did you mean 'create_video'?",
  ["c:wiat('v')"] = "a client has no 'wiat'; did you mean 'wait'?",
  ["n(c.base_ulr)"] = "a client has no 'base_ulr'; did you mean 'base_url'?",
  ["s.create_vidoe(p)"] = "sora has no 'create_vidoe'; did you mean 'create_video'?",
  ["s.confgure {}"] = "sora has no 'confgure'; did you mean 'configure'?",
  ["s.normalise {}"] = "sora has no 'normalise'; did you mean 'normalize'?",

  -- Options that are assigned.
  ["c.api_key = 'k'"] =
    "'api_key' is an option, which is set when a client is made: write sora.new{ api_key",
  ["c.base_url = 'http://h'"] = "write sora.new{ base_url = … }",
  ["c.baseURL = 'http://h'"] =
    "'baseURL' is an option, which is set when a client is made: write sora.new{ base_",
  ["c.timeout = 5"] =
    "'timeout' is an option, which is set when a client is made: write sora.new{ timeout = … }",
  ["c.journal = 'j'"] = "write sora.new{ journal = … }",
  ["c.on_event = n"] = "write sora.new{ on_event = … }",
  ["c.pause = 1"] = "client.pause: expected a function or nil, got number",
  ["s.api_key = 'k'"] = "write sora.configure{ api_key = … }",
  ["s.timeout = 5"] = "write sora.configure{ timeout = … }",
  ["s.pause = n"] =
    "'pause' is a field of a client: write client = sora.configure{ … }; client.pause = hook",

  -- Names that other clients have.
  ["s.new { baseURL = 'x' }"] = "unknown option 'baseURL'; write 'base_url'",
  ["s.new { api_base = 'x' }"] = "unknown option 'api_base'; write 'base_url'",
  ["s.new { apiKey = 'x' }"] = "unknown option 'apiKey'; write 'api_key'",
  ["s.new { organization = 'x' }"] = "write headers = { ['OpenAI-Organization'] = … }",
  ["s.new { timeout_ms = 1 }"] = "unknown option 'timeout_ms'; write 'timeout', in seconds",
  ["s.new { default_headers = {} }"] = "unknown option 'default_headers'; write 'headers'",
  ["s.new { base_url = 'https://h', client_cert = 'c.pem' }"] =
    "unknown option 'client_cert'; write 'cert_file'",
  ["s.new { base_url = 'http://h', socketPath = '/x' }"] = "unknown option 'socketPath'; write 'unix_socket'",
  ["s.new { base_url = 'https://h', key_file = 'k.pem' }"] =
    "option 'key_file' needs its certificate: write cert_file = '…', too",
  ["s.new { model = 'sora-2' }"] = "it belongs to the params: create_video{ model = … }",
  ["c:wait('v', { poll_interval = 1 })"] = "unknown option 'poll_interval'; write 'interval'",
  ["c:wait('v', { poll_interval_ms = 1 })"] =
    "unknown option 'poll_interval_ms'; write 'interval', in seconds",
  ["c:wait('v', { max_wait = 1 })"] = "unknown option 'max_wait'; write 'timeout'",
  ["c:wait('v', { onProgress = n })"] = "unknown option 'onProgress'; write 'on_progress'",
  ["c:get_video('v', { extra_headers = {} })"] = "unknown option 'extra_headers'; write 'headers'",
  ["c:get_video('v', { extra_query = {} })"] = "unknown option 'extra_query'; write 'query'",
  ["c:create_video(p, { n = 2 })"] = "unknown option 'n'; it belongs to the params: create_video{ n = … }",
  ["c:create_video(p, { reference = 'x' })"] =
    "it belongs to the params: create_video{ input_reference = … }",
  ["c:download_video('v', { file = 'x' })"] = "unknown option 'file'; write 'path'",

  -- Options and params.
  ["s.new { base_ulr = 'x' }"] = "unknown option 'base_ulr'; did you mean 'base_url'?",
  ["s.new { base_url = 'http://h', timeout = 0 }"] =
    "option 'timeout': expected a positive number of seconds, got 0",
  ["s.new { base_url = 'http://h', max_retries = -1 }"] =
    "option 'max_retries': expected a whole number, 0 or more, got -1",
  ["s.new { base_url = 'http://h', api_key = '' }"] =
    "option 'api_key': expected a string, got an empty one",
  ["s.new { base_url = 'http://h', api_key = 'sk-1\\n' }"] =
    "expected a string without control characters, got one with a newline at its end",
  ["s.new { base_url = 'http://h', auth = 'Bearer' }"] =
    "option 'auth': expected 'bearer', 'api-key', 'x-api-key', 'raw' or 'none', got another string",
  ["s.new { base_url = 'http://h', headers = { 'X-A: b' } }"] =
    "option 'headers': expected names that are strings, got a number as a name",
  ["s.new { base_url = 'http://h', headers = { ['X-A'] = true } }"] =
    "as in { ['X-Name'] = 'value' }, got a boolean as the value of 'X-A'",
  ["s.new { base_url = 'http://h', headers = { ['X-A:'] = 'b' } }"] =
    "expected names of letters, digits and '-', as in 'X-Name', got one that no header may have",
  ["c:get_video('v', { query = { page = {} } })"] =
    "strings, numbers or booleans, as in { page = 2 }, got a table as the value of 'page'",
  ["s.verify_webhook({}, '{}', '')"] = "secret: expected a string, got an empty one",
  ["s.verify_webhook({}, '{}', 'k', -1)"] = "tolerance: expected a positive number of seconds, got -1",
  ["s.new 'http://h'"] = "options: expected a table, got string",
  ["s.new { base_url = 'http://h', timeout = '5' }"] =
    "'timeout': expected a positive number of seconds, got string",
  ["s.new { base_url = 'http://h', dialect = 'new-api' }"] = "unknown dialect 'new-api'",
  ["s.new { base_url = 'http://h', paths = { get = '/v' } }"] = "'paths': get: expected '{id}' in it",
  ["c:create_video { promt = 'x' }"] = "unknown field 'promt'; did you mean 'prompt'?",
  ["c:create_video { prompt = 1 }"] = "prompt: expected a string, got number",
  ["c:create_video('x')"] = "params: expected a table, got string",
  ["c:create_video { prompt = 'x', timeout = 5 }"] =
    "'timeout' is an option, not a field of the params: write ",
  ["c:create_video { prompt = 'x', poll_interval = 5 }"] = "create_video({ … }, { interval = … })",
  ["c:create_video { prompt = 'x', input_reference = 'fox.png' }"] = "write { path = 'fox.png' }",
  ["c:remix_video('v', {})"] = "params: 'prompt' is missing",
  ["c:get_video()"] = "id: expected a string, got nil",
  ["c:get_video('')"] = "id: expected an id, got an empty string",
  ["c:wait({})"] =
    "expected an id, or a job, view, ticket or result that has one; got a table without an id",
  ["c:wait_all({ 'a', nil, 'b' })"] = "ids[2]: expected an id, got nil; a list must have no holes",
  ["c:wait_all({ id = 'v', status = 'queued' })"] = "ids: expected a list, got one job; write { job }",
  ["c:download_video('v')"] = "path: expected a string or a table, got nil",
  ["c:download_video('v', { path = 'x', sink = n })"] = "path: expected either path or sink, got both",
  ["c:download_video('v', { path = 'x', variant = 'gif' })"] =
    "expected 'video', 'thumbnail' or 'spritesheet', got",
  ["for _ in c:videos { limit = 0 } do end"] = "limit: expected a whole number, 1 or more, got 0",
  ["c:find_created()"] = "what: expected a table with `prompt` and `since`, got nil",
  ["c:batch({ 'x' }, {})"] = "option 'dir' is missing: write { dir = 'films' }",
  ["c:get_video('v', { on_done = n })"] = "write client:start(name, …, { on_done = … })",

  -- Handles and jobs.
  ["c:start('wait', 'v')"] = "'wait' is not a call that can be started; use client:watch",
  ["c:start('get_vidoe', 'v')"] =
    "'get_vidoe' is not a call that can be started; did you mean 'get_video'?",
  ["c:start('get_video', 'v'):result()"] =
    "the call is not done yet: ask handle:done() first, or call handle:wait()",
  ["c:start('create_and_wait', p):result()"] =
    "the call is not done yet: ask handle:done() first, or call handle:w",
  ["c:watch('v'):result()"] = "the job is not done yet: ask job:done() first, or call job:wait()",
  ["c:watch('v'):wait('1')"] = "bad argument to 'wait' (seconds: expected a number, 0 or more, got 1)",
}

local HEAD = "local s, c, p, n = ...\n"

describe("a mistake", function()
  before_each(function() client = assert(sora.new { base_url = URL, api_key = "k", max_retries = 0 }) end)
  after_each(function()
    client:close()
    sora.close()
  end)

  for code, message in pairs(MISTAKES) do
    it("is answered with what to write: " .. code, function()
      sora.configure { base_url = URL }
      local chunk = assert((loadstring or load)(HEAD .. code, "@user.lua"))
      local good, problem = pcall(chunk, sora, client, { prompt = "x" }, function() end)
      assert.is_false(good)
      assert.matches(message, tostring(problem), 1, true)
      assert.matches("^user%.lua:2: ", problem)
    end)
  end

  it("is answered without the default client's server, too", function()
    sora.close()
    local good, problem = pcall(function() return sora:get_video("v") end)
    assert.is_false(good)
    assert.matches("sora.get_video(…)", problem, 1, true)
  end)
end)

describe("an unknown name", function()
  it("is nil where it resembles no known one", function()
    client = rig.client(URL)
    for _, name in ipairs { "something", "name", "data", "id", "stop", "new_client", "_private",
      "status", 7 } do
      assert.is_nil(client[name])
      assert.is_nil(sora[name])
    end
    assert.is_nil(client.can_wait)
    client.anything = 5
    assert.equal(5, client.anything)
    client:close()
  end)

  it("may be given to the module, as a double in a test", function()
    local before = sora.get_video
    sora.get_video = function() return "double" end
    assert.equal("double", sora.get_video())
    sora.get_video = before
  end)
end)

describe("a base_url", function()
  local function refused(options)
    local made, err = sora.new(options)
    assert.is_nil(made)
    assert.equal("config", err.kind)
    assert.matches("base_url ends in '/vid[%l/]+', the path of a call: give the part before it", err.message)
  end

  it("that ends in /videos is refused", function()
    for _, tail in ipairs { "/v1/videos", "/v1/videos/", "/videos?api-version=1", "/v1/videos//" } do
      refused { base_url = "http://h" .. tail }
    end
    refused { base_url = "http://h/v1/video/generations", dialect = "newapi-generations" }
  end)

  it("may end in /videos where the paths do not begin with it", function()
    for _, paths in ipairs { { get = "/{id}" }, { get = "/job/{id}", create = "/" } } do
      assert(sora.new { base_url = "http://h/v1/videos", paths = paths }):close()
    end
    assert(sora.new { base_url = "http://h/myvideos" }):close()
  end)
end)

describe("an error", function()
  it("can be joined with text", function()
    local _, err = sora.new { base_url = "ftp://h" }
    assert.equal("failed: " .. tostring(err), "failed: " .. err)
    assert.equal(tostring(err) .. "!", err .. "!")
    assert.equal(tostring(err) .. tostring(err), err .. err)
    assert.equal(tostring(err) .. 5, err .. 5)
    local good, problem = pcall(function() return err .. nil end)
    assert.is_false(good)
    assert.matches("mistakes_spec.lua:%d+: attempt to concatenate a nil value", problem)
  end)

  it("and a client, a job and a handle print their names", function()
    client = rig.client(URL)
    assert.matches("^sora%.client %(http://127", tostring(client))
    local handle, job = client:start("get_video", "v"), client:watch("v")
    assert.equal("sora.handle (running)", tostring(handle))
    assert.equal("sora.job (v, unknown)", tostring(job))
    local started = client:start("create_and_wait", { prompt = "x" })
    assert.equal("sora.handle (running)", tostring(started))
    local _, err = client:get_video("v")
    for name, value in pairs { error = err, client = client, handle = handle, job = job } do
      assert.equal("sora." .. name, debug.getmetatable(value).__name)
    end
    client:close()
    assert.equal("sora.handle (done)", tostring(handle))
    assert.equal("sora.handle (done)", tostring(started))
    assert.equal("sora.job (v, closed)", tostring(job))
  end)
end)

describe("the line that an iterator is blamed for", function()
  local srv = given.server()

  it("is that of the loop", function()
    client = rig.client(srv)
    srv:route("*", "^", answers.job("queued"))
    for _, code in ipairs { "for _ in c:videos({}, { timeot = 1 }) do end",
      "c:find_created({}, { timeot = 1 })",
      "for _ in c:poll('v', { timeot = 1 }) do end" } do
      local chunk = assert((loadstring or load)(HEAD .. code, "@user.lua"))
      local _, problem = pcall(chunk, sora, client)
      assert.matches("^user%.lua:2: bad argument.*did you mean 'timeout'", problem)
    end
    client:close()
  end)
end)

describe("a call that cannot wait where it is made", function()
  local ADAPTERS = { coroutine = "coroutine", cqueues = "cqueues", copas = "copas", uv = "luv" }

  -- Asks another process: luv that is loaded, forgotten and loaded again in one crashes.
  local function is_installed(library)
    return rig.run(("io.write(tostring((pcall(require, %q))))"):format(library)):find "true" ~= nil
  end

  for name, library in pairs(ADAPTERS) do
    if is_installed(library) then
      it("is refused at its own line by " .. name, function()
        local output = rig.run(([[
          local sora = require "sora"
          local client = require "sora.loop.%s"(assert(sora.new { base_url = "%s" }))
          print(pcall(function() return client:get_video("v") end))
          for _, call in ipairs { "create_video", "download_video", "wait" } do
            local what = call == "create_video" and {} or "v"
            print(pcall(function() client[call](client, what, { path = "x" }) end))
          end]]):format(name, URL))
        assert.matches('^false\t%(command line%):3: sora%.loop%.' .. name .. ": a call that waits", output)
        assert.matches("\nfalse\t%(command line%):6: sora%.loop%.", output)
      end)
    end
  end

  it("is refused between C functions at its own line", function()
    local output = rig.run(([[
      local cqueues, sora = require "cqueues", require "sora"
      local client = require "sora.loop.cqueues"(assert(sora.new { base_url = "%s" }))
      local loop = cqueues.new()
      loop:wrap(function()
        print(pcall(string.gsub, "x", "x", function()
          client:get_video("v")
        end))
      end)
      print(loop:loop())]]):format(URL))
    if rig.has_integers or rawget(_G, "jit") then
      assert.matches("false\t%(command line%):6: sora%.loop%.cqueues: a call that waits can't yield", output)
    else
      assert.matches("yield", output)
    end
  end)
end)
