--- Measures the OpenResty adapter: one nginx worker that calls a server (50 ms) with the client, compared
-- with the same worker and proxy_pass.
-- Owns the measurement and its report. Invariant: both get the same requests from the same generator, and
-- nothing here passes or fails.
local cqueues = require "cqueues"
local load = require "spec.support.load"
local nginx = require "spec.support.nginx"

local APP = [[require("spec.support.nginx_app")]]
local ROUNDS, CONNECTIONS, WARM_UP, REQUESTS = 3, 100, 400, 6000

local measure = {}

local function start(upstream)
  return nginx.start {
    main = ("env UPSTREAM=%s;"):format(upstream.url),
    http = ("lua_shared_dict notes 1m; upstream videos { server 127.0.0.1:%d; keepalive 256; }")
      :format(upstream.port),
    server = ([[
      location = /plain { return 200 "plain"; }
      location = /sora { content_by_lua_block { %s.get() } }
      location /v1/ {
        proxy_pass http://videos;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
      }
    ]]):format(APP),
  }
end

local function run(front, name, prefix, report)
  load.run { port = front.port, connections = CONNECTIONS, paths = load.paths(WARM_UP, prefix) }
  local cpu = front:cpu()
  local answers, beside = load.run { port = front.port, connections = CONNECTIONS,
    paths = load.paths(REQUESTS, prefix), beside = { path = "/plain", connections = 2 } }
  cpu = (front:cpu() - cpu) / REQUESTS * 1e6
  for _, answer in ipairs(answers) do assert(answer.status == 200, answer.err or answer.body) end
  report(("%-10s  p50 %.1f ms  p99 %.1f ms  elsewhere: p50 %.2f ms  p99 %.1f ms  CPU a request %.0f µs")
    :format(name, load.percentile(answers, 0.5), load.percentile(answers, 0.99),
    load.percentile(beside, 0.5), load.percentile(beside, 0.99), cpu))
end

--- Measures and reports.
-- @tparam table upstream an nginx with `nginx_app.upstream`
-- @tparam function report is called with each line
function measure.run(upstream, report)
  local front = start(upstream)
  report(("%d requests at once, %d in all, one worker, 50 ms upstream"):format(CONNECTIONS, REQUESTS))
  for _ = 1, ROUNDS do
    run(front, "proxy_pass", "/v1/videos/v_", report)
    run(front, "sora", "/sora?id=v_", report)
  end
  cqueues.sleep(0.2) -- until keep-alive timers and the adapter's timer have run
  local cpu = front:cpu()
  cqueues.sleep(1)
  report(("%-10s  CPU %.0f µs a second"):format("idle", (front:cpu() - cpu) * 1e6))
  front:stop()
end

return measure
