--- The endpoints of the format, as descriptions of calls.
-- Owns paths, bodies and the checks of parameters. Invariant: pure; a function returns a description or
-- raises, and sends nothing.
-- @module sora.endpoints
-- @local

local core = require "sora.core"
local json = require "sora.json"
local options = require "sora.options"

core.own()

local endpoints = {}
local complain, encode = core.complain, json.encode

-- The paths of the calls, below the base URL; `{id}` is the job's. A client's `paths` replace them.
local PATHS = {
  create = "/videos",
  list = "/videos",
  get = "/videos/{id}",
  delete = "/videos/{id}",
  content = "/videos/{id}/content",
  remix = "/videos/{id}/remix",
  edit = "/videos/edits",
  extend = "/videos/extensions",
  create_character = "/videos/characters",
  get_character = "/videos/characters/{id}",
}

local PATH_RULES = {}
for name in pairs(PATHS) do PATH_RULES[name] = true end

--- Checks the option `paths` and adds the paths that it lacks.
-- @tparam ?table given name → path below the base URL, with `{id}` where the job's id goes
-- @tparam string who the function that the user called; misuse raises
-- @treturn table a path for each name
function endpoints.paths(given, who)
  local paths = options.copy(PATHS)
  if given == nil then return paths end
  options.expect(who, "option 'paths'", given, "table")
  options.check(who, given, PATH_RULES)
  for name, path in pairs(given) do
    local takes_id = PATHS[name]:find("{id}", 1, true)
    if type(path) ~= "string" or path:sub(1, 1) ~= "/" then
      complain(who, ("option 'paths': %s must be a string that begins with '/'"):format(name))
    end
    if takes_id and not path:find("{id}", 1, true) then
      complain(who, ("option 'paths': %s must hold '{id}'"):format(name))
    end
    paths[name] = path
  end
  return paths
end

--- Makes the address of a call.
-- @tparam string template a path, perhaps with a query, with `{id}` where the id goes
-- @param id
-- @tparam string who the function that the user called; a bad id raises
-- @treturn string path
-- @treturn ?string query
function endpoints.address(template, id, who)
  if template:find("{id}", 1, true) then
    local segment, problem = core.escape(id)
    if not segment then complain(who, problem) end
    template = template:gsub("{id}", (segment:gsub("%%", "%%%%")))
  end
  local path, query = template:match("^([^?]*)%??(.*)$")
  return path, query ~= "" and query or nil
end

--- Raises unless `id` can be a job's id.
function endpoints.check_id(id, who)
  local segment, problem = core.escape(id)
  if not segment then complain(who, problem) end
end

-- Bodies -----------------------------------------------------------------------------

-- { path = } or { data =, filename =, content_type = }
local function is_file(value)
  return type(value) == "table" and (value.path ~= nil or value.data ~= nil)
end

local FILE_RULES = { path = true, data = true, filename = true, content_type = true }

local function check_file(name, file, who)
  if not is_file(file) then complain(who, name .. ": a list holds files alone, or none") end
  if file.path ~= nil and file.data ~= nil then complain(who, name .. ": both path and data are given") end
  options.check(who, file, FILE_RULES)
  for field, value in pairs(file) do
    if type(value) ~= "string" or (field ~= "data" and (value == "" or value:find("[%z\r\n]"))) then
      complain(who, ("%s.%s: expected a string, got %s"):format(name, field, type(value)))
    end
  end
end

-- Returns the files of a field, as a list; nil: it has none.
local function files_of(value)
  if is_file(value) then return { value } end
  for _, item in ipairs(type(value) == "table" and value or {}) do
    if is_file(item) then return value end
  end
end

local function as_text(value)
  if type(value) == "string" then return value end
  if type(value) == "boolean" then return tostring(value) end
  return encode(value)
end

local function add_parts(parts, name, value, who)
  if value == json.null then return end
  local files = files_of(value)
  for _, file in ipairs(files or {}) do
    check_file(name, file, who)
    parts[#parts + 1] = { name = name, path = file.path, data = file.data, content_type = file.content_type,
      filename = file.filename or (file.data and name) or nil }
  end
  if files then return end
  local text, problem = as_text(value)
  if not text then complain(who, ("params: %s: %s"):format(name, tostring(problem))) end
  parts[#parts + 1] = { name = name, data = text }
end

local function as_parts(params, who)
  local names, parts = {}, {}
  for name in pairs(params) do
    if type(name) ~= "string" then complain(who, "params: names are strings, got a " .. type(name)) end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do add_parts(parts, name, params[name], who) end
  return parts
end

local function has_files(params)
  for _, value in pairs(params) do
    if files_of(value) then return true end
  end
  return false
end

-- Sends JSON without a file and multipart with one, because some servers refuse multipart without a file; the
-- option `multipart` is for servers that take nothing else.
local function post(who, client, name, params, id)
  local spec = { name = who, method = "POST" }
  spec.path, spec.query = endpoints.address(client._paths[name], id, who)
  if (client._multipart and next(params) ~= nil) or has_files(params) then
    spec.parts = as_parts(params, who)
    return spec
  end
  local body, problem = encode(params)
  if not body then complain(who, "params: " .. tostring(problem)) end
  spec.body, spec.content_type = body, "application/json"
  return spec
end

-- Raises unless params is a table with all `required` fields, and its texts are strings.
local function check_params(params, required, who)
  options.expect(who, "params", params, "table")
  for _, name in ipairs(required) do
    if params[name] == nil then complain(who, name .. ": is missing") end
  end
  options.expect_optional(who, "prompt", params.prompt, "string")
  options.expect_optional(who, "name", params.name, "string")
end

-- Turns a video that is given by its id alone into { id = }.
local function with_video(params)
  local video = params.video
  if type(video) ~= "string" or video:find("^%a[%w+.-]*://") or video:find("^data:") then return params end
  return options.copy({ video = { id = video } }, options.copy(params))
end

-- Calls: each takes the client, for its paths, and the arguments of the method; returns the description and
-- the
-- options of the call ---------------------------------------------------------------------

local describe = {}

-- Creates a job to pay for: pump.lua writes `creates` into the journal.
local function create(who, client, name, params, id)
  local spec = post(who, client, name, params, id)
  spec.creates = params
  return spec
end

function describe.create_video(client, params, opts)
  check_params(params, {}, "create_video")
  return create("create_video", client, "create", params), opts
end

function describe.remix_video(client, id, params, opts)
  check_params(params, { "prompt" }, "remix_video")
  return create("remix_video", client, "remix", params, id), opts
end

function describe.edit_video(client, params, opts)
  check_params(params, { "video", "prompt" }, "edit_video")
  return create("edit_video", client, "edit", with_video(params)), opts
end

function describe.extend_video(client, params, opts)
  check_params(params, { "video" }, "extend_video")
  return create("extend_video", client, "extend", with_video(params)), opts
end

function describe.create_character(client, params, opts)
  check_params(params, { "name", "video" }, "create_character")
  return post("create_character", client, "create_character", with_video(params)), opts
end

local function by_id(method, name, who)
  return function(client, id, opts)
    local path, query = endpoints.address(client._paths[name], id, who)
    return { name = who, method = method, path = path, query = query }, opts
  end
end

describe.get_character = by_id("GET", "get_character", "get_character")
describe.delete_video = by_id("DELETE", "delete", "delete_video")

local ORDERS = { asc = true, desc = true }

function describe.list_videos(client, params, opts)
  params = params or {}
  check_params(params, {}, "list_videos")
  local query = {}
  for name, value in pairs(params) do
    if type(name) ~= "string" then
      complain("list_videos", "params: names are strings, got a " .. type(name))
    end
    if name == "limit" and not (type(value) == "number" and value > 0 and value % 1 == 0) then
      complain("list_videos", "limit: expected a whole number, 1 or more, got " .. tostring(value))
    elseif name == "order" and not ORDERS[value] then
      complain("list_videos", "order: expected 'asc' or 'desc', got " .. tostring(value))
    elseif name == "after" and (type(value) ~= "string" or value == "") then
      complain("list_videos", "after: expected an id, got " .. type(value))
    end
    local whole = type(value) == "number" and value % 1 == 0
    query[name] = whole and ("%.0f"):format(value) or value
  end
  options.expect_optional("list_videos", "options", opts, "table")
  local own_query = opts and opts.query
  options.expect_optional("list_videos", "option 'query'", own_query, "table", "a table of names and values")
  local all = options.copy({ query = options.copy(own_query, query) }, options.copy(opts))
  local path, own = endpoints.address(client._paths.list, nil, "list_videos")
  return { name = "list_videos", method = "GET", path = path, query = own }, all
end

local VARIANTS = { video = true, thumbnail = true, spritesheet = true }
local TARGET_RULES = { path = true, variant = true, sink = options.FUNCTION, on_progress = options.FUNCTION,
  resume = options.FLAG, sync = options.FLAG,
  grace = options.rule("number", "a number of seconds, 0 or more", function(n) return n >= 0 end) }

-- Raises unless `target` says where a file goes.
local function check_target(target, who)
  options.expect(who, "path", target, "table", "a string or a table")
  options.check(who, target, TARGET_RULES)
  if target.variant ~= nil and not VARIANTS[target.variant] then
    complain(who, "option 'variant' must be one of 'video', 'thumbnail', 'spritesheet'")
  end
  if target.sink and target.path == nil then return end
  if target.sink then complain(who, "path: a sink is given, too") end
  if type(target.path) ~= "string" or target.path == "" or target.path:find("%z") then
    complain(who, "path: expected the name of a file, got " .. (type(target.path) == "string"
      and ("%q"):format(target.path) or type(target.path)))
  end
end

--- Checks where a file goes: a path or a table. Returns it as a table.
function endpoints.target(target, who)
  if type(target) == "string" then target = { path = target } end
  check_target(target, who)
  return target
end

--- Describes the GET of a file, from below the base URL or from any URL.
-- @tparam table target from `endpoints.target`
-- @tparam table from { path =, query = } or { url = }
-- @tparam string who
function endpoints.file(target, from, who)
  return { name = who, method = "GET", path = from.path, query = from.query, url = from.url,
    sink = target.sink ~= nil, resume = target.resume }
end

--- Returns the address of a job's file below the base URL: { path =, query = }.
function endpoints.content(client, id, target, who)
  local path, query = endpoints.address(client._paths.content, id, who)
  if target.variant then query = (query and query .. "&" or "") .. "variant=" .. target.variant end
  return { path = path, query = query }
end

endpoints.describe = describe

return endpoints
