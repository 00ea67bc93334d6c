-- sora make: what it prints where, what it sends, what it costs, and how it ends.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local rig = require "spec.support.rig"
local shell = require "spec.support.shell"

local QUEUED, RUNNING = shell.soon(answers.QUEUED), shell.soon(answers.RUNNING)
local DONE = answers.DONE

describe("sora make", function()
  local srv, sh = given.server(), shell.new()
  local files = sh.files

  -- A server whose job is done at the second look.
  local function serve()
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "/v1/videos/v", { QUEUED, RUNNING, DONE })
    srv:route("GET", "/v1/videos/v/content", answers.FILE)
  end

  local function posts() return rig.posts(srv) end

  before_each(function() sh:use(srv.url .. "/v1", rig.KEY) end)

  it("prints the path alone on stdout, and the id first on stderr", function()
    serve()
    local out, err, status = sh:run { "make", "A paper boat!" }
    assert.same({ "a-paper-boat.mp4\n", 0 }, { out, status })
    assert.equal("v", err:match "^[^\n]*")
    assert.matches("a%-paper%-boat%.mp4: in progress 40 %%\n", err)
    assert.matches("saved a%-paper%-boat%.mp4 %(%d+ B%) after %d+ s\n$", err)
    assert.not_matches("[\r\27]", err)
    assert.equal(answers.MP4, files:read "a-paper-boat.mp4")
  end)

  it("sends what its options say", function()
    serve()
    files:write("cat.png", "\137PNG\r\n\26\nx")
    local _, err, status = sh:run { "make", "-m", "sora-2", "-s", "8", "--size", "1280x720", "-i",
      "https://example.org/a.png", "--set", "seed=7", "--set", "style=soft", "--set", "loop=true", "p" }
    assert.equal(0, status, err)
    assert.same({ prompt = "p", model = "sora-2", seconds = "8", size = "1280x720", seed = 7,
      style = "soft", loop = true,
      input_reference = { image_url = "https://example.org/a.png" } }, cjson.decode(srv:requests()[1].body))
    assert.equal("Bearer " .. rig.KEY, srv:requests()[1].headers.authorization)
    srv:reset()
    serve()
    assert.equal(0, select(3, sh:run { "make", "-i", "cat.png", "q" }))
    assert.matches('name="input_reference"; filename="cat.png"', srv:requests()[1].body, 1, true)
  end)

  it("reads the prompt from standard input", function()
    serve()
    assert.equal("two-lines-of-it.mp4\n", (sh:run({ "make", "-" }, { input = "two lines\nof it\n" })))
    assert.equal("two lines\nof it", cjson.decode(srv:requests()[1].body).prompt)
  end)

  it("overwrites nothing without --force, and asks for nothing then", function()
    serve()
    files:write("old.mp4", "old")
    local out, err, status = sh:run { "make", "p", "-o", "old.mp4" }
    assert.same({ "", 2, 0, "old" }, { out, status, #srv:requests(), files:read "old.mp4" })
    assert.matches("old.mp4 exists already; --force overwrites it", err, 1, true)
    assert.equal(0, select(3, sh:run { "make", "p", "-o", "old.mp4", "--force" }))
    assert.equal(answers.MP4, files:read "old.mp4")
  end)

  it("takes another name where its own choice exists already", function()
    serve()
    files:write("p.mp4", "old")
    assert.equal("p-2.mp4\n", (sh:run { "make", "p" }))
    assert.equal("old", files:read "p.mp4")
  end)

  it("takes another name where a film of that name is being made", function()
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "^", answers.HELD)
    local first = sh:start { "make", "p" }
    srv:wait_requests(2)
    srv:route("GET", "/v1/videos/v", DONE)
    srv:route("GET", "/v1/videos/v/content", answers.FILE)
    assert.equal("p-2.mp4\n", (sh:run { "make", "p" }))
    first:kill "KILL"
    first:finish()
  end)

  it("takes the name that was chosen for a job, also where an earlier download began there", function()
    serve()
    sh:run { "make", "p", "--no-wait" }
    files:write("p.mp4.part", "")
    assert.equal("p.mp4\n", (sh:run { "resume" }))
  end)

  it("opens the target before anything is paid for", function()
    serve()
    for _, words in ipairs { { "make", "p" }, { "make", "p", "--no-wait" }, { "remix", "v", "p" },
      { "wait", "v" } } do
      for _, target in ipairs { "missing/x.mp4", "missing/" } do
        local _, err, status = sh:run(answers.with(words, { [#words + 1] = "-o", [#words + 2] = target }))
        assert.same({ 2, 0, "sora: missing/: there is no such folder\n" }, { status, #srv:requests(), err })
      end
    end
  end)

  it("writes the bytes to standard output with -o -, and saves into a folder", function()
    serve()
    assert.equal(answers.MP4, (sh:run { "make", "p", "-o", "-" }))
    files:run "mkdir films"
    assert.equal("films/p.mp4\n", (sh:run { "make", "p", "-o", "films" }))
  end)

  it("says with -o - that standard output is full, and the film can still be fetched", function()
    serve()
    local out, err, status = sh:run({ "make", "p", "-o", "-" }, { output = "/dev/full" })
    assert.same({ "", 2 }, { out, status })
    assert.matches("sora: standard output: [^\n]*\n  The video can still be fetched:  sora wait v\n$", err)
    assert.equal("p.mp4\n", (sh:run { "resume" }))
    err, status = select(2, sh:run({ "download", "v", "-o", "-" }, { output = "/dev/full" }))
    assert.equal(2, status)
    assert.matches("^sora: standard output: [^\n]*\n$", err)
  end)

  it("writes either the film or JSON to standard output", function()
    local out, err, status = sh:run { "make", "p", "-o", "-", "--json" }
    assert.same({ "", 2, 0 }, { err, status, #srv:requests() })
    assert.matches("give only one", cjson.decode(out).error.message, 1, true)
  end)

  it("names with --json a path only where it has saved the film", function()
    serve()
    assert.equal(files:at "p.mp4", cjson.decode((sh:run { "make", "p", "--json" })).path)
    srv:route("POST", "^", { status = 422, json = { error = { message = "Bad size." } } })
    local object = cjson.decode((sh:run { "make", "q", "--json" }))
    assert.same({ "Bad size." }, { object.error.message, object.path })
  end)

  it("prints the id alone with --no-wait, and sora wait saves the video where make was told", function()
    serve()
    local out, err, status = sh:run { "make", "p", "-o", "later.mp4", "--no-wait" }
    assert.same({ "v\n", "", 0 }, { out, err, status })
    assert.equal(1, #srv:requests())
    assert.equal("later.mp4\n", (sh:run { "wait", "v" }))
    assert.equal(answers.MP4, files:read "later.mp4")
  end)

  it("prints one object with --json, and nothing else", function()
    serve()
    local out, err, status = sh:run { "--json", "make", "p" }
    assert.same({ "", 0 }, { err, status })
    local object = cjson.decode(out)
    assert.equal("number", type(object.seconds))
    object.seconds = nil
    assert.same({ id = "v", state = "completed", path = files:at "p.mp4", bytes = #answers.MP4 }, object)
    assert.equal(1, select(2, out:gsub("\n", "")))
  end)

  it("prints an error as one object with --json", function()
    srv:route("POST", "^", { status = 400, json = { error = { message = "No.", code = "bad" } } })
    local out, err, status = sh:run { "make", "p", "--json" }
    assert.same({ "", 1 }, { err, status })
    local object = cjson.decode(out)
    assert.same({ "api", "No.", "bad", 400 }, { object.error.kind, object.error.message, object.error.code,
      object.error.status })
    out, err, status = sh:run { "make", "p", "--json", "-o", "missing/x" }
    assert.same({ "", 2, "file" }, { err, status, cjson.decode(out).error.kind })
  end)

  it("prints results and errors only with -q, and each request with -v", function()
    serve()
    local out, err = sh:run { "make", "p", "-q" }
    assert.same({ "p.mp4\n", "" }, { out, err })
    err = select(2, sh:run { "-v", "make", "p" })
    assert.matches("request POST " .. srv.url .. "/v1/videos\n", err, 1, true)
    assert.not_matches(rig.KEY, err, 1, true)
  end)

  it("prints the request without the key with -n, and sends nothing", function()
    local out, err, status = sh:run { "make", "p", "-n", "-s", "4" }
    assert.same({ "", 0, 0 }, { err, status, #srv:requests() })
    assert.matches("^POST " .. srv.url .. "/v1/videos\n", out)
    assert.matches('"seconds":"4"', out, 1, true)
    assert.not_matches(rig.KEY, out, 1, true)
    assert.equal("p", cjson.decode((sh:run { "make", "p", "-n", "--json" })).body.prompt)
  end)

  it("ends with 3 at its timeout, and says how to go on", function()
    serve()
    srv:route("GET", "/v1/videos/v", RUNNING)
    local _, err, status = sh:run { "make", "p", "--timeout", "0.2", "--base-url", srv.url .. "/v1" }
    assert.equal(3, status)
    assert.matches("sora --base-url " .. srv.url .. "/v1 wait v", err, 1, true)
    assert.equal(1, posts())
  end)

  local ENDS = {
    ["1 when the job fails"] = { 1, { { id = "v", status = "failed", error = { message = "No luck." } } },
      "No luck" },
    ["1 when the server refuses"] = { 1, { status = 422, json = { error = { message = "Bad size." } } },
      "Bad size" },
    ["4 when the key is refused"] = { 4, { status = 401, json = { error = { message = "Bad key." } } },
      "The key is from SORA_API_KEY. Another one:  export SORA_API_KEY=KEY\n" },
    ["5 when there may be a job"] = { 5, { status = 502, body = "Bad Gateway" }, "sora list --remote" },
    ["5 when the answer breaks off"] = { 5, { close = true }, "It was not asked for again" },
  }
  for how, case in pairs(ENDS) do
    it("ends with " .. how, function()
      local answer = case[2]
      srv:route("POST", "^", answer[1] and { json = answer[1] } or answer)
      srv:route("GET", "^", { json = { id = "v", status = "failed", error = { message = "No luck." } } })
      local out, err, status = sh:run { "make", "p" }
      assert.same({ case[1], "", 1 }, { status, out, posts() }, err)
      assert.matches(case[3], err, 1, true)
      assert.is_nil(files:read "p.mp4")
    end)
  end

  it("ends with 6 when the network fails before anything is sent", function()
    sh:use(httpd.refused_url() .. "/v1", rig.KEY)
    local _, err, status = sh:run { "make", "p" }
    assert.equal(6, status)
    assert.matches("sora doctor", err, 1, true)
  end)

  it("escapes control characters of a server", function()
    srv:route("POST", "^", { status = 400, json = { error = { message = "red \27[31m and \7" } } })
    local _, err = sh:run { "make", "p" }
    assert.not_matches("[\27\7]", err)
    assert.matches("red ", err, 1, true)
    srv:route("POST", "^", { json = { id = "v\27[2J", status = "queued" } })
    local out = sh:run { "make", "p", "--no-wait" }
    assert.not_matches("\27", out)
  end)

  it("says when standard output is full", function()
    serve()
    local _, err, status = sh:run({ "make", "p" }, { output = "/dev/full" })
    assert.equal(2, status)
    assert.matches("standard output: ", err, 1, true)
    assert.equal(answers.MP4, files:read "p.mp4")
  end)

  it("shows with -n the header that has the key", function()
    local header = { azure = "\napi%-key: %(the key, from SORA_API_KEY%)\n",
      openai = "\nAuthorization: %(the key, from SORA_API_KEY%)\n" }
    for dialect, pattern in pairs(header) do
      assert.matches(pattern, (sh:run { "make", "p", "-n", "--dialect", dialect }))
    end
  end)

  it("says what the library refuses in one sentence", function()
    for _, case in ipairs { { { "--dialect", "azur" }, "option 'dialect': unknown dialect 'azur'" },
      { { "--base-url", "gateway.example/v1" }, "base_url must begin with http:// or https://" } } do
      local _, err, status = sh:run { "make", "p", (table.unpack or unpack)(case[1]) }
      assert.equal(2, status)
      assert.matches("sora: " .. case[2], err:sub(1, 6 + #case[2]), 1, true)
    end
  end)

  it("says one sentence and its usage line for bad input", function()
    for _, case in ipairs { { { "make" }, "missing argument 'prompt'" }, { { "make", "" },
      "the prompt is empty" }, { { "make", " \t" }, "the prompt is empty" },
      { { "make", "p", "-o", "" }, "-o is empty: expected a file, a folder or -" },
      { { "make", "p", "--foo" }, "unknown option '--foo'" }, { { "make", "p", "--timeout", "x" },
        "expected a number" },
      { { "make", "p", "--set", "x" }, "expected NAME=VALUE" } } do
      local out, err, status = sh:run(case[1])
      assert.same({ "", 2, 0 }, { out, status, #srv:requests() })
      assert.matches(case[2], err, 1, true)
      assert.matches("^sora[^\n]*\nUsage: sora make PROMPT|%- [^\n]*\n$", err)
    end
    local _, err, status = sh:run { "make", "p", "-i", "none.png" }
    assert.equal(2, status)
    assert.matches("expected a file or a URL, got 'none.png', which is not there", err, 1, true)
  end)

  it("tells which server it lacks", function()
    sh:use(nil, nil)
    local _, err, status = sh:run { "make", "p" }
    assert.equal(2, status)
    assert.matches("no server is configured", err, 1, true)
    assert.matches("sora config set base_url", err, 1, true)
  end)
end)

describe("a command that makes a video out of another", function()
  local srv, sh = given.server(), shell.new()

  local CASES = {
    remix = { { "remix", "old", "more rain" }, "/v1/videos/old/remix", { prompt = "more rain" } },
    edit = { { "edit", "old", "more rain" }, "/v1/videos/edits", { prompt = "more rain",
      video = { id = "old" } } },
    extend = { { "extend", "old", "-s", "4" }, "/v1/videos/extensions", { seconds = "4",
      video = { id = "old" } } },
  }
  for name, case in pairs(CASES) do
    it(name .. " posts, waits and saves", function()
      sh:use(srv.url .. "/v1")
      srv:route("POST", case[2], QUEUED)
      srv:route("GET", "/v1/videos/v", DONE)
      srv:route("GET", "/v1/videos/v/content", answers.FILE)
      local out, err, status = sh:run(case[1])
      assert.equal(0, status, err)
      assert.equal(answers.MP4, sh.files:read(out:gsub("\n", "")))
      assert.same(case[3], cjson.decode(srv:requests()[1].body))
    end)
  end

  it("edit sends a file that exists", function()
    sh:use(srv.url .. "/v1")
    sh.files:write("in.mp4", answers.MP4)
    srv:route("POST", "^", QUEUED)
    assert.equal(3, select(3, sh:run { "edit", "in.mp4", "more rain", "--timeout", "0.1" }))
    assert.matches('name="video"; filename="in.mp4"', srv:requests()[1].body, 1, true)
  end)
end)
