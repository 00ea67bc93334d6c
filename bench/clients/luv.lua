#!/usr/bin/env lua5.4
--- HTTP/1.1 written by hand over luv's TCP, with cjson: only what this benchmark needs.
-- It reads the status, all headers and a body with a Content-Length. It has no TLS, HTTP/2, chunked encoding,
-- timeouts, proxies, redirects or retries, so it is a lower bound and not a usable client.
-- Invariant: a connection has one request at a time. luv ends the process when a callback raises an error.
local common = dofile(arg[0]:gsub("[^/]*$", "common.lua", 1))
local json = require "cjson"
local uv = require "luv"

local connection = {}
connection.__index = connection

-- Connects. `sink` receives each piece of a body.
local function open(job, sink)
  if job.secure then common.cannot("no TLS") end
  local self = setmetatable({ tcp = uv.new_tcp(), sink = sink, buffer = "" }, connection)
  self.request = table.concat({ "GET " .. job.path .. " HTTP/1.1", ("Host: %s:%d"):format(job.host, job.port),
    "Authorization: Bearer " .. common.KEY, "Accept: " .. common.ACCEPT, "User-Agent: " .. common.USER_AGENT,
    "\r\n" }, "\r\n")
  assert(self.tcp:connect(job.host, job.port, function(err)
    assert(not err, err)
    assert(self.tcp:read_start(function(problem, data)
      self:receive(assert(data, problem or "the server has closed the connection"))
    end))
  end))
  return self
end

-- Sends the request; libuv queues it until the connection is open. Calls `done` after the whole response.
function connection:ask(done)
  self.done = done
  assert(self.tcp:write(self.request))
end

-- Parses the header block in the buffer. Returns the bytes after it; nil while the block is incomplete.
function connection:read_head()
  local _, last = self.buffer:find("\r\n\r\n", 1, true)
  if not last then return nil end
  local status = self.buffer:match("^HTTP/1%.%d (%d%d%d)")
  assert(status == "200", "no answer, but " .. tostring(status))
  local headers, rest = {}, self.buffer:sub(last + 1)
  for name, value in self.buffer:sub(1, last):gmatch("\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    headers[name:lower()] = value
  end
  self.headers, self.buffer = headers, ""
  self.missing = assert(tonumber(headers["content-length"]), "an answer without a length")
  return rest
end

function connection:receive(data)
  if not self.headers then
    self.buffer = self.buffer .. data
    data = self:read_head()
    if not data then return end
  end
  if data ~= "" then self.sink(data) end
  self.missing = self.missing - #data
  if self.missing > 0 then return end
  local headers = self.headers
  self.headers = nil
  self.done(headers)
end

-- Opens a connection whose `call` makes one request, checks the JSON of the response, and calls `done`.
local function open_json(job)
  local parts = {}
  local self = open(job, function(data) parts[#parts + 1] = data end)
  function self.call(done)
    self:ask(function()
      local body = table.concat(parts)
      parts = {}
      job:expect(json.decode(body).id)
      done()
    end)
  end
  return self
end

-- Makes `count` requests, one at a time on each connection. Returns after the last response.
local function run(connections, count)
  local left, missing = count, count
  for i = 1, math.min(count, #connections) do
    local call = connections[i].call
    local function next_call()
      left = left - 1
      call(function()
        missing = missing - 1
        if missing == 0 then uv.stop() end
        if left > 0 then next_call() end
      end)
    end
    next_call()
  end
  uv.run()
end

local function one(job)
  local connections = { open_json(job) }
  job:warm_up(function() run(connections, 1) end)
  job:start()
  run(connections, job.count)
  job:finish()
end

local function many(job)
  job:start()
  local connections = {}
  for i = 1, job.flight do connections[i] = open_json(job) end
  run(connections, job.count)
  job:finish()
end

local function download(job)
  job:start()
  local file
  local self = open(job, function(data) assert(file:write(data)) end)
  function self.call(done)
    file = assert(io.open(job.extra, "wb"))
    self:ask(function(headers)
      assert(file:close())
      job:expect(common.size(job.extra), tonumber(headers["content-length"]))
      done()
    end)
  end
  run({ self }, job.count)
  job:finish()
end

common.main {
  version = ("luv, libuv %s, %s"):format(uv.version_string(), _VERSION),
  clock = function() return uv.hrtime() / 1e9 end,
  one = one, many = many, download = download,
}
