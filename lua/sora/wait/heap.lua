--- A binary heap of tables, ordered by their field `due`.
-- Owns the order, and a copy of the due times in an array of their own: reading them from one table after the
-- other misses the processor's caches. Invariant: heap[1] is due first; nobody changes the `due` of an item
-- that is in the heap.
-- @module sora.wait.heap
-- @local

local heap = {}

local floor = math.floor

--- Makes an empty heap.
-- @treturn table the items at [1] and on, in the order of a heap
function heap.new()
  return { dues = {} }
end

--- Adds an item; O(log n).
function heap.push(items, item)
  local dues, due = items.dues, item.due
  local at = #items + 1
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
  local count = #items
  local first, last, due = items[1], items[count], items.dues[count]
  items[count], items.dues[count] = nil, nil
  if count > 1 then move_down(items, last, due, count - 1) end
  return first
end

return heap
