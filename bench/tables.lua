--- Computes figures from the results of many rounds and writes them as tables.
-- Owns medians, ratios and markdown. Invariant: pure; it runs nothing and knows no client.
local tables = {}

--- Computes the median.
-- @tparam {number,...} values at least one; the list is not changed
-- @treturn number
function tables.median(values)
  local sorted = {}
  for i, value in ipairs(values) do sorted[i] = value end
  table.sort(sorted)
  local middle = math.floor(#sorted / 2)
  if #sorted % 2 == 1 then return sorted[middle + 1] end
  return (sorted[middle] + sorted[middle + 1]) / 2
end

--- Compares with a reference: the median of the ratios of each round. A temporary slowdown affects both in
-- the same round, so this is more stable than the ratio of two medians.
-- @tparam {number,...} values of each round
-- @tparam {number,...} reference of each round
-- @treturn ?number nil when no round has both, or the reference is 0
function tables.ratio(values, reference)
  local ratios = {}
  for i = 1, math.min(#values, #reference) do
    if reference[i] ~= 0 then ratios[#ratios + 1] = values[i] / reference[i] end
  end
  return ratios[1] and tables.median(ratios)
end

--- Formats a number: from 100 on as an integer with spaces between thousands, below with three digits.
-- @tparam number value
-- @treturn string
function tables.number(value)
  local size = math.abs(value)
  local digits = size >= 99.95 and 0 or size >= 9.995 and 1 or size >= 0.9995 and 2 or 3
  local text = ("%." .. digits .. "f"):format(value)
  while text:find("^%-?%d%d%d%d") do text = text:gsub("^(%-?%d+)(%d%d%d)", "%1 %2") end
  return text
end

--- Formats a figure with its ratio to the reference, as in "7 388 (0.86)".
-- @tparam {number,...} values of each round
-- @tparam ?{number,...} reference the values of the reference; nil: no ratio
-- @treturn string
function tables.cell(values, reference)
  local text = tables.number(tables.median(values))
  local ratio = reference and tables.ratio(values, reference)
  return ratio and ("%s (%.2f)"):format(text, ratio) or text
end

--- Formats a table in markdown.
-- @tparam {{string,...},...} rows the first is the head; the first column is text, the others are figures
-- @treturn string
function tables.markdown(rows)
  local lines = {}
  for i, row in ipairs(rows) do
    lines[#lines + 1] = "| " .. table.concat(row, " | ") .. " |"
    if i == 1 then lines[2] = "|---|" .. ("---:|"):rep(#row - 1) end
  end
  return table.concat(lines, "\n") .. "\n"
end

local function values_of(figure, entry, load)
  local values = {}
  for _, result in ipairs(entry and entry.results or {}) do values[#values + 1] = figure[2](result, load) end
  return values
end

local function row_of(program, entries, load, figures, reference)
  local row, entry = { program.name }, entries[program]
  for _, figure in ipairs(figures) do
    local values = values_of(figure, entry, load)
    row[#row + 1] = entry.why and "failed" or #values == 0 and "–"
      or tables.cell(values, reference and values_of(figure, entries[reference], load))
  end
  return row
end

--- Formats the table of one load: a row for each client that ran it or failed, a column for each figure.
-- @tparam {table,...} programs `name`
-- @tparam table entries for each program, from rounds.lua
-- @tparam table load passed to the functions of `figures`
-- @tparam {{string,function},...} figures a title, and a function (result, load) that returns a number or nil
-- @tparam ?table reference the program to compare with
-- @treturn string markdown
function tables.compare(programs, entries, load, figures, reference)
  local rows = { { "client" } }
  for _, figure in ipairs(figures) do rows[1][#rows[1] + 1] = figure[1] end
  for _, program in ipairs(programs) do
    local entry = entries[program]
    if entry.why or not entry.out then
      rows[#rows + 1] = row_of(program, entries, load, figures, reference)
    end
  end
  return tables.markdown(rows)
end

return tables
