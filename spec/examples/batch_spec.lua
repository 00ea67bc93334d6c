-- The example of a batch: it may be killed, makes each film once, and writes a page that shows everything.
local answers = require "spec.support.answers"
local cjson = require "cjson"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

local THUMBNAIL = { body = "\255\216\255\224 jpeg", headers = { ["Content-Type"] = "image/jpeg" } }

describe("the batch example", function()
  local srv, home = given.server(), given.folder()

  local function begin(...)
    local words = { "env", "SORA_BASE_URL=" .. srv.url .. "/v1", "SORA_API_KEY=" .. rig.KEY }
    for _, word in ipairs(process.lua { "examples/batch.lua", home:at "prompts.txt", home.path, ... }) do
      words[#words + 1] = word
    end
    return process.start(words)
  end

  local function done(id)
    return { json = { id = id, status = "completed", seconds = "8", cost = 0.25 } }
  end

  -- Answers each create with the next id.
  local function serve(ids)
    local made = {}
    for i, id in ipairs(ids) do made[i] = { json = { id = id, status = "queued" } } end
    srv:route("POST", "/v1/videos", made)
    srv:route("GET", "^/v1/videos/%w+/content$", { status = 404 })
    for _, id in ipairs(ids) do
      srv:route("GET", "/v1/videos/" .. id, done(id))
      srv:route("GET", "/v1/videos/" .. id .. "/content", { answers.FILE, THUMBNAIL })
    end
  end

  local function prompts()
    local list = {}
    for _, request in ipairs(srv:requests()) do
      if request.method == "POST" then list[#list + 1] = cjson.decode(request.body).prompt end
    end
    table.sort(list)
    return list
  end

  local function files(pattern)
    return process.lines(("ls %s/%s"):format(process.quote(home.path), pattern))
  end

  it("makes each film once, though it is killed, and shows all of them", function()
    serve { "one", "two" }
    srv:route("GET", "/v1/videos/two", answers.with(answers.RUNNING, { hold = true }))
    home:write("prompts.txt", "A fox\r\n\n<b>A boat</b> & \"more\"\n")
    local killed = begin()
    patience.wait(function()
      local _, made = (home:read "jobs.journal" or ""):gsub('"made"', "")
      return made == 2 and home:list():find "%.mp4 "
    end, function() process.run "sleep 0.02" end, "two jobs and a film")
    killed:kill "KILL"
    killed:wait()
    srv:route("GET", "/v1/videos/two", done "two")
    local status, output, errors = begin():finish()
    assert.same({ 0, "" }, { status, errors })
    assert.matches("\n0 made, 2 saved, 0 failed, 0 unsure\n", output)
    assert.same({ '<b>A boat</b> & "more"', "A fox" }, prompts())
    local films = files "*.mp4"
    assert.equal(2, #films)
    for _, path in ipairs(films) do assert.equal(answers.MP4, process.slurp(path)) end
    local page = home:read "report.html"
    assert.is_truthy(page:find("<h2>&lt;b&gt;A boat&lt;/b&gt; &amp; &quot;more&quot;</h2>", 1, true), page)
    assert.is_nil(page:find "<b>A boat")
    for _, words in ipairs { "2 prompts: 2 saved, 0 failed, 0 unsure, cost 0.5 in all",
      "8 s · cost 0.25 · " } do
      assert.is_truthy(page:find(words, 1, true), page)
    end
    assert.is_nil(page:find "https?:") -- it needs no network
    for address in page:gmatch '[hs]r[ec]f?="([^"]+)"' do assert.is_string(home:read(address), address) end
    assert.equal(2, select(2, page:gsub("<img ", "")))
    -- Nothing is left to do, and the page stays as it is.
    assert.equal(0, (begin():finish()))
    assert.equal(2, #prompts())
  end)

  it("says in words what failed, on the page too", function()
    srv:route("POST", "/v1/videos", { status = 400, json = { error = { message = "no <foxes> here" } } })
    home:write("prompts.txt", "A fox\n")
    local status, output, errors = begin():finish()
    assert.same({ 1, "" }, { status, errors })
    assert.matches("no <foxes> here", output)
    local page = home:read "report.html"
    assert.is_truthy(page:find("no &lt;foxes&gt; here", 1, true), page)
    assert.is_truthy(page:find('class="failed">failed<', 1, true), page)
  end)

  it("shows a film without a thumbnail, and one whose answer was lost", function()
    srv:route("POST", "/v1/videos", { answers.QUEUED, { close = true } })
    srv:route("GET", "/v1/videos/v", answers.DONE)
    srv:route("GET", "/v1/videos/v/content", { answers.FILE, { status = 404 } })
    srv:route("GET", "/v1/videos", { json = { data = {} } })
    home:write("prompts.txt", "A fox\nA boat\n")
    assert.equal(1, (begin():finish()))
    local page = home:read "report.html"
    assert.matches("<video controls", page)
    assert.is_truthy(page:find('class="unsure">unsure<', 1, true), page)
    assert.equal(1, (begin():finish()))
    assert.same({ "A boat", "A fox" }, prompts())
  end)
end)
