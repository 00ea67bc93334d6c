-- tools/chart.lua FILE HEADING COLUMN TITLE: writes one column of a table in FILE as a bar chart in SVG.
--
-- FILE is Markdown, such as bench/RESULTS.md; the first table below `### HEADING` counts. Its first column
-- names the bars, and the bold row is ours. Invariant: a bar is as long as its value says, or ends in "…".
local file, heading, column, title = (table.unpack or unpack)(arg)

local MOST = 10      -- times our value: a longer bar is cut
local LEFT, WIDTH = 190, 420
local TOP, STEP, HEIGHT = 52, 30, 18

local STYLE = [[
  text { font: 14px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 }
  .bar { fill: #afb8c1 } .ours { fill: #2da44e } .bold { font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .bar { fill: #484f58 } .ours { fill: #3fb950 }
  }]]

local function cells_of(line)
  local cells = {}
  for cell in line:gmatch "|%s*([^|]-)%s*%f[|]" do cells[#cells + 1] = cell end
  return cells
end

-- Returns the rows of the table below the heading: { name =, ours =, label =, value = }.
local function read_rows()
  local handle = assert(io.open(file))
  local lines, below, at, rows = handle:lines(), false, nil, {}
  for line in lines do
    if line == "### " .. heading then
      below = true
    elseif below and line:find "^|" then
      local cells = cells_of(line)
      if not at then
        for i, cell in ipairs(cells) do at = cell == column and i or at end
        assert(at, ("%s: no column '%s' below '%s'"):format(file, column, heading))
      elseif not line:find "^|%-" then
        local label = cells[at]:gsub(" %(.*", "") -- without the ratio
        local digits = label:gsub(" ", "")
        rows[#rows + 1] = { name = cells[1]:gsub("%*", ""), ours = cells[1]:find("*", 1, true) ~= nil,
          label = label, value = tonumber(digits) }
      end
    elseif below and #rows > 0 then
      break
    end
  end
  handle:close()
  assert(#rows > 0, ("%s: no table below '### %s'"):format(file, heading))
  return rows
end

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

local function draw(rows)
  local longest, limit = 0, math.huge
  for _, row in ipairs(rows) do limit = row.ours and MOST * row.value or limit end
  for _, row in ipairs(rows) do longest = math.max(longest, math.min(row.value or 0, limit)) end
  local out = {}
  local function add(template, ...) out[#out + 1] = template:format(...) end
  add('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 %d" role="img">', TOP + STEP * #rows + 8)
  add("<title>%s</title>", escape(title))
  add("<style>%s</style>", STYLE)
  add('<text class="title" x="0" y="24">%s</text>', escape(title))
  for i, row in ipairs(rows) do
    local y, bold = TOP + STEP * (i - 1), row.ours and ' class="bold"' or ""
    local width = math.min(row.value or 0, limit) / longest * WIDTH
    add('<text x="%d" y="%d" text-anchor="end"%s>%s</text>', LEFT - 10, y + 14, bold, escape(row.name))
    add('<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="3"/>', row.ours and "ours" or "bar",
      LEFT, y, width, HEIGHT)
    if row.value and row.value > limit then
      add('<text x="%.1f" y="%d" text-anchor="end">…</text>', LEFT + width - 6, y + 14)
    end
    add('<text x="%.1f" y="%d"%s>%s</text>', LEFT + width + 8, y + 14, bold, escape(row.label))
  end
  add "</svg>"
  return table.concat(out, "\n") .. "\n"
end

io.stdout:write(draw(read_rows()))
