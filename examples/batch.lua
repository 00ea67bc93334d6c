-- Makes a film of each line of a file, and a page about them: report.html, beside the films.
-- May be killed and run again at any time: each film is made once.
-- Usage: SORA_BASE_URL=… SORA_API_KEY=… lua5.4 examples/batch.lua [prompts.txt] [folder]
dofile((arg[0]:gsub("[^/]+$", "clone.lua"))) -- for a clone; an installed sora needs no such line
local sora = require "sora"

local list = arg[1] or (arg[0]:gsub("[^/\\]+$", "prompts.txt"))
local folder = arg[2] or "."

local function check(value, err)
  if value then return value end
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end

local prompts = {}
for line in check(io.open(list)):lines() do
  line = line:gsub("\r$", "")
  if line:find "%S" then prompts[#prompts + 1] = line end
end

-- Making the films ---------------------------------------------------------------------

local under_way, line = {}, ""

-- Shows one line for all films under way, and one for each that has ended.
local function show(item)
  local over = item.state == "saved" or item.err
  under_way[item.index] = not over and item or nil
  local count, sum = 0, 0
  for _, other in pairs(under_way) do count, sum = count + 1, sum + (other.progress or 0) end
  local now = ("%d under way, %3d %%"):format(count, count > 0 and math.floor(sum / count) or 100)
  if over then
    io.write(("\r%-20s\n  %s\n"):format(item.state .. ": " .. item.prompt, tostring(item.err or item.path)))
  end
  if over or now ~= line then io.write("\r", now) end
  line = now
  io.flush()
end

local client = check(sora.new { journal = folder .. "/jobs.journal" })
local results = check(client:batch(prompts, { dir = folder, on_progress = show }))
print(("\n%d made, %d saved, %d failed, %d unsure"):format(results.made, results.saved, results.failed,
  results.unsure))

-- What the page shows besides ------------------------------------------------------------

local function exists(path)
  local file = io.open(path, "rb")
  return file and file:close()
end

local function thumbnail_of(result)
  return result.path:gsub("%.%w+$", "") .. ".thumbnail"
end

-- Fetches thumbnails, and jobs for their cost and length, all at the same time. The page leaves out what the
-- server no longer has.
local jobs = {}
for i, result in ipairs(results) do
  if result.id then
    client:start("get_video", result.id, { on_done = function(video)
      jobs[i] = video and sora.normalize(video)
    end })
  end
  if result.id and result.path and not exists(thumbnail_of(result)) then
    client:start("download_video", result.id, { path = thumbnail_of(result), variant = "thumbnail" })
  end
end
while client:update(1) > 0 do end -- luacheck: ignore 542
client:close()

-- The page -------------------------------------------------------------------------------

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function escape(text)
  return (tostring(text):gsub("[&<>\"']", ENTITIES))
end

-- Returns the address of a file, from the page.
local function link(path)
  if path:sub(1, #folder + 1) == folder .. "/" then path = path:sub(#folder + 2) end
  return (path:gsub("[^%w%-._~/]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

local HEAD = [[
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Films</title>
<style>
:root { color-scheme: light dark; --card: #fff; --page: #f1f3f6; --soft: #5c6570; --line: #dde1e6; }
@media (prefers-color-scheme: dark) {
  :root { --card: #20242b; --page: #15181d; --soft: #a2abb6; --line: #343a43; }
}
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; padding: 2rem 1.25rem; max-width: 72rem; }
body { background: var(--page); }
h1 { margin: 0; font-size: 1.6rem; }
header p { margin: .3rem 0 1.5rem; color: var(--soft); }
main { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }
main { align-items: start; }
article { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
img, video, .none { display: block; width: 100%; aspect-ratio: 16 / 9; background: #0d1117; }
img { object-fit: contain; }
.none { display: grid; place-content: center; color: #8b95a1; }
article div { padding: .8rem 1rem 1rem; }
h2 { margin: 0 0 .5rem; font-size: 1rem; font-weight: 600; overflow-wrap: anywhere; }
p { margin: .35rem 0 0; color: var(--soft); font-size: .87rem; overflow-wrap: anywhere; }
b { display: inline-block; padding: .1rem .55rem; border-radius: 99px; color: #fff; font-size: .78rem; }
.saved { background: #1d7a46; } .failed { background: #b3261e; } .unsure { background: #8a5a00; }
</style>
]]

local page, total = { HEAD }, nil
local function add(text, ...) page[#page + 1] = text:format(...) .. "\n" end

-- The facts about a film that are known, in one line.
local function facts(result, job)
  local parts = {}
  if job and job.seconds then parts[#parts + 1] = escape(job.seconds) .. " s" end
  if job and job.cost then parts[#parts + 1] = "cost " .. escape(job.cost) end
  if result.bytes then parts[#parts + 1] = ("%.1f kB"):format(result.bytes / 1000) end
  if result.id then parts[#parts + 1] = escape(result.id) end
  return table.concat(parts, " · ")
end

for _, job in pairs(jobs) do total = job and job.cost and (total or 0) + job.cost or total end
add("<header><h1>Films</h1><p>%d prompts: %d saved, %d failed, %d unsure%s. %s</p></header>\n<main>",
  #results, results.saved, results.failed, results.unsure, total and (", cost %g in all"):format(total) or "",
  os.date "%Y-%m-%d %H:%M")
for i, result in ipairs(results) do
  local state = result.path and "saved" or result.unsure and "unsure" or "failed"
  add "<article>"
  if not result.path then
    add '<span class="none">no film</span>'
  elseif exists(thumbnail_of(result)) then
    add('<a href="%s"><img src="%s" alt="%s"></a>', link(result.path), link(thumbnail_of(result)),
      escape(prompts[i]))
  else
    add('<video controls preload="metadata" src="%s"></video>', link(result.path))
  end
  add('<div><h2>%s</h2><b class="%s">%s</b>', escape(prompts[i]), state, state)
  add("<p>%s</p>", facts(result, jobs[i]))
  if result.err then add("<p>%s</p>", escape(result.err)) end
  if result.path then add('<p><a href="%s">%s</a></p>', link(result.path), escape(link(result.path))) end
  add "</div></article>"
end
add "</main>"

local file = check(io.open(folder .. "/report.html", "wb"))
check(file:write(table.concat(page)))
check(file:close())
print("the page: " .. folder .. "/report.html")
os.exit(results.saved == #results and 0 or 1)
