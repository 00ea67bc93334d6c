--- The endpoints of the format, as descriptions of calls.
-- Owns paths, bodies and the checks of parameters. Invariant: pure; a description is made or an error
-- raised, and nothing is sent.
-- @module sora.videos

local core = require "sora.core"
local cjson = require("cjson.safe").new()

local videos = {}

-- cjson writes 14 digits of a number. An integer that has more goes through it as a string with this mark,
-- whose quotes are taken off again.
local MARK = "\1\2"
local PLAIN = 1e14

local function is_long(value)
  return type(value) == "number" and value % 1 == 0 and (value >= PLAIN or value <= -PLAIN)
    and value > -2 ^ 63 and value < 2 ^ 63
end

-- A copy in which long integers are marked.
local function mark(value)
  if is_long(value) then
    return MARK .. (math.type and math.type(value) == "integer" and tostring(value) or ("%.0f"):format(value))
  end
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do copy[key] = mark(item) end
  return copy
end

local function encode(params)
  local text, problem = cjson.encode(mark(params))
  if not text then return nil, problem end
  return (text:gsub('"\\u0001\\u0002(%-?%d+)"', "%1"))
end

local function complain(who, text)
  error(("bad argument to '%s' (%s)"):format(who, text), 4)
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
function videos.create(params, who)
  if type(params) ~= "table" then complain(who, "params: expected a table, got " .. type(params)) end
  if params.prompt ~= nil and type(params.prompt) ~= "string" then
    complain(who, "prompt: expected a string, got " .. type(params.prompt))
  end
  local body, problem = encode(params)
  if not body then complain(who, "params: " .. problem) end
  return { name = who, method = "POST", path = "/videos", body = body, content_type = "application/json" }
end

local VARIANTS = { video = true, thumbnail = true, spritesheet = true }

--- GET /videos/{id}/content, to a file.
-- @tparam string id
-- @tparam string|table target the file's path, or { path =, variant = }
function videos.content(id, target, who)
  if type(target) == "string" then target = { path = target } end
  if type(target) ~= "table" then
    complain(who, "path: expected a string or a table, got " .. type(target))
  end
  for name in pairs(target) do
    if name ~= "path" and name ~= "variant" then
      complain(who, ("unknown option '%s'"):format(tostring(name)))
    end
  end
  if type(target.path) ~= "string" or target.path == "" then
    complain(who, "path: expected the name of a file, got " .. type(target.path))
  end
  if target.variant ~= nil and not VARIANTS[target.variant] then
    complain(who, "option 'variant' must be one of 'video', 'thumbnail', 'spritesheet'")
  end
  return { name = who, method = "GET", path = videos.path(id, "/content", who), file = target.path,
    query = target.variant and "variant=" .. target.variant }
end

return videos
