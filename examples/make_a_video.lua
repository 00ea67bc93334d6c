-- The whole process: creates a video, waits with a progress bar, fetches the finished job, saves its file.
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

local job = check(sora.create_video { prompt = prompt, model = "sora-2", seconds = "4", size = "1280x720" })
print("created  " .. sora.normalize(job).id)

check(sora.wait(job, { on_progress = draw, interval = 0.5, max_interval = 5 }))
print()

local video = check(sora.get_video(job))
print(("fetched  %s: %s, %s s, %s"):format(sora.normalize(video).id, video.status, video.seconds, video.size))

local file = check(sora.download_video(job, path))
print(("saved    %s (%d bytes)"):format(file.path, file.bytes))
