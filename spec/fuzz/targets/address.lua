-- Addresses: the first byte chooses where the rest goes: an id, a base URL, a redirect, or a URL in a job.
local exchange = require "spec.fuzz.exchange"
local host = require "spec.fuzz.host"
local json = require "sora.json"
local sora = require "sora"

local JOB = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"id":"v","status":"completed"}'
local FILM = "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 4\r\n\r\nfilm"

local function segment(id)
  return (id:gsub("[^%w%-._~:]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- libcurl writes the digits of percent-encoding in lower case.
local function normal(target)
  return (target:gsub("%%%x%x", string.upper))
end

local METHODS = {
  get_video = "GET http://api.test/v1/videos/%s HTTP/1.1\r\n",
  delete_video = "DELETE http://api.test/v1/videos/%s HTTP/1.1\r\n",
}

local function check_id(id)
  for name, wanted in pairs(METHODS) do
    local good, problem
    local requests = exchange.run({ JOB }, {}, function(client)
      good, problem = pcall(function() exchange.check_result(client[name](client, id)) end)
    end)
    if not good then
      assert((id == "" or id == "." or id == "..") and problem:find("bad argument", 1, true), problem)
      assert(#requests == 0, "a request with an invalid id")
    else
      local line = requests[1] and normal(requests[1]:match "^[^\n]*\n")
      if #id < 30000 then
        assert(#requests == 1 and line == wanted:format(segment(id)), "an id that is not one segment")
      end
    end
  end
end

local function check_base(text)
  host.serve { JOB }
  local settings = {}
  for name, value in pairs(exchange.options) do settings[name] = value end
  settings.base_url = text
  local good, client, err = pcall(sora.new, settings)
  if not good then
    assert(tostring(client):find("bad argument", 1, true), client)
    return
  end
  if not client then return exchange.check_result(client, err) end
  assert(tostring(client):find("sora.client (", 1, true) == 1)
  exchange.check_result(client:get_video "v")
  for _, request in ipairs(host.requests()) do
    local target = request:match "^GET (http://%S*) HTTP/1.1\r\n"
    local path = target and target:match "^[^?]*"
    assert(request:find "^CONNECT " or path and path:find "/videos/v$", "a call to another path: " .. request)
    assert(request:find "^CONNECT " == nil or not request:find(settings.api_key, 1, true),
      "a proxy sees the key")
  end
  client:close()
end

local checks = {
  check_id,
  check_base,
  function(location)
    local hop = ("HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"):format(location)
    exchange.run({ hop, JOB }, {}, function(client) exchange.check_result(client:get_video "v") end)
    exchange.run({ hop:gsub("302", "307"), JOB }, {}, function(client)
      exchange.check_result(client:create_video { prompt = "p" })
    end)
  end,
  function(url)
    local function download(client, job)
      local bytes = 0
      local file, err = client:download_video(job, { grace = 0, sink = function(b) bytes = bytes + #b end })
      exchange.check_result(file, err)
    end
    exchange.run({ FILM }, {}, function(client)
      local good, problem = pcall(download, client, { url = url, status = "completed" })
      assert(good or problem:find("bad argument", 1, true), problem)
    end)
    local body = json.encode { id = "v", status = "completed", url = url } or "{}"
    exchange.run({ "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" .. body, FILM }, {}, function(client)
      download(client, "v")
    end)
  end,
}

return function(input)
  checks[(input:byte() or 0) % 16 % #checks + 1](input:sub(2))
end
