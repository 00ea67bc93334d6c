--- What the campaign does with the module, again and again.
-- Owns the list of scenarios, each a table:
--   name
--   answers   "METHOD /path" → a list of answers { status, json or body, headers, ending } or { film, cut };
--             or a function of the base URL that returns that
--   options   of the client, beside those of point.lua; journal = true: in a file
--   before    called before faults are on
--   run       called while faults are on: returns what the call returned
--   check     called with the first two results of a success: returns what is wrong, or nil
--   fails     the kind of error that it ends with, where nothing else fails; raises = true: it may be raised
--   after     called when everything has ended
--   posts     how often a POST may be sent (1); makes = the POST that a success needs
--   allows    the kind of another error that is true, such as the server's answer that could not be asked for
--             again
--   opens, loads   makes the client, or loads the module, itself
-- They get the table `t` of point.lua. Invariant: what runs while faults are on makes no tables or closures
-- of its own between a start and its bookkeeping, so that a fault hits the module.
local FILM = ("\0\0\0\24ftypmp42 a film "):rep(4000)
local LONG_FILM = ("\0\0\0\24ftypmp42 a film "):rep(30000)
local DONE = '{"id":"done","object":"video","status":"completed","progress":100,"seconds":"4"}'
local QUEUED = '{"id":"done","object":"video","status":"queued","progress":0}'
local RUNNING = '{"id":"done","object":"video","status":"in_progress","progress":50}'
local FAILED = '{"id":"done","status":"failed","error":{"code":"moderation_blocked","message":"no"}}'
local NESTED = '{"id":"nested","status":"queued","size":null,"n":9007199254740993,"f":0.5,'
  .. '"list":[1,2,[3,{"a":null}],'
  .. '"\\u00e9\\ud83d\\ude00"],"deep":{"a":{"b":{"c":{"d":[{},[],"' .. ("x"):rep(600)
    .. '"]}}}},"error":null}'
local SOON = "retry-after-ms: 1\r\n"

local list = {}
local function scenario(s) list[#list + 1] = s end

local function is_id(wanted)
  return function(_, video)
    if video.id ~= wanted then return "another video: " .. tostring(video.id) end
  end
end
local is_done = is_id "done"

local function is_film(t, file)
  if file.bytes ~= #t.film then return ("the file has %s bytes"):format(tostring(file.bytes)) end
end

local function update(t)
  while t.client:update(0.05) > 0 do t.calls = t.calls + 1 end
  return true
end

-- Makes the options of a started call before faults are on.
local function prepare_start(t)
  t.opts = { on_done = function(video, err)
    t.done = t.done + 1
    t.video, t.err = video or false, err or false
  end }
end

local function count(t, handle, err)
  if not handle then return false, err end
  t.started = t.started + 1
  return true
end

local function started_well(t)
  if not t.video then return "failed without a fault: " .. tostring(t.err) end
end

-- A started call that failed tells why.
local function check_started(t)
  if t.host.happened() then
    if not t.video and t.done > 0 and type(t.err) ~= "table" then return "on_done got neither" end
    return nil
  end
  return started_well(t)
end

-- Loading and opening ----------------------------------------------------------------

scenario { name = "load", loads = true,
  run = function(t)
    t.sora = require "sora"
    return t.sora
  end }

local function open_client(t)
  local err
  t.client, err = t.sora.new(t.options)
  return t.client, err
end

scenario { name = "new", opens = true, run = open_client }

scenario { name = "new_full", opens = true, journal = true, run = open_client,
  options = { headers = { ["X-Team"] = "film", ["X-Api-Key"] = "secret-of-a-proxy" }, max_connections = 300,
    user_agent = "torture", ca_file = "/etc/ssl/certs/ca-certificates.crt",
      paths = { get = "/videos/{id}?a=b" },
    on_event = function() end, api_key = function() return "sk-function" end },
  answers = { ["GET /videos/plain"] = { { json = DONE } } } }

scenario { name = "default", opens = true, answers = { ["GET /videos/done"] = { { json = DONE } } },
  run = function(t)
    local made, err = t.sora.configure(t.options)
    if not made then return nil, err end
    return t.sora.get_video("done")
  end, check = is_done }

-- One call ---------------------------------------------------------------------------

local function get(id, opts)
  return function(t) return t.client:get_video(id, opts) end
end

scenario { name = "get", answers = { ["GET /videos/done"] = { { json = DONE } } }, run = get "done",
  check = is_done }

scenario { name = "get_missing", run = get "gone", fails = "api",
  answers = { ["GET /videos/gone"] = { { status = 404, json = '{"error":{"message":"no such video"}}' } } } }

scenario { name = "get_warm", answers = { ["GET /videos/done"] = { { json = DONE } } }, run = get "done",
  check = is_done, before = function(t) assert(t.client:get_video("done")) end }

scenario { name = "get_retry", allows = "api", run = get "done", check = is_done,
  options = { max_retries = 1 },
  answers = { ["GET /videos/done"] = { { status = 503, headers = SOON }, { json = DONE } } } }

scenario { name = "get_reset", run = get "done", fails = "transport",
  answers = { ["GET /videos/done"] = { { json = DONE, ending = "reset", status = 100 } } } }

scenario { name = "get_redirect", run = get "moved", check = is_done,
  answers = { ["GET /videos/moved"] = { { status = 307, headers = "Location: done?signed=abc\r\n" } },
    ["GET /videos/done"] = { { json = DONE } } } }

scenario { name = "get_nested", run = get "nested",
  answers = { ["GET /videos/nested"] = { { json = NESTED } } },
  check = function(_, video)
    if video.size ~= nil or video.error ~= nil then return "a null is there" end
    if #video.list ~= 4 or video.deep.a.b.c.d[3] ~= ("x"):rep(600) then return "lost a part of the answer" end
  end }

scenario { name = "get_page", run = get "page", fails = "decode",
  answers = { ["GET /videos/page"] = { { body = "<html><title>Welcome</title></html>" } } } }

scenario { name = "get_options", run = get("done", { headers = { ["X-One"] = "1" }, query = { a = "b c",
  n = 3 },
    timeout = 5, response = true, max_retries = 1 }), check = is_done,
  answers = { ["GET /videos/done"] = { { json = DONE, headers = "x-request-id: r1\r\n" } } } }

scenario { name = "get_key_function", run = get "done", check = is_done,
  options = { api_key = function() return "sk-function" end },
  answers = { ["GET /videos/done"] = { { json = DONE } } } }

scenario { name = "get_hook", answers = { ["GET /videos/done"] = { { json = DONE } } }, check = is_done,
  before = function(t)
    t.client.pause = function(client, seconds) client:update(seconds < 0.01 and seconds or 0.01) end
  end,
  run = get "done" }

scenario { name = "get_unix_socket", check = is_done,
  answers = { ["GET /videos/done"] = { { json = DONE } } },
  before = function(t)
    t.options.unix_socket = t.host.socket
    t.options.base_url = t.base:gsub("127.0.0.1:%d+", "gateway.example")
  end, opens = true,
  run = function(t)
    local err
    t.client, err = t.sora.new(t.options)
    if not t.client then return nil, err end
    return t.client:get_video "done"
  end }

-- A certificate and its key, made once. The server speaks no TLS, and closes the connection: the client has
-- read them by then.
local function make_certificate()
  local path = "build/torture.pem"
  local file = io.open(path)
  if file then
    file:close()
  else
    assert(os.execute("umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
      .. "-nodes -subj /CN=torture -days 3650 -keyout build/torture.key -out build/torture.crt && "
      .. "cat build/torture.crt build/torture.key > " .. path .. ".new && mv " .. path .. ".new " .. path))
  end
  return path
end

scenario { name = "get_certificate", fails = "tls",
  before = function(t)
    t.other_options = { base_url = t.base:gsub("^http:", "https:"), api_key = "sk-torture-0123456789",
      max_retries = 0, timeout = 1.5, cert_file = make_certificate(), key_file = "build/torture.key" }
  end,
  run = function(t)
    local err
    t.other, err = t.sora.new(t.other_options)
    if not t.other then return nil, err end
    return t.other:get_video "done"
  end,
  after = function(t)
    if t.other then t.other:close() end
  end }

scenario { name = "normalize",
  run = function(t)
    return t.sora.normalize { task_id = "done", status = "SUCCESS",
      data = { { url = "https://x.example/film.mp4" } },
      progress = "100%", created_at = "2026-01-02T03:04:05Z", error = { code = 0 } }
  end,
  check = function(_, view)
    if view.id ~= "done" or view.state ~= "completed" then return "reads another job" end
  end }

scenario { name = "list", answers = { ["GET /videos"] = { { json = '{"data":[' .. DONE .. ',' .. QUEUED
    .. '],"has_more":false}' } } },
  run = function(t) return t.client:list_videos { limit = 2 } end,
  check = function(_, page) if #page.data ~= 2 then return "another page" end end }

scenario { name = "videos", raises = true,
  answers = { ["GET /videos"] = { { json = '{"data":[{"id":"a"},{"id":"b"}],"has_more":true,"last_id":"b"}' },
    { json = '{"data":[{"id":"c"}],"has_more":false}' } } },
  run = function(t)
    for video in t.client:videos() do t.calls = t.calls + #video.id end
    return true
  end,
  check = function(t) if t.calls ~= 3 then return ("%d jobs"):format(t.calls) end end }

scenario { name = "delete", journal = true,
  answers = { ["DELETE /videos/done"] = { { json = '{"id":"done","deleted":true}' } } },
  run = function(t) return t.client:delete_video("done") end, check = is_done }

-- Calls that make a job --------------------------------------------------------------

local CREATED = { ["POST /videos"] = { { json = QUEUED } } }

local function create(params, opts)
  return function(t) return t.client:create_video(params, opts) end
end

scenario { name = "create", answers = CREATED, makes = "POST /videos", check = is_done,
  run = create { prompt = "a fox", model = "sora-2", seconds = "4",
    extra_body = { n = 1, tags = { "a", "b" } } } }

scenario { name = "create_retry", allows = "api", posts = 2, makes = "POST /videos", check = is_done,
  options = { max_retries = 1 },
  answers = { ["POST /videos"] = { { status = 429, headers = SOON,
    json = '{"error":{"message":"slow down"}}' },
    { json = QUEUED } } },
  run = create { prompt = "a fox" } }

scenario { name = "create_ambiguous", fails = "api", options = { max_retries = 2 },
  answers = { ["POST /videos"] = { { status = 500, json = '{"error":"oh"}' } } },
  run = create { prompt = "a fox" } }

scenario { name = "create_reset", fails = "transport", options = { max_retries = 2 },
  answers = { ["POST /videos"] = { { status = 100, ending = "reset" } } }, run = create { prompt = "a fox" } }

scenario { name = "create_multipart", answers = CREATED, makes = "POST /videos", check = is_done,
  run = create { prompt = "a fox", input_reference = { data = ("png"):rep(5000), filename = "fox.png",
    content_type = "image/png" } } }

scenario { name = "create_file", answers = CREATED, makes = "POST /videos", check = is_done,
  before = function(t)
    local file = assert(io.open(t.folder .. "/fox.png", "wb"))
    file:write(("png"):rep(20000))
    file:close()
    t.params = { prompt = "a fox", input_reference = { path = t.folder .. "/fox.png" } }
  end,
  run = function(t) return t.client:create_video(t.params) end }

scenario { name = "create_journal", journal = true, answers = CREATED, makes = "POST /videos",
  check = is_done,
  run = create({ prompt = "a fox" }, { label = "fox", idempotency_key = "key-1" }),
  after = function(t, success)
    local open, err = t.client:unfinished()
    if not open then return "unfinished: " .. tostring(err) end
    local made = t.host.hits("POST /videos")
    if #open < made then return ("%d jobs were made, %d are in the journal"):format(made, #open) end
    if success and not (t.host.happened() or open[1] and open[1].id == "done") then
      return "the journal lacks the id"
    end
  end }

scenario { name = "remix", answers = { ["POST /videos/done/remix"] = { { json = '{"id":"mix"}' } } },
  makes = "POST /videos/done/remix", check = is_id "mix",
  run = function(t) return t.client:remix_video("done", { prompt = "more" }) end }

local function make_jobs(t)
  assert(t.client:create_video({ prompt = "one" }, { label = "one" }))
  assert(t.client:create_video({ prompt = "two" }))
  t.tickets = assert(t.client:unfinished())
end

scenario { name = "unfinished", journal = true, answers = CREATED, posts = 2, before = make_jobs,
  run = function(t) return t.client:unfinished() end,
  check = function(_, open) if #open ~= 2 then return ("%d tickets"):format(#open) end end }

scenario { name = "forget", journal = true, answers = CREATED, posts = 2, before = make_jobs,
  run = function(t) return t.client:forget(t.tickets[1]) end,
  after = function(t, success)
    local open = assert(t.client:unfinished())
    if success and #open ~= 1 then return ("%d tickets are left"):format(#open) end
  end }

-- Started calls ----------------------------------------------------------------------

scenario { name = "start", answers = { ["GET /videos/done"] = { { json = DONE } } }, before = prepare_start,
  run = function(t)
    for _ = 1, 3 do
      local good, err = count(t, t.client:start("get_video", "done", t.opts))
      if not good then return false, err end
    end
    return update(t)
  end,
  check = check_started }

scenario { name = "start_many", answers = { ["GET /videos/done"] = { { json = DONE } } },
  before = prepare_start,
  options = { max_connections = 4 },
  run = function(t)
    for _ = 1, 12 do
      local good, err = count(t, t.client:start("list_videos", nil, t.opts))
      if good then good, err = count(t, t.client:start("get_video", "done", t.opts)) end
      if not good then return false, err end
    end
    return update(t)
  end }

scenario { name = "start_retry", options = { max_retries = 1 }, before = prepare_start,
  answers = { ["GET /videos/done"] = { { status = 500, headers = SOON }, { json = DONE } } },
  run = function(t)
    local good, err = count(t, t.client:start("get_video", "done", t.opts))
    return good and update(t), err
  end,
  check = check_started }

scenario { name = "start_create", journal = true, answers = CREATED,
  before = prepare_start,
  run = function(t)
    local good, err = count(t, t.client:start("create_video", { prompt = "a fox" }, t.opts))
    return good and update(t), err
  end,
  check = check_started,
  after = function(t)
    local open, err = t.client:unfinished()
    if not open then return "unfinished: " .. tostring(err) end
    if #open < t.host.hits("POST /videos") then return "a job is not in the journal" end
  end }

scenario { name = "start_result", answers = { ["GET /videos/done"] = { { json = DONE } } },
  run = function(t)
    local handle, err = t.client:start("get_video", "done")
    if not handle then return nil, err end
    update(t)
    return handle:result()
  end,
  check = is_done }

scenario { name = "cancel", before = prepare_start,
  answers = { ["GET /videos/held"] = { { ending = "hold" } } },
  run = function(t)
    local handle, err = t.client:start("get_video", "held", t.opts)
    if not handle then return false, err end
    t.started, t.handle = t.started + 1, handle
    t.client:update(0)
    handle:cancel()
    return update(t)
  end,
  after = function(t)
    if t.handle then t.handle:cancel() end
  end }

scenario { name = "abandon", answers = { ["GET /videos/done"] = { { json = DONE } } },
  run = function(t)
    local handle, err = t.client:start("get_video", "done")
    if not handle then return nil, err end
    t.client:update(0)
    handle = nil -- luacheck: ignore 311
    collectgarbage()
    return update(t)
  end }

scenario { name = "close_running", answers = { ["GET /videos/held"] = { { ending = "hold" } } },
  before = prepare_start,
  run = function(t)
    t.closed = true
    for _ = 1, 3 do
      local handle, err = t.client:start("get_video", "held", t.opts)
      if not handle then return nil, err end
      t.handle = handle
    end
    t.client:update(0)
    t.client:close()
    return true
  end }

scenario { name = "close_in_callback", answers = { ["GET /videos/done"] = { { json = DONE } } },
  before = function(t)
    t.opts = { on_done = function() t.client:close() end }
    t.closed = true
  end,
  run = function(t)
    for _ = 1, 3 do
      local handle, err = t.client:start("get_video", "done", t.opts)
      if not handle then return nil, err end
    end
    while (t.client:update(0.05) or 0) > 0 do t.calls = t.calls + 1 end
    return true
  end }

scenario { name = "events", allows = "api",
  answers = { ["GET /videos/done"] = { { status = 503, headers = SOON }, { json = DONE } } },
  opens = true,
  before = function(t)
    t.options.max_retries = 1
    t.options.on_event = function() t.calls = t.calls + 1 end
    open_client(t)
  end,
  run = get "done",
  check = function(t, video)
    if t.calls ~= 4 and not t.host.happened() then return ("%d events"):format(t.calls) end
    return is_done(t, video)
  end }

scenario { name = "fileno", before = prepare_start, answers = { ["GET /videos/done"] = { { json = DONE } } },
  run = function(t)
    local fd = t.client:fileno()
    t.client:wake(0.001)
    local good, err = count(t, t.client:start("get_video", "done", t.opts))
    if not good then return false, err end
    update(t)
    return fd and t.client:timeout() or true
  end }

-- Waits ------------------------------------------------------------------------------

local POLLED = { ["GET /videos/done"] = { { json = QUEUED }, { json = RUNNING }, { json = DONE } } }
local QUICK = { interval = 0.001, max_interval = 0.001, timeout = 3, max_failures = 3 }

scenario { name = "wait", answers = POLLED, check = is_done,
  run = function(t) return t.client:wait("done", QUICK) end }

scenario { name = "wait_failed", fails = "failed", answers = { ["GET /videos/done"] = { { json = RUNNING },
    { json = FAILED } } },
  run = function(t) return t.client:wait("done", QUICK) end }

scenario { name = "wait_hook", answers = POLLED, check = is_done,
  before = function(t)
    t.client.pause = function(client, seconds) client:update(seconds < 0.01 and seconds or 0.01) end
  end,
  run = function(t) return t.client:wait("done", QUICK) end }

scenario { name = "poll", answers = POLLED, raises = true,
  run = function(t)
    for video in t.client:poll("done", QUICK) do t.video = video end
    return t.video
  end,
  check = is_done }

scenario { name = "watch", answers = POLLED,
  before = function(t)
    prepare_start(t)
    t.opts.interval, t.opts.max_interval, t.opts.timeout = 0.001, 0.001, 5
    t.opts.on_progress = function() t.calls = t.calls + 1 end
  end,
  run = function(t)
    local good, err = count(t, t.client:watch("done", t.opts))
    return good and update(t), err
  end,
  check = check_started }

scenario { name = "wait_all", answers = { ["GET /videos/done"] = POLLED["GET /videos/done"],
    ["GET /videos/other"] = { { json = RUNNING }, { json = FAILED } } },
  run = function(t)
    local results, err = t.client:wait_all({ "done", "other", "done" }, QUICK)
    return results, err
  end,
  check = function(t, results)
    if #results ~= 3 then return "a result is missing" end
    for _, result in ipairs(results) do
      if not (result.video or result.err) then return "a job has neither video nor err" end
    end
    if not t.host.happened() and (not results[1].video or results[2].err.kind ~= "failed") then
      return "another result"
    end
  end }

scenario { name = "create_and_wait", makes = "POST /videos", check = is_done,
  answers = { ["POST /videos"] = CREATED["POST /videos"], ["GET /videos/done"] = POLLED["GET /videos/done"] },
  run = function(t) return t.client:create_and_wait({ prompt = "a fox" }, QUICK) end }

-- Downloads --------------------------------------------------------------------------

local CONTENT = { ["GET /videos/done/content"] = { { film = FILM } },
  ["GET /videos/done"] = { { json = DONE } } }

local function has_film(t) t.film = FILM end

local function download(t) return t.client:download_video("done", t.path) end

scenario { name = "download", answers = CONTENT, before = has_film, run = download, check = is_film }

scenario { name = "download_over", answers = CONTENT, run = download, check = is_film,
  before = function(t)
    has_film(t)
    t.old_film = "an older film"
    local file = assert(io.open(t.path, "wb"))
    file:write(t.old_film)
    file:close()
  end,
  after = function(t)
    local file = io.open(t.path, "rb")
    if not file then return "the old file is gone" end
    file:close()
  end }

scenario { name = "download_broken", before = has_film, run = download, check = is_film,
  options = { max_retries = 1 },
  answers = { ["GET /videos/done/content"] = { { film = FILM, cut = 30000 }, { film = FILM } },
    ["GET /videos/done"] = { { json = DONE } } } }

scenario { name = "download_resumed", run = download, check = is_film,
  answers = { ["GET /videos/done/content"] = { { film = FILM, cut = 30000 }, { film = FILM } },
    ["GET /videos/done"] = { { json = DONE } } },
  before = function(t)
    has_film(t)
    t.client:download_video("done", t.path)
    -- As a process leaves it that is killed.
    local note = ('{"id":"done","base_url":"%s","variant":"video","validator":"\\"campaign\\"","total":%d}')
      :format(t.base, #FILM)
    for name, bytes in pairs { [".part"] = FILM:sub(1, 30000), [".part.json"] = note } do
      local file = assert(io.open(t.path .. name, "wb"))
      file:write(bytes)
      file:close()
    end
  end }

scenario { name = "download_sink", answers = { ["GET /videos/done/content"] = { { film = LONG_FILM } },
    ["GET /videos/done"] = { { json = DONE } } },
  before = function(t)
    t.film = LONG_FILM
    t.target = { sink = function(chunk) t.calls = t.calls + #chunk end }
  end,
  run = function(t) return t.client:download_video("done", t.target) end,
  check = function(t, file)
    if t.calls ~= #LONG_FILM then return ("the sink got %d bytes"):format(t.calls) end
    return is_film(t, file)
  end }

scenario { name = "download_json", before = has_film, run = download, check = is_film,
  answers = function(base)
    return { ["GET /videos/done/content"] = { { json = '{"url":"' .. base .. '/files/film.mp4"}' } },
      ["GET /files/film.mp4"] = { { film = FILM } }, ["GET /videos/done"] = { { json = DONE } } }
  end }

scenario { name = "download_data", before = function(t) t.film = "ftyp" end, run = download, check = is_film,
  answers = { ["GET /videos/done/content"] = { { json = '{"url":"data:video/mp4;base64,ZnR5cA=="}' } },
    ["GET /videos/done"] = { { json = DONE } } } }

scenario { name = "download_missing", fails = "api", run = download,
  answers = { ["GET /videos/done/content"] = { { status = 404, json = '{"error":{"message":"not found"}}' } },
    ["GET /videos/done"] = { { json = RUNNING } } } }

scenario { name = "download_started", answers = CONTENT,
  before = function(t)
    has_film(t)
    prepare_start(t)
    t.target = { path = t.path, on_progress = function() t.calls = t.calls + 1 end }
  end,
  run = function(t)
    local good, err = count(t, t.client:start("download_video", "done", t.target, t.opts))
    return good and update(t), err
  end,
  check = check_started }

scenario { name = "download_abandoned", before = has_film,
  answers = { ["GET /videos/done/content"] = { { film = FILM } } },
  run = function(t)
    local handle, err = t.client:start("download_video", "done", t.path)
    if not handle then return nil, err end
    t.client:update(0)
    handle:cancel()
    handle = nil -- luacheck: ignore 311
    collectgarbage()
    return update(t)
  end,
  after = function(t) t.leaves_part = true end }

local FILMED = { ["POST /videos"] = { { json = QUEUED } }, ["GET /videos/done"] = POLLED["GET /videos/done"],
  ["GET /videos/done/content"] = CONTENT["GET /videos/done/content"] }

scenario { name = "create_and_download", journal = true, answers = FILMED, makes = "POST /videos",
  before = has_film,
  run = function(t) return t.client:create_and_download({ prompt = "a fox" }, t.path, QUICK) end,
  check = is_film,
  after = function(t, success)
    local open = assert(t.client:unfinished())
    if success and #open ~= 0 and not t.host.happened() then return "a saved film is still open" end
    local file = io.open(t.path, "rb")
    if file then file:close() end
    if not file and #open < t.host.hits("POST /videos") then return "a job is not in the journal" end
  end }

scenario { name = "batch", journal = true, answers = FILMED, posts = 2, before = has_film,
  run = function(t)
    return t.client:batch({ { prompt = "a fox", output = "film.mp4" } }, { dir = t.folder, interval = 0.001,
      max_interval = 0.001, timeout = 3, max_failures = 3 })
  end,
  check = function(t, results)
    t.leaves_part = results[1].err ~= nil
    if results[1].err then return nil end
    if results.saved ~= 1 then return "nothing is saved" end
  end }

-- Webhooks ---------------------------------------------------------------------------

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(bytes)
  return (bytes:gsub("..?.?", function(three)
    local a, b, c = three:byte(1, 3)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    local text = ""
    for i = 3, 0, -1 do
      local digit = math.floor(n / 64 ^ i) % 64
      text = text .. DIGITS:sub(digit + 1, digit + 1)
    end
    return text:sub(1, #three + 1) .. ("="):rep(3 - #three)
  end))
end

scenario { name = "webhook",
  before = function(t)
    t.body = '{"type":"video.completed","data":' .. DONE .. '}'
    local stamp = tostring(os.time())
    local digest = require("sora.core").hmac_sha256("secret", "id1." .. stamp .. "." .. t.body)
    t.headers = { ["Webhook-Id"] = "id1", ["Webhook-Timestamp"] = stamp,
      ["Webhook-Signature"] = "v1," .. base64(digest) }
  end,
  run = function(t) return t.sora.verify_webhook(t.headers, t.body, "secret") end,
  check = function(_, event) if event.data.id ~= "done" then return "another event" end end }

return list
