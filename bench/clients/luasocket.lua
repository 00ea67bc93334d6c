#!/usr/bin/env lua5.4
--- luasocket with luasec and cjson, as usually written: socket.http and ssl.https with ltn12 sinks.
-- Neither reuses connections: socket.http sends "connection: close", so every call makes a connection (with
-- https also a handshake). It sends the request line and the headers in two writes, and on https Nagle's
-- algorithm delays the second, so a call takes long but little CPU time. Both support only HTTP/1.1.
-- socket.http blocks, so there is no `many`.
local common = dofile(arg[0]:gsub("[^/]*$", "common.lua", 1))
local socket = require "socket"
local http = require "socket.http"
local https = require "ssl.https"
local json = require "cjson"
local ltn12 = require "ltn12"

-- Makes a request; the body goes to the sink. Returns the headers.
local function get(job, sink)
  local _, status, headers = (job.secure and https or http).request {
    url = job.url, sink = sink, headers = { authorization = "Bearer " .. common.KEY, accept = common.ACCEPT,
      ["user-agent"] = common.USER_AGENT },
    verify = job.secure and "peer" or nil, cafile = job.secure and job.ca or nil,
  }
  if status ~= 200 then error("no answer, but " .. tostring(status), 0) end
  return headers
end

local function one(job)
  if job.http2 then common.cannot("no HTTP/2") end
  local function call()
    local parts = {}
    get(job, ltn12.sink.table(parts))
    job:expect(json.decode(table.concat(parts)).id)
  end
  job:repeat_call(call)
end

local function download(job)
  if job.http2 then common.cannot("no HTTP/2") end
  job:start()
  for _ = 1, job.count do
    local headers = get(job, ltn12.sink.file(assert(io.open(job.extra, "wb")))) -- closes the file
    job:expect(common.size(job.extra), tonumber(headers["content-length"]))
  end
  job:finish()
end

common.main {
  version = ("%s, LuaSec %s, %s"):format(socket._VERSION, require "ssl"._VERSION, _VERSION),
  clock = socket.gettime, one = one, download = download,
}
