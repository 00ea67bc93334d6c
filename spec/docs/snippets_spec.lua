-- README.md and docs/*.md: every code block runs, in a folder of its own, against a development server, and
-- prints the `text` block right below it. The examples run in a clone as the comment at their head says.
--
-- A lua block is a program; a sh block runs in the root of a clone, and its errors count as output. A lua
-- block whose first line names a file (-- videos.lua) is for the nginx block of its page; -- main.lua is a
-- game for LÖVE. All programs run at the same time, because most of it is waiting.
local curl = require "spec.support.curl"
local facts = require "spec.support.facts"
local folder = require "spec.support.folder"
local nginx = require "spec.support.nginx"
local process = require "spec.support.process"
local snippets = require "spec.support.snippets"

local KEY = "sk-snippets-0123456789"
local MOST_OMITTED = 13

local blocks, omitted = {}, {}
for _, page in ipairs(snippets.pages()) do
  local files = {}
  for _, block in ipairs(snippets.read(page)) do
    block.name = ("%s:%d (%s)"):format(page, block.line, block.language)
    block.file = block.language == "lua" and block.code:match "^%-%- ([%w_]+%.lua)\n"
    block.files = files
    if block.file then files[block.file] = block.code end
    if block.language == "text" and block.above then block.above.promised = block.code end
    local why = block.note and block.note:match "^not run: (.+)"
    if why then omitted[block.name] = why else blocks[#blocks + 1] = block end
  end
end

-- The programs that the heads of examples name.
local examples = {}
for _, path in ipairs(process.lines "ls examples/*.lua") do
  local usage = "\n%-%- Usage: SORA_BASE_URL=… SORA_API_KEY=… (lua[^\n]*)"
  local command = facts.read(path):match(usage)
  if command then
    examples[#examples + 1] = { name = path, language = "sh", code = command:gsub(" %[.-%]", "") }
  end
end

-- How the blocks of a language are started: START[language](block, environment) returns a program and its
-- folder.
local START = {}

local function start_love(place, environment)
  place:write("conf.lua", "function love.conf(game) game.modules.audio = false end")
  environment.LUA_PATH = ("%s/lua/?.lua;%s/lua/?/init.lua;;"):format(nginx.root, nginx.root)
  environment.LUA_CPATH = nginx.root .. "/build/luajit/?.so;;"
  environment.HOME, environment.XDG_RUNTIME_DIR = place.path, place.path
  environment.LIBGL_ALWAYS_SOFTWARE, environment.SDL_AUDIODRIVER = "1", "dummy"
  return snippets.start(place, environment, { "xvfb-run", "-a", "love", "." }), place
end

function START.lua(block, environment)
  if block.file and block.file ~= "main.lua" then return end -- nginx loads it
  local place = folder.new()
  place:write(block.file or "snippet.lua", block.code)
  if block.file then return start_love(place, environment) end
  return snippets.start(place, environment, process.lua_anywhere { "snippet.lua" }), place
end

function START.sh(block, environment)
  local clone = snippets.clone()
  environment.PATH = clone:at "commands" .. ":" .. os.getenv "PATH"
  environment.HOME = clone.path
  return snippets.start(clone, environment, { "sh", "-euc", "exec 2>&1\n" .. block.code }), clone
end

-- These are only shown, or checked below.
for _, language in ipairs { "text", "json", "python", "nginx" } do START[language] = function() end end

-- Starts the programs of these blocks; returns the server that they use, and their environment.
local function start(list)
  local server = process.serve { "--duration", 0.2, "--api-key", KEY, "--quiet" }
  for _, block in ipairs(list) do
    local run = START[block.language]
    if run then
      block.program, block.place = run(block, { SORA_BASE_URL = server.url, SORA_API_KEY = KEY })
    end
  end
  return server
end

local function stop(list, server)
  for _, block in ipairs(list) do
    if block.program then block.program:stop() end
    if block.place then block.place:remove() end
  end
  server:stop()
end

-- Returns the output of a program: all of it, or as many lines as its page shows if it keeps running.
local function output_of(block)
  if block.note ~= "keeps running" then
    local status, output, errors = block.program:finish()
    assert.same({ 0, "" }, { status, errors }, block.name .. " printed:\n" .. output)
    return output
  end
  local lines = {}
  for _ = 1, select(2, block.promised:gsub("\n", "")) do lines[#lines + 1] = block.program:readline() end
  block.program:stop()
  return table.concat(lines, "\n") .. "\n"
end

local function check_output(block)
  local output = output_of(block)
  if block.promised and not snippets.fits(output, block.promised) then
    assert.equal(block.promised, output, block.name) -- shows both
  end
end

-- Starts nginx with the lines of a block and the Lua files of its page, and asks each of its locations for a
-- job.
local function check_nginx(block, server)
  local place, main, inner = folder.new(), {}, {}
  finally(function() place:remove() end)
  place:run "chmod 755 ."
  for name, code in pairs(block.files) do place:write(name, code) end
  local values = { SORA_BASE_URL = server.url, SORA_API_KEY = KEY }
  for line in block.code:gmatch "[^\n]+" do
    local list = line:find "^env " and main or inner
    list[#list + 1] = line:gsub("^env ([%u_]+);", function(name)
      return ("env %s=%s;"):format(name, values[name] or "")
    end)
  end
  local web = nginx.start { main = table.concat(main, "\n"), server = table.concat(inner, "\n"),
    http = ('init_by_lua_block { package.path = "%s/?.lua;" .. package.path }'):format(place.path) }
  finally(function()
    web:stop()
    place:remove()
  end)
  local created = curl.post(server.url .. "/videos", { prompt = "A fox" },
    { "-H", "Authorization: Bearer " .. KEY })
  for path in block.code:gmatch "location = (%S+)" do
    local answer = curl.get(web.url .. path .. "?id=" .. created.json.id)
    assert.equal(200, answer.status, web:log())
    assert.is_truthy(answer.body:find "^%l[%l_]+\n$", answer.body)
  end
end

describe("the code block", function()
  local server

  setup(function()
    nginx.build() -- LÖVE runs LuaJIT, too
    server = start(blocks)
  end)
  teardown(function() stop(blocks, server) end)

  for _, block in ipairs(blocks) do
    it(block.name, function()
      assert.is_function(START[block.language], block.name .. ": how is this run?")
      if block.program then check_output(block) end
      if block.language == "nginx" then check_nginx(block, server) end
    end)
  end

  it("is run, but for a few that say why not", function()
    local count = 0
    for name, why in pairs(omitted) do
      assert.is_truthy(why:find "%w+ %w+", name .. " gives no reason")
      count = count + 1
    end
    assert.is_true(count <= MOST_OMITTED, count .. " are not run")
    assert.is_true(#blocks > 20)
  end)
end)

describe("in a clone", function()
  local server

  setup(function() server = start(examples) end)
  teardown(function() stop(examples, server) end)

  for _, example in ipairs(examples) do
    it(example.name .. " runs as its head says", function()
      assert.is_truthy(output_of(example):find "%.mp4")
    end)
  end

  it("every example is looked at", function()
    assert.is_true(#examples >= 5)
  end)
end)
