--- `sora download`: saves a finished video.
-- @local
local params = require "sora.cli.params"
local target = require "sora.cli.target"
local text = require "sora.cli.text"

local download = { about = "Save a finished video.", usage = "ID [-o FILE|-] [--variant V]" }

local EXTENSIONS = { thumbnail = ".webp", spritesheet = ".jpg" }

function download.define(command)
  command:argument "id":argname "ID":description "The job."
  params.define_output(command)
  command:option "--variant":argname "V":choices { "video", "thumbnail", "spritesheet" }
    :description "video (the default), thumbnail or spritesheet."
end

function download.run(session)
  local args = session.args
  local client, line = session:client(), session.screen:track(args.id)
  local path = target.choose(args, args.id, nil, EXTENSIONS[args.variant])
  local where = target.of(session, path, line)
  where.variant = args.variant
  local file, err, ended
  local handle = assert(client:start("download_video", args.id, where, { on_done = function(...)
    ended, file, err = true, ...
  end }))
  session:pump(function() return ended or handle:done() and ended end)
  line:finish()
  if not file then return session:fail(target.problem(session, err)) end
  if path ~= "-" then
    session.screen:saved(("saved %s (%s)"):format(text.shown(target.shown(path)), text.size(file.bytes)),
      target.shown(path))
  end
  session.screen:object { id = args.id, path = file.path, bytes = file.bytes,
    content_type = file.content_type }
end

return download
