--- Runs one scenario once, while another allocation or system call fails, and judges what it did.
-- Owns what is right after a fault: success, or an error that says what happened; every on_done once; no POST
-- sent twice; no part file beside a finished one; a client that still works. host.c loads it into each new
-- state and looks at descriptors and memory afterwards.
local host = host -- luacheck: ignore 113

local scenarios = dofile "spec/torture/scenarios.lua"

local STEPS = 400 -- of update, after which everything must have ended
local KINDS = {}
for kind in ("config dns connect tls timeout transport api decode too_large file failed cancelled expired "
  .. "deadline closed forked"):gmatch("%S+") do KINDS[kind] = true end
-- What has to do with the answer or with the options is not to blame where memory runs out.
local INNOCENT = { config = true, api = true, decode = true, too_large = true, failed = true, expired = true }

local function find(name)
  for _, scenario in ipairs(scenarios) do
    if scenario.name == name then return scenario end
  end
end

-- Sends the answers to the server; returns the base URL.
local function serve(scenario)
  local base = host.clear()
  local answers = scenario.answers or {}
  if type(answers) == "function" then answers = answers(base) end
  local plain = { ["GET /videos/plain"] = { { json = '{"id":"plain","status":"completed"}' } } }
  for _, routes in ipairs { plain, answers } do
    for key, list in pairs(routes) do
      for _, answer in ipairs(list) do
        if answer.film then
          host.route(key, answer.film, "keep", true, answer.cut or -1)
        else
          local body = answer.json or answer.body or ""
          host.route(key, ("HTTP/1.1 %d Status\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n%s"):format(
            answer.status or 200, answer.json and "application/json" or answer.type or "text/html", #body,
            answer.headers or "", body), answer.ending or "keep")
        end
      end
    end
  end
  return base
end

local function is_about_memory(text)
  if type(text) == "table" then text = text.message end
  return type(text) == "string" and text:lower():find("memory", 1, true) ~= nil
end

-- Returns what is wrong with an error that was raised or returned, or nil.
local function judge_error(scenario, err, raised)
  if host.starves and is_about_memory(err) and (raised or type(err) == "table") then return nil end
  local how = raised and "raised: " or "returned: "
  if type(err) ~= "table" then return how .. tostring(err) end
  if not KINDS[err.kind] or type(err.message) ~= "string" or tostring(err) == "" then
    return how .. "an error without kind or message"
  end
  if raised and not scenario.raises then return how .. tostring(err) end
  if err.kind == scenario.fails or err.kind == scenario.allows then return nil end
  if not host.happened() then return how .. tostring(err) .. " without a fault" end
  if host.starves and INNOCENT[err.kind] and not is_about_memory(err) then
    return ("%sout of memory is told as %s: %s"):format(how, err.kind, tostring(err))
  end
end

-- Returns what is wrong with what the scenario did, or nil; and whether it was a success.
local function judge(scenario, t, good, a, b)
  if not good then return judge_error(scenario, a, true), false end
  if a == nil or a == false then
    if scenario.fails and type(b) == "table" and b.kind == scenario.fails then
      return judge_error(scenario, b), true
    end
    return judge_error(scenario, b), false
  end
  if scenario.fails then return "succeeded, but a " .. scenario.fails .. " error is right" end
  local problem = scenario.check and scenario.check(t, a, b)
  return problem, problem == nil
end

-- Lets everything end. Returns what is wrong, or nil. A download that nobody reads ends when it is collected.
local function finish(t)
  for step = 1, STEPS do
    if step == STEPS / 2 then collectgarbage() end
    local good, running, err = pcall(t.client.update, t.client, 0.02)
    if not good and not is_about_memory(running) then return "update raised: " .. tostring(running) end
    if good and running == nil then return "update: " .. tostring(err) end
    if running == 0 then return nil end
  end
  return "calls never end"
end

local function check_files(t, success)
  local problem
  for _, name in ipairs(host.files()) do
    if success and not t.leaves_part and name:find("%.part") then
      problem = "leaves " .. name .. " beside the finished file"
    end
    if name == "film.mp4" then
      local file = assert(io.open(host.folder .. "/film.mp4", "rb"))
      local bytes = file:read("*a")
      file:close()
      if bytes ~= t.film and bytes ~= t.old_film then
        problem = ("film.mp4 is not whole: %d bytes"):format(#bytes)
      end
    end
  end
  return problem
end

local function check_posts(scenario, t, success)
  local most = scenario.posts or 1
  for _, path in ipairs { "POST /videos", "POST /videos/done/remix" } do
    local hits = host.hits(path)
    if hits > most then return ("%s was sent %d times"):format(path, hits) end
    if success and scenario.makes == path and hits == 0 then return path .. " was never sent" end
  end
  return t.problem
end

-- Everything here may raise, which is a failure.
local function run(scenario)
  local base = serve(scenario)
  local t = { host = host, base = base, folder = host.folder, path = host.folder .. "/film.mp4", film = false,
    old_film = false, client = false, started = 0, done = 0, video = false, err = false, problem = nil,
    calls = 0, handle = false, closed = false, leaves_part = false }
  if not scenario.loads then t.sora = require "sora" end
  t.options = { base_url = base, api_key = "sk-torture-0123456789", max_retries = 0, timeout = 1.5 }
  for name, value in pairs(scenario.options or {}) do t.options[name] = value end
  if scenario.journal then t.options.journal = host.folder .. "/journal" end
  if not (scenario.loads or scenario.opens) then t.client = assert(t.sora.new(t.options)) end
  if scenario.before then scenario.before(t) end
  collectgarbage()
  local problem, success = judge(scenario, t, host.attempt(scenario.run, t))
  if t.client and not t.closed then problem = problem or finish(t) end
  collectgarbage()
  if not t.closed and t.done ~= t.started then
    problem = problem or ("%d calls were started, on_done was called %d times"):format(t.started, t.done)
  end
  if t.client and not t.closed then
    local video, err = t.client:get_video("plain")
    if not (video and video.id == "plain") then
      problem = problem or "the client is of no use any more: " .. tostring(err)
    end
  end
  if scenario.after then problem = problem or scenario.after(t, success) end
  problem = problem or check_posts(scenario, t, success)
  if t.client then t.client:close() end
  if t.sora then t.sora.close() end
  t.handle = nil
  collectgarbage()
  return problem or check_files(t, success)
end

return run(assert(find(...), "no such scenario"))
