--- Workers that are killed while they work, and what they leave behind.
-- Owns the promise that each prompt is paid for once and each film is saved. Used by the specs with few
-- prompts, and by `make workers` with many: `campaign.lua [PROMPTS [KILLS]]`; SEED repeats the kills.
local cqueues = require "cqueues"
local process = require "spec.support.process"
local redis = require "spec.support.redis"
local sora = require "sora"
local work = require "sora.work"

local campaign = {}

local WORKERS = 4
local PACE = 0.3  -- s; between two kills
local LIMIT = 120 -- s; for what is left after the last

-- How long a film is, by its number: so that none is taken for another.
local function bytes(n) return 4000 + 16 * n end

local function prompts(count)
  local list = {}
  for i = 1, count do
    list[i] = { prompt = "prompt " .. i, output = i .. ".mp4", dev = { content_bytes = bytes(i) } }
  end
  return list
end

--- Starts a worker.
function campaign.worker(self, name, ...)
  return process.start(process.lua { "spec/work/child.lua", self.redis.url, self.server.url, self.folder,
    name, ... })
end

-- Kills workers, each time a random one, and starts another in its place; restarts Redis once, half way.
local function kill(self, kills)
  local workers, number = {}, 0
  local function start(i)
    number = number + 1
    workers[i] = campaign.worker(self, "w" .. number)
  end
  for i = 1, WORKERS do start(i) end
  for k = 1, kills do
    cqueues.sleep(PACE)
    if k == math.ceil(kills / 2) then
      self.redis:halt "KILL"
      self.redis:resume()
    end
    local i = math.random(WORKERS)
    workers[i]:kill "KILL"
    workers[i]:wait()
    start(i)
  end
  return workers
end

-- Counts jobs at the server by their prompts.
local function count_jobs(url)
  local client, by_prompt, total = assert(sora.new { base_url = url, api_key = "x" }), {}, 0
  for video in client:videos { limit = 100 } do
    by_prompt[video.prompt], total = (by_prompt[video.prompt] or 0) + 1, total + 1
  end
  client:close()
  return total, by_prompt
end

-- Decides, as a person would, about tasks whose worker died between `asked` and its POST: the server has no
-- job of theirs. Returns how many there were.
local function decide(self, queue)
  local tasks, decided = assert(queue:tasks "unsure"), 0
  if #tasks == 0 then return 0 end
  local _, by_prompt = count_jobs(self.server.url)
  for _, task in ipairs(tasks) do
    if not task.job and not by_prompt[task.prompt] then
      assert(queue:retry(task.id))
      decided = decided + 1
    end
  end
  return decided
end

-- Waits until the workers have nothing more to do.
local function finish(self, queue, limit)
  local began, decided = cqueues.monotime(), 0
  repeat
    cqueues.sleep(0.1)
    local counts = assert(queue:counts())
    local busy = counts.waiting + counts.running > 0
    if not busy then
      local now = decide(self, queue)
      decided, busy = decided + now, now > 0
    end
  until not busy or cqueues.monotime() - began > limit
  return assert(queue:counts()), decided
end

-- Counts the leases that two workers have held, by the log of all.
local function count_doubles(folder)
  local holders, doubles, leases = {}, 0, 0
  for line in (process.slurp(folder .. "/log") or ""):gmatch "[^\n]+" do
    local name, id, lease = line:match "^(%S+) %S+ (%x+) (%d+) "
    if id then
      local key = id .. "#" .. lease
      if not holders[key] then leases = leases + 1 end
      if holders[key] and holders[key] ~= name then doubles = doubles + 1 end
      holders[key] = name
    end
  end
  return doubles, leases
end

--- Runs one campaign.
-- @treturn table { jobs =, twice =, saved =, unsure =, failed =, decided =, whole =, files =, doubles =,
-- leases =, searched =, seconds = }
function campaign.run(count, kills)
  local self = { folder = process.folder(), redis = redis.start() }
  self.server = process.serve { "--duration", "0.3", "--delay", "0.1", "--quiet" }
  local began = cqueues.monotime()
  local queue = assert(work.open(self.redis.url))
  assert(queue:put(prompts(count)))
  local workers = kill(self, kills)
  local counts, decided = finish(self, queue, LIMIT)
  for _, worker in ipairs(workers) do
    worker:kill "KILL"
    worker:wait()
  end
  local result = { saved = counts.saved, unsure = counts.unsure, failed = counts.failed, twice = 0, whole = 0,
    decided = decided, seconds = cqueues.monotime() - began }
  local by_prompt
  result.jobs, by_prompt = count_jobs(self.server.url)
  for _, times in pairs(by_prompt) do
    if times > 1 then result.twice = result.twice + 1 end
  end
  for i = 1, count do
    local film = process.slurp(("%s/%d.mp4"):format(self.folder, i))
    if film and #film == bytes(i) then result.whole = result.whole + 1 end
  end
  result.files = #process.lines("ls " .. self.folder .. " | grep 'mp4$'")
  result.doubles, result.leases = count_doubles(self.folder)
  result.searched = #process.lines("grep ' searching ' " .. self.folder .. "/log")
  result.open = {}
  for _, state in ipairs { "unsure", "failed", "waiting", "running" } do
    for _, task in ipairs(assert(queue:tasks(state))) do
      result.open[#result.open + 1] = ("%s %s %s %s"):format(state, task.prompt, task.job or "no job",
        task.error or "")
    end
  end
  queue:close()
  self.server:stop()
  self.redis:remove()
  if not os.getenv "KEEP" then os.execute("rm -rf " .. self.folder) else print(self.folder) end
  return result
end

if arg and arg[0] and arg[0]:find "campaign%.lua$" then
  local count, kills = tonumber(arg[1]) or 200, tonumber(arg[2]) or 20
  local seed = tonumber(os.getenv "SEED") or os.time() % 100000
  math.randomseed(seed)
  local r = campaign.run(count, kills)
  print(("%d prompts, %d kills of %d workers, seed %d, %.1f s"):format(count, kills, WORKERS, seed,
    r.seconds))
  print(("%d jobs at the server, %d prompts with two; %d saved, %d unsure, %d failed; %d films, %d whole")
    :format(r.jobs, r.twice, r.saved, r.unsure, r.failed, r.files, r.whole))
  print(("%d leases, %d held by two; %d jobs looked for, %d tasks whose POST was never sent"):format(r.leases,
    r.doubles, r.searched, r.decided))
  for _, line in ipairs(r.open) do print("  " .. line) end
  os.exit(r.jobs == count and r.twice == 0 and r.saved == count and r.whole == count and r.files == count
    and r.doubles == 0 and 0 or 1)
end

return campaign
