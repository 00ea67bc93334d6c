-- Specs of sora.normalize.values, through sora.normalize: what numbers and times look like.
local normalize = require "sora.normalize"

describe("progress", function()
  local function progress(fields)
    fields.id = "x"
    return normalize.video(fields).progress
  end

  it("is 0-100", function()
    assert.equal(45, progress { progress = 45 })
    assert.equal(45, progress { progress = "45%" })
    assert.equal(45, progress { progress = " 45 % " })
    assert.equal(0, progress { progress = "0" })
    assert.equal(45.5, progress { progress = 45.5 })
    assert.equal(93, progress { progress = 0.93 })
    assert.equal(57, progress { progress = 0.57 })
    assert.equal(93, progress { progress = "0.93" })
    assert.equal(0.5, progress { progress = "0.5%" })
    assert.equal(1, progress { progress = 1 })
    assert.equal(100, progress { progress_pct = 1 })
    assert.equal(40, progress { progress_pct = 40 })
    assert.equal(0.5, progress { percent = 0.5 })
    assert.equal(50, progress { percentage = 50 })
    assert.equal(83, progress { detail = { pending_info = { progress_pct = 0.83 } } })
    assert.equal(12, progress { data = { progress = "12%" } })
  end)

  it("is an integer where it is whole", function()
    if not math.type then return assert.equal("45", tostring(progress { progress = 45 })) end
    for _, value in ipairs { 45, 45.0, "45", "45.0%", 0.45 } do
      assert.equal("integer", math.type(progress { progress = value }))
    end
    assert.equal("integer", math.type(progress { progress_pct = 0.29 }))
  end)

  it("is nil for junk", function()
    for _, value in ipairs { -1, 101, "", "soon", "1.2.3", ".", "%", true, {}, 0 / 0, math.huge,
        -math.huge } do
      assert.is_nil(progress { progress = value })
    end
    assert.is_nil(progress { status = "completed" })
  end)

  it("of a failed job stays partial", function()
    assert.equal(60, progress { status = "failed", progress = 60 })
  end)
end)

describe("times", function()
  local function created(value) return normalize.video({ id = "x", created_at = value }).created_at end

  local TIMES = {
    { 1712697600, 1712697600 }, { 1712697600.9, 1712697600 }, { 1764347090922, 1764347090 }, { 1, 1 },
    { 1764347090922123, 1764347090 }, { "1712697600", 1712697600 }, { "1764347090922", 1764347090 },
    { "2025-03-06T12:00:00Z", 1741262400 }, { "2025-03-06T12:00:00.123456Z", 1741262400 },
    { "2025-03-06T20:00:00+08:00", 1741262400 }, { "2025-03-06T07:30:00-0430", 1741262400 },
    { "2025-03-06T14:00+02", 1741262400 }, { "2025-03-06 12:00:00", 1741262400 },
    { "2025-03-06", 1741219200 },
    { "20250306T120000Z", 1741262400 }, { " 2025-03-06t12:00:00 UTC ", 1741262400 },
    { "2024-02-29T00:00:00Z", 1709164800 }, { "2000-03-01T00:00:00Z", 951868800 },
    { "1970-01-01T00:00:01Z", 1 }, { "2100-03-01", 4107542400 },
  }
  for _, case in ipairs(TIMES) do
    it("read " .. tostring(case[1]), function()
      local found = created(case[1])
      assert.equal(case[2], found)
      if math.type then assert.equal("integer", math.type(found)) end
    end)
  end

  it("are nil for junk", function()
    for _, value in ipairs { 0, 0.0, "0", "", -5, 0.5, "soon", "2025-13-01", "2025-02-30",
        "2025-03-06T25:00:00Z", "2025-03-06T12:00:00+8", "2025-03-06T12", "1969-12-31T23:59:59Z", "0x10",
        1e300, 0 / 0, math.huge, true, {} } do
      assert.is_nil(created(value))
    end
  end)

  it("have many names", function()
    for _, name in ipairs { "created", "createdAt", "create_time", "submit_time", "submitTime",
        "submitted_at" } do
      assert.equal(7, normalize.video({ [name] = 7 }).created_at)
    end
    for _, name in ipairs { "completedAt", "finish_time", "finishTime", "finished_at", "end_time" } do
      assert.equal(7, normalize.video({ data = { task_id = "t", [name] = 7 } }).completed_at)
    end
  end)
end)
