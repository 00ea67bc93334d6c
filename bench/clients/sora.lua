--- sora, as one client among others.
-- Owns how a good user of sora makes each of the measured things. Invariant: nothing but what the README
-- describes is used; retries are off, so that a failure is one.
local common = dofile(arg[0]:gsub("[^/]*$", "common.lua", 1))
local core = require "sora.core" -- for its clock
local sora = require "sora"

local STEP = 10 -- s; update returns sooner, when something is done

local SOON = 1e-6 -- s

local ID = common.ID

local function client_of(job, connections)
  return assert(sora.new { base_url = job.url:match("^(.*)/videos/"), api_key = common.KEY, max_retries = 0,
    max_connections = connections, ca_file = job.ca })
end

local function one(job)
  local client = client_of(job, 1)
  local function call()
    local video, err = client:get_video(ID)
    job:expect(video and video.id or err)
  end
  job:repeat_call(call)
end

local function many(job)
  local client = client_of(job, job.flight)
  local left, options = job.count, {}
  local function start()
    left = left - 1
    assert(client:start("get_video", ID, options))
  end
  function options.on_done(video, err)
    job:expect(video and video.id or err)
    if left > 0 then start() end
  end
  job:start()
  for _ = 1, math.min(job.flight, job.count) do start() end
  while assert(client:update(STEP)) > 0 do end
  job:finish()
end

-- COUNT polls of FLIGHT jobs on one connection, one after another: each is due again at once. Every answer
-- differs from the one before, so that on_progress hears of each poll.
local function watch(job)
  local client, polls = client_of(job, 1), 0
  local options = { interval = SOON, max_interval = SOON, on_progress = function(video)
    job:expect(video.id)
    polls = polls + 1
  end }
  job:start()
  for i = 1, job.flight do assert(client:watch("video_" .. i, options)) end
  while polls < job.count do client:update(STEP) end
  job.count = polls
  job:finish()
end

-- The file's URL is that of /content, whose path holds the id.
local function download(job)
  local client = client_of(job, 1)
  job:start()
  for _ = 1, job.count do
    local file, err = client:download_video(ID, job.extra)
    job:expect(file and file.bytes or err, common.size(job.extra))
  end
  job:finish()
end

common.main {
  version = "sora " .. sora._VERSION .. ", " .. _VERSION,
  clock = core.now,
  one = one,
  many = many,
  watch = watch,
  download = download,
}
