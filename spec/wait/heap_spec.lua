-- sora.wait.heap: who is due first comes first, whatever the order of coming and going.
local heap = require "sora.wait.heap"

-- A sequence of its own, so that a failure can be seen again.
local function sequence(seed)
  return function(most)
    seed = (seed * 16807) % 2147483647
    return seed % most
  end
end

local function push_all(dues)
  local items = heap.new()
  for i, due in ipairs(dues) do heap.push(items, { due = due, number = i }) end
  return items
end

local function pop_all(items)
  local dues = {}
  for item in function() return heap.pop(items) end do dues[#dues + 1] = item.due end
  return dues
end

local function sorted(list)
  local copy = {}
  for i, value in ipairs(list) do copy[i] = value end
  table.sort(copy)
  return copy
end

describe("a heap", function()
  it("gives nothing when it is empty, however often it is asked", function()
    local items = heap.new()
    assert.is_nil(heap.pop(items))
    assert.is_nil(heap.pop(items))
    assert.same(heap.new(), items)
    heap.push(items, { due = 1 })
    assert.equal(1, heap.pop(items).due)
    assert.is_nil(heap.pop(items))
    assert.same({ 0, false }, { items.count, items[1] })
  end)

  it("gives all permutations of few in order", function()
    local function each_permutation(list, count, visit)
      if count == 0 then return visit(list) end
      for i = 1, count do
        list[i], list[count] = list[count], list[i]
        each_permutation(list, count - 1, visit)
        list[i], list[count] = list[count], list[i]
      end
    end
    local count = 0
    each_permutation({ 1, 2, 3, 4, 5, 6 }, 6, function(dues)
      count = count + 1
      assert.same({ 1, 2, 3, 4, 5, 6 }, pop_all(push_all(dues)))
    end)
    assert.equal(720, count)
  end)

  for _, most in ipairs { 1, 3, 50, 100000 } do
    it("gives 1000 in order, of " .. most .. " different times", function()
      local random, dues = sequence(most), {}
      for i = 1, 1000 do dues[i] = random(most) / 7 end
      assert.same(sorted(dues), pop_all(push_all(dues)))
    end)
  end

  it("loses nobody who is due at the same time", function()
    local items, seen = push_all { 5, 5, 1, 5, 1, 5 }, {}
    for item in function() return heap.pop(items) end do seen[item.number] = true end
    assert.same({ true, true, true, true, true, true }, seen)
  end)

  it("has the first one at its top while they come and go", function()
    local random, items, inside = sequence(20), heap.new(), {}
    for _ = 1, 5000 do
      if #inside > 0 and random(5) < 2 then
        table.sort(inside)
        assert.equal(table.remove(inside, 1), heap.pop(items).due)
      else
        local due = random(1000)
        inside[#inside + 1] = due
        heap.push(items, { due = due })
      end
      assert.equal(#inside, items.count)
      table.sort(inside)
      assert.equal(inside[1], items[1] and items[1].due or nil)
    end
    assert.same(sorted(inside), pop_all(items))
  end)

  it("has room for as many as were reserved, whoever comes and goes", function()
    local items, all, jit = heap.new(), {}, rawget(_G, "jit")
    if jit then -- its traces count as memory
      jit.off()
      jit.flush()
      finally(function() jit.on() end)
    end
    heap.reserve(items, 100)
    for i = 1, 100 do all[i] = { due = i * 7 % 13 } end
    for _ = 1, 3 do
      collectgarbage()
      collectgarbage "stop"
      local before = collectgarbage "count"
      for i = 1, 100 do heap.push(items, all[i]) end
      for _ = 1, 99 do heap.pop(items) end
      local after = collectgarbage "count"
      collectgarbage "restart"
      assert.equal(before, after)
      heap.reserve(items, 100)
      assert.same({ 1, 12 }, { items.count, heap.pop(items).due })
    end
  end)

  it("takes times that have no end, and in reverse", function()
    assert.same({ -math.huge, 0, 1, math.huge }, pop_all(push_all { math.huge, 1, 0, -math.huge }))
  end)
end)
