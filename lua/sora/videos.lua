--- The endpoints of the format, as descriptions of calls.
-- Owns paths, bodies and the checks of parameters. Invariant: pure; a description is made or an error
-- raised, and nothing is sent.
-- @module sora.videos

local core = require "sora.core"
local cjson = require("cjson.safe").new()

core.own()

local videos = {}
local complain = core.complain

-- cjson writes 14 digits of a number. An integer that has more goes through it as a string that begins with a
-- mark, whose quotes are taken off again. No text holds the mark by chance: there is an address and a time in
-- it.
local PLAIN = 1e14
local DEEPEST = 100 -- tables in tables
local MARK = ("integer %s %.6f "):format(tostring({}):gsub("%W", ""), core.now())
local MARKED = '"' .. MARK:gsub("%p", "%%%0") .. '(%-?%d+)"'

local function is_integer(value)
  return math.type and math.type(value) == "integer"
end

local function is_long(value)
  return type(value) == "number" and (value >= PLAIN or value <= -PLAIN)
    and (is_integer(value) or (value % 1 == 0 and value >= -2 ^ 63 and value < 2 ^ 63))
end

-- A copy in which long integers are marked, or nil where tables are nested without end.
local function mark(value, depth)
  if is_long(value) then return MARK .. (is_integer(value) and tostring(value) or ("%.0f"):format(value)) end
  if type(value) ~= "table" then return value end
  if depth > DEEPEST then return nil end
  local copy = {}
  for key, item in pairs(value) do
    local twin = mark(item, depth + 1)
    if twin == nil then return nil end
    copy[key] = twin
  end
  return copy
end

local function encode(params)
  local marked = mark(params, 1)
  if not marked then return nil, "nested too deeply" end
  local text, problem = cjson.encode(marked)
  return text and text:gsub(MARKED, "%1"), problem
end

local function check_names(given, names, who)
  for name in pairs(given) do
    local known = false
    for _, word in ipairs(names) do known = known or word == name end
    if not known then
      local near = type(name) == "string" and core.nearest(name, names)
      complain(who, ("unknown option '%s'%s"):format(tostring(name),
        near and "; did you mean '" .. near .. "'?" or ""))
    end
  end
end

--- The path of a job, or of something below it.
-- @tparam string id
-- @tparam string below "" or such as "/content"
-- @tparam string who the function to name when the id is misused, which raises
function videos.path(id, below, who)
  local segment, problem = core.escape(id)
  if not segment then complain(who, problem) end
  return "/videos/" .. segment .. below
end

--- POST /videos.
-- @tparam table params `prompt`, and whatever else the server takes; unknown fields are sent as they are
-- @tparam string who the function to name when it is misused
function videos.create(params, who)
  if type(params) ~= "table" then complain(who, "params: expected a table, got " .. type(params)) end
  if params.prompt ~= nil and type(params.prompt) ~= "string" then
    complain(who, "prompt: expected a string, got " .. type(params.prompt))
  end
  local body, problem = encode(params)
  if not body then complain(who, "params: " .. tostring(problem)) end
  return { name = who, method = "POST", path = "/videos", body = body, content_type = "application/json" }
end

local VARIANTS = { video = true, thumbnail = true, spritesheet = true }

--- GET /videos/{id}/content, to a file.
-- @tparam string id
-- @tparam string|table target the file's path, or { path =, variant = }
-- @tparam string who the function to name when it is misused
function videos.content(id, target, who)
  if type(target) == "string" then target = { path = target } end
  if type(target) ~= "table" then
    complain(who, "path: expected a string or a table, got " .. type(target))
  end
  check_names(target, { "path", "variant" }, who)
  if type(target.path) ~= "string" or target.path == "" or target.path:find("%z") then
    complain(who, "path: expected the name of a file, got " .. (type(target.path) == "string"
      and ("%q"):format(target.path) or type(target.path)))
  end
  if target.variant ~= nil and not VARIANTS[target.variant] then
    complain(who, "option 'variant' must be one of 'video', 'thumbnail', 'spritesheet'")
  end
  return { name = who, method = "GET", path = videos.path(id, "/content", who), file = target.path,
    query = target.variant and "variant=" .. target.variant }
end

return videos
