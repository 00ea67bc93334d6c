--- What each thread of host.c does in a state of its own: `calls.lua NUMBER URL TLS_URL CA REFUSED FOLDER`.
-- Owns the calls, of all kinds, and checks their answers. Returns how many it made. Invariant: the threads
-- share the servers and one journal, nothing else.
local number, url, tls_url, ca, refused, folder = ...
local core = require "sora.core"
local sora = require "sora"
local webhook = require "sora.webhook"

local FAST = { interval = 0.01, max_interval = 0.01 }
local MANY = 20
local calls = 0

local function client_of(server, more)
  local settings = { base_url = server .. "/v1", max_retries = 1, timeout = 60, ca_file = ca,
    api_key = function() return "sk-threads-" .. number end }
  for name, value in pairs(more or {}) do settings[name] = value end
  return assert(sora.new(settings))
end

local function expect(expected, value, err)
  calls = calls + 1
  if value ~= expected then
    error(("expected %s, got %s, %s"):format(tostring(expected), tostring(value), tostring(err)), 2)
  end
end

local function blocking(client)
  local id = "v" .. number
  local video, err = client:get_video(id)
  expect("completed", video and video.status, err)
  video, err = client:create_video { prompt = "a boat", seconds = "4" }
  expect("queued", video and video.status, err)
  video, err = client:wait(id, FAST)
  expect("completed", video and video.status, err)
  local file
  file, err = client:download_video(id, { path = ("%s/%d.mp4"):format(folder, number), sync = false })
  expect(50000, file and file.bytes, err)
  local bytes = 0
  file, err = client:download_video(id, { sink = function(chunk) bytes = bytes + #chunk end })
  expect(50000, file and bytes, err)
end

local function errors(client)
  local err = select(2, client:get_video("missing"))
  expect("api 404", err.kind .. " " .. err.status)
  err = select(2, client:get_video("odd"))
  expect("decode", err.kind)
  expect(nil, tostring(err):find("sk-threads-" .. number, 1, true)) -- the page shows the key of thread 1
  local nobody = client_of(refused, { max_retries = 0 })
  err = select(2, nobody:get_video("v"))
  expect("connect", err.kind)
  nobody:close()
end

local function started(client)
  local done = 0
  for i = 1, MANY do
    assert(client:start("get_video", "v" .. i, { on_done = function(video, err)
      expect("completed", video and video.status, err)
      done = done + 1
    end }))
  end
  assert(client:watch("v" .. number, { interval = 0.01, on_done = function(video, err)
    expect("completed", video and video.status, err)
    done = done + 1
  end }))
  while client:update(0.1) > 0 do end -- luacheck: ignore 542
  expect(MANY + 1, done)
end

-- A client that is closed, and one that is forgotten, while calls are under way.
local function ends()
  for _, server in ipairs { url, tls_url } do
    local client = client_of(server)
    local handle = assert(client:start("get_video", "slow"))
    assert(client:start("create_video", { prompt = "p" }))
    client:update(0)
    if server == url then
      client:close()
      expect("closed", select(2, handle:result()).kind)
    end
  end
  collectgarbage()
end

local function pure()
  expect(true, core.decode_json('{"a":[1,2.5,"x",null],"n":12345678901234567}').a[1] == 1)
  local now = 1764649117
  local headers = { ["webhook-id"] = "m", ["webhook-timestamp"] = "1764649117",
    ["webhook-signature"] = "v1,AA" }
  expect("webhook_forged", select(2, webhook.verify(headers, "{}", "a plain key", nil, now)).code)
end

local journaled = client_of(url, { journal = folder .. "/journal" })
local secure = client_of(tls_url, { on_event = function(event) assert(event.event) end })
blocking(journaled)
blocking(secure)
errors(secure)
started(journaled)
started(secure)
ends()
pure()
journaled:close() -- the other is closed with the state
return calls
