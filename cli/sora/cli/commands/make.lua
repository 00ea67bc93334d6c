--- `sora make`: makes a video, waits for it, and saves it.
-- Invariant: the place for the file is checked before anything is paid for.
-- @local
local files = require "sora.cli.files"
local params = require "sora.cli.params"
local target = require "sora.cli.target"
local follow = require "sora.cli.follow"

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

function make.run(session)
  local args = session.args
  local given = params.of(session)
  local path = target.choose(args, given.prompt)
  if args.dry_run then return params.show_request(session, given) end
  local name = select(2, files.split(path))
  if not args.no_wait then return follow.make(session, "create", { given }, name, path) end
  return follow.create(session, given, name, path ~= "-" and path or nil)
end

return make
