-- Holds the scripted server against raw sockets: every kind of answer, byte for byte, and what it remembers.
-- curl is used where TLS or a proxy is spoken.
local cqueues = require "cqueues"
local errno = require "cqueues.errno"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local socket = require "cqueues.socket"
local httpd = require "spec.support.httpd"
local tls = require "spec.support.tls"

local ALL_BYTES = {}
for i = 0, 255 do ALL_BYTES[i + 1] = string.char(i) end
ALL_BYTES = table.concat(ALL_BYTES)

local GET = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
local EMPTY_200 = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

local function connect(url)
  local host, port = url:match("//(.-):(%d+)$")
  local client = socket.connect(host, tonumber(port))
  client:setmode("bn", "bn")
  client:settimeout(5)
  client:onerror(function(_, _, why) return why end)
  return client
end

-- LD_PRELOAD may hold a sanitizer, which is there for this process alone.
local NO_PRELOAD = "unset LD_PRELOAD; "

describe("the scripted server", function()
  local srv = given.server()

  -- Sends a request on a new connection and gives it with the first bytes of the answer.
  local function ask(expected, request)
    local client = connect(srv.url)
    client:write(request or GET)
    return client:read(#expected), client
  end

  -- All bytes of the answer up to the end of the connection, or nil and the error it ended with.
  local function ask_all(request)
    local client = connect(srv.url)
    client:write(request or GET)
    return client:read("*a")
  end

  local function assert_closed(client)
    local bytes, why = client:read(1)
    assert.same({ nil, nil }, { bytes, why })
  end

  describe("ordinary answers", function()
    it("have a length, and headers in the order given", function()
      local wanted = "HTTP/1.1 404 Not Found\r\nB: 2\r\nA: 1\r\nB: 3\r\nContent-Length: 4\r\n\r\nnone"
      srv:reply{ status = 404, headers = { { "B", "2" }, { "A", "1" }, { "B", "3" } }, body = "none" }
      assert.equal(wanted, (ask(wanted)))
    end)

    it("take headers as a map, and JSON", function()
      local wanted = "HTTP/1.1 299 Fine\r\nA: 1\r\nB: 2\r\nContent-Type: application/json\r\n"
        .. "Content-Length: 9\r\n\r\n{\"a\":[1]}"
      srv:reply{ status = 299, reason = "Fine", headers = { B = 2, A = "1" }, json = { a = { 1 } } }
      assert.equal(wanted, (ask(wanted)))
    end)

    it("leave a length that headers give", function()
      local wanted = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"
      srv:reply{ headers = { ["content-length"] = 9 }, body = "abc", close_after = true }
      assert.equal(wanted, ask_all())
    end)

    it("can be chunked, or have no body", function()
      local chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"
      local none = "HTTP/1.1 204 No Content\r\n\r\n"
      srv:reply({ chunked = true, body = "hello world" }, { status = 204 }, {})
      local bytes, client = ask(chunked)
      client:write(GET .. GET)
      assert.equal(chunked .. none .. EMPTY_200, bytes .. client:read(#none + #EMPTY_200))
    end)

    it("refuse a field that there is not", function()
      assert.error_matches(function() srv:reply{ satus = 200 } end, "no field satus of type number")
    end)
  end)

  describe("misbehaviour", function()
    it("sends exactly the bytes given, and keeps the connection", function()
      srv:reply({ raw = ALL_BYTES }, {})
      local bytes, client = ask(ALL_BYTES)
      assert.equal(ALL_BYTES, bytes)
      client:write(GET)
      assert.equal(EMPTY_200, client:read(#EMPTY_200))
    end)

    it("pauses before an answer and within it", function()
      local steps = { "HTTP/1.1 200 OK\r\nContent-Len", 0.05, "gth: 0\r\n\r\n" }
      srv:reply{ delay = 0.05, steps = steps, close = true }
      local before = cqueues.monotime()
      assert.equal(EMPTY_200, ask_all())
      assert.is_true(cqueues.monotime() - before >= 0.1)
    end)

    it("closes without an answer", function()
      srv:reply{ close = true }
      local bytes, client = ask("x", GET)
      assert.is_nil(bytes)
      assert_closed(client)
      assert.equal(1, #srv:requests())
    end)

    it("resets, with or without some bytes first", function()
      srv:reply({ reset = true }, { raw = "HTT", reset = true })
      assert.same({ nil, errno.ECONNRESET }, { ask_all() })
      local bytes, client = ask("HTT")
      assert.equal("HTT", bytes)
      assert.same({ nil, errno.ECONNRESET }, { client:read(1) })
    end)

    it("stops in the middle of the body", function()
      srv:reply{ body = "hello", truncate = 2 }
      assert.equal("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", ask_all())
    end)

    it("closes afterwards, saying so or not", function()
      local said = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na"
      srv:reply({ body = "a", close = true }, { body = "a", headers = { { "Content-Length", "1" },
        { "Connection", "close" } } }, { close_after = true })
      assert.same({ said, said, EMPTY_200 }, { ask_all(), ask_all(), ask_all() })
    end)

    it("closes when the request wants it, and after HTTP/1.0", function()
      srv:reply({}, {}, { close_after = true })
      assert.equal(EMPTY_200, ask_all("GET /x HTTP/1.1\r\nConnection: Close\r\n\r\n"))
      assert.equal(EMPTY_200, ask_all("GET /x HTTP/1.0\r\n\r\n"))
      assert.equal(EMPTY_200, ask_all("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"))
    end)

    it("holds an answer until it is released", function()
      srv:reply({ hold = true }, { hold = true, body = "late", close_after = true }, { close_after = true })
      local silent, late = connect(srv.url), connect(srv.url)
      silent:write(GET)
      srv:wait_requests(1)
      late:write(GET)
      srv:wait_requests(2)
      assert.equal(EMPTY_200, ask_all()) -- the third is answered while the first two wait
      srv:release()
      assert_closed(silent)
      assert.equal("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate", late:read("*a"))
    end)
  end)

  describe("what it remembers", function()
    it("is the request, byte for byte", function()
      local head = "POST /v1/a%20b?c=%2F&d HTTP/1.1\r\nhost:h\r\nX-A:  one \r\nx-a: two\r\n"
        .. "X-Odd: \200\r\nContent-Length: 256\r\n\r\n"
      local before = cqueues.monotime()
      srv:reply{ close_after = true }
      ask_all(head .. ALL_BYTES)
      local request = srv:requests()[1]
      assert.is_true(before <= request.at and request.at <= cqueues.monotime())
      request.at = nil
      assert.same({ n = 1, connection = 1, method = "POST", target = "/v1/a%20b?c=%2F&d", version = "1.1",
        headers = { host = "h", ["x-a"] = "one, two", ["x-odd"] = "\200", ["content-length"] = "256" },
        raw_head = head, body = ALL_BYTES }, request)
    end)

    it("has chunked bodies put together, also large ones", function()
      local large = ("x"):rep(300000)
      srv:reply{ close_after = true }
      assert.equal(EMPTY_200, ask_all("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        .. "3;ext=1\r\na\r\n\r\n" .. ("%x\r\n%s\r\n"):format(#large, large) .. "0\r\nTrailer: t\r\n\r\n"))
      assert.is_true(srv:requests()[1].body == "a\r\n" .. large)
    end)

    it("has bodies that wait for 100-continue", function()
      local go_on = "HTTP/1.1 100 Continue\r\n\r\n"
      srv:reply{}
      local head = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
      local bytes, client = ask(go_on, head)
      assert.equal(go_on, bytes)
      assert.equal(0, #srv:requests())
      client:write("ok")
      assert.equal(EMPTY_200, client:read(#EMPTY_200))
      assert.equal("ok", srv:requests()[1].body)
    end)

    it("tells connections apart", function()
      srv:reply({}, {}, {})
      local _, client = ask(EMPTY_200)
      client:write(GET)
      client:read(#EMPTY_200)
      ask(EMPTY_200)
      local serials = {}
      for i, request in ipairs(srv:requests()) do serials[i] = request.n .. "/" .. request.connection end
      assert.same({ "1/1", "2/1", "3/2" }, serials)
      assert.equal(2, srv:connections())
    end)

    it("can be waited for", function()
      srv:reply{}
      local client = connect(srv.url)
      client:write(GET:sub(1, -2))
      assert.error_matches(function() srv:wait_requests(1, 0.02) end,
        "waited 0.02 s for 1 requests and got 0")
      client:write(GET:sub(-1))
      assert.equal("/x", srv:wait_requests(1)[1].target)
    end)

    it("leaves out what is no HTTP, and is answered with 400", function()
      srv:reply{ close_after = true }
      assert.matches("^HTTP/1.1 400 ", ask_all("\22\3\1\n"))
      assert.matches("^HTTP/1.1 400 ", ask_all("GET / HTTP/1.1\r\nno header\r\n\r\n"))
      assert.equal(EMPTY_200, ask_all())
      assert.equal(1, #srv:requests())
    end)
  end)

  describe("its script", function()
    it("says when it has run out", function()
      srv:reply({ close_after = true })
      ask_all()
      local answer = ask_all()
      assert.matches("^HTTP/1.1 599 ", answer)
      assert.matches("the script has 1 answers; this is request 2: GET /x$", answer)
    end)

    it("yields to routes, by path or pattern, the newest first", function()
      local function body_of(method, target)
        local answer = ask_all(method .. " " .. target .. " HTTP/1.1\r\nConnection: close\r\n\r\n")
        return answer:match("\r\n\r\n(.*)")
      end
      srv:reply{ body = "script" }
      srv:route("GET", "/a", { { body = "one" }, { body = "two" } })
      srv:route("*", "^/v1/[^/]+$", { body = "any" })
      local got = { body_of("GET", "/a"), body_of("GET", "/a?q"), body_of("GET", "/a") }
      assert.same({ "one", "two", "two" }, got)
      assert.same({ "any", "any" }, { body_of("PUT", "/v1/b"), body_of("GET", "/v1/c") })
      assert.equal("script", body_of("POST", "/a"))
      srv:route("GET", "/a", { body = "new" })
      assert.equal("new", body_of("GET", "/a"))
    end)

    it("is forgotten with everything else by reset", function()
      srv:route("*", "/r", {})
      srv:reply({}, { hold = true }, {})
      local _, idle = ask(EMPTY_200)
      local held = connect(srv.url)
      held:write(GET)
      srv:wait_requests(2)
      srv:reset()
      assert_closed(idle)
      assert_closed(held)
      assert.same({ 0, 0 }, { srv:connections(), #srv:requests() })
      assert.matches("599 .* has 0 answers; this is request 1: GET /r", ask_all((GET:gsub("/x", "/r"))))
    end)
  end)

  it("drops idle connections and no others", function()
    srv:reply({}, { hold = true, body = "busy", close_after = true })
    local _, idle = ask(EMPTY_200)
    local busy = connect(srv.url)
    busy:write(GET)
    srv:wait_requests(2)
    srv:drop_connections()
    assert_closed(idle)
    srv:release()
    assert.matches("busy$", busy:read("*a"))
  end)

  it("stops, and its port with it", function()
    local short = httpd.start()
    short:stop()
    short:stop()
    assert.same({ nil, errno.ECONNREFUSED }, { connect(short.url):connect() })
  end)

  it("dies with its parent, even when that is killed", function()
    local child = assert(io.popen(NO_PRELOAD .. (os.getenv("LUA") or "lua5.4") .. [[ -e '
      local srv = require("spec.support.httpd").start()
      srv:reply{ hold = true }
      print(srv.url)
      io.stdout:flush()
      srv:wait_requests(1)
      os.execute("kill -9 $PPID")' 2>&1]]))
    local client = connect(child:read("*l"))
    client:write(GET)
    assert_closed(client)
    child:close()
  end)

  describe("as a proxy", function()
    it("sees absolute targets", function()
      srv:reply{ body = "proxied" }
      local command = "curl -qsS --noproxy '' -x " .. srv.url .. " http://far.example/a?b"
      assert.same({ "proxied", 0 }, { process.run(command) })
      assert.equal("http://far.example/a?b", srv:requests()[1].target)
    end)

    it("tunnels", function()
      local certificates = tls.certificates()
      local target = httpd.start{ tls = certificates.server }
      target:reply{ body = "through" }
      srv:reply{ raw = "HTTP/1.1 200 Connection established\r\n\r\n", tunnel = target.port }
      assert.same({ "through", 0 }, { process.run(("curl -qsS --noproxy '' --cacert %s -x %s %s/a")
        :format(certificates.ca, srv.url, target.url)) })
      assert.matches("^CONNECT localhost:" .. target.port .. " ", srv:requests()[1].raw_head)
      assert.equal("/a", target:requests()[1].target)
      target:stop()
    end)
  end)
end)

describe("TLS", function()
  local running = {}
  after_each(function()
    while #running > 0 do table.remove(running):stop() end
  end)

  local function serve(name, ...)
    local srv = httpd.start{ tls = tls.certificates()[name] }
    srv:reply(...)
    running[#running + 1] = srv
    return srv
  end

  local function curl(srv)
    local command = "curl -qsS --noproxy '*' --cacert %s %s/a %s/b"
    return process.run(command:format(tls.certificates().ca, srv.url, srv.url))
  end

  it("is spoken on kept connections", function()
    local srv = serve("server", { body = "1" }, { body = "2" })
    assert.same({ "12", 0 }, { curl(srv) })
    assert.equal(1, srv:connections())
  end)

  it("misbehaves as plain connections do", function()
    assert.matches("reset by peer", (curl(serve("server", { reset = true }, {}))))
    assert.matches("with 1 bytes remaining", (curl(serve("server", { body = "ab", truncate = 1 }, {}))))
  end)

  it("is dropped when idle", function()
    local srv = serve("server", {})
    -- cqueues could speak TLS too, but leaks on the way, and this process may run under valgrind
    local client = io.popen(NO_PRELOAD .. "printf 'GET / HTTP/1.1\\r\\n\\r\\n' |"
      .. " timeout 5 openssl s_client -quiet -connect 127.0.0.1:" .. srv.port .. " 2>/dev/null; echo $?")
    assert.equal(EMPTY_200, client:read(#EMPTY_200))
    srv:drop_connections()
    assert.not_equal("124\n", client:read("*a"))
    client:close()
  end)

  it("can have every kind of bad certificate", function()
    assert.matches("certificate has expired", (curl(serve("expired"))))
    assert.matches("no alternative certificate subject name matches", (curl(serve("other_name"))))
    assert.matches("self.signed certificate", (curl(serve("self_signed"))))
  end)

  it("leaves no folder behind", function()
    local folder = process.run((os.getenv("LUA") or "lua5.4") .. [[ -e '
      print(require("spec.support.tls").certificates().ca)
      io.stdout:flush()
      os.execute("kill -9 $PPID")']]):match("^(.-)/ca.pem\n")
    assert.is_string(folder)
    patience.wait(function() return not process.slurp(folder .. "/ca.pem") end,
      function() cqueues.sleep(0.01) end, "the end of " .. folder)
  end)
end)

describe("ports without a server", function()
  it("refuse connections", function()
    assert.same({ nil, errno.ECONNREFUSED }, { connect(httpd.refused_url()):connect() })
  end)

  it("or drop packets", function()
    local url = httpd.blackhole()
    for _ = 1, 2 do
      assert.same({ nil, errno.ETIMEDOUT }, { connect(url):connect(0.05) })
    end
  end)
end)
