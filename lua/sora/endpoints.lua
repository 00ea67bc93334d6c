--- The endpoints of the format, as descriptions of calls.
-- Owns paths, bodies and the checks of parameters. Invariant: pure; a function returns a description or
-- raises, and sends nothing.
-- @module sora.endpoints
-- @local

local core = require "sora.core"
local json = require "sora.json"
local normalize = require "sora.normalize"
local options = require "sora.options"
local values = require "sora.normalize.values"

core.own()

local endpoints = {}
local complain, encode = core.complain, json.encode

-- The paths of the calls, below the base URL; `{id}` is the job's. A client's `paths` replace them.
local PATHS = {
  create = "/videos",
  list = "/videos",
  get = "/videos/{id}",
  delete = "/videos/{id}",
  cancel = "/videos/{id}/cancel",
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
      complain(who, ("option 'paths': %s: expected a string that begins with '/'"):format(name))
    end
    if takes_id and not path:find("{id}", 1, true) then
      complain(who, ("option 'paths': %s: expected '{id}' in it, where the job's id goes"):format(name))
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

-- Tells whether a table is a result of `create_and_download` or `wait_all`: it holds a job in `video`.
local function holds_video(value)
  if type(value.video) ~= "table" then return false end
  for name in pairs(value) do
    if name ~= "video" and name ~= "err" and value.bytes == nil then return false end
  end
  return true
end

--- Finds the id in a table that stands for a job: an answer in any dialect, a view, a ticket, a watched job,
-- or a result with `video`.
-- @tparam table value
-- @treturn ?string
function endpoints.find_id(value)
  if type(value.ticket) == "function" or type(value.raw) == "table" and value.state then -- watched; a view
    return value.id
  elseif type(value.kind) == "string" and type(value.message) == "string" then -- an error
    return nil
  elseif holds_video(value) then
    return endpoints.find_id(value.video)
  end
  return normalize.video(value).id
end

--- Says what the answer to a create lacks to be a job: an id, or the film itself. A job that failed at once
-- needs neither.
-- @tparam table answer
-- @treturn ?string nil: it is a job
function endpoints.flaw(answer)
  local view = normalize.video(answer)
  if view.id or view.url or normalize.payload(answer) then return nil end
  if view.state ~= "completed" and normalize.terminal(view.state) then return nil end
  local text = normalize.failure(answer).message or encode(answer) or ""
  return "the answer has neither a job's id nor a video: " .. text:sub(1, 200)
end

--- Raises unless a value is a job's id, or a table that has one.
-- @param value
-- @tparam string who the function that the user called
-- @tparam ?string what the argument ("id")
function endpoints.check_id(value, who, what)
  local segment, problem = core.escape(value)
  if not segment then complain(who, what and problem:gsub("^id:", what .. ":") or problem) end
end

--- Returns the id that an argument stands for.
-- @param value an id, or a table as for `find_id`
-- @tparam string who the function that the user called; misuse raises
-- @tparam ?table client a ticket for another server raises, too
-- @treturn string
function endpoints.id_of(value, who, client)
  endpoints.check_id(value, who)
  if type(value) == "number" then return ("%d"):format(value) end
  if type(value) ~= "table" then return value end
  if client and type(value.base_url) == "string" and value.base_url ~= client.base_url then
    complain(who, ("id: expected a ticket for %s, got one for %s"):format(client.base_url, value.base_url))
  end
  return endpoints.find_id(value)
end

local LISTS = { "data", "videos", "items", "results" }

-- A list itself, or the one in the answer of `list_videos`.
local function find_list(value)
  if value[1] ~= nil then return value end
  for _, name in ipairs(LISTS) do
    local list = value[name]
    if type(list) == "table" and (list[1] ~= nil or next(list) == nil) then return list end
  end
  if endpoints.find_id(value) then return nil, "expected a list, got one job; write { job }" end
  return value
end

-- Returns the length of a list; its holes count.
local function length(list, what, who)
  local count = type(list.n) == "number" and list.n or 0
  for i in pairs(list) do
    if i ~= "n" and (type(i) ~= "number" or i < 1 or i % 1 ~= 0) then
      complain(who, ("%s: expected a list, got a table with the field '%s'"):format(what, tostring(i)))
    end
    if i ~= "n" and i > count then count = i end
  end
  return count
end

--- Returns the ids that a list stands for.
-- @param value a list of what `id_of` takes, or an answer of `list_videos`
-- @tparam string who the function that the user called; misuse raises
-- @tparam ?table client
-- @treturn {string,...}
function endpoints.ids_of(value, who, client)
  options.expect(who, "ids", value, "table", "a list")
  local list, problem = find_list(value)
  if not list then complain(who, "ids: " .. problem) end
  local ids = {}
  for i = 1, length(list, "ids", who) do
    local item = list[i]
    if item == nil then
      complain(who, ("ids[%d]: expected an id, got nil; a list must have no holes"):format(i))
    end
    local segment, why = core.escape(item)
    if not segment then complain(who, ("ids[%d]: %s"):format(i, (why:gsub("^id: ", "")))) end
    ids[i] = endpoints.id_of(item, who, client)
  end
  return ids
end

-- Bodies -----------------------------------------------------------------------------

-- { path = } or { data =, filename =, content_type = }
local function is_file(value)
  return type(value) == "table" and (value.path ~= nil or value.data ~= nil)
end

local FILE_RULES = { path = true, data = true, filename = true, content_type = true }

local function check_file(name, file, who)
  if not is_file(file) then complain(who, name .. ": expected only files in the list, or none") end
  if file.path ~= nil and file.data ~= nil then
    complain(who, name .. ": expected either path or data, got both")
  end
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

local function add_text(parts, name, value, who)
  if value == json.null then return end
  local text, problem = as_text(value)
  if not text then complain(who, ("params: %s: %s"):format(name, tostring(problem))) end
  parts[#parts + 1] = { name = name, data = text }
end

local function add_parts(parts, name, value, who)
  if value == json.null then return end
  local files = files_of(value)
  for _, file in ipairs(files or {}) do
    check_file(name, file, who)
    parts[#parts + 1] = { name = name, path = file.path, data = file.data, content_type = file.content_type,
      filename = file.filename or (file.data and "") or nil } -- C makes a name of ""
  end
  if not files then add_text(parts, name, value, who) end
end

local function sorted_names(params, who)
  local names = {}
  for name in pairs(params) do
    if type(name) ~= "string" then
      complain(who, "params: expected names that are strings, got a " .. type(name))
    end
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

-- Makes the parts of a form. What is in `extra` is no file, whatever it looks like.
local function as_parts(params, extra, who)
  local parts = {}
  for _, name in ipairs(sorted_names(params, who)) do
    if extra[name] == nil then add_parts(parts, name, params[name], who) end
  end
  for _, name in ipairs(sorted_names(extra, who)) do add_text(parts, name, extra[name], who) end
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
local function post(who, client, name, params, extra, id)
  local spec = { name = who, method = "POST" }
  spec.path, spec.query = endpoints.address(client._paths[name], id, who)
  local all = extra and options.copy(extra, options.copy(params)) or params
  if (client._multipart and next(all) ~= nil) or has_files(params) then
    spec.parts = as_parts(params, extra or {}, who)
    return spec
  end
  local body, problem = encode(all)
  if not body then complain(who, "params: " .. tostring(problem)) end
  spec.body, spec.content_type = body, "application/json"
  return spec
end

-- Options of a call, and the names that other SDKs have for them, which are easily put among the params.
local MISPLACED = { timeout = "timeout", max_retries = "max_retries", headers = "headers", query = "query",
  response = "response", idempotency_key = "idempotency_key", label = "label", on_done = "on_done",
  on_progress = "on_progress", extra_headers = "headers", extra_query = "query", poll_interval = "interval",
  poll_interval_ms = "interval", max_wait = "timeout" }

local ELSEWHERE = "'%s' is an option, not a field of the params: write %s({ … }, { %s = … })%s"

-- Raises for options among the params. `otherwise` says how to send a field of that name.
local function check_misplaced(params, who, otherwise)
  for name, option in pairs(MISPLACED) do
    if params[name] ~= nil then
      complain(who, ELSEWHERE:format(name, who, option, otherwise:format(name)))
    end
  end
end

-- A file's name where a file is meant: "fox.png".
local PICTURES = { png = true, jpg = true, jpeg = true, webp = true, gif = true, mp4 = true, mov = true,
  webm = true }

local function is_file_name(value)
  if type(value) ~= "string" or value:find("%s") or value:find("^%a[%w+.-]+:") then return false end
  return PICTURES[values.lower(value:match("%.(%w+)$") or "")] == true
end

local FILE_NAME = "%s: '%s' is the name of a file; to send the file, write { path = '%s' }; a name that the "
  .. "server knows goes into extra_body"

-- Raises for a file's name in a field that takes files.
local function check_reference(name, value, who)
  if is_file_name(value) then complain(who, FILE_NAME:format(name, value, value)) end
  for _, item in ipairs(type(value) == "table" and value or {}) do check_reference(name, item, who) end
end

local MISSPELT = 2 -- edits between `prompt` and a misspelling of it
local BODY = "; a field of that name goes into extra_body = { %s = … }"

-- Tells whether a table stands for a job, and is not a reference or a file already.
local function is_job(value)
  if holds_video(value) or type(value.data) == "table" then return endpoints.find_id(value) ~= nil end
  if is_file(value) or value[1] ~= nil or value.file_id ~= nil or value.image_url ~= nil then return false end
  if type(value.id) ~= "string" or type(value.raw) == "table" or type(value.ticket) == "function" then
    return endpoints.find_id(value) ~= nil
  end
  return value.status ~= nil or value.state ~= nil or value.object ~= nil or value.base_url ~= nil
end

-- Tells whether a video is given by its id.
local function is_id(video)
  return type(video) == "string" and not (video:find("^%a[%w+.-]*://") or video:find("^data:"))
end

-- Turns a video that is given as a job into { id = }; and one given by its id, where the endpoint is about a
-- video.
local function with_video(params, required, who)
  local video, id = params.video, nil
  if type(video) == "table" and is_job(video) then
    id = endpoints.id_of(video, who)
  elseif required.video and is_id(video) then
    id = video
  end
  if not id then return params end
  return options.copy({ video = { id = id } }, options.copy(params))
end

-- Raises for a misspelt prompt, since a server may ignore the field, and charge for the video.
local function check_prompt(params, who)
  local near, edits = options.nearest("prompt", params)
  if near and edits <= MISSPELT then
    complain(who, ("params: unknown field '%s'; did you mean 'prompt'?"):format(near) .. BODY:format(near))
  end
end

-- Raises unless params is a table with all `required` fields, and its texts are strings. Returns what to
-- send, and `extra_body`, which nobody checks.
local function check_params(params, required, who)
  options.expect(who, "params", params, "table")
  check_misplaced(params, who, BODY)
  local extra = params.extra_body
  options.expect_optional(who, "extra_body", extra, "table")
  if params.prompt == nil and (extra or {}).prompt == nil then check_prompt(params, who) end
  for _, name in ipairs { "name", "video", "prompt" } do
    if required[name] and params[name] == nil and (extra or {})[name] == nil then
      complain(who, ("params: '%s' is missing"):format(name))
    end
  end
  options.expect_optional(who, "prompt", params.prompt, "string")
  options.expect_optional(who, "name", params.name, "string")
  check_reference("input_reference", params.input_reference, who)
  check_reference("video", params.video, who)
  local checked = options.copy(params)
  checked.extra_body = nil
  return with_video(checked, required, who), extra
end

-- Calls ------------------------------------------------------------------------------

-- Each takes the client, for its paths, and the arguments of the method; returns the description of the call
-- and its options.

local describe = {}

-- Creates a job to pay for: pump.lua writes `creates`, the params, into the journal.
local function creator(who, name, required)
  return function(client, params, id)
    local checked, extra = check_params(params, required, who)
    local spec = post(who, client, name, checked, extra, id)
    spec.creates = params
    return spec
  end
end

local create = creator("create_video", "create", {})
local remix = creator("remix_video", "remix", { prompt = true })
local edit = creator("edit_video", "edit", { video = true, prompt = true })
local extend = creator("extend_video", "extend", { video = true })

function describe.create_video(client, params, opts)
  return create(client, params), opts
end

function describe.remix_video(client, id, params, opts)
  return remix(client, params, id), opts
end

function describe.edit_video(client, params, opts)
  return edit(client, params), opts
end

function describe.extend_video(client, params, opts)
  return extend(client, params), opts
end

function describe.create_character(client, params, opts)
  local checked, extra = check_params(params, { name = true, video = true }, "create_character")
  return post("create_character", client, "create_character", checked, extra), opts
end

local function by_id(method, name, who)
  return function(client, id, opts)
    local path, query = endpoints.address(client._paths[name], id, who)
    return { name = who, method = method, path = path, query = query }, opts
  end
end

describe.get_character = by_id("GET", "get_character", "get_character")

-- A call that may end a job: `state_after(answer)` is the final state that the answer stands for, or nil.
local function ending(describe_call, who, state_after)
  return function(client, id, opts)
    local spec = describe_call(client, id)
    spec.ends = { id = endpoints.id_of(id, who, client), state_after = state_after }
    return spec, opts
  end
end

describe.delete_video = ending(by_id("DELETE", "delete", "delete_video"), "delete_video",
  function() return "deleted" end)

describe.cancel_video = ending(by_id("POST", "cancel", "cancel_video"), "cancel_video", function(answer)
  local state = normalize.video(answer).state
  return state == "cancelled" and state or nil
end)

local ORDERS = { asc = true, desc = true }

local function after_of(value)
  local id = type(value) == "table" and endpoints.find_id(value) or value
  if type(id) == "string" and id ~= "" then return id end
  return complain("list_videos", "after: expected an id, got " .. type(value))
end

function describe.list_videos(client, params, opts)
  params = params or {}
  options.expect("list_videos", "params", params, "table")
  check_misplaced(params, "list_videos", "; a parameter of that name goes into its query = { %s = … }")
  local query = {}
  for name, value in pairs(params) do
    if type(name) ~= "string" then
      complain("list_videos", "params: expected names that are strings, got a " .. type(name))
    end
    if name == "limit" and not (type(value) == "number" and value > 0 and value % 1 == 0) then
      complain("list_videos", "limit: expected a whole number, 1 or more, got " .. tostring(value))
    elseif name == "order" and not ORDERS[value] then
      complain("list_videos", "order: expected 'asc' or 'desc', got " .. tostring(value))
    elseif name == "after" then
      value = after_of(value)
    end
    local whole = type(value) == "number" and value % 1 == 0
    query[name] = whole and ("%.0f"):format(value) or value
  end
  options.expect_optional("list_videos", "options", opts, "table")
  local own_query = opts and opts.query
  options.expect_optional("list_videos", "option 'query'", own_query, "table", "a table of names and values")
  local all = options.copy({ query = options.copy(own_query, query) }, options.copy(opts))
  local path, own = endpoints.address(client._paths.list, nil, "list_videos")
  return { name = "list_videos", method = "GET", path = path, query = own, lists = true }, all
end

local VARIANTS = { video = true, thumbnail = true, spritesheet = true }
local TARGET_RULES = { path = true, variant = true, sink = options.FUNCTION, on_progress = options.FUNCTION,
  resume = options.FLAG, sync = options.FLAG,
  grace = options.rule("number", "a number of seconds, 0 or more", function(n) return n >= 0 end) }

-- Raises unless `target` says where a file goes. Returns it without a metatable.
local function check_target(target, who)
  options.expect(who, "path", target, "table", "a string or a table")
  target = options.check(who, target, TARGET_RULES)
  if target.variant ~= nil and not VARIANTS[target.variant] then
    complain(who, ("option 'variant': expected 'video', 'thumbnail' or 'spritesheet', got %s"):format(
      type(target.variant) == "string" and "'" .. target.variant .. "'" or type(target.variant)))
  end
  if target.sink and target.path == nil then return target end
  if target.sink then complain(who, "path: expected either path or sink, got both") end
  if type(target.path) ~= "string" or target.path == "" or target.path:find("%z") then
    complain(who, "path: expected the name of a file, got " .. (type(target.path) == "string"
      and ("%q"):format(target.path) or type(target.path)))
  end
  return target
end

--- Checks where a file goes: a path or a table. Returns it as a table.
function endpoints.target(target, who)
  if type(target) == "string" then target = { path = target } end
  return check_target(target, who)
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
