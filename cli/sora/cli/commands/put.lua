--- `sora put`: puts prompts into a queue, for workers on any machine.
-- Invariant: a prompt that the queue has is not put again, however often the file is.
-- @local
local exit = require "sora.cli.exit"
local prompts = require "sora.cli.prompts"
local queue = require "sora.cli.queue"
local text = require "sora.cli.text"

local put = { about = "Put prompts into a queue for workers.",
  usage = "FILE|- [--redis URL] [--queue NAME] [--label NAME]" }

function put.define(command)
  command:argument "file":argname "FILE"
    :description "A prompt, or a JSON object with a prompt and other fields, a line; # begins a comment."
  command:option "--label":argname "NAME":description "Another label makes everything anew."
  queue.define(command)
end

function put.run(session)
  local args = session.args
  local list = prompts.read(args.file, {})
  local opened = queue.open(session)
  local result, err = opened:put(list, { label = args.label })
  if not result then
    if err.code == "task" then exit.usage(args.file .. ": " .. err.message) end
    queue.fail(err)
  end
  session.screen:note(("%s: %d added, %d there already"):format(text.count(#list, "prompt"), result.added,
    result.known))
  session.screen:object(result)
  opened:close()
end

return put
