--- Where a video goes: the name of the file, and that nothing is overwritten.
-- Owns the paths that the command has chosen. Invariant: no two of its videos have the same one.
-- @module sora.cli.target
-- @local

local core = require "sora.core"
local exit = require "sora.cli.exit"
local files = require "sora.cli.files"
local text = require "sora.cli.text"

local target = {}

local chosen = {} -- path → true

-- Returns the first of name.mp4, name-2.mp4, … that neither a file nor a part file has. The first itself may
-- have a file if `force`, and a part file if it is what the journal has for the job (`planned`).
local function free(path, force, planned)
  local stem, extension = path:match "^(.*)(%.%w+)$"
  local tried, count = path, 1
  while chosen[tried] or core.file_kind(tried) and not (force and count == 1)
    or not (planned and count == 1) and core.file_kind(tried .. ".part") do
    count = count + 1
    tried = ("%s-%d%s"):format(stem or path, count, extension or "")
  end
  return tried
end

--- Returns the path as the user would write it: relative to the folder that they are in.
function target.shown(path)
  local here = files.absolute ""
  if here ~= "" and path:sub(1, #here) == here then return path:sub(#here + 1) end
  return path
end

--- Fails unless there is a folder with this path.
function target.need_folder(path)
  if core.file_kind(path) ~= "folder" then
    error(core.error { kind = "file", message = target.shown(path) .. ": there is no such folder" })
  end
end

--- Decides where a video goes.
-- @tparam table args `output` (a file, a folder, "-" for stdout, or nil) and `force`
-- @tparam string what names the file where `output` does not: a prompt or an id
-- @tparam ?string planned the path that the journal has for the job
-- @tparam ?string extension of the file (".mp4")
-- @treturn string an absolute path, or "-"
function target.choose(args, what, planned, extension)
  local output = args.output
  if output == "" then exit.usage "-o is empty: expected a file, a folder or -" end
  if output == "-" then
    if args.json then exit.usage "-o - and --json both write to standard output: give only one" end
    if core.columns(1) then exit.usage "-o - writes bytes, and standard output is a terminal" end
    return "-"
  end
  local kind = output and core.file_kind(output)
  local path
  if not output then
    path = planned and free(planned, args.force, true)
      or free(files.absolute(text.file_name(what, extension)))
  elseif kind == "folder" then
    path = free(files.absolute(output:gsub("/+$", "") .. "/" .. text.file_name(what, extension)))
  elseif kind and not args.force then
    exit.fail(exit.USAGE, ("%s exists already; --force overwrites it"):format(output))
  else
    local folder = files.split(output)
    if folder ~= "" then target.need_folder(folder) end
    path = files.absolute(output)
  end
  chosen[path] = true
  return path
end

--- Turns a path into what a download takes, and shows how much of it is there.
function target.of(session, path, line)
  local made = { on_progress = function(received, total)
    line:show("downloading", session.screen.live and total and received / total * 100 or nil)
  end }
  if path == "-" then
    made.sink = function(chunk)
      local good, raised = pcall(session.screen.bytes, session.screen, chunk)
      if good then return true end
      if type(raised) ~= "table" then error(raised, 0) end -- Ctrl-C
      session.out_problem = raised.message
      return false
    end
  else
    made.path = path
  end
  return made
end

--- Returns why a download ended: a full standard output, which the library only knows to have stopped it.
function target.problem(session, err)
  if session.out_problem then err.kind, err.message = "file", session.out_problem end
  return err
end

return target
