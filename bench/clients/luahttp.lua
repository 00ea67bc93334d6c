#!/usr/bin/env lua5.4
--- lua-http (cqueues, luaossl) with cjson.
-- lua-http's own request:go closes its connection after every answer (connection:onidle(connection.close) in
-- http/request.lua). One that keeps connections calls http.client.connect once, and opens a stream on that
-- connection for every call, with the headers of an http.request; so does this.
-- Debian has lua-http for Lua 5.1 to 5.3, and parts that it stands on for 5.1 and 5.2 alone; all are pure Lua
-- and run on 5.4 as well, where they are looked for last.
package.path = package.path ..
  ";/usr/share/lua/5.3/?.lua;/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"
local common = dofile(arg[0]:gsub("[^/]*$", "common.lua", 1))
local cqueues = require "cqueues"
local json = require "cjson"
local client = require "http.client"
local request = require "http.request"
local tls = require "http.tls"

local TIMEOUT = 60
local STREAMS = 100 -- of one h2 connection at once, as nginx is set to allow

-- Trusts the benchmark's CA alone.
local function context(job)
  if not job.secure then return nil end
  local made = tls.new_client_context()
  local store = require "openssl.x509.store".new()
  store:add(job.ca)
  made:setStore(store)
  return made
end

-- What connects and what is sent, made once.
local function prepare(job)
  local headers = request.new_from_uri(job.url).headers
  headers:append("authorization", "Bearer " .. common.KEY)
  headers:upsert("accept", common.ACCEPT)
  headers:upsert("user-agent", common.USER_AGENT)
  return { host = job.host, port = job.port, tls = job.secure, ctx = context(job),
    version = job.http2 and 2 or 1.1 }, headers
end

-- Gives the stream of the answer, whose body is still to come, and its headers.
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

-- FLIGHT coroutines call one after another; h1 with a connection each, h2 with one for STREAMS of them. On h2
-- whoever waits for its answer reads those of others too, and what it leaves behind in the connection's
-- buffer wakes nobody: the calls then hang. So each connection has a coroutine that reads whatever comes;
-- that one never ends by itself, hence the loop's condition.
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
