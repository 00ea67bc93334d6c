--- The calls that faults are crossed with, and the answers they get from a server without faults.
-- Owns what is sent for each call and how its good result looks.
local patience = require "spec.support.patience"

local calls = {}

local ANSWER = "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"

local JOB = '{"id":"v","object":"video","status":"completed"}'
local PAGE = '{"object":"list","data":[{"id":"v"}],"has_more":false}'
local FILM = "\1\1\1\24ftypisom" .. ("\255mdat"):rep(9) -- without NUL, at which string.format stops on 5.1

-- Each has a `name`, the parts of its `answer`, `run(client, options, path)`, and `good(result)`. `options`
-- are those of a call; `path` is where a download goes.
local function json(name, method, path, body, run, good)
  return { name = name, method = method, path = path, content_type = "application/json", body = body,
    run = run, good = good or function(video) return video.id == "v" end }
end

local function film(name, run, good)
  return { name = name, method = "GET", path = "^/v1/videos/v/content$", content_type = "video/mp4",
    body = FILM, is_film = true, run = run, good = good }
end

-- The options of a wait that ends with its first failed poll.
local function wait_options()
  return { interval = 0.01, max_failures = 0, timeout = 60 }
end

calls.list = {
  json("get_video", "GET", "^/v1/videos/v$", JOB, function(client, options)
    return client:get_video("v", options)
  end),
  json("create_video", "POST", "^/v1/videos$", '{"id":"v","object":"video","status":"queued"}',
    function(client, options)
      return client:create_video({ prompt = "a fox" }, options)
    end),
  json("delete_video", "DELETE", "^/v1/videos/v$", '{"id":"v","object":"video.deleted","deleted":true}',
    function(client, options)
      return client:delete_video("v", options)
    end, function(video) return video.id == "v" or next(video) == nil end), -- an empty answer is good, too
  json("list_videos", "GET", "^/v1/videos%?limit=2$", PAGE,
    function(client, options)
      return client:list_videos({ limit = 2 }, options)
    end, function(page) return page.data[1].id == "v" end),
  json("wait", "GET", "^/v1/videos/v$", JOB, function(client)
    return client:wait("v", wait_options())
  end),
  film("download_video", function(client, options, path)
    local file, err = client:download_video("v", path, options)
    local opened = io.open(path, "rb")
    local written = opened and opened:read("*a")
    if opened then opened:close() end
    if not file and written then error("a download that failed left " .. #written .. " bytes") end
    if file then file.written = written end
    os.remove(path)
    return file, err
  end, function(file) return file.written == FILM end),
  json("watch", "GET", "^/v1/videos/v$", JOB, function(client)
    return patience.result(client, client:watch("v", wait_options()))
  end),
  json("start", "GET", "^/v1/videos/v$", JOB, function(client, options)
    return patience.result(client, client:start("get_video", "v", options))
  end),
  film("download_video to a sink", function(client, options)
    local parts = {}
    local file, err = client:download_video("v", { sink = function(chunk) parts[#parts + 1] = chunk end },
      options)
    if file then file.written = table.concat(parts) end
    return file, err
  end, function(file) return file.written == FILM end),
}

for _, call in ipairs(calls.list) do
  call.creates, call.deletes = call.method == "POST", call.method == "DELETE"
  call.answer = ANSWER:format(call.content_type, #call.body, call.body)
  calls[call.name] = call
end

--- The same call made in another way adds nothing to a fault in the bytes.
calls.FEW = { calls.get_video, calls.create_video, calls.delete_video, calls.list_videos, calls.wait,
  calls.download_video }

--- Lists the answers for `wire.serve`.
function calls.answers()
  local list = {}
  for i, call in ipairs(calls.list) do
    list[i] = { method = call.method, path = call.path, bytes = call.answer }
  end
  return list
end

return calls
