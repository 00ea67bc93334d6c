-- sora batch: what it reads, what it costs, and that it makes each film once, however often it is killed.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local curl = require "spec.support.curl"
local given = require "spec.support.given"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local shell = require "spec.support.shell"

local KILLS = 6

describe("sora batch", function()
  local srv, sh = given.server(), shell.new()
  local files = sh.files

  before_each(function() sh:use(srv.url .. "/v1", rig.KEY) end)

  -- A server whose jobs are done at the first look.
  local function serve(ids)
    local made = {}
    for i, id in ipairs(ids) do made[i] = shell.soon { json = { id = id, status = "queued" } } end
    srv:route("POST", "/v1/videos", made)
    srv:route("GET", "^/v1/videos/[%w]+$", answers.DONE)
    srv:route("GET", "^/v1/videos/[%w]+/content$", answers.FILE)
  end

  local function bodies()
    local list = {}
    for _, request in ipairs(srv:requests()) do
      if request.method == "POST" then list[#list + 1] = cjson.decode(request.body) end
    end
    return list
  end

  local function lines(text)
    local count = 0
    for _ in text:gmatch "\n" do count = count + 1 end
    return count
  end

  it("makes a film of each line, and prints their paths", function()
    serve { "a", "b" }
    files:write("prompts", "\239\187\191A fox\r\n\r\n  # a comment\r\n  A boat  \r\n")
    local out, err, status = sh:run { "batch", "prompts", "-o", "films/of/mine" }
    assert.equal(0, status, err)
    assert.matches("films/of/mine/a%-fox%-%x+%.mp4\n", out)
    assert.matches("films/of/mine/a%-boat%-%x+%.mp4\n", out)
    assert.equal(2, lines(out))
    assert.matches("^2 prompts: 2 to make\n", err)
    assert.matches("saved films/of/mine/a%-fox%-%x+%.mp4 %(%d+ B%), %d of 2\n", err)
    assert.matches("\n2 prompts: 2 saved; 2 jobs in this run, %d+ s\n$", err)
    local prompts = rig.pluck(bodies(), "prompt")
    table.sort(prompts)
    assert.same({ "A boat", "A fox" }, prompts)
  end)

  it("sends what the options and the JSON of a line say", function()
    serve { "a", "b" }
    files:run "mkdir -p deep"
    files:write("deep/cat.png", "\137PNG")
    files:write("deep/prompts",
      '{"prompt":"A fox","output":"sub/fox.mp4","seconds":"4","seed":null,"style":"soft"}\n'
      .. '{"prompt":"A cat","input_reference":{"path":"cat.png"},"output":"cat.mp4"}\n')
    local out, err, status = sh:run { "batch", "deep/prompts", "-o", "films", "-m", "m", "-s", "8", "--size",
      "4x4", "-j", "1" }
    assert.same({ "films/sub/fox.mp4\nfilms/cat.mp4\n", 0 }, { out, status }, err)
    local first, second = srv:requests()[1], nil
    assert.same({ prompt = "A fox", model = "m", seconds = "4", size = "4x4", style = "soft" },
      cjson.decode(first.body))
    for _, request in ipairs(srv:requests()) do
      if request.method == "POST" then second = request end
    end
    assert.matches('name="input_reference"; filename="cat.png"', second.body, 1, true)
    files:run "mkdir other"
    local again, _, code = sh:run { "batch", "other/../deep/prompts", "-o", "films", "-m", "m", "-s",
      "8", "--size", "4x4" }
    assert.same({ out, 0, 2 }, { again, code, #srv:requests() / 3 })
  end)

  it("takes the prompts from standard input", function()
    serve { "a" }
    local out, err, status = sh:run({ "batch", "-" }, { input = "A fox" })
    assert.equal(0, status, err)
    assert.matches("^a%-fox%-%x+%.mp4\n$", out)
  end)

  it("asks for nothing that was made before, also from another folder and through a link", function()
    serve { "a", "b", "c" }
    files:write("prompts", "A fox\nA boat\n")
    assert.equal(0, select(3, sh:run { "batch", "prompts", "-o", "films" }))
    files:write("prompts", "Rain\nA boat\nA fox\n") -- edited
    local out, err, status = sh:run { "batch", "prompts", "-o", "./films/../films/" }
    assert.same({ 0, 3 }, { status, lines(out) })
    assert.matches("^3 prompts: 2 saved, 1 to make\n", err)
    files:run "ln -s films link; mkdir other"
    for _, folder in ipairs { "link", "films" } do
      out, err, status = sh:run { "batch", "prompts", "-o", folder }
      assert.same({ 0, 3, "3 prompts: 3 saved\n" }, { status, lines(out), err })
    end
    assert.equal(3, #bodies())
  end)

  it("makes nothing anew in another folder unless it is told to", function()
    serve { "a", "b" }
    files:write("prompts", "A fox\n")
    assert.equal(0, select(3, sh:run { "batch", "prompts", "-o", "films" }))
    local out, err, status = sh:run { "batch", "prompts" }
    assert.same({ "", 2, 1 }, { out, status, #bodies() })
    assert.matches("these prompts were made in " .. files.path .. "/films\n", err, 1, true)
    assert.matches("sora batch prompts -o .\n", err, 1, true)
    assert.equal(0, select(3, sh:run { "batch", "prompts", "-o", "." }))
    assert.equal(2, #bodies())
  end)

  it("says which line is wrong, before anything is asked for", function()
    for problem, content in pairs {
      ["prompts:3: begins with { and is not JSON: "] = "A fox\n\n{x\n",
      ["prompts:2: params: unknown field 'promt'; did you mean 'prompt'?"] = 'A fox\n{"promt":"A boat"}\n',
      ["prompts:3: output: 'x' is also the output of line 1"] =
        '{"prompt":"1","output":"x"}\n\n{"prompt":"2","output":"x"}\n',
      ["prompts:1: output: expected the name of a file"] = '{"prompt":"1","output":5}\n',
      ["prompts:1: input_reference: there is no file none.png"] =
        '{"prompt":"1","input_reference":{"path":"none.png"}}\n',
      ["prompts has no prompts"] = "# nothing\n\n",
      ["prompts is in UTF-16"] = "\255\254A\0",
    } do
      files:write("prompts", content)
      local out, err, status = sh:run { "batch", "prompts" }
      assert.same({ "", 2, 0 }, { out, status, #srv:requests() }, problem)
      assert.matches(problem, err, 1, true)
    end
    local _, err, status = sh:run { "batch", "none" }
    assert.same({ 2, "sora: none: No such file or directory\n" }, { status, err })
    assert.equal(2, select(3, sh:run { "batch", "." }))
  end)

  it("overwrites no file of anybody else", function()
    serve { "a" }
    files:write("prompts", '{"prompt":"A fox","output":"fox.mp4"}\n')
    files:write("fox.mp4", "mine")
    local _, err, status = sh:run { "batch", "prompts" }
    assert.same({ 2, 0, "mine" }, { status, #bodies(), files:read "fox.mp4" })
    assert.matches("prompts:1: fox.mp4 exists already, and no job of this batch made it", err, 1, true)
    assert.equal(0, select(3, sh:run { "batch", "prompts", "--force" }))
    assert.equal(answers.MP4, files:read "fox.mp4")
  end)

  it("never makes more jobs than --max-jobs", function()
    serve { "a", "b", "c" }
    files:write("prompts", "1\n2\n3\n")
    for _ = 1, 2 do
      local out, err, status = sh:run { "batch", "prompts", "--max-jobs", "2" }
      assert.same({ 3, 2, 2 }, { status, #bodies(), lines(out) })
      assert.matches("not sent, because of --max-jobs 2: line 3\n", err, 1, true)
      assert.matches("run the same command again", err, 1, true)
    end
    assert.equal(0, select(3, sh:run { "batch", "prompts", "--max-jobs", "3" }))
    assert.equal(3, #bodies())
  end)

  it("tells the reasons of failures together, and sends nothing further once the key was refused", function()
    srv:route("POST", "/v1/videos", { status = 401, json = { error = { message = "no such key" } } })
    files:write("prompts", "1\n\n2\n3\n")
    local out, err, status = sh:run { "batch", "prompts", "-j", "1" }
    assert.same({ "", 4, 1 }, { out, status, #bodies() })
    assert.matches("sora: line 1: .*no such key\n", err)
    assert.matches("sora: lines 3, 4: not sent after: [^\n]*no such key\n", err)
    assert.matches("\n3 prompts: 0 saved, 3 not saved; 0 jobs in this run", err, 1, true)
  end)

  it("names what is unsure, and asks for it again only with --remake", function()
    srv:route("POST", "/v1/videos", { close = true })
    srv:route("GET", "/v1/videos", { json = { object = "list", data = {}, has_more = false } })
    files:write("prompts", "# films\nA fox\n")
    for _ = 1, 2 do
      local out, err, status = sh:run { "batch", "prompts" }
      assert.same({ "", 5, 1 }, { out, status, #bodies() })
      assert.matches("sora: line 2: nobody knows whether this was made: A fox\n", err, 1, true)
      assert.matches("--remake", err, 1, true)
    end
    serve { "a" }
    local _, err, status = sh:run { "batch", "prompts", "--remake" }
    assert.same({ 0, 2 }, { status, #bodies() }, err)
    assert.matches("^1 prompt: 1 unsure, to be looked for and made again\n", err)
    assert.equal(0, select(3, sh:run { "batch", "prompts", "--remake" }))
    assert.equal(2, #bodies())
  end)

  it("prints one object with --json", function()
    srv:route("POST", "/v1/videos", { shell.soon { json = { id = "a", status = "queued" } },
      { status = 400 } })
    srv:route("GET", "/v1/videos/a", answers.DONE)
    srv:route("GET", "/v1/videos/a/content", answers.FILE)
    files:write("prompts", '\n{"prompt":"1","output":"1.mp4"}\n2\n')
    local out, err, status = sh:run { "batch", "prompts", "--json", "-j", "1" }
    local object = cjson.decode(out)
    assert.same({ 1, 1, 2, 1, 1, 0, 1 },
      { status, lines(out), object.prompts, object.saved, object.failed, object.unsure, object.made }, err)
    assert.same({ line = 2, prompt = "1", id = "a", path = files:at "1.mp4", bytes = #answers.MP4 },
      object.jobs[1])
    assert.same({ 3, "api", 400 }, { object.jobs[2].line, object.jobs[2].error.kind,
      object.jobs[2].error.status })
    assert.not_matches("{", err, 1, true)
  end)

  it("tells what it would do with --dry-run, and does nothing", function()
    files:write("prompts", "1\n2\n")
    local out, err, status = sh:run { "batch", "prompts", "-o", "films", "-n" }
    assert.same({ "", "2 prompts: 2 to make\n", 0, 0 }, { out, err, status, #srv:requests() })
    assert.is_nil(files:list():find("films", 1, true))
  end)

  it("shows a line for all and one for each running job on a terminal", function()
    serve { "a", "b" }
    srv:route("GET", "^/v1/videos/[%w]+$", { shell.soon(answers.RUNNING), answers.DONE })
    files:write("prompts", "1\n2\n")
    local text, status = sh:terminal { "batch", "prompts" }
    assert.equal(0, status)
    assert.matches("0 of 2  .* 0 %%  saved", text)
    assert.matches("1%-%x+%.mp4  .* 40 %%  in progress", text)
    assert.matches("saved 2%-%x+%.mp4", text)
    assert.matches("2 prompts: 2 saved; 2 jobs in this run, %d+ s\n$", text)
  end)

  it("lets one process at a time work in a folder", function()
    srv:route("POST", "/v1/videos", { json = { id = "a", status = "queued" }, hold = true })
    files:write("prompts", "A fox\n")
    local first = sh:start { "batch", "prompts", "-o", "films" }
    srv:wait_requests(1)
    local _, err, status = sh:run { "batch", "prompts", "-o", "films" }
    assert.same({ 2, 1 }, { status, #bodies() })
    assert.matches("another `sora batch` works in this folder: films\n", err, 1, true)
    first:kill "KILL"
    first:wait()
    assert.matches("1 unsure", (select(2, sh:run { "batch", "prompts", "-o", "films", "-n" })), 1, true)
  end)

  it("goes on with all that is saved when standard output is full", function()
    serve { "a" }
    files:write("prompts", '{"prompt":"1","output":"1.mp4"}\n')
    local _, err, status = sh:run({ "batch", "prompts" }, { output = "/dev/full" })
    assert.same({ 2, answers.MP4 }, { status, files:read "1.mp4" })
    assert.matches("standard output: ", err, 1, true)
  end)

  describe("that is ended early", function()
    local server
    local COUNT = 20

    before_each(function()
      server = process.serve { "--duration", "0.3", "--quiet" }
      sh:use(server.url, "k")
      local list = {}
      for i = 1, COUNT do
        list[i] = ('{"prompt":"film %d","dev":{"poll_after_ms":200},"output":"%d.mp4"}\n'):format(i, i)
      end
      files:write("prompts", table.concat(list))
    end)
    after_each(function() server:stop() end)

    -- Fails unless the server has one job for each film, and all are on disk.
    local function check()
      local jobs, seen = curl.get(server.url .. "/videos?limit=100").json.data, {}
      for _, job in ipairs(jobs) do
        assert.is_nil(seen[job.prompt], job.prompt .. " was made twice")
        seen[job.prompt] = true
      end
      assert.equal(COUNT, #jobs)
      for i = 1, COUNT do
        assert.equal("ftyp", (files:read("films/" .. i .. ".mp4") or ""):sub(5, 8), "film " .. i)
      end
    end

    local BATCH = { "batch", "prompts", "-o", "films", "-j", "6" }

    it("makes each film once, though it is killed or interrupted at random moments", function()
      for i = 1, KILLS do
        local run = sh:start(BATCH)
        os.execute(("sleep %.2f"):format(0.1 + math.random() * 0.7))
        run:kill(i % 2 == 0 and "INT" or "KILL")
        run:wait()
      end
      local _, err, status = sh:run(BATCH)
      if status == 5 then -- killed after it had written that it asks, and before it did
        _, err, status = sh:run { "batch", "prompts", "-o", "films", "--remake" }
      end
      assert.equal(0, status, err)
      check()
      local out
      out, err, status = sh:run(BATCH)
      assert.same({ 0, COUNT, COUNT .. " prompts: " .. COUNT .. " saved\n" }, { status, lines(out), err })
    end)

    it("tells how to go on after Ctrl-C, and knows all jobs then", function()
      local run = sh:start(BATCH)
      assert(run:readline()) -- a film is saved
      run:kill "INT"
      local status, _, err = run:finish()
      assert.equal(130, status, err)
      assert.matches("run the same command again.\n$", err)
      local _, plan = sh:run { "batch", "prompts", "-o", "films", "-n" }
      assert.not_matches("unsure", plan)
      _, err, status = sh:run(BATCH)
      assert.equal(0, status, err)
      check()
    end)
  end)
end)
