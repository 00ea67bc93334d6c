-- The command as `make install` leaves it: from any folder, with the Lua that it was installed for.
local process = require "spec.support.process"
local shell = require "spec.support.shell"

local NAME = jit and "luajit" or "lua" .. _VERSION:match "%d+%.%d+"
-- without what a make that runs this spec would hand down
local MAKE = "env -u MAKEFLAGS -u MFLAGS -u LUA_PATH -u LUA_CPATH make --silent --no-print-directory LUA="
  .. NAME

local SHARED = { "share/man/man1/sora.1", "share/bash-completion/completions/sora",
  "share/zsh/site-functions/_sora", "share/fish/vendor_completions.d/sora.fish" }

describe("an installed sora", function()
  local sh = shell.new()
  local root

  setup(function()
    root = process.folder()
    local output, status = process.run(("%s install PREFIX=%s"):format(MAKE, root))
    assert(status == 0, output)
  end)
  teardown(function() os.execute("rm -r " .. process.quote(root)) end)

  -- The words that run it with an environment that names nothing of the checkout.
  local function clean()
    return { "env", "-i", "-C", sh.files.path, "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" .. sh.files.path,
      root .. "/bin/sora" }
  end

  local function sora(arguments) return process.run(process.command(clean()) .. " " .. arguments) end

  it("is run by the Lua that it was installed for", function()
    local head = process.slurp(root .. "/bin/sora"):match "^[^\n]*"
    assert.equal("#!/usr/bin/env " .. NAME, head)
    assert.same({ "sora " .. require("sora")._VERSION .. "\n", 0 }, { sora "--version" })
  end)

  it("makes a film on the server that it starts", function()
    local words = clean()
    for word in ("serve --port 0 --duration 0.3 --quiet --exit-with-stdin"):gmatch "%S+" do
      words[#words + 1] = word
    end
    local server = process.start(words)
    local url = server:readline():match "^listening on (.*)$"
    local output, status = sora("--base-url " .. url .. " make 'A fox' 2>/dev/null")
    server:stop()
    assert.same({ "a-fox.mp4\n", 0 }, { output, status })
    assert.equal("ftyp", sh.files:read("a-fox.mp4"):sub(5, 8))
  end)

  it("has a manual and completions", function()
    for _, path in ipairs(SHARED) do
      assert.is_true(#(process.slurp(root .. "/" .. path) or "") > 1000, path)
    end
    assert.equal(process.slurp "man/sora.1", process.slurp(root .. "/share/man/man1/sora.1"))
  end)

  it("goes where DESTDIR says, and knows its place without that", function()
    local output = process.run(MAKE .. " --dry-run install DESTDIR=/destination PREFIX=/usr")
    assert.matches(">/destination/usr/bin/sora\n", output, 1, true)
    assert.matches('package.path = "/usr/share/lua/', output, 1, true)
    for _, path in ipairs(SHARED) do assert.matches("/destination/usr/" .. path, output, 1, true) end
  end)

  it("is gone after make uninstall", function()
    local copy = sh.files:at "copy"
    assert.equal(0, select(2, process.run(("cp -a %s %s"):format(root, copy))))
    local output, status = process.run(("%s uninstall PREFIX=%s"):format(MAKE, copy))
    assert.equal(0, status, output)
    assert.equal("", process.output(("find %s -type f"):format(copy)))
  end)
end)
