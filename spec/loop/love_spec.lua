-- How long a client takes in a frame of LÖVE, the real one. spec/examples plays the example.
local answers = require "spec.support.answers"
local game = require "spec.support.game"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local nginx = require "spec.support.nginx"
local patience = require "spec.support.patience"
local rig = require "spec.support.rig"
local tls = require "spec.support.tls"

describe("in LÖVE #once", function()
  local home = given.folder()
  local start = game.screen()

  setup(nginx.build)

  it("update(0) fits into a frame, also while a hundred calls wait", function()
    local server = httpd.start()
    finally(function() server:stop() end)
    server:route("GET", "^/v1/videos/", { hold = true })
    local frames = start(home.path, server.url .. "/v1", "spec/support/love_frames")
    for _, count in ipairs { 0, 1, 100 } do
      local line = frames:readline() or frames:errors()
      assert.matches("^" .. count .. " %d", line)
      if os.getenv("REPORT") == "1" then
        io.write(("\nupdate(0) in a frame of LÖVE, %d waiting: p50 %s, p99 %s, longest %s us"):format(count,
          line:match("(%S+) (%S+) (%S+)$")))
      end
    end
    assert.equal(0, frames:wait())
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
