-- The example for LÖVE, played in the real one: films are saved, and no job is lost or paid for twice.
local answers = require "spec.support.answers"
local basexx = require "basexx"
local game = require "spec.support.game"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

-- Pictures of 96 × 32 pixels.
local PNG = basexx.from_base64("iVBORw0KGgoAAAANSUhEUgAAAGAAAAAgCAIAAABiouoDAAAACXBIWXMAAAABAAAAAQBPJc"
  .. "TWAAAATklEQVR4nO3QQQ0AIBDAsFOECXTiFQd82aPJBCyddbYezfeDeIAAAQIEKBwgQIAAAQoHCBAgQIDCAQIECBCgcIAAAQ"
  .. "IEKBwgQIAAAQp3AQ3pqLWoPKbnAAAAAElFTkSuQmCC")
local WEBP = basexx.from_base64("UklGRk4AAABXRUJQVlA4IEIAAACwAwCdASpgACAAPpFIn0wlpCKiIqgAsBIJZwDU9oAAFR"
  .. "pjHD4MwAD+2ib/r4Ap6o//wrW9nsDzI6QqUcNAVEAAAAA=")

-- Waits until the newest film is saved; a part of many scripts.
local SAVED = " wait(function() return films.list[1].state == 'saved' end) "

local function picture(bytes, type)
  return { body = bytes, headers = { ["Content-Type"] = type } }
end

describe("the LÖVE example #once", function()
  local srv, home = given.server(), given.folder()
  local start = game.screen()

  setup(function()
    local output, status = process.run "make --silent LUA=luajit"
    assert.equal(0, status, output)
  end)

  -- Starts the game with a player's script.
  local function begin(url, script)
    home:write("script.lua", script)
    return start(home.path, url, "spec/support/love", home:at "script.lua")
  end

  -- Plays a script to its end; returns what it said, line by line.
  local function play(script, url)
    local running = begin(url or srv.url .. "/v1", script .. "\nquit()")
    local status, said, errors = running:finish()
    assert.same({ 0, "" }, { status, errors })
    local lines = {}
    for line in said:gmatch "[^\n]+" do lines[#lines + 1] = line end
    return lines
  end

  local function posts() return rig.posts(srv) end

  -- A server whose job "v" is as the answer says, and completes with a film and this thumbnail.
  local function serve(job, thumbnail)
    srv:route("POST", "/v1/videos", answers.QUEUED)
    srv:route("GET", "/v1/videos/v", job)
    srv:route("GET", "/v1/videos/v/content", { answers.FILE, thumbnail or { status = 404 } })
  end

  local function saved_films()
    local films = {}
    for _, path in ipairs(process.lines("find " .. process.quote(home.path) .. " -name '*.mp4*'")) do
      films[#films + 1] = process.slurp(path)
    end
    return films
  end

  it("shows the progress of a typed prompt", function()
    serve { answers.RUNNING, answers.DONE }
    local lines = play([[
      type "A red fo" type "é" press "backspace" type "x" press "return"
      press "f3"
      see "is being made"
      local bar = shoot "]] .. home:at "bar.png" .. [["
      say(screen())
      for _, x in ipairs { 140, 380, 400, 780 } do say((select(3, bar:getPixel(x, 351)))) end
      ]] .. SAVED .. "report()")
    for _, words in ipairs { "A red fox", "is being made", "longest update" } do
      assert.is_truthy(lines[1]:find(words, 1, true), lines[1])
    end
    local full = {}
    for i = 2, 5 do full[#full + 1] = tonumber(lines[i]) > 0.9 end
    assert.same({ true, true, false, false }, full) -- 40 %
    if os.getenv("REPORT") == "1" then io.write("\nLÖVE example: ", lines[6]) end
  end)

  it("saves the film of a server whole, and draws its thumbnail", function()
    local server = process.serve { "--quiet", "--duration", "0.5" }
    finally(function() server:stop() end)
    local lines = play([[
      press "tab" press "return"
      wait(function() return pictures()[1] end)
      say(pictures()[1].width, pictures()[1].height)
      say(shoot("]] .. home:at "film.png" .. [["):getPixel(68, 335)) -- below the middle of the thumbnail
      say(films.list[1].text)
      say(screen()) ]], server.url)
    assert.equal("104.0 58.5", ("%.1f %.1f"):format(lines[1]:match "(%S+) (%S+)")) -- 16:9, as wide as fits
    local red, green, blue = lines[2]:match "(%S+) (%S+) (%S+)"
    assert.is_true(red * 255 > 200 and green * 255 > 140 and blue * 255 < 100, lines[2]) -- its yellow square
    local film = process.slurp(lines[3])
    assert.equal("ftyp", film:sub(5, 8))
    assert.same({ film }, saved_films())
    for _, words in ipairs { "A lighthouse in a storm", lines[3]:sub(-24), "Ogg Theora" } do
      assert.is_truthy(lines[4]:find(words, 1, true), lines[4])
    end
  end)

  it("draws a PNG with its aspect, and says why it draws no WebP, no broken picture, or none", function()
    local function see(thumbnail, words)
      serve(answers.DONE, thumbnail)
      return play("press 'tab' press 'return' " .. words .. [[ say(screen()) say(#pictures())
        for _, picture in ipairs(pictures()) do say(picture.width / picture.height) end
        say(films.list[1].state)]])
    end
    local lines = see(picture(PNG, "image/png"), "wait(function() return pictures()[1] end)")
    assert.same({ "1", "3", "saved" }, { lines[2], lines[3], lines[4] })
    local cases = {
      { picture(WEBP, "image/webp"), "WebP, which LÖVE cannot draw" },
      { picture(PNG:sub(1, 90), "image/png"), "LÖVE cannot draw this thumbnail" },
      { picture("\255\216\255\224 and so on", "image/jpeg"), "LÖVE cannot draw this thumbnail" },
      { { status = 404, json = { error = { message = "there is none" } } }, "no thumbnail: " },
    }
    for _, case in ipairs(cases) do
      home:clear()
      lines = see(case[1], ("see %q"):format(case[2]))
      assert.same({ "0", "saved" }, { lines[2], lines[3] })
    end
  end)

  it("takes a job up again after it was quit, and after it was killed", function()
    serve(answers.RUNNING)
    local quit = play [[ type "A fox" press "return" see "is being made" say(screen()) ]]
    assert.matches("A fox", quit[1])
    local killed = begin(srv.url .. "/v1", [[ see "is being made" say "ready" wait(function() end) ]])
    assert.equal("ready", killed:readline())
    killed:kill "KILL"
    killed:wait()
    assert.same({}, saved_films())
    serve(answers.DONE, picture(PNG, "image/png"))
    local list = "wait(function() return pictures()[1] end) say(films.list[1].state, #films.list) "
    local lines = play(list .. "say(screen())")
    assert.equal("saved 1", lines[1])
    assert.matches("A fox", lines[2])
    assert.same({ 1, { answers.MP4 } }, { posts(), saved_films() })
    -- It is listed from then on, with its thumbnail.
    assert.same({ "saved 1" }, play(list))
    assert.equal(1, posts())
  end)

  it("waits for the answer of a create when it is quit", function()
    serve(answers.DONE)
    srv:route("POST", "/v1/videos", answers.with(answers.QUEUED, { delay = 0.5 }))
    play [[ type "A fox" press "return" ]]
    play(SAVED)
    assert.same({ 1, { answers.MP4 } }, { posts(), saved_films() })
  end)

  it("shows a job whose answer was lost, asks for it no more, and forgets it when it is told to", function()
    serve(answers.DONE)
    srv:route("POST", "/v1/videos", { close = true })
    for _ = 1, 2 do
      local lines = play [[
        if #films.list == 0 then type "A fox" press "return" end
        see "The answer was lost"
        press "f5"
        say(films.list[1].state, #films.list) ]]
      assert.same({ "unsure 1" }, lines)
    end
    play [[ see "The answer was lost" press "delete" wait(function() return #films.list == 0 end) ]]
    assert.same({ "0" }, play "say(#films.list)")
    assert.equal(1, posts())
  end)

  it("says in words what went wrong, and tries again", function()
    serve { status = 400, json = { error = { message = "not \255 today\nat all" } } }
    local lines = play [[ type "A fox" press "return" see "at all" say(films.list[1].state) ]]
    assert.same({ "failed" }, lines)
    local again = begin(srv.url .. "/v1", [[
      see "at all"
      say "ready"
      wait(function()
        if films.list[1].state == "failed" then press "f5" end
        return films.list[1].state == "saved"
      end)
      quit() ]])
    assert.equal("ready", again:readline())
    serve(answers.DONE)
    assert.equal(0, (again:finish()))
    assert.same({ 1, { answers.MP4 } }, { posts(), saved_films() })
    home:clear()
    local nowhere = httpd.refused_url() .. "/v1"
    lines = play([[ type "A fox" press "return" see "onnect" say(films.list[1].state) press "delete"
      say(#films.list) ]], nowhere)
    assert.same({ "failed", "0" }, lines)
    assert.same({ "0" }, play("say(#films.list)", nowhere))
  end)

  it("goes on while a server holds back its answers", function()
    serve(answers.HELD)
    local held = begin(srv.url .. "/v1", [[
      type "A fox" press "return"
      see "asks the server"
      local first = frames()
      wait(function() return frames() >= first + 100 end)
      say("went on", films.list[1].state)
      ]] .. SAVED .. "quit()")
    assert.equal("went on asking", held:readline())
    srv:wait_requests(2) -- a poll that comes after the release would be held for ever
    srv:release()
    assert.equal(0, (held:finish()))
    assert.equal(rig.KEY, srv:requests()[1].headers.authorization:match "Bearer (.*)")
  end)
end)
