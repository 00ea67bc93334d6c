-- How many connections there are, and which requests share one: against a scripted HTTP/1.1 server, and a
-- real nginx that speaks HTTP/2. Every answer of nginx says which connection it came by.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local nginx = require "spec.support.nginx"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local tls = require "spec.support.tls"

local DONE, HELD = answers.DONE, answers.HELD
local LIMIT, pump = patience.LIMIT, patience.pump

-- Starts `count` calls; what they gave is in the first list, errors in the second.
local function start(client, count, method, ...)
  local videos, errors = {}, {}
  local arguments, last = { ... }, select("#", ...) + 1
  for _ = 1, count do
    arguments[last] = { timeout = LIMIT, query = arguments.query, on_done = function(video, err)
      if video then videos[#videos + 1] = video else errors[#errors + 1] = tostring(err) end
    end }
    client:start(method, (unpack or table.unpack)(arguments, 1, last))
  end
  return videos, errors
end

describe("over HTTP/1.1", function()
  local srv = given.server()
  local client

  after_each(function() client:close() end)

  local function finish(videos, errors, count)
    pump(client, function() return #videos + #errors == count end)
    assert.same({}, errors)
  end

  it("each request in flight has a connection, hundreds too", function()
    client = rig.client(srv, { max_connections = 600 })
    local before = srv:connections()
    srv:route("*", "^", HELD)
    local videos, errors = start(client, 600, "get_video", "v")
    pump(client, function() return #srv:requests() == 600 end)
    srv:release()
    finish(videos, errors, 600)
    assert.equal(600, srv:connections() - before)
  end)

  it("connections are reused, however many there were", function()
    client = rig.client(srv, { max_connections = 300 })
    local before = srv:connections()
    srv:route("*", "^", DONE)
    local videos, errors = start(client, 1500, "get_video", "v")
    finish(videos, errors, 1500)
    assert.is_true(srv:connections() - before <= 300, srv:connections() - before)
  end)

  it("no more than max_connections are open, and the others queue", function()
    client = rig.client(srv, { max_connections = 270 })
    local before = srv:connections()
    srv:route("*", "^", HELD)
    local videos, errors = start(client, 280, "get_video", "v")
    pump(client, function() return #srv:requests() == 270 end)
    assert.equal(280, client:update(0.05))
    assert.equal(270, #srv:requests())
    srv:route("*", "^", DONE)
    srv:release()
    finish(videos, errors, 280)
    assert.equal(270, srv:connections() - before)
  end)

  it("blocking and started calls share connections", function()
    client = rig.client(srv, { max_connections = 1 })
    local before = srv:connections()
    srv:route("*", "^", DONE)
    assert(client:get_video("v"))
    local videos, errors = start(client, 2, "get_video", "v")
    finish(videos, errors, 2)
    assert(client:get_video("v"))
    assert.equal(1, srv:connections() - before)
  end)

  it("creates in a row do not leave an open connection each", function()
    client = rig.client(srv)
    srv:route("POST", "^", DONE)
    local before = process.open_files()
    for _ = 1, 20 do assert(client:create_video { prompt = "p" }) end
    patience.pump(client, function() return process.open_files() - before <= 4 end) -- in their time
  end)

  it("a call that a callback starts during a blocking call is completed by later updates", function()
    local inner, asked = nil, false
    client = rig.client(srv, { on_event = function(event)
      if event.event == "request" and not asked then
        asked = true
        inner = client:start("get_video", "inner")
      end
    end })
    srv:route("GET", "/v1/videos/outer", { json = { id = "outer" }, delay = 0.05 })
    srv:route("GET", "/v1/videos/inner", { json = { id = "inner" } })
    assert.equal("outer", client:get_video("outer").id)
    pump(client, function() return inner:done() end)
    assert.equal("inner", inner:result().id)
  end)

  it("a callback during a blocking call may make a blocking call", function()
    local inner
    client = rig.client(srv, { on_event = function(event)
      if event.event ~= "request" or inner then return end
      inner = true
      inner = client:get_video("inner")
    end })
    srv:route("GET", "/v1/videos/outer", { json = { id = "outer" }, delay = 0.05 })
    srv:route("GET", "/v1/videos/inner", { json = { id = "inner" } })
    assert.equal("outer", client:get_video("outer").id)
    assert.equal("inner", inner.id)
  end)
end)

describe("with few descriptors", function()
  it("requests queue, and none fails", function()
    local srv = httpd.start()
    finally(function() srv:stop() end)
    srv:route("*", "^", { json = DONE.json, delay = 0.02 })
    local code = ([[
      local sora = require "sora"
      local function run(clients, count)
        local good, bad = 0, {}
        for _, client in ipairs(clients) do
          for _ = 1, count do
            client:start("get_video", "v", { on_done = function(video, err)
              if video then good = good + 1 else bad[#bad + 1] = tostring(err) end
            end })
          end
        end
        local open
        repeat
          open = 0
          for _, client in ipairs(clients) do open = open + client:update(0.01) end
        until open == 0
        print(good, #bad, bad[1] or "")
      end
      local function new()
        return assert(sora.new { base_url = %q, api_key = "k", max_retries = 0, max_connections = 500 })
      end
      run({ new() }, 200)
      run({ new(), new(), new() }, 100) -- none knows what the others take
    ]]):format(srv.url .. "/v1")
    assert.equal("200\t0\t\n300\t0\t\n",
      process.output("ulimit -n 80; exec " .. process.command(process.lua { "-e", code }) .. " 2>&1"))
  end)
end)

local NGINX = [[
@MODULES@daemon off;
pid @DIR@/nginx.pid;
error_log @DIR@/error.log warn;
events { worker_connections 2048; }
http {
  access_log off;
  client_body_temp_path @DIR@/body;
  proxy_temp_path @DIR@/proxy;
  fastcgi_temp_path @DIR@/fastcgi;
  uwsgi_temp_path @DIR@/uwsgi;
  scgi_temp_path @DIR@/scgi;
  lua_shared_dict counts 1m;
  server {
    listen 127.0.0.1:@PORT@ ssl http2;
    ssl_certificate @CERT@;
    ssl_certificate_key @KEY@;
    http2_max_concurrent_streams 128;
    location /v1/videos {
      # waits until as many requests are here as the query says
      content_by_lua_block {
        local counts, wanted = ngx.shared.counts, tonumber(ngx.var.arg_together or 1)
        counts:incr(ngx.var.arg_name or "all", 1, 0)
        local patience = 2000
        while counts:get(ngx.var.arg_name or "all") < wanted and patience > 0 do
          ngx.sleep(0.005)
          patience = patience - 1
        end
        ngx.req.read_body()
        ngx.header.content_type = "application/json"
        ngx.print('{"id":"v","status":"queued","together":', tostring(patience > 0),
          ',"connection":', ngx.var.connection, '}')
      }
    }
    location ~ ^/v1/videos/.*/content$ { return 302 @ELSEWHERE@/file; }
  }
}
]]

describe("over HTTP/2", function()
  local dir = given.folder()
  local certificates, server, elsewhere, client

  setup(function()
    certificates = tls.certificates()
    elsewhere = httpd.start { tls = certificates.server }
    local values = { MODULES = nginx.modules(), CERT = certificates.server.cert,
      KEY = certificates.server.key, ELSEWHERE = elsewhere.url }
    server = nginx.run((NGINX:gsub("@(%u+)@", values)))
  end)
  teardown(function()
    server:stop()
    elsewhere:stop()
  end)
  before_each(function()
    client = rig.client((server.url:gsub("^http:", "https:")), { ca_file = certificates.ca, timeout = LIMIT })
  end)
  after_each(function() client:close() end)

  local function connections(videos)
    local seen, count = {}, 0
    for _, video in ipairs(videos) do
      if not seen[video.connection] then count = count + 1 end
      seen[video.connection] = true
      assert.is_true(video.together)
    end
    return count
  end

  -- Starts calls that are answered once all are at the server.
  local names = 0
  local function together(count, method, ...)
    names = names + 1
    local options = { timeout = LIMIT, query = { together = count, name = "n" .. names } }
    local videos, errors = {}, {}
    options.on_done = function(video, err)
      if video then videos[#videos + 1] = video else errors[#errors + 1] = tostring(err) end
    end
    local arguments = { ... }
    arguments[#arguments + 1] = options
    for _ = 1, count do client:start(method, (unpack or table.unpack)(arguments)) end
    pump(client, function() return #videos + #errors == count end)
    assert.same({}, errors)
    return videos
  end

  it("a hundred requests share a connection", function()
    assert(client:get_video("v"))
    assert.equal(1, connections(together(100, "get_video", "v")))
  end)

  it("there are as many connections as the requests in flight need", function()
    assert(client:get_video("v"))
    assert.equal(3, connections(together(250, "get_video", "v")))
    assert.equal(1, connections(together(90, "get_video", "v")))
  end)

  it("hundreds that start at once don't open a connection each", function()
    local videos, errors = start(client, 500, "get_video", "v")
    pump(client, function() return #videos + #errors == 500 end)
    assert.same({}, errors)
    assert.is_true(connections(videos) <= 5, connections(videos))
  end)

  it("max_connections is honoured", function()
    client:close()
    client = rig.client((server.url:gsub("^http:", "https:")), { ca_file = certificates.ca, timeout = LIMIT,
      max_connections = 2 })
    assert(client:get_video("v"))
    local videos, errors = start(client, 500, "get_video", "v")
    pump(client, function() return #videos + #errors == 500 end)
    assert.same({}, errors)
    assert.is_true(connections(videos) <= 2)
  end)

  it("each create has a connection of its own", function()
    assert(client:get_video("v"))
    assert.equal(3, connections(together(3, "create_video", { prompt = "p" })))
  end)

  it("another host, which speaks HTTP/1.1, has as many connections as it needs", function()
    elsewhere:route("GET", "/file", { hold = true, body = "video",
      headers = { ["Content-Type"] = "video/mp4" } })
    assert(client:get_video("v"))
    local done = 0
    for i = 1, 3 do
      client:start("download_video", "v", dir:at("file" .. i), { on_done = function(file, err)
        assert(file, err)
        done = done + 1
      end })
    end
    pump(client, function() return #elsewhere:requests() == 3 end)
    elsewhere:release()
    pump(client, function() return done == 3 end)
  end)
end)
