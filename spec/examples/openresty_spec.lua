-- The example for OpenResty: a page that makes films. Its requests, its limits, and what remains of the jobs
-- when nginx is reloaded, killed or stopped, all in a real nginx with two workers.
local cjson = require("cjson.safe").new()
local cqueues = require "cqueues"
local curl = require "spec.support.curl"
local film_site = require "spec.support.film_site"
local load = require "spec.support.load"
local media = require "sora.server.media"
local nginx = require "spec.support.nginx"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local webhook = require "sora.server.webhook"

local unpack = table.unpack or unpack -- luacheck: std max

local function film_of(prompt)
  local film = media.open("video", nil, prompt)
  return film.read(0, film.length)
end

describe("the OpenResty example #once", function()
  setup(nginx.build)

  local site
  local function start(options, prepare)
    site = film_site.start(options or { "--duration", "1" }, prepare)
    finally(function() site:stop() end)
    return site:user()
  end

  local function run(...)
    local loop = cqueues.new()
    for _, work in ipairs { ... } do loop:wrap(work) end
    assert(loop:loop(patience.LIMIT))
    assert(loop:empty(), "some users wait in vain; nginx has logged:\n" .. site:log())
  end

  local function jobs_created()
    return site:dev("GET", "/dev/stats").jobs_created
  end

  describe("answers", function()
    local ID = film_site.id(1)

    it("with a page whose cookie is HttpOnly and SameSite, under a strict policy", function()
      local user = start()
      assert.equal(200, user.page.status)
      assert.matches("^user=%x+%.[%w_-]+; Path=/; Max%-Age=%d+; HttpOnly; SameSite=Lax$", user.set_cookie)
      assert.matches("default%-src 'none'; script%-src 'self'", user.page.headers["content-security-policy"])
      assert.is_nil(user.page.body:find "<script>")
      assert.is_nil(user:ask("GET", "/").headers["set-cookie"])
      for _, path in ipairs { "/data/journal", "/saved/journal", "/saved/secret", "/data/secret", "/site.lua",
        "/films/../data/secret", "/saved/../site.lua" } do
        assert.is_true(user:ask("GET", path).status >= 400, path)
      end
    end)

    it("405 to a GET of /films, and makes nothing", function()
      local user = start()
      local answer = user:ask("GET", "/films?prompt=a&id=" .. ID)
      assert.equal(405, answer.status)
      assert.equal("POST", answer.headers.allow)
      assert.equal(0, jobs_created())
    end)

    it("403 to a POST from another site, from nobody, and with a forged cookie", function()
      local user = start()
      local cookie = user.cookie
      for _, headers in ipairs {
        { ["Sec-Fetch-Site"] = "cross-site", Origin = "http://evil.example" },
        { ["Sec-Fetch-Site"] = "same-site" },
        { Origin = "http://evil.example" },
        { Origin = "null" },
        { Origin = "http://localhost.evil.example" },
        { Cookie = "user=" },
        { Cookie = "user=0123.abc" },
        { Cookie = cookie:gsub("=%x%x", "=ff") .. "x" },
        { Cookie = cookie:sub(1, -2) .. (cookie:sub(-1) == "A" and "B" or "A") },
      } do
        local answer, body = user:post(ID, "a fox", headers)
        assert.equal(403, answer.status)
        assert.is_string(body.error)
      end
      assert.equal(415, user:post(ID, "a fox", { ["Content-Type"] = "text/plain" }).status)
      assert.equal(0, jobs_created())
      local own = { ["Sec-Fetch-Site"] = "same-origin", Origin = "http://localhost" }
      assert.equal(201, user:post(ID, "a fox", own).status)
    end)

    it("400 to what is no film, and 413 to what is too long", function()
      local user = start()
      for _, body in ipairs { "", "{", "[]", "3", '{"prompt":"a"}', '{"id":"1","prompt":"a"}',
        ('{"id":"%s"}'):format(ID), ('{"id":"%s","prompt":" \\n"}'):format(ID),
        ('{"id":"%s","prompt":3}'):format(ID), ('{"id":["%s"],"prompt":"a"}'):format(ID) } do
        local answer = user:ask("POST", "/films", body)
        assert.equal(400, answer.status, body)
        assert.is_string(cjson.decode(answer.body).error)
      end
      for _, size in ipairs { 5000, 15000, 20000 } do
        local answer, body = user:post(ID, ("a"):rep(size))
        assert.equal(413, answer.status)
        assert.is_string(body.error)
      end
      assert.equal(0, jobs_created())
    end)

    it("with a proper status to what the video server answers, and never with the key", function()
      local user, shown = start(), {}
      local function ask(fault, status, pattern)
        site:dev("DELETE", "/dev/faults")
        fault.match = { method = "POST", path = "/videos$" }
        site:dev("POST", "/dev/faults", fault)
        local id = film_site.id(#shown + 1)
        local answer, body = user:post(id, "a fox")
        assert.equal(status, answer.status, answer.body)
        assert.matches(pattern, body.error)
        shown[#shown + 1] = answer.body
        return id, answer
      end
      local key = film_site.KEY
      ask({ status = 400, body = '{"error":{"message":"no foxes, ' .. key .. '"}}' }, 400, "no foxes")
      ask({ status = 401, body = '{"error":{"message":"bad key ' .. key .. '"}}' }, 502, "Nothing was made")
      local _, answer = ask({ status = 429, headers = { ["retry-after"] = "7" } }, 503, "busy")
      assert.equal("7", answer.headers["retry-after"])
      ask({ status = 503, headers = { ["retry-after"] = "7" } }, 503, "busy")
      assert.equal(0, jobs_created())
      local id = ask({ close = true, process = true }, 502, "answer .* was lost")
      assert.equal(1, jobs_created())
      -- the same film is not asked for again
      site:dev("DELETE", "/dev/faults")
      local film
      answer, film = user:post(id, "a fox")
      assert.equal(200, answer.status)
      assert.equal("unsure", film.state)
      assert.equal(1, jobs_created())
      run(function() user:follow(function() return user:has(4, "refused") and user:has(1, "unsure") end) end)
      site.server:stop()
      answer = user:post(film_site.id(99), "a fox")
      assert.equal(502, answer.status)
      shown[#shown + 1] = answer.body .. cjson.encode(user.films) .. site:log()
      assert.is_nil(table.concat(shown):find(key, 1, true))
      assert.is_nil(table.concat(shown):find("sk%-"))
    end)

    it("429 with Retry-After to more than a user's, and more than all users' share", function()
      local user = start { "--duration", "30" }
      local answers, works = {}, {}
      for i = 1, 10 do works[i] = function() answers[i] = user:post(film_site.id(i), "film " .. i) end end
      run(unpack(works))
      local made = 0
      for _, answer in ipairs(answers) do
        if answer.status == 201 then
          made = made + 1
        else
          assert.equal(429, answer.status)
          assert.is_true(tonumber(answer.headers["retry-after"]) > 0)
        end
      end
      assert.equal(3, made)
      assert.equal(3, jobs_created())
      assert.equal(201, site:user():post(film_site.id(1), "another user's").status)
    end)

    it("429 to more than a day's share, after a restart too", function()
      local user = start({ "--duration", "0" }, function(prepared)
        prepared:edit("jobs.lua", "a_day = 20, everyone_a_day = 500", "a_day = 2, everyone_a_day = 3")
      end)
      local other = site:user()
      local function ask(who, number, status)
        local answer = who:post(film_site.id(number), "film " .. number)
        assert.equal(status, answer.status)
        if status == 429 then return tonumber(answer.headers["retry-after"]) end
      end
      ask(user, 1, 201)
      ask(user, 2, 201)
      assert.is_true(ask(user, 3, 429) > 80000)
      ask(user, 2, 200)
      site:halt()
      site:start()
      assert.is_true(ask(user, 3, 429) > 80000)
      ask(other, 4, 201)
      ask(other, 5, 429)
      assert.equal(3, jobs_created())
    end)
  end)

  describe("sends a film", function()
    it("whole and in ranges to its user, and to nobody else", function()
      local user, prompt = start { "--duration", "0.2" }, "a <b>fox</b>"
      local id = film_site.id(7)
      local path = "/films/" .. id .. ".mp4"
      assert.equal(404, user:ask("GET", path).status)
      assert.equal(201, user:post(id, prompt).status)
      run(function() user:follow(function() return user:has(1, "saved") end) end)
      assert.equal(prompt, user.films[id].prompt)
      local film = user:ask("GET", path)
      assert.equal("video/mp4", film.headers["content-type"])
      assert.is_true(film.body == film_of(prompt))
      local part = user:ask("GET", path, nil, { Range = "bytes=100-199" })
      assert.equal(206, part.status)
      assert.is_true(part.body == film_of(prompt):sub(101, 200))
      assert.equal(404, site:user():ask("GET", path).status)
      assert.equal(403, load.get(site.port, path).status)
      local saved = "/saved/" .. user.cookie:match "=(%x+)" .. "-" .. id .. ".mp4"
      assert.equal(404, user:ask("GET", saved).status)
    end)
  end)

  describe("takes webhooks", function()
    local function send(user, body, secret)
      local now = os.time()
      return user:ask("POST", "/webhook", body, { ["webhook-id"] = "evt_1",
        ["webhook-timestamp"] = ("%d"):format(now),
        ["webhook-signature"] = webhook.sign(secret or film_site.SECRET, "evt_1", now, body) }).status
    end

    it("of any size up to 1 MB, and none whose signature is wrong", function()
      local user = start()
      for _, size in ipairs { 10, 15000, 17000, 100000, 1000000 } do
        local body = cjson.encode { type = "video.completed", data = { id = "v1", more = ("x"):rep(size) } }
        assert.equal(204, send(user, body))
        assert.equal(403, send(user, body, "whsec_d3Jvbmc="))
      end
      assert.equal(413, send(user, ("x"):rep(1100000)))
      assert.equal(403, user:ask("POST", "/webhook", "{}").status)
    end)

    it("and then polls the job at once", function()
      local user = start({ "--duration", "1", "--webhook-secret", film_site.SECRET }, function(prepared)
        prepared:edit("nginx.conf", "env SORA_WEBHOOK_URL;",
          "env SORA_WEBHOOK_URL=http://127.0.0.1:@PORT@/webhook;")
      end)
      user:post(film_site.id(1), "a fox")
      run(function() user:follow(function() return user:has(1, "saved") end) end)
      local polls = 0
      for _, request in ipairs(site:dev("GET", "/dev/requests").requests) do
        if request.method == "GET" and request.path:find "^/v1/videos/[^/]+$" then polls = polls + 1 end
      end
      assert.equal(2, polls) -- at its beginning, and after the event
    end)
  end)

  -- Lets users make two films each while something happens to nginx once `after` jobs were made. Each film
  -- must be made once and saved whole. Where a worker was killed, an answer may be lost: then the journal
  -- says so, and the film is not asked for again; or nothing was sent, and the journal has no line.
  local function campaign(users, after, disturb, may_be_lost)
    local list, works, prompts, unanswered = {}, {}, {}, 2 * users
    for number = 1, users do list[number] = site:user() end
    for number, user in ipairs(list) do
      user.expected = 2
      for i = 1, 2 do
        local id, prompt = film_site.id(number * 10 + i), ("film %d of user %d"):format(i, number)
        prompts[prompt] = { user = user, id = id, prompt = prompt }
        works[#works + 1] = function()
          assert.is_true(user:make(id, prompt).status <= 201)
          unanswered = unanswered - 1
        end
      end
      works[#works + 1] = function()
        user:follow(function() return user:has(user.expected, "saved") end)
      end
    end
    works[#works + 1] = function()
      while jobs_created() < after do cqueues.sleep(0.01) end
      disturb()
      while unanswered > 0 do cqueues.sleep(0.05) end
      local asked = {}
      for _, ticket in ipairs(site:client():journaled()) do asked[ticket.prompt] = ticket end
      for prompt, film in pairs(prompts) do
        film.ticket = asked[prompt]
        if not (film.ticket and film.ticket.id) then film.user.expected = film.user.expected - 1 end
        film.user:wake()
      end
    end
    run(unpack(works))

    local counts, count = site:made()
    local seen, made = {}, 0
    local journal = process.slurp(site.folder .. "/data/journal") -- explains what fails
    for _, ticket in ipairs(site:client():journaled()) do
      assert.is_nil(seen[ticket.prompt], ticket.prompt .. " was asked for twice:" .. journal)
      seen[ticket.prompt] = true
    end
    for prompt, film in pairs(prompts) do
      local user, jobs = film.user, counts[prompt] or 0
      made = made + jobs
      if film.ticket and film.ticket.id then
        assert.equal(1, jobs)
        assert.equal("saved", user.films[film.id].state, prompt .. cjson.encode(user.films) .. journal)
        assert.is_true(user:film(film.id) == film_of(prompt))
      else
        assert.is_true(may_be_lost, prompt .. " has no id:" .. journal)
        assert.is_true(jobs <= (film.ticket and 1 or 0))
      end
    end
    assert.equal(count, made)
    return list
  end

  describe("makes each film once, and saves it,", function()
    it("for twenty users at once, who see its progress", function()
      start { "--duration", "2.5", "--delay", "0.02" }
      for _, user in ipairs(campaign(20, 1, function() end)) do
        assert.is_true(user.states.in_progress > 0)
        assert.is_number(user.states.saved)
      end
      assert.equal(40, jobs_created())
    end)

    it("although nginx reloads, twice", function()
      start { "--duration", "1.5", "--delay", "0.1" }
      campaign(8, 4, function()
        site.nginx:reload()
        while jobs_created() < 12 do cqueues.sleep(0.01) end
        site.nginx:reload()
      end)
      assert.equal(16, jobs_created())
    end)

    it("although worker 0 is killed", function()
      start { "--duration", "1", "--delay", "0.1" }
      campaign(8, 4, function() os.execute("kill -KILL " .. site:worker(true)) end, true)
    end)

    it("although the other worker is killed", function()
      start { "--duration", "1", "--delay", "0.1" }
      campaign(8, 4, function() os.execute("kill -KILL " .. site:worker(false)) end, true)
    end)

    it("although all of nginx is killed, and started again", function()
      start { "--duration", "1", "--delay", "0.1" }
      campaign(8, 4, function()
        site:halt(true)
        site:start()
      end, true)
    end)

    it("although nginx is stopped, and started again when the films are ready", function()
      start { "--duration", "1", "--delay", "0.1" }
      campaign(8, 16, function()
        site:halt()
        for video in site:client():videos() do site:client():wait(video, { interval = 0.1 }) end
        site:start()
      end, true)
    end)

    it("although a reload interrupts its download", function()
      local user = start { "--duration", "0" }
      site:dev("POST", "/dev/faults", { match = { path = "/content$" }, truncate = 1000, stall = 60,
        times = 1 })
      user:post(film_site.id(1), "a fox")
      nginx.wait_until(function() return site:dev("GET", "/dev/faults").faults[1].used == 1 end,
        "the download")
      site.nginx:reload()
      run(function() user:follow(function() return user:has(1, "saved") end) end)
      assert.is_true(user:film(film_site.id(1)) == film_of "a fox")
      assert.equal(1, jobs_created())
    end)
  end)

  it("shows a job that failed, with the server's reason, and lets its user go on", function()
    local user = start { "--duration", "0.2", "--fail-rate", "1" }
    for i = 1, 3 do assert.equal(201, user:post(film_site.id(i), "film " .. i).status) end
    run(function() user:follow(function() return user:has(3, "failed") end) end)
    assert.is_string(user.films[film_site.id(1)].error)
    assert.equal(201, user:post(film_site.id(4), "film 4").status)
  end)

  it("answers nobody who calls it by a name that it does not have", function()
    start()
    local answer = curl.get(("http://127.0.0.1:%d/"):format(site.port), { "-H", "Host: evil.example" })
    assert.equal(52, answer.exit) -- an empty reply
  end)

  it("starts with the commands of its guide", function()
    local commands = process.slurp("docs/openresty.md"):match "```sh\n(.-)```"
    local clone = process.folder()
    local copy = "cd %s && ln -s %s/* . && rm examples && cp -r %s/examples . && rm -rf examples/*/data"
    os.execute(copy:format(process.quote(clone), nginx.root, nginx.root))
    local conf = clone .. "/examples/openresty/nginx.conf"
    local ports = { ["8080"] = nginx.free_port(), ["8088"] = nginx.free_port() }
    process.spill(conf, nginx.modules() .. process.slurp(conf):gsub("load_module /%S+;\n", "")
      :gsub("8080", ports))
    local as_root = process.output("id -u"):find "^0\n" and ' -g "user root;"' or ""
    commands = commands:gsub("80%d%d", ports):gsub("%-%-port", "--duration 1 %0"):gsub("\n$", "")
    local program = process.start { "setsid", "sh", "-c", ("cd %s\n%s%s &\nread -r _; kill 0"):format(
      process.quote(clone), commands, as_root) }
    finally(function()
      program:wait()
      os.execute("rm -rf " .. process.quote(clone))
    end)
    site = film_site.at(tonumber(ports["8080"]))
    nginx.wait_until(function() return load.get(site.port, "/").status end, "the page")
    local user = site:user()
    local number = 0
    nginx.wait_until(function() -- the development server is there
      number = number + 1
      return user:post(film_site.id(number), "a fox").status == 201
    end, "a film")
    run(function() user:follow(function() return user:has(1, "saved") end) end)
  end)
end)
