--- What the module really accepts and says, for the specs that hold documents against it.
-- Owns how that is found out: by trying, with every word that stands in the sources. Invariant: no list here
-- has to be kept up to date by hand.
local luassert = require "luassert"
local process = require "spec.support.process"

local facts = {}

local C_SOURCES = "find src -name '*.[ch]'"
local LUA_SOURCES = "find lua/sora -name '*.lua' -not -path '*/server/*'"

--- The contents of a file, which must be there.
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

-- Every word of the sources: the name of an option stands in them somewhere.
local function all_words()
  if words then return words end
  words = {}
  for _, path in ipairs(process.lines(C_SOURCES .. "; " .. LUA_SOURCES)) do
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

-- The kinds that C gives: those of the table that names them, but for one that no other source uses.
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

--- The kinds of errors that there are.
-- @treturn {string,...} in order
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
  luassert.equal(#live, #declared, what)
  luassert.is_true(#live > 0, what)
end

facts.sorted = sorted

return facts
