-- The whole process: creates a video, waits with a progress bar, fetches the finished job, saves its file. If
-- this ends too early, run it again with the same file: it resumes its job and makes no other. A file that is
-- there already is left alone.
-- Usage: SORA_BASE_URL=… SORA_API_KEY=… lua5.4 examples/make_a_video.lua "a prompt" [file.mp4]
dofile((arg[0]:gsub("[^/]+$", "clone.lua"))) -- for a clone; an installed sora needs no such line
local sora = require "sora"

local prompt, path = arg[1] or "A capybara reads the newspaper", arg[2] or "video.mp4"

local function check(value, err)
  if value then return value end
  io.stderr:write("\n", tostring(err), "\n")
  os.exit(1)
end

local function draw(_, view)
  local percent = view.progress or 0
  local bar = ("#"):rep(math.floor(percent * 0.4))
  io.write(("\r  [%-40s] %3.0f%% %-12s"):format(bar, percent, view.state))
  io.flush()
end

check(sora.configure { journal = path .. ".journal" })

local LOST = "The answer was lost: the server may have a job for '%s'. If it has none, remove %s.journal."

-- Returns the job that an earlier run has made for this file, or makes one.
local function job_for_file()
  local ticket, err = check(sora.unfinished())[1], nil
  local job = ticket
  if not ticket then
    if io.open(path) then check(nil, path .. " exists already: remove it, or name another file.") end
    job, err = sora.create_video { prompt = prompt, model = "sora-2", seconds = "4", size = "1280x720" }
  end
  if (ticket or err or {}).ambiguous then check(nil, LOST:format((ticket or {}).prompt or prompt, path)) end
  print((ticket and "resumed  " or "created  ") .. sora.normalize(check(job, err)).id)
  return job
end

local job = job_for_file()
check(sora.wait(job, { on_progress = draw, interval = 0.5, max_interval = 5 }))
print()

local video = check(sora.get_video(job))
print(("fetched  %s: %s, %s s, %s"):format(sora.normalize(video).id, video.status, video.seconds, video.size))

local file = check(sora.download_video(job, path))
print(("saved    %s (%d bytes)"):format(file.path, file.bytes))
