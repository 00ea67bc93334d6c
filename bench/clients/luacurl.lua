#!/usr/bin/env lua5.1
--- lua-curl 0.3.0, Debian's binding (module `curl`, for Lua 5.1 and 5.2 only), with cjson: one easy handle
-- for all calls. It binds easy_init, setopt and perform. Without the multi interface there is no `many`;
-- without getinfo, FAILONERROR checks the status. It uses the libcurl with GnuTLS instead of OpenSSL, and
-- HTTP/1.1 at most. The clock is luasocket's, because the binding has none.
local common = dofile(arg[0]:gsub("[^/]*$", "common.lua", 1))
local curl = require "curl"
local json = require "cjson"
local socket = require "socket"

local FILE_BUFFER = 256 * 1024 -- bytes read at once in a download, as in easy.c; libcurl's default is 16 KiB

-- Creates a handle that passes each piece of a response to `take`.
local function open(job, take)
  if job.http2 then common.cannot("no HTTP/2") end
  local easy = curl.easy_init()
  local function set(option, value) easy:setopt(curl["OPT_" .. option], value) end
  set("URL", job.url)
  set("HTTPHEADER", { "Authorization: Bearer " .. common.KEY, "Accept: " .. common.ACCEPT,
    "User-Agent: " .. common.USER_AGENT })
  set("HTTP_VERSION", curl.HTTP_VERSION_1_1)
  set("FAILONERROR", 1)
  set("NOSIGNAL", 1)
  if job.ca then set("CAINFO", job.ca) end
  set("WRITEFUNCTION", function(data, size)
    take(data)
    return size
  end)
  return easy, set
end

local function perform(easy)
  local code, why = easy:perform()
  if code ~= 0 then error(why, 0) end
end

local function one(job)
  local parts = {}
  local easy, set = open(job, function(data) parts[#parts + 1] = data end)
  local function call()
    parts = {}
    set("URL", job.url)
    perform(easy)
    job:expect(json.decode(table.concat(parts)).id)
  end
  job:repeat_call(call)
end

local function download(job)
  local file, announced
  local easy, set = open(job, function(data) assert(file:write(data)) end)
  set("BUFFERSIZE", FILE_BUFFER)
  set("HEADERFUNCTION", function(line, size)
    announced = line:lower():match("^content%-length:%s*(%d+)") or announced
    return size
  end)
  job:start()
  for _ = 1, job.count do
    file = assert(io.open(job.extra, "wb"))
    perform(easy)
    assert(file:close())
    job:expect(common.size(job.extra), tonumber(announced))
  end
  job:finish()
end

common.main {
  version = ("lua-curl %s, %s, %s"):format(curl._VERSION, curl.version():match("^%S+ %S+"), _VERSION),
  clock = socket.gettime, one = one, download = download,
}
