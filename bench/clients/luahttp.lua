#!/usr/bin/env lua5.4
--- lua-http (cqueues, luaossl) with cjson.
-- lua-http's own request:go closes its connection after every response (connection:onidle(connection.close)
-- in http/request.lua). To reuse connections, this client calls http.client.connect once and opens a stream
-- on that connection for every call, with the headers of an http.request.
-- Debian has lua-http for Lua 5.1 to 5.3, and some of its dependencies for 5.1 and 5.2 only. All are pure Lua
-- and run on 5.4 too, so their folders come last on the path.
package.path = package.path ..
  ";/usr/share/lua/5.3/?.lua;/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"
local common = dofile(arg[0]:gsub("[^/]*$", "common.lua", 1))
local cqueues = require "cqueues"
local json = require "cjson"
local client = require "http.client"
local request = require "http.request"
local tls = require "http.tls"

local TIMEOUT = 60
local STREAMS = 100 -- concurrent streams of an HTTP/2 connection, the limit in nginx's configuration

-- Creates a TLS context that trusts only the benchmark's CA.
local function context(job)
  if not job.secure then return nil end
  local made = tls.new_client_context()
  local store = require "openssl.x509.store".new()
  store:add(job.ca)
  made:setStore(store)
  return made
end

-- Returns the options of connect and the headers of every request.
local function prepare(job)
  local headers = request.new_from_uri(job.url).headers
  headers:append("authorization", "Bearer " .. common.KEY)
  headers:upsert("accept", common.ACCEPT)
  headers:upsert("user-agent", common.USER_AGENT)
  return { host = job.host, port = job.port, tls = job.secure, ctx = context(job),
    version = job.http2 and 2 or 1.1 }, headers
end

-- Sends a request; returns its stream, whose body has not been read, and the response headers.
local function ask(connection, headers)
  local stream = assert(connection:new_stream())
  assert(stream:write_headers(headers, true, TIMEOUT))
  local answer = assert(stream:get_headers(TIMEOUT))
  local status = answer:get(":status")
  if status ~= "200" then error("no answer, but " .. status, 0) end
  return stream, answer
end

local function call(job, connection, headers)
  local stream = ask(connection, headers)
  job:expect(json.decode(assert(stream:get_body_as_string(TIMEOUT))).id)
end

local function one(job)
  local options, headers = prepare(job)
  local connection = assert(client.connect(options, TIMEOUT))
  local function get() call(job, connection, headers) end
  job:repeat_call(get)
end

-- Runs FLIGHT coroutines that make one call after another. With HTTP/1.1 each has its connection; with HTTP/2
-- STREAMS of them share one. On a shared connection, a coroutine that reads its own response may leave frames
-- for others in the buffer, and nothing wakes them: they hang. So each connection has one more coroutine that
-- reads all frames. It never ends, so the loop ends by count.
local function many(job)
  local options, headers = prepare(job)
  local loop, left = cqueues.new(), job.count
  local function calls(connection)
    while left > 0 do
      left = left - 1
      call(job, connection, headers)
    end
  end
  local together = job.http2 and STREAMS or 1
  job:start()
  for first = 1, job.flight, together do
    loop:wrap(function()
      local connection = assert(client.connect(options, TIMEOUT))
      for _ = first + 1, math.min(first + together - 1, job.flight) do loop:wrap(calls, connection) end
      if job.http2 then loop:wrap(function() assert(connection:loop()) end) end
      calls(connection)
    end)
  end
  while job.expected < job.count do assert(loop:step()) end
  job:finish()
end

local function download(job)
  job:start()
  local options, headers = prepare(job)
  local connection = assert(client.connect(options, TIMEOUT))
  for _ = 1, job.count do
    local stream, answer = ask(connection, headers)
    local file = assert(io.open(job.extra, "wb"))
    assert(stream:save_body_to_file(file, TIMEOUT))
    assert(file:close())
    job:expect(common.size(job.extra), tonumber(answer:get("content-length")))
  end
  job:finish()
end

common.main {
  version = ("lua-http %s, %s"):format(require "http.version".version, _VERSION),
  clock = cqueues.monotime, one = one, many = many, download = download,
}
