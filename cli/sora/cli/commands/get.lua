--- `sora get`: shows a job.
-- @local
local normalize = require "sora.normalize"
local text = require "sora.cli.text"

local get = { about = "Show a job.", usage = "ID" }

function get.define(command)
  command:argument "id":argname "ID":description "The job."
end

local function time(seconds)
  return seconds and os.date("%Y-%m-%d %H:%M:%S", seconds)
end

local FIELDS = { "id", "state", "progress", "created", "completed", "model", "size", "seconds", "cost",
  "prompt", "url",
  "error" }

--- Prints what is known of a job, a field a line.
function get.show(session, video)
  local view = normalize.video(video)
  local values = { id = view.id, state = view.state, progress = view.progress
    and ("%g %%"):format(view.progress),
    created = time(view.created_at), completed = time(view.completed_at), model = video.model,
      size = video.size,
    seconds = view.seconds or video.seconds, cost = view.cost, prompt = video.prompt, url = view.url,
    error = view.error and (view.error.message or view.error.code) }
  for _, name in ipairs(FIELDS) do
    local value = values[name]
    if value ~= nil and type(value) ~= "table" then
      session.screen:result(("%-10s %s"):format(name, text.shown(value)))
    end
  end
  session.screen:object(video)
end

function get.run(session)
  local video, err = session:client():get_video(session.args.id)
  if not video then return session:fail(err) end
  get.show(session, video)
end

return get
