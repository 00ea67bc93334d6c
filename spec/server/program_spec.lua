-- The development server as people use it: the program, asked with curl, and the module in a loop.
local curl = require "spec.support.curl"
local given = require "spec.support.given"
local media = require "sora.server.media"
local modes = require "sora.server.modes"
local process = require "spec.support.process"
local server = require "sora.server"

describe("the development server", function()
  local files = given.folder()
  local program

  local function serve(...)
    program = process.serve { ... }
    return program
  end

  after_each(function()
    if program then
      program:stop()
      program = nil
    end
  end)

  local function create(fields, options)
    fields.prompt = fields.prompt or "a cat"
    local answer = curl.post(program.url .. "/videos", fields, options)
    assert.are.equal(200, answer.status)
    return answer.json
  end

  describe("over HTTP", function()
    it("runs a job from create to film", function()
      serve("--duration", 0.4)
      local video = create { prompt = "waves" }
      assert.are.equal("queued", video.status)
      local order, before = { queued = 1, in_progress = 2, completed = 3 }, video
      repeat
        video = curl.get(program.url .. "/videos/" .. video.id).json
        assert.is_true(order[video.status] >= order[before.status])
        assert.is_true(video.progress >= before.progress)
        before = video
      until video.status == "completed"
      assert.are.equal(100, video.progress)
      assert.is_true(math.abs(video.created_at - os.time()) <= 60)
      local film = curl.get(program.url .. "/videos/" .. video.id .. "/content")
      local own = media.open("video", nil, "waves")
      assert.are.equal(200, film.status)
      assert.is_true(film.body == own.read(0, own.length))
      assert.are.equal(tostring(own.length), film.headers["content-length"])
      assert.are.equal(video.id, curl.get(program.url .. "/videos").json.data[1].id)
      assert.is_true(curl.get(program.url .. "/videos/" .. video.id, { "-X", "DELETE" }).json.deleted)
      assert.are.equal(404, curl.get(program.url .. "/videos/" .. video.id).status)
    end)

    it("gives every answer a number, a date and a type", function()
      serve("--duration", 0)
      local seen = {}
      local id = create({}).id
      local paths = { "/v1/videos", "/v1/videos/" .. id, "/v1/videos/none", "/", "/dev/stats" }
      paths[#paths + 1] = paths[2] .. "/content"
      for _, path in ipairs(paths) do
        local headers = curl.get(program.origin .. path).headers
        assert.is_truthy(headers["x-request-id"]:find("^req_%x+$"))
        assert.is_nil(seen[headers["x-request-id"]])
        seen[headers["x-request-id"]] = true
        assert.is_truthy(headers.date:find("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$"))
        assert.is_truthy(headers["content-type"])
      end
    end)

    it("answers HEAD with the headers alone", function()
      serve("--duration", 0)
      local id = create({ dev = { content_bytes = 50000 } }).id
      local head = curl.get(program.url .. "/videos/" .. id .. "/content", { "-I" })
      assert.are.same({ 200, "50000", 0 }, { head.status, head.headers["content-length"], head.exit })
      assert.is_truthy(head.headers.etag)
      -- what comes next on the same connection is the next answer
      local both = curl.get(program.url .. "/videos/{" .. id .. ",none}", { "-I" })
      assert.are.same({ 404, 0 }, { both.status, both.exit })
    end)

    it("gives ranges, and the whole file when If-Range names another version", function()
      serve("--duration", 0)
      local url = program.url .. "/videos/" .. create({ dev = { content_bytes = 200000 } }).id .. "/content"
      local whole = curl.get(url)
      assert.are.equal(200000, #whole.body)
      for _, range in ipairs { "0-0", "1000-1999", "65000-140000", "199990-", "-10" } do
        local part = curl.get(url, { "-r", range })
        local first, last = part.headers["content-range"]:match("^bytes (%d+)-(%d+)/200000$")
        assert.are.equal(206, part.status)
        assert.is_true(part.body == whole.body:sub(first + 1, last + 1))
        assert.are.equal(#part.body, tonumber(part.headers["content-length"]))
      end
      local beyond = curl.get(url, { "-r", "200000-" })
      assert.are.same({ 416, "bytes */200000" }, { beyond.status, beyond.headers["content-range"] })
      local stale = curl.get(url, { "-r", "5-9", "-H", 'If-Range: "other"' })
      assert.are.same({ 200, 200000 }, { stale.status, #stale.body })
      local fresh = curl.get(url, { "-r", "5-9", "-H", "If-Range: " .. whole.headers.etag })
      assert.are.same({ 206, 5 }, { fresh.status, #fresh.body })
    end)

    it("resumes what curl resumes", function()
      serve("--duration", 0)
      local url = program.url .. "/videos/" .. create({ dev = { content_bytes = 300000 } }).id .. "/content"
      local whole = curl.get(url).body
      files:write("part", whole:sub(1, 123456))
      process.output(("curl -s -C - -o %s %s"):format(files:at "part", url))
      assert.is_true(files:read "part" == whole)
    end)

    it("takes multipart with files, sent as curl sends them", function()
      serve("--duration", 0)
      files:write("r.png", ("\0\r\n--x"):rep(400000)) -- enough for Expect: 100-continue
      local function post(...)
        local answer = curl.get(program.url .. "/videos", { "-F", "prompt=waves", "-F", "seconds=8",
          "-F", "input_reference=@" .. files:at "r.png" .. ";type=image/png", "-F", 'dev={"queue":5}', ... })
        assert.are.equal(200, answer.status)
        assert.are.same({ "8", "queued" }, { answer.json.seconds, answer.json.status })
        local input = curl.get(program.origin .. "/dev/jobs/" .. answer.json.id).json
        assert.are.same({ filename = "r.png", bytes = 2400000, content_type = "image/png" },
          input.files.input_reference)
        assert.are.equal("waves", input.fields.prompt)
        return answer
      end
      assert.is_true(post().continued)
      assert.is_true(post("-H", "Transfer-Encoding: chunked").continued)
      assert.is_false(post("-H", "Expect:").continued)
    end)

    it("keeps connections", function()
      serve("--duration", 0)
      curl.get(program.url .. "/videos?[1-20]")
      local stats = curl.get(program.origin .. "/dev/stats").json
      assert.are.same({ 20, 1 }, { stats.requests, stats.connections })
    end)

    it("answers many at once", function()
      serve("--duration", 0, "--delay", 0.2)
      local start = os.time()
      curl.get(program.url .. "/videos?[1-100]", { "-Z", "--no-progress-meter" })
      assert.is_true(os.time() - start < 10) -- one after another it would take 20 s
      assert.are.equal(100, curl.get(program.origin .. "/dev/stats").json.requests_by_status["200"])
    end)

    it("sends files of any size without holding them", function()
      serve("--duration", 0)
      local bytes = 256 * 1024 * 1024
      local url = program.url .. "/videos/" .. create({ dev = { content_bytes = bytes } }).id .. "/content"
      local sent = process.output("curl -s -o /dev/null -w '%{size_download}' " .. url)
      assert.are.equal(bytes, tonumber(sent))
      assert.is_true(curl.get(program.origin .. "/dev/stats").json.memory_kb < 32 * 1024)
    end)

    it("asks for its key, and says nothing of it", function()
      serve("--duration", 0, "--api-key", "sk-spec")
      assert.are.equal(401, curl.get(program.url .. "/videos").status)
      local with_key = { "-H", "Authorization: Bearer sk-spec" }
      assert.are.equal(200, curl.get(program.url .. "/videos", with_key).status)
      local requests = curl.get(program.origin .. "/dev/requests")
      assert.are.equal("absent", requests.json.requests[1].headers.authorization)
      assert.are.equal("present", requests.json.requests[2].headers.authorization)
      assert.is_nil(requests.body:find("sk-spec", 1, true))
      program:stop()
      assert.is_nil(program:errors():find("sk-spec", 1, true))
    end)
  end)

  describe("as a program", function()
    local function fail(...)
      local started = process.start(process.lua { "examples/serve.lua", ... })
      local line = started:readline()
      local errors = started:errors()
      return line, errors, started:wait()
    end

    it("says where it listens, and nothing else", function()
      serve "--quiet"
      assert.is_truthy(program.url:find("^http://127%.0%.0%.1:%d+/v1$"))
      curl.get(program.url .. "/videos")
      program:kill()
      assert.is_nil(program:readline())
      assert.are.equal("", program:errors())
    end)

    it("logs requests to stderr", function()
      serve()
      curl.get(program.url .. "/videos?a=%1B")
      assert.are.equal("GET /v1/videos?a=%1B 200\n", program:errors())
    end)

    it("ends at signals", function()
      for _, name in ipairs { "TERM", "INT" } do
        serve()
        program:kill(name)
        assert.is_nil(program:readline())
        assert.are.equal(0, program:wait())
      end
    end)

    it("ends with its standard input", function()
      serve()
      program.input:write("something\nin it")
      assert.are.equal(0, program:wait()) -- which closes it and sends no signal
    end)

    it("takes a base path and an address", function()
      serve("--base-path", "/openai/v1", "--host", "127.0.0.2")
      assert.is_truthy(program.url:find("^http://127%.0%.0%.2:%d+/openai/v1$"))
      assert.are.equal(200, curl.get(program.url .. "/videos").status)
    end)

    it("lets jobs fail", function()
      serve("--duration", 0, "--fail-rate", 1)
      assert.are.equal("failed", create({}).status)
    end)

    it("asks for the next poll after --poll-after", function()
      serve("--poll-after", "0.25")
      local answer = curl.get(program.url .. "/videos/" .. create({}).id)
      assert.are.equal("250", answer.headers["openai-poll-after-ms"])
    end)

    it("refuses to be reached from elsewhere, unless that is asked for", function()
      local line, errors, status = fail("--host", "0.0.0.0")
      assert.is_nil(line)
      assert.is_truthy(errors:find("0.0.0.0 is not a loopback address", 1, true))
      assert.are.equal(1, status)
    end)

    it("says what is wrong with its command line", function()
      for _, case in ipairs {
        { { "--port", "x" }, "'x' is not a number" },
        { { "--port", "70000" }, "option --port: expected a port number" },
        { { "--fail-rate", "2" }, "option --fail-rate: expected a number from 0 to 1" },
        { { "--nonsense" }, "unknown option '--nonsense'" },
        { { "--mode", "bomb" }, "option --mode: expected one of: sync-film, base-resp" },
        { { "--webhook", "x" }, "option --webhook: expected an http or https URL" },
      } do
        local line, errors, status = fail((table.unpack or unpack)(case[1]))
        assert.is_nil(line)
        assert.is_truthy(errors:find(case[2], 1, true), errors)
        assert.are_not.equal(0, status)
      end
    end)

    it("lists its modes in --help, in docs/development-server.md and with --list-modes", function()
      local help = process.output(process.command(process.lua { "examples/serve.lua", "--help" }))
        :gsub("%s+", " ")
      local list = process.output(process.command(process.lua { "examples/serve.lua", "--list-modes" }))
      local count = 0
      for name, text in modes.each() do
        count = count + 1
        assert.is_truthy(help:find((" %s %s "):format(name, text), 1, true), name)
      end
      assert.are.equal(count + 2, select(2, list:gsub("\n", "")))
      assert.is_truthy(process.slurp("docs/development-server.md"):find(list, 1, true),
        "docs/development-server.md needs the lines of --list-modes")
    end)

    it("plays a mode, for all jobs or for those after POST /dev/mode", function()
      serve("--duration", 0, "--mode", "bom")
      local function starts_with_bom()
        return curl.post(program.url .. "/videos", { prompt = "p" }).body:sub(1, 3) == "\239\187\191"
      end
      assert.is_true(starts_with_bom())
      assert.are.equal(200, curl.post(program.origin .. "/dev/mode", '{"mode":null}').status)
      assert.is_false(starts_with_bom())
    end)

    it("runs as the README prints it, from any folder", function()
      local here, lua = process.lines("pwd")[1], os.getenv("LUA") or "lua5.4"
      for _, folder in ipairs { here, "/tmp" } do
        local path = folder == here and "examples/serve.lua" or here .. "/examples/serve.lua"
        local output, status = process.run(("cd %s && env -u LUA_PATH %s %s --list-modes"):format(
          process.quote(folder), lua, process.quote(path)))
        assert.are.equal(0, status, output)
        assert.is_truthy(output:find("| `sync-film` |", 1, true))
      end
    end)

    it("says when its port is taken", function()
      serve()
      local port = program.url:match(":(%d+)/")
      local _, errors, status = fail("--port", port)
      assert.is_truthy(errors:find("in use", 1, true))
      assert.are.equal(1, status)
    end)

    it("says what to install when lua-http is not there", function()
      local said = process.start(process.lua { "-e", [[
        package.preload["http.server"] = function() error("no such module", 0) end
        print(select(2, pcall(require, "sora.server")))]] })
      local line = said:readline()
      said:wait()
      assert.is_truthy(line:find("sora.server needs lua-http: `luarocks install http`", 1, true))
    end)
  end)

  describe("as a module", function()
    local http_request = require "http.request"

    it("runs in its own loop until it is stopped from within", function()
      local made = assert(server.new { duration = 0 })
      local status, body
      made:spawn(function()
        local headers, stream = http_request.new_from_uri(made:url() .. "/videos"):go(5)
        status, body = headers:get(":status"), stream:get_body_as_string()
        made:stop()
      end)
      made:run()
      assert.are.equal("200", status)
      assert.is_truthy(body:find('"object":"list"', 1, true))
    end)

    it("runs step by step in somebody else's", function()
      local made = assert(server.new {})
      assert.is_true(made:step(0))
      made:stop()
      made:stop()
      assert.is_false(made:step(0))
      made:run()
    end)

    it("frees its port", function()
      local first = assert(server.new {})
      local port = tonumber(first:url():match(":(%d+)/"))
      local second, err = server.new { port = port }
      assert.is_nil(second)
      assert.is_truthy(err:find("in use", 1, true))
      first:stop()
      second = assert(server.new { port = port })
      second:stop()
    end)

    it("answers 500 to a mistake of its own, and goes on", function()
      local lines = {}
      local broken = { list = function() error("oops") end }
      local made = assert(server.new {
        log = function(line) lines[#lines + 1] = line end,
        format = setmetatable(broken, { __index = require "sora.server.format" }),
      })
      local statuses = {}
      made:spawn(function()
        for i, path in ipairs { "/videos", "/videos/x" } do
          local headers = http_request.new_from_uri(made:url() .. path):go(5)
          statuses[i] = headers:get(":status")
        end
        made:stop()
      end)
      made:run()
      assert.are.same({ "500", "404" }, statuses)
      assert.is_truthy(table.concat(lines, "\n"):find("oops", 1, true))
    end)

    it("raises on options that make no sense", function()
      local cases = {
        { { prot = 1 }, "unknown option 'prot'; known options: allow_remote, api_key" },
        { { port = -1 }, "option 'port': expected a port number, got -1" },
        { { duration = "6" }, "option 'duration': expected a number of seconds" },
        { { not_ready = 200 }, "option 'not_ready': expected an HTTP status from 400 to 599" },
        { { auth = "basic" },
          'option \'auth\': expected "bearer", "raw", "api-key" or "x-api-key", got "basic"' },
        { { base_path = "v1" }, 'option \'base_path\': expected a path such as "/v1", got "v1"' },
        { { webhook_secret = 1 }, "option 'webhook_secret': expected a string, got number" },
        { { api_key = "" }, "option 'api_key': expected a string, got an empty string" },
        { { host = "192.0.2.1" },
          "192.0.2.1 is not a loopback address; allow_remote = true binds it all the same" },
      }
      for _, case in ipairs(cases) do
        assert.error_matches(function() server.new(case[1]) end, "sora.server.new: " .. case[2], 1, true)
      end
    end)
  end)
end)
