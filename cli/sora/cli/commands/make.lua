--- `sora make`: makes a video, waits for it, and saves it.
-- Invariant: the place for the file is checked before anything is paid for.
-- @local
local core = require "sora.core"
local exit = require "sora.cli.exit"
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

-- Checks that the video has a place to go to later, before it is paid for.
local function check_folder(path)
  local folder = files.split(path)
  if folder ~= "" and core.file_kind(folder) ~= "folder" then
    exit.fail(exit.USAGE, target.shown(folder) .. ": there is no such folder")
  end
end

function make.run(session)
  local args = session.args
  local given = params.of(session)
  local path = target.choose(args, given.prompt)
  if args.dry_run then return params.show_request(session, given) end
  local name = select(2, files.split(path))
  if not args.no_wait then return follow.make(session, "create", { given }, name, path) end
  if path == "-" then return follow.create(session, given, name) end
  check_folder(path)
  return follow.create(session, given, name, path)
end

return make
