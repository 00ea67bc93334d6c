--- What the module really accepts and says, for the specs that hold documents against it.
-- Owns how that is found out: by trying, with every word that stands in the sources. Invariant: no list here
-- has to be kept up to date by hand.
local luassert = require "luassert"

local facts = {}

local LUA = "lua/sora/*.lua lua/sora/wait/*.lua"
local SOURCES = "src/*.c src/*.h " .. LUA

local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end
facts.read = read

local function paths(pattern)
  local list = {}
  local pipe = assert(io.popen("ls " .. pattern))
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  assert(#list > 0, "no file is named " .. pattern)
  return list
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local words

-- Every word of the sources: the name of an option stands in them somewhere.
local function all_words()
  if words then return words end
  words = {}
  for _, path in ipairs(paths(SOURCES)) do
    for word in read(path):gmatch("[%a_][%w_]*") do words[word] = true end
  end
  return words
end

-- A value that no option takes.
local JUNK = coroutine.create(function() end)

--- The names of the options that a function takes: those that it does not call unknown.
-- @tparam function call is called with tables of one option, whose value is of a wrong type
-- @treturn {string,...} in order
function facts.options(call)
  local taken, refused = {}, 0
  for word in pairs(all_words()) do
    local good, problem = pcall(call, { [word] = JUNK })
    if good then error(("option '%s' takes any value"):format(word), 2) end
    if tostring(problem):find(("unknown option '%s'"):format(word), 1, true) then
      refused = refused + 1
    else
      taken[word] = true
    end
  end
  assert(refused > 100, "no option is unknown: the text of the refusal has changed")
  return sorted(taken)
end

-- The kinds that C gives; one that only failure.c knows is never given.
local function kinds_of_c(found)
  local users = {}
  for _, path in ipairs(paths "src/*.c") do
    if path ~= "src/failure.c" then users[#users + 1] = read(path) end
  end
  users = table.concat(users, "\n")
  local failure = read "src/failure.c"
  for constant, name in failure:gmatch('%[(ERROR_[%u_]+)%] = "([%l_]+)"') do
    local _, times = failure:gsub(constant .. "%f[^%w_]", "")
    if constant ~= "ERROR_NONE" and (times > 1 or users:find(constant .. "%f[^%w_]")) then
      found[name] = true
    end
  end
end

--- The kinds of errors that there are.
-- @treturn {string,...} in order
function facts.kinds()
  local found = {}
  kinds_of_c(found)
  assert(next(found), "src/failure.c names no kind")
  for _, path in ipairs(paths(LUA)) do
    local source = read(path)
    for kind in source:gmatch 'kind = "([%l_]+)"' do found[kind] = true end
    for kind in source:gmatch 'fail%(job, "([%l_]+)"' do found[kind] = true end
    local ends = source:match "\nlocal ENDS = (%b{})"
    for kind in (ends or ""):gmatch '= "([%l_]+)"' do found[kind] = true end
  end
  return sorted(found)
end

--- Asserts that a document names what there is, and nothing else. Tells only what differs, which is easier to
-- read than two long lists.
-- @tparam {string,...} live
-- @tparam {string,...} declared
-- @tparam ?string what the lists are of
function facts.assert_same(live, declared, what)
  local undeclared, gone = {}, {}
  for _, name in ipairs(declared) do gone[name] = true end
  for _, name in ipairs(live) do
    if not gone[name] then undeclared[#undeclared + 1] = name end
    gone[name] = nil
  end
  luassert.same({ undeclared = {}, gone = {} }, { undeclared = undeclared, gone = sorted(gone) }, what)
  luassert.is_true(#live > 0, what)
end

facts.sorted = sorted

return facts
