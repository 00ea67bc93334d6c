--- Reads the file of `sora batch`: a prompt, or a JSON object, a line.
-- Owns the format. Invariant: whatever is wrong with a line is told, with its number, before anything is paid
-- for.
-- @module sora.cli.prompts
-- @local

local core = require "sora.core"
local exit = require "sora.cli.exit"
local files = require "sora.cli.files"
local json = require "sora.json"

local prompts = {}

-- Returns the whole text of a file, or of standard input.
local function read(name)
  local file, problem = io.stdin, nil
  if name ~= "-" then file, problem = io.open(name, "rb") end
  if not file then exit.fail(exit.USAGE, problem) end
  local content
  content, problem = file:read "*a"
  if name ~= "-" then file:close() end
  if not content then exit.fail(exit.USAGE, ("%s: %s"):format(name, problem or "nothing can be read")) end
  if content:find "^\255\254" or content:find "^\254\255" then
    exit.fail(exit.USAGE, name .. " is in UTF-16", "Save it as UTF-8.")
  end
  return (content:gsub("^\239\187\191", ""))
end

-- Makes the paths of files to send absolute: they are relative to the folder of the prompts.
local function place_files(value, folder, where)
  for name, inner in pairs(value) do
    if type(inner) == "table" then
      if type(inner.path) == "string" then
        local path = inner.path:find "^/" and inner.path or folder .. inner.path
        if core.file_kind(path) ~= "file" then
          exit.fail(exit.USAGE, ("%s: %s: there is no file %s"):format(where, tostring(name), path))
        end
        inner.path = core.real_path(path)
      end
      place_files(inner, folder, where)
    end
  end
end

local function object_of(line, where, folder)
  local object, problem = json.decode(line)
  if type(object) ~= "table" then
    exit.fail(exit.USAGE, ("%s: begins with { and is not JSON: %s"):format(where,
      (tostring(problem):gsub("^the answer is no JSON: ", ""))))
  end
  place_files(object, folder, where)
  return object
end

--- Reads a file.
-- @tparam string name the file, or "-" for standard input
-- @tparam table defaults name → value, for each line that has none
-- @treturn {table,...} the params of each create, and perhaps `output`
-- @treturn {integer,...} the line of each
function prompts.read(name, defaults)
  local list, lines = {}, {}
  local folder, number = files.split(name), 0
  for line in (read(name) .. "\n"):gmatch "(.-)\r?\n" do
    number = number + 1
    line = line:gsub("^%s+", ""):gsub("%s+$", "")
    if line ~= "" and line:sub(1, 1) ~= "#" then
      local params = { prompt = line }
      if line:sub(1, 1) == "{" then params = object_of(line, prompts.where(name, number), folder) end
      for field, value in pairs(defaults) do
        if params[field] == nil then params[field] = value end
      end
      list[#list + 1], lines[#lines + 1] = params, number
    end
  end
  if #list == 0 then
    exit.fail(exit.USAGE, (name == "-" and "standard input" or name) .. " has no prompts")
  end
  return list, lines
end

--- Names a line, as compilers do: "prompts.txt:3".
function prompts.where(name, line)
  return ("%s:%d"):format(name == "-" and "standard input" or name, line)
end

return prompts
