--- Makes the commands that make a video out of another: remix, edit and extend.
-- Owns their arguments. Invariant: the place for the file is checked before anything is paid for.
-- @module sora.cli.again
-- @local

local core = require "sora.core"
local files = require "sora.cli.files"
local follow = require "sora.cli.follow"
local params = require "sora.cli.params"
local target = require "sora.cli.target"

-- A job's id, or a file if there is one of that name.
local function video_of(command, value)
  if command.file and core.file_kind(value) == "file" then return { path = value } end
  return value
end

--- Makes a command.
-- @tparam table command about, usage, verb, first (the name of its first argument), prompt (it is required),
-- file
-- (the first argument may be one), arguments(video, params)
return function(command)
  function command.define(parser)
    parser:argument "video":argname(command.first):description "The video: a job's id"
    parser:argument "prompt":args(command.prompt and 1 or "?")
      :description "What is to change; - reads it from standard input."
    params.define_output(parser)
    params.define_params(parser)
    params.define_waiting(parser)
  end

  function command.run(session)
    local args = session.args
    local given = params.of(session)
    local path = target.choose(args, given.prompt or command.verb .. "-" .. select(2,
      files.split(args.video)))
    return follow.make(session, command.verb, command.arguments(video_of(command, args.video), given),
      select(2, files.split(path)), path)
  end

  return command
end
