--- The example for OpenResty in a real nginx, beside a development server, and users who make films there.
-- Owns a copy of examples/openresty, which outlives restarts of nginx, and both servers. Invariant: `stop`
-- ends them and removes the copy; a user of a site repeats what got no answer, as the page does.
local cjson = require("cjson.safe").new()
local cqueues = require "cqueues"
local load = require "spec.support.load"
local nginx = require "spec.support.nginx"
local process = require "spec.support.process"

local film_site = {}
local Site, User = {}, {}
Site.__index, User.__index = Site, User

film_site.KEY = "sk-spec-never-shown"
film_site.SECRET = "whsec_c2VjcmV0IG9mIHRoZSBzcGVj"

-- Makes the example's configuration one for a spec: its own port, folders and paths.
local function adapt(text)
  local root = process.output("id -u"):find "^0\n" and "user root;\n" or ""
  text = text:gsub("load_module /%S+;\n", "")
  text = text:gsub("127%.0%.0%.1:8080", "127.0.0.1:@PORT@"):gsub("pid data/", "pid @DIR@/")
  text = text:gsub("error_log stderr", "error_log @DIR@/error.log")
  text = text:gsub("%$prefix/%.%./%.%./", nginx.root .. "/")
  return nginx.modules() .. root .. text
end

-- Replaces a text in a file of the copy.
function Site:edit(name, from, to)
  local path = self.folder .. "/" .. name
  local text, count = process.slurp(path):gsub(from, to)
  assert(count == 1, from)
  process.spill(path, text)
end

--- Starts nginx, after `Site:halt` too.
function Site:start()
  self.nginx = nginx.run(adapt(process.slurp(self.folder .. "/nginx.conf")), { prefix = self.folder, env = {
    SORA_BASE_URL = self.server.url, SORA_API_KEY = film_site.KEY, SORA_WEBHOOK_SECRET = film_site.SECRET } })
  self.port = self.nginx.port
end

--- Stops nginx at once, as a power cut does, or in good order.
function Site:halt(killed)
  self.past = (self.past or "") .. self.nginx:log()
  if killed then
    os.execute("kill -KILL " .. self.nginx.pid .. " " .. table.concat(self.nginx:workers(), " "))
  end
  self.nginx:stop()
  self.port = nil
end

--- Returns the process id of worker 0, or of another one.
function Site:worker(is_first)
  local list = self.nginx:workers()
  table.sort(list) -- the first one that was started; a spec that kills it does so once
  return is_first and list[1] or list[#list]
end

--- Returns all that nginx has logged.
function Site:log()
  return (self.past or "") .. self.nginx:log()
end

--- Returns a client with the site's journal.
function Site:client()
  return assert(require("sora").new { base_url = self.server.url, api_key = film_site.KEY,
    journal = self.folder .. "/data/journal" })
end

--- Asks the development server.
function Site:dev(method, path, body)
  local answer = load.get(self.server_port, path, method, nil, body and cjson.encode(body))
  return assert(cjson.decode(answer.body or answer.err))
end

--- Counts the jobs of the development server, by prompt.
function Site:made()
  local counts, count = {}, 0
  for video in self:client():videos { limit = 100 } do
    counts[video.prompt], count = (counts[video.prompt] or 0) + 1, count + 1
  end
  return counts, count
end

--- Ends all.
function Site:stop()
  self.nginx:stop()
  self.server:stop()
  os.execute("rm -rf " .. process.quote(self.folder))
end

--- Returns a site that others have started, with no more than its port: for users.
function film_site.at(port)
  return setmetatable({ port = port, log = function() return "?" end }, Site)
end

--- Starts the example.
-- @tparam ?{string,...} options of the development server
-- @tparam ?function prepare called with the site before nginx starts
function film_site.start(options, prepare)
  local self = setmetatable({ folder = process.folder() }, Site)
  local command = "cp -r examples/openresty/. DIR && rm -rf DIR/data && mkdir -m 700 DIR/data && "
    .. "openssl rand -hex 32 >DIR/data/secret"
  assert(process.run((command:gsub("DIR", process.quote(self.folder)))) == "")
  self.server = process.serve(options)
  self.server_port = tonumber(self.server.origin:match ":(%d+)$")
  if prepare then prepare(self) end
  self:start()
  return self
end

-- Users ------------------------------------------------------------------------------------

--- Makes an id for a film.
function film_site.id(number)
  return ("%032x"):format(number)
end

--- Opens the page; returns its user.
function Site:user()
  local page = load.get(self.port, "/")
  local cookie = page.headers["set-cookie"]
  return setmetatable({ site = self, page = page, cookie = cookie:match "^[^;]+", set_cookie = cookie,
    films = {}, states = {} }, User)
end

--- Makes a request with the user's cookie.
function User:ask(method, path, body, headers)
  local all = { Cookie = self.cookie, ["Content-Type"] = "application/json" }
  for name, value in pairs(headers or {}) do all[name] = value end
  return load.get(self.site.port, path, method, all, body)
end

--- Posts a prompt; returns the answer, and its JSON.
function User:post(id, prompt, headers)
  local answer = self:ask("POST", "/films", cjson.encode { id = id, prompt = prompt }, headers)
  return answer, cjson.decode(answer.body or "")
end

--- Gets a film, as often as it takes until there is an answer: a worker that exits closes connections.
function User:film(id)
  local answer
  repeat answer = self:ask("GET", "/films/" .. id .. ".mp4") until answer.status
  return answer.body
end

--- Posts a prompt until there is an answer.
function User:make(id, prompt)
  while true do
    local answer = self.site.port and self:post(id, prompt)
    if answer and answer.status then return answer end
    cqueues.sleep(0.1)
  end
end

-- Reads events until the connection ends or `enough` says so.
local function listen(self, enough)
  local sock = load.connect(self.site.port)
  self.sock = sock
  sock:write("GET /events HTTP/1.1\r\nHost: localhost\r\nCookie: " .. self.cookie .. "\r\n\r\n")
  repeat -- no for-iterator: Lua 5.1 can't yield through one
    local line = sock:read "*l"
    local film = line and cjson.decode(line:match "^data: (.*)$" or "")
    if film then
      self.films[film.id] = film
      self.states[film.state] = math.max(self.states[film.state] or 0, film.progress or 0)
    end
  until not line or enough(self)
  self.sock = nil
  sock:close()
end

--- Lets `follow` ask again whether it is enough.
function User:wake()
  if self.sock then self.sock:shutdown "rw" end
end

--- Follows the events, over as many connections as it takes, until `enough(user)`.
function User:follow(enough)
  while not enough(self) do
    if self.site.port then listen(self, enough) end
    cqueues.sleep(0.05)
  end
end

--- Tells whether so many films have a state.
function User:has(count, state)
  local found = 0
  for _, film in pairs(self.films) do
    if film.state == state then found = found + 1 end
  end
  return found >= count
end

return film_site
