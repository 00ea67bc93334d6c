-- Specs of sora.normalize with every body of spec/fixtures/dialects: what index.json expects, and more.
local dialects = require "spec.support.dialects"
local normalize = require "sora.normalize"

local STATES = {
  queued = true, in_progress = true, completed = true, failed = true, cancelled = true, expired = true,
  deleted = true,
}

describe("the dialects", function()
  local FIELDS = { state = true, progress = true, url = true, id = true, created_at = true,
    completed_at = true }

  local function check_error(found, expect)
    for _, field in ipairs { "code", "message", "type" } do
      local wanted = expect["error_" .. field]
      if wanted ~= nil then
        assert.is_table(found)
        assert.equal(wanted, found[field])
      end
    end
  end

  for _, case in ipairs(dialects.bodies()) do
    local entry, body = case.entry, case.body
    it("reads " .. entry.file, function()
      local before = dialects.copy(body)
      local view = normalize.video(body)
      assert.is_true(STATES[view.state])
      assert.equal(body, view.raw)
      for field, wanted in pairs(entry.expect) do
        if FIELDS[field] then
          if wanted == dialects.null then wanted = nil end
          assert.equal(wanted, view[field], field)
        elseif field == "error" then
          assert.equal(dialects.null, wanted)
          assert.is_nil(view.error)
        else
          assert.is_truthy(field:find("^error_%a+$"),
            "a field of expect that this spec doesn't know: " .. field)
        end
      end
      check_error(entry.http >= 400 and normalize.failure(body) or view.error, entry.expect)
      if entry.http < 400 then assert.is_nil(normalize.refusal(body)) end
      assert.same(before, body)
    end)

    if entry.http >= 400 then
      it("finds text and no video in " .. entry.file, function()
        assert.is_string(normalize.failure(body).message)
        assert.is_table(normalize.refusal(body))
      end)
    end
  end

  it("has text for every body that is not JSON", function()
    assert.equal("502 Bad Gateway", normalize.text(dialects.read "generic-nginx-502.html"))
    assert.equal("InvalidArgument: Only one auth mechanism allowed; only the X-Amz-Algorithm query "
      .. "parameter, Signature query string parameter or the Authorization header should be specified",
      normalize.text(dialects.read "generic-s3-double-auth.xml"))
    assert.is_nil(normalize.text(dialects.read "generic-empty-200.txt"))
  end)

  it("reads fields that index.json does not list", function()
    local function view(name) return normalize.video(dialects.decode(dialects.read(name))) end
    assert.equal("completed", view("vllmomni-sync-b64.json").state)
    assert.equal("deleted", view("openai-delete.json").state)
    assert.equal("CUDA out of memory", view("vllmomni-retrieve-failed-intcode.json").error.message)
    assert.equal(60, view("openai-retrieve-failed-moderation.json").progress)
    assert.equal(1741262400, view("qiniu-veo-completed.json").created_at)
    assert.is_nil(view("llmgateway-retrieve-content-array.json").created_at)
    assert.equal(1770000000, view("dynamo-create-completed.json").created_at)
    assert.is_nil(view("openrouter-create-pending.json").url)
    assert.equal("sora-2:task_01k7yhn8vae4ev52cnyxw3gn68", view("anyfast-content-json.json").id)
    local envelope = view("newapi-task-envelope-success.json")
    assert.equal(1773297002, envelope.created_at)
    assert.equal(1773297014, envelope.completed_at)
    assert.is_nil(envelope.error)
  end)
end)
