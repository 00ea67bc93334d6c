--- A store on Redis: the journal's table, and the queue of tasks that several workers share.
--
-- A STORE is what `sora.work` stands on. It has five calls; each returns nil and an error table where it
-- fails, and may be repeated after that. Another engine can take its place if it keeps this contract:
--
--     put(tasks)                           how many of { id=, body=, output=, twin= } were new; all or none
--     take(worker, seconds, count, server) a list of tasks, each with a lease of its own
--     renew(worker, seconds, leases)       which of { [id] = lease } are lost, and hints: a list of job ids
--     note(id, lease, event, fields)       "ok", or in one word why not
--     list(state, from, count)             tasks; without a state: how many there are in each
--
-- A task is waiting, running, saved, failed or unsure. `take` first takes tasks whose lease has expired, by
-- the store's own clock, then waiting ones; it gives each a new lease, a number that grows with every take.
-- A task comes with `asked` (the key that was written before a POST) and `job` (the id of its answer): what
-- its last worker had done. `note` takes one of these events, in one atomic step:
--
--     asked     a POST is about to be sent. Refused ("stale") unless the lease is the task's last one
--     refused   the server has no job from it, or it was never sent; `again` puts the task back
--     made      its answer: always kept, whoever brings it. A second, different id makes the task unsure
--     found     `jobs`, candidates for an answer that was lost; taken if exactly one can be it
--     saved     the film is on disk; for the job of the task alone. `keep`: tasks that have been saved for
--               so many seconds may be forgotten
--     failed, unsure, released   how a worker ends a task. Refused ("stale") without the last lease
--     retry, drop   by a person: the lease is nil. hint: `id` is a job's; its worker polls it at once
--
-- Owns the connection, the keys in Redis and the scripts that change them. Invariant: a script changes all or
-- nothing, also where Redis is full; what a caller is told is in Redis; no error holds the password.
-- @module sora.store.redis
-- @local

local core = require "sora.core"
local json = require "sora.json"
local options = require "sora.options"
local scripts = require "sora.store.scripts"

core.own()

local redis = {}

local TIMEOUT = 10    -- s; of one connect, read or write
local PROBE = 1       -- s; the same, to reach a Redis that has not answered
local PATIENCE = 2    -- s; for which calls try to reach a Redis that is restarting; then each tries once
local PAUSE = 0.1     -- s; between two tries
local SLICE = 500     -- tasks, or lines of the journal, at a time

-- What begins the scripts that keep what is known of jobs. Redis 7 runs them even where it is full; an older
-- one refuses the first write, so that nothing is left half way.
local ALLOWED = "#!lua flags=allow-oom\n"
local GUARDED = "redis.call('HSET', KEYS[1] .. 'meta', 'noted', '1')\n"

-- The address ------------------------------------------------------------------------

local EXPECTED = "expected redis://[:password@]host[:port][/db] or unix:///path/of/the/socket[?db=1]"

local function problem(kind, code, message, retryable)
  return core.error { kind = kind, code = code, message = "redis: " .. message,
    retryable = retryable or false }
end

local function decode(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- "user:secret@" → user, secret
local function credentials(text)
  local user, password = text:match "^([^:]*):(.*)$"
  if not user then user, password = "", text end
  return user ~= "" and decode(user) or nil, password ~= "" and decode(password) or nil
end

local function read_database(text)
  if text == "" then return "0" end
  return text:match "^%d+$"
end

--- Reads the address of a Redis.
-- @tparam string url
-- @treturn[1] table { host =, port =, path =, db =, user =, password =, shown = }: `shown` has no password
-- @treturn[2] nil
-- @treturn[2] table `config` error
function redis.address(url)
  local scheme, rest = url:match "^([%a+]+)://(.*)$"
  if scheme == "rediss" then
    return nil, problem("config", "redis_url",
      "rediss:// (TLS) is not supported; give the address of a tunnel, such as stunnel's")
  end
  local unix = scheme == "unix" or scheme == "redis+unix"
  if not (unix or scheme == "redis") then return nil, problem("config", "redis_url", EXPECTED) end
  local address, secret, place = {}, rest:match "^([^/]*)@(.*)$"
  if not place and rest:find "@" then secret, place = rest:match "^(.*)@(.-)$" end -- a '/' in the password
  if secret then address.user, address.password = credentials(secret) end
  rest = place or rest
  if unix then
    local path, query = rest:match "^([^?]+)%??(.*)$"
    address.path, address.db = path, read_database(query and query:match "^db=(.*)$" or "")
    if not path or path:sub(1, 1) ~= "/" then return nil, problem("config", "redis_url", EXPECTED) end
    address.shown = "unix://" .. path
  else
    local where, db = rest:match "^([^/?]*)/?([^?]*)"
    local host, port = where:match "^%[(.-)%]:?(%d*)$"
    if not host then host, port = where:match "^([^:]*):?(%d*)$" end
    address.host, address.db = host, read_database(db)
    if not host then return nil, problem("config", "redis_url", EXPECTED) end
    if host == "" then address.host = "127.0.0.1" end
    address.port = tonumber(port ~= "" and port or "6379")
    address.shown = ("redis://%s:%d/%s"):format(address.host, address.port, address.db or "")
  end
  if not address.db then
    return nil, problem("config", "redis_url", "the number of the database is not a number: " .. EXPECTED)
  end
  return address
end

-- The connection ---------------------------------------------------------------------

-- Loads lua-redis and LuaSocket.
local function libraries()
  local found, driver = pcall(require, "redis")
  local socket_found, socket = pcall(require, "socket")
  if found and socket_found and type(driver) == "table" and driver.connect then return driver, socket end
  return nil, problem("config", "no_driver",
    "needs lua-redis and LuaSocket: `luarocks install redis-lua`, or Debian's lua-redis")
end

-- What Redis says when it will do later what it refuses now.
local LATER = { LOADING = true, BUSY = true, TRYAGAIN = true, MASTERDOWN = true, READONLY = true,
  CLUSTERDOWN = true, NOREPLICAS = true }
local FULL = { OOM = true, MISCONF = true }
local REFUSED = { NOAUTH = true, WRONGPASS = true, NOPERM = true }

-- Removes the password, and the place in lua-redis that raised the error.
local function clean(self, text)
  text = tostring(text):gsub("^[^\n]-%.lua:%d+: ", "")
  local password = self.at.password
  if not password then return text end
  local from, to = text:find(password, 1, true)
  while from do
    text = text:sub(1, from - 1) .. "***" .. text:sub(to + 1)
    from, to = text:find(password, from + 3, true)
  end
  return text
end

-- Whether lua-redis could not read a reply.
local function is_garbled(raised)
  return raised:find("unknown response prefix: ", 1, true) or raised:find("cannot parse ", 1, true)
end

-- Turns what lua-redis raised into an error.
local function failure(self, raised)
  local text = clean(self, raised)
  local said = text:match "^redis error: (.*)$"
  if not said and is_garbled(text) then
    return problem("transport", "redis_lost", ("%s does not answer as Redis does (%s): is the address right?")
      :format(self.at.shown, text), true)
  elseif not said then
    return problem("transport", "redis_lost", ("the connection to %s broke: %s"):format(self.at.shown,
      (text:gsub("^connection error: ", ""))), true)
  end
  local word = said:match "^%u+"
  local deep = said:match "(OOM command not allowed[^@]*)" -- raised inside of a script
  if deep then word, said = "OOM", deep end
  if FULL[word] then
    return problem("file", "redis_full", ("%s can't write: %s"):format(self.at.shown, said), true)
  elseif REFUSED[word] or said:find("AUTH", 1, true) or said:find("invalid password", 1, true) then
    return problem("config", "redis_auth", ("%s refuses the password or the user: %s"):format(self.at.shown,
      said))
  end
  return problem(LATER[word] and "transport" or "config", LATER[word] and "redis_lost" or "redis_error",
    ("%s says: %s"):format(self.at.shown, said), LATER[word])
end

local function disconnect(self)
  if self.socket then self.socket:close() end
  self.socket, self.link, self.shas = nil, nil, {}
end

-- Whether an error is of Redis or of the connection. Anything else, such as Ctrl-C, is somebody else's.
local function is_ours(raised)
  return type(raised) == "string" and (raised:find("redis error: ", 1, true)
    or raised:find("connection error: ", 1, true) or is_garbled(raised)
    or raised:find("redis.lua:%d+: ") and not raised:find("interrupted!", 1, true))
end

-- Calls `work`, which may raise. Whatever it is that did, the state of the connection is unknown then, unless
-- Redis itself has answered with an error.
local function protect(self, work)
  local good, result = pcall(work)
  if good then return result end
  if not (type(result) == "string" and result:find("redis error: ", 1, true)) then disconnect(self) end
  if type(result) == "table" and result.kind then return nil, result end
  if not is_ours(result) then error(result, 0) end
  return nil, failure(self, result)
end

local function open_socket(self)
  local sock, err
  if self.at.path then
    sock = require("socket.unix")()
    sock:settimeout(self.lost and PROBE or TIMEOUT)
    local good
    good, err = sock:connect(self.at.path)
    if not good then sock:close() end
    sock = good and sock
  else
    sock = self.luasocket.tcp()
    sock:settimeout(self.lost and PROBE or TIMEOUT)
    local good
    good, err = sock:connect(self.at.host, self.at.port)
    if not good then sock:close() end
    sock = good and sock
    if sock then sock:setoption("tcp-nodelay", true) end
  end
  if sock then return sock end
  error(problem("connect", "redis_lost", ("can't connect to %s: %s"):format(self.at.shown, tostring(err)),
    true), 0)
end

-- Connects, unless that is done.
local function connect(self)
  if self.link then return end
  self.socket = open_socket(self)
  local link = self.driver.connect { socket = self.socket }
  if self.at.user then
    link:auth(self.at.user, self.at.password or "")
  elseif self.at.password then
    link:auth(self.at.password)
  end
  if self.at.db ~= "0" then link:select(self.at.db) end
  local good, info = pcall(self.driver.command "INFO", link)
  if not good then
    if not tostring(info):find("redis error: NOPERM", 1, true) then error(info, 0) end
    info = "" -- this user may not ask
  end
  self.version = tonumber(info:match "redis_version:(%d+)") or 0
  local appends = info:match "aof_enabled:(%d)"
  if appends then self.durable = appends == "1" end
  self.socket:settimeout(TIMEOUT)
  self.link, self.shas = link, {}
end

-- Runs a script, by its hash where Redis knows it.
local function run(self, name, arguments)
  local sha = self.shas[name]
  if not sha then
    local head = scripts.small[name] and (self.version >= 7 and ALLOWED or GUARDED) or ""
    sha = self.link:script("LOAD", head .. scripts[name])
    self.shas[name] = sha
  end
  local words = { sha, "1", self.prefix }
  for _, word in ipairs(arguments) do words[#words + 1] = word end
  return self.link:evalsha(words)
end

-- Runs a script; tries again where the connection broke or Redis is starting, until it has been away for a
-- while. A worker follows many jobs, and each waits while this blocks.
local function call(self, name, arguments)
  while true do
    local reply, err = protect(self, function()
      connect(self)
      local good, reply = pcall(run, self, name, arguments)
      if good then return { reply } end
      if not tostring(reply):find("NOSCRIPT", 1, true) then error(reply, 0) end
      self.shas[name] = nil -- somebody has flushed the scripts
      return { run(self, name, arguments) }
    end)
    if err and err.code == "redis_lost" then
      self.lost = self.lost or core.now()
      if self.socket and err.kind ~= "connect" then disconnect(self) end
    else
      self.lost = nil
    end
    if reply then return reply[1] end
    if not self.lost or core.now() >= self.lost + self.patience then return nil, err end
    self.luasocket.sleep(PAUSE)
  end
end

-- The five calls ---------------------------------------------------------------------

local Store = {}
Store.__index = Store

function Store:__tostring()
  return ("sora.store.redis (%s, queue '%s')"):format(self.at.shown, self.name)
end

local function clash(reply)
  return problem("config", "output",
    ("task %s: '%s' is the output of task %s; each needs its own"):format(reply[4], reply[2], reply[3]))
end

--- Puts tasks into the queue that it does not know yet.
-- @tparam {table,...} tasks { id =, body =, output =, twin = }: `body` is for the workers alone; tasks with
-- the same `twin` can't be told apart at the server
-- @treturn[1] integer how many were new
-- @treturn[2] nil
-- @treturn[2] table error; `put` is how many of the first are in the queue all the same
function Store:put(tasks)
  local added = 0
  for first = 1, #tasks, SLICE do
    local arguments = {}
    for i = first, math.min(first + SLICE - 1, #tasks) do
      local task = tasks[i]
      for _, name in ipairs { "id", "body", "output", "twin" } do
        arguments[#arguments + 1] = task[name] or ""
      end
      arguments[#arguments + 1] = tostring(i)
    end
    local reply, err = call(self, "put", arguments)
    if reply and type(reply) == "table" then reply, err = nil, clash(reply) end
    if not reply then
      err.put = first - 1
      return nil, err
    end
    added = added + reply
  end
  return added
end

-- In the order in which the scripts give them.
local function read_task(row)
  local task = {}
  for i, name in ipairs(scripts.fields) do
    local value = row[i]
    if value ~= nil and value ~= "" then task[name] = value end
  end
  for _, name in ipairs(scripts.numbers) do task[name] = tonumber(task[name]) end
  if task.others then
    local list = {}
    for id in task.others:gmatch "[^\n]+" do
      if id ~= task.job then list[#list + 1] = id end
    end
    task.others = list[1] and list
  end
  return task
end

local function read_tasks(rows)
  local tasks = {}
  for i, row in ipairs(rows) do tasks[i] = read_task(row) end
  return tasks
end

--- Takes tasks, each with a lease.
-- @tparam string worker
-- @tparam number seconds of the leases
-- @tparam integer count at most
-- @tparam string server of the worker: all jobs of a queue are of one
-- @treturn[1] {table,...} tasks
-- @treturn[2] nil
-- @treturn[2] table error
function Store:take(worker, seconds, count, server)
  local reply, err = call(self, "take", { worker, ("%.0f"):format(seconds * 1000), ("%d"):format(count),
    server })
  if not reply then return nil, err end
  if reply[1] == "server" then
    return nil, problem("config", "other_server", ("the queue '%s' is for the server %s, and this worker is "
      .. "for %s: use another queue"):format(self.name, reply[2], server))
  end
  return read_tasks(reply)
end

--- Renews leases, and fetches the hints for a worker.
-- @tparam string worker
-- @tparam number seconds
-- @tparam table leases id of a task → its lease
-- @treturn[1] table id of a task → true, for leases that are lost
-- @treturn[1] {string,...} ids of jobs that are to be polled
-- @treturn[2] nil
-- @treturn[2] table error
function Store:renew(worker, seconds, leases)
  local arguments = { worker, ("%.0f"):format(seconds * 1000) }
  for id, lease in pairs(leases) do
    arguments[#arguments + 1] = id
    arguments[#arguments + 1] = ("%d"):format(lease)
  end
  local reply, err = call(self, "renew", arguments)
  if not reply then return nil, err end
  local lost = {}
  for _, id in ipairs(reply[1]) do lost[id] = true end
  return lost, reply[2]
end

--- Notes what happened to a task.
-- @tparam string id of the task; of a job for "hint"
-- @tparam ?integer lease
-- @tparam string event
-- @tparam ?table fields
-- @treturn[1] string "ok", or why not: "stale", "made", "unsure", "several", "none", "unknown", …
-- @treturn[1] ?string what goes with it, such as the job that was found
-- @treturn[2] nil
-- @treturn[2] table error
function Store:note(id, lease, event, fields)
  local arguments = { id, lease and ("%d"):format(lease) or "", event }
  for name, value in pairs(fields or {}) do
    if type(value) == "number" then value = json.number(value, "%.14g") end
    if value then
      arguments[#arguments + 1] = name
      arguments[#arguments + 1] = value == true and "1" or tostring(value)
    end
  end
  local reply, err = call(self, "note", arguments)
  if not reply then return nil, err end
  return reply[1], reply[2]
end

--- Lists tasks of a state, the oldest first; without a state, counts those of each.
-- @tparam ?string state
-- @tparam ?integer from 1
-- @tparam ?integer count 100
-- @treturn[1] table tasks, or counts
-- @treturn[2] nil
-- @treturn[2] table error
function Store:list(state, from, count)
  from = from or 1
  local reply, err = call(self, "list", { state or "", ("%d"):format(from - 1),
    ("%d"):format(from + (count or 100) - 2) })
  if not reply then return nil, err end
  if state then return read_tasks(reply) end
  local counts = {}
  for i, name in ipairs(scripts.states) do counts[name] = reply[i] end
  return counts
end

--- Closes the connection; the next call makes a new one.
function Store:close()
  disconnect(self)
end

-- The journal ------------------------------------------------------------------------

-- Adds `append` and `read` of a journal, which are called without the store.
local function add_journal(self)
  local count, own = 0, ("%d-%.0f"):format(os.time(), core.random() * 1e15)
  function self.append(line)
    count = count + 1
    local reply, err = call(self, "append", { line, ("%s-%d"):format(own, count) })
    if not reply then return nil, err end
    return true
  end
  function self.read()
    local lines, at, from, ended = {}, 0, 0, false
    local function fetch()
      local reply, err = call(self, "lines", { ("%d"):format(from), ("%d"):format(from + SLICE - 1) })
      if not reply then return nil, err end
      lines, at, from, ended = reply, 0, from + #reply, #reply < SLICE
      return true
    end
    local good, err = fetch()
    if not good then return nil, err end
    return function()
      if at == #lines and not ended then
        good, err = fetch()
        if not good then return nil, err end
      end
      at = at + 1
      return lines[at]
    end
  end
end

-- Opening ----------------------------------------------------------------------------

local RULES = {
  name = options.rule("string", "a name without braces", function(text)
    return text:find "^[^{}%z]+$" ~= nil
  end),
  patience = options.SECONDS,
}

--- Connects to a Redis.
-- @tparam ?string url `redis://[:password@]host[:port][/db]` or `unix:///path`; by default the variable
-- SORA_REDIS_URL. SORA_REDIS_PASSWORD is taken where the URL has no password
-- @tparam ?table opts `name` of the queue ("sora"), `patience` (2 s for a Redis that is restarting)
-- @treturn[1] table store; `shown` is its address without the password, and `durable` false where Redis
-- keeps no append-only file, so that it would forget tasks in a crash
-- @treturn[2] nil
-- @treturn[2] table error
function redis.open(url, opts)
  opts = options.check("open", opts or {}, RULES)
  url = url or os.getenv "SORA_REDIS_URL"
  if not url or url == "" then
    return nil, problem("config", "redis_url", "no address: set SORA_REDIS_URL; " .. EXPECTED)
  end
  local at, err = redis.address(url)
  if not at then return nil, err end
  at.password = at.password or os.getenv "SORA_REDIS_PASSWORD"
  if at.password == "" then at.password = nil end
  local driver, socket = libraries()
  if not driver then return nil, socket end
  local name = opts.name or "sora"
  local self = setmetatable({ at = at, driver = driver, luasocket = socket, name = name, shas = {},
    prefix = ("{%s}:"):format(name), patience = opts.patience or PATIENCE, shown = at.shown }, Store)
  add_journal(self)
  local good
  good, err = call(self, "list", { "", "0", "0" })
  if not good then return nil, err end
  return self
end

return redis
