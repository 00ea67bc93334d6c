--- A program that may be killed at any moment: `child.lua KIND BASE_URL JOURNAL FOLDER NAME [COUNT]`.
-- Owns nothing: what it leaves behind is for run.lua to count. KIND is one, batch, many or target.
local sora = require "sora"

local kind, url, journal, folder, name, count = ...
local client = assert(sora.new { base_url = url, api_key = "crash", journal = journal, max_retries = 2 })
local QUICK = { interval = 0.03, max_interval = 0.03 }

-- How long a film is, by its number: so that none is taken for another.
local function bytes(n) return 4000 + 16 * n end

local kinds = {}

function kinds.one()
  client:create_and_download({ prompt = name, dev = { content_bytes = bytes(tonumber(count)) } },
    folder .. "/" .. name .. ".mp4", QUICK)
end

function kinds.batch()
  local list = {}
  for i = 1, tonumber(count) do
    list[i] = { prompt = name .. "-" .. i, output = name .. "-" .. i .. ".mp4",
      dev = { content_bytes = bytes(i) } }
  end
  local results = assert(client:batch(list, { dir = folder, jobs = 4, label = name, interval = 0.03,
    max_interval = 0.03 }))
  print("batch", results.made, results.saved, results.failed, results.unsure)
  for _, result in ipairs(results) do
    if result.err and not result.unsure then print("error", tostring(result.err)) end
  end
end

function kinds.many()
  for i = 1, tonumber(count) do
    assert(client:start("create_video", { prompt = name .. "-" .. i }, { on_done = assert }))
  end
  while client:update(1) > 0 do end -- luacheck: ignore 542
end

function kinds.target()
  local file, err = client:download_video(name, folder)
  print(file and "ok" or "error", name, file and file.bytes or err.kind)
end

kinds[kind]()
client:close()
