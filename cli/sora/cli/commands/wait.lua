--- `sora wait`: waits for jobs, and saves their videos.
-- Invariant: no file that exists is overwritten without --force.
-- @local
local core = require "sora.core"
local exit = require "sora.cli.exit"
local follow = require "sora.cli.follow"
local params = require "sora.cli.params"
local target = require "sora.cli.target"

local wait = { about = "Wait for jobs, and save their videos.",
  usage = "ID… [-o FILE|FOLDER|-] [--timeout S]" }

function wait.define(command)
  command:argument "ids":args "+":argname "ID":description "The jobs."
  params.define_output(command)
  params.define_waiting(command)
end

function wait.run(session)
  local args = session.args
  if #args.ids > 1 and args.output and core.file_kind(args.output) ~= "folder" then
    exit.usage "of several jobs, -o must be a folder that exists"
  end
  local known, items = {}, {}
  for _, ticket in ipairs(session:client():journaled() or {}) do
    if ticket.id then known[ticket.id] = ticket end
  end
  for i, id in ipairs(args.ids) do
    local ticket = known[id]
    items[i] = { id = id, name = id, path = target.choose(args, id, ticket and ticket.target) }
  end
  return follow.all(session, items)
end

return wait
