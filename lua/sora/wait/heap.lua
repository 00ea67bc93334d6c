--- A binary heap of tables, ordered by their field `due`.
-- Owns the order, and a copy of the due times in an array of their own: reading them from one table after the
-- other misses the processor's caches. Invariant: heap[1] is due first; nobody changes the `due` of an item
-- that is in the heap.
-- @module sora.wait.heap
-- @local

local heap = {}

local floor = math.floor

--- Makes an empty heap.
-- @treturn table the items at [1] to [count], in the order of a heap; above that `false`, or nothing
function heap.new()
  return { dues = {}, count = 0 }
end

--- Reserves memory for so many items: until there are more, `push` allocates nothing.
function heap.reserve(items, count)
  for at = items.count + 1, count do
    if items[at] == nil then items[at] = false end
    if items.dues[at] == nil then items.dues[at] = 0 end
  end
end

--- Adds an item; O(log n). Where memory is out it raises, and nothing has changed.
function heap.push(items, item)
  local dues, due = items.dues, item.due
  local at = items.count + 1
  if items[at] == nil then -- there may be no memory for it
    dues[at] = due
    items[at] = item
  end
  items.count = at
  while at > 1 do
    local parent = floor(at / 2)
    local other = dues[parent]
    if other <= due then break end
    items[at], dues[at] = items[parent], other
    at = parent
  end
  items[at], dues[at] = item, due
end

-- Moves `item` from the top down to where it belongs.
local function move_down(items, item, due, count)
  local dues = items.dues
  local at, child = 1, 2
  while child <= count do
    local other = dues[child]
    if child < count and dues[child + 1] < other then
      child = child + 1
      other = dues[child]
    end
    if other >= due then break end
    items[at], dues[at] = items[child], other
    at, child = child, child * 2
  end
  items[at], dues[at] = item, due
end

--- Removes and returns the item that is due first, or nil; O(log n).
function heap.pop(items)
  local count = items.count
  if count == 0 then return nil end
  local first, last, due = items[1], items[count], items.dues[count]
  items[count], items.count = false, count - 1
  if count > 1 then move_down(items, last, due, count - 1) end
  return first
end

return heap
