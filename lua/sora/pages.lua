--- All pages of a list.
-- Owns how one page leads to the next. Invariant: no job is given twice, and a list that repeats itself ends.
-- @module sora.pages

local pages = {}

local function items_of(page)
  for _, name in ipairs { "data", "videos", "items", "results" } do
    if type(page[name]) == "table" then return page[name] end
  end
  return page[1] and page or {}
end

-- The cursors to try: the server's own, and the last item's id where that is another.
local function cursors(page, items)
  local last = items[#items]
  local own, id = page.last_id, type(last) == "table" and last.id or nil
  local list = {}
  if type(own) == "string" and own ~= "" then list[1] = own end
  if type(id) == "string" and id ~= own then list[#list + 1] = id end
  return list
end

--- Iterates over the items of all pages.
-- @tparam function fetch cursor -> page, or nil, err
-- @treturn function iterator; raises the error table of a page that can't be had
function pages.iterate(fetch)
  local items, at, seen, after, ended = {}, 0, {}, {}, false

  -- Fetches until a page brings something new; false: there is none.
  local function turn()
    local tries = after
    after = {}
    if ended then return false end
    for i = 1, math.max(1, #tries) do
      local page, err = fetch(tries[i])
      if not page then error(err, 0) end
      items, at = {}, 0
      for _, item in ipairs(items_of(page)) do
        local key = type(item) == "table" and item.id or item
        if not seen[key] then items[#items + 1] = item end
        seen[key] = true
      end
      if #items > 0 then
        after = cursors(page, items_of(page))
        ended = page.has_more == false or #after == 0
        return true
      end
    end
    ended = true
    return false
  end

  return function()
    at = at + 1
    if items[at] == nil then
      if not turn() then return nil end
      at = 1
    end
    return items[at]
  end
end

return pages
