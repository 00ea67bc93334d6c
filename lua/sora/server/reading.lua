--- The endpoints that read a video, the list, the content or a character, and the one that deletes.
-- app.lua describes what a handler is.
local input = require "sora.server.input"
local media = require "sora.server.media"
local range = require "sora.server.range"

local problem = input.problem

local reading = {}

--- `GET /videos/{id}`
function reading.video(app, _, id)
  local job, trouble = app:find(id)
  if not job then
    return nil, trouble
  end
  return app:video(job)
end

--- `DELETE /videos/{id}`
function reading.delete(app, _, id)
  local job, trouble = app:find(id)
  if not job then
    return nil, trouble
  end
  app.jobs:remove(job)
  return { body = app.format.deleted(id) }
end

--- `GET /videos?limit=&after=&order=`
function reading.list(app, request)
  local query = request.query
  local limit, order = tonumber(query.limit or 20), query.order or "desc"
  if not limit or limit < 1 or limit > 100 or limit % 1 ~= 0 then
    return nil, problem(400, "'limit' must be a whole number from 1 to 100.", "limit", "invalid_value")
  elseif order ~= "asc" and order ~= "desc" then
    return nil, problem(400, "'order' must be 'asc' or 'desc'.", "order", "invalid_value")
  end
  local after = query.after and app.jobs:get(query.after)
  if query.after and not after then
    return nil, problem(400, ("No video with id '%s'."):format(query.after), "after", "invalid_value")
  end
  local page, has_more = app.jobs:page(limit, order, after)
  local views = {}
  for i, job in ipairs(page) do
    views[i] = app.jobs:view(job)
  end
  return { body = app.format.list(views, has_more) }
end

--- `GET /videos/characters/{id}`
function reading.character(app, _, id)
  local character = app.characters[id]
  if not character then
    return nil, problem(404, ("Character with id '%s' not found."):format(id), "character_id", "not_found")
  end
  return { body = app.format.character(character) }
end

local function unavailable(app, view)
  if view.status == "completed" then
    return problem(404, "The content of this video has expired.", nil, "content_expired")
  elseif view.status == "failed" then
    return problem(404, "This video failed and has no content.", nil, "video_failed")
  end
  local message = ("Video is not ready yet, its status is '%s'."):format(view.status)
  return problem(app.not_ready, message, nil, "video_not_ready")
end

local function deliver(request, opened, completed_at)
  local modified = os.date("!%a, %d %b %Y %H:%M:%S GMT", completed_at)
  local headers = {
    ["content-type"] = opened.type,
    ["accept-ranges"] = "bytes",
    ["last-modified"] = modified,
    etag = opened.etag,
  }
  local first, last
  if range.still_valid(request.header("if-range"), opened.etag, modified) then
    first, last = range.read(request.header("range"), opened.length)
  end
  if first == false then
    local trouble = problem(416, "No byte of the range is there.", "range", "range_not_satisfiable")
    trouble.headers = { ["content-range"] = ("bytes */%.0f"):format(opened.length) }
    return nil, trouble
  elseif first then
    headers["content-range"] = ("bytes %.0f-%.0f/%.0f"):format(first, last, opened.length)
    return { status = 206, headers = headers, content = opened, first = first, count = last - first + 1 }
  end
  return { headers = headers, content = opened, first = 0, count = opened.length }
end

--- `GET /videos/{id}/content?variant=`
function reading.content(app, request, id)
  local job, trouble = app:find(id)
  if not job then
    return nil, trouble
  end
  local view = app.jobs:view(job)
  local opened = media.open(request.query.variant or "video", job.content_bytes)
  if not opened then
    local message = "'variant' must be 'video', 'thumbnail' or 'spritesheet'."
    return nil, problem(400, message, "variant", "invalid_value")
  elseif not view.available then
    return nil, unavailable(app, view)
  end
  return deliver(request, opened, view.completed_at)
end

return reading
