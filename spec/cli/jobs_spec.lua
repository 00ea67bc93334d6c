-- sora get, list, wait, download, cancel and delete.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local rig = require "spec.support.rig"
local shell = require "spec.support.shell"

describe("sora", function()
  local srv, sh = given.server(), shell.new()
  local files = sh.files

  before_each(function() sh:use(srv.url .. "/v1", rig.KEY) end)

  -- A server that knows some jobs: id → status.
  local function know(jobs)
    for id, status in pairs(jobs) do
      srv:route("GET", "/v1/videos/" .. id, { json = { id = id, status = status,
        error = status == "failed" and { message = "No luck." } or nil } })
      srv:route("GET", "/v1/videos/" .. id .. "/content", answers.FILE)
    end
  end

  it("get shows a job in its own words, and the answer with --json", function()
    srv:route("GET", "^", { json = { id = "v", status = "in_progress", progress = 40, model = "sora-2",
      prompt = "A \27[31mred boat", created_at = 1764649117 } })
    local out, err, status = sh:run { "get", "v" }
    assert.same({ "", 0 }, { err, status })
    assert.matches("id         v\nstate      in_progress\nprogress   40 %%\n", out)
    assert.not_matches("\27", out)
    assert.equal("in_progress", cjson.decode((sh:run { "get", "v", "--json" })).status)
  end)

  it("get says why there is no job", function()
    srv:route("GET", "^", { status = 404, json = { error = { message = "No such job." } } })
    local _, err, status = sh:run { "get", "v" }
    assert.equal(1, status)
    assert.matches("sora: No such job.", err, 1, true)
  end)

  it("wait saves several videos, and its status is that of the worst", function()
    know { a = "completed", b = "failed", c = "completed" }
    local out, err, status = sh:run { "wait", "a", "b", "c" }
    assert.equal(1, status)
    local saved = {}
    for line in out:gmatch "[^\n]+" do saved[line] = true end
    assert.same({ ["a.mp4"] = true, ["c.mp4"] = true }, saved)
    assert.matches("sora: b: No luck.", err, 1, true)
    local jobs = cjson.decode((sh:run { "wait", "a", "b", "--json" })).jobs
    assert.same({ "a", "completed", "failed" }, { jobs[1].id, jobs[1].state, jobs[2].error.kind })
  end)

  it("wait saves several videos into a folder", function()
    know { a = "completed", b = "completed" }
    files:run "mkdir films"
    assert.equal(0, select(3, sh:run { "wait", "a", "b", "-o", "films" }))
    assert.equal("a.mp4 b.mp4", table.concat({ files:read "films/a.mp4" and "a.mp4",
      files:read "films/b.mp4" and "b.mp4" }, " "))
    local _, err, status = sh:run { "wait", "a", "b", "-o", "x.mp4" }
    assert.equal(2, status)
    assert.matches("-o must be a folder", err, 1, true)
  end)

  it("download saves a finished video, and a picture of it", function()
    know { v = "completed" }
    assert.same({ "v.mp4\n", 0 }, { (sh:run { "download", "v" }), 0 })
    assert.equal(answers.MP4, files:read "v.mp4")
    srv:route("GET", "/v1/videos/v/content?variant=thumbnail", { body = "RIFFxxxxWEBP",
      headers = { ["Content-Type"] = "image/webp" } })
    assert.equal("v.webp\n", (sh:run { "download", "v", "--variant", "thumbnail" }))
    assert.equal(answers.MP4, (sh:run { "download", "v", "-o", "-" }))
  end)

  it("download ends with 3 where the job is not over", function()
    srv:route("GET", "/v1/videos/v", answers.RUNNING)
    srv:route("GET", "/v1/videos/v/content", { status = 404, json = { error = { message = "Not ready." } } })
    local _, err, status = sh:run { "download", "v" }
    assert.equal(3, status)
    assert.matches("not ready", err, 1, true)
  end)

  it("list shows the jobs made here, newest first", function()
    srv:route("POST", "^", { { json = { id = "a", status = "queued" } }, { json = { id = "b",
      status = "queued" } },
      { close = true } })
    know { a = "completed" }
    sh:run { "make", "One", "--no-wait" }
    sh:run { "make", "Two", "--no-wait" }
    sh:run { "make", "Three" }
    sh:run { "wait", "a" }
    local out, _, status = sh:run { "list" }
    assert.equal(0, status)
    local states = {}
    for line in out:gmatch "[^\n]+" do states[#states + 1] = line:match "unsure" or line:match "saved"
      or line:match "queued" end
    assert.same({ "unsure", "queued", "saved" }, states)
    assert.matches("one.mp4 +One\n", out)
    out = sh:run { "list", "--json", "-n", "2" }
    local ids = {}
    for line in out:gmatch "[^\n]+" do
      local row = cjson.decode(line)
      ids[#ids + 1] = row.id or row.state
    end
    assert.same({ "unsure", "b" }, ids)
    assert.matches("a ", (sh:run { "list", "--state", "saved" }), 1, true)
    assert.not_matches("b ", (sh:run { "list", "--state", "saved" }), 1, true)
  end)

  it("list --remote asks the server, page by page", function()
    srv:route("GET", "/v1/videos", { { json = { data = { { id = "c", status = "queued", prompt = "Three" } },
      has_more = true, last_id = "c" } }, { json = { data = { { id = "d", status = "failed" } },
        has_more = false } } })
    local out = sh:run { "list", "--remote" }
    assert.matches("c +queued +Three\nd +failed\n$", out)
  end)

  it("list says that there is nothing", function()
    assert.same({ "", "no jobs\n", 0 }, { sh:run { "list" } })
    srv:route("GET", "/v1/videos", { status = 404, body = "nothing here" })
    assert.equal(1, select(3, sh:run { "list", "--remote" }))
  end)

  it("list needs neither a server nor a key", function()
    local out, err, status = sh:run({ "list" }, { env = { SORA_BASE_URL = "" } })
    assert.same({ "", "no jobs\n", 0 }, { out, err, status })
    srv:route("POST", "^", { json = { id = "v", status = "queued" } })
    sh:run { "make", "p", "--no-wait" }
    out, err, status = sh:run({ "list", "--json" }, { env = { SORA_BASE_URL = "", SORA_API_KEY = "a\nb" } })
    assert.same({ "v", "", 0 }, { cjson.decode(out).id, err, status })
    status = select(3, sh:run({ "list", "--remote" }, { env = { SORA_BASE_URL = "" } }))
    assert.equal(2, status)
  end)

  it("list --forget says which job the journal does not have", function()
    local _, err, status = sh:run { "list", "--forget", "none" }
    assert.equal(2, status)
    assert.matches("sora: no job 'none' of ", err, 1, true)
    assert.matches("  The jobs in it:  sora list\n", err, 1, true)
  end)

  it("resume has the same form with --json for any number of jobs", function()
    assert.equal('{"jobs":[]}\n', (sh:run { "resume", "--json" }))
    srv:route("POST", "^", { json = { id = "v", status = "queued" } })
    srv:route("GET", "/v1/videos/v", { json = { id = "v", status = "failed", error = { message = "no" } } })
    sh:run { "make", "p", "--no-wait" }
    assert.equal("v", cjson.decode((sh:run { "resume", "--json" })).jobs[1].id)
  end)

  it("cancel and delete do so for each job", function()
    srv:route("POST", "/v1/videos/a/cancel", { json = { id = "a", status = "cancelled" } })
    srv:route("POST", "/v1/videos/b/cancel", { status = 409, json = { error = { message = "It is over." } } })
    local _, err, status = sh:run { "cancel", "a", "b" }
    assert.equal(1, status)
    assert.matches("a cancelled\n", err, 1, true)
    assert.matches("sora: b: It is over.", err, 1, true)
    srv:route("DELETE", "^", { json = { id = "a", deleted = true } })
    _, err, status = sh:run { "delete", "a" }
    assert.same({ 2, 2 }, { status, #srv:requests() })
    assert.matches("--yes", err, 1, true)
    assert.equal(0, select(3, sh:run { "delete", "a", "--yes" }))
    local object = cjson.decode((sh:run { "delete", "a", "--yes", "--json" }))
    assert.same({ id = "a", state = "deleted" }, object)
  end)

  it("delete asks on a terminal", function()
    srv:route("DELETE", "^", { json = { id = "a", deleted = true } })
    local _, status = sh:terminal({ "delete", "a" }, { dialog = { { "[y/N] ", "n\n" } } })
    assert.same({ 2, 0 }, { status, #srv:requests() })
    _, status = sh:terminal({ "delete", "a" }, { dialog = { { "[y/N] ", "y\n" } } })
    assert.same({ 0, 1 }, { status, #srv:requests() })
  end)

  it("takes global options before and after the command", function()
    know { v = "completed" }
    sh.env.SORA_BASE_URL = nil
    for _, arguments in ipairs { { "--base-url", srv.url .. "/v1", "get", "v" }, { "get", "--base-url",
      srv.url .. "/v1", "v" } } do
      assert.equal(0, select(3, sh:run(arguments)))
    end
  end)

  it("refuses what is no id", function()
    for _, id in ipairs { ".", "", ".." } do
      local _, err, status = sh:run { "get", id }
      assert.equal(2, status)
      assert.matches("^sora: id: [^\n]*\nUsage: sora get ID\n$", err)
    end
  end)

  it("explains an unknown command", function()
    local _, err, status = sh:run { "mkae", "p" }
    assert.equal(2, status)
    assert.matches("unknown command 'mkae'", err, 1, true)
    _, err, status = sh:run {}
    assert.equal(2, status)
    assert.matches("Usage: sora COMMAND", err, 1, true)
  end)
end)
