-- The development server at the level of bytes: peers that are odd, slow, wrong or gone harm nobody else.
local curl = require "spec.support.curl"
local process = require "spec.support.process"
local socket = require "cqueues.socket"

local LIMIT = 64 * 1024 * 1024

describe("the development server's connections", function()
  local program, host, port

  setup(function()
    program = process.serve { "--duration", 0 }
    host, port = program.origin:match("^http://(.-):(%d+)$")
  end)
  teardown(function() program:stop() end)

  -- whatever a spec did, the server answers the next request at once
  after_each(function()
    local answer = curl.get(program.url .. "/videos", { "--max-time", "2" })
    assert.are.same({ 200, 0 }, { answer.status, answer.exit })
  end)

  local function connect()
    local peer = socket.connect(host, tonumber(port))
    peer:setmode("b", "bn")
    peer:settimeout(10)
    peer:onerror(function(_, _, why) return why end)
    return peer
  end

  -- Sends bytes and gives all that comes back until the connection is closed.
  local function exchange(bytes)
    local peer = connect()
    peer:xwrite(bytes, "n", 10)
    peer:shutdown("w")
    local answer = peer:xread("*a", 10)
    peer:close()
    return answer or ""
  end

  local function request(head)
    return head .. "\r\nHost: x\r\n\r\n"
  end

  it("answer several requests of one connection in order", function()
    local answer = exchange(request "GET /v1/videos HTTP/1.1" .. request "GET /v1/videos/none HTTP/1.1"
      .. request "HEAD /v1/videos HTTP/1.1" .. request "DELETE /v1/videos/none HTTP/1.1")
    local statuses = {}
    for status in answer:gmatch("HTTP/1.1 (%d+)") do
      statuses[#statuses + 1] = status
    end
    assert.are.same({ "200", "404", "200", "404" }, statuses)
  end)

  it("serve HTTP/1.0", function()
    assert.is_truthy(exchange("GET /v1/videos HTTP/1.0\r\n\r\n"):find("^HTTP/1.0 200 OK\r\n.*\r\n\r\n{.*}$"))
  end)

  it("serve a request that goes through a proxy", function()
    local through = { "--noproxy", "", "-x", program.origin }
    assert.are.equal(200, curl.get("http://sora.test/v1/videos", through).status)
  end)

  it("answer 400 to what is not HTTP", function()
    for _, bytes in ipairs {
      "NONSENSE\r\n\r\n", "\22\3\1\0\5\1\0\0\0\0\r\n", "GET /v1/videos HTTP/1.1\r\nHost : x\r\n\r\n",
      "GET /v1/videos HTTP/1.1\r\nHost: x\r\nContent-Length: much\r\n\r\n", "GET  HTTP/1.1\r\n\r\n",
    } do
      assert.is_truthy(exchange(bytes):find("^HTTP/1.1 400 Bad Request\r\n"), bytes)
    end
  end)

  it("close where the framing is nonsense", function()
    for _, head in ipairs {
      "Content-Length: -5", "Transfer-Encoding: ,,", "Transfer-Encoding: chunked\r\n\r\nzz",
    } do
      local answer = exchange("POST /v1/videos HTTP/1.1\r\nHost: x\r\n" .. head .. "\r\n\r\n")
      assert.is_true(answer == "" or answer:find("^HTTP/1.1 400 ") ~= nil, answer)
    end
  end)

  it("make no job of a request that breaks off", function()
    local function made()
      return curl.get(program.origin .. "/dev/stats").json.jobs_created
    end
    local before = made()
    local body = '{"prompt":"p"}'
    local head = "POST /v1/videos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    local chunked = head .. ("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n"):format(#body, body)
    assert.are.equal("", exchange(head .. ("Content-Length: %d\r\n\r\n%s"):format(#body + 1, body)))
    assert.are.equal("", exchange(chunked))
    assert.are.equal(before, made())
    assert.is_truthy(exchange(chunked .. "0\r\n\r\n"):find("^HTTP/1.1 200"))
    assert.are.equal(before + 1, made())
  end)

  it("wait for slow peers without making others wait", function()
    local peers = {}
    local head = "POST /v1/videos HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Le"
    for i = 1, 20 do
      peers[i] = connect()
      peers[i]:xwrite(head, "n", 5)
    end
    assert.are.equal(200, curl.get(program.url .. "/videos", { "--max-time", "2" }).status)
    for i = 1, 20 do
      peers[i]:xwrite('ngth: 14\r\n\r\n{"prompt":"p"}', "n", 5)
      assert.is_truthy(peers[i]:xread("*l", "t", 5):find("200 OK", 1, true))
      peers[i]:close()
    end
  end)

  it("outlive peers that leave while a film is sent", function()
    local dev = { content_bytes = 100000000 }
    local id = curl.post(program.url .. "/videos", { prompt = "p", dev = dev }).json.id
    for _ = 1, 5 do
      local peer = connect()
      peer:xwrite(request("GET /v1/videos/" .. id .. "/content HTTP/1.1"), "n", 5)
      assert.is_truthy(peer:xread("*l", "t", 5):find("200 OK", 1, true))
      peer:close()
    end
  end)

  it("take long lines", function()
    local id = ("x"):rep(20000)
    assert.are.equal(404, curl.get(program.url .. "/videos/" .. id).status)
    assert.are.equal(200, curl.get(program.url .. "/videos", { "-H", "Authorization: Bearer " .. id }).status)
  end)

  describe("and bodies over the limit", function()
    local path

    setup(function()
      path = os.tmpname()
      local file = assert(io.open(path, "wb"))
      file:write('{"prompt":"p"', (" "):rep(LIMIT), "}")
      file:close()
    end)
    teardown(function() os.remove(path) end)

    local function post(...)
      return curl.get(program.url .. "/videos", { "-H", "Content-Type: application/json", "--data-binary",
        "@" .. path, ... })
    end

    local function refused(answer)
      assert.are.equal(413, answer.status)
      assert.are.equal("request_too_large", answer.json.error.code)
      assert.are.equal("close", answer.headers.connection)
    end

    it("refuse them before they are sent", function()
      local answer = post()
      refused(answer)
      assert.is_false(answer.continued)
    end)

    it("refuse them while they are sent", function()
      refused(post("-H", "Expect:"))
    end)

    it("refuse them when their length was not known", function()
      refused(post("-H", "Transfer-Encoding: chunked", "-H", "Expect:"))
    end)
  end)

  it("close idle connections", function()
    local brief = process.serve { "--keep-alive", "0.1" }
    local peer = socket.connect(host, tonumber(brief.origin:match("%d+$")))
    peer:setmode("b", "bn")
    peer:onerror(function(_, _, why) return why end)
    peer:xwrite(request "GET /v1/videos HTTP/1.1", "n", 5)
    local answer, err = peer:xread("*a", 10)
    assert.is_nil(err)
    assert.is_truthy(answer:find("^HTTP/1.1 200 OK"))
    assert.is_nil(answer:lower():find("connection: close", 1, true))
    peer:close()
    brief:stop()
  end)
end)
