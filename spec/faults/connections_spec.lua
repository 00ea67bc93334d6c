-- Faults of connections that were good before: kept ones that die or hold bytes that nobody asked for,
-- answers that come before the request has been read, and faults that pass, which retries outlive.
local both_servers = require "spec.faults.servers"
local calls = require "spec.faults.calls"
local cell = require "spec.faults.cell"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"

describe("a connection #once", function()
  local dir = given.folder()
  local servers = both_servers()

  -- Makes a client that holds an idle connection.
  local function connected(server, options)
    local client = rig.client(server, options)
    assert(client:get_video "v")
    return client
  end

  for _, how in ipairs { "close", "reset" } do
    it("that is kept is not used by a POST, which a " .. how .. " would repeat", function()
      for _, read in ipairs { "line", "head", "half", "all" } do
        local client = connected(servers[how])
        local _, counts = cell.check(client, servers[how], calls.create_video, { read = read },
          { keep = true, expect = "transport", where = "having read: " .. read })
        assert.same({ 1, 1 }, { counts.connections, counts.posts }, read)
        client:close()
      end
    end)

    it("that is kept and ends in a " .. how .. " does no harm to other calls", function()
      for _, call in ipairs(calls.list) do
        local client = connected(servers[how])
        cell.check(client, servers[how], call, { times = 1 }, { keep = true, path = dir:at "film.mp4",
          expect = call.creates and "transport" or "good" })
        client:close()
      end
    end)

    it("that is kept and has ended in a " .. how .. " before is replaced", function()
      for _, call in ipairs(calls.list) do
        local client = connected(servers[how])
        cell.check(client, servers[how], call, nil, { path = dir:at "film.mp4", expect = "good" })
        client:close()
      end
    end)
  end

  it("with bytes that nobody asked for is not used again", function()
    local STRAY = { "garbage", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" .. '{"id":"w"}',
      "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" }
    for _, bytes in ipairs(STRAY) do
      for _, call in ipairs(calls.list) do
        local client = connected(servers.close)
        servers.close:push(bytes)
        cell.check(client, servers.close, call, nil, { keep = true, path = dir:at "film.mp4", expect = "good",
          where = call.name .. " after " .. bytes })
        client:close()
        servers.close:disarm() -- closes what this client has left
      end
    end
  end)

  it("whose transfer is paused is not taken for an idle one", function()
    local size, received = 4e6, 0
    local head = ("HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n\r\n"):format(size)
    local client = connected(servers.close)
    servers.close:arm({ steps = { head, { "filmfilm", size / 8 } }, ending = "keep", times = 1 })
    local file, err = client:download_video("v", { sink = function(chunk)
      received = received + #chunk
      for _ = 1, 5 do assert(client:get_video "v") end -- the first lets more come than the sink takes
    end })
    assert(file, tostring(err))
    assert.equal(size, received)
    servers.close:disarm()
    client:close()
  end)

  describe("that answers before it has read all of an upload", function()
    -- More than the buffers of a connection hold.
    local UPLOAD = { name = "upload", creates = true, good = calls.create_video.good,
      run = function(client, options)
        return client:create_video({ prompt = "a fox", input_reference = { data = ("\137PNG"):rep(3e6),
          filename = "a.png" } }, options)
      end }
    local ANSWER = calls.create_video.answer
    local REFUSAL = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\n{}"

    it("and then stands still has made the job", function()
      for _, read in ipairs { "head", "half" } do
        local client = rig.client(servers.close, { timeout = 0.2 })
        local fault = { read = read, steps = { ANSWER }, ending = "stay" }
        cell.check(client, servers.close, UPLOAD, fault, { expect = "good", where = "having read: " .. read })
        client:close()
      end
    end)

    it("but not to its end has perhaps made it", function()
      local client = rig.client(servers.close, { timeout = 0.2 })
      local fault = { read = "half", steps = { ANSWER:sub(1, -2) }, ending = "stay" }
      cell.check(client, servers.close, UPLOAD, fault, { expect = "timeout" })
      client:close()
    end)

    it("and stops reading has made it, or perhaps", function()
      for _, how in ipairs { "close", "reset" } do
        for _, read in ipairs { "line", "head", "half", "all" } do
          local client = rig.client(servers[how])
          cell.check(client, servers[how], UPLOAD, { read = read, steps = { ANSWER } },
            { expect = "good transport", where = ("%s, having read: %s"):format(how, read) })
          client:close()
        end
      end
    end)

    it("with a refusal has refused it", function()
      for _, read in ipairs { "head", "half", "all" } do
        local client = rig.client(servers.close)
        local fault = { read = read, steps = { REFUSAL }, ending = "stay" }
        local err = cell.check(client, servers.close, UPLOAD, fault,
          { expect = "api", retryable = false, unambiguous = true, where = "having read: " .. read })
        assert.equal(413, err.status)
        client:close()
      end
    end)

    it("and drips an error ends in its timeout", function()
      local steps = { "HTTP/1.1 500 Error\r\nContent-Type: application/json\r\n\r\n" }
      for i = 1, 200 do steps[2 * i], steps[2 * i + 1] = " ", 0.05 end
      local client = rig.client(servers.close, { timeout = 0.2 })
      cell.check(client, servers.close, UPLOAD, { steps = steps }, { expect = "timeout" })
      client:close()
    end)
  end)

  describe("that fails once", function()
    local FAULTS = {
      ["is closed at once"] = { read = "nothing" },
      ["gives no answer"] = {},
      ["breaks in the headers"] = { steps = { "HTTP/1.1 200 OK\r\nContent-" } },
      ["breaks in the body"] = { steps = { "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{" } },
      ["speaks no HTTP"] = { steps = { "garbage\r\n\r\n" } },
    }
    -- Those that start takes, with their arguments.
    local REPEATED = {
      { "get_video", "v" }, { "delete_video", "v" }, { "list_videos", { limit = 2 } },
      { "create_video", { prompt = "a fox" }, { idempotency_key = "once" } },
    }

    local function start(client, call, path)
      if call == "film" then return client:start("download_video", "v", path) end
      return client:start(call[1], call[2], call[3])
    end

    for name, fault in pairs(FAULTS) do
      it(name .. ": all but a POST without an idempotency key are repeated", function()
        local requests, retries = 0, 0
        local client = rig.client(servers.close, { max_retries = 6, on_event = function(event)
          if event.event == "request" then requests = requests + 1 end
          if event.event == "retry" then retries = retries + 1 end
        end })
        local list = { "film" }
        for _, call in ipairs(REPEATED) do list[#list + 1] = call end
        local armed = { read = fault.read, steps = fault.steps, times = #list }
        servers.close:arm(armed)
        local handles = {}
        for i, call in ipairs(list) do handles[i] = start(client, call, dir:at "film.mp4") end
        for i, handle in ipairs(handles) do
          local result, err = patience.result(client, handle)
          assert(result, ("%s: %s"):format(i, tostring(err)))
        end
        assert.same({ 2 * #list, #list }, { requests, retries })
        assert.is_true(servers.close:disarm().posts <= 2)
        client:close()
      end)
    end

    it("is closed again and again: a wait goes on", function()
      local client = rig.client(servers.close)
      servers.close:arm { times = 3 }
      assert.equal("v", assert(client:wait("v", rig.FAST)).id)
      assert.equal(4, servers.close:disarm().requests)
      client:close()
    end)

    it("is refused: a create is repeated, and arrives once", function()
      local posts
      local client = rig.client(servers.close, { max_retries = 2, on_event = function(event)
        if event.event == "retry" then posts = servers.close:disarm().posts end
      end })
      servers.close:arm { refuse = true }
      assert.equal("v", assert(client:create_video { prompt = "a fox" }).id)
      client:close()
      assert.same({ 0, 1 }, { posts, servers.close:disarm().posts })
    end)
  end)
end)
