--- Makes timed requests over many connections at once, for specs and benchmarks. Works under every Lua.
-- Owns the small part of HTTP/1.1 that this needs. Invariant: every connection is kept alive and has one
-- request at a time; a failure is an answer with `err` and raises no error.
local cqueues = require "cqueues"
local socket = require "cqueues.socket"

local TIMEOUT = 30 -- s; of one read
local load = {}

local function read_chunks(sock)
  local chunks = {}
  repeat
    local line = sock:read("*l")
    local size = line and tonumber(line:match("^%x+"), 16)
    if not size then return nil end
    chunks[#chunks + 1] = size > 0 and sock:read(size) or nil
    sock:read("*l")
  until size == 0
  return table.concat(chunks)
end

local function read_answer(sock)
  local line, why = sock:read("*l")
  if not line then return { err = "no answer: " .. tostring(why or "end of file") } end
  local answer = { status = tonumber(line:match("^HTTP/1%.%d (%d%d%d)")), headers = {} }
  while true do -- no for-iterator: Lua 5.1 can't yield through one
    local name, value = (sock:read("*l") or ""):match("^([^:]+):%s*(.-)\r?$")
    if not name then break end
    answer.headers[name:lower()] = value
  end
  if answer.headers["transfer-encoding"] then
    answer.body = read_chunks(sock)
  else
    local size = tonumber(answer.headers["content-length"]) or 0
    answer.body = size > 0 and sock:read(size) or ""
  end
  if not answer.body then answer.err = "half an answer" end
  return answer
end

--- Opens a keep-alive connection.
function load.connect(port)
  local sock = socket.connect("127.0.0.1", port)
  sock:setmode("bn", "bn")
  sock:settimeout(TIMEOUT)
  sock:onerror(function(_, _, why) return why end)
  return sock
end

--- Makes one request on a connection.
-- @param sock
-- @tparam string path with its query
-- @tparam ?string method
-- @tparam ?table headers name → value
-- @tparam ?string body
-- @treturn table answer: status, headers, body, seconds; or err
function load.ask(sock, path, method, headers, body)
  local before, lines = cqueues.monotime(), {}
  for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value .. "\r\n" end
  sock:write(("%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s"):format(method or "GET",
    path, table.concat(lines), #(body or ""), body or ""))
  local answer = read_answer(sock)
  answer.seconds = cqueues.monotime() - before
  return answer
end

--- Makes one request on a new connection.
function load.get(port, path, method, headers, body)
  local sock = load.connect(port)
  local answer = load.ask(sock, path, method, headers, body)
  sock:close()
  return answer
end

--- Lists `count` paths: the prefix and a number.
function load.paths(count, prefix)
  local list = {}
  for i = 1, count do list[i] = prefix .. i end
  return list
end

--- Makes requests over many connections at once.
-- @tparam table options `port`, `connections`, `paths` (of all requests; a free connection takes the next),
-- and `beside` = { path =, connections = }: a request that is repeated in the background meanwhile
-- @treturn {table,...} the answers, in the order of the paths
-- @treturn {table,...} the answers of `beside`
function load.run(options)
  local loop, answers, beside = cqueues.new(), {}, {}
  local next_path, open = 1, options.connections
  local function work()
    local sock = load.connect(options.port)
    while options.paths[next_path] do
      local mine = next_path
      next_path = next_path + 1
      answers[mine] = load.ask(sock, options.paths[mine])
      if answers[mine].err then break end
    end
    sock:close()
    open = open - 1
  end
  local function stand_by()
    local sock = load.connect(options.port)
    repeat
      local answer = load.ask(sock, options.beside.path)
      beside[#beside + 1] = answer
      cqueues.sleep(0.005)
    until open == 0 or answer.err
    sock:close()
  end
  for _ = 1, options.connections do loop:wrap(work) end
  for _ = 1, options.beside and options.beside.connections or 0 do loop:wrap(stand_by) end
  assert(loop:loop())
  return answers, beside
end

--- Computes a percentile of the response times, in milliseconds.
-- @tparam {table,...} answers
-- @tparam number part the fraction of answers that took no longer, such as 0.99
function load.percentile(answers, part)
  local times = {}
  for i, answer in ipairs(answers) do times[i] = answer.seconds end
  table.sort(times)
  return (times[math.max(1, math.ceil(#times * part))] or 0) * 1000
end

return load
