--- Reads a meta file of the Lua language server: its classes, their members, and its aliases.
-- Owns the few forms of annotations that types/sora.lua uses. Invariant: a line that it does not understand
-- raises, so that nothing is ignored.
local meta = {}

local function names_of(list)
  local names = {}
  for name in list:gmatch "[%w_%.]+" do names[#names + 1] = name end
  return names
end

-- Parses a type: "fun(id: string, opts?: sora.X): sora.Video?" -> { "id", "opts" }; nil if it is no function.
local function parameters_of(kind)
  local list = kind:match "^fun(%b())"
  if not list then return nil end
  local names = {}
  for name in (list:sub(2, -2) .. ","):gmatch "([%w_%.]+)%??:?[^,]*," do names[#names + 1] = name end
  return names
end

local Reader = {}
Reader.__index = Reader

function Reader:fail(text)
  error(("%s:%d: %s"):format(self.path, self.number, text), 0)
end

-- Splits a text into the type at its beginning and the rest. A type may contain blanks inside brackets, and
-- after the colons and commas of a function's results.
local function split_type(text)
  local at, depth = 1, 0
  while at <= #text do
    local char = text:sub(at, at)
    if char:find "[%(<{]" then depth = depth + 1 end
    if char:find "[%)>}]" then depth = depth - 1 end
    if char == " " and depth == 0 and not text:sub(at - 1, at - 1):find "[:,]" then break end
    at = at + 1
  end
  return text:sub(1, at - 1), text:sub(at + 1)
end

local read = {}

function read.class(self, text)
  local name, parents = text:match "^([%w_%.]+):?%s*(.*)$"
  self.class = { name = name, parents = names_of(parents), fields = {}, methods = {}, doc = #self.doc > 0 }
  self.classes[name] = self.class
  self.doc = {}
end

function read.field(self, text)
  local name, mark, rest = text:match "^([%w_]+)(%??)%s+(.+)$"
  if not name then
    local key = text:match "^%[(%l+)%]%s+%S"
    if not key then self:fail "a field without name and type" end
    self.class.open = self.class.open or key == "string"
    return
  end
  local kind, words = split_type(rest)
  if words == "" and #self.doc == 0 then self:fail("field " .. name .. " says nothing about itself") end
  if self.class.fields[name] then self:fail("field " .. name .. " is declared twice") end
  self.class.fields[name] = { type = kind, optional = mark == "?" }
  local parameters = parameters_of(kind)
  if parameters and #self.doc > 0 then self.class.methods[name] = { parameters = parameters } end
  self.doc = {}
end

function read.alias(self, text)
  local name = text:match "^[%w_%.]+"
  self.alias = { words = {}, doc = #self.doc > 0 }
  self.aliases[name] = self.alias
  for word in text:gmatch '"([%w_%-]+)"' do self.alias.words[#self.alias.words + 1] = word end
  self.doc = {}
end

function read.param(self, text)
  self.parameters[#self.parameters + 1] = text:match "^([%w_%.]+)%??%s+%S" or self:fail "a param without type"
end

read["return"] = function(self, text)
  if text == "" then self:fail "a return without type" end
end

function read.meta() end

local function read_annotation(self, line)
  local tag, text = line:match "^%-%-%-@(%l+)%s*(.-)%s*$"
  for name in line:gmatch "sora%.%u%w*" do self.used[name] = self.number end
  local reader = tag and read[tag] or self:fail "an annotation that this reader does not know"
  reader(self, text)
end

local function read_function(self, line)
  local owner, name, list = line:match "^function ([%w_]+)[:.]([%w_]+)(%b()) end$"
  if not owner then self:fail "neither an annotation nor a declaration" end
  local class = self.variables[owner] or self:fail(owner .. " is no class")
  if #self.doc == 0 then self:fail(name .. " says nothing about itself") end
  if class.methods[name] then self:fail(name .. " is declared twice") end
  local parameters = names_of(list)
  if table.concat(parameters, " ") ~= table.concat(self.parameters, " ") then
    self:fail(name .. " has other parameters than are annotated")
  end
  class.methods[name] = { parameters = parameters }
  self.doc, self.parameters = {}, {}
end

local function read_line(self, line)
  if line == "" then
    if #self.parameters > 0 then self:fail "parameters of nothing" end
    self.doc, self.class, self.alias = {}, nil, nil
  elseif line:find "^%-%-%-@" then
    read_annotation(self, line)
  elseif line:find "^%-%-%-|" then
    local word = line:match '^%-%-%-| "([%w_%-]+)" # .' or self:fail "a word without meaning"
    table.insert(self.alias.words, word)
  elseif line:find "^%-%-%-" then
    self.doc[#self.doc + 1] = line
  elseif line:find "^local [%w_]+ = {}$" then
    self.variables[line:match "^local ([%w_]+)"] = self.class or self:fail "a table that is no class"
  elseif not line:find "^%-%-" and not line:find "^return " then
    read_function(self, line)
  end
end

--- Reads a meta file.
-- @tparam string path
-- @treturn table { classes = { name = { parents, fields, methods, open, doc } }, aliases = { name = { words,
-- doc } }, used = { name = line } }
function meta.read(path)
  local self = setmetatable({ path = path, number = 0, doc = {}, parameters = {}, classes = {}, aliases = {},
    variables = {}, used = {} }, Reader)
  for line in io.lines(path) do
    self.number = self.number + 1
    read_line(self, line)
  end
  return self
end

--- Collects the fields of a class and of its parents.
-- @treturn table name -> { type, optional }
function Reader:fields(name)
  local class, all = assert(self.classes[name], "no class " .. name), {}
  for _, parent in ipairs(class.parents) do
    for field, about in pairs(self:fields(parent)) do all[field] = about end
  end
  for field, about in pairs(class.fields) do all[field] = about end
  return all
end

return meta
