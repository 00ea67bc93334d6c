-- sora config and sora key: where the server and its key come from, and that a key goes nowhere else.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local shell = require "spec.support.shell"

describe("the command's settings", function()
  local srv, sh = given.server(), shell.new()
  local files = sh.files

  before_each(function()
    for name in pairs(sh.env) do sh.env[name] = nil end
    srv:route("GET", "^", answers.DONE)
  end)

  local function configure(...)
    local _, err, status = sh:run { "config", "set", ... }
    assert.equal(0, status, err)
  end

  local function set_key(key, profile)
    local _, err, status = sh:run({ "key", "set", profile }, { input = key .. "\n" })
    assert.equal(0, status, err)
  end

  -- The path and the key of the request that the arguments cause.
  local function asked(...)
    local before = #srv:requests()
    local _, err, status = sh:run { "get", "v", ... }
    assert.equal(0, status, err)
    local request = srv:requests()[before + 1]
    return request.target, request.headers.authorization
  end

  it("are kept for their owner alone, and the key apart", function()
    configure("base_url", srv.url .. "/v1")
    set_key "sk-one"
    assert.same({ "/v1/videos/v", "Bearer sk-one" }, { asked() })
    assert.not_matches("sk-one", files:read "config/sora/config.json", 1, true)
    assert.matches("sk-one", files:read "config/sora/keys.json", 1, true)
    local modes = process.output("cd " .. process.quote(files.path)
      .. " && mkdir -p state && stat -c %a config/sora config/sora/keys.json config/sora/config.json")
    assert.equal("700\n600\n600\n", modes)
    local out = sh:run { "config" }
    assert.matches("base_url     " .. srv.url, out, 1, true)
    assert.not_matches("sk-one", out, 1, true)
  end)

  it("send SORA_API_KEY to SORA_BASE_URL alone, however a profile sends its key", function()
    configure("base_url", srv.url .. "/v1")
    configure("auth", "raw")
    sh.env.SORA_API_KEY = "sk-sora"
    assert.same({ "/v1/videos/v" }, { asked() })
  end)

  it("come from the flag, SORA_*, the profile and OPENAI_*, in this order, each with its own key", function()
    sh.env.OPENAI_BASE_URL, sh.env.OPENAI_API_KEY = srv.url .. "/openai", "sk-openai"
    assert.same({ "/openai/videos/v", "Bearer sk-openai" }, { asked() })
    configure("base_url", srv.url .. "/profile")
    set_key "sk-profile"
    assert.same({ "/profile/videos/v", "Bearer sk-profile" }, { asked() })
    sh.env.SORA_BASE_URL = srv.url .. "/sora"
    assert.same({ "/sora/videos/v" }, { asked() }) -- without SORA_API_KEY no key, and no other one
    sh.env.SORA_API_KEY = "sk-sora"
    assert.same({ "/sora/videos/v", "Bearer sk-sora" }, { asked() })
    assert.same({ "/profile/videos/v", "Bearer sk-profile" }, { asked("--profile", "default") })
    assert.same({ "/flag/videos/v", "Bearer sk-sora" }, { asked("--base-url", srv.url .. "/flag") })
  end)

  it("send no key to a server that its source does not name", function()
    sh.env.SORA_BASE_URL, sh.env.SORA_API_KEY = "http://gateway.example/v1", "sk-sora"
    assert.same({ "/v1/videos/v" }, { asked("--base-url", srv.url .. "/v1") })
    sh.env.SORA_BASE_URL = nil -- SORA_API_KEY alone belongs to no server
    sh.env.OPENAI_BASE_URL = srv.url .. "/v1"
    assert.same({ "/v1/videos/v" }, { asked() })
  end)

  it("send a stored key to no other origin than the one it was set for", function()
    configure("base_url", "https://gateway.example/v1")
    set_key "sk-one"
    configure("base_url", srv.url .. "/v1")
    local _, err = sh:run { "get", "v" }
    assert.is_nil(srv:requests()[1].headers.authorization)
    assert.matches("was set for https://gateway.example, so it is not sent to " .. srv.url, err, 1, true)
  end)

  it("have profiles, of which one is the default", function()
    configure("base_url", srv.url .. "/one")
    sh:run { "--profile", "work", "config", "set", "base_url", srv.url .. "/two" }
    set_key("sk-two", "work")
    assert.same({ "/two/videos/v", "Bearer sk-two" }, { asked("--profile", "work") })
    assert.same({ "/one/videos/v" }, { asked() })
    configure("profile", "work")
    assert.same({ "/two/videos/v", "Bearer sk-two" }, { asked() })
    local _, err, status = sh:run { "get", "v", "--profile", "wrok" }
    assert.equal(2, status)
    assert.matches("there is no profile 'wrok'", err, 1, true)
  end)

  it("take the key from a command's output", function()
    configure("base_url", srv.url .. "/v1")
    configure("key_command", "printf 'sk-%s\\nnoise\\n' pass")
    assert.same({ "/v1/videos/v", "Bearer sk-pass" }, { asked() })
    configure("key_command", "echo sk-no; exit 3")
    local _, err, status = sh:run { "get", "v" }
    assert.equal(2, status)
    assert.matches("key_command 'echo sk-no; exit 3' gave no key", err, 1, true)
  end)

  it("give sora make its defaults, and the client its dialect", function()
    configure("base_url", srv.url .. "/v1")
    configure("model", "sora-2-pro")
    configure("dialect", "azure")
    set_key "sk-one"
    srv:route("POST", "^", answers.QUEUED)
    sh:run { "make", "p", "--no-wait" }
    local request = srv:requests()[1]
    assert.same({ "sora-2-pro", "sk-one" }, { cjson.decode(request.body).model, request.headers["api-key"] })
  end)

  it("are shown, set and unset one by one", function()
    configure("model", "m")
    assert.same({ "m\n", "", 0 }, { sh:run { "config", "get", "model" } })
    assert.equal(0, select(3, sh:run { "config", "unset", "model" }))
    assert.equal(2, select(3, sh:run { "config", "get", "model" }))
  end)

  it("take the first line of a key_command that is not blank, without blanks around it", function()
    configure("base_url", srv.url .. "/v1")
    for _, output in ipairs { "sk-one\\r\\n", "  sk-one \\nsecond", "\\n\\nsk-one" } do
      configure("key_command", "printf '" .. output .. "'")
      assert.same({ "/v1/videos/v", "Bearer sk-one" }, { asked() })
    end
  end)

  it("are told with --json when they change", function()
    local function object(...)
      local out, err, status = sh:run({ "--json", ... }, { input = "sk-one\n" })
      assert.same({ "", 0 }, { err, status })
      return cjson.decode(out)
    end
    assert.same({ base_url = srv.url .. "/v1" }, object("config", "set", "base_url", srv.url .. "/v1"))
    assert.same({ base_url = cjson.null }, object("config", "unset", "base_url"))
    configure("base_url", srv.url .. "/v1")
    assert.same({ profile = "default", key = "set", origin = srv.url }, object("key", "set"))
    assert.same({ profile = "default", key = "removed" }, object("key", "rm"))
  end)

  it("are refused where they cannot be right", function()
    for _, case in ipairs {
      { { "set", "base_url", "gateway.example/v1" }, "does not begin with http:// or https://\n"
        .. "  Write:  sora config set base_url https://gateway.example/v1\n" },
      { { "set", "base_url", "https://me:secret@gateway.example/v1" },
        "base_url 'https://…@gateway.example/v1' holds a user name or a password" },
      { { "set", "auth", "basic" }, "auth is 'basic'; expected bearer, api-key, x-api-key, raw or none\n" },
      { { "set", "base_url", "https://gateway.example/v1/videos" },
        "config set base_url https://gateway.example/v1\n" },
      { { "set", "dialect", "azur" }, "did you mean 'azure'" }, { { "set", "modle", "x" },
        "did you mean 'model'" },
      { { "set", "key", "sk-x" }, "sora key set" }, { { "set", "model" }, "the value is missing" },
      { { "frobnicate" }, "must be one of" },
    } do
      local arguments = { "config" }
      for _, word in ipairs(case[1]) do arguments[#arguments + 1] = word end
      local _, err, status = sh:run(arguments)
      assert.equal(2, status)
      assert.matches(case[2], err, 1, true)
    end
    assert.is_nil(files:read "config/sora/config.json")
  end)

  it("that are broken are told, and left as they are", function()
    files:run "mkdir -p config/sora"
    files:write("config/sora/config.json", "{ not json")
    for _, arguments in ipairs { { "get", "v" }, { "config", "set", "model", "x" } } do
      local _, err, status = sh:run(arguments)
      assert.equal(2, status)
      assert.matches("config.json is not a JSON object", err, 1, true)
    end
    assert.equal("{ not json", files:read "config/sora/config.json")
  end)

  it("say where they cannot be written", function()
    files:write("config", "a file")
    local _, err, status = sh:run { "config", "set", "model", "x" }
    assert.equal(2, status)
    assert.matches(files:at "config", err, 1, true)
    files:clear()
    _, err, status = sh:run({ "get", "v", "--base-url", srv.url },
      { env = { XDG_STATE_HOME = "/dev/null/x" } })
    assert.equal(2, status)
    assert.matches("/dev/null", err, 1, true)
  end)
end)

describe("a refused key", function()
  local srv, sh = given.server(), shell.new()

  before_each(function()
    for name in pairs(sh.env) do sh.env[name] = nil end
    srv:route("GET", "^", { status = 401, json = { error = { message = "no" } } })
  end)

  -- Runs what the command advises; the server takes sk-right only. Returns the key that is sent then.
  local function repaired(env, ...)
    local _, err, status = sh:run({ "get", "v", ... }, { env = env })
    assert.equal(4, status)
    local advice = err:match "one:  ([^\n]*)\n"
    local commands = advice:gsub("KEY$", "sk-right"):gsub("COMMAND$", "'echo sk-right'")
      :gsub("key set", "key set <key")
    sh.files:write("key", "sk-right\n")
    srv:reset()
    srv:route("GET", "^", answers.DONE)
    local exports = ""
    for name, value in pairs(env) do exports = exports .. ("export %s=%s; "):format(name, value) end
    sh:script(exports .. commands .. "; sora get v " .. table.concat({ ... }, " "))
    return srv:requests()[#srv:requests()].headers.authorization
  end

  it("is replaced by the advice that comes with it, wherever the key came from", function()
    local url = srv.url .. "/v1"
    assert.equal("Bearer sk-right", repaired { SORA_BASE_URL = url, SORA_API_KEY = "sk-wrong" })
    srv:route("GET", "^", { status = 401, json = { error = { message = "no" } } })
    assert.equal("Bearer sk-right", repaired { SORA_BASE_URL = url })
    srv:route("GET", "^", { status = 401, json = { error = { message = "no" } } })
    assert.equal("Bearer sk-right", repaired({}, "--base-url", url))
    srv:route("GET", "^", { status = 401, json = { error = { message = "no" } } })
    sh.files:clear()
    sh:run { "config", "set", "base_url", url }
    assert.equal("Bearer sk-right", repaired {})
    srv:route("GET", "^", { status = 401, json = { error = { message = "no" } } })
    sh.files:clear()
    sh:run { "config", "set", "base_url", url }
    sh:run { "config", "set", "key_command", "echo sk-wrong" }
    assert.equal("Bearer sk-right", repaired {})
  end)

  it("is advised upon in words that a shell reads, also for a profile with a blank", function()
    sh:run { "--profile", "my own", "config", "set", "base_url", srv.url .. "/v1" }
    local _, err = sh:run { "--profile", "my own", "get", "v" }
    assert.matches("one:  sora --profile 'my own' key set\n", err, 1, true)
    assert.matches("  sora --profile 'my own' doctor\n", err, 1, true)
  end)
end)

describe("sora key", function()
  local sh = shell.new()

  before_each(function() sh:run { "config", "set", "base_url", "https://gateway.example/v1" } end)

  local function keys() return cjson.decode(sh.files:read "config/sora/keys.json") end

  it("set reads from the terminal without showing what is typed", function()
    local text, status = sh:terminal({ "key", "set" },
      { dialog = { { "Key for https://gateway.example (profile default): ", "sk-typed\n" } } })
    assert.equal(0, status, text)
    assert.not_matches("sk-typed", text, 1, true)
    assert.same({ default = { key = "sk-typed", origin = "https://gateway.example" } }, keys())
  end)

  it("set shows what is typed again, also after Ctrl-C", function()
    local text, status = sh:terminal({ "key", "set" },
      { dialog = { { "): ", "sk-typ\3" } }, after = "stty -a" })
    assert.equal(0, status)
    assert.not_matches("sk-typ", text, 1, true)
    assert.matches("status 130", text, 1, true)
    assert.matches(" echo ", text, 1, true)
    assert.matches("\nisig ", text, 1, true)
    assert.matches("eol = <undef>", text, 1, true)
    assert.is_nil(sh.files:read "config/sora/keys.json")
  end)

  it("set refuses an empty key, and one with blanks", function()
    for _, typed in ipairs { "", "\n", "sk a\n", "sk\1\n" } do
      assert.equal(2, select(3, sh:run({ "key", "set" }, { input = typed })))
    end
    assert.is_nil(sh.files:read "config/sora/keys.json")
  end)

  it("set needs a profile with a server", function()
    local _, err, status = sh:run({ "key", "set", "work" }, { input = "sk-x\n" })
    assert.equal(2, status)
    assert.matches("sora --profile work config set base_url", err, 1, true)
  end)

  it("rm removes it", function()
    sh:run({ "key", "set" }, { input = rig.KEY .. "\n" })
    assert.equal(0, select(3, sh:run { "key", "rm" }))
    assert.same({}, keys())
    assert.equal(2, select(3, sh:run { "key", "rm" }))
  end)

  it("takes no key as an argument", function()
    assert.equal(2, select(3, sh:run { "key", "set", "default", "sk-x" }))
  end)
end)
