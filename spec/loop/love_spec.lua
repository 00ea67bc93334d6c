-- A client in LÖVE: the real one, on a screen that nobody sees.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local nginx = require "spec.support.nginx"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local tls = require "spec.support.tls"

local NAVY, YELLOW, RED = { 19, 48, 78 }, { 241, 177, 51 }, { 230, 79, 61 } -- in the server's thumbnail
local WHITE, BLACK = { 255, 255, 255 }, { 0, 0, 0 }

-- Starts LÖVE on a folder. LÖVE runs LuaJIT, whatever runs the specs.
local function start_love(home, base_url, ...)
  return process.start { "env", "-u", "LD_PRELOAD", "HOME=" .. home, "SORA_BASE_URL=" .. base_url,
    "SORA_API_KEY=" .. rig.KEY, "LUA_PATH=lua/?.lua;lua/?/init.lua;;", "LUA_CPATH=build/luajit/?.so;;",
    "LIBGL_ALWAYS_SOFTWARE=1", "SDL_AUDIODRIVER=dummy", "xvfb-run", "-a", "love", ... }
end

-- A picture that spec/support/love took: its pixels by their place.
local function read_picture(path, width)
  local bytes = assert(process.slurp(path .. ".rgba"))
  return function(x, y)
    local offset = (y * width + x) * 4
    return { bytes:byte(offset + 1, offset + 3) }
  end
end

local function is_near(a, b)
  return math.abs(a[1] - b[1]) + math.abs(a[2] - b[2]) + math.abs(a[3] - b[3]) < 30
end

describe("in LÖVE", function()
  local home = given.folder()

  setup(nginx.build)

  it("the example draws a progress bar, and the thumbnail when the video is there", function()
    local server = process.serve { "--quiet", "--duration", "3" }
    finally(function() server:stop() end)
    local game = start_love(home.path, server.url, "spec/support/love", home.path)
    local first, second = game:readline(), game:readline()
    local errors = game:errors()
    assert.same({ "bar 480 360", "thumbnail 480 360" }, { first, second }, errors)
    assert.equal(0, game:wait())

    local bar = read_picture(home:at "bar", 480)
    local full = 40
    while full < 440 and is_near(bar(full, 190), WHITE) do full = full + 1 end
    assert.is_true(full > 140 and full < 436, ("the bar is full up to %d"):format(full))
    for x = full + 1, 436 do assert.same(BLACK, bar(x, 190)) end
    local words = 0
    for x = 0, 479 do
      for y = 140, 160 do words = words + (bar(x, y)[1] > 100 and 1 or 0) end
    end
    assert.is_true(words > 20, "no word above the bar")

    local thumbnail = read_picture(home:at "thumbnail", 480)
    for place, colour in pairs { [{ 20, 20 }] = NAVY, [{ 460, 20 }] = NAVY, [{ 240, 240 }] = YELLOW,
      [{ 20, 320 }] = RED, [{ 460, 320 }] = RED } do
      assert.is_true(is_near(thumbnail(place[1], place[2]), colour))
    end
  end)

  it("update(0) fits into a frame, also while a hundred calls wait", function()
    local server = httpd.start()
    finally(function() server:stop() end)
    server:route("GET", "^/v1/videos/", { hold = true })
    local game = start_love(home.path, server.url .. "/v1", "spec/support/love_frames")
    for _, count in ipairs { 0, 1, 100 } do
      local line = game:readline() or game:errors()
      assert.matches("^" .. count .. " %d", line)
      if os.getenv("REPORT") == "1" then
        io.write(("\nupdate(0) in a frame of LÖVE, %d waiting: p50 %s, p99 %s, longest %s us"):format(count,
          line:match("(%S+) (%S+) (%S+)$")))
      end
    end
    assert.equal(0, game:wait())
  end)
end)

describe("a frame", function()
  it("starts two TLS connections at most", function()
    local certificates = tls.certificates()
    local server = httpd.start { tls = certificates.server }
    finally(function() server:stop() end)
    server:route("GET", "^/v1/videos/", answers.HELD)
    local opened = 0
    local client = rig.client(server, { ca_file = certificates.ca, on_event = function(event)
      if event.event == "request" then opened = opened + 1 end
    end })
    local handles, most = {}, 0
    for i = 1, 9 do handles[i] = assert(client:start("get_video", "v" .. i)) end
    local function count() -- what one update(0) starts
      local before = opened
      client:update(0)
      most = math.max(most, opened - before)
      return opened
    end
    count() -- with the two that `start` itself began
    assert.is_true(most <= 4)
    most = 0
    for _ = 1, 2 do count() end
    assert.is_true(most >= 1 and most <= 2, most)
    while opened < 9 do client:update(0.1) end
    server:release()
    patience.finish(client)
    for _, handle in ipairs(handles) do assert.equal("v", handle:result().id) end
    client:close()
  end)
end)
