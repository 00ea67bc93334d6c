-- The example for Neovim, in the real one, headless: films are saved, no job is lost or paid for twice.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

-- What each script begins with. It runs once Neovim has started; `quit` ends it.
local PRELUDE = [[
local notes, films = {}, require "sora_films"
vim.notify = function(text)
  notes[#notes + 1] = text
  if text:find "closed" then io.stderr:write(text, "\n") end
end
local function say(...) io.stdout:write(table.concat({ ... }, " "), "\n") io.stdout:flush() end
local function noted() return table.concat(notes, " | ") end
local function wait(holds)
  if not vim.wait(40000, holds, 5) then error("waited in vain: " .. films.status() .. " " .. noted()) end
end
local function ended() wait(function() return films.status() == "" end) end
local function quit() vim.cmd "qa!" end
]]

describe("the Neovim example #once", function()
  local srv, home = given.server(), given.folder()

  setup(function()
    local output, status = process.run "make --silent LUA=luajit"
    assert.equal(0, status, output)
  end)

  -- Starts Neovim with the plugin, and a script. What the script raises ends it, and is on stderr.
  local function begin(url, script)
    home:write("script.lua", [[vim.schedule(function()
      local good, problem = pcall(function() ]] .. PRELUDE .. script .. [[ end)
      if not good then
        io.stderr:write("failed: ", problem)
        vim.cmd "cq"
      end
    end)]])
    return process.start { "env", "-u", "LD_PRELOAD", "XDG_DATA_HOME=" .. home:at "data",
      "SORA_BASE_URL=" .. url, "SORA_API_KEY=" .. rig.KEY, "LUA_PATH=lua/?.lua;lua/?/init.lua;;",
      "LUA_CPATH=build/luajit/?.so;;", "nvim", "--headless", "-u", "NONE", "-i", "NONE",
      "--cmd", "set runtimepath^=examples/neovim", "-c", "runtime plugin/sora.lua",
      "-c", "autocmd VimEnter * luafile " .. home:at "script.lua" }
  end

  -- Runs a script to its end; returns the lines that it said.
  local function run(script, url)
    local status, said, errors = begin(url or srv.url .. "/v1", script .. "\nquit()"):finish()
    assert.same({ 0, "" }, { status, errors })
    local lines = {}
    for line in said:gmatch "[^\n]+" do lines[#lines + 1] = line end
    return lines
  end

  local function prompts()
    local list = {}
    for _, request in ipairs(srv:requests()) do
      if request.method == "POST" then list[#list + 1] = cjson.decode(request.body).prompt end
    end
    return list
  end

  local function serve(job)
    srv:route("POST", "/v1/videos", answers.QUEUED)
    srv:route("GET", "/v1/videos/v", job)
    srv:route("GET", "/v1/videos/v/content", answers.FILE)
  end

  local function saved_films()
    local films = {}
    for _, path in ipairs(process.lines("find " .. process.quote(home.path) .. " -name '*.mp4*'")) do
      films[#films + 1] = process.slurp(path)
    end
    return films
  end

  it("makes a film while the editor goes on, and says where it is", function()
    local server = process.serve { "--quiet", "--duration", "1" }
    finally(function() server:stop() end)
    local lines = run([[
      local before, longest, ticks = vim.loop.hrtime(), 0, 0
      vim.cmd "Sora a red fox"
      local first = vim.loop.hrtime() - before
      before = vim.loop.hrtime()
      local timer = vim.loop.new_timer()
      timer:start(0, 1, function()
        local now = vim.loop.hrtime()
        longest, before, ticks = math.max(longest, now - before), now, ticks + 1
      end)
      say(films.status())
      ended()
      timer:stop()
      say(noted())
      vim.cmd "SoraList"
      say(vim.api.nvim_get_current_line())
      say(ticks > 100 and "went on" or "stood still")
      say(("the first :Sora took %.1f ms; later the editor was blocked for %.1f ms at most")
        :format(first / 1e6, longest / 1e6)) ]], server.url)
    assert.equal("sora: 1 film, 0 %", lines[1])
    assert.equal("sora: a red fox is saved; :SoraList shows where", lines[2])
    local path = lines[3]:match "^a red fox  %((/.*%.mp4)%)$"
    assert.same({ "ftyp", "went on" }, { process.slurp(path):sub(5, 8), lines[4] })
    assert.same({ process.slurp(path) }, saved_films())
    if os.getenv("REPORT") == "1" then io.write("\nNeovim example: ", lines[5]) end
  end)

  it("resumes a job that an earlier Neovim left, quit or killed", function()
    serve(answers.RUNNING)
    local seen = "wait(function() return films.status():find '40 %%' end) "
    run("vim.cmd 'Sora a red fox' " .. seen)
    local killed = begin(srv.url .. "/v1", seen .. " say 'ready' vim.wait(60000)")
    assert.equal("ready", killed:readline())
    killed:kill "KILL"
    killed:wait()
    assert.same({}, process.lines("find " .. process.quote(home.path) .. " -name '*.mp4'"))
    serve(answers.DONE)
    assert.matches("^sora: a red fox is saved; ", run("ended() wait(noted) say(noted())")[1])
    assert.same({ { "a red fox" }, { answers.MP4 } }, { prompts(), saved_films() })
    assert.same({ "nothing: " }, run "ended() say('nothing: ' .. noted())")
  end)

  it("starts in silence where the environment names no server, and says so when it is used", function()
    serve(answers.RUNNING)
    run "vim.cmd 'Sora a red fox'"
    local lines = run([[
      say("silent: " .. noted())
      for _, command in ipairs { "Sora a boat", "SoraList", "SoraForget" } do vim.cmd(command) end
      say(#notes, notes[1]) ]], "")
    assert.equal("silent: ", lines[1])
    assert.matches("^3 sora: base_url is missing: set SORA_BASE_URL", lines[2])
  end)

  it("waits for the answer of a create when it is quit", function()
    serve(answers.DONE)
    srv:route("POST", "/v1/videos", answers.with(answers.QUEUED, { delay = 0.5 }))
    run "vim.cmd 'Sora a red fox'"
    run "ended()"
    assert.same({ { "a red fox" }, { answers.MP4 } }, { prompts(), saved_films() })
  end)

  it("takes the selection as the prompt, or lines, and refuses to guess", function()
    serve(answers.DONE)
    run [[
      vim.api.nvim_buf_set_lines(0, 0, -1, false, { "make a fox", "in the café, please", "or not" })
      vim.cmd "normal! wvjf,h\27"
      vim.cmd "'<,'>Sora"
      ended()
      vim.cmd "2,3Sora"
      ended()
      vim.cmd "Sora"
      assert(noted():find "write :Sora PROMPT", noted()) ]]
    assert.same({ "a fox\nin the café", "in the café, please\nor not" }, prompts())
  end)

  it("says what went wrong; a job whose answer was lost is asked for no more", function()
    serve(answers.DONE)
    srv:route("POST", "/v1/videos", { close = true })
    assert.matches("the server may have", run("vim.cmd 'Sora a red fox' ended() say(noted():lower())")[1])
    local list = "ended() vim.cmd 'SoraList' say(vim.api.nvim_get_current_line()) "
    assert.same({ "a red fox  (unsure: the answer was lost)" }, run(list))
    assert.same({ "a red fox  (forgotten)" }, run("vim.cmd 'SoraForget' " .. list))
    assert.same({ "a red fox" }, prompts())
    srv:route("POST", "/v1/videos", { status = 402, json = { error = { message = "no credit" } } })
    assert.matches("a boat: no credit", run("vim.cmd 'Sora a boat' ended() say(noted())")[1])
  end)
end)
