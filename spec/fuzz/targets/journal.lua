-- The journal: the input is what its file holds. Reading never raises, every ticket comes from a line that
-- made it, and what is unfinished can be closed.
local cjson = require "cjson"
local host = require "spec.fuzz.host"
local json = require "sora.json"
local sora = require "sora"

local PATH = host.folder .. "/fuzz.journal"
local BASE = "http://api.test/v1"

local function write(mode, text)
  local file = assert(io.open(PATH, mode))
  assert(file:write(text))
  assert(file:close())
end

local function encode_all(tickets)
  local out = {}
  for i, ticket in ipairs(tickets) do
    local names = {}
    for name, value in pairs(ticket) do
      names[#names + 1] = name .. "=" .. (type(value) == "table" and "table" or tostring(value))
    end
    table.sort(names)
    out[i] = table.concat(names, " ")
  end
  return table.concat(out, "\n")
end

-- Counts the lines that may make a ticket.
local function count_makers(text)
  local count = 0
  for line in text:gmatch "[^\n]+" do
    local event = json.decode(line)
    if event and event.base_url == BASE and (event.event == "asked" or event.event == "made") then
      count = count + 1
    end
  end
  return count
end

local TYPES = { key = "string", id = "string", base_url = "string", state = "string", created = "number",
  label = "string", idempotency_key = "string", path = "string", bytes = "number", ambiguous = "boolean",
  over = "boolean" }

local function check_ticket(ticket)
  assert(ticket.key or ticket.id, "a ticket with neither a key nor an id")
  assert(ticket.id or ticket.over or ticket.ambiguous, "a ticket without an id that is not ambiguous")
  for name, value in pairs(ticket) do
    if name ~= "prompt" and type(value) ~= TYPES[name] then
      error(("ticket.%s is a %s"):format(name, type(value)))
    end
  end
end

local function check(client, text)
  local tickets = assert(client:journaled())
  assert(#tickets <= count_makers(text), "a ticket that no line made")
  for _, ticket in ipairs(tickets) do check_ticket(ticket) end
  local before = encode_all(tickets)

  -- The rest of a line that a crash cut off changes nothing.
  write("ab", '\n{"v":2,"event":"made","key":"k","id":"late","base_url":"' .. BASE)
  assert(encode_all(assert(client:journaled())) == before, "half a line changed a ticket")
  write("ab", "\n")

  -- Saving or forgetting closes a job, and nothing opens one.
  for i, ticket in ipairs(assert(client:unfinished())) do
    if ticket.id and i % 2 == 1 then
      write("ab", "\n" .. cjson.encode { v = 2, event = "saved", id = ticket.id, base_url = BASE, path = "p",
        bytes = 1 } .. "\n")
    else
      assert(client:forget(ticket.key and ticket or ticket.id))
    end
  end
  local left = assert(client:unfinished())
  for _, ticket in ipairs(left) do error("a job stays unfinished: " .. encode_all { ticket }) end
  assert(#assert(client:journaled()) == #tickets)
end

return function(text)
  write("wb", text)
  local client = assert(sora.new { base_url = BASE, api_key = "k", journal = PATH, proxy = host.url,
    journal_until = #text % 2 == 0 and "ended" or "saved" })
  check(client, text)
  client:close()
end
