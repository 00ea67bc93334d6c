-- What the command shows on a real terminal.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local rig = require "spec.support.rig"
local shell = require "spec.support.shell"

describe("on a terminal, sora", function()
  local srv, sh = given.server(), shell.new()

  before_each(function()
    sh:use(srv.url .. "/v1", rig.KEY)
    srv:route("POST", "^", shell.soon(answers.QUEUED))
    srv:route("GET", "/v1/videos/v", { shell.soon(answers.RUNNING), answers.DONE })
    srv:route("GET", "/v1/videos/v/content", answers.FILE)
  end)

  -- What is left of the text on the screen: of each line, what was written after the last erasure.
  local function left(text)
    local lines = {}
    for line in text:gmatch "[^\n]+" do
      lines[#lines + 1] = (line:gsub("^.*\27%[J", ""):gsub("^.*\r", ""):gsub("\27%[[%d;]*m", ""))
    end
    return lines
  end

  it("writes no message into a file that took the place of a closed stream", function()
    sh.files:write("init.lua", [[package.preload["sora.cli.commands.get"] = function()
      return { about = "", define = function(command) command:argument "id" end, run = function()
        local files = {}
        for i = 1, 3 do files[i] = io.open("film" .. i, "w") end
        io.stderr:write "a message"
        io.stdout:write "a result"
        for i = 1, 3 do files[i]:close() end
      end }
    end]])
    for _, closed in ipairs { "2>&-", ">&- 2>&-", "<&- >&- 2>&-" } do
      local text = sh:script(("LUA_INIT=@init.lua sora get v %s; echo $?; cat film*"):format(closed))
      assert.matches("^[^\n]*%d\n$", text)
    end
  end)

  it("shows the id, one line with a bar, and at the end what was saved, once", function()
    local text, status = sh:terminal { "make", "A boat" }
    assert.equal(0, status, text)
    assert.matches("\ra%-boat%.mp4  .*█.*░.*  40 %%  in progress  %d+ s\27%[K", text)
    local lines = left(text)
    assert.equal("v", lines[1])
    assert.matches("^saved a%-boat%.mp4 %(%d+ B%) after %d+ s$", lines[#lines])
    assert.equal(2, #lines, text)
  end)

  it("says that it asks while nothing is known of a job", function()
    srv:route("GET", "/v1/videos/w", answers.with(answers.DONE, { delay = 0.5 }))
    assert.matches("\rw  .*░.*asking the server  0 s\27%[K", (sh:terminal { "wait", "w" }))
  end)

  it("uses colour, but not with NO_COLOR or --no-color", function()
    assert.matches("\27%[32m", (sh:terminal { "make", "A boat" }))
    assert.not_matches("\27%[%d*m", (sh:terminal({ "make", "A boat" }, { env = { NO_COLOR = "1" } })))
    assert.not_matches("\27%[%d*m", (sh:terminal { "make", "A boat", "--no-color" }))
  end)

  it("writes a line a change where the terminal is dumb", function()
    local text = sh:terminal({ "make", "A boat" }, { env = { TERM = "dumb" } })
    assert.not_matches("[\r\27]", text)
    assert.matches("a-boat.mp4: in progress 40 %\n", text, 1, true)
  end)

  it("stays within a narrow terminal, without a bar", function()
    local text = sh:terminal({ "make", "A boat that sails far away" }, { columns = 30 })
    assert.not_matches("█", text, 1, true)
    for drawn in text:gmatch "\r([^\r\27]+)\27%[K" do assert.is_true(#drawn <= 30 + 2,
      drawn) end -- "…" has 3 bytes
    assert.matches(" 40 %%  in progress", text)
  end)

  it("draws with plain characters where the locale is not UTF-8", function()
    assert.matches("##.*%-%-", (sh:terminal({ "make", "A boat" }, { env = { LANG = "C" } })))
  end)

  it("shows several jobs on a line each", function()
    for _, id in ipairs { "a", "b" } do
      srv:route("GET", "/v1/videos/" .. id, { shell.soon { json = { id = id, status = "in_progress",
        progress = 40 } },
        { json = { id = id, status = "completed" } } })
      srv:route("GET", "/v1/videos/" .. id .. "/content", answers.FILE)
    end
    local text, status = sh:terminal { "wait", "a", "b" }
    assert.equal(0, status)
    assert.matches("a  .*40 %%.*\27%[K\nb  .*40 %%.*\27%[K\27%[J", text)
    local lines = left(text)
    assert.matches("^saved [ab]%.mp4", lines[#lines])
    assert.matches("^saved [ab]%.mp4", lines[#lines - 1])
  end)

  it("refuses to write bytes to the terminal", function()
    local text, status = sh:terminal { "download", "v", "-o", "-" }
    assert.equal(2, status)
    assert.matches("standard output is a terminal", text, 1, true)
    status = select(2, sh:terminal { "make", "p", "-o", "-" })
    assert.same({ 2, 0 }, { status, #srv:requests() })
  end)

  it("cuts a table to the width", function()
    srv:route("GET", "/v1/videos", { json = { data = { { id = "v", status = "queued",
      prompt = ("long "):rep(40) } } } })
    for line in sh:terminal({ "list", "--remote" }, { columns = 40 }):gmatch "[^\n]+" do
      assert.is_true(#line <= 42, line)
    end
  end)
end)
