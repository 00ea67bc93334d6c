-- sora doctor: finds what is wrong with a configuration, and prints the commands that repair it. Each spec
-- runs these commands and asks again.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local httpd = require "spec.support.httpd"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local shell = require "spec.support.shell"
local tls = require "spec.support.tls"

local KEY = "sk-right-0123456789"

describe("sora doctor", function()
  local srv, sh = given.server(), shell.new()
  local programs = {}

  before_each(function()
    for name in pairs(sh.env) do sh.env[name] = nil end
  end)
  after_each(function()
    for i, program in ipairs(programs) do
      program:stop()
      programs[i] = nil
    end
  end)

  -- Starts a development server.
  local function serve(...)
    programs[#programs + 1] = process.serve { "--quiet", ... }
    return programs[#programs]
  end

  local function start(options)
    programs[#programs + 1] = httpd.start(options)
    return programs[#programs]
  end

  local function configure(url, key, ...)
    local _, err, status = sh:run { "config", "set", "base_url", url }
    assert.equal(0, status, err)
    if key then
      _, err, status = sh:run({ "key", "set" }, { input = key })
      assert.equal(0, status, err)
    end
    local settings = { ... }
    for i = 1, #settings, 2 do
      _, err, status = sh:run { "config", "set", settings[i], settings[i + 1] }
      assert.equal(0, status, err)
    end
  end

  -- Runs it; no output ever holds the key.
  local function diagnose(...)
    local out, err, status = sh:run { "--json", "doctor", ... }
    assert.equal("", err)
    assert.not_matches(KEY, out, 1, true)
    local found = cjson.decode(out)
    assert.equal(status, found.status)
    assert.equal(status == 0, found.ok)
    found.by_check = {}
    for _, check in ipairs(found.checks) do
      local other = found.by_check[check.check]
      if not other or check.verdict == "bad" then found.by_check[check.check] = check end
    end
    return found
  end

  -- Expects a problem, and returns the commands as one script.
  local function problem(found, status, check, text)
    assert.equal(status, found.status, found.problem)
    assert.equal("bad", (found.by_check[check] or {}).verdict, cjson.encode(found))
    assert.matches(text, found.problem)
    return table.concat(found.repair, "\n")
  end

  -- Runs a script of commands, and then doctor, which must be content.
  local function repair(script, expected)
    if expected then assert.equal(expected, script) end
    local out, status = sh:script("set -e\n" .. script .. "\nsora doctor")
    assert.equal(0, status, out)
    assert.matches("Nothing is wrong", out, 1, true)
    assert.not_matches(KEY, out, 1, true)
    return out
  end

  local JOB_404 = { status = 404, json = { error = { message = "Video not found", code = "not_found" } } }
  local LIST = { json = { object = "list", data = { answers.DONE.json } } }
  local NOT_FOUND = { status = 404, body = "404 page not found",
    headers = { ["Content-Type"] = "text/plain" } }

  -- A server of the format below a path, whose other paths answer as text.
  local function api(server, base)
    server:route("*", "^", NOT_FOUND)
    server:route("*", "^" .. base:gsub("%p", "%%%0") .. "/videos", JOB_404)
    server:route("*", base .. "/videos", LIST)
    return server
  end

  describe("with a server that works", function()
    it("is content, and costs nothing: it sends GETs alone", function()
      local server = serve("--api-key", KEY)
      configure(server.url, KEY)
      local found = diagnose()
      assert.equal(0, found.status, found.problem)
      for _, check in ipairs { "server", "key", "network", "clock", "access", "path", "lists" } do
        assert.equal("ok", found.by_check[check].verdict, check)
      end
      assert.matches("from `sora key set`, profile 'default', 19 characters", found.by_check.key.message, 1,
        true)
      assert.matches("the key is taken", found.by_check.access.message)
    end)

    it("never sends a POST, whatever is wrong", function()
      srv:route("*", "^", { status = 401, json = { error = "no" } })
      configure(srv.url .. "/v1", KEY)
      diagnose()
      srv:route("*", "^", NOT_FOUND)
      diagnose()
      srv:route("*", "^", { status = 500, body = "trouble" })
      diagnose()
      assert.is_true(#srv:requests() > 40)
      for _, request in ipairs(srv:requests()) do assert.equal("GET", request.method) end
      assert.equal("", sh.files:read "state/sora/journal")
    end)

    it("says that the server lists no jobs, and what that means", function()
      api(srv, "/v1"):route("*", "/v1/videos", { status = 405, body = "Method Not Allowed" })
      configure(srv.url .. "/v1", KEY)
      local found = diagnose()
      assert.equal(0, found.status, found.problem)
      assert.equal("?", found.by_check.lists.verdict)
      assert.matches("sora list --remote", found.by_check.lists.message, 1, true)
      assert.equal("?", found.by_check.access.verdict) -- it answers without a key, too
    end)

    it("that is in trouble says so", function()
      srv:route("*", "^", { status = 502, body = "<html><title>502 Bad Gateway</title></html>" })
      configure(srv.url .. "/v1", KEY)
      problem(diagnose(), 1, "access", "in trouble %(HTTP 502%)")
      srv:route("*", "^", { status = 429, json = { error = { message = "slow down" } } })
      problem(diagnose(), 1, "access", "too many requests %(HTTP 429%)")
    end)

    it("that answers an unknown job with 500 is not in trouble", function()
      srv:route("*", "^", NOT_FOUND)
      srv:route("*", "^/v1/videos", { status = 500, json = { error = { message = "no task" } } })
      configure(srv.url .. "/v1", KEY)
      local found = diagnose()
      assert.equal(0, found.status, found.problem)
    end)

    it("whose unknown job looks like an unknown path is known by its list", function()
      srv:route("*", "^", { status = 404, json = { detail = "Not Found" } })
      srv:route("*", "/v1/videos", LIST)
      configure(srv.url .. "/v1", KEY)
      local found = diagnose()
      assert.equal(0, found.status, found.problem)
    end)
  end)

  describe("with a key", function()
    it("that is wrong, asks for another", function()
      local server = serve("--api-key", KEY)
      configure(server.url, "sk-wrong")
      local script = problem(diagnose(), 4, "access", "refuses the key from `sora key set`")
      assert.equal("sora key set", script)
      repair("printf %s " .. KEY .. " | " .. script)
    end)

    it("that is sent the wrong way, finds the right one", function()
      for _, way in ipairs { "x-api-key", "api-key" } do
        local server = serve("--api-key", KEY, "--auth", way)
        configure(server.url, KEY)
        repair(problem(diagnose(), 4, "access", "takes the key as"), "sora config set auth " .. way)
        assert.equal(0, select(3, sh:run { "config", "unset", "auth" }))
      end
    end)

    it("that auth none holds back, sends it", function()
      configure(serve("--api-key", KEY).url, KEY, "auth", "none")
      repair(problem(diagnose(), 4, "access", "takes the key as"), "sora config set auth bearer")
    end)

    it("that is missing, asks for it", function()
      local server = serve("--api-key", KEY)
      configure(server.url)
      local script = problem(diagnose(), 4, "access", "wants a key")
      repair("printf %s " .. KEY .. " | " .. script)
    end)

    it("of another server does not send it, and says so", function()
      configure(srv.url .. "/v1", KEY)
      srv:route("*", "^", { status = 401, json = { error = "no" } })
      configure(srv.url:gsub("127.0.0.1", "localhost") .. "/v1")
      assert.equal("sora key set", problem(diagnose(), 4, "key", "belongs to another server"))
      for _, request in ipairs(srv:requests()) do
        assert.not_matches(KEY, request.raw_head, 1, true)
      end
    end)

    it("in SORA_API_KEY without SORA_BASE_URL, puts it where it counts", function()
      local server = serve("--api-key", KEY)
      configure(server.url, nil, "auth", "bearer")
      sh.env.SORA_API_KEY = KEY
      local found = diagnose()
      assert.equal("?", found.by_check.key.verdict)
      repair(problem(found, 4, "access", "only used with SORA_BASE_URL"),
        'printf %s "$SORA_API_KEY" | sora key set')
    end)

    it("with quotes, a blank or 'Bearer' tells of it, not of the server", function()
      sh.env.SORA_BASE_URL = srv.url .. "/v1"
      for key, text in pairs { ["Bearer " .. KEY] = "begins with 'Bearer'", ['"' .. KEY .. '"'] = "quotes",
        [KEY .. " "] = "at its end", ["sk-…"] = "a character that keys never have" } do
        sh.env.SORA_API_KEY = key
        assert.equal("export SORA_API_KEY=KEY", problem(diagnose(), 2, "key", text))
      end
      assert.same({}, srv:requests())
    end)

    it("of a command that fails, shows the command", function()
      configure(srv.url .. "/v1", nil, "key_command", "exit 3")
      assert.equal("exit 3", problem(diagnose(), 2, "key", "gave no key"))
    end)

    it("that is raw in SORA_API_KEY moves the server into a profile", function()
      local server = serve("--api-key", KEY, "--auth", "raw")
      sh:use(server.url, KEY)
      repair(problem(diagnose(), 4, "access", "takes the key as"), table.concat({
        "sora config set base_url " .. server.url, "sora config set auth raw",
        'printf %s "$SORA_API_KEY" | sora key set', "unset SORA_BASE_URL SORA_API_KEY" }, "\n"))
    end)

    it("that is raw beside a default profile gets a profile of its own", function()
      local server = serve("--api-key", KEY, "--auth", "raw")
      configure "http://127.0.0.1:9/v1"
      sh:use(server.url, KEY)
      local script = problem(diagnose(), 4, "access", "takes the key as")
      assert.equal(table.concat({ "sora --profile 127-0-0-1 config set base_url " .. server.url,
        "sora --profile 127-0-0-1 config set auth raw",
          'printf %s "$SORA_API_KEY" | sora --profile 127-0-0-1 key set',
        "sora --profile 127-0-0-1 doctor" }, "\n"), script)
      local out, status = sh:script(script)
      assert.equal(0, status, out)
    end)

    it("is found for --base-url, and set again where it was found", function()
      local server = serve("--api-key", KEY)
      configure(server.url, "sk-wrong")
      local script = problem(diagnose("--base-url", server.url), 4, "access", "refuses the key")
      assert.equal("sora key set", script)
      repair("printf %s " .. KEY .. " | " .. script)
      local found = diagnose("--base-url", server.origin)
      assert.equal("sora --base-url " .. server.url .. " doctor",
        problem(found, 2, "path", "video API at /v1/videos"))
      assert.equal(0, select(2, sh:script(found.repair[1])))
    end)

    it("is only tried on the origin of the base URL", function()
      local other = start()
      other:route("*", "^", LIST)
      srv:route("*", "^/v1", { status = 302, headers = { Location = other.url .. "/v1/videos" } })
      configure(srv.url .. "/v1", KEY)
      diagnose()
      for _, request in ipairs(other:requests()) do assert.not_matches(KEY, request.raw_head, 1, true) end
      assert.is_true(#other:requests() > 0)
    end)
  end)

  describe("with a base URL", function()
    it("that ends in the path of a call, cuts it off", function()
      local server = serve()
      for _, call in ipairs { "/videos", "/videos/", "/videos/video_123", "/chat/completions" } do
        sh.env.SORA_BASE_URL = server.url .. call
        repair(problem(diagnose(), 2, "server", "ends in the path of a call"), "export SORA_BASE_URL="
          .. server.url)
      end
    end)

    it("that has no scheme, quotes, a password or a fragment, writes it right", function()
      local server = serve()
      for _, url in ipairs { server.url:gsub("http://", ""), "http:/" .. server.url:gsub("http://", ""),
        '"' .. server.url .. '"', server.url .. " ", server.url:gsub("//", "//me:secret-word@"), server.url
          .. "#top" } do
        sh.env.SORA_BASE_URL = url
        local found = diagnose()
        assert.not_matches("secret-word", cjson.encode(found), 1, true)
        repair(problem(found, 2, "server", "^The base URL"), "export SORA_BASE_URL=" .. server.url)
      end
    end)

    it("that lacks /v1, adds it", function()
      local server = serve("--api-key", KEY)
      configure(server.origin, KEY)
      repair(problem(diagnose(), 2, "path", "video API at /v1/videos/{id}"),
        "sora config set base_url " .. server.origin .. "/v1")
    end)

    it("that lacks /v1 finds it behind web pages that answer everything", function()
      api(srv, "/v1"):route("*", "^/[^v]", { body = "<html><title>Console</title></html>" })
      srv:route("*", "^/videos", { body = "<html><title>Console</title></html>" })
      sh.env.SORA_BASE_URL = srv.url
      repair(problem(diagnose(), 2, "path", "video API at /v1/videos/{id}"), "export SORA_BASE_URL="
        .. srv.url .. "/v1")
    end)

    it("that has a /v1 too many, or another path, finds the right one", function()
      for base, wrong in pairs { ["/api/v1"] = "/v1", ["/openai/v1"] = "", ["/gateway"] = "/gateway/v1" } do
        api(srv, base)
        sh.env.SORA_BASE_URL = srv.url .. wrong
        repair(problem(diagnose(), 2, "path", "video API at " .. base .. "/videos"),
          "export SORA_BASE_URL=" .. srv.url .. base)
      end
    end)

    it("whose server has other paths, finds the dialect", function()
      for dialect, path in pairs { ["newapi-generations"] = "^/v1/video/generations/",
        ["video-query"] = "/v1/video/query" } do
        srv:route("*", "^", NOT_FOUND)
        srv:route("GET", path, JOB_404)
        configure(srv.url .. "/v1", KEY)
        repair(problem(diagnose(), 2, "path", "video API at /v1/video/"), "sora config set dialect "
          .. dialect)
        assert.equal(0, select(3, sh:run { "config", "unset", "dialect" }))
      end
    end)

    it("and a dialect that is another server's, goes back to the format's own", function()
      api(srv, "/v1")
      configure(srv.url .. "/v1", KEY, "dialect", "video-query")
      repair(problem(diagnose(), 2, "path", "video API at /v1/videos"), "sora config set dialect openai")
    end)

    it("without any video API below it, says so", function()
      srv:route("*", "^", { body = "<html><title>Welcome</title></html>" })
      sh.env.SORA_BASE_URL = srv.url .. "/v1"
      assert.equal("export SORA_BASE_URL=https://gateway.example/v1",
        problem(diagnose(), 2, "path", "no video API was found"))
    end)

    it("of OpenAI, tells when its service ended", function()
      sh.env.OPENAI_BASE_URL, sh.env.OPENAI_API_KEY = "https://api.openai.com/v1", KEY
      problem(diagnose(), 2, "server", "2026%-09%-24")
    end)

    it("below a folder that is called videos is right", function()
      local server = serve("--base-path", "/videos/v1")
      sh.env.SORA_BASE_URL = server.url
      local found = diagnose()
      assert.equal(0, found.status, found.problem)
    end)

    it("that redirects to https, goes there", function()
      local certificates = tls.certificates()
      local secure = api(start { tls = certificates.server }, "/v1")
      srv:route("*", "^http://localhost/", { status = 301,
        headers = { Location = "https://localhost/v1/videos" } })
      srv:route("CONNECT", "localhost:443", { status = 200, tunnel = secure.port })
      sh.env.http_proxy, sh.env.https_proxy = srv.url, srv.url -- which gives both servers their usual ports
      configure("http://localhost/v1", nil, "ca_file", certificates.ca)
      repair(problem(diagnose(), 2, "network", "redirects; it is at https://localhost/v1"),
        "sora config set base_url https://localhost/v1")
    end)

    it("that redirects to where the key is not sent, shows how to find the address", function()
      local other = serve("--api-key", KEY)
      srv:route("*", "^/v1", { status = 308, headers = { Location = other.origin .. "/v1/videos" } })
      configure(srv.url .. "/v1", KEY)
      local script = problem(diagnose(), 2, "access", "redirects, perhaps to another one")
      assert.equal("curl -sI " .. srv.url .. "/v1/videos", script)
      assert.matches("Location: " .. other.url .. "/videos", (process.run(script)), 1, true)
    end)
  end)

  describe("without a network", function()
    it("says that nothing listens", function()
      configure(httpd.refused_url() .. "/v1", KEY)
      local script = problem(diagnose(), 6, "network", "Nothing listens at 127.0.0.1, port")
      local server = serve("--api-key", KEY)
      repair((script:gsub("http://127.0.0.1:PORT/v1", server.url):gsub("sora key set",
        "printf %%s " .. KEY .. " | %0")))
    end)

    it("says that nothing listens at a Unix socket", function()
      configure(serve("--api-key", KEY).url, KEY, "unix_socket", sh.files:at "none.sock")
      repair(problem(diagnose(), 6, "network", "Nothing listens at the Unix socket"),
        "sora config unset unix_socket")
    end)

    it("says that there is no such host", function()
      sh.env.SORA_BASE_URL = "https://nobody.invalid/v1"
      local script = problem(diagnose(), 6, "network", "There is no host 'nobody.invalid'")
      repair((script:gsub("https://gateway.example/v1", (serve().url:gsub("%%", "%%%%")))))
    end)

    it("says that there is no answer", function()
      sh.env.SORA_BASE_URL = httpd.blackhole() .. "/v1"
      problem(diagnose("--timeout", "0.3"), 6, "network", "does not answer")
    end)

    it("finds out that a proxy fails", function()
      local server = serve("--api-key", KEY)
      configure(server.url, KEY)
      sh.env.http_proxy = httpd.refused_url()
      repair(problem(diagnose(), 6, "proxy", "proxy .* %(from http_proxy%) fails"),
        "export no_proxy=127.0.0.1")
      sh.env.http_proxy = nil
      configure(server.url, KEY, "proxy", httpd.refused_url())
      repair(problem(diagnose(), 6, "proxy", "from the profile"), "sora config unset proxy")
    end)

    it("works with a proxy, whose password is not shown", function()
      api(srv, "/v1")
      sh.env.SORA_BASE_URL = "http://far.invalid/v1"
      sh.env.http_proxy = srv.url:gsub("//", "//user:pr0xy-word@")
      srv:route("*", "^http://far.invalid/v1/videos/", JOB_404)
      srv:route("*", "http://far.invalid/v1/videos", LIST)
      local out, _, status = sh:run { "doctor" }
      assert.equal(0, status, out)
      assert.matches("proxy +ok +http://…@127.0.0.1", out)
      assert.not_matches("pr0xy%-word", out)
    end)

    it("tells what a proxy wants, and that nothing answers with or without it", function()
      srv:route("*", "^", { status = 407, body = "no" })
      sh.env.SORA_BASE_URL, sh.env.http_proxy = "http://far.invalid/v1", srv.url
      local wanted = "http_proxy=http://USER:PASSWORD@" .. srv.url:gsub("http://", "")
      assert.equal("export " .. wanted, problem(diagnose(), 6, "proxy", "wants a user name and a password"))
      sh.env.SORA_BASE_URL, sh.env.https_proxy = "https://far.invalid/v1", srv.url
      assert.equal("export https_proxy=http://USER:PASSWORD@" .. srv.url:gsub("http://", ""),
        problem(diagnose(), 6, "proxy", "wants a user name and a password"))
      sh.env.SORA_BASE_URL, sh.env.https_proxy = "http://far.invalid/v1", nil
      srv:route("*", "^", { status = 502, body = "no" })
      local found = diagnose() -- a proxy answers for a server that it cannot reach
      assert.equal(1, found.status)
      sh.env.http_proxy = httpd.refused_url()
      problem(diagnose(), 6, "proxy", "Neither the proxy .* answers, nor the server")
    end)

    it("tells https from http", function()
      local certificates = tls.certificates()
      local secure = api(start { tls = certificates.server }, "/v1")
      sh.env.SORA_BASE_URL = "http://localhost:" .. secure.port .. "/v1"
      assert.equal("export SORA_BASE_URL=https://localhost:" .. secure.port .. "/v1",
        problem(diagnose(), 6, "network", "speaks https there, not http"))
      local plain = serve()
      sh.env.SORA_BASE_URL = plain.url:gsub("http", "https", 1)
      repair(problem(diagnose(), 6, "network", "speaks plain http there"), "export SORA_BASE_URL="
        .. plain.url)
    end)
  end)

  describe("with a certificate", function()
    local certificates
    setup(function() certificates = tls.certificates() end)

    local function secure(name)
      return api(start { tls = certificates[name] }, "/v1").url .. "/v1"
    end

    it("of an unknown CA, asks for the CA", function()
      configure(secure "server")
      local script = problem(diagnose(), 6, "network", "signed by a CA that this computer does not know")
      assert.equal("sora config set ca_file /path/to/ca.pem", script)
      repair((script:gsub("/path/to/ca.pem", certificates.ca)))
    end)

    it("of a CA that another program's variable names, finds it", function()
      configure(secure "server")
      sh.env.REQUESTS_CA_BUNDLE = certificates.ca
      repair(problem(diagnose(), 6, "network", "signed by a CA that only"), "sora config set ca_file "
        .. certificates.ca)
    end)

    it("that signs itself, fetches it", function()
      configure(secure "self_signed")
      local script = problem(diagnose(), 6, "network", "signed by itself")
      assert.matches("openssl s_client", script, 1, true)
      repair(script)
    end)

    it("that has expired, says so and not that the clock is wrong", function()
      configure(secure "expired", nil, "ca_file", certificates.ca)
      local script = problem(diagnose(), 6, "network", "certificate has expired; its operator must renew it")
      assert.matches("notAfter", (process.run(script)))
      configure(secure "other_name", nil, "ca_file", certificates.ca)
      script = problem(diagnose(), 6, "network", "not for the name localhost")
      assert.matches("other.example", (process.run(script)))
    end)

    it("that is not yet valid, while the clock is behind, blames the clock", function()
      local server = start { tls = certificates.not_yet_valid }
      server:route("*", "^", { json = {}, headers = { Date = "Wed, 01 Feb 2040 00:00:00 GMT" } })
      configure(server.url .. "/v1", nil, "ca_file", certificates.ca)
      problem(diagnose(), 2, "clock", "clock of this computer is %d+ d behind the server's")
    end)

    it("of the client, that the server demands or refuses", function()
      local server, ours = certificates.server, certificates.client
      local strict = start { tls = { cert = server.cert, key = server.key, client_ca = certificates.ca } }
      configure(api(strict, "/v1").url .. "/v1", KEY, "ca_file", certificates.ca)
      local script = problem(diagnose(), 6, "network", "demands a client certificate")
      assert.equal("sora config set cert_file /path/to/client.pem\nsora config set key_file "
        .. "/path/to/its-key.pem", script)
      configure(strict.url .. "/v1", KEY, "cert_file", ours.unknown, "key_file", ours.key)
      problem(diagnose(), 6, "network", "refuses the client certificate of cert_file")
      configure(strict.url .. "/v1", KEY, "cert_file", ours.cert, "key_file", server.key)
      problem(diagnose(), 6, "network", "cert_file and key_file must belong together")
      repair((script:gsub("/path/to/client.pem", ours.cert):gsub("/path/to/its%-key.pem", ours.key)))
    end)

    it("file that is missing, takes it out", function()
      local server = serve()
      configure(server.url, nil, "ca_file", "/nonexistent/ca.pem")
      repair(problem(diagnose(), 2, "settings", "There is no file /nonexistent/ca.pem"),
        "sora config unset ca_file")
    end)
  end)

  it("compares the clocks", function()
    for seconds, text in pairs { [-7200] = "2 h 0 min ahead of the server's",
      [630] = "10 min 30 s behind the server's" } do
      srv:route("*", "^", { status = 404, json = { error = "Video not found" },
        headers = { Date = rig.http_date(seconds) } })
      srv:route("*", "/v1/videos", { json = LIST.json, headers = { Date = rig.http_date(seconds) } })
      configure(srv.url .. "/v1")
      problem(diagnose(), 2, "clock", text:sub(1, 5))
    end
  end)

  describe("on this computer", function()
    it("without any configuration, tells the first commands", function()
      local server = serve("--api-key", KEY)
      local script = problem(diagnose(), 2, "server", "No server is configured")
      assert.equal("sora config set base_url https://gateway.example/v1\nsora key set", script)
      repair((script:gsub("https://gateway.example/v1", server.url):gsub("sora key set",
        "printf %%s " .. KEY .. " | %0")))
    end)

    it("moves a broken config.json away", function()
      sh.files:run "mkdir -p config/sora"
      sh.files:write("config/sora/config.json", '{ "profiles": ')
      local path = sh.files:at "config/sora/config.json"
      local script = problem(diagnose(), 2, "files", "is not a JSON object")
      assert.equal(("mv %s %s.broken"):format(path, path), script)
      sh:use(serve().url)
      repair(script)
    end)

    it("moves a config.json away whose profiles are none", function()
      sh.files:run "mkdir -p config/sora"
      sh.files:write("config/sora/config.json", '{ "profiles": { "default": 5 } }')
      local script = problem(diagnose(), 2, "files", "profile 'default' is not an object")
      sh:use(serve().url)
      repair(script)
    end)

    it("shows no value of a query, which may be a key", function()
      api(srv, "/v1")
      sh.env.SORA_BASE_URL = srv.url .. "/v1/videos?api-version=preview&code=secret-word"
      local found = diagnose()
      assert.equal(("export SORA_BASE_URL='%s/v1?api-version=preview&code=…'"):format(srv.url),
        problem(found, 2, "server", "path of a call"))
      assert.not_matches("secret-word", cjson.encode(found), 1, true)
    end)

    it("finds settings that an editor broke", function()
      sh.files:run "mkdir -p config/sora"
      local server = serve()
      for name, case in pairs { dialect = { "newapi-generation", "config set dialect newapi-generations" },
        auth = { "x-api-kye", "config set auth x-api-key" }, proxy = { 8080, "config unset proxy" } } do
        sh.files:write("config/sora/config.json",
          cjson.encode { profiles = { default = { base_url = server.url,
          [name] = case[1] } } })
        assert.equal("sora " .. case[2], problem(diagnose(), 2, "settings", ""))
      end
    end)

    it("closes keys.json for others", function()
      local server = serve("--api-key", KEY)
      configure(server.url, KEY)
      sh.files:run "chmod 644 config/sora/keys.json"
      local found = diagnose()
      assert.equal("ok", found.by_check.lists.verdict) -- everything else is looked at
      repair(problem(found, 2, "files", "can read the keys"), "chmod 600 "
        .. sh.files:at "config/sora/keys.json")
    end)

    it("says that the journal cannot be written", function()
      sh:use(serve().url)
      sh.files:write("state", "a file, where a folder should be")
      local script = problem(diagnose(), 2, "journal", "journal cannot be written")
      repair(script, "export XDG_STATE_HOME=" .. sh.files.path .. "/.local/state")
    end)
  end)

  it("--all checks every profile and the environment, each with its own key", function()
    local one, two = serve("--api-key", KEY), serve("--api-key", "sk-two")
    configure(one.url, KEY)
    assert.equal(0, select(3, sh:run { "--profile", "two", "config", "set", "base_url", two.url }))
    assert.equal(0, select(3, sh:run({ "key", "set", "two" }, { input = "sk-wrong" })))
    sh.env.OPENAI_BASE_URL, sh.env.OPENAI_API_KEY = one.url, KEY
    local out, _, status = sh:run { "--json", "doctor", "--all" }
    local found = cjson.decode(out)
    assert.equal(4, status)
    assert.same({ "OPENAI_BASE_URL", "profile 'default'", "profile 'two'" }, rig.pluck(found.servers, "from"))
    assert.same({ 0, 0, 4 }, rig.pluck(found.servers, "status"))
    assert.same({ "sora --profile two key set" }, found.servers[3].repair)
    out = sh:run { "doctor", "--all" }
    assert.matches("\nprofile 'two'\n", out, 1, true)
  end)

  it("prints a line for each check, and keeps to the terminal", function()
    configure(serve("--api-key", KEY).url, "sk-wrong")
    local out, err, status = sh:run { "doctor" }
    assert.same({ "", 4 }, { err, status })
    assert.matches("\naccess   bad  the key is refused", out, 1, true)
    assert.matches("\n\nThe server refuses the key from [^\n]*\n  sora key set\n$", out)
    assert.not_matches("\27", out)
    local screen = sh:terminal({ "doctor" }, { columns = 60 })
    assert.matches("\27[31mbad\27[0m", screen, 1, true)
    for line in screen:gsub("\27%[[%d;]*m", ""):gmatch "[^\n]+" do
      assert.is_true(#line <= 60 or line:find "^ %s+%S+$" ~= nil, line)
    end
    out = sh:run { "-q", "doctor" }
    assert.matches("^The server refuses the key from [^\n]*\n  sora key set\n$", out)
  end)

  it("ends at once with Ctrl-C", function()
    srv:route("*", "^", { hold = true })
    configure(srv.url .. "/v1", KEY)
    local program = sh:start { "doctor" }
    srv:wait_requests(1)
    program:kill "INT"
    assert.equal(130, (program:finish()))
  end)

  it("refuses a profile that does not exist", function()
    local _, err, status = sh:run { "--profile", "none", "doctor" }
    assert.equal(2, status)
    assert.matches("there is no profile 'none'", err, 1, true)
  end)
end)
