--- A folder for the files of one spec file, and looks into it.
local process = require "spec.support.process"

local folder = {}
folder.__index = folder

local function shell(command)
  local status = os.execute(command)
  assert(status == true or status == 0, command)
end

--- Makes an empty folder under the system's own for temporary files.
function folder.new()
  return setmetatable({ path = process.folder() }, folder)
end

--- The path of a name in the folder.
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

--- What a file holds, or nil.
function folder:read(name)
  return process.slurp(self:at(name))
end

--- The names in the folder, in order, joined by blanks.
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
