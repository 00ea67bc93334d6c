-- How the development server reads what it is sent: multipart, JSON, targets.
local input = require "sora.server.input"
local json = require("sora.server.format").json

describe("a multipart body", function()
  local function body(...)
    local parts = {}
    for _, part in ipairs { ... } do
      parts[#parts + 1] = "--B\r\n" .. part .. "\r\n"
    end
    return table.concat(parts) .. "--B--\r\n"
  end

  it("takes fields and files apart, byte for byte", function()
    local bytes = "\0\1\r\n--b\r\n\r\n\255"
    local parts = assert(input.parts(body(
      'Content-Disposition: form-data; name="prompt"\r\n\r\na cat',
      'content-disposition: form-data; filename="x.png"; name=ref\r\nContent-Type: image/png\r\n\r\n'
        .. bytes,
      'Content-Disposition: form-data; name="empty"\r\n\r\n'), "B"))
    assert.are.same({
      { name = "prompt", body = "a cat" },
      { name = "ref", filename = "x.png", content_type = "image/png", body = bytes },
      { name = "empty", body = "" },
    }, parts)
  end)

  it("reads quoted parameters as they are meant", function()
    local parts = assert(input.parts(body(
      [[Content-Disposition: form-data; name="a\"b"; filename="c; name=\"d\"; e.png"]] .. "\r\n\r\nx"), "B"))
    assert.are.equal('a"b', parts[1].name)
    assert.are.equal('c; name="d"; e.png', parts[1].filename)
  end)

  it("ignores a preamble and an epilogue", function()
    local part = body 'Content-Disposition: form-data; name="a"\r\n\r\n1'
    assert.are.equal(1, #assert(input.parts("preamble\r\n" .. part .. "epilogue", "B")))
  end)

  it("finds the boundary", function()
    assert.are.equal("abc", input.boundary "multipart/form-data; boundary=abc")
    assert.are.equal("a b;c", input.boundary 'multipart/form-data; charset=x; Boundary="a b;c"')
    assert.is_nil(input.boundary "multipart/form-data")
    assert.is_nil(input.boundary 'multipart/form-data; boundary=""')
  end)

  it("says what is wrong with a malformed body", function()
    local cases = {
      [""] = "the boundary does not occur",
      ["--B"] = "the last boundary is missing",
      ["--B\r\nContent-Disposition: form-data; name=a\r\n\r\nx"] = "the last boundary is missing",
      ["--B\r\nnothing\r\n--B--"] = "a part has no headers",
      ["--B\r\nX: y\r\n\r\nx\r\n--B--"] = "a part has no name",
    }
    for text, message in pairs(cases) do
      assert.are.same({ nil, message }, { input.parts(text, "B") }, text)
    end
  end)
end)

describe("sora.server.input", function()
  local function read(content_type, body)
    return input.read { header = function() return content_type end, body = body }
  end

  it("reads JSON, where null is absence", function()
    local asked = assert(read("application/json; charset=utf-8",
      ' {"prompt":"a","n":null,"deep":{"n":null,"list":[1,2]},"f":false}'))
    assert.are.same({ prompt = "a", deep = { list = { 1, 2 } }, f = false }, asked.fields)
    assert.are.same({}, asked.files)
    assert.is_table(read("application/vnd.api+json", "{}"))
  end)

  it("keeps of a file only what describes it", function()
    local asked = assert(read("multipart/form-data; boundary=B", table.concat({
      "--B", 'Content-Disposition: form-data; name="prompt"', "", "a",
      "--B", 'Content-Disposition: form-data; name="input_reference"; filename="r.png"',
      "Content-Type: image/png", "", "12345", "--B--", "" }, "\r\n")))
    assert.are.same({ prompt = "a" }, asked.fields)
    assert.are.same({ filename = "r.png", bytes = 5, content_type = "image/png" },
      asked.files.input_reference)
  end)

  it("refuses what it cannot read", function()
    local cases = {
      { "application/json", "", 400 }, { "application/json", "[]", 400 }, { "application/json", "null", 400 },
      { "application/json", '{"a":', 400 }, { "application/json", '"text"', 400 },
      { "multipart/form-data", "x", 400 }, { "multipart/form-data; boundary=B", "x", 400 },
      { "text/plain", "{}", 415 }, { nil, "{}", 415 },
      { "application/x-www-form-urlencoded", "prompt=a", 415 },
    }
    for _, case in ipairs(cases) do
      local asked, problem = read(case[1], case[2])
      assert.is_nil(asked)
      assert.are.equal(case[3], problem.status)
    end
  end)

  it("finds the id in every kind of reference", function()
    for _, value in ipairs { "v1", { id = "v1" }, '{"id":"v1"}' } do
      assert.are.equal("v1", input.reference({ video = value }, "video"))
    end
    assert.is_nil(input.reference({}, "video"))
    assert.is_nil(input.reference({ video = { file_id = "x" } }, "video"))
  end)
end)

describe("sora.server.format.json", function()
  it("writes fields in order, absent ones as null, and empty arrays as arrays", function()
    assert.are.equal('{"b":1,"a":"x","c":null}', json.object({ "b", "a", "c" }, { a = "x", b = 1 }))
    assert.are.equal("[]", json.array {})
    assert.are.equal('{"created_at":1700000000}', json.object({ "created_at" }, { created_at = 1700000000 }))
  end)

  it("tells objects from everything else", function()
    assert.are.same({ a = 1 }, json.decode_object ' {"a":1}')
    for _, text in ipairs { "[]", "1", "null", "{", "", "x{}" } do
      assert.is_nil(json.decode_object(text))
    end
  end)
end)

describe("the target of a request", function()
  it("decodes the parts of a path after splitting it", function()
    assert.are.same({ "v1", "videos", "a/b c?" }, input.target("/v1/videos/a%2Fb%20c%3f").segments)
    assert.are.same({ "v1", "videos", "" }, input.target("/v1/videos/").segments)
    assert.are.same({ "v1", "..", "100%" }, input.target("/v1/../100%").segments)
  end)

  it("reads queries", function()
    assert.are.same({ limit = "2", after = "a b&c", empty = "", flag = "" },
      input.target("/v1?limit=2&after=a+b%26c&empty=&flag").query)
    assert.are.same({}, input.target("/v1").query)
  end)
end)
