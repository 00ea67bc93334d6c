--- Locales in which a number looks otherwise than in C, made by localedef.
-- Owns the folder that they are made in: once for the process of the specs. Invariant: they are for child
-- processes, which find the folder by LOCPATH; the locale of the specs' own process stays as it is.
local process = require "spec.support.process"

local locales = {}

--- Those that are made: a comma as the decimal point; a point of two bytes; and "I" that has no lower case
-- of one byte.
locales.COMMA, locales.WIDE, locales.TURKISH = "de_DE.UTF-8", "ps_AF.UTF-8", "tr_TR.UTF-8"

local folder

--- Makes the locales. Returns the environment of a process that can set them.
function locales.environment()
  if not folder then
    folder = process.folder()
    for _, name in ipairs { locales.COMMA, locales.WIDE, locales.TURKISH } do
      local command = ("localedef -c -i %s -f UTF-8 %s/%s"):format(name:match("^[^.]*"), folder, name)
      local output = process.run(command)
      assert(process.slurp(folder .. "/" .. name .. "/LC_NUMERIC"), output)
    end
  end
  return { LOCPATH = folder, LC_ALL = "" }
end

--- Removes them.
function locales.remove()
  if folder then process.run("rm -r " .. process.quote(folder)) end
  folder = nil
end

return locales
