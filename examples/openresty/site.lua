-- The requests of the page: who asks, whether that is allowed, and what the answer is.
-- Owns the cookie, the checks and the statuses. Invariants: only a POST of the page itself makes a job; a
-- user sees nobody else's films; no answer holds the key.

-- luacheck: std +ngx_lua
local cjson = require("cjson.safe").new()
local jobs = require "jobs"
local sora = require "sora"

local site = {}

local LONGEST = 4000 -- bytes of a prompt
local YEAR = 365 * 86400
local TICK = 0.25    -- s; between two looks for something to tell the page
local QUIET = 15     -- s; at most, of a stream that sends nothing

-- Answers with JSON, and ends the request.
local function answer(status, body, retry_after)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  if retry_after then ngx.header["Retry-After"] = math.max(1, math.ceil(retry_after)) end
  ngx.say(cjson.encode(type(body) == "string" and { error = body } or body))
  return ngx.exit(ngx.HTTP_OK)
end

-- Who asks ---------------------------------------------------------------------------------

local function read_file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local SECRET = read_file(ngx.config.prefix() .. "data/secret") -- signs the cookies
assert(#SECRET >= 32, "data/secret: expected 32 bytes or more")

local function sign(text)
  return (ngx.encode_base64(ngx.hmac_sha1(SECRET, text), true):gsub("[+/]", { ["+"] = "-", ["/"] = "_" }))
end

-- Returns the user that the cookie proves, or nil. Signs what it compares, so that the time that this takes
-- tells nothing.
local function read_cookie()
  local user, given = (ngx.var.cookie_user or ""):match "^(%x+)%.([%w_-]+)$"
  if user and sign(given) == sign(sign(user)) then return user end
end

local function get_user()
  return read_cookie() or answer(403, "Please open the page first, with cookies allowed.")
end

--- Gives a browser that opens the page its cookie.
function site.welcome()
  if read_cookie() then return end
  local file = assert(io.open("/dev/urandom", "rb"))
  local user = file:read(16):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
  file:close()
  ngx.header["Set-Cookie"] = ("user=%s.%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%s"):format(user,
    sign(user), YEAR, ngx.var.scheme == "https" and "; Secure" or "")
end

-- Refuses what another site makes a browser send. A program that is no browser sends neither header.
local function check_origin()
  local from, origin = ngx.var.http_sec_fetch_site, ngx.var.http_origin
  if from and from ~= "same-origin" or origin and origin:match "^https?://(.+)$" ~= ngx.var.http_host then
    return answer(403, "This request must come from the page of this site.")
  end
end

-- Reads the body of a request: a large one lies in a file.
local function read_body()
  ngx.req.read_body()
  local path = ngx.req.get_body_file()
  return path and read_file(path) or ngx.req.get_body_data() or ""
end

local function check_ready()
  return jobs.ready() or answer(503, "The site is starting. Please try again.", 2)
end

-- Films --------------------------------------------------------------------------------------

-- Answers with the error of a create. Only what is wrong with the prompt is told in the server's words.
local function refuse(err)
  if err.kind == "limit" then
    return answer(429, err.message, err.retry_after)
  elseif err.ambiguous then
    return answer(502, "The answer of the video server was lost. The film may be in the making, or not. It "
      .. "is not asked for again.")
  elseif err.kind == "api" and (err.status == 400 or err.status == 422) or err.reason == "moderation" then
    return answer(400, "The video server refuses this prompt: " .. tostring(err.message))
  elseif err.status == 429 or err.status == 503 then
    return answer(503, "The video server is busy. Nothing was made.", err.retry_after or 30)
  elseif err.kind == "file" then
    return answer(503, "The film can't be noted down, so it was not asked for.", 60)
  end
  return answer(502, "The video server can't be used at the moment. Nothing was made.")
end

--- POST /films { id, prompt }: makes a film. The page thinks up the id (32 hex digits), so that a request may
-- be repeated: it makes one film.
function site.make()
  if ngx.req.get_method() ~= "POST" then
    ngx.header.Allow = "POST"
    return answer(405, "Films are made by POST.")
  end
  check_origin()
  local user = get_user()
  check_ready()
  if not (ngx.var.content_type or ""):find "^application/json" then
    return answer(415, "Expected application/json.")
  end
  local given = cjson.decode(read_body())
  local id, prompt = type(given) == "table" and given.id, type(given) == "table" and given.prompt
  if type(id) ~= "string" or #id ~= 32 or id:find "[^0-9a-f]" then
    return answer(400, "Expected an id of 32 hex digits.")
  elseif type(prompt) ~= "string" or not prompt:find "%S" then
    return answer(400, "Please describe the film.")
  elseif #prompt > LONGEST then
    return answer(413, ("The description is longer than %d bytes."):format(LONGEST))
  end
  local film, what = jobs.make(user, id, prompt)
  if not film then return refuse(what) end
  return answer(what and 201 or 200, film)
end

--- GET /films/ID.mp4: nginx sends the file, or answers 404 where this user has no such film.
function site.film()
  return ngx.exec("/saved/" .. jobs.file(get_user() .. "/" .. ngx.var[1]))
end

--- GET /events: sends each of the user's films, and again whenever it changes.
function site.events()
  local user = get_user()
  check_ready()
  ngx.header["Content-Type"] = "text/event-stream"
  ngx.header["X-Accel-Buffering"] = "no"
  ngx.print "retry: 1000\n\n"
  local sent, seen, looked = {}, nil, 0
  repeat
    local version = jobs.version(user)
    if version ~= seen or ngx.now() - looked > QUIET then
      ngx.print ":\n\n" -- shows that the stream is alive
      for _, name in ipairs(jobs.list(user)) do
        local film = jobs.read(name)
        local text = film and cjson.encode(film)
        if text and text ~= sent[name] then ngx.print("data: ", text, "\n\n") end
        sent[name] = text
      end
      seen, looked = version, ngx.now()
      if not ngx.flush(true) then return end
    end
    ngx.sleep(TICK)
  until ngx.worker.exiting() -- the browser connects again, to a new worker
end

-- Webhooks -----------------------------------------------------------------------------------

--- POST /webhook: the video server says that a job has ended. It is polled at once; the event alone proves
-- nothing.
function site.webhook()
  local secret = os.getenv "SORA_WEBHOOK_SECRET"
  if not secret then return answer(404, "There are no webhooks here.") end
  local event, err = sora.verify_webhook(ngx.req.get_headers(), read_body(), secret)
  if not event then
    ngx.log(ngx.WARN, tostring(err))
    return answer(403, "The signature is invalid.")
  end
  local id = sora.normalize(event.data or event).id
  if id then jobs.ended(tostring(id)) end
  return ngx.exit(ngx.HTTP_NO_CONTENT)
end

return site
