-- What a host may lack: memory, descriptors, the kernel's goodwill. Nothing is lost or hangs, and the client
-- works again once there is enough.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local native = require "spec.support.native"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

local DONE = answers.DONE

-- Runs code in a process of its own, with `library` preloaded and as its first argument; gives its output.
local function preloaded(library, code)
  finally(function() os.remove(library) end)
  return rig.run(code, { LD_PRELOAD = library, LIBRARY = library,
    ASAN_OPTIONS = "detect_leaks=0:verify_asan_link_order=0" }) -- a sanitizer wants to be first
end

-- The poller of poll() has no descriptor of its own.
local function has_descriptor()
  local client = rig.client("http://127.0.0.1:9")
  local found = client:fileno() ~= nil
  client:close()
  return found
end

if has_descriptor() then describe("without descriptors", function()
  it("sora.new returns an error that says what to do", function()
    local code = [[
      local sora = require "sora"
      local clients, client, err = {}, nil, nil
      repeat
        clients[#clients + 1] = client
        client, err = sora.new { base_url = "http://127.0.0.1:9/v1", api_key = "k" }
      until not client
      print(err.kind, err.retryable, err.message)
      for _, other in ipairs(clients) do other:close() end
      print(sora.new { base_url = "http://127.0.0.1:9/v1", api_key = "k" } ~= nil)
    ]]
    local command = process.command(process.lua { "-e", code })
    assert.equal("transport\ttrue\tno file descriptor is left for the client: close files or clients, or "
      .. "raise `ulimit -n`\ntrue\n", process.output("ulimit -n 30; exec " .. command .. " 2>&1"))
  end)
end) end

if has_descriptor() then describe("where epoll refuses a socket", function()
  local srv, files = given.server(), given.folder()

  it("calls end with an error, and the client works again when it no longer does", function()
    srv:route("*", "^", DONE)
    srv:route("GET", "/v1/videos/held", answers.HELD)
    srv:route("GET", "^/v1/videos/[^/]+/content", answers.file("film"))
    local output = preloaded(native.epoll(), ([[
      local library = os.getenv "LIBRARY"
      local fail = assert(package.loadlib(library, "spec_fail"))
      local mend = assert(package.loadlib(library, "spec_mend"))
      local sora = require "sora"
      local client = assert(sora.new { base_url = %q, api_key = "k", max_retries = 0, timeout = 5 })
      local kinds, ends = {}, 0
      local function count(_, err)
        ends = ends + 1
        kinds[err and err.kind or "fine"] = (kinds[err and err.kind or "fine"] or 0) + 1
      end
      for round = 1, 3 do
        assert(client:get_video "v")
        client:start("get_video", "held", { on_done = count })
        client:update(0)
        fail(true)
        for i = 1, 5 do client:start("get_video", "v" .. i, { on_done = count }) end
        client:start("download_video", "v", %q, { on_done = count })
        local video, err = client:get_video "w"
        assert(video or err.kind == "transport", err)
        video, err = client:create_video { prompt = "p" }
        assert(video or err.kind == "transport", err)
        while ends < round * 7 do client:update(0.1) end
        mend(true)
        assert(client:get_video "v")
        assert(client:create_video { prompt = "p" })
      end
      print(ends, kinds.transport > 0, (kinds.transport or 0) + (kinds.fine or 0))
      client:close()
    ]]):format(srv.url .. "/v1", files:at "film.mp4"))
    assert.equal("21\ttrue\t21\n", output)
  end)
end) end

describe("a libcurl whose TLS causes SIGPIPE", function()
  local srv = given.server()

  it("does not end the process, and a handler of the host hears nothing", function()
    srv:route("*", "^", DONE)
    local output = preloaded(native.sigpipe(), ([[
      local sora = require "sora"
      local client = assert(sora.new { base_url = %q, api_key = "k" })
      print(client:get_video("v").id)
      local handle = client:start("get_video", "w")
      while client:update(0.1) > 0 do end
      print(handle:result().id)
      client:start("get_video", "x"):cancel()
      client:close()
      print "alive"
    ]]):format(srv.url .. "/v1"))
    assert.equal("v\nv\nalive\n", output)
  end)
end)

describe("where Lua skips finalizers, as it may when memory runs out", function()
  local srv, files = given.server(), given.folder()

  it("abandoned calls and clients crash nothing", function()
    srv:route("*", "^", DONE)
    srv:route("GET", "^/v1/videos/[^/]+/content", answers.HALF)
    local output = rig.run(([[
      local sora = require "sora"
      local function new() return assert(sora.new { base_url = %q, api_key = "k", timeout = 1 }) end
      local registry = debug.getregistry()
      for _, name in ipairs { "call", "guard", "client", "part" } do registry["sora." .. name].__gc = nil end
      local function litter()
        for _ = 1, 20 do
          collectgarbage()
          local junk
          for i = 1, 1000 do junk = { junk and #junk, tostring(i) } end
        end
      end
      local client, handles = new(), {}
      for i = 1, 5 do
        client:start("download_video", "v", %q .. i)
        client:start("get_video", "v")
        local other = new()
        handles[i] = other:start("get_video", "v")
        other:start("download_video", "v", { sink = function() end })
        other:update(0)
        client:update(0.01)
        other = nil
        litter()
      end
      for _ = 1, 20 do client:update(0.01) end
      for _, handle in ipairs(handles) do handle:cancel() end
      print(client:get_video("v").id)
      client:close()
    ]]):format(srv.url .. "/v1", files:at "f"), { MALLOC_PERTURB_ = "165" })
    assert.equal("v\n", output)
  end)
end)

-- Lua itself crashes on LuaJIT with another allocator.
if not rawget(_G, "jit") then
  describe("where memory runs out", function()
    local srv = given.server()
    local client, starve

    before_each(function()
      local library = native.starve()
      starve = assert(package.loadlib(library, "spec_starve"))
      os.remove(library)
    end)
    after_each(function()
      starve(0)
      client:close()
    end)

    -- Fails each allocation in turn while `act` runs, and works until `act` says that all is over.
    local function sweep(act)
      local n, failures = 0, 0
      repeat
        n = n + 1
        local step, finish = act()
        starve(n)
        local good, problem = pcall(step)
        local failed = starve(0, true)
        finish(good, problem, n)
        if failed then failures = failures + 1 end
      until not failed
      assert.is_true(failures > 10, failures .. " allocations have failed")
    end

    it("a started call is delivered once, or start raises and nothing was sent", function()
      srv:route("*", "^", DONE)
      client = rig.client(srv)
      sweep(function()
        local heard, handle = { times = 0, video = false, err = false }, nil -- on_done allocates nothing
        return function()
          handle = client:start("get_video", "v", { on_done = function(video, err)
            heard.times, heard.video, heard.err = heard.times + 1, video, err
          end })
          while not handle:done() do client:update(0.1) end
          client:update(0)
        end, function(_, _, n)
          patience.wait(function() return heard.times > 0 or not handle end,
            function() client:update(0.01) end, "on_done of a call whose memory ran out at " .. n)
          client:update(0)
          assert.is_true(heard.times == (handle and 1 or 0), n)
          if not handle then return end
          local err = heard.err
          assert.is_true(heard.video and heard.video.status == "completed"
            or err.kind == "transport" and err.retryable, n)
          assert.equal("completed", (handle:result()).status) -- it is still there
        end
      end)
      assert.equal(0, client:update(0))
    end)

    it("on_event hears of what follows", function()
      srv:route("*", "^", DONE)
      local heard
      client = rig.client(srv, { on_event = function() heard = true end })
      sweep(function()
        return function() client:get_video("v") end, function(_, _, n)
          heard = false
          assert.equal("completed", client:get_video("v").status)
          assert.is_true(heard, n)
        end
      end)
    end)
  end)
end
