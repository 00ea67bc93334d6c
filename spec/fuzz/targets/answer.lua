-- Answers: the first byte chooses a call, the rest is what the server answers, byte for byte; "\n~~~\n"
-- divides the answers of successive connections. Every call gives its result or nil, err; no job is asked for
-- twice unless the server refused it; a file is there whole or not at all; nobody else sees the key.
local host = require "spec.fuzz.host"
local exchange = require "spec.fuzz.exchange"
local process = require "spec.support.process"

local TARGET = host.folder .. "/fuzz.mp4"
local JOURNAL = host.folder .. "/fuzz.answer.journal"
local PART = "0123456789"
local NOTE = '{"id":"v","base_url":"http://api.test/v1","variant":"video","validator":"\\"v1\\"","total":20}'
local QUICK = { interval = 0.001, max_interval = 0.001, timeout = 0.05, max_failures = 2 }

local OVER = { failed = true, cancelled = true, expired = true, deleted = true }

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function remove_files()
  for _, suffix in ipairs { "", ".part", ".part.json" } do os.remove(TARGET .. suffix) end
end

local function check_file(file, err)
  exchange.check_result(file, err)
  local content = process.slurp(TARGET)
  if not file then
    assert(content == nil, "a download failed, and yet its file is there")
    return
  end
  assert(content and #content == file.bytes and #content > 0, "a file of another size than was said")
  assert(process.slurp(TARGET .. ".part") == nil, "a finished download left a part file")
  assert(process.slurp(TARGET .. ".part.json") == nil, "a finished download left a note")
end

local function resume(client, note, part)
  write(TARGET .. ".part", part)
  write(TARGET .. ".part.json", note)
  check_file(client:download_video("v", { path = TARGET, sync = false, grace = 0 }))
end

local calls = {
  function(client) -- A
    exchange.check_result(client:get_video("v", { response = true }))
    exchange.check_result(client:get_video("v"))
  end,
  function(client) exchange.check_result(client:create_video { prompt = "p" }) end, -- B
  function(client) -- C
    local left, step = 40, client:videos { limit = 2 }
    local good, err = pcall(function()
      while left > 0 and step() do left = left - 1 end
    end)
    if not good then exchange.check_result(nil, err) end
    exchange.check_result(client:list_videos())
  end,
  function(client) -- D
    check_file(client:download_video("v", { path = TARGET, sync = false, grace = 0 }))
  end,
  function(client) resume(client, NOTE, PART) end, -- E
  function(client, answers) -- F: the first part is the note of another process
    resume(client, table.remove(answers, 1), PART)
  end,
  function(client) -- G
    local got = 0
    local file, err = client:download_video("v", { grace = 0, sink = function(chunk) got = got + #chunk end })
    exchange.check_result(file, err)
    if file then assert(got == file.bytes, "a sink got another number of bytes than was said") end
  end,
  function(client) -- H
    local target = { path = TARGET, sync = false, grace = 0 }
    local file, err = client:create_and_download({ prompt = "p" }, target, QUICK)
    check_file(file, err)
    local ticket = assert(client:journaled())[1]
    assert(not file or ticket.over, "a saved film is unfinished")
    if err and err.ticket and err.ticket.id then
      assert(ticket.id == err.ticket.id, "a paid job is not in the journal")
      assert(not ticket.over or OVER[ticket.state], "a paid job is over without its film")
    end
  end,
  function(client) exchange.check_result(client:delete_video("v", { response = true })) end, -- I
  function(client) exchange.check_result(client:wait("v", QUICK)) end, -- J
}

-- Waits take their time, so they are chosen less often than the other calls.
local CHOICES = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 4, 5, 6, 7 }

return function(input)
  local choice = input:byte() or 0
  local number = CHOICES[(choice - 1) % 16 + 1]
  local answers = exchange.split(input:sub(2))
  remove_files()
  os.remove(JOURNAL)
  local served = { table.unpack(answers, number == 6 and 2 or 1) }
  exchange.run(served, { in_pieces = choice & 0x20 ~= 0, journal = JOURNAL }, function(client)
    calls[number](client, answers)
  end)
  remove_files()
end
