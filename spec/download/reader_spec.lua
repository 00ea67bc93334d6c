-- download_video with a sink that waits, or that uses its own client: it runs in the caller's own coroutine,
-- a slow one slows the transfer, and nobody else's call is touched. The same code downloads when it is
-- started.
local answers = require "spec.support.answers"
local core = require "sora.core"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"
local wrap = require "sora.loop.coroutine"

local MP4, FILE = answers.MP4, answers.FILE
local lines = {}
for i = 1, 200000 do lines[i] = ("%015d\n"):format(i) end
local BIG = "\0\0\0\24ftypisom" .. table.concat(lines) -- 3.2 MB
local CAN_YIELD = require("sora.task").yields_through_pcall

describe("download_video", function()
  local srv, dir = given.server(), given.folder()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  it("hands the bytes on in order to a sink that updates its client", function()
    srv:route("GET", "/v1/videos/v/content", answers.file(BIG))
    srv:route("GET", "/v1/videos/w", answers.VIDEO)
    local pieces, depth, deepest = {}, 0, 0
    local other = client:start("get_video", "w")
    local file = assert(client:download_video("v", { sink = function(chunk)
      depth = depth + 1
      deepest = math.max(deepest, depth)
      client:update(0.001)
      if #pieces % 8 == 0 then assert(client:get_video("w")) end
      depth = depth - 1
      pieces[#pieces + 1] = chunk
    end }))
    assert.same({ #BIG, 1 }, { file.bytes, deepest })
    assert.is_true(table.concat(pieces) == BIG)
    assert.equal("v", assert(other:result()).id)
  end)

  it("ends its own call alone when the sink of a call that made others gives false", function()
    srv:route("GET", "/v1/videos/v/content", answers.file(BIG))
    srv:route("GET", "/v1/videos/w", answers.VIDEO)
    local other
    local file, err = client:download_video("v", { sink = function()
      assert(client:get_video("w"))
      other = client:start("get_video", "w")
      return false
    end })
    assert.same({ nil, "cancelled" }, { file, err.kind })
    assert.equal("v", assert(patience.result(client, other)).id)
  end)

  describe("through a pause hook", function()
    before_each(function() client = wrap(client) end)

    it("calls sink and on_progress in the caller's coroutine, in which they may wait", function()
      srv:route("GET", "/v1/videos/v/content", answers.file(BIG))
      local thread, pieces, elsewhere, result = nil, {}, 0, nil
      local function check()
        if coroutine.running() ~= thread then elsewhere = elsewhere + 1 end
        coroutine.yield()
      end
      thread = coroutine.create(function()
        result = client:download_video("v", { on_progress = check, sink = function(chunk)
          check()
          pieces[#pieces + 1] = chunk
        end })
      end)
      patience.run({ thread }, function() client:update(0.001) end)
      assert.same({ #BIG, 0 }, { result.bytes, elsewhere })
      assert.is_true(table.concat(pieces) == BIG)
    end)

    it("slows the transfer with a slow sink, for longer than the timeout", function()
      srv:route("GET", "/v1/videos/v/content", answers.file(BIG:rep(8)))
      local largest, count, waited, result, err = 0, 0, false, nil, nil
      local thread = coroutine.create(function()
        result, err = client:download_video("v", { sink = function(chunk)
          largest, count = math.max(largest, #chunk), count + #chunk
          local till = core.now() + (waited and 0 or 3.5)
          waited = true
          repeat coroutine.yield() until core.now() >= till
        end }, { timeout = 1 })
      end)
      patience.run({ thread }, function() client:update(0.01) end)
      assert.is_nil(err)
      assert.same({ #BIG * 8, #BIG * 8 }, { result.bytes, count })
      assert.is_true(largest <= 2 * 256 * 1024, largest)
    end)

    it("ends a transfer whose reader is gone", function()
      srv:route("GET", "/v1/videos/v/content", answers.file(BIG:rep(8)))
      local chunks = 0
      local thread = coroutine.create(function()
        client:download_video("v", { sink = function()
          chunks = chunks + 1
          while true do coroutine.yield() end
        end })
      end)
      patience.wait(function() return chunks > 0 end, function()
        assert(coroutine.resume(thread))
        client:update(0.01)
      end)
      thread = nil -- luacheck: ignore 311
      patience.wait(function() return client:update(0.01) == 0 end, collectgarbage)
    end)
  end)

  describe("that is started", function()
    it("finds the file where the blocking call does, and tells nothing of its own business", function()
      srv:route("GET", "/v1/videos/v/content", { status = 404 })
      srv:route("GET", "/v1/videos/v", answers.job("completed", { video_url = srv.url .. "/f.mp4" }))
      srv:route("GET", "/f.mp4", { FILE, { status = 500 } })
      local seen
      local handle = client:start("download_video", "v", dir:at("a.mp4"),
        { on_done = function(...) seen = { ... } end, response = true })
      assert.error_matches(function() handle:result() end, "not done yet")
      local file = assert(patience.result(client, handle))
      client:update(0)
      assert.same({ dir:at("a.mp4"), #MP4 }, { file.path, file.bytes })
      assert.same({ file, 200 }, { seen[1], seen[3].status })
      local _, err = patience.result(client, client:start("download_video", "v", dir:at("a.mp4")))
      assert.same({ 500, nil, nil }, { err.status, err.answer, err.partial })
      assert.is_false(handle:cancel())
    end)

    it("calls a sink that may wait, one step each update", function()
      srv:route("GET", "/v1/videos/v/content", FILE)
      local steps = 0
      local handle = client:start("download_video", "v", { sink = function()
        if CAN_YIELD then for _ = 1, 5 do coroutine.yield() end end
        steps = steps + 1
      end })
      assert.equal(#MP4, assert(patience.result(client, handle)).bytes)
      assert.equal(1, steps)
    end)
  end)

  for name, target in pairs{ create_and_wait = false, create_and_download = true } do
    describe(name .. " that is started", function()
      local function begin(opts, path)
        if target then return client:start(name, { prompt = "p" }, path or dir:at("a.mp4"), opts) end
        return client:start(name, { prompt = "p" }, opts)
      end

      it("creates, waits and gives what the blocking call gives", function()
        srv:route("POST", "^", answers.QUEUED)
        srv:route("GET", "/v1/videos/v", { answers.QUEUED, answers.RUNNING, answers.DONE })
        srv:route("GET", "/v1/videos/v/content", FILE)
        local calls, longest = 0, 0
        local handle = begin{ interval = 0.1, on_done = function() calls = calls + 1 end }
        patience.wait(function() return handle:done() end, function()
          local before = core.now()
          client:update(0)
          longest = math.max(longest, core.now() - before)
        end)
        patience.finish(client)
        local result, err = handle:result()
        assert.is_nil(err)
        assert.equal("completed", (target and result.video or result).status)
        if target then assert.equal(MP4, dir:read("a.mp4")) end
        assert.equal(1, calls)
      end)

      it("ends with the ticket when it is cancelled, and with closed when the client is", function()
        srv:route("POST", "^", answers.QUEUED)
        srv:route("GET", "^", answers.RUNNING)
        for kind, finish in pairs{ cancelled = function(handle) assert.is_true(handle:cancel()) end,
          closed = function() client:close() end } do
          client:close()
          client = rig.client(srv)
          local seen
          local handle = begin{ interval = 100, on_progress = function() seen = true end }
          patience.pump(client, function() return seen end)
          finish(handle)
          assert.is_true(handle:done())
          local result, err = handle:result()
          assert.same({ nil, kind, "v" }, { result, err.kind, err.ticket.id })
          assert.equal("", dir:list())
        end
      end)

      it("raises for misuse at once", function()
        assert.error_matches(function() client:start(name) end, "bad argument to 'create_")
        assert.error_matches(function() begin{ intervall = 1 } end, "unknown option 'intervall'")
        assert.error_matches(function() begin{ on_done = 5 } end, "option 'on_done': expected a function")
        assert.equal(0, #srv:requests())
      end)
    end)
  end

  it("pays for nothing where the target can't be written", function()
    dir:run("mkdir sub && mkfifo pipe")
    srv:route("GET", "^", answers.HALF)
    client:start("download_video", "v", dir:at("busy.mp4"))
    patience.pump(client, function() return #srv:requests() > 0 end)
    for _, path in ipairs{ "none/a.mp4", "sub", "pipe", "busy.mp4" } do
      local result, err = client:create_and_download({ prompt = "p" }, dir:at(path))
      assert.same({ nil, "file" }, { result, err.kind })
    end
    assert.equal(1, #srv:requests())
  end)

  it("locks the target from the create on", function()
    srv:route("POST", "^", answers.QUEUED)
    srv:route("GET", "^", answers.RUNNING)
    local handle = client:start("create_and_download", { prompt = "p" }, dir:at("a.mp4"))
    patience.pump(client, function() return #srv:requests() > 0 end)
    local _, err = client:create_and_download({ prompt = "p" }, dir:at("a.mp4"))
    assert.matches("another download is writing it", err.message)
    handle:cancel()
    assert.equal("", dir:list())
  end)

  -- A process is killed in the middle; the next one, for the same job and version, takes up what it left.
  describe("after another process was killed", function()
    local TAG = { ETag = '"1"' }

    local function killed_after(cut)
      srv:reply{ steps = { ("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: %d\r\n\r\n"):format(#MP4)
        .. MP4:sub(1, cut), 600 } }
      local child, pid = rig.spawn(([[
        local client = require("sora").new{ base_url = "%s/v1", max_retries = 0 }
        client:download_video("v", "%s")]]):format(srv.url, dir:at("a.mp4")))
      patience.wait(function() return dir:list():find("json", 1, true) end, function() end)
      os.execute("kill -9 " .. pid)
      child:close()
    end

    local REST = { status = 206, body = MP4:sub(101), headers = answers.with(answers.TYPE,
      { ETag = '"1"', ["Content-Range"] = ("bytes 100-%d/%d"):format(#MP4 - 1, #MP4) }) }

    it("resumes where it stopped", function()
      killed_after(100)
      srv:reply(REST)
      assert.equal(#MP4, assert(client:download_video("v", dir:at("a.mp4"))).bytes)
      assert.is_true(dir:read("a.mp4") == MP4)
      local request = srv:requests()[2]
      assert.same({ "bytes=100-", '"1"' }, { request.headers.range, request.headers["if-range"] })
      assert.equal("a.mp4", dir:list())
    end)

    for name, how in pairs{ ["another job"] = { "w" },
      ["another variant"] = { "v", { variant = "thumbnail" } },
      ["resume = false"] = { "v", { resume = false } } } do
      it("starts over for " .. name, function()
        killed_after(100)
        srv:reply(answers.file(MP4, TAG))
        local target = answers.with({ path = dir:at("a.mp4") }, how[2])
        assert.equal(#MP4, assert(client:download_video(how[1], target)).bytes)
        assert.is_nil(srv:requests()[2].headers.range)
        assert.is_true(dir:read("a.mp4") == MP4)
        assert.equal("a.mp4", dir:list())
      end)
    end

    it("starts over for another version, and where the note is broken", function()
      killed_after(100)
      srv:reply(answers.file(MP4:reverse():gsub("^.", "\0"), { ETag = '"2"' }))
      assert(client:download_video("v", dir:at("a.mp4")))
      killed_after(100)
      dir:write("a.mp4.part.json", '{"id":"v","va')
      srv:reply(answers.file(MP4, TAG))
      assert(client:download_video("v", dir:at("a.mp4")))
      assert.is_nil(srv:requests()[4].headers.range)
      assert.is_true(dir:read("a.mp4") == MP4)
    end)
  end)

  it("cuts no upload that moves, however long it takes", function()
    local steps = { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" }
    for i, part in ipairs{ '{"i', 'd":', '"v"', '}' } do
      steps[i * 2], steps[i * 2 + 1] = 0.6, part
    end
    srv:reply({ steps = steps }, { hold = true })
    local params = { prompt = "p", input_reference = { data = "x", filename = "a.png" } }
    assert.equal("v", assert(client:create_video(params, { timeout = 1 })).id)
    local before = core.now()
    local _, err = client:create_video(params, { timeout = 1 })
    assert.same({ "timeout", true }, { err.kind, err.ambiguous })
    assert.is_true(core.now() - before >= 0.9)
  end)
end)
