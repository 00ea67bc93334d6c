--- sora, as one client among others.
-- Owns how each load is written with sora, as a good user would. Invariant: it uses only what the README
-- documents; retries are off, so that no failure is hidden.
local common = dofile(arg[0]:gsub("[^/]*$", "common.lua", 1))
local core = require "sora.core" -- for its clock
local sora = require "sora"

local STEP = 10 -- s; update returns earlier when a call is done

local SOON = 1e-6 -- s; the shortest interval of polls: a job is due again at once

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

-- Polls FLIGHT jobs COUNT times in all, on one connection, one after another. Every response differs from the
-- previous one, so on_progress is called for each poll.
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

-- Downloads through the client, which makes the URL of /content from the id.
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
