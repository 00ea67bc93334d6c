--- What the command prints: results on stdout, everything else on stderr.
--
-- Owns both streams, the progress lines, and how an error is worded. Invariant: control characters come from
-- here alone, and only to a terminal; a progress line is erased before any other text.
-- @module sora.cli.screen
-- @local

local core = require "sora.core"
local exit = require "sora.cli.exit"
local json = require "sora.json"
local text = require "sora.cli.text"

local Screen = {}
Screen.__index = Screen

local STDOUT, STDERR = 1, 2
local BAR = 24          -- columns
local NARROW = 60       -- columns; a narrower terminal gets no bar
local REDRAW = 0.2      -- s
local ASKING = "asking the server" -- the state of a job about which nothing is known yet
local MOST = 9          -- progress lines at once: the total of a batch, and eight jobs

local function is_utf8()
  local locale = os.getenv "LC_ALL" or ""
  if locale == "" then locale = os.getenv "LC_CTYPE" or "" end
  if locale == "" then locale = os.getenv "LANG" or "" end
  return locale:lower():find "utf%-?8" ~= nil
end

--- Makes the screen of a command.
-- @tparam table args `json`, `quiet`, `no_color`
function Screen.new(args)
  local plain = os.getenv "TERM" == "dumb"
  local live = not plain and core.columns(STDERR) ~= nil
  local no_color = args.no_color or (os.getenv "NO_COLOR" or "") ~= ""
  return setmetatable({ json = args.json, quiet = args.quiet, utf8 = is_utf8(), color = live and not no_color,
    live = live and not args.json and not args.quiet, lines = {}, drawn = 0,
    next_draw = core.now() + REDRAW }, Screen)
end

--- Tells whether stdout is a terminal.
function Screen.stdout_is_terminal()
  return core.columns(STDOUT) ~= nil
end

local function write_out(...)
  local good, problem = io.stdout:write(...)
  if not good then exit.fail(exit.USAGE, "standard output: " .. problem) end
end

--- Prints a result, such as the path of a file.
function Screen:result(line)
  self:erase()
  if not self.json then write_out(line, "\n") end
end

--- Prints the path of a saved file for people, and as the result unless that would be on the same screen.
function Screen:saved(message, path)
  self:note(message)
  if not (self.live and self.stdout_is_terminal()) then self:result(path) end
end

--- Prints a table as the result. On a terminal its lines are cut to the width; empty columns are left out.
-- @tparam {string,...} head
-- @tparam {table,...} rows of cells
function Screen:table(head, rows)
  local lines, widths = { head }, {}
  for i, row in ipairs(rows) do
    lines[i + 1] = row
    for column, cell in ipairs(row) do widths[column] = math.max(widths[column] or 0, text.width(cell)) end
  end
  for column, cell in ipairs(head) do
    if widths[column] > 0 then widths[column] = math.max(widths[column], text.width(cell)) end
  end
  local columns = core.columns(STDOUT)
  for _, line in ipairs(lines) do
    local parts = {}
    for column, cell in ipairs(line) do
      if widths[column] > 0 then parts[#parts + 1] = text.pad(cell, widths[column]) end
    end
    local whole = table.concat(parts, "  "):gsub(" +$", "")
    self:result(columns and text.cut(whole, columns) or whole)
  end
end

--- Prints bytes as they are: the film, with `-o -`. Flushes them, or a full disk would be noticed too late.
function Screen:bytes(chunk)
  write_out(chunk)
  self.flush()
end

--- Prints the result as JSON, with --json.
function Screen:object(value)
  if not self.json then return end
  self.told = true
  write_out((assert(json.encode(value)):gsub("\\/", "/")), "\n") -- cjson escapes each slash
end

local CODES = { red = 31, green = 32, yellow = 33, bold = 1, dim = 2 }

--- Colours a text for a terminal.
function Screen:paint(color, value)
  if not self.color or value == "" then return value end
  return ("\27[%dm%s\27[0m"):format(CODES[color], value)
end

--- Prints a line for people, unless -q or --json is given.
function Screen:note(line)
  if not (self.quiet or self.json) then self:warn(line) end
end

--- Prints a line for people, whatever is given.
function Screen:warn(line)
  self:erase()
  io.stderr:write(line, "\n")
end

--- Prints an error: one sentence, and what to do.
function Screen:fail(message, advice)
  self:warn(self:paint("red", "sora: ") .. text.shown(message))
  for _, line in ipairs(type(advice) == "table" and advice or { advice }) do self:warn("  " .. line) end
end

-- Progress ---------------------------------------------------------------------------

local Line = {}
Line.__index = Line

--- Adds a progress line for a job.
-- @tparam string name
-- @treturn table with `show(state, progress)` and `finish()`
function Screen:track(name)
  local line = setmetatable({ screen = self, name = text.shown(name), began = core.now(), state = ASKING },
    Line)
  self.lines[#self.lines + 1] = line
  return line
end

local function percent_of(progress)
  return progress and math.floor(math.max(0, math.min(100, progress))) or nil
end

--- Shows what is known of the job. In a pipe that is a line for each change.
function Line:show(state, progress)
  local screen, percent = self.screen, percent_of(progress)
  if state == self.state and percent == self.percent then return end
  self.state, self.percent = state, percent
  if screen.live then return screen:draw(true) end
  if screen.json or screen.quiet then return end
  io.stderr:write(("%s: %s%s\n"):format(self.name, text.shown(state:gsub("_", " ")),
    percent and (" %d %%"):format(percent) or ""))
end

--- Returns how long the line has been there, in seconds.
function Line:age()
  return core.now() - self.began
end

--- Takes the line away.
function Line:finish()
  for i, line in ipairs(self.screen.lines) do
    if line == self then table.remove(self.screen.lines, i) end
  end
  self.screen:erase()
end

local function bar(screen, percent)
  local full = math.floor((percent or 0) / 100 * BAR + 0.5)
  local on, off = screen.utf8 and "█" or "#", screen.utf8 and "░" or "-"
  return screen:paint("green", on:rep(full)) .. screen:paint("dim", off:rep(BAR - full))
end

-- "boat.mp4  ████░░░░  45 %  in progress  12 s", within the columns.
local function layout(screen, line, columns)
  local percent = line.percent and ("%3d %%"):format(line.percent) or ""
  local state = text.shown((line.state:gsub("_", " ")))
  local parts = { percent, state, text.duration(line:age()) }
  local tail = table.concat(parts, "  ")
  local wide = columns >= NARROW
  local left = columns - 1 - text.width(tail) - 2 - (wide and BAR + 2 or 0)
  local name = text.cut(line.name, math.max(left, 0))
  if name == "" then return text.cut(tail, columns - 1) end
  return name .. "  " .. (wide and bar(screen, line.percent) .. "  " or "") .. tail
end

--- Draws the progress lines, at most five times a second unless `now`.
function Screen:draw(now)
  if not self.live or #self.lines == 0 or (not now and core.now() < self.next_draw) then return end
  self.next_draw = core.now() + REDRAW
  local columns = core.columns(STDERR) or 80
  local out, shown, hidden = {}, 0, 0
  for _, line in ipairs(self.lines) do
    if shown < MOST then
      out[#out + 1] = (shown > 0 and "\n" or "") .. layout(self, line, columns) .. "\27[K"
      shown = shown + 1
    else
      hidden = hidden + 1
    end
  end
  if hidden > 0 then
    out[#out + 1] = text.cut(("\nand %d more"):format(hidden), columns)
    shown = shown + 1
  end
  local picture = table.concat(out)
  if picture == self.picture then return end
  io.stderr:write(self.drawn > 1 and ("\27[%dA"):format(self.drawn - 1) or "", "\r", picture, "\27[J")
  io.stderr:flush()
  self.drawn, self.picture = shown, picture
end

--- Erases the progress lines, so that other text takes their place.
function Screen:erase()
  if self.drawn == 0 then return end
  io.stderr:write(self.drawn > 1 and ("\27[%dA"):format(self.drawn - 1) or "", "\r\27[J")
  self.drawn, self.picture = 0, nil
end

--- Writes out what was printed on stdout. A full disk is an error like any other.
function Screen.flush()
  local good, problem = io.stdout:flush()
  if not good then exit.fail(exit.USAGE, "standard output: " .. problem) end
end

--- Writes out what is left.
function Screen:close()
  self:erase()
  self.flush()
end

return Screen
