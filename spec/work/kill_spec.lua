-- Workers that are killed, and workers that sleep: each prompt is paid for once. `make workers` kills more.
local campaign = require "spec.work.campaign"
local facts = require "spec.support.facts"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local redis = require "spec.support.redis"
local sora = require "sora"
local work = require "sora.work"

-- A Redis, a server and a folder, for one spec.
local function set_up(options)
  local self = { folder = process.folder(), redis = redis.start(), server = process.serve(options) }
  finally(function()
    self.redis:remove()
    self.server:stop()
    os.execute("rm -rf " .. self.folder)
  end)
  return self
end

local function rest() os.execute "sleep 0.02" end

describe("workers on one queue", function()
  it("make one job and one film of each prompt, however often they are killed #once", function()
    local r = campaign.run(60, 8)
    assert.same({ jobs = 60, twice = 0, saved = 60, files = 60, whole = 60, doubles = 0, open = {} },
      { jobs = r.jobs, twice = r.twice, saved = r.saved, files = r.files, whole = r.whole,
        doubles = r.doubles, open = r.open })
  end)

  it("work as docs/workers.md says", function()
    local self = set_up { "--duration", "0.2", "--quiet" }
    process.spill(self.folder .. "/example.lua", facts.read("docs/workers.md"):match "```lua\n(.-)```")
    os.execute("mkdir " .. self.folder .. "/films")
    local words = { "sh", "-c", 'cd "$1" && shift && exec timeout -s KILL 30 env "$@"', "sh", self.folder,
      "SORA_REDIS_URL=" .. self.redis.url, "SORA_BASE_URL=" .. self.server.url, "SORA_API_KEY=x" }
    for _, word in ipairs(process.lua_anywhere { "example.lua" }) do words[#words + 1] = word end
    local status, output, errors = process.start(words):finish()
    assert.same({ 0, "2\t0\n2\t2\t0\t0\n", "" }, { status, output, errors })
    assert.equal("ftyp", process.slurp(self.folder .. "/films/rain.mp4"):sub(5, 8))
  end)

  it("finish what is running when they are interrupted, and take nothing more", function()
    local self = set_up { "--duration", "0.5", "--quiet" }
    local queue = assert(work.open(self.redis.url))
    assert(queue:put { "1", "2", "3", "4", "5" })
    local worker = campaign.worker(self, "w", "jobs=2")
    patience.wait(function() return (process.slurp(self.folder .. "/log") or ""):find " in_progress " end,
      rest)
    worker:kill "INT"
    assert.equal("done", worker:readline())
    worker:wait()
    assert.same({ waiting = 3, running = 0, saved = 2, failed = 0, unsure = 0 }, assert(queue:counts()))
    queue:close()
  end)

  it("do no harm when they wake up after their lease", function()
    local self = set_up { "--duration", "0.2", "--delay", "0.05", "--quiet" }
    local queue = assert(work.open(self.redis.url))
    local list = {}
    for i = 1, 12 do list[i] = { prompt = "prompt " .. i, output = i .. ".mp4" } end
    assert(queue:put(list))
    local sleeper = campaign.worker(self, "sleeper", "jobs=3", "lease=0.5")
    local function log() return process.slurp(self.folder .. "/log") or "" end
    for _, state in ipairs { "asked", "in_progress", "asked", "downloading" } do -- after, or before its POST
      local from = #log()
      local function there()
        local counts = assert(queue:counts())
        return log():find("sleeper " .. state .. " ", from + 1, true) or counts.waiting + counts.running == 0
      end
      patience.wait(there, rest)
      sleeper:kill "STOP"
      patience.wait(function()
        for _, task in ipairs(assert(queue:tasks "running")) do
          if not task.lapsed then return false end
        end
        return true
      end, rest)
      local other = campaign.worker(self, "other-" .. state, "jobs=2", "lease=0.5")
      patience.wait(function()
        local counts = assert(queue:counts())
        return log():find("other-" .. state .. " ", 1, true) or counts.waiting + counts.running == 0
      end, rest)
      sleeper:kill "CONT"
      other:kill "KILL"
      other:wait()
    end
    patience.wait(function()
      local counts = assert(queue:counts())
      return counts.waiting + counts.running == 0
    end, rest)
    sleeper:kill "KILL"
    sleeper:wait()
    local client, jobs = assert(sora.new { base_url = self.server.url, api_key = "x" }), {}
    for video in client:videos() do jobs[video.prompt] = (jobs[video.prompt] or 0) + 1 end
    client:close()
    local counts = assert(queue:counts())
    for i = 1, 12 do
      assert.is_true((jobs["prompt " .. i] or 0) <= 1)
      assert.is_true(jobs["prompt " .. i] == 1 or counts.unsure > 0)
    end
    assert.equal(12, counts.saved + counts.unsure)
    for _, task in ipairs(assert(queue:tasks "unsure")) do -- its worker was killed before its POST
      assert.is_nil(jobs[task.prompt])
    end
    queue:close()
  end)
end)
