--- Iterating over all pages of a list.
-- Owns how to get from one page to the next. Invariant: returns no job twice, and ends on a list that repeats
-- itself.
-- @module sora.pages
-- @local

local core = require "sora.core"
local normalize = require "sora.normalize"

core.own()

local pages = {}

local function id_of(item)
  if type(item) ~= "table" then return item end
  return item.id or normalize.video(item).id
end

local function items_of(page)
  for _, name in ipairs { "data", "videos", "items", "results" } do
    if type(page[name]) == "table" then return page[name] end
  end
  return page[1] and page or {}
end

-- Returns the cursors to try: the server's own, and the last item's id if that differs.
local function cursors(page, items)
  local last = items[#items]
  local own, id = page.last_id, type(last) == "table" and id_of(last) or nil
  if type(id) == "number" then id = ("%.0f"):format(id) end
  local list = {}
  if type(own) == "string" and own ~= "" then list[1] = own end
  if type(id) == "string" and id ~= own then list[#list + 1] = id end
  return list
end

--- Walks over the items of all pages, without a for-iterator, in which a coroutine could not yield on Lua
-- 5.1.
-- @tparam function fetch cursor → page, or nil, err
-- @treturn function returns the next item, or nil, err; err is nil at the end
function pages.walk(fetch)
  local items, at, seen, after, ended, used = {}, 0, {}, {}, false, {}

  -- Fetches pages until one has a new item; false: there are no more.
  local function turn()
    local tries = after
    after = {}
    if ended then return false end
    for i = 1, math.max(1, #tries) do
      local cursor = tries[i] or ""
      local page, err
      if not used[cursor] then page, err = fetch(tries[i]) end
      if err then return nil, err end
      page, used[cursor] = page or {}, true
      items, at = {}, 0
      for _, item in ipairs(items_of(page)) do
        local key = id_of(item) or item
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
      local more, err = turn()
      if not more then return nil, err end
      at = 1
    end
    return items[at]
  end
end

--- Iterates over the items of all pages.
-- @tparam function fetch cursor → page, or nil, err
-- @treturn function iterator; raises the error table of a page that cannot be fetched
function pages.iterate(fetch)
  local step = pages.walk(fetch)
  return function()
    local item, err = step()
    if err then error(err, 0) end
    return item
  end
end

return pages
