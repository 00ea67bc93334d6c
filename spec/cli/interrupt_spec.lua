-- Ctrl-C and worse: what the command says, and that no job is lost.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local rig = require "spec.support.rig"
local shell = require "spec.support.shell"

describe("Ctrl-C", function()
  local srv, sh = given.server(), shell.new()

  before_each(function() sh:use(srv.url .. "/v1", rig.KEY) end)

  it("while a job is waited for says how to go on, and ends with 130", function()
    srv:route("POST", "^", shell.soon(answers.QUEUED))
    srv:route("GET", "^", answers.HELD)
    local program = sh:start { "make", "A boat" }
    srv:wait_requests(2)
    program:kill "INT"
    local status, out, err = program:finish()
    assert.same({ 130, "" }, { status, out }, err)
    assert.matches("The job goes on at the server. To wait for it:  sora wait v\n", err, 1, true)
    srv:route("GET", "/v1/videos/v", answers.DONE)
    srv:route("GET", "/v1/videos/v/content", answers.FILE)
    assert.equal("a-boat.mp4\n", (sh:run { "resume" }))
    assert.equal(answers.MP4, sh.files:read "a-boat.mp4")
  end)

  it("before the server has answered a create waits for the id", function()
    srv:route("POST", "^", answers.with(answers.QUEUED, { hold = true }))
    local program = sh:start { "make", "A boat" }
    srv:wait_requests(1)
    program:kill "INT"
    srv:release()
    local status, _, err = program:finish()
    assert.equal(130, status)
    assert.matches("sora wait v\n", err, 1, true)
  end)

  it("with --no-wait waits for the id as well, and says where there may be a job", function()
    srv:route("POST", "^", answers.with(answers.QUEUED, { hold = true }))
    local program = sh:start { "make", "A boat", "--no-wait" }
    srv:wait_requests(1)
    program:kill "INT"
    srv:release()
    local status, out, err = program:finish()
    assert.same({ 130, "" }, { status, out })
    assert.matches("sora wait v\n", err, 1, true)
    srv:route("POST", "^", { hold = true })
    program = sh:start { "make", "A boat", "--no-wait" }
    srv:wait_requests(2)
    program:kill "INT"
    status, out, err = program:finish()
    assert.same({ 130, "" }, { status, out })
    assert.matches("there may be a job\n  To look for it:  sora resume\n", err, 1, true)
  end)

  it("before a server answers at all says that there may be a job", function()
    srv:route("POST", "^", { hold = true })
    local program = sh:start { "make", "A boat" }
    srv:wait_requests(1)
    program:kill "INT"
    local status, _, err = program:finish()
    assert.equal(130, status)
    assert.matches("there may be a job", err, 1, true)
    assert.matches("sora resume", err, 1, true)
  end)

  for _, name in ipairs { "argparse", "sora.cli.screen", "sora.cli.commands.make" } do
    it("while the command still loads " .. name .. " ends it quietly with 130", function()
      local out, err, status = sh:run({ "make", "A boat" }, { env = { LUA_INIT = ([[
        package.preload["%s"] = function() error("interrupted!", 0) end]]):format(name) } })
      assert.same({ "", "", 130, 0 }, { out, err, status, #srv:requests() })
    end)
  end

  it("prints one object with --json", function()
    srv:route("POST", "^", shell.soon(answers.QUEUED))
    srv:route("GET", "^", answers.HELD)
    local program = sh:start { "make", "A boat", "--json" }
    srv:wait_requests(2)
    program:kill "INT"
    local status, out = program:finish()
    assert.equal(130, status)
    local object = cjson.decode(out)
    assert.same({ "interrupted", "v" }, { object.error.message, object.jobs[1].id })
  end)
end)

describe("sora resume", function()
  local srv, sh = given.server(), shell.new()

  before_each(function() sh:use(srv.url .. "/v1", rig.KEY) end)

  local function finish_all()
    srv:route("GET", "/v1/videos/v", answers.DONE)
    srv:route("GET", "/v1/videos/v/content", answers.FILE)
  end

  local function posts() return rig.posts(srv) end

  it("has nothing to do at first", function()
    local out, err, status = sh:run { "resume" }
    assert.same({ "", "nothing is unfinished\n", 0 }, { out, err, status })
  end)

  it("saves the video of a command that was killed, where it was to go", function()
    srv:route("POST", "^", shell.soon(answers.QUEUED))
    srv:route("GET", "^", answers.HELD)
    sh.files:run "mkdir films"
    local program = sh:start { "make", "A boat", "-o", "films/boat.mp4" }
    srv:wait_requests(2)
    program:kill "KILL"
    program:wait()
    finish_all()
    local out, _, status = sh:run { "resume" }
    assert.same({ "films/boat.mp4\n", 0 }, { out, status })
    assert.equal(answers.MP4, sh.files:read "films/boat.mp4")
    assert.equal(1, posts())
    assert.equal("nothing is unfinished\n", (select(2, sh:run { "resume" })))
  end)

  it("finds the job of a create whose answer was lost, and asks for it only once", function()
    srv:route("POST", "^", { close = true })
    assert.equal(5, select(3, sh:run { "make", "A boat" }))
    srv:route("GET", "/v1/videos", { json = { data = { { id = "v", status = "queued", prompt = "A boat",
      created_at = os.time() } } } })
    finish_all()
    assert.equal("a-boat.mp4\n", (sh:run { "resume" }))
    assert.equal(1, posts())
    assert.same({ "", "nothing is unfinished\n", 0 }, { sh:run { "resume" } })
  end)

  it("ends with 5 where the server knows no such job, until it is forgotten", function()
    srv:route("POST", "^", { close = true })
    sh:run { "make", "A boat" }
    srv:route("GET", "/v1/videos", { json = { data = {} } })
    local _, err, status = sh:run { "resume" }
    assert.equal(5, status)
    local words = err:match "sora (list %-%-forget [^\n]+)"
    assert.is_truthy(words, err)
    local forget = {}
    for word in words:gmatch "%S+" do forget[#forget + 1] = word end
    assert.equal(0, select(3, sh:run(forget)))
    assert.same({ "", "nothing is unfinished\n", 0 }, { sh:run { "resume" } })
    assert.equal(1, posts())
  end)

  it("saves two jobs that were to have the same name under two", function()
    srv:route("POST", "^", { { json = { id = "a", status = "queued" } },
      { json = { id = "b", status = "queued" } } })
    for _ = 1, 2 do sh:run { "make", "A boat", "--no-wait" } end
    for _, id in ipairs { "a", "b" } do
      srv:route("GET", "/v1/videos/" .. id, { json = { id = id, status = "completed" } })
      srv:route("GET", "/v1/videos/" .. id .. "/content", answers.file(id))
    end
    assert.equal(0, select(3, sh:run { "resume" }))
    assert.same({ a = true, b = true }, { [sh.files:read "a-boat.mp4"] = true,
      [sh.files:read "a-boat-2.mp4"] = true })
  end)

  it("names the servers of other jobs, which it cannot ask with this key", function()
    srv:route("POST", "^", answers.QUEUED)
    sh:run { "make", "A boat", "--no-wait", "--base-url", srv.url .. "/v2" }
    local _, err, status = sh:run { "resume" }
    assert.equal(0, status)
    assert.matches("1 job at another server:  sora --base-url " .. srv.url .. "/v2 resume", err, 1, true)
  end)

  it("survives kills at any moment with one job for each command", function()
    srv:route("POST", "^", shell.soon(answers.QUEUED))
    srv:route("GET", "/v1/videos/v", shell.soon(answers.RUNNING))
    local program = sh:start { "make", "A boat" }
    srv:wait_requests(3)
    program:kill "KILL"
    program:wait()
    for _ = 1, 3 do
      local before = #srv:requests()
      program = sh:start { "resume" }
      srv:wait_requests(before + 1)
      program:kill "KILL"
      program:wait()
    end
    finish_all()
    assert.equal("a-boat.mp4\n", (sh:run { "resume" }))
    assert.equal(1, posts())
  end)
end)
