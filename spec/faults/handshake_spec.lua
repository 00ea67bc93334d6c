-- TLS that fails, for every call: certificates, a protocol that is too old, and handshakes that are cut off.
-- A create that failed so has never left, and is not ambiguous.
local calls = require "spec.faults.calls"
local cell = require "spec.faults.cell"
local given = require "spec.support.given"
local rig = require "spec.support.rig"
local tls = require "spec.support.tls"
local wire = require "spec.support.wire"

local STEP = os.getenv "FAULTS" == "all" and 5 or 41

describe("over TLS #once", function()
  local dir = given.folder()
  local certificates

  setup(function() certificates = tls.certificates() end)

  local function start(options)
    local server = wire.start(options)
    server:serve(calls.answers())
    finally(function() server:stop() end)
    return server
  end

  -- Makes every call to a server that no call gets through to.
  local function refused(options, retryable)
    local server = start(options)
    local client = rig.client(server, { ca_file = certificates.ca })
    for _, call in ipairs(calls.list) do
      local _, counts = cell.check(client, server, call, nil, { path = dir:at "film.mp4", expect = "tls",
        retryable = retryable, lasting = true })
      assert.same({ 0, 0 }, { counts.requests, counts.posts }, call.name)
    end
    client:close()
  end

  for _, name in ipairs { "expired", "not_yet_valid", "other_name", "self_signed", "unknown_ca" } do
    it("a certificate is refused: " .. name, function() refused({ tls = certificates[name] }, false) end)
  end

  it("a server of TLS 1.0 is refused", function()
    local server = certificates.server
    refused({ tls = { cert = server.cert, key = server.key, protocol = "TLSv1" } }, "any")
  end)

  it("a server that speaks HTTP is a tls error", function()
    local server = start {}
    local client = rig.client("https://localhost:" .. server.port)
    for _, call in ipairs(calls.list) do
      local fault = { read = "nothing", steps = { call.answer } }
      cell.check(client, server, call, fault, { path = dir:at "film.mp4",
        expect = "tls", retryable = "any", lasting = true })
    end
    client:close()
  end)

  it("a handshake that never answers is a timeout before anything was sent", function()
    local server = start {}
    local client = rig.client("https://localhost:" .. server.port, { connect_timeout = 0.2 })
    for _, call in ipairs(calls.list) do
      cell.check(client, server, call, { read = "nothing", ending = "stay" }, { path = dir:at "film.mp4",
        expect = "timeout", unambiguous = true, lasting = true })
    end
    client:close()
  end)

  -- The phases of a connection, in their order: what a cut leads to.
  local PHASES = { tls = 1, transport = 2, good = 3 }

  -- Cuts what the server sends after ever more bytes, until a call succeeds. The phases follow each other,
  -- and a POST has arrived in none that says it has not.
  local function sweep(inner, outer, call)
    local client = rig.client(outer, { ca_file = certificates.ca })
    local phase, most = 1, 0
    while phase < 3 do
      inner:arm()
      local err = cell.check(client, outer, call, { most = most }, { path = dir:at "film.mp4",
        expect = "connect tls transport good", where = ("%s, after %d bytes"):format(call.name, most) })
      local counts = inner:disarm()
      local now = PHASES[not err and "good" or err.kind == "connect" and "tls" or err.kind]
      -- The lengths of signatures differ by a few bytes from one handshake to the next.
      assert.is_true(now >= phase - 1, call.name .. " at " .. most)
      if now == 1 then assert.equal(0, counts.posts) end
      assert.is_true(counts.posts <= 1)
      phase, most = math.max(phase, now), most + STEP
      assert.is_true(most < 20000, "no call succeeds")
    end
    client:close()
  end

  for _, how in ipairs { "close", "reset" } do
    it("a handshake or an answer is cut off by a " .. how, function()
      local inner = start { tls = certificates.server }
      local outer = start { forwards = inner.port, resets = how == "reset" }
      for _, call in ipairs(calls.FEW) do sweep(inner, outer, call) end
    end)
  end
end)
