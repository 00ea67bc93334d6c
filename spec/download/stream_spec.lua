-- download_video with a sink or on_progress: bytes in order, each once, with backpressure, and in no more
-- memory for a GiB than for a page.
local answers = require "spec.support.answers"
local core = require "sora.core"
local folder = require "spec.support.folder"
local given = require "spec.support.given"
local media = require "sora.server.media"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

local MIB = 2 ^ 20
local MEMORY = os.getenv("ASAN_OPTIONS") and 16 or 1 -- freed memory is kept aside by the address sanitizer
local TAG = '"1"'

-- Bytes in which no two places look the same.
local function content(blocks)
  local lines = {}
  for i = 1, blocks * 64 do lines[i] = ("%015d\n"):format(i):rep(16) end
  return "\0\0\0\24ftypisom" .. table.concat(lines)
end
local FILE = content(40) -- some 640 KiB: more than is ever waiting

describe("download_video", function()
  local srv, dir = given.server(), given.folder()
  local client

  before_each(function() client = rig.client(srv, { max_retries = 2 }) end)
  after_each(function() client:close() end)

  local function answer(bytes, cut)
    return answers.with(answers.file(bytes, { ETag = TAG }), { truncate = cut })
  end

  local function rest(first)
    return answers.with(answers.file(FILE:sub(first + 1), { ETag = TAG,
      ["Content-Range"] = ("bytes %d-%d/%d"):format(first, #FILE - 1, #FILE) }), { status = 206 })
  end

  it("releases its functions once it is over", function()
    srv:route("GET", "^", answer(FILE))
    local seen = setmetatable({}, { __mode = "k" })
    do
      local pieces, sink = rig.collector()
      seen[sink] = true
      assert(client:download_video("v", { sink = sink }))
      client:start("download_video", "v", { sink = sink }, { on_done = function() pieces.over = true end })
      patience.pump(client, function() return pieces.over end)
    end
    rig.collect()
    assert.is_nil(next(seen))
  end)

  it("never passes the beginning on twice when the URL expires in the middle", function()
    local url = srv.url .. "/f.mp4"
    for _, case in ipairs{ { resume = false, tag = TAG }, { resume = true } } do
      srv:reset()
      srv:route("GET", "^/v1/", { json = { id = "v", status = "completed", url = url } })
      local broken = answer(FILE, 1000)
      broken.headers.ETag = case.tag
      srv:route("GET", "/f.mp4", { broken, { status = 403 }, answer(FILE) })
      local pieces, sink = rig.collector()
      local result, err = client:download_video("v", { sink = sink, resume = case.resume })
      assert.is_nil(result)
      assert.is_truthy(err.kind)
      assert.is_true(table.concat(pieces) == FILE:sub(1, 1000))
    end
  end)

  -- The two ways of making the call; both give its results.
  local WAYS = {
    ["in a blocking call"] = function(target, opts)
      return client:download_video("v", target, opts)
    end,
    ["in a started call"] = function(target, opts)
      return patience.result(client, assert(client:start("download_video", "v", target, opts)))
    end,
  }

  for way, download in pairs(WAYS) do
    describe(way .. " to a sink", function()
      it("passes on all bytes in order", function()
        srv:reply(answer(FILE))
        local pieces, sink = rig.collector()
        local result, err = download{ sink = sink }
        assert.is_nil(err)
        assert.same({ bytes = #FILE, content_type = "video/mp4" }, result)
        assert.is_true(table.concat(pieces) == FILE)
        for _, piece in ipairs(pieces) do assert.is_true(#piece > 0) end
        assert.equal("", dir:list())
      end)

      it("passes bytes on while they arrive", function()
        local head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
        srv:reply{ steps = { head .. "\0\0\0", 0.4, "\24f", 0.4, "12345" } }
        local pieces, at = {}, {}
        assert(download{ sink = function(chunk)
          pieces[#pieces + 1], at[#at + 1] = chunk, core.now()
        end })
        assert.same({ "\0\0\0", "\24f", "12345" }, pieces)
        assert.is_true(at[3] - at[1] > 0.2)
      end)

      it("that is slow holds the transfer back (backpressure)", function()
        srv:reply(answer(FILE:rep(20)))
        local largest, count = 0, 0
        local result = assert(download{ sink = function(chunk)
          largest, count = math.max(largest, #chunk), count + #chunk
        end })
        assert.same({ #FILE * 20, #FILE * 20 }, { result.bytes, count })
        assert.is_true(largest <= 2 * 256 * 1024, largest)
      end)

      for name, stop in pairs{ ["raises"] = function() error("the disk is full", 0) end,
        ["raises a table"] = function() error({}) end, ["returns false"] = function() return false end } do
        it("is cancelled when it " .. name, function()
          srv:reply(answer(FILE))
          local calls = 0
          local result, err = download{ sink = function()
            calls = calls + 1
            return stop()
          end }
          assert.is_nil(result)
          assert.equal("cancelled", err.kind)
          if name == "raises" then assert.matches("the disk is full", err.message) end
          assert.equal(1, calls)
          assert.is_falsy(err.retryable)
          assert.equal(1, #srv:requests())
          srv:reply{ json = { id = "v" } } -- the client is as it was
          assert.equal("v", assert(client:get_video("v")).id)
        end)
      end

      it("continues when the sink returns anything but false", function()
        srv:reply(answer(FILE), answer(FILE))
        for _, value in ipairs{ true, "false" } do
          local count = 0
          assert(download{ sink = function(chunk)
            count = count + #chunk
            return value
          end })
          assert.equal(#FILE, count)
        end
      end)

      it("never passes on a body that is not a file", function()
        local function never() error("called") end
        srv:route("GET", "/v1/videos/v", { status = 404 }) -- the job, which is asked where the file may be
        local html = "<!DOCTYPE html><html><title>Sign in</title></html>"
        for kind, body in pairs{ api = '{"error":{"message":"No."}}', decode = html } do
          for _, typed in ipairs{ "video/mp4", "binary/octet-stream", "text/html", "application/json" } do
            srv:reply{ body = body, headers = { ["Content-Type"] = typed } }
            local result, err = download{ sink = never }
            assert.is_nil(result)
            assert.equal(kind, err.kind)
          end
        end
        srv:reply({ status = 404, body = FILE }, { body = "" })
        assert.equal(404, select(2, download({ sink = never, variant = "video" })).status)
        assert.equal("decode", select(2, download({ sink = never })).kind)
      end)

      it("resumes after a break, no byte twice", function()
        srv:reply(answer(FILE, 300000), rest(300000))
        local pieces, sink = rig.collector()
        assert.equal(#FILE, assert(download{ sink = sink }).bytes)
        assert.is_true(table.concat(pieces) == FILE)
        assert.equal("bytes=300000-", srv:requests()[2].headers.range)
      end)

      it("skips what it has when the whole file is sent again", function()
        srv:reply(answer(FILE, 300000), answer(FILE))
        local pieces, sink = rig.collector()
        assert.equal(#FILE, assert(download{ sink = sink }).bytes)
        assert.is_true(table.concat(pieces) == FILE)
      end)

      it("fails when it can't resume, since bytes can't be taken back", function()
        local other = answer(FILE)
        other.headers = { ["Content-Type"] = "video/mp4", ETag = '"2"' }
        srv:reply(answer(FILE, 300000), other)
        local pieces, sink = rig.collector()
        local result, err = download{ sink = sink }
        assert.is_nil(result)
        assert.equal("api", err.kind)
        assert.is_true(table.concat(pieces) == FILE:sub(1, 300000))
        srv:reset()
        srv:reply({ body = FILE, truncate = 300000 }, { body = FILE }) -- nothing says that it is the same
        -- What came with the end itself may be missing.
        pieces, sink = rig.collector()
        result, err = download{ sink = sink }
        assert.is_nil(result)
        assert.equal("transport", err.kind)
        local got = table.concat(pieces)
        assert.is_true(#got > 0 and #got <= 300000 and got == FILE:sub(1, #got), #got)
        assert.equal(1, #srv:requests())
      end)
    end)

    describe(way .. " with on_progress", function()
      it("reports received and total bytes", function()
        srv:reply(answer(FILE))
        local seen = {}
        assert(download{ path = dir:at("a.mp4"), on_progress = function(...) seen[#seen + 1] = { ... } end })
        local before = 0
        for _, values in ipairs(seen) do
          assert.equal(2, #values)
          assert.is_true(values[1] > before)
          assert.equal("integer", rig.type(values[1], "integer"))
          assert.equal(#FILE, values[2])
          before = values[1]
        end
        assert.equal(#FILE, before)
        assert.is_true(dir:read("a.mp4") == FILE)
      end)

      it("reports no total for a chunked body", function()
        srv:reply{ body = FILE, chunked = true }
        local last
        assert(download{ path = dir:at("a.mp4"), on_progress = function(received, total)
          assert.is_nil(total)
          last = received
        end })
        assert.equal(#FILE, last)
      end)

      it("counts on after a break", function()
        srv:reply(answer(FILE, 300000), rest(300000))
        local counts, totals = {}, {}
        assert(download{ path = dir:at("a.mp4"), on_progress = function(received, total)
          counts[#counts + 1], totals[#totals + 1] = received, total
        end })
        for i, count in ipairs(counts) do
          assert.is_true(i == 1 or count > counts[i - 1])
          assert.equal(#FILE, totals[i])
        end
        assert.equal(#FILE, counts[#counts])
        assert.is_true(dir:read("a.mp4") == FILE)
      end)

      it("works together with a sink", function()
        srv:reply(answer(FILE))
        local count = 0
        assert(download{ sink = function(chunk) count = count + #chunk end,
          on_progress = function(received) assert.equal(received, count) end })
        assert.equal(#FILE, count)
      end)

      for name, stop in pairs{ ["raises"] = function() error("enough", 0) end,
        ["returns false"] = function() return false end } do
        it("is cancelled when it " .. name, function()
          dir:write("a.mp4", "old")
          srv:reply(answer(FILE))
          local calls = 0
          local result, err = download{ path = dir:at("a.mp4"), on_progress = function()
            calls = calls + 1
            return stop()
          end }
          assert.is_nil(result)
          assert.equal("cancelled", err.kind)
          assert.equal(1, calls)
          assert.equal("old", dir:read("a.mp4"))
          assert.equal("a.mp4", dir:list())
        end)
      end

      it("can be cancelled at the last byte", function()
        dir:write("a.mp4", "old")
        srv:reply(answer(FILE))
        local _, err = download{ path = dir:at("a.mp4"), on_progress = function(n) return n < #FILE end }
        assert.equal("cancelled", err.kind)
        assert.equal("old", dir:read("a.mp4"))
        assert.equal("a.mp4", dir:list())
      end)
    end)
  end

  it("does not time out while its sink blocks longer than the timeout", function()
    srv:reply(answer(FILE:rep(10)))
    local slept, count = false, 0
    local result, err = client:download_video("v", { sink = function(chunk)
      count = count + #chunk
      if not slept then os.execute("sleep 1.4") end
      slept = true
    end }, { timeout = 1, max_retries = 0 })
    assert.is_nil(err)
    assert.equal(#FILE * 10, result.bytes)
    assert.equal(#FILE * 10, count)
  end)

  describe("in a started call", function()
    it("calls on_done once when its sink cancels it", function()
      srv:reply(answer(FILE))
      local handle, outcome
      local calls, done = 0, 0
      handle = client:start("download_video", "v", { sink = function()
        calls = calls + 1
        handle:cancel()
      end }, { on_done = function(result, err)
        done, outcome = done + 1, { result, err.kind }
      end })
      patience.finish(client)
      assert.same({ 1, 1 }, { calls, done })
      assert.same({ nil, "cancelled" }, outcome)
    end)

    it("puts the file in place, though nobody asks for the result", function()
      srv:reply(answer(FILE))
      client:start("download_video", "v", dir:at("a.mp4"))
      patience.finish(client)
      assert.is_true(dir:read("a.mp4") == FILE)
      assert.equal("a.mp4", dir:list())
    end)

    it("leaves nothing when it is cancelled or the client closed", function()
      for _, finish in ipairs{ function(handle) handle:cancel() end, function() client:close() end } do
        dir:write("a.mp4", "old")
        srv:reply{ steps = { "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n\0\0\0\24ftyp", 30 } }
        local seen
        local handle = client:start("download_video", "v", { path = dir:at("a.mp4"),
          on_progress = function(n) seen = n end })
        patience.pump(client, function() return seen end)
        assert.equal("a.mp4 a.mp4.part", dir:list())
        finish(handle)
        client:update()
        assert.is_nil((handle:result()))
        assert.equal("old", dir:read("a.mp4"))
        assert.equal("a.mp4", dir:list())
      end
    end)

    it("runs beside others", function()
      srv:route("GET", "^/v1/videos/%d+/content", answer(FILE))
      srv:route("GET", "^/v1/videos/%d+$", { json = { id = "v" } })
      local counts, handles = {}, {}
      for i = 1, 8 do
        counts[i] = 0
        handles[i] = client:start("download_video", tostring(i), { sink = function(chunk)
          counts[i] = counts[i] + #chunk
          if i == 1 then assert(client:get_video("7")) end -- a call that blocks, from within
        end })
      end
      patience.finish(client)
      for i = 1, 8 do
        assert.equal(#FILE, assert(handles[i]:result()).bytes)
        assert.equal(#FILE, counts[i])
      end
    end)
  end)
end)

-- In processes of their own, whose peak of memory (VmHWM) says what a download took.
describe("download_video of a large film", function()
  local dev, dir

  setup(function()
    dev, dir = process.serve{ "--duration", 0 }, folder.new()
    local client = rig.client(dev.origin)
    for name, length in pairs{ small = 4 * MIB, sixty_four = 64 * MIB, large = 256 * MIB } do
      assert(client:create_video{ prompt = "x", dev = { id = name, content_bytes = length } })
    end
    client:close()
  end)
  teardown(function()
    dev:stop()
    dir:remove()
  end)

  -- Runs `code`, which has `client`, and gives what it printed and how its peak grew, in KiB, from the moment
  -- when a small film was downloaded the same way.
  local function measure(code)
    local output = rig.run(([[
      local client = assert(require("sora").new{ base_url = "%s", max_retries = 0 })
      local function peak()
        for line in io.lines("/proc/self/status") do
          local kib = line:match("^VmHWM:%%s*(%%d+)")
          if kib then return tonumber(kib) end
        end
      end
      local function run(name)
        %s
      end
      run("small")
      collectgarbage()
      local before = peak()
      local result, more = run("sixty_four")
      print(result, more, peak() - before)]]):format(dev.url, code))
    local result, more, grown = output:match("^(%S+)%s+(%S+)%s+(%d+)%s*$")
    assert(result, output)
    return tonumber(result), more, tonumber(grown)
  end

  it("needs no memory that grows with the file", function()
    local bytes, _, grown = measure(([[
      if name ~= "small" then name = "large" end
      local result, err = client:download_video(name, "%s")
      return ("%%.0f"):format(assert(result, tostring(err)).bytes), "-"]]):format(dir:at("large.mp4")))
    assert.equal(256 * MIB, bytes)
    assert.is_true(grown < 2048 * MEMORY, grown .. " KiB")
    local film = media.open("video", 256 * MIB, "x")
    local file = assert(io.open(dir:at("large.mp4"), "rb"))
    for _, place in ipairs{ 0, 77 * MIB + 5, 200 * MIB + 3, 256 * MIB - 4096 } do
      file:seek("set", place)
      assert.is_true(file:read(4096) == film.read(place, 4096), "bytes from " .. place)
    end
    assert.equal(256 * MIB, file:seek("end"))
    file:close()
    assert.equal("large.mp4", dir:list())
  end)

  it("needs no memory that grows with the file for a sink, even a slow one", function()
    local bytes, calls, grown = measure[[
      local count, calls = 0, 0
      assert(client:download_video(name, { sink = function(chunk)
        count, calls = count + #chunk, calls + 1
        if calls % 64 == 0 then os.execute("sleep 0.02") end
        if calls % 16 == 0 then collectgarbage() end
      end }))
      return ("%.0f"):format(count), calls]]
    assert.equal(64 * MIB, bytes)
    assert.is_true(tonumber(calls) >= 64)
    assert.is_true(grown < 8192 * MEMORY, grown .. " KiB")
  end)

  it("needs no memory that grows with the file for a sink in frames", function()
    local bytes, frames, grown = measure[[
      local count, frames = 0, 0
      local handle = client:start("download_video", name, { sink = function(chunk)
        count = count + #chunk
        collectgarbage("step", 200)
      end })
      repeat
        frames = frames + 1
        local running = client:update(0)
        collectgarbage("step", 200)
        if running > 0 and frames % 8 == 0 then client:update(0.001) end
      until running == 0
      assert(handle:result())
      return ("%.0f"):format(count), frames]]
    assert.equal(64 * MIB, bytes)
    assert.is_true(tonumber(frames) > 64)
    assert.is_true(grown < 8192 * MEMORY, grown .. " KiB")
  end)
end)
