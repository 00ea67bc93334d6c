--- How values are worded for people: sizes, times, columns, names of files.
-- Invariant: what `shown` returns has no control character; callers pass text of servers through it.
-- @module sora.cli.text
-- @local

local core = require "sora.core"

local text = {}

local UNITS = { "B", "kB", "MB", "GB", "TB" }
local SLUG = 40 -- characters of a prompt in the name of a file

--- Writes a size: "3.2 MB".
function text.size(bytes)
  local unit = 1
  while bytes >= 999.5 and unit < #UNITS do
    bytes, unit = bytes / 1000, unit + 1
  end
  return (unit == 1 and "%.0f %s" or bytes < 10 and "%.1f %s" or "%.0f %s"):format(bytes, UNITS[unit])
end

--- Writes a duration: "41 s", "2 min 5 s", "3 h 20 min".
function text.duration(seconds)
  seconds = math.floor(seconds + 0.5)
  if seconds < 60 then return seconds .. " s" end
  if seconds < 3600 then return ("%d min %d s"):format(math.floor(seconds / 60), seconds % 60) end
  if seconds < 86400 then
    return ("%d h %d min"):format(math.floor(seconds / 3600), math.floor(seconds / 60) % 60)
  end
  return ("%d d"):format(math.floor(seconds / 86400))
end

--- Writes a count and its noun: "1 job", "2 jobs".
function text.count(n, noun)
  return ("%d %s%s"):format(n, noun, n == 1 and "" or "s")
end

--- Shows text of a server or a user on one line: control characters are escaped.
function text.shown(value)
  return core.printable(tostring(value))
end

--- Quotes a word for a shell, if it needs that.
function text.quote(word)
  if word:find "^[%w_%-.:/@%%+,=]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- A UTF-8 character of several bytes.
local CHARACTER = "^[\192-\247][\128-\191]+"

-- Returns the characters of a text, and how many columns each takes; East Asian ones and emoji take two.
local function each_character(value)
  local at = 1
  return function()
    if at > #value then return nil end
    local character = value:match(CHARACTER, at) or value:sub(at, at)
    at = at + #character
    local first = character:byte()
    return character, (#character == 4 or #character == 3 and first >= 0xE3 and first ~= 0xEF) and 2 or 1
  end
end

--- Returns how many columns a text takes on a terminal.
function text.width(value)
  local width = 0
  for _, columns in each_character(value) do width = width + columns end
  return width
end

--- Cuts a text to a number of columns; "…" says that something is missing.
function text.cut(value, columns)
  if text.width(value) <= columns then return value end
  local kept, width = {}, 1
  for character, wide in each_character(value) do
    if width + wide > columns then break end
    kept[#kept + 1], width = character, width + wide
  end
  return columns > 0 and table.concat(kept) .. "…" or ""
end

--- Adds blanks up to a number of columns.
function text.pad(value, columns)
  return value .. (" "):rep(columns - text.width(value))
end

-- "A fox, in the snow" → "a-fox-in-the-snow"; letters outside of ASCII are kept.
local function slug(prompt)
  local name = prompt:lower():gsub("[%z\1-,./:-@%[-`{-\127]+", "-"):gsub("^-+", "")
  name = text.cut(name, SLUG + 1):gsub("…$", ""):gsub("-+$", "")
  return name ~= "" and name or "video"
end

--- Makes the name of a file of a prompt or an id: "a-paper-boat.mp4".
function text.file_name(what, extension)
  return slug(what) .. (extension or ".mp4")
end

return text
