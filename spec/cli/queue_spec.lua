-- sora put, work and tasks, with a real Redis and the development server.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local rig = require "spec.support.rig"
local shell = require "spec.support.shell"

describe("a queue from a shell", function()
  local srv, sh, server = given.server(), shell.new(), given.redis()
  local files = sh.files

  before_each(function()
    sh:use(srv.url .. "/v1", rig.KEY)
    sh.env.SORA_REDIS_URL = server.url
    files:run "mkdir films"
  end)

  -- A server that makes each prompt's video at once.
  local function serve()
    srv:route("POST", "/v1/videos", { { json = { id = "a", status = "queued" } },
      { json = { id = "b", status = "queued" } } })
    for _, id in ipairs { "a", "b" } do
      srv:route("GET", "/v1/videos/" .. id, { json = { id = id, status = "completed" } })
      srv:route("GET", "/v1/videos/" .. id .. "/content", answers.FILE)
    end
  end

  local function put(text, ...)
    return sh:run({ "put", "-", ... }, { input = text })
  end

  it("takes prompts once, and a worker makes their videos", function()
    serve()
    local _, err, status = put "A fox\n# a comment\n\n{\"prompt\":\"Rain\",\"output\":\"rain.mp4\"}\n"
    assert.same({ "2 prompts: 2 added, 0 there already\n", 0 }, { err, status })
    assert.matches("1 added, 1 there already", select(2, put "A fox\nA dog\n"), 1, true)
    assert.equal("3 waiting, 0 running, 0 saved, 0 failed, 0 unsure\n", (sh:run { "tasks" }))
    srv:route("POST", "/v1/videos", { { json = { id = "a", status = "queued" } },
      { json = { id = "b", status = "queued" } },
      { status = 400, json = { error = { message = "No dogs." } } } })
    local out
    out, err, status = sh:run { "work", "-o", "films", "-j", "1", "--drain" }
    assert.equal(1, status, err)
    assert.equal(2, select(2, out:gsub("films/[^\n]+%.mp4\n", "")), out)
    assert.equal(answers.MP4, files:read "films/rain.mp4")
    assert.matches("No dogs.", err, 1, true)
    out = sh:run { "tasks" }
    assert.matches("^0 waiting, 0 running, 2 saved, 1 failed, 0 unsure\n", out)
    assert.matches("failed .*No dogs%. +A dog", out)
  end)

  it("tells its tasks as JSON lines, and puts one back or drops it", function()
    srv:route("POST", "^", { status = 400, json = { error = { message = "No." } } })
    put "A fox\nRain\n"
    sh:run { "work", "-o", "films", "--drain" }
    local ids, counts = {}, nil
    for line in (sh:run { "tasks", "--json" }):gmatch "[^\n]+" do
      local object = cjson.decode(line)
      counts = object.counts or counts
      if object.id then ids[#ids + 1] = object.id end
    end
    assert.same({ 2, 2 }, { #ids, counts.failed })
    assert.equal(0, select(3, sh:run { "tasks", "retry", ids[1] }))
    assert.equal(0, select(3, sh:run { "tasks", "drop", ids[2] }))
    assert.matches("^1 waiting, 0 running, 0 saved, 0 failed", (sh:run { "tasks" }))
    local _, err, status = sh:run { "tasks", "drop", "nothing" }
    assert.equal(2, status)
    assert.matches("no task 'nothing'", err, 1, true)
  end)

  it("has a worker that ends what is running after Ctrl-C", function()
    srv:route("POST", "^", shell.soon { json = { id = "a", status = "queued" } })
    srv:route("GET", "/v1/videos/a", shell.soon { json = { id = "a", status = "in_progress" } })
    put "A fox\nRain\n"
    local worker = sh:start { "work", "-o", "films", "-j", "1" }
    srv:wait_requests(2)
    worker:kill "INT"
    srv:route("GET", "/v1/videos/a", { json = { id = "a", status = "completed" } })
    srv:route("GET", "/v1/videos/a/content", answers.FILE)
    local status = worker:finish()
    assert.equal(0, status)
    assert.matches("^1 waiting, 0 running, 1 saved", (sh:run { "tasks" }))
  end)

  it("explains what it lacks", function()
    local CASES = {
      { { "put", "-" }, "no redis is named", { SORA_REDIS_URL = "" } },
      { { "tasks" }, "redis", { SORA_REDIS_URL = httpd.refused_url():gsub("^http", "redis") } },
      { { "tasks" }, "redis", { SORA_REDIS_URL = "http://127.0.0.1" } },
      { { "work", "-o", "nowhere" }, "nowhere: there is no such folder" },
      { { "tasks", "retry" }, "which task" },
      { { "put", "none.txt" }, "none.txt" },
    }
    for _, case in ipairs(CASES) do
      local _, err, status = sh:run(case[1], { input = "A fox\n", env = case[3] })
      assert.is_true(status == 2 or status == 6, status)
      assert.matches(case[2], err:lower(), 1, true)
    end
    for text, why in pairs { ["{ not json\n"] = "standard input:1: begins with { and is not JSON",
      [""] = "standard input has no prompts",
      ["{\"prompt\":\"x\",\"output\":\"/etc/x\"}\n"] = "output" } do
      local _, err, status = put(text)
      assert.equal(2, status)
      assert.matches(why, err, 1, true)
    end
    assert.matches("^0 waiting", (sh:run { "tasks" }))
  end)
end)
