--- make crash: kills real processes at random moments, and counts what was paid for and what was saved.
-- Owns the promise that a job is never lost and never paid for twice. Invariant: it prints its figures, and
-- ends with status 1 where the promise was broken. SEED repeats a run; KILLS is how many at least (300).
local cjson = require("cjson.safe").new()
local cqueues = require "cqueues"
local curl = require "spec.support.curl"
local process = require "spec.support.process"
local sora = require "sora"

local SEED = tonumber(os.getenv "SEED") or os.time() % 100000
local KILLS = tonumber(os.getenv "KILLS") or 300
local PAIRS = tonumber(os.getenv "PAIRS") or 80
local ABREAST = 6
local ITEMS = 8 -- of a batch

math.randomseed(SEED)
local folder = process.folder()
local films, journal = folder .. "/films", folder .. "/journal"
os.execute("mkdir " .. films)
local server = process.serve { "--duration", "0.1", "--quiet" }

local breaches = {}
local function check(holds, text, ...)
  if holds then return end
  breaches[#breaches + 1] = text:format(...)
end

local began = cqueues.monotime()
local function say(text, ...)
  print(("%5.1f s  %s"):format(cqueues.monotime() - began, text:format(...)))
end

-- Downloads take 150 ms and more, polls and creates a few.
local function slow()
  local answer = curl.post(server.origin .. "/dev/faults", {
    { match = { method = "GET", path = "/content$" }, stall = 0.15, times = 1e9, process = true },
  })
  assert(answer.status == 200, "the server takes no faults")
end

local function quick()
  assert(curl.get(server.origin .. "/dev/faults", { "-X", "DELETE" }).status == 200)
end

local function child(kind, to, name, count, own_journal)
  return process.command(process.lua_anywhere { process.lines("pwd")[1] .. "/spec/crash/child.lua", kind,
    server.url, own_journal or journal, to, name, tostring(count or 0) })
end

-- Runs commands at once, each for so many seconds, then kill -9. Returns how many were killed.
local function run_killed(commands, seconds)
  local words = {}
  for i, command in ipairs(commands) do
    words[i] = ("(timeout -s KILL %.3f %s; [ $? = 137 ] && echo killed) &"):format(seconds(), command)
  end
  local output = process.output("{ " .. table.concat(words, "\n") .. "\nwait; } 2>/dev/null")
  local _, killed = output:gsub("killed\n", "")
  return killed
end

local function run_all(commands)
  local words = {}
  for i, command in ipairs(commands) do words[i] = command .. " &" end
  return process.output("{ " .. table.concat(words, "\n") .. "\nwait; } 2>&1")
end

local function connect(path)
  return assert(sora.new { base_url = server.url, api_key = "crash", journal = path })
end

-- Every job that the server made: id → prompt.
local function jobs_at_server()
  local client, jobs = connect(nil), {}
  for video in client:videos { limit = 100 } do jobs[video.id] = video.prompt or "" end
  client:close()
  return jobs
end

-- The film of a job, as the server has it.
local function truth(client, id)
  local parts = {}
  local good, err = client:download_video(id, { sink = function(chunk) parts[#parts + 1] = chunk end })
  return good and table.concat(parts) or nil, err
end

-- A create_and_download, killed ------------------------------------------------------------

local killed_ones, ones = 0, 0
local function kill_ones()
  while killed_ones < KILLS / 2 do
    local commands = {}
    for i = 1, ABREAST do
      ones = ones + 1
      commands[i] = child("one", films, "one-" .. ones, ones)
    end
    killed_ones = killed_ones + run_killed(commands, function() return 0.04 + math.random() * 0.6 end)
  end
end

-- A batch, killed and run again until it is done --------------------------------------------

local killed_batches, batches, made = 0, 0, 0
local function kill_batches()
  while killed_batches < KILLS / 2 do
    local names, commands = {}, {}
    for i = 1, ABREAST do
      batches = batches + 1
      names[i] = "batch-" .. batches
      commands[i] = child("batch", films, names[i], ITEMS)
    end
    for _ = 1, 3 do
      killed_batches = killed_batches + run_killed(commands, function() return 0.05 + math.random() * 0.7 end)
    end
    local output, ended = run_all(commands), 0
    for line in output:gmatch "[^\n]+" do
      local new, saved, failed, unsure = line:match "^batch\t(%d+)\t(%d+)\t(%d+)\t(%d+)$"
      if new then
        ended, made = ended + 1, made + tonumber(new)
        check(tonumber(saved) + tonumber(unsure) == ITEMS and failed == "0", "a batch ended with %s", line)
      else
        check(false, "a batch said: %s", line)
      end
    end
    check(ended == ABREAST, "%d of %d batches ended", ended, ABREAST)
  end
end

-- What is left of both ------------------------------------------------------------------------

local function count_up()
  quick()
  local jobs, by_prompt, total = jobs_at_server(), {}, 0
  for _, prompt in pairs(jobs) do
    by_prompt[prompt], total = (by_prompt[prompt] or 0) + 1, total + 1
  end
  local client = connect(journal)
  local named, lost, saved, open = {}, {}, {}, 0
  for _, ticket in ipairs(assert(client:journaled())) do
    if ticket.path then saved[ticket.id] = ticket.path end
  end
  for _, ticket in ipairs(assert(client:unfinished())) do
    open = open + 1
    if ticket.id then named[ticket.id] = true else lost[ticket.prompt] = true end
  end
  local twice, unnamed, partial, whole = 0, 0, 0, 0
  for prompt, count in pairs(by_prompt) do
    if count > 1 then twice = twice + 1 end
    check(count == 1, "%d jobs for '%s'", count, prompt)
  end
  for id, prompt in pairs(jobs) do
    local film = process.slurp(films .. "/" .. prompt .. ".mp4")
    local known = saved[id] or named[id] or lost[prompt]
    if not known then unnamed = unnamed + 1 end
    check(known, "the job %s of '%s' is lost", id, prompt)
    check(not saved[id] or film, "the film of '%s' is not on disk", prompt)
    if film then
      local right, err = truth(client, id)
      if film == right then whole = whole + 1 else partial = partial + 1 end
      check(film == right, "the film of '%s' is not whole (%d of %s bytes, %s)", prompt, #film,
        tostring(right and #right), tostring(err))
    end
  end
  local resumed = 0
  for _, ticket in ipairs(assert(client:unfinished())) do
    if ticket.id then
      local path = ("%s/%s.mp4"):format(films, ticket.prompt)
      local good, err = client:wait(ticket, { interval = 0.03 })
      if good then good, err = client:download_video(ticket, path) end
      check(good and process.slurp(path) == truth(client, ticket.id), "'%s' can't be saved later: %s",
        ticket.prompt, tostring(err))
      resumed = resumed + 1
    end
  end
  for _, ticket in ipairs(assert(client:unfinished())) do
    check(ticket.ambiguous, "'%s' is still unfinished after its film was saved", tostring(ticket.prompt))
  end
  client:close()
  say("%d kills of create_and_download (%d runs), %d kills of %d batches of %d", killed_ones, ones,
    killed_batches, batches, ITEMS)
  say("%d jobs at the server, %d films whole on disk, %d tickets unfinished, %d of them saved now", total,
    whole, open, resumed)
  say("%d prompts with two jobs, %d films partial, %d jobs that nothing names", twice, partial, unnamed)
  check(killed_ones + killed_batches >= KILLS, "only %d kills", killed_ones + killed_batches)
  check(whole > total / 3, "only %d of %d films", whole, total)
end

-- Two on one target -----------------------------------------------------------------------------

local function two_on_one()
  local client = connect(nil)
  local ids = {}
  for i = 1, 2 do
    local job = assert(client:create_video { prompt = "pair-" .. i,
      dev = { content_bytes = 200000 + 5000 * i } })
    ids[i] = assert(client:wait(job, { interval = 0.03 })).id
  end
  local right = { [ids[1]] = truth(client, ids[1]), [ids[2]] = truth(client, ids[2]) }
  slow()
  local ok, errors, wrong = 0, 0, 0
  local function judge(path, said)
    local film, among = process.slurp(path), false
    for _, id in ipairs(said) do among = among or film == right[id] end
    ok = ok + #said
    if #said > 0 and not among or #said == 0 and film then wrong = wrong + 1 end
    errors = errors + 2 - #said
  end
  for pair = 1, PAIRS / 2 do
    local path, said = ("%s/pair-%d.mp4"):format(folder, pair), {}
    local handles = {}
    for i = 1, 2 do handles[i] = client:start("download_video", ids[i], path) end
    while client:update(1) > 0 do end -- luacheck: ignore 542
    for i = 1, 2 do
      if handles[i] and handles[i]:result() then said[#said + 1] = ids[i] end
    end
    judge(path, said)
  end
  local pair = PAIRS / 2
  while pair < PAIRS do
    local commands, paths = {}, {}
    for _ = 1, 3 do
      pair = pair + 1
      local path = ("%s/pair-%d.mp4"):format(folder, pair)
      paths[#paths + 1] = path
      for i = 1, 2 do
        commands[#commands + 1] = child("target", path, ids[i]) .. (" >%s.%d"):format(path, i)
      end
    end
    run_all(commands)
    for _, path in ipairs(paths) do
      local said = {}
      for i = 1, 2 do
        if (process.slurp(path .. "." .. i) or ""):find "^ok" then said[#said + 1] = ids[i] end
      end
      judge(path, said)
    end
  end
  client:close()
  quick()
  say("%d pairs on one target: %d ok, %d refused, %d ok over a wrong file", pair, ok, errors, wrong)
  check(wrong == 0, "%d pairs said ok over a wrong file", wrong)
end

-- The journal --------------------------------------------------------------------------------------

local function eight_on_one_journal()
  local commands, shared = {}, folder .. "/shared"
  for i = 1, 8 do
    commands[i] = child("many", folder, "many-" .. i, 25, shared)
  end
  local output = run_all(commands)
  check(output == "", "eight processes on one journal said: %s", output)
  local client, ids, count = connect(shared), {}, 0
  for _, ticket in ipairs(assert(client:journaled())) do
    check(ticket.id and not ids[ticket.id], "a ticket of eight processes without an id of its own")
    if ticket.id then ids[ticket.id], count = true, count + 1 end
  end
  client:close()
  for line in (process.slurp(shared) or ""):gmatch "[^\n]+" do
    check(cjson.decode(line), "a torn line: %s", line)
  end
  check(count == 200, "eight processes wrote %d of 200 jobs", count)
  say("8 processes on one journal: %d jobs", count)
  return shared
end

local function tickets_of(path)
  local client = connect(path)
  local tickets = assert(client:journaled())
  client:close()
  local list = {}
  for i, ticket in ipairs(tickets) do
    list[i] = (ticket.id or ticket.key) .. (ticket.over and " over" or "")
  end
  return table.concat(list, "\n"), tickets
end

-- Cuts the journal at every byte of its last three lines: what stands before the cut is read, and what is
-- written after it.
local function cut_journal(path)
  local text, cuts = process.slurp(path):gsub("\n+", "\n"):gsub("^\n", ""), 0
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  local few = table.concat(lines, "\n", #lines - 11, #lines) .. "\n"
  local first = #table.concat(lines, "\n", #lines - 11, #lines - 3)
  local cut_path = folder .. "/cut"
  for at = first, #few do
    local cut = few:sub(1, at)
    local whole = cut:match "^(.*\n)" or ""
    if cjson.decode(cut:sub(#whole + 1)) then whole = cut .. "\n" end
    process.spill(cut_path, whole)
    local expected, tickets = tickets_of(cut_path)
    process.spill(cut_path, cut)
    check(tickets_of(cut_path) == expected, "cut at %d, other jobs are read", at)
    local client = connect(cut_path)
    check(client:forget(tickets[1]), "cut at %d, nothing can be written", at)
    client:close()
    local _, after = tickets_of(cut_path)
    check(#after == #tickets and after[1].over, "cut at %d, what was written after it is lost", at)
    cuts = cuts + 1
  end
  say("a journal cut at %d bytes of its last three lines", cuts)
end

local function long_journal()
  local path = folder .. "/long"
  local file = assert(io.open(path, "wb"))
  local function write(line)
    line.v, line.base_url = 2, server.url
    file:write(cjson.encode(line), "\n")
  end
  for i = 1, 33333 do
    write { event = "asked", key = "k" .. i, prompt = "p", created = os.time() }
    write { event = "made", key = "k" .. i, id = "v" .. i, state = "queued", created = os.time() }
    write { event = i % 1000 == 0 and "ended" or "saved", id = "v" .. i, state = "completed", path = "x" }
  end
  write { event = "asked", key = "last", prompt = "p", created = os.time() }
  file:close()
  local client, before = connect(path), cqueues.monotime()
  local open = #assert(client:unfinished())
  client:close()
  check(open == 34, "%d of 34 jobs of a long journal are unfinished", open)
  say("a journal of 100,000 lines is read in %.2f s", cqueues.monotime() - before)
end

say("seed %d", SEED)
slow()
kill_ones()
kill_batches()
count_up()
two_on_one()
cut_journal(eight_on_one_journal())
long_journal()
server:stop()
os.execute("rm -rf " .. process.quote(folder))
for i, breach in ipairs(breaches) do
  if i <= 20 then print("BREACH " .. breach) end
end
say("%d breaches", #breaches)
os.exit(#breaches == 0 and 0 or 1)
