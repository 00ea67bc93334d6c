--- A temporary folder for the files of one spec file.
-- Owns the folder on disk, until `remove`.
local process = require "spec.support.process"

local folder = {}
folder.__index = folder

local function shell(command)
  local status = os.execute(command)
  assert(status == true or status == 0, command)
end

--- Creates an empty folder in the system's folder for temporary files.
function folder.new()
  return setmetatable({ path = process.folder() }, folder)
end

--- Returns the path of a file in the folder.
function folder:at(name)
  return self.path .. "/" .. name
end

--- Runs a shell command in the folder.
function folder:run(command)
  shell(("cd %s && %s"):format(process.quote(self.path), command))
end

function folder:write(name, content)
  process.spill(self:at(name), content)
end

--- Reads a file; nil if it does not exist.
function folder:read(name)
  return process.slurp(self:at(name))
end

--- Lists the names in the folder, sorted and joined by blanks.
function folder:list()
  return table.concat(process.lines("ls -A " .. process.quote(self.path)), " ")
end

--- Removes everything in the folder.
function folder:clear()
  self:run("find . -mindepth 1 -delete")
end

--- Removes the folder.
function folder:remove()
  shell("rm -rf " .. process.quote(self.path))
end

return folder
