-- An answer that is cut off at each of its bytes, by a close and by a reset, for every call.
-- By default at a sample of them and at all ends of lines; FAULTS=all takes every byte.
local both_servers = require "spec.faults.servers"
local calls = require "spec.faults.calls"
local cell = require "spec.faults.cell"
local given = require "spec.support.given"
local rig = require "spec.support.rig"

local STEP = os.getenv "FAULTS" == "all" and 1 or 7

-- Whether an answer is worth cutting behind its n-th byte: in the sample, around the end of a line, or at
-- either end.
local function is_edge(answer, n)
  return n % STEP == 0 or n > #answer - 3 or answer:sub(n, n + 1):find "[\r\n]"
end

local function chunk(call)
  local half = math.floor(#call.body / 2)
  local head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: " .. call.content_type
  return head .. "\r\n\r\n" .. ("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n")
    :format(half, call.body:sub(1, half), #call.body - half, call.body:sub(half + 1))
end

describe("an answer that is cut off", function()
  local dir = given.folder()
  local servers = both_servers()

  -- Cuts an answer everywhere; only the whole one is good, or one that lacks no more than `spare` bytes.
  local function sweep(server, call, answer, spare)
    local client = rig.client(server)
    finally(function() client:close() end)
    for n = 0, #answer do
      if is_edge(answer, n) then
        cell.check(client, server, call, { steps = { answer:sub(1, n) } }, { path = dir:at "film.mp4",
          expect = n == #answer and "good" or n >= #answer - spare and "good transport" or "transport",
          where = ("%s, after %d of %d bytes"):format(call.name, n, #answer) })
      end
    end
  end

  for _, how in ipairs { "close", "reset" } do
    for _, call in ipairs(calls.list) do
      it(("by a %s: %s"):format(how, call.name), function()
        sweep(servers[how], call, call.answer, 0)
      end)

      it(("by a %s, in chunks: %s"):format(how, call.name), function()
        sweep(servers[how], call, chunk(call), 1)
      end)
    end
  end

  it("without a length ends where it is cut: only JSON can tell", function()
    for _, call in ipairs(calls.list) do
      local client = rig.client(servers.close)
      finally(function() client:close() end)
      local head = "HTTP/1.1 200 OK\r\nContent-Type: " .. call.content_type .. "\r\n\r\n"
      for n = 1, #call.body - 1, STEP do
        cell.check(client, servers.close, call, { steps = { head .. call.body:sub(1, n) } }, {
          path = dir:at "film.mp4", expect = call.is_film and "a wrong result" or "decode",
          where = ("%s, after %d of %d bytes"):format(call.name, n, #call.body) })
      end
    end
  end)
end)
