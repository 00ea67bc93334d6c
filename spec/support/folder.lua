--- A folder for the files of one spec file, and looks into it.
local folder = {}
folder.__index = folder

local function shell(command)
  local status = os.execute(command)
  assert(status == true or status == 0, command)
end

--- Makes an empty folder under the system's own for temporary files.
function folder.new()
  local pipe = assert(io.popen("mktemp -d"))
  local path = assert(pipe:read("*l"), "mktemp made no folder")
  pipe:close()
  return setmetatable({ path = path }, folder)
end

--- The path of a name in the folder.
function folder:at(name)
  return self.path .. "/" .. name
end

--- Runs a shell command in the folder.
function folder:run(command)
  shell(("cd '%s' && %s"):format(self.path, command))
end

function folder:write(name, content)
  local file = assert(io.open(self:at(name), "wb"))
  assert(file:write(content))
  file:close()
end

--- What a file holds, or nil.
function folder:read(name)
  local file = io.open(self:at(name), "rb")
  if not file then return nil end
  local content = file:read("*a")
  file:close()
  return content
end

--- The names in the folder, in order, joined by blanks.
function folder:list()
  local names = {}
  local pipe = assert(io.popen(("ls -A '%s'"):format(self.path)))
  for name in pipe:lines() do names[#names + 1] = name end
  pipe:close()
  return table.concat(names, " ")
end

--- Removes everything in the folder.
function folder:clear()
  self:run("find . -mindepth 1 -delete")
end

--- Removes the folder.
function folder:remove()
  shell(("rm -rf '%s'"):format(self.path))
end

return folder
