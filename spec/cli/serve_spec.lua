-- sora serve: the development server as a command, for people and for scripts.
local cjson = require "cjson"
local curl = require "spec.support.curl"
local process = require "spec.support.process"
local shell = require "spec.support.shell"
local snippets = require "spec.support.snippets"

describe("sora serve", function()
  local sh = shell.new()
  local server

  local function serve(...)
    server = sh:start { "serve", "--quiet", "--exit-with-stdin", ... }
    local line = server:readline()
    server.url = line and line:match "^listening on (http://127%.0%.0%.1:%d+/v1)$"
    return server.url
  end

  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  it("is a server that sora make makes a film on", function()
    sh:use(assert(serve("--port", "0", "--duration", "0.3", "--api-key", "sk")), "sk")
    local out, err, status = sh:run { "make", "A paper boat" }
    assert.same({ "a-paper-boat.mp4\n", 0 }, { out, status }, err)
    assert.equal("ftyp", sh.files:read("a-paper-boat.mp4"):sub(5, 8))
    assert.equal(4, select(3, sh:run({ "get", "x" }, { env = { SORA_API_KEY = "other" } })))
  end)

  it("prints its address as one object with --json", function()
    server = sh:start { "serve", "--quiet", "--exit-with-stdin", "--port", "0", "--json" }
    assert.matches("^http://127%.0%.0%.1:%d+/v1$", cjson.decode(server:readline()).url)
  end)

  it("asks for the next poll soon, so that progress is seen", function()
    serve("--port", "0")
    local id = curl.post(server.url .. "/videos", { prompt = "p" }).json.id
    assert.equal("500", curl.get(server.url .. "/videos/" .. id).headers["openai-poll-after-ms"])
  end)

  it("ends with status 0 at a signal, and says nothing but where it listens", function()
    for _, signal in ipairs { "INT", "TERM" } do
      serve("--port", "0")
      server:kill(signal)
      assert.same({ 0, "", "" }, { server:finish() })
    end
  end)

  it("has a port of its own, and says when that is taken", function()
    assert.matches("%-%-port N +Port to bind; 0 lets the system choose one%.%s+%(default: 8787%)",
      (sh:run { "serve", "--help" }))
    local port = serve("--port", "0"):match ":(%d+)/"
    local out, err, status = sh:run { "serve", "--port", port }
    assert.same({ "", 2, "sora: 127.0.0.1:" .. port
      .. " is in use already\n  --port 0 takes a free port.\n" }, { out, status, err })
  end)

  it("says what to type next on a terminal, and nothing of it elsewhere", function()
    local text = sh:terminal({ "serve", "--port", "0" },
      { dialog = { { "ends the server.", "\3" } } })
    local url = text:match "^listening on (%S+)\n"
    assert.matches("\n  export SORA_BASE_URL=" .. url .. '\n  sora make "a paper boat"\n', text, 1, true)
  end)

  it("says what is wrong with its options", function()
    for _, case in ipairs { { { "--port", "x" }, "sora serve: 'x' is not a number\nUsage: sora serve " },
      { { "--mode", "bomb" }, "sora: option --mode: expected one of: sync-film, " },
      { { "--fail-rate", "2" }, "sora: option --fail-rate: expected a number from 0 to 1, got 2\nUsage: " },
      { { "--host", "0.0.0.0" }, "0.0.0.0 is not a loopback address; --allow-remote binds it" },
      { { "--host", "192.0.2.1", "--allow-remote" }, "sora: 192.0.2.1:0: " },
      { { "--nonsense" }, "sora serve: unknown option '--nonsense'\nUsage: sora serve " } } do
      local out, err, status = sh:run { "serve", "--port", "0", (table.unpack or unpack)(case[1]) }
      assert.same({ "", 2 }, { out, status })
      assert.matches(case[2], err, 1, true)
    end
  end)

  it("says what to install when lua-http is missing", function()
    local _, err, status = sh:run({ "serve", "--port", "0" }, { env = {
      LUA_INIT = 'package.preload["http.server"] = function() error("no such module", 0) end' } })
    assert.equal(2, status)
    assert.matches("^sora: sora.server needs lua%-http: `luarocks install http`[^\n]*\n$", err)
  end)

  it("fits 80 columns with its help", function()
    local out = sh:run { "serve", "--help" }
    for line in out:gmatch "[^\n]+" do assert.is_true(#line <= 80, line) end
    assert.matches("\n   rate%-limit           more than one poll", out)
  end)
end)

describe("make demo #once", function()
  -- without what a make that runs this spec would hand down
  local DEMO = "cd %s && env -u MAKEFLAGS -u MFLAGS examples/demo.sh"

  it("makes a film, and shows what was typed", function()
    local clone = snippets.clone() -- other specs may run in this checkout
    finally(function() clone:remove() end)
    local out, status = process.run(DEMO:format(process.quote(clone.path)) .. " 'A fox'")
    assert.equal(0, status, out)
    assert.matches("$ bin/sora serve --port 0 --duration 5 &\nlistening on http://127.0.0.1:", out, 1, true)
    assert.matches("$ bin/sora make 'A fox' -o video.mp4 --force\nvideo_", out, 1, true)
    assert.matches("saved video.mp4 %(", out)
    assert.matches("\n$ bin/sora list\nID ", out, 1, true)
  end)
end)
