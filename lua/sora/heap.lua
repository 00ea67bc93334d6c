--- A binary heap of tables by their field `due`: who comes first.
-- Owns nothing but the order. Invariant: heap[1] is due first.
-- @module sora.heap

local heap = {}

--- Adds an item; O(log n).
function heap.push(items, item)
  local place = #items + 1
  while place > 1 do
    local parent = math.floor(place / 2)
    if items[parent].due <= item.due then break end
    items[place] = items[parent]
    place = parent
  end
  items[place] = item
end

--- Takes out the item that is due first, or nil; O(log n).
function heap.pop(items)
  local count = #items
  local first, last = items[1], items[count]
  items[count] = nil
  count = count - 1
  if count == 0 or not first then return first end
  local place = 1
  while true do
    local child = place * 2
    if child > count then break end
    if child < count and items[child + 1].due < items[child].due then child = child + 1 end
    if items[child].due >= last.due then break end
    items[place] = items[child]
    place = child
  end
  items[place] = last
  return first
end

return heap
