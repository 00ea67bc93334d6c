--- The development server in the dialects that spec/fixtures/dialects documents: a small table for each.
-- Owns those tables, and the program that serves one. Each may have
--   base_path, auth        options of the server
--   options                options of a client for it
--   format                 functions that replace those of sora.server.format
--   route(request, path)   returns the path in the default format; `path` is the part after the base path
--   refuse(request)        a problem (see sora.server.input), or nil
--   answer(response, view)  changes the response to a create
--   content(response, view) changes the response to /content
--   id                     { prefix, suffix } of the dialect's ids
--   instant                jobs complete as soon as they are created
-- Invariant: files are at another origin (same port, another host name), which rejects requests with a key.
local data = require "sora.server.media_data"
local default = require "sora.server.format"
local endpoints = require "sora.server.endpoints"
local media = require "sora.server.media"
local process = require "spec.support.process"
local server = require "sora.server"

local json = default.json

local formats = {}
local cdn -- the origin of the files

local function file_url(view)
  return ("%s/files/%s?X-Amz-Signature=abc"):format(cdn, view.id)
end

local function done(view, value)
  if view.status == "completed" then return value end
  return nil
end

-- Maps the statuses of the default format to those of the dialect.
local function words(queued, in_progress, completed, failed)
  return { queued = queued, in_progress = in_progress, completed = completed, failed = failed }
end

local function problem(status, message)
  return { status = status, message = message }
end

local function encode(value)
  return assert(json.encode(value))
end

local function is_json(request)
  return (request.header "content-type" or ""):find("^application/json") ~= nil
end

local function json_alone(request)
  if request.method == "POST" and not is_json(request) then
    return problem(415, "Send application/json.")
  end
end

-- Replaces a file by text.
local function replace(response, status, body)
  response.status, response.headers, response.body = status, {}, body
  response.content, response.first, response.count = nil, nil, nil
end

local function no_content(response)
  replace(response, 404, '{"error":{"message":"Invalid URL","type":"invalid_request_error"}}')
end

-- Makes a `route` for another path than /videos, such as /video/generations and /video/generations/{id}.
local function below(...)
  local names = { ... }
  return function(_, path)
    for i, name in ipairs(names) do
      if path[i] ~= name then return path end
    end
    local id = path[#names + 1]
    return { "videos", id }
  end
end

-- Makes a synchronous dialect: the response to a create is the completed video, and there is no GET.
local function synchronous(write)
  return {
    instant = true,
    refuse = function(request)
      return request.method ~= "POST" and problem(404, "Not Found") or nil
    end,
    answer = function(response, view) response.body = encode(write(view)) end,
  }
end

formats.openai = { options = { dialect = "openai" } }

formats.azure = {
  base_path = "/openai/v1", auth = "api-key", query = "?api-version=preview", options = { dialect = "azure" },
  refuse = function(request)
    return request.query["api-version"] ~= "preview" and problem(404, "Resource not found") or nil
  end,
  format = {
    error = function(trouble)
      return encode{ error = { code = tostring(trouble.status), message = trouble.message } }
    end,
  },
}

formats.openrouter = {
  base_path = "/api/v1", options = { dialect = "openrouter" },
  refuse = function(request)
    local of_content = request.path:find("/content$")
    if of_content and request.query.index ~= "0" then return problem(400, "index is missing") end
    return json_alone(request)
  end,
  answer = function(response) response.status = 202 end,
  format = {
    video = function(view)
      local polling_url = "/api/v1/videos/" .. view.id
      local status = words("pending", "in_progress", "completed", "failed")[view.status]
      local own = cdn:gsub("localhost", "127.0.0.1")
      return encode{ id = view.id, polling_url = polling_url, status = status,
        unsigned_urls = done(view, { own .. polling_url .. "/content?index=0" }),
        usage = done(view, { cost = 0.5, is_byok = false }) }
    end,
    error = function(trouble) return encode{ error = trouble.message, code = trouble.status } end,
  },
}

formats.newapi = {
  options = { dialect = "openai" }, not_ready = 400,
  format = {
    video = function(view)
      return encode{ id = view.id, object = "video", model = view.model, progress = view.progress,
        status = words("NOT_START", "IN_PROGRESS", "succeeded", "FAILURE")[view.status],
        created_at = view.created_at * 1000, video_url = done(view, file_url(view)) }
    end,
    error = function(trouble)
      return encode{ code = trouble.code or "error", message = trouble.message, data = json.null }
    end,
  },
  content = function(response, view) -- the file exists, but the gateway fails to fetch it
    if view and view.status == "completed" then no_content(response) end
  end,
}

formats["newapi-generations"] = {
  options = { dialect = "newapi-generations" }, route = below("video", "generations"), content = no_content,
  format = {
    video = function(view)
      return encode{ code = "success", message = "", data = { id = 1, task_id = view.id, platform = "50",
        action = "generate", status = words("NOT_START", "IN_PROGRESS", "SUCCESS", "FAILURE")[view.status],
        fail_reason = view.error and view.error.message or "", submit_time = view.created_at,
        result_url = done(view, file_url(view)) or "", progress = view.progress .. "%",
        properties = json.null, data = { status = view.status } } }
    end,
  },
}

formats.anyfast = {
  id = { "sora-2:", "" },
  content = function(response, view)
    if not view or view.status ~= "completed" then return end
    replace(response, 200, encode{ id = view.id, object = "video", status = "completed", progress = 100,
      url = file_url(view), video_url = file_url(view), size = "small", seconds = "12" })
  end,
}

formats["fast-token"] = {
  content = function(response, view)
    if not view then return end
    local status = words("queued", "processing", "completed", "failed")[view.status]
    replace(response, 200, encode{ id = view.id, status = status, status_update_time = 0,
      video_url = done(view, file_url(view)) or json.null })
  end,
}

formats.qiniu = {
  options = { dialect = "videos-generations" }, route = below("videos", "generations"), content = no_content,
  id = { "chatvideo-1709712000000000000-", "" },
  format = {
    video = function(view)
      return encode{ id = view.id, model = view.model, message = "完成",
        status = words("Initializing", "Processing", "Completed", "Failed")[view.status],
        data = done(view, { videos = { { url = file_url(view), mimeType = "video/mp4" } } }),
        created_at = "2025-03-06T12:00:00Z", updated_at = "2025-03-06T12:05:30Z" }
    end,
  },
}

formats.sglang = {
  options = { auth = "none" },
  format = {
    video = function(view)
      return encode{ id = view.id, object = "video", model = "sora-2", status = view.status, url = json.null,
        progress = view.status == "completed" and 100 or 0, created_at = view.created_at, size = view.size,
        seconds = view.seconds, quality = "standard", error = json.null, peak_memory_mb = json.null,
        file_path = done(view, "outputs/" .. view.id .. ".mp4") }
    end,
    deleted = function(id)
      return encode{ id = id, object = "video", model = "sora-2", status = "deleted" }
    end,
    error = function(trouble) return encode{ detail = trouble.message } end,
  },
}

formats["vllm-omni"] = {
  options = { dialect = "vllm-omni", auth = "none" },
  refuse = function(request)
    if request.method ~= "POST" then return nil end
    local multipart = (request.header "content-type" or ""):find("^multipart/form%-data")
    return not multipart and problem(422, "Field required") or nil
  end,
  format = {
    error = function(trouble)
      return encode{ detail = { { loc = { "body", "prompt" }, msg = trouble.message, type = "missing" } } }
    end,
  },
}

formats["vllm-omni, synchronous"] = synchronous(function(view)
  local film = data[media.pick(view.prompt)].video:gsub("%s", "")
  return { created = view.created_at, peak_memory_mb = 0,
    data = { { b64_json = film, url = json.null, revised_prompt = json.null } } }
end)
formats["vllm-omni, synchronous"].options = { dialect = "videos-generations", auth = "none" }
formats["vllm-omni, synchronous"].route = below("videos", "generations")

formats.dynamo = synchronous(function(view)
  return { id = view.id, object = "video", model = "wan", status = "completed", progress = 100,
    created = view.created_at, inference_time_s = 12.5,
    data = { { output_format = "mp4", url = file_url(view), fps = 24 } } }
end)
formats.dynamo.refuse = function(request)
  return request.method ~= "POST" and problem(404, "Not Found") or json_alone(request)
end

formats.LocalAI = synchronous(function(view)
  return { id = view.id, created = view.created_at, data = { { url = file_url(view) } } }
end)

formats.xai = {
  content = no_content,
  answer = function(response, view) response.body = encode{ request_id = view.id } end,
  format = {
    video = function(view)
      return encode{ status = words("pending", "pending", "done", "failed")[view.status],
        video = done(view, { url = file_url(view), duration = 1 }), progress = view.progress,
        model = "grok-imagine-video" }
    end,
  },
}

formats.litellm = {
  id = { "video_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOmF6dXJlO21vZGVsX2lkOnNvcmEtMjt2aWRlb19pZDp2aWRlb182OTg4"
    .. "OGJhZWU4OTA4MTkwODZkZDMzNjZiZmMzNzJmZQ", "==" },
}

formats.octopusx = {
  options = { dialect = "video-query" }, refuse = json_alone, content = no_content,
  id = { "sora-2:", "" },
  route = function(request, path)
    if path[1] ~= "video" then return path end
    if path[2] == "create" then return { "videos" } end
    return { "videos", request.query.id }
  end,
  format = {
    video = function(view)
      return encode{ id = view.id, object = "video", model = view.model, progress = tostring(view.progress),
        status = words("pending", "processing", "completed", "failed")[view.status], size = "large",
        created_at = view.created_at, status_update_time = view.created_at * 1000,
        video_url = done(view, file_url(view)), detail = { input = { prompt = view.prompt, images = {} } } }
    end,
  },
}

-- The program --------------------------------------------------------------------------

-- Converts an id of the dialect to that of the job store.
local function inner_id(dialect, id)
  if not dialect.id or not id then return id end
  local before, after = dialect.id[1], dialect.id[2]
  if #id <= #before + #after or id:sub(1, #before) ~= before or id:sub(#id - #after + 1) ~= after then
    return "unknown"
  end
  return id:sub(#before + 1, #id - #after)
end

-- Returns a format with the dialect's functions, or else the default ones. Keeps the job written last in
-- `dialect.view`.
local function with_own_ids(dialect)
  local own = setmetatable({}, { __index = setmetatable(dialect.format or {}, { __index = default }) })
  local write = own.video
  function own.video(view)
    local id = dialect.id and dialect.id[1] .. view.id .. dialect.id[2] or view.id
    dialect.view = setmetatable({ id = id }, { __index = view })
    return write(dialect.view)
  end
  return own
end

local function serve_file(dialect, app, request)
  for _, name in ipairs{ "authorization", "api-key", "x-api-key", "cookie" } do
    if request.header(name) then
      return { status = 400, headers = {}, body = "<Error><Code>InvalidArgument</Code><Message>Only one auth "
        .. "mechanism allowed</Message></Error>" }
    end
  end
  local id = inner_id(dialect, request.segments[2])
  local response, trouble = endpoints.content(app, { query = {}, header = request.header }, id)
  response = response or app:refusal(trouble)
  response.status = response.status or 200
  return response
end

-- Handles a request in the dialect. `handle` is the application's own function.
local function speak(dialect, handle, app, request)
  if request.segments[1] == "files" then return serve_file(dialect, app, request) end
  local base, path = #app.base, {}
  for i = base + 1, #request.segments do path[#path + 1] = request.segments[i] end
  local trouble = dialect.refuse and dialect.refuse(request)
  if trouble then return app:refusal(trouble) end
  path = dialect.route and dialect.route(request, path) or path
  path[2] = inner_id(dialect, path[2])
  for i = #request.segments, base + 1, -1 do request.segments[i] = nil end
  for i, part in ipairs(path) do request.segments[base + i] = part end
  dialect.view = nil
  local response = handle(app, request)
  local view = dialect.view
  if request.method == "POST" and #path == 1 and view and dialect.answer then
    dialect.answer(response, view)
  elseif path[3] == "content" and dialect.content then
    local job = app.jobs:get(path[2])
    if job then app.format.video(app.jobs:view(job)) end
    dialect.content(response, dialect.view)
  end
  return response
end

--- Makes a table to pass to sora.server.program in place of sora.server, for a server in a dialect.
-- @tparam string name
function formats.module(name)
  local dialect = assert(formats[name], name)
  local module = {}
  function module.new(options)
    options.format = with_own_ids(dialect)
    if dialect.instant then options.duration, options.queue = 0, 0 end
    options.base_path, options.auth, options.not_ready = dialect.base_path, dialect.auth, dialect.not_ready
    local made, err = server.new(options)
    if not made then return nil, err end
    cdn = made.origin:gsub("127%.0%.0%.1", "localhost")
    local handle = made.app.handle
    function made.app:handle(request) return speak(dialect, handle, self, request) end
    return made
  end
  return module
end

--- Starts a server in a dialect; see `process.serve`.
-- @tparam string name
-- @tparam ?string key the only API key that it accepts
function formats.serve(name, key)
  local code = ([[os.exit(require("sora.server.program").main(
    require("spec.support.dialect_formats").module(%q),
    { "--exit-with-stdin", "--quiet", "--duration", "0.1"%s }))]]):format(name,
    key and (', "--api-key", %q'):format(key) or "")
  local program = process.start(process.lua{ "-e", code })
  local line = program:readline()
  program.url, program.origin = (line or ""):match "^listening on ((http://[^/]+).*)$"
  if not program.url then
    local errors = program:errors()
    program:stop()
    error("the server did not start: " .. tostring(line) .. "\n" .. errors, 2)
  end
  program.url = program.url .. (formats[name].query or "")
  return program
end

return formats
