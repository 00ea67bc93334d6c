--- Makes the commands that do one thing with each job: cancel and delete.
-- @module sora.cli.each
-- @local

local core = require "sora.core"
local exit = require "sora.cli.exit"
local text = require "sora.cli.text"

-- Asks on the terminal; without one, --yes must be given.
local function confirm(session, verb, ids)
  if session.args.yes then return end
  if not core.echo(true) then -- standard input is no terminal
    exit.usage(("%s without asking needs --yes"):format(verb))
  end
  local jobs = #ids == 1 and text.shown(ids[1]) or text.count(#ids, "job")
  io.stderr:write(("%s %s at the server? [y/N] "):format(verb, jobs))
  local answer = io.read "*l" or ""
  if not answer:lower():find "^%s*y" then exit.fail(exit.USAGE, "nothing was done") end
end

--- Makes a command.
-- @tparam table command about, usage, method, done (what the job is then), confirm (a verb; nil: does not
-- ask)
return function(command)
  function command.define(parser)
    parser:argument "ids":args "+":argname "ID":description "The jobs."
    if command.confirm then parser:flag "--yes":description "Do not ask." end
  end

  function command.run(session)
    local ids = session.args.ids
    if command.confirm then confirm(session, command.confirm, ids) end
    local client = session:client()
    local statuses, objects = {}, {}
    for i, id in ipairs(ids) do
      local answer, err = client[command.method](client, id)
      objects[i] = { id = id, state = answer and command.done or nil,
        error = err and session.error_object(err) }
      statuses[i] = err and exit.of(err) or exit.DONE
      if err and not session.screen.json then session:fail(err, #ids > 1 and text.shown(id) or nil) end
      if answer then session.screen:note(("%s %s"):format(text.shown(id), command.done)) end
    end
    session.screen:object(#ids == 1 and objects[1] or { jobs = objects })
    return exit.combine(statuses)
  end

  return command
end
