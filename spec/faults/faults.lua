--- Faults in what a server sends, each a row: a name, what is sent to a call, and how the call ends.
-- Owns the bytes. `fault(call)` gives a fault for wire.lua; `expect`, `retryable` and `unambiguous` are those
-- of cell.lua, `film` and `delete` the `expect` of downloads and of a delete where it differs. Where versions
-- of libcurl differ, a row allows more than one kind: what it never allows is a wrong result.
local OK = "HTTP/1.1 200 OK\r\n"
local TOO_MANY = 1e6 -- times a line: many megabytes

local faults = {}

local function row(name, expect, fault, more)
  local one = { name = name, expect = expect, fault = fault }
  for field, value in pairs(more or {}) do one[field] = value end
  faults[#faults + 1] = one
end

-- A fault that reads the request, sends these bytes and closes.
local function bytes(name, expect, make, more)
  row(name, expect, function(call) return { steps = { (make(call)) } } end, more)
end

-- The good answer with other lines in place of Content-Length; "@" is the true length, "@+" and "@-" ten more
-- and ten less.
local function headers(name, expect, lines, more)
  bytes(name, expect, function(call)
    local length = #call.body
    local block = lines:gsub("@%+", length + 10):gsub("@%-", length - 10):gsub("@", length):gsub("\n", "\r\n")
    return OK .. "Content-Type: " .. call.content_type .. "\r\n" .. block .. "\r\n" .. call.body
  end, more)
end

-- The good answer, its body chunked in this way: "%n" is its length in hexadecimal, "%b" the body.
local function chunked(name, expect, form, more)
  bytes(name, expect, function(call)
    local parts = { n = ("%x"):format(#call.body), m = ("%x"):format(#call.body - 3), b = call.body }
    return OK .. "Content-Type: " .. call.content_type .. "\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. form:gsub("%%(.)", parts)
  end, more)
end

-- The good answer with its status line replaced.
local function status(name, expect, line, more)
  bytes(name, expect, function(call) return line .. call.answer:match "^.-\r\n(.*)$" end, more)
end

-- The good answer with lines behind its status line.
local function inserted(name, expect, lines, more)
  status(name, expect, OK .. lines, more)
end

local function steps(name, expect, make, more)
  row(name, expect, function(call) return { steps = make(call) } end, more)
end

-- How much of the request is read ---------------------------------------------------------

for _, read in ipairs { "nothing", "line", "head", "half", "all" } do
  row("closed, having read: " .. read, "transport", function() return { read = read } end)
  row("reset, having read: " .. read, read == "nothing" and "connect transport" or "transport",
    function() return { read = read } end, { resets = true })
end

row("a closed port", "connect", function() return { refuse = true } end)

-- Silence ---------------------------------------------------------------------------------

local QUICK = { timeout = 0.2 }

row("no answer", "timeout", function() return { ending = "stay" } end, { client = QUICK })
row("not a byte is read", "timeout", function() return { read = "nothing", ending = "stay" } end,
  { client = QUICK })
row("headers that stop", "timeout", function() return { steps = { OK .. "Content-" }, ending = "stay" } end,
  { client = QUICK })
row("a body that stops", "timeout", function(call)
  return { steps = { call.answer:sub(1, -2) }, ending = "stay" }
end, { client = QUICK })

-- Splits text into single bytes with pauses between them.
local function drip(text, seconds)
  local list = {}
  for byte in text:gmatch "." do
    list[#list + 1] = byte
    list[#list + 1] = seconds
  end
  return list
end

steps("a byte each millisecond", "good", function(call) return drip(call.answer, 0.001) end)
steps("headers that drip for longer than the timeout", "timeout", function(call)
  return drip(call.answer, 0.05)
end, { client = QUICK })
steps("an error that drips for longer than the timeout", "timeout", function()
  local list = drip(("x"):rep(100), 0.05)
  table.insert(list, 1, "HTTP/1.1 500 Error\r\n\r\n")
  return list
end, { client = QUICK })

-- Lengths ---------------------------------------------------------------------------------

headers("no length", "good", "")
headers("a length of ten too many", "transport", "Content-Length: @+\n")
headers("a length of ten too few", "decode", "Content-Length: @-\n", { film = "a wrong result" })
headers("a length of 0", "decode", "Content-Length: 0\n", { delete = "good" })
headers("a length of -1", "transport", "Content-Length: -1\n")
headers("an empty length", "transport", "Content-Length: \n")
headers("a length in words", "transport", "Content-Length: many\n")
headers("a hexadecimal length", "transport decode", "Content-Length: 0x@\n",
  { delete = "transport good" })
headers("a length and rubbish", "good transport", "Content-Length: @x\n")
headers("a length of 23 digits", "good transport", "Content-Length: 99999999999999999999999\n")
headers("a length twice in a line", "good transport", "Content-Length: @, @\n")
headers("a length in two lines", "good", "Content-Length: @\nContent-Length: @\n")
headers("two lengths, the later too long", "transport", "Content-Length: @\nContent-Length: @+\n")
headers("two lengths, the later too short", "decode transport", "Content-Length: @\nContent-Length: @-\n",
  { film = "transport" })
headers("two lengths, the earlier too short", "good transport", "Content-Length: @-\nContent-Length: @\n")

-- Chunks ----------------------------------------------------------------------------------

chunked("chunks", "good", "%n\r\n%b\r\n0\r\n\r\n")
bytes("chunks of a byte", "good", function(call)
  return OK .. "Content-Type: " .. call.content_type .. "\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. call.body:gsub(".", "1\r\n%0\r\n") .. "0\r\n\r\n"
end)
bytes("chunks and a length, which is wrong", "good", function(call)
  return OK .. "Content-Type: " .. call.content_type .. "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"
    .. ("\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"):format(#call.body, call.body)
end)
chunked("chunks with an extension and a trailer", "good", "%n;a=b\r\n%b\r\n0\r\nX-A: b\r\n\r\n")
chunked("chunks without the last one", "transport", "%n\r\n%b\r\n")
chunked("chunks without the last line", "transport", "%n\r\n%b\r\n0\r\n")
chunked("a chunk that is cut off", "transport", "ff\r\n%b")
chunked("a chunk with a length in words", "transport", "many\r\n%b\r\n0\r\n\r\n")
chunked("a chunk of -5", "transport", "-5\r\n%b\r\n0\r\n\r\n")
chunked("a chunk with a length of 20 digits", "transport", "ffffffffffffffffffff\r\n%b\r\n0\r\n\r\n")
chunked("a chunk longer than its length", "transport", "%m\r\n%b\r\n0\r\n\r\n")
headers("an unknown Transfer-Encoding", "transport", "Transfer-Encoding: banana\n")
headers("a Transfer-Encoding that was not asked for", "transport", "Transfer-Encoding: gzip\n")

-- Bytes behind the answer -----------------------------------------------------------------

for name, extra in pairs { garbage = "garbage", ["empty lines"] = "\r\n\r\n",
  ["another answer"] = OK .. 'Content-Length: 10\r\n\r\n{"id":"w"}' } do
  for _, ending in ipairs { "close", "keep" } do
    row(name .. " behind the answer, then " .. ending, "good", function(call)
      return { steps = { call.answer .. extra }, ending = ending }
    end)
  end
end

-- What is no HTTP -------------------------------------------------------------------------

bytes("a body alone, as HTTP/0.9", "transport", function(call) return call.body end)
bytes("headers without a status line", "transport", function(call)
  return call.answer:match "^.-\r\n(.*)$"
end)
bytes("garbage in front of the answer", "transport", function(call) return "garbage\r\n" .. call.answer end)
bytes("empty lines in front of the answer", "good transport", function(call)
  return "\r\n\r\n" .. call.answer
end)
bytes("an SSH server", "transport", function() return "SSH-2.0-OpenSSH_9.2\r\n" end)
bytes("a TLS alert", "transport", function() return "\21\3\1\0\2\2\10" end)
bytes("an HTTP/2 frame", "transport", function() return "\0\0\18\4\0\0\0\0\0" .. ("\0"):rep(18) end)
bytes("an Icecast server", "transport", function(call) return (call.answer:gsub("^HTTP/1.1", "ICY")) end)
bytes("lines that end with LF", "good", function(call) return (call.answer:gsub("\r\n", "\n")) end)
bytes("lines that end with CR", "transport", function(call) return (call.answer:gsub("\r\n", "\r")) end)

status("HTTP/1.0", "good", "HTTP/1.0 200 OK\r\n")
bytes("HTTP/1.0 without a length", "good", function(call)
  return "HTTP/1.0 200 OK\r\nContent-Type: " .. call.content_type .. "\r\n\r\n" .. call.body
end)
status("http/1.1 in lower case", "good", "http/1.1 200 OK\r\n")
status("HTTP/9.9", "transport", "HTTP/9.9 200 OK\r\n")
status("HTTP/11.1", "transport", "HTTP/11.1 200 OK\r\n")
status("no reason", "good", "HTTP/1.1 200\r\n")
status("a status in words", "transport", "HTTP/1.1 OK\r\n")
status("status 0", "transport", "HTTP/1.1 000 OK\r\n")
status("status 99", "transport api", "HTTP/1.1 99 OK\r\n")
status("status -200", "transport", "HTTP/1.1 -200 OK\r\n")
status("status 2000", "transport", "HTTP/1.1 2000 OK\r\n")
status("status 600", "api", "HTTP/1.1 600 Error\r\n", { retryable = true })
status("status 999", "api", "HTTP/1.1 999 Error\r\n", { retryable = true })
status("a NUL in the status line", "transport good", "HTTP/1.1 200 O\0K\r\n")
inserted("a NUL in a header", "transport good", "X-A: b\0c\r\n")
inserted("a header without a colon", "transport good", "no colon here\r\n")
inserted("a folded header", "good", "X-A: b\r\n  c\r\n\td\r\n")
inserted("a first line that is folded", "transport good", "  b\r\n")
bytes("a folded Content-Type", "good", function(call)
  return (call.answer:gsub("Content%-Type: ", "Content-Type:\r\n "))
end)

-- 1xx -------------------------------------------------------------------------------------

local HINT = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

bytes("100 and 103 in front of the answer", "good", function(call)
  return "HTTP/1.1 100 Continue\r\n\r\n" .. HINT .. call.answer
end)
steps("5000 times 103", "good", function(call) return { { HINT, 5000 }, call.answer } end)
steps("103 without end", "too_large", function() return { { HINT, TOO_MANY } } end)
steps("100 without end", "too_large", function() return { { "HTTP/1.1 100 Continue\r\n\r\n", TOO_MANY } } end)
bytes("100 and no answer", "transport", function() return "HTTP/1.1 100 Continue\r\n\r\n" end)
bytes("101 that nobody asked for", "api transport", function(call)
  return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" .. call.body
end)

-- Too much --------------------------------------------------------------------------------

local LINE = "X-A: " .. ("a"):rep(57) .. "\r\n" -- 64 bytes

steps("3000 headers", "good", function(call)
  return { OK, { LINE, 3000 }, call.answer:match "^.-\r\n(.*)$" }
end)
steps("headers over 256 KiB", "too_large", function(call)
  return { OK, { LINE, 4100 }, call.answer:match "^.-\r\n(.*)$" }
end)
steps("headers without end", "too_large", function() return { OK, { LINE, TOO_MANY } } end)
steps("a header of 90 KB", "good", function(call)
  return { OK, "X-A: ", { "a", 90000 }, "\r\n", call.answer:match "^.-\r\n(.*)$" }
end)
steps("a header without end", "transport too_large", function()
  return { OK, "X-A: ", { "aaaaaaaa", TOO_MANY } }
end, { retryable = false })
steps("a status line without end", "transport too_large", function()
  return { "HTTP/1.1 200 ", { "aaaaaaaa", TOO_MANY } }
end, { retryable = false })
steps("bytes without end that are no HTTP", "transport", function() return { { "aaaaaaaa", TOO_MANY } } end,
  { retryable = "any" })
steps("trailers without end", "too_large", function(call)
  return { OK .. "Content-Type: " .. call.content_type .. "\r\nTransfer-Encoding: chunked\r\n\r\n"
    .. ("%x\r\n%s\r\n0\r\n"):format(#call.body, call.body), { LINE, TOO_MANY } }
end)
steps("JSON over max_response_bytes", "too_large", function()
  return { OK .. "Content-Type: application/json\r\n\r\n", { "[[[[[[[[", 20000 }, "]" }
end, { client = { max_response_bytes = 100000 } })
steps("an error without end", "api", function()
  return { "HTTP/1.1 500 Error\r\nContent-Type: text/plain\r\n\r\n", { "no video today. ", 4 * TOO_MANY } }
end, { retryable = true })

-- Encodings -------------------------------------------------------------------------------

headers("plain text that is called gzip", "good decode transport",
  "Content-Encoding: gzip\nContent-Length: @\n")

return faults
