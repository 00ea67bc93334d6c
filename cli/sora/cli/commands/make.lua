--- `sora make`: makes a video, waits for it, and saves it.
-- @local
local files = require "sora.cli.files"
local params = require "sora.cli.params"
local target = require "sora.cli.target"
local follow = require "sora.cli.follow"
local normalize = require "sora.normalize"
local text = require "sora.cli.text"

local make = { about = "Make a video, wait for it, and save it.",
  usage = "PROMPT|- [-o FILE|-] [-m MODEL] [-s SECONDS] [--size WxH] [-i IMAGE]… [--set NAME=VALUE]…" }

function make.define(command)
  command:argument "prompt":description "What the video shows; - reads it from standard input."
  params.define_output(command)
  params.define_params(command)
  params.define_waiting(command)
  command:flag "--no-wait":description "Print the job's id instead of waiting."
  command:flag "-n --dry-run":description "Print the request, without the key, and send nothing."
end

local function without_waiting(session, given, path)
  local job, err = session:client():create_video(given, { target = path })
  if not job then return session:fail(err) end
  local view = normalize.video(job)
  session.screen:result(text.shown(view.id or "the job has no id"))
  session.screen:object { id = view.id, state = view.state }
end

function make.run(session)
  local args = session.args
  local given = params.of(session)
  local path = target.choose(args, given.prompt)
  if args.dry_run then return params.show_request(session, given) end
  if args.no_wait then return without_waiting(session, given, path ~= "-" and path or nil) end
  return follow.make(session, "create", { given }, select(2, files.split(path)), path)
end

return make
