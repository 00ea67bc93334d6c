-- Checks the pages that `make site` has built: lua tools/check_site.lua FOLDER
-- Every link to a page, an anchor or a file has to lead somewhere; a link to another server has to be a whole
-- https URL; and no page may load anything from another server. Prints each problem, and the counts.
local root = assert(arg[1], "usage: check_site.lua FOLDER")
local problems, links, pages = {}, 0, {}

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

local function complain(page, format, ...)
  problems[#problems + 1] = page .. ": " .. format:format(...)
end

-- Makes one path of a folder and a relative path: "a/b/", "../c" → "a/c".
local function join(folder, path)
  path = (folder .. path):gsub("/%./", "/"):gsub("^%./", "")
  local count
  repeat
    path, count = path:gsub("[^/]+/%.%./", "", 1)
  until count == 0
  return path
end

-- Turns a link's text into what it stands for.
local function decode(text)
  return (text:gsub("&amp;", "&"):gsub("&quot;", '"'):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local list = assert(io.popen(("find %s -name '*.html' | sort"):format(root)))
for path in list:lines() do
  local html, name, ids = read(path), path:sub(#root + 2), {}
  html = html:gsub("<!%-%-.-%-%->", ""):gsub("<script.->.-</script>", function(script)
    return script:match "^<script[^>]*>" -- JavaScript has strings that look like links
  end)
  for id in html:gmatch '%sid="([^"]+)"' do
    if ids[decode(id)] then complain(name, "two anchors #%s", id) end
    ids[decode(id)] = true
  end
  pages[name] = { html = html, ids = ids }
end
list:close()

local function check_outside(name, attribute, url, tag)
  if attribute == "src" or tag == "link" then return complain(name, "loads %s", url) end
  if not url:find "^https://[%w-]+%.[%w.-]+[/%w]" then complain(name, "not a whole https URL: %s", url) end
end

local function check_inside(name, url)
  local path, anchor = url:match "^([^#?]*)[^#]*#?(.*)$"
  local target = path == "" and name or join(name:match "^.*/" or "", path)
  if target == "" or target:find "/$" then target = target .. "index.html" end
  if target:find "^%.%./" then return complain(name, "%s leads out of the site", url) end
  local page = pages[target]
  if not page and not read(root .. "/" .. target) then return complain(name, "%s does not exist", url) end
  if page and anchor ~= "" and not page.ids[anchor] then complain(name, "%s: no such anchor", url) end
end

for name, page in pairs(pages) do
  if page.html:find 'class="mermaid"' then complain(name, "a diagram that loads a script") end
  for tag, attributes in page.html:gmatch "<(%a+)([^>]*)>" do
    for attribute, url in attributes:gmatch '%s(%l+)="([^"]*)"' do
      if (attribute == "href" or attribute == "src") and name ~= "404.html" then
        links, url = links + 1, decode(url)
        if url:find "^%a[%w+.-]*:" or url:find "^//" then
          check_outside(name, attribute, url, tag)
        else
          check_inside(name, url)
        end
      end
    end
  end
end
for path in io.popen(("find %s -name '*.css'"):format(root)):lines() do
  if read(path):find "url%(['\"]?https?:" then complain(path, "loads something from another server") end
end

table.sort(problems)
for _, problem in ipairs(problems) do print(problem) end
local count = 0
for _ in pairs(pages) do count = count + 1 end
print(("%d pages, %d links, %d problems"):format(count, links, #problems))
os.exit(#problems == 0 and count > 10 and links > 100 and 0 or 1)
