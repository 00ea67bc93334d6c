-- What the journal tells of each job, and when a job is over: its file is saved, it failed, or somebody
-- closed it by hand.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"
local sora = require "sora"

local QUEUED = answers.job "queued"
local COMPLETED = answers.job "completed"
local CONTENT = "^/v1/videos/v/content"
local FILM = { body = ("film"):rep(100), headers = { ["Content-Type"] = "video/mp4" } }

describe("the journal", function()
  local srv, files = given.server(), given.folder()
  local client

  local function open(more)
    if client then client:close() end
    client = rig.client(srv, answers.with({ journal = files:at "journal" }, more))
    return client
  end
  before_each(function() open() end)
  after_each(function() client:close() end)

  local function lines()
    local list = {}
    for line in (files:read "journal" or ""):gmatch "[^\n]+" do list[#list + 1] = cjson.decode(line) end
    return list
  end

  local function unfinished()
    return assert(client:unfinished())
  end

  local function states()
    return rig.pluck(unfinished(), "state")
  end

  -- A journal of these lines.
  local function write(...)
    local list = {}
    for i, line in ipairs { ... } do
      list[i] = cjson.encode(answers.with({ base_url = srv.url .. "/v1" }, line))
    end
    files:write("journal", table.concat(list, "\n") .. "\n")
  end

  local ASKED = { v = 2, event = "asked", key = "k", created = 5, prompt = "p" }
  local MADE = { v = 2, event = "made", key = "k", id = "v", state = "queued", created = 6 }

  it("has a job that ended by a word that no list has when two polls say it, and no sooner", function()
    local NSFW = answers.job "nsfw"
    srv:route("POST", "^", NSFW)
    assert(client:create_video { prompt = "p" })
    assert.same({ "in_progress" }, states())
    srv:route("GET", "^", { QUEUED, NSFW, QUEUED })
    assert.equal("deadline", select(2, client:wait("v", { interval = 1000, timeout = 0.1 })).kind)
    assert.equal(1, #unfinished())
    srv:route("GET", "^", NSFW)
    local _, err = client:wait("v", rig.FAST)
    assert.same({ "failed", "moderation" }, { err.kind, err.reason })
    assert.same({}, unfinished())
  end)

  describe("has a job until its file is saved", function()
    before_each(function()
      srv:route("POST", "^", QUEUED)
      srv:route("GET", "^", COMPLETED)
      srv:route("GET", CONTENT, FILM)
    end)

    it("by create_and_download", function()
      assert(client:create_and_download({ prompt = "p" }, files:at "film.mp4"))
      assert.same({ "asked", "made", "ended", "saved" }, rig.pluck(lines(), "event"))
      assert.same({ 2, 2, 2, 2 }, rig.pluck(lines(), "v"))
      local saved = lines()[4]
      assert.same({ "v", files:at "film.mp4", 400 }, { saved.id, saved.path, saved.bytes })
      assert.same({}, unfinished())
      local ticket = assert(client:journaled())[1]
      assert.same({ "completed", files:at "film.mp4", 400, true },
        { ticket.state, ticket.path, ticket.bytes, ticket.over })
    end)

    it("by download_video, of another client and in another process", function()
      assert(client:create_and_wait { prompt = "p" })
      assert.same({ "completed" }, states())
      open()
      local ticket = unfinished()[1]
      assert(client:download_video(ticket.id, files:at "film.mp4"))
      assert.same({}, unfinished())
    end)

    it("by a sink, which has bytes and no path", function()
      assert(client:create_video { prompt = "p" })
      assert(client:download_video("v", { sink = function() end }))
      local saved = lines()[3]
      assert.same({ "saved", "v", nil, 400 }, { saved.event, saved.id, saved.path, saved.bytes })
      assert.same({}, unfinished())
    end)

    it("but not by its thumbnail", function()
      assert(client:create_video { prompt = "p" })
      assert(client:download_video("v", { path = files:at "t.webp", variant = "thumbnail" }))
      assert.same({ "queued" }, states())
    end)

    it("and not by a download that failed", function()
      assert(client:create_video { prompt = "p" })
      srv:route("GET", CONTENT, { status = 403 })
      assert.is_nil((client:download_video("v", { path = files:at "film.mp4", grace = 0 })))
      assert.same({ "queued" }, states())
    end)

    it("or ended, where the program never downloads: journal_until", function()
      open { journal_until = "ended" }
      assert(client:create_and_wait { prompt = "p" })
      assert.same({}, unfinished())
      srv:route("POST", "^", COMPLETED)
      assert(client:create_video { prompt = "p" })
      assert.same({}, unfinished())
      assert.equal(2, #assert(client:journaled()))
      open { journal_until = "saved" } -- the same lines, read by a program that does
      assert.same({ "completed", "completed" }, states())
    end)

    it("or deleted", function()
      for _ = 1, 2 do assert(client:create_video { prompt = "p" }) end
      srv:route("DELETE", "^", { json = { id = "v", deleted = true } })
      assert(client:delete_video "v")
      assert.same({}, unfinished())
      assert(client:create_video { prompt = "p" })
      srv:route("DELETE", "^", { status = 404 })
      assert.is_nil((client:delete_video "v"))
      assert.same({ "queued" }, states())
      srv:route("DELETE", "^", { status = 204 })
      assert(client:start("delete_video", "v"))
      patience.finish(client)
      assert.same({}, unfinished())
    end)

    it("or cancelled, if the answer says so", function()
      for _ = 1, 2 do assert(client:create_video { prompt = "p" }) end
      srv:route("POST", "^/v1/videos/[^/]+/cancel", { json = { id = "v", status = "cancelling" } })
      assert(client:cancel_video "v")
      assert.same({ "queued", "queued" }, states())
      srv:route("POST", "^/v1/videos/[^/]+/cancel", { json = { id = "v", status = "cancelled" } })
      assert(client:start("cancel_video", "v"))
      patience.finish(client)
      assert.same({}, unfinished())
    end)

    it("or gone: 410, or past its expires_at", function()
      assert(client:create_video { prompt = "p" })
      srv:route("GET", CONTENT, { status = 410 })
      assert.equal(410, select(2, client:download_video("v", files:at "film.mp4")).status)
      assert.same({}, unfinished())
      assert.equal("expired", assert(client:journaled())[1].state)
      local ENDED = { v = 2, event = "ended", id = "v", state = "completed" }
      write(ASKED, MADE, answers.with(ENDED, { expires_at = os.time() - 5 }))
      assert.same({ {}, "expired" }, { unfinished(), assert(client:journaled())[1].state })
      write(ASKED, MADE, answers.with(ENDED, { expires_at = os.time() + 500 }))
      assert.same({ "completed" }, states())
    end)
  end)

  it("closes a job that has no id when its film is saved", function()
    srv:route("POST", "^", { json = { status = "completed", url = srv.url .. "/film.mp4" } })
    srv:route("GET", "^", FILM)
    assert(client:create_and_download({ prompt = "p" }, files:at "film.mp4"))
    local saved = lines()[3]
    assert.same({ "saved", nil, lines()[1].key }, { saved.event, saved.id, saved.key })
    assert.same({}, unfinished())
  end)

  it("lets an `ended` line of sora 0.1 close its job", function()
    write({ event = "asked", key = "k", created = 5, prompt = "p" },
      { event = "made", key = "k", id = "v", state = "queued", created = 6 },
      { event = "ended", id = "v", state = "completed" },
      { event = "asked", key = "l", created = 5, prompt = "q" },
      { event = "made", key = "l", id = "w", state = "completed", created = 6 },
      { event = "asked", key = "m", created = 5, prompt = "r" })
    assert.same({ "r" }, rig.pluck(unfinished(), "prompt"))
    assert.same({ "v", "w" }, { assert(client:journaled())[1].id, assert(client:journaled())[2].id })
  end)

  it("has a job whose number another one had that is over", function()
    write(ASKED, MADE, { v = 2, event = "saved", id = "v", path = "a.mp4", bytes = 1 },
      answers.with(ASKED, { key = "l", prompt = "q" }), answers.with(MADE, { key = "l" }))
    assert.same({ "q" }, rig.pluck(unfinished(), "prompt"))
  end)

  it("has a job whose first line is in another file", function()
    write(MADE)
    assert.same({ { key = "k", id = "v", state = "queued", created = 6, base_url = srv.url .. "/v1" } },
      unfinished())
  end)

  it("may be two journals in one file, with some lines twice, or the later ones first", function()
    local asked = answers.with(ASKED, { label = "fox", target = "fox.mp4", idempotency_key = "i" })
    write(asked, asked, MADE)
    local jobs = unfinished()
    assert.same({ { key = "k", id = "v", state = "queued", created = 6, prompt = "p", label = "fox",
      target = "fox.mp4", idempotency_key = "i", base_url = srv.url .. "/v1" } }, jobs)
    write(asked, MADE, asked)
    assert.same(jobs, unfinished())
    write(MADE, asked)
    assert.same(jobs, unfinished())
    write(asked, asked)
    assert.same({ true }, rig.pluck(unfinished(), "ambiguous"))
    assert.is_true(client:forget(unfinished()[1]))
    assert.same({}, unfinished())
  end)

  it("tells a job by its label and its idempotency key, in every way to make one", function()
    srv:route("POST", "^", QUEUED)
    srv:route("GET", "^", COMPLETED)
    srv:route("GET", CONTENT, FILM)
    local function options(name) return { label = name, idempotency_key = "i-" .. name } end
    assert(client:create_video({ prompt = "p" }, options "a"))
    assert(client:start("create_video", { prompt = "p" }, options "b"))
    patience.finish(client)
    assert(client:remix_video("v", { prompt = "p" }, options "c"))
    assert(client:create_and_wait({ prompt = "p" }, options "d"))
    assert(client:create_and_download({ prompt = "p" }, files:at "film.mp4", options "e"))
    client.pause = function(self, seconds) self:update(seconds) end
    assert(client:edit_video({ video = "v", prompt = "p" }, options "f"))
    local tickets = assert(client:journaled())
    assert.same({ "a", "b", "c", "d", "e", "f" }, rig.pluck(tickets, "label"))
    assert.same({ "i-a", "i-b", "i-c", "i-d", "i-e", "i-f" }, rig.pluck(tickets, "idempotency_key"))
    for i, line in ipairs(rig.pluck(lines(), "label")) do assert.equal(tickets[i].label, line) end
    for _, request in ipairs(srv:requests()) do
      if request.method == "POST" then assert.is_nil(request.body:find("label", 1, true)) end
    end
  end)

  it("takes a label without a journal, too, and only a string", function()
    srv:route("POST", "^", QUEUED)
    local plain = rig.client(srv)
    finally(function() plain:close() end)
    for _, one in ipairs { client, plain } do
      assert(one:create_video({ prompt = "p" }, { label = "l" }))
      for _, label in ipairs { 5, true, {} } do
        local function check(call)
          assert.error_matches(call,
            "'create_%l+[_%l]*' %(option 'label': expected a string, got " .. type(label))
        end
        check(function() one:create_video({ prompt = "p" }, { label = label }) end)
        check(function() one:start("create_video", { prompt = "p" }, { label = label }) end)
        check(function() one:create_and_wait({ prompt = "p" }, { label = label }) end)
      end
      assert.error_matches(function() one:get_video("v", { label = "l" }) end, "unknown option 'label'")
    end
    assert.equal(2, #srv:requests())
    assert.equal(2, #lines())
  end)

  it("gives every job, the refused and the saved ones too", function()
    srv:route("POST", "^", { QUEUED, { status = 400 }, { close = true } })
    for i = 1, 3 do client:create_video { prompt = "p" .. i } end
    local jobs = assert(client:journaled())
    assert.same({ "queued", "refused", nil }, { jobs[1].state, jobs[2].state, jobs[3].state })
    assert.same({ nil, true, nil }, { jobs[1].over, jobs[2].over, jobs[3].over })
    assert.same({ nil, nil, true }, { jobs[1].ambiguous, jobs[2].ambiguous, jobs[3].ambiguous })
    for i, job in ipairs(jobs) do
      assert.same({ "p" .. i, "string", "number" }, { job.prompt, type(job.key), type(job.created) })
    end
  end)

  describe("forgets by hand", function()
    before_each(function() srv:route("POST", "^", { QUEUED, { close = true } }) end)

    it("a job without an id, by its ticket", function()
      for i = 1, 2 do client:create_video { prompt = "p" .. i } end
      local ticket = unfinished()[2]
      assert.is_true(ticket.ambiguous)
      assert.is_true(client:forget(ticket))
      assert.same({ "p1" }, rig.pluck(unfinished(), "prompt"))
      assert.same({ "forgotten", ticket.key }, { lines()[4].event, lines()[4].key })
      assert.is_true(client:forget(ticket)) -- once more: no further line
      assert.equal(4, #lines())
    end)

    it("a job by its id", function()
      local job = assert(client:create_video { prompt = "p" })
      assert.is_true(client:forget(job.id))
      assert.same({}, unfinished())
    end)

    it("nothing that the journal does not know, and says so", function()
      local forgotten, err = client:forget "none"
      assert.same({ nil, "config", "not_journaled" }, { forgotten, err.kind, err.code })
      assert.equal(("the journal has no job 'none' of %s/v1; client:journaled() lists all"):format(srv.url),
        err.message)
      forgotten, err = client:forget { key = "other" }
      assert.same({ nil, "not_journaled" }, { forgotten, err.code })
      for _, what in ipairs { "", true } do
        assert.error_matches(function() client:forget(what) end, "bad argument to 'forget' %(id: ")
      end
      local plain = rig.client(srv)
      finally(function() plain:close() end)
      assert.equal("config", select(2, plain:forget "v").kind)
      assert.equal("config", select(2, plain:journaled()).kind)
    end)

    it("and says so when the journal can't be written", function()
      assert(client:create_video { prompt = "p" })
      files:run "mv journal old && mkdir journal"
      local forgotten, err = client:forget "v"
      assert.same({ nil, "file" }, { forgotten, err.kind })
    end)
  end)

  it("refuses a journal_until that is neither word", function()
    for _, word in ipairs { "never", 5 } do
      assert.error_matches(function() sora.new { base_url = srv.url, journal_until = word } end,
        "option 'journal_until': expected 'saved' or 'ended'")
    end
  end)

  it("of 40,000 lines is read #large", function()
    local list, base = {}, srv.url .. "/v1"
    local ONE = '{"v":2,"event":"asked","key":"k%d","created":5,"prompt":"p%d","base_url":"%s"}\n'
      .. '{"v":2,"event":"made","key":"k%d","id":"v%d","state":"queued","created":6,"base_url":"%s"}\n'
      .. '{"v":2,"event":"ended","id":"v%d","state":"completed","base_url":"%s"}\n'
      .. '{"v":2,"event":"saved","id":"v%d","path":"%d.mp4","bytes":5,"base_url":"%s"}\n'
    for i = 1, 10000 do
      local text = ONE:format(i, i, base, i, i, base, i, base, i, i, base)
      if i % 1000 == 0 then text = text:gsub('[^\n]*"saved"[^\n]*\n', "\n") end
      list[i] = text
    end
    files:write("journal", table.concat(list))
    local tickets = unfinished()
    assert.equal(10, #tickets)
    for i, ticket in ipairs(tickets) do
      local n = i * 1000
      assert.same({ "v" .. n, "completed", "p" .. n }, { ticket.id, ticket.state, ticket.prompt })
    end
    assert.equal(10000, #assert(client:journaled()))
    require "sora.loop.coroutine"(client) -- others run meanwhile
    local yields = 0
    patience.run({ coroutine.create(function() tickets = assert(client:unfinished()) end) },
      function() yields = yields + 1 end)
    assert.equal(10, #tickets)
    if _VERSION ~= "Lua 5.1" or rawget(_G, "jit") then assert.is_true(yields > 1) end
    tickets = assert(client:unfinished()) -- and elsewhere it is read at once
    assert.equal(10, #tickets)
  end)

  it("that was cut at any byte of its last lines is read up to there", function()
    write(ASKED, MADE, answers.with(ASKED, { key = "l", prompt = "q\0r" }), answers.with(MADE, { key = "l",
      id = "w" }), { v = 2, event = "saved", id = "v", path = "a.mp4", bytes = 1 })
    local whole = files:read "journal"
    for last = 0, #whole do
      files:write("journal", whole:sub(1, last))
      local list = unfinished()
      assert.is_true(#list <= 2)
      srv:route("POST", "^", answers.job("queued", { id = "x" }))
      if last % 20 == 0 then
        assert(client:create_video { prompt = "after" }) -- on a line of its own
        local after = unfinished()
        assert.equal("x", after[#after].id)
        assert.equal(#list + 1, #after)
      end
    end
  end)
end)
