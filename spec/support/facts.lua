--- Finds out what the module really accepts and returns, for specs that compare documents with it.
-- Owns how: it tries every word in the sources. Invariant: no list here has to be updated by hand.
local luassert = require "luassert"
local process = require "spec.support.process"

local facts = {}

local C_SOURCES = "find src -name '*.[ch]'"
local LUA_SOURCES = "find lua/sora -name '*.lua'"

--- Reads a file, which must exist.
function facts.read(path)
  return (assert(process.slurp(path), path .. " can't be read"))
end
local read = facts.read

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local words

-- Collects every word of the sources: the names of all options are among them.
local function all_words()
  if words then return words end
  words = {}
  for _, path in ipairs(process.lines(C_SOURCES .. "; " .. LUA_SOURCES)) do
    for word in read(path):gmatch("[%a_][%w_]*") do words[word] = true end
  end
  return words
end

-- A value that no option accepts.
local JUNK = coroutine.create(function() end)

--- Lists the options that a function accepts: those it does not report as unknown.
-- @tparam function call is called with one option at a time, whose value has a wrong type
-- @treturn {string,...} sorted
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

-- Finds the kinds of errors that C returns: those in the table of names that some source uses.
local function kinds_of_c(found)
  local users, failure = {}, nil
  for _, path in ipairs(process.lines(C_SOURCES)) do
    local source = read(path)
    if source:find "%[KIND_[%u_]+%] = \"" then
      failure = source
    elseif path:find "%.c$" then
      users[#users + 1] = source
    end
  end
  users = table.concat(users, "\n")
  for constant, name in failure:gmatch('%[(KIND_[%u_]+)%] = "([%l_]+)"') do
    local _, times = failure:gsub(constant .. "%f[^%w_]", "")
    if constant ~= "KIND_NONE" and (times > 1 or users:find(constant .. "%f[^%w_]")) then
      found[name] = true
    end
  end
end

--- Lists the kinds of errors.
-- @treturn {string,...} sorted
function facts.kinds()
  local found = {}
  kinds_of_c(found)
  assert(next(found), "no source in C names a kind")
  for _, path in ipairs(process.lines(LUA_SOURCES)) do
    local source = read(path)
    for kind in source:gmatch 'kind = "([%l_]+)"' do found[kind] = true end
    for kind in source:gmatch 'fail%(job, "([%l_]+)"' do found[kind] = true end
    local ends = source:match "\nlocal ENDS = (%b{})"
    for kind in (ends or ""):gmatch '= "([%l_]+)"' do found[kind] = true end
  end
  return sorted(found)
end

--- Asserts that a document names everything that exists, and nothing else. Reports only the differences,
-- which are easier to read than two long lists.
-- @tparam {string,...} live the names that exist
-- @tparam {string,...} declared the names in the document
-- @tparam ?string what the lists contain, for the message
function facts.assert_same(live, declared, what)
  local undeclared, gone = {}, {}
  for _, name in ipairs(declared) do gone[name] = true end
  for _, name in ipairs(live) do
    if not gone[name] then undeclared[#undeclared + 1] = name end
    gone[name] = nil
  end
  luassert.same({ undeclared = {}, gone = {} }, { undeclared = undeclared, gone = sorted(gone) }, what)
  luassert.equal(#live, #declared, what)
  luassert.is_true(#live > 0, what)
end

facts.sorted = sorted

return facts
