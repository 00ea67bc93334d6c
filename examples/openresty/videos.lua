-- The locations of nginx.conf beside this file: one makes a video and shows how it gets on, one shows a job.
-- Neither blocks the worker, and both are written as if they did.

-- luacheck: std +ngx_lua
local cjson = require "cjson.safe"
local openresty = require "sora.loop.openresty"
local sora = require "sora"

local videos = {}
local client

-- One client a worker, made by its first request: one that is made before the workers are forked is of no use
-- in them.
local function get_client()
  client = client or openresty(assert(sora.new { max_connections = 256 }))
  return client
end

local function tell(_, view)
  ngx.say(view.id, ": ", view.state, view.progress and (" %d%%"):format(view.progress) or "")
  ngx.flush(true)
end

function videos.make()
  local prompt = ngx.unescape_uri(ngx.var.arg_prompt or "A lighthouse")
  local job, err = get_client():create_video { prompt = prompt }
  if not job then return ngx.say(tostring(err)) end
  local video
  video, err = get_client():wait(job, { interval = 0.5, timeout = 600, on_progress = tell })
  ngx.say(video and (sora.normalize(video).url or "done: download_video fetches it") or tostring(err))
end

function videos.show()
  local video, err = get_client():get_video(ngx.var[1])
  if not video then ngx.status = err.status or 502 end
  ngx.header["Content-Type"] = "application/json"
  ngx.say(cjson.encode(video or { error = tostring(err) }))
end

-- A server that posts when a job has ended is believed only if its signature holds.
function videos.webhook()
  ngx.req.read_body()
  local event, err = sora.verify_webhook(ngx.req.get_headers(), ngx.req.get_body_data() or "",
    os.getenv("SORA_WEBHOOK_SECRET") or error("SORA_WEBHOOK_SECRET is not set"))
  if not event then
    ngx.log(ngx.WARN, tostring(err))
    return ngx.exit(ngx.HTTP_UNAUTHORIZED)
  end
  ngx.log(ngx.NOTICE, event.type, " ", sora.normalize(event).id)
  ngx.exit(ngx.HTTP_NO_CONTENT)
end

return videos
