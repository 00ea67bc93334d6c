--- Searching an answer: finds the job in its envelope, and the tables around it.
-- Owns the one way to look up fields (`pick`, `first`) and the rules for envelopes, events and holders;
-- values.lua knows what a value looks like. Invariant: changes nothing, and every search is bounded, whatever
-- the body's size or depth.
-- @module sora.normalize.tree
-- @local

local core = require "sora.core"
local values = require "sora.normalize.values"

local tree = {}

local MAX_LAYERS, MAX_ITEMS, MAX_ENVELOPES = 32, 16, 6
local MAX_JSON = 65536 -- bytes of JSON in a string
local find = string.find

--- Makes a list of field names, each in snake case and, if that differs, in camel case.
-- @tparam string list names divided by blanks, the best first
-- @treturn {string,...}
function tree.names(list)
  local names = {}
  for name in list:gmatch("%S+") do
    names[#names + 1] = name
    local camel = name:gsub("_(%l)", function(letter) return string.char(letter:byte() - 32) end)
    if camel ~= name then names[#names + 1] = camel end
  end
  return names
end

--- Finds the first of `names` in a table whose value `read(value, name)` accepts.
-- @tparam table layer
-- @tparam {string,...} names
-- @tparam function read
-- @return what `read` made of it, or nil
function tree.pick(layer, names, read)
  for i = 1, #names do
    local name = names[i]
    local value = layer[name]
    if value ~= nil then
      value = read(value, name)
      if value ~= nil then return value end
    end
  end
  return nil
end

local pick = tree.pick

--- Does the same over several tables: the first table that has one of the names.
-- @tparam {table,...} layers
-- @tparam {string,...} names
-- @tparam function read
-- @return what `read` made of it, or nil
function tree.first(layers, names, read)
  for i = 1, #layers do
    local value = pick(layers[i], names, read)
    if value ~= nil then return value end
  end
  return nil
end

--- Makes a reader for a field that may hold one value or an array: it returns the first item that `read`
-- accepts.
-- @tparam function read
-- @treturn function
function tree.each(read)
  return function(value, name)
    if type(value) ~= "table" then return read(value, name) end
    for i = 1, MAX_ITEMS do   -- not ipairs: a null in the middle is a hole
      local item = value[i]
      if item ~= nil then
        item = read(item, name)
        if item ~= nil then return item end
      end
    end
    return nil
  end
end

--- Tells whether a table holds no other table, as is true for most answers; nor one as JSON in a string.
-- @tparam table layer
-- @treturn boolean
function tree.is_flat(layer)
  if layer.result_json or layer.resultJson or layer.output_json or layer.outputJson or layer.response_json
    or layer.responseJson then
    return false
  end
  for _, value in next, layer do
    if type(value) == "table" then return false end
  end
  return true
end

-- Returns a table, or the one that a string holds as JSON.
local function as_table(value)
  if type(value) == "table" then return value end
  if type(value) == "string" and #value <= MAX_JSON and find(value, "^[{%[]") then
    return (core.decode_json(value))
  end
  return nil
end

--- Returns the tables that may hold a job's fields: the root, then those in its fields `holders` (objects and
-- the items of arrays; JSON in a string counts, too), then those in theirs, and so on.
-- @tparam table root
-- @tparam {string,...} holders
-- @tparam[opt] function accept leaves out a table for which it is false
-- @treturn {table,...}
function tree.spread(root, holders, accept)
  local layers, at = { root }, 0
  local function add(value)
    if type(value) == "table" and #layers < MAX_LAYERS and (not accept or accept(value)) then
      layers[#layers + 1] = value
    end
  end
  while at < #layers do
    at = at + 1
    for i = 1, #holders do
      local value = layers[at][holders[i]]
      if value ~= nil then value = as_table(value) end
      if value then
        add(value)
        for k = 1, MAX_ITEMS do add(value[k]) end
      end
    end
  end
  return layers
end

local STATUS = tree.names [[status state task_status task_state job_status job_state video_status
  generation_status]]
local OWN_ID = tree.names "id task_id job_id video_id"
local EVENT = tree.names "type event event_type"
local ENVELOPE = tree.names "data payload detail result response output task job generation video"

--- Returns the state in a table's own status field.
-- @tparam table layer
-- @treturn string|nil
function tree.state(layer)
  return pick(layer, STATUS, values.state)
end

--- Returns the first state over several layers.
-- @tparam {table,...} layers
-- @treturn string|nil
function tree.first_state(layers)
  return tree.first(layers, STATUS, values.state)
end

local function word(value)
  return values.state(value) and value or nil
end

--- Returns the word that `first_state` reads.
-- @tparam {table,...} layers
-- @treturn string|nil
function tree.word(layers)
  return tree.first(layers, STATUS, word)
end

--- Returns the word that `first_state` reads if no list has it.
-- @tparam {table,...} layers
-- @treturn string|boolean|nil false: a list has it; nil: there is none
function tree.unlisted(layers)
  return tree.first(layers, STATUS, values.unlisted)
end

--- Returns a table's own id: text before numbers, because a number is often the row of a database.
-- @tparam table layer
-- @treturn string|nil
function tree.id(layer)
  return pick(layer, OWN_ID, values.id) or pick(layer, OWN_ID, values.row_id)
end

--- Tells whether a body is a page of jobs.
-- @tparam table body
-- @treturn boolean
function tree.is_list(body)
  local data = body.data
  return type(data) == "table"
    and (body.object == "list" or body.has_more ~= nil or body.first_id ~= nil or data[2] ~= nil)
end

-- Reads the state of a job. Without an id beside it, "success" may be the envelope's.
local function own_state(layer)
  local state = tree.state(layer)
  if state and pick(layer, STATUS, values.says_success) and not tree.id(layer) then return nil end
  return state
end

-- Returns the table in a holder: an object, or the first item of an array.
local function held(layer, name)
  local value = layer[name]
  if type(value) ~= "table" then return nil end
  if type(value[1]) == "table" then
    if tree.is_list(layer) then return nil end
    return value[1]
  end
  return value
end

-- Returns the job of an event and the state in the event's name ("video.completed"); nil if it is no event.
local function event_state(body)
  local name = pick(body, EVENT, values.text)
  local job = held(body, "data") or held(body, "payload")
  if not name or not job then return nil end
  local state = name:find("%.") and values.known_state(name:match("^.*%.(.*)$")) or nil
  if body.object == "event" then return job, state end
  -- A job may have a `type` with a dot too, but then its state stands beside it.
  if name:find("%.") and not tree.state(body) and (state or tree.state(job) or tree.id(job)) then
    return job, state
  end
  return nil
end

-- Returns the job inside an envelope, or nil if the table is the job itself. A table with an id of its own is
-- a job.
local function inside(layer)
  local state = own_state(layer)
  if pick(layer, OWN_ID, values.id) or state and tree.id(layer) then return nil end
  for i = 1, #ENVELOPE do
    local inner = held(layer, ENVELOPE[i])
    if inner and (tree.state(inner) or not state and tree.id(inner)) then return inner end
  end
  return nil
end

--- Finds the job in a body.
-- @tparam table body
-- @treturn table the job: `body` itself, or a table in it
-- @treturn {table,...} the envelopes around it, innermost first, without an event: its id and times are its
-- own
-- @treturn string|nil the state in an event's name
function tree.unwrap(body)
  local envelopes = {}
  local job, said = event_state(body)
  job = job or body
  for _ = 1, MAX_ENVELOPES do
    local inner = inside(job)
    if not inner then break end
    table.insert(envelopes, 1, job)
    job = inner
  end
  return job, envelopes, said
end

return tree
