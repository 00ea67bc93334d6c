-- download_video whose transfer breaks: it resumes where it stopped if a validator shows that the file is the
-- same, starts over if not, and in the end the file is there byte for byte, or the old one. A retry takes its
-- time, so all cases run at once, each in its coroutine, and are then checked one by one.
local answers = require "spec.support.answers"
local curl = require "spec.support.curl"
local folder = require "spec.support.folder"
local httpd = require "spec.support.httpd"
local media = require "sora.server.media"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"
local wrap = require "sora.loop.coroutine"

-- Files in which no two places look the same.
local function content(mark)
  local lines = { "\0\0\0\24ftypisom" }
  for i = 1, 2000 do lines[#lines + 1] = ("%s%07d\n"):format(mark, i) end
  return table.concat(lines)
end
local FILE, OLDER = content("a"), content("b")
local DATE = "Mon, 02 Nov 2026 10:00:00 GMT"
local TAG, OLD_TAG = { ETag = '"1"' }, { ETag = '"2"' }
local CUT = 5000 -- bytes that come before a transfer breaks
local REST = ("bytes %d-%d/%d"):format(CUT, #FILE - 1, #FILE)
local EXPIRED = { status = 403, body = "<Error><Code>AccessDenied</Code></Error>" }

local function typed(headers) return answers.with(answers.TYPE, headers) end

-- The whole of a file, of which `cut` bytes arrive.
local function whole(headers, cut, bytes)
  return { headers = typed(headers), body = bytes or FILE, truncate = cut }
end

-- The bytes from `first` to `last` (counted from 0; to the end), of which `cut` arrive.
local function part(first, headers, cut, last)
  local all = typed(headers)
  last = last or #FILE - 1
  all["Content-Range"] = all["Content-Range"] or ("bytes %d-%d/%d"):format(first, last, #FILE)
  return { status = 206, headers = all, body = FILE:sub(first + 1, last + 1), truncate = cut }
end

local function redirect(location) return answers.redirect(302, location) end

-- A job whose file is at a path of the server.
local function place(path) return answers.job("completed", { url = path }) end

describe("download_video whose transfer breaks", function()
  local srv, dir, client
  local cases = {}

  -- `#` in paths stands for the case's id, `content` and `job` for what answers there.
  local function routes_of(case)
    local routes = { ["/v1/videos/#/content"] = case.content, ["/v1/videos/#"] = case.job }
    return answers.with(routes, case.at)
  end

  -- Answers with the id of the case in their addresses.
  local function answers_of(case, list)
    local placed = {}
    for i, answer in ipairs(list[1] and list or { list }) do
      local copy = answers.with(answer)
      if copy.headers and copy.headers.Location then
        copy.headers = { Location = (copy.headers.Location:gsub("#", case.id)) }
      elseif copy.json and copy.json.url then
        copy = place((copy.json.url:gsub("#", case.id)))
      end
      placed[i] = copy
    end
    return placed
  end

  local function begin(case)
    for path, list in pairs(routes_of(case)) do
      srv:route("GET", (path:gsub("#", case.id)), answers_of(case, list))
    end
    local target = { path = dir:at(case.id .. "/a.mp4"), resume = case.resume,
      on_progress = case.on_progress }
    dir:run("mkdir " .. case.id)
    dir:write(case.id .. "/a.mp4", "old")
    local task = coroutine.create(function()
      case.result, case.err = client:download_video(case.id, target, { max_retries = case.retries or 2 })
    end)
    assert(coroutine.resume(task))
    return task
  end

  setup(function()
    srv, dir = httpd.start(), folder.new()
    client = wrap(rig.client(srv))
    local tasks = {}
    for i, case in ipairs(cases) do
      case.id = "case" .. i
      tasks[i] = begin(case)
    end
    while #tasks > 0 do
      client:update(0.01)
      for i = #tasks, 1, -1 do
        if coroutine.status(tasks[i]) ~= "dead" then assert(coroutine.resume(tasks[i])) end
        if coroutine.status(tasks[i]) == "dead" then table.remove(tasks, i) end -- perhaps when it began
      end
    end
    for _, request in ipairs(srv:requests()) do
      local case = cases[tonumber(request.target:match("case(%d+)"))]
      case.requests = case.requests or {}
      table.insert(case.requests, request)
    end
  end)
  teardown(function()
    client:close()
    srv:stop()
    dir:remove()
  end)

  local function check_asked(case)
    local asked = {}
    for i, request in ipairs(case.requests) do
      local range, condition = request.headers.range, request.headers["if-range"]
      asked[i] = range and range .. " if " .. tostring(condition) or condition and "only " .. condition or ""
    end
    assert.same(case.asked, asked)
  end

  local function check_outcome(case, bytes)
    if bytes then
      assert.is_nil(case.err)
      assert.equal(#bytes, case.result.bytes)
    else
      assert.is_nil(case.result)
      for _, name in ipairs{ "answer", "partial" } do assert.is_nil(case.err[name]) end
    end
    assert.is_true(dir:read(case.id .. "/a.mp4") == (bytes or "old"))
    assert.equal("a.mp4\n", process.output("ls -A " .. dir:at(case.id)))
  end

  -- What stands in a `describe` of its own comes after the setup, which needs to know all cases.
  local prefix = ""
  local function under(words, define)
    prefix = words .. " "
    define()
  end

  -- It gives `bytes` (the file) after what was `asked`.
  local function gives(name, case)
    cases[#cases + 1] = case
    it(prefix .. name, function()
      check_outcome(case, case.bytes or FILE)
      if case.asked then check_asked(case) end
    end)
  end

  -- It leaves the old file and nothing else; `err` has what the error must say.
  local function fails(name, case)
    cases[#cases + 1] = case
    it(prefix .. name, function()
      check_outcome(case)
      for field, value in pairs(case.error) do assert.equal(value, case.err[field], field) end
      if case.asked then check_asked(case) end
    end)
  end

  under("resumes", function()
    local BOTH = { ETag = '"v1-x"', ["Last-Modified"] = DATE }
    gives("by its ETag", { content = { whole(BOTH, CUT), part(CUT, BOTH) },
      asked = { "", 'bytes=5000- if "v1-x"' } })

    local WEAK = { ETag = 'W/"1"', ["Last-Modified"] = DATE }
    gives("by its date, where the ETag is weak", { content = { whole(WEAK, CUT), part(CUT, WEAK) },
      asked = { "", "bytes=5000- if " .. DATE } })

    -- A 206 to If-Range need not repeat Last-Modified (RFC 9110, 15.3.7).
    gives("again, where a 206 does not repeat the date",
      { content = { whole({ ["Last-Modified"] = DATE }, CUT), part(CUT, {}, 1000), part(CUT + 1000) },
        asked = { "", "bytes=5000- if " .. DATE, "bytes=6000- if " .. DATE } })

    gives("however often, as long as each attempt brings it further", { retries = 1,
      content = { whole(TAG, 1), part(1, TAG, 1), part(2, TAG, 4000), part(4002, TAG, 16), part(4018, TAG) },
      asked = { "", 'bytes=1- if "1"', 'bytes=2- if "1"', 'bytes=4002- if "1"', 'bytes=4018- if "1"' } })

    gives("when the server gives less than was asked for",
      { content = { whole(TAG, CUT), part(CUT, TAG, nil, CUT + 999), part(CUT + 1000, TAG) },
        asked = { "", 'bytes=5000- if "1"', 'bytes=6000- if "1"' } })

    gives("when a redirect leads elsewhere this time", { content = { redirect "/s1/#", redirect "/s2/#" },
      at = { ["/s1/#"] = whole(TAG, CUT), ["/s2/#"] = part(CUT, TAG) },
      asked = { "", "", 'bytes=5000- if "1"', 'bytes=5000- if "1"' } })

    gives("after an answer without a file", { content = { whole(TAG, CUT), { status = 503,
      headers = { ["retry-after-ms"] = "10" }, body = "<html>busy" }, part(CUT, TAG) },
      asked = { "", 'bytes=5000- if "1"', 'bytes=5000- if "1"' } })
  end)

  it("resumes in a blocking call as well", function()
    local blocking = rig.client(srv, { max_retries = 1 })
    srv:route("GET", "/v1/videos/v/content", { whole(TAG, CUT), part(CUT, TAG) })
    assert.equal(#FILE, assert(blocking:download_video("v", dir:at("v.mp4"))).bytes)
    assert.is_true(dir:read("v.mp4") == FILE)
    local requests = srv:requests()
    local last = requests[#requests]
    assert.same({ "bytes=5000-", '"1"', "Bearer " .. rig.KEY },
      { last.headers.range, last.headers["if-range"], last.headers.authorization })
    blocking:close()
  end)

  -- Starts downloads of files that break off before their last byte, which `rest` then gives. Returns their
  -- results.
  local function download_last_bytes(list, rest)
    local own, handles, results = rig.client(srv, { max_retries = 1 }), {}, {}
    for i, byte in ipairs(list) do
      local range = ("bytes %d-%d/%d"):format(#FILE, #FILE, #FILE + 1)
      srv:route("GET", ("/v1/videos/last%d/content"):format(i), { whole(TAG, #FILE, FILE .. byte),
        { status = 206, headers = typed { ETag = TAG.ETag, ["Content-Range"] = range }, body = rest(byte) } })
      os.remove(dir:at("last" .. i))
      handles[i] = assert(own:start("download_video", "last" .. i, dir:at("last" .. i)))
    end
    patience.finish(own)
    for i, handle in ipairs(handles) do results[i] = { handle:result() } end
    own:close()
    return results
  end

  it("resumes with any byte, also with one that text may begin with", function()
    local bytes = { " ", "\n", "\239", "\31", "{", "<", "[", "x" }
    local results = download_last_bytes(bytes, function(byte) return byte end)
    for i, byte in ipairs(bytes) do
      assert.is_nil(results[i][2], ("%q"):format(byte))
      assert.is_true(dir:read("last" .. i) == FILE .. byte, ("%q"):format(byte))
    end
  end)

  it("gives no file where the rest is empty", function()
    local results = download_last_bytes({ "x" }, function() return "" end)
    assert.is_nil(results[1][1])
    assert.is_truthy(results[1][2].kind)
    assert.is_nil(dir:read "last1")
  end)

  under("starts over", function()
    gives("when nothing says that the file is the same",
      { content = { whole({ ETag = 'W/"1"' }, CUT), whole() },
      asked = { "", "" } })

    gives("when the answer is a whole file, even a shorter one", { bytes = OLDER:sub(1, 1000),
      content = { whole(TAG, #FILE - 1), whole(OLD_TAG, nil, OLDER:sub(1, 1000)) },
      asked = { "", ('bytes=%d- if "1"'):format(#FILE - 1) } })

    gives("and resumes with the new file when that breaks",
      { content = { whole(OLD_TAG, CUT, OLDER), whole(TAG, 100), part(100, TAG) },
        asked = { "", 'bytes=5000- if "2"', 'bytes=100- if "1"' } })

    for retries = 1, 2 do
      gives(("when there is no such range any more, with %d retries"):format(retries), { retries = retries,
        content = { whole(OLD_TAG, CUT, OLDER),
          { status = 416, headers = { ["Content-Range"] = "bytes */9" } },
          whole(TAG) }, asked = { "", 'bytes=5000- if "2"', "" } })
    end

    -- Servers that do not know If-Range give a part of whatever is there now.
    gives("when the part is of another version",
      { content = { whole(OLD_TAG, CUT, OLDER), part(CUT, TAG), whole(TAG) },
        asked = { "", 'bytes=5000- if "2"', "" } })

    gives("when it is told not to resume", { resume = false, content = { whole(TAG, CUT), whole(TAG) },
      asked = { "", "" } })
  end)

  under("refuses a 206", function()
    for name, range in pairs{ ["from further on"] = "bytes 5001-18011/18012",
      ["from before"] = "bytes 4999-18011/18012", ["from the beginning"] = "bytes 0-18011/18012",
      ["in other units"] = "items 5000-18011/18012", ["in words"] = "bytes five-ten/18012",
      ["without an end"] = "bytes 5000", ["of nothing"] = "bytes */18012" } do
      fails(name, { content = { whole(TAG, CUT), part(CUT, { ETag = '"1"', ["Content-Range"] = range }) },
        error = { kind = "api", status = 206 } })
    end

    fails("without a Content-Range", { content = { whole(TAG, CUT),
      { status = 206, headers = typed(TAG), body = FILE:sub(CUT + 1) } },
      error = { kind = "api", status = 206 } })

    fails("in several pieces", { content = { whole(TAG, CUT), { status = 206, body = "\r\n--x\r\n",
      headers = { ["Content-Type"] = "multipart/byteranges; boundary=x" } } },
      error = { kind = "api", status = 206 } })
  end)

  it("has the sizes that the Content-Range headers above say", function()
    assert.equal("bytes 5000-18011/18012", REST)
  end)

  under("because its URL expired", function()
    for _, status in ipairs{ 401, 403, 404, 410 } do
      gives(("(%d) asks for a new one and resumes"):format(status), { retries = 1,
        content = { place "/s1/#", place "/s2/#" },
        at = { ["/s1/#"] = { whole(TAG, CUT), { status = status, body = "<Error/>" } },
          ["/s2/#"] = part(CUT, TAG) } })
    end

    gives("finds the new one in the job as well", { retries = 1, content = { status = 404 },
      job = { place "/s1/#", place "/s2/#" },
      at = { ["/s1/#"] = { whole(TAG, CUT), EXPIRED }, ["/s2/#"] = part(CUT, TAG) } })

    gives("takes the whole file from the new one if that is another", { retries = 1,
      content = { place "/s1/#", place "/s2/#" },
      at = { ["/s1/#"] = { whole(OLD_TAG, CUT, OLDER), EXPIRED }, ["/s2/#"] = whole(TAG) } })

    gives("takes the bytes out of the answer, if they are there now", { retries = 1, bytes = "\0\0\0\24ftyp",
      content = { place "/s1/#", { json = { data = { { b64_json = "AAAAGGZ0eXA=" } } } } },
      at = { ["/s1/#"] = { whole(TAG, CUT), EXPIRED } } })

    gives("starts over if it is told not to resume", { retries = 1, resume = false,
      content = { place "/s1/#", place "/s2/#" }, asked = { "", "", "", "", "" },
      at = { ["/s1/#"] = { whole(TAG, CUT), EXPIRED }, ["/s2/#"] = whole(TAG) } })
  end)

  under("for good leaves no part file", function()
    local BREAKS = { ["/s1/#"] = { whole(TAG, CUT), EXPIRED } }

    fails("when no retry is allowed", { retries = 0, content = whole(TAG, CUT), asked = { "" },
      error = { kind = "transport", curl = "CURLE_PARTIAL_FILE", attempts = 1 } })

    fails("when the last attempts bring no byte", { retries = 1, asked = { "", 'bytes=5000- if "1"' },
      content = { whole(TAG, CUT), part(CUT, TAG, 0) }, error = { kind = "transport", attempts = 2 } })

    fails("when the server refuses to resume", { content = { whole(TAG, CUT),
      { status = 401, json = { error = { message = "No." } } } }, error = { status = 401, message = "No." } })

    fails("when on_progress returns false", { content = { whole(TAG, CUT), part(CUT, TAG) },
      on_progress = function(received) return received <= CUT end, error = { kind = "cancelled" } })

    fails("when nobody has a new URL", { retries = 1, content = { place "/s1/#", { status = 404,
      json = { error = { message = "Gone." } } } }, job = { status = 404 }, at = BREAKS,
      error = { kind = "api", status = 404, message = "Gone." } })

    fails("when nobody may ask for a new URL", { retries = 1, content = { place "/s1/#", { status = 401 } },
      at = BREAKS, error = { kind = "api", status = 401 } })

    fails("when the job has failed meanwhile", { retries = 1, content = { place "/s1/#", { status = 404 } },
      job = { json = { id = "v", status = "failed", error = { code = "x" } } }, at = BREAKS,
      error = { kind = "failed", code = "x" } })

    fails("when the job runs again", { retries = 1, content = { place "/s1/#", { status = 404 } },
      job = { json = { id = "v", status = "queued" } }, at = BREAKS, error = { code = "not_ready" } })

    fails("when every new URL has expired, too", { retries = 1, content = place "/s1/#", at = BREAKS,
      error = { kind = "api", status = 403 } })
  end)
end)

-- The development server knows ranges, and breaks off where it is told to.
describe("download_video of transfers that break anywhere", function()
  local LENGTH, FILES = 700000, 24
  local dev, dir, client

  setup(function()
    dev, dir = process.serve{ "--duration", 0 }, folder.new()
    client = rig.client(dev.origin, { max_retries = 1 })
  end)
  teardown(function()
    client:close()
    dev:stop()
    dir:remove()
  end)

  -- Makes the jobs and what happens to their downloads; how many breaks there are.
  local function arrange()
    local faults, seed = {}, 4
    local function pick(limit)
      seed = seed * 16807 % 2147483647
      return seed % limit
    end
    for i = 1, FILES do
      local id = ("job_%02d"):format(i)
      assert(client:create_video{ prompt = "x", dev = { id = id, content_bytes = LENGTH } })
      for _ = 1, 1 + pick(3) do
        faults[#faults + 1] = { match = { path = id .. "/content$" }, times = 1,
          truncate = 1 + pick(i % 3 == 0 and 300000 or 5000) }
      end
    end
    assert.is_true(curl.post(dev.origin .. "/dev/faults", faults).status < 300)
    return #faults
  end

  it("gives the files", function()
    local breaks, handles = arrange(), {}
    for i = 1, FILES do
      handles[i] = assert(client:start("download_video", ("job_%02d"):format(i), dir:at("file" .. i)))
    end
    patience.finish(client)
    local film = media.open("video", LENGTH, "x")
    local expected = film.read(0, LENGTH)
    for i, handle in ipairs(handles) do
      local result, err = handle:result()
      assert.is_nil(err)
      assert.equal(LENGTH, result.bytes)
      assert.is_true(dir:read("file" .. i) == expected, "file " .. i)
    end
    local resumed = 0
    for _, request in ipairs(curl.get(dev.origin .. "/dev/requests").json.requests) do
      if request.headers.range then resumed = resumed + 1 end
    end
    assert.equal(breaks, resumed)
  end)
end)
