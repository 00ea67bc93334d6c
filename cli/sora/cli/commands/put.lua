--- `sora put`: puts prompts into a queue, for workers on any machine.
-- @local
local exit = require "sora.cli.exit"
local queue = require "sora.cli.queue"
local text = require "sora.cli.text"
local work = require "sora.work"

local put = { about = "Put prompts into a queue for workers.",
  usage = "FILE|- [--redis URL] [--queue NAME] [--label NAME]" }

function put.define(command)
  command:argument "file":argname "FILE"
    :description "A prompt, or a JSON object with a prompt and other fields, a line; # begins a comment."
  command:option "--label":argname "NAME":description "Another label makes everything anew."
  queue.define(command)
end

local function read(path)
  local file, problem = io.stdin, nil
  if path ~= "-" then file, problem = io.open(path, "rb") end
  if not file then exit.fail(exit.USAGE, problem) end
  local content
  content, problem = file:read "*a"
  if path ~= "-" then file:close() end
  return content or exit.fail(exit.USAGE, path .. ": " .. tostring(problem))
end

function put.run(session)
  local args = session.args
  local list, err = work.parse(read(args.file))
  if not list then exit.usage(args.file .. ": " .. err.message) end
  if #list == 0 then exit.usage(args.file .. ": there is no prompt in it") end
  local opened = queue.open(session)
  local result
  result, err = opened:put(list, { label = args.label })
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
