--- The endpoints that create something: create, remix, edit, extend, and characters.
-- Owns the checks of their input, and idempotency keys. app.lua describes what a handler is.
local input = require "sora.server.input"
local jobs = require "sora.server.jobs"
local media = require "sora.server.media"

local problem = input.problem

local making = {}

local DEFAULTS = { model = "sora-2", size = "720x1280", seconds = "4" }

local function read_dev(app, fields)
  local dev, trouble = input.object(fields, "dev")
  if trouble then
    return nil, trouble
  end
  dev = dev or {}
  local name, wrong = jobs.check_dev(dev)
  if not name and dev.content_bytes and not media.can_be(dev.content_bytes) then
    name, wrong = "content_bytes", ("must be %d or at least 8 more"):format(media.film_length())
  elseif not name and dev.id and app.jobs:get(dev.id) then
    name, wrong = "id", "is taken"
  end
  if name then
    return nil, problem(400, ("dev.%s %s."):format(name, wrong), "dev." .. name, "invalid_value")
  end
  return dev
end

-- Reads the fields of any new job. Missing ones come from the source video, or else from DEFAULTS.
local function describe(fields, source)
  local prompt, trouble = input.required_text(fields, "prompt")
  local job = { prompt = prompt }
  for name, default in pairs(DEFAULTS) do
    if not trouble then
      job[name], trouble = input.text(fields, name, source and source[name] or default)
    end
  end
  if trouble then
    return nil, trouble
  end
  return job
end

-- Creates every job. A known idempotency key returns the job it created before, even a deleted one, because
-- a client that repeats a create wants the first response and not a second job.
local function make(app, request, asked, source, is_remix)
  local key = request.header("idempotency-key")
  key = key and request.path .. "\n" .. key
  if key and app.made_by_key[key] then
    return app:video(app.made_by_key[key])
  end
  local dev, description, trouble
  dev, trouble = read_dev(app, asked.fields)
  if not trouble then
    description, trouble = describe(asked.fields, source)
  end
  if trouble then
    return nil, trouble
  end
  description.remixed_from_video_id = is_remix and source.id or nil
  local job = app.jobs:create(description, dev)
  app.inputs[job] = asked
  if key then
    app.made_by_key[key] = job
  end
  return app:video(job)
end

-- Finds the completed job that a new one starts from.
local function find_source(app, id)
  local job, trouble = app:find(id)
  if not job then
    return nil, trouble
  end
  if app.jobs:view(job).status ~= "completed" then
    return nil, problem(400, ("Video '%s' is not completed."):format(id), "video", "video_not_completed")
  end
  return job
end

-- Handles an edit or an extension, of a job on this server or of a video file in the request.
local function derive(app, request, required)
  local asked, trouble = input.read(request)
  if not asked then
    return nil, trouble
  end
  local source
  local id = input.reference(asked.fields, "video")
  if id ~= nil then
    source, trouble = find_source(app, tostring(id))
  elseif not asked.files.video then
    trouble = input.missing("video")
  end
  if not trouble and required then
    trouble = select(2, input.required_text(asked.fields, required))
  end
  if trouble then
    return nil, trouble
  end
  return make(app, request, asked, source)
end

--- `POST /videos`
function making.create(app, request)
  local asked, trouble = input.read(request)
  if not asked then
    return nil, trouble
  end
  return make(app, request, asked)
end

--- `POST /videos/{id}/remix`
function making.remix(app, request, id)
  local source, trouble = find_source(app, id)
  if not source then
    return nil, trouble
  end
  local asked
  asked, trouble = input.read(request)
  if not asked then
    return nil, trouble
  end
  return make(app, request, asked, source, true)
end

--- `POST /videos/edits`
function making.edit(app, request)
  return derive(app, request)
end

--- `POST /videos/extensions`
function making.extend(app, request)
  return derive(app, request, "seconds")
end

--- `POST /videos/characters`
function making.character(app, request)
  local asked, trouble = input.read(request)
  if not asked then
    return nil, trouble
  end
  local name
  name, trouble = input.required_text(asked.fields, "name")
  if not trouble and not asked.files.video and asked.fields.video == nil then
    trouble = input.missing("video")
  end
  if trouble then
    return nil, trouble
  end
  local character = { id = app.jobs:new_id("char"), name = name, created_at = app.jobs.date() }
  app.characters[character.id] = character
  return { body = app.format.character(character) }
end

return making
