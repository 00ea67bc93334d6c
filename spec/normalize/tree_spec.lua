-- Specs of sora.normalize.tree, through sora.normalize: which table in an answer is the job.
local dialects = require "spec.support.dialects"
local normalize = require "sora.normalize"

describe("events", function()
  it("read as their data", function()
    local view = normalize.video(dialects.decode [[{"id":"evt_1","object":"event","type":"video.failed",
      "created_at":5,"data":{"id":"video_1"}}]])
    assert.equal("video_1", view.id)
    assert.equal("failed", view.state)
    assert.is_nil(view.created_at)
  end)

  it("believe the data before the name", function()
    local view = normalize.video { type = "video.completed", data = { id = "v", status = "cancelled" } }
    assert.equal("cancelled", view.state)
    view = normalize.video { id = "evt_1", type = "video.updated", data = { id = "v", progress = 5 } }
    assert.equal("v", view.id)
  end)

  it("are not jobs whose type has a dot", function()
    local view = normalize.video { id = "v", type = "text.to.video", status = "queued", data = { id = "w" } }
    assert.equal("v", view.id)
    assert.equal("queued", view.state)
  end)
end)

describe("id", function()
  local function id(json) return normalize.video(dialects.decode(json)).id end

  it("is text", function()
    assert.equal("v", id '{"id":"v","task_id":"t"}')
    assert.equal("t", id '{"task_id":"t","request_id":"r"}')
    assert.equal("r", id '{"request_id":"r"}')
    assert.equal("g", id '{"generation_id":"g"}')
    assert.equal("17", id '{"id":17}')
    assert.equal("9007199254740991", id '{"id":9007199254740991}')
    assert.equal("t", id '{"id":1,"task_id":"t"}')
    assert.equal("t", id '{"code":0,"request_id":"r","data":{"task_id":"t","task_status":"submitted"}}')
    assert.equal("t", id '{"id":1,"code":0,"data":{"id":2,"task_id":"t","status":"x"}}')
    assert.equal("t", id '{"request_id":"r","status":"processing","data":{"task_id":"t"}}')
    assert.equal("v", id '{"id":"v","detail":{"id":"w","status":"running"}}')
  end)

  it("is nil where there is none", function()
    for _, json in ipairs { '{}', '{"id":""}', '{"id":true}', '{"id":1.5}', '{"id":{}}', '{"id":"  "}' } do
      assert.is_nil(id(json))
    end
  end)

  it("keeps every digit of a 64-bit integer", function()
    if math.type then
      assert.equal("9223372036854775807", normalize.video({ id = math.maxinteger }).id)
    else
      assert.equal("4503599627370497", normalize.video({ id = 4503599627370497 }).id)
    end
  end)
end)
