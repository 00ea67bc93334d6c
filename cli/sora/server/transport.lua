--- Requests and responses on lua-http's streams.
-- Owns everything that touches a socket: reading a whole request, writing a response, and breaking one as a
-- fault demands. Every function may yield; none raises an error because of what the peer does.
local cqueues = require "cqueues"
local cerrno = require "cqueues.errno"
local input = require "sora.server.input"
local new_headers = require "http.headers".new

local transport = {}

local MAX_BODY = 64 * 1024 * 1024
local READ_TIMEOUT = 30 -- s; for the next chunk of a request
local WRITE_TIMEOUT = 60 -- s; for the peer to accept the next chunk of a response
local MAX_LINE = 65536 -- bytes; a line of a request's header. The default of cqueues, 4096, is too short
local PIECE = 256 * 1024
local DRAIN_SECONDS, DRAIN_BYTES = 5, 4 * MAX_BODY

-- Statuses whose responses have neither a body nor a Content-Length.
local NO_BODY = { [204] = true, [304] = true }
transport.NO_BODY = NO_BODY

local function read_body(stream, headers)
  local declared = tonumber((headers:get("content-length")))
  if declared and declared > MAX_BODY then
    return nil, "too large"
  end
  local expect = headers:get("expect")
  if expect and expect:lower() == "100-continue" and stream.peer_version >= 1.1 then
    if not stream:write_continue(READ_TIMEOUT) then
      return nil, "gone"
    end
  end
  local pieces, total = {}, 0
  while true do
    local piece = stream:get_next_chunk(READ_TIMEOUT)
    if not piece then
      break
    end
    total = total + #piece
    if total > MAX_BODY then
      return nil, "too large"
    end
    pieces[#pieces + 1] = piece
  end
  -- get_next_chunk returns nil without an error also when the peer closes too early
  if stream.state ~= "half closed (remote)" then
    return nil, "gone"
  end
  return table.concat(pieces)
end

--- Tells whether a request came over loopback.
-- @param stream
-- @treturn boolean
function transport.is_local(stream)
  local _, address = stream:peername()
  address = tostring(address)
  return address:find("^127%.") ~= nil or address == "::1" or address:find("^::ffff:127%.") ~= nil
end

-- Answers 400. lua-http reports EILSEQ for bytes that are not HTTP, and no errno for invalid headers.
local function refuse_headers(stream, errno)
  if errno == cerrno.EILSEQ or errno == nil and stream.state == "open" then
    local answer = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    stream.connection.socket:xwrite(answer, "n", WRITE_TIMEOUT)
  end
end

--- Reads a request.
-- @param stream
-- @treturn ?table the request (see endpoints.lua), without `body` if that was too large; nil if none arrived
function transport.read(stream)
  stream.connection:setmaxline(MAX_LINE)
  local headers, _, errno = stream:get_headers(READ_TIMEOUT)
  if not headers then
    return refuse_headers(stream, errno)
  end
  local target = headers:get(":path") or "*"
  -- a client that takes this server for a proxy sends the whole URL
  local parts = input.target((target:gsub("^%a[%w+.-]*://[^/?]*", "")))
  local request = {
    method = headers:get(":method"),
    target = target,
    path = parts.path,
    segments = parts.segments,
    query = parts.query,
    header = function(name) return (headers:get(name)) end,
    each_header = function() return headers:each() end,
  }
  local reason
  request.body, reason = read_body(stream, headers)
  if reason == "gone" then
    return nil
  end
  request.bytes = request.body and #request.body or tonumber((headers:get("content-length")))
  return request
end

--- Closes the connection at once.
-- lua-http copes with a connection without a socket.
-- @param stream
function transport.hang_up(stream)
  local socket = stream.connection.socket
  if socket then
    stream.connection.socket = nil
    socket:close()
  end
end

--- Ends a stream. Must be called for every stream.
-- A stream that did not finish (the peer closed, a fault cut it, a handler failed) closes its connection too.
-- Otherwise lua-http would keep reading the rest of the request, forever if the peer is gone.
-- @param stream
function transport.finish(stream)
  if stream.state ~= "closed" then
    transport.hang_up(stream)
  end
end

-- Reads and discards what the peer still sends: closing earlier would reset the connection before the peer
-- has read the response.
local function drain(stream)
  local deadline, left = cqueues.monotime() + DRAIN_SECONDS, DRAIN_BYTES
  while left > 0 do
    local piece = stream:get_next_chunk(math.max(0, deadline - cqueues.monotime()))
    if not piece then
      return
    end
    left = left - #piece
  end
end

local function write_body(stream, response, count)
  local content = response.content
  local sent = 0
  while sent < count do
    local size = math.min(PIECE, count - sent)
    local piece
    if content then
      piece = content.read(response.first + sent, size)
    else
      piece, size = response.body:sub(1, count), count
    end
    sent = sent + size
    if not stream:write_chunk(piece, sent == response.count, WRITE_TIMEOUT) then
      return
    end
  end
end

local function header_block(response)
  local headers = new_headers()
  headers:append(":status", ("%d"):format(response.status))
  if not NO_BODY[response.status] then
    headers:append("content-length", ("%.0f"):format(response.count))
  end
  for name, value in pairs(response.headers) do
    if value then
      headers:append(name, value)
    end
  end
  return headers
end

--- Writes a response.
-- @param stream
-- @tparam table request
-- @tparam table response `count` is the length of its body
-- @tparam ?table fault of which `close`, `truncate` and `stall` are applied here
function transport.write(stream, request, response, fault)
  fault = fault or {}
  if fault.close == true then
    return
  end
  local bodiless = request.method == "HEAD" or response.count == 0 or NO_BODY[response.status] == true
  local written = stream:write_headers(header_block(response), bodiless, WRITE_TIMEOUT)
  if written and not bodiless then
    write_body(stream, response, math.min(response.count, fault.truncate or math.huge))
  end
  if fault.truncate and fault.truncate < response.count then
    cqueues.sleep(fault.stall or 0)
  elseif fault.close == "after" then
    transport.hang_up(stream)
  elseif stream.state == "half closed (local)" then
    drain(stream)
  end
end

return transport
