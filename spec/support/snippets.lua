--- The fenced code blocks of README.md and docs/*.md, and the folders in which they run.
-- Owns reading the pages, the folder of a block, and comparing what it prints. Invariant: a block never sees
-- the module paths of this process, unless it is given them, and never writes into the checkout.
--
-- A comment in the line above a block says what is special about it:
--
--    <!-- not run: why -->   it is not run
--    <!-- keeps running -->  it is stopped when it has printed the text block below it
--
-- A `text` block right below another block is what that prints: `…` stands for anything within a line, and a
-- line `…` for any lines.
local facts = require "spec.support.facts"
local folder = require "spec.support.folder"
local process = require "spec.support.process"

local snippets = {}

--- Lists the pages.
function snippets.pages()
  return process.lines "ls README.md docs/*.md"
end

--- Reads the blocks of a page.
-- @treturn {table,...} { line, language, code, note, above }: `note` is the text of the comment in front,
-- `above` the block right above
function snippets.read(page)
  local blocks, open, last, note, number = {}, nil, nil, nil, 0
  for line in facts.read(page):gmatch "([^\n]*)\n" do
    number = number + 1
    local indent, language = line:match "^(%s*)```(%S*)%s*$"
    if open and indent then
      open.code = table.concat(open, "\n") .. "\n"
      open, last, note = nil, open, nil
    elseif open then
      open[#open + 1] = line:sub(#open.indent + 1)
    elseif indent then
      open = { line = number, indent = indent, language = language, note = note, above = last }
      blocks[#blocks + 1] = open
    elseif line:find "%S" then
      note, last = line:match "^%s*<!%-%- (.-) %-%->$", nil
    end
  end
  assert(not open, page .. ": a code block has no end")
  return blocks
end

-- Replaces what differs from run to run: ids and ports.
local function normalize(text)
  return (text:gsub("video_%x+", "video_1"):gsub("127%.0%.0%.1:%d+", "127.0.0.1:1"))
end

--- Whether `output` is what a page promises.
function snippets.fits(output, promised)
  local pattern = normalize(promised):gsub("([^\n]*)\n", function(line)
    if line == "…" then return ".-" end
    return line:gsub("…", "\1"):gsub("[^%w\1]", "%%%0"):gsub("\1", "[^\n]-") .. "\n"
  end)
  return normalize(output):find("^" .. pattern .. "$") ~= nil
end

--- Makes a folder with links to everything in the checkout, to stand for a fresh clone, and in it a folder
-- `commands`, whose `lua5.4` and `lua5.1` are the Lua of the specs, and whose `sora` is the clone's. Its
-- `sora serve` takes a free port, because another suite may run beside this one. What `make demo` has left in
-- the checkout is not in it.
function snippets.clone()
  local place, words = folder.new(), process.lua {}
  local here = process.quote(process.lines("pwd")[1])
  place:run("for file in " .. here .. '/*; do ln -s "$file" .; done && rm -f *.mp4* && mkdir commands')
  for _, name in ipairs { "lua5.4", "lua5.1" } do
    place:run(('ln -s "$(command -v %s)" commands/%s'):format(process.quote(words[#words]), name))
  end
  place:write("commands/sora", ([[
#!/bin/sh
[ "$1" != serve ] || set -- "$@" --port 0
exec lua5.4 %s/bin/sora "$@"
]]):format(place.path))
  place:run "chmod +x commands/sora"
  return place
end

-- Settings of make and of this process that a reader's shell does not have.
local HIDDEN = { "LUA_PATH", "LUA_CPATH", "LUA_INIT", "LD_PRELOAD", "MAKEFLAGS", "MAKELEVEL", "MFLAGS",
  "SORA_DEBUG", "OPENAI_BASE_URL", "OPENAI_API_KEY" }

--- Starts a command in a folder, for at most a minute, with these variables in the environment.
function snippets.start(place, environment, command)
  local words = { "sh", "-c", 'cd "$1" && shift && exec timeout -s KILL 60 "$@"', "sh", place.path, "env" }
  for _, name in ipairs(HIDDEN) do
    words[#words + 1] = "-u"
    words[#words + 1] = name
  end
  for name, value in pairs(environment) do words[#words + 1] = name .. "=" .. value end
  for _, word in ipairs(command) do words[#words + 1] = word end
  return process.start(words)
end

return snippets
