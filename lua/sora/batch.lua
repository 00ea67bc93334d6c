--- Many films, each made once: prompts in, files in a folder out, however often the program is killed.
-- Owns the keys of a batch's items, by which the journal tells them apart, and what becomes of an item that
-- an earlier run left behind. Invariant: an item is paid for only if the journal has no job with its key, or
-- the last one was refused, failed, was cancelled or forgotten; one whose answer was lost is looked for, and
-- posted again only if the caller says so (`remake`). A create that the server puts off is refused, and asked
-- for again as another one.
-- @module sora.batch
-- @local

local core = require "sora.core"
local endpoints = require "sora.endpoints"
local journal = require "sora.journal"
local json = require "sora.json"
local machine = require "sora.wait.machine"
local normalize = require "sora.normalize"
local options = require "sora.options"
local pump = require "sora.pump"
local values = require "sora.normalize.values"

core.own()

local batch = {}

local MAX_REST = 3600 -- s; whatever an item waits for wakes the batch
local MIN_HOLD, MAX_HOLD = 1, 30 -- s; between two tries where the server does not say how long
batch.SKEW = 300      -- s; the server's clock may be so far behind
local SLUG = 40       -- bytes of the prompt in the name of a file

local WHOLE = options.rule("number", "a whole number, 1 or more", function(n)
  return n >= 1 and n % 1 == 0
end)

local RULES = {
  dir = options.rule("string", "the name of a folder", function(text) return text ~= "" end),
  jobs = WHOLE,
  max_jobs = options.COUNT,
  label = options.rule "string",
  remake = options.FLAG,
  on_progress = options.FUNCTION,
  interval = true, max_interval = true, timeout = true, max_failures = true,
  cancel_on_timeout = true, headers = true, query = true,
}
local WAIT = { "interval", "max_interval", "timeout", "max_failures", "cancel_on_timeout", "headers",
  "query" }
local CALL = { "headers", "query" }

local function pick(from, names)
  local picked = {}
  for _, name in ipairs(names) do picked[name] = from[name] end
  return picked
end

local function problem(kind, code, message)
  return core.error { kind = kind, code = code, message = message, retryable = false }
end

-- Items ------------------------------------------------------------------------------

-- Writes a value so that equal values have equal texts, on every Lua.
local function canonical(value, parts)
  local kind = type(value)
  if kind == "table" then
    local names = {}
    for name in pairs(value) do names[#names + 1] = name end
    table.sort(names, function(a, b)
      if type(a) ~= type(b) then return type(a) < type(b) end
      return a < b
    end)
    parts[#parts + 1] = "{"
    for _, name in ipairs(names) do
      canonical(name, parts)
      canonical(value[name], parts)
    end
    parts[#parts + 1] = "}"
  elseif kind == "number" then
    parts[#parts + 1] = "n" .. json.number(value, "%.17g") .. ";"
  elseif kind == "string" then
    parts[#parts + 1] = ("s%d:%s"):format(#value, value)
  else
    parts[#parts + 1] = value == json.null and "null;" or tostring(value) .. ";"
  end
  return parts
end

--- Returns a short text that stands for values: equal for equal ones.
-- @local
function batch.digest(...)
  local bytes = core.hmac_sha256("sora.batch", table.concat(canonical({ ... }, {}))):sub(1, 8)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

--- "A fox, in the snow" → "a-fox-in-the-snow"
-- @local
function batch.slug(prompt)
  local text = values.lower(prompt or ""):gsub("[^%w]+", "-"):gsub("^-", ""):sub(1, SLUG):gsub("-$", "")
  return text == "" and "video" or text
end

local function check_output(output, who, i)
  if type(output) == "string" and output ~= "" and not output:find("%z") then return end
  core.complain(who, ("list[%d].output: expected the name of a file, got %s"):format(i,
    output == "" and "an empty string" or type(output)))
end

-- Raises for misuse, naming the item.
local function check_params(client, params, who, i)
  local good, raised = pcall(endpoints.describe.create_video, client, params)
  if good then return end
  if type(raised) ~= "string" then error(raised, 0) end
  core.complain(who, ("list[%d]: %s"):format(i, raised:match "^.-bad argument.-%((.*)%)$" or raised))
end

local ON_WINDOWS = package.config:sub(1, 1) == "\\"

--- Tells whether a name begins at a root.
-- @local
function batch.is_absolute(name)
  return name:find "^/" ~= nil or ON_WINDOWS and (name:find "^\\" or name:find "^%a:") ~= nil
end

-- Turns the list into items, or raises.
local function read_list(client, list, opts, who)
  options.expect(who, "list", list, "table", "a list of prompts or params")
  local items, seen, paths = {}, {}, {}
  local length = 0
  for i in pairs(list) do
    if type(i) ~= "number" then
      core.complain(who, "list: expected a list, got the params of one; write { params }")
    end
    length = math.max(length, i)
  end
  for i = 1, length do
    local given = list[i]
    if type(given) ~= "string" and type(given) ~= "table" then
      core.complain(who, ("list[%d]: expected a prompt or params, got %s"):format(i, type(given)))
    end
    local params = type(given) == "string" and { prompt = given } or options.copy(given)
    local output = params.output
    params.output = nil
    if output ~= nil then check_output(output, who, i) end
    check_params(client, params, who, i) -- before anything is paid for
    local sum = batch.digest(client.base_url, params, output or false)
    seen[sum] = (seen[sum] or 0) + 1
    if seen[sum] > 1 then sum = batch.digest(sum, seen[sum]) end
    local name = output or ("%s-%s.mp4"):format(batch.slug(params.prompt), sum:sub(1, 8))
    local path = batch.is_absolute(name) and name or opts.dir .. "/" .. name
    if paths[path] then
      core.complain(who, ("list[%d].output: '%s' is also the output of list[%d]; each needs its own")
        :format(i, name, paths[path]))
    end
    paths[path] = i
    items[i] = { index = i, params = params, prompt = params.prompt, path = path, state = "waiting",
      sum = sum, key = ("%s/%s"):format(opts.label or "batch", sum), attempt = 1 }
  end
  return items
end

-- What the journal knows -----------------------------------------------------------------

local AGAIN = { refused = true, failed = true, cancelled = true }

-- Gives each item its last ticket; counts the jobs that were, or may have been, paid for.
local function take_tickets(self, tickets)
  local by_key = {}
  for _, item in ipairs(self.items) do by_key[item.key] = item end
  for _, ticket in ipairs(tickets) do
    if ticket.id then self.known[ticket.id] = true end
    if ticket.ambiguous and not ticket.over and ticket.prompt then
      self.lost[ticket.prompt] = (self.lost[ticket.prompt] or 0) + 1
    end
    local key, attempt = tostring(ticket.label or ""):match "^(.*)#(%d+)$"
    local item = key and by_key[key]
    if item then
      if ticket.state ~= "refused" then self.paid = self.paid + 1 end
      if not item.ticket or tonumber(attempt) >= item.attempt then
        item.ticket, item.attempt = ticket, tonumber(attempt)
      end
    end
  end
end

local function finish(self, item, err)
  item.state, item.err = err and (item.unsure and "unsure" or "failed") or "saved", err
  if err and item.id then
    err.ticket = err.ticket or { id = item.id, base_url = self.client.base_url, label = item.label }
  end
end

-- Decides what is to be done about an item first: `item.step`, or its end.
local function plan(self, item)
  local ticket = item.ticket
  if not ticket then
    item.step = "create"
    return
  end
  item.label, item.id = ticket.label, ticket.id
  if ticket.path and core.file_kind(ticket.path) == "file" then
    item.path, item.bytes, item.had = ticket.path, ticket.bytes, true
    return finish(self, item)
  end
  if AGAIN[ticket.state] or (ticket.over and ticket.state ~= "completed" and ticket.state ~= "expired"
    and ticket.state ~= "deleted") then -- the last: it was forgotten by hand
    item.ticket, item.id, item.attempt, item.step = nil, nil, item.attempt + 1, "create"
  elseif ticket.state == "expired" or ticket.state == "deleted" then
    finish(self, item, problem("expired", "gone",
      ("the job was paid for, and its file is gone (%s); another label makes it anew"):format(ticket.state)))
  elseif ticket.id then
    item.step = ticket.state == "completed" and "download" or "wait"
  else
    item.step = "find"
  end
end

-- Steps ------------------------------------------------------------------------------

local steps = {}

-- Lets the batch see that something is done.
local function waker(self)
  return function()
    self.progressed = true
    if self.turn.wake then self.turn.wake() end
  end
end

local function told(self, item)
  local on_progress = self.opts.on_progress
  if not on_progress or self.stopped then return end
  if on_progress(item) == false then self.stopped = true end
end

-- Tells whether an error would meet every other create, too.
local function meets_all(err)
  return err.kind == "dns" or err.kind == "connect" or err.kind == "tls"
    or err.kind == "api" and (err.status == 401 or err.reason == "auth" or err.reason == "quota")
end

local PUT_OFF = { rate_limit = true, capacity = true }
local LATER = { [425] = true, [429] = true, [503] = true }

--- Tells whether a server's refusal of a create says that it may be asked for again later.
-- @tparam table err an `api` error
function batch.is_put_off(err)
  return PUT_OFF[err.reason] or LATER[err.status] or false
end

--- Returns why a film can't be written to a path; nil: it can, or another download is writing it.
-- @tparam string path
-- @treturn ?table error
function batch.write_problem(path)
  local part, err = core.part(path)
  if part then part:close() end
  return not part and err.code ~= "locked" and err or nil
end

-- Puts an item off that the server has no capacity for, and with it every other create; false: the item has
-- waited long enough, or the server has not said that it may be asked for again.
local function put_off(self, item, err)
  if err.ambiguous or err.kind ~= "api" or not batch.is_put_off(err) then return false end
  local now = core.now()
  self.pause = math.min((self.pause or MIN_HOLD / 2) * 2, MAX_HOLD)
  item.give_up = item.give_up or now + self.timeout
  local seconds = err.retry_after and err.retry_after > 0 and err.retry_after or self.pause
  local till = math.max(self.held_until, now + seconds)
  if till > item.give_up then return false end
  self.held_until = till
  item.state, item.step, item.attempt = "waiting", "create", item.attempt + 1
  return true
end

-- Whether an item waits until creates are sent again.
local function is_held(self, item)
  return item.step == "create" and not self.halted and core.now() < self.held_until
end

function steps.create(self, item)
  if self.halted then
    return finish(self, item, problem("cancelled", "not_sent", "not sent after: " .. self.halted.message))
  end
  if self.opts.max_jobs and self.paid >= self.opts.max_jobs then
    return finish(self, item, problem("config", "max_jobs",
      ("max_jobs = %d allows no further job"):format(self.opts.max_jobs)))
  end
  local flaw = batch.write_problem(item.path)
  if flaw then return finish(self, item, flaw) end -- before it is paid for
  self.paid, self.made = self.paid + 1, self.made + 1
  item.label = ("%s#%d"):format(item.key, item.attempt)
  local own = options.copy({ label = item.label, target = item.path, on_done = waker(self) },
    pick(self.opts, CALL))
  local handle, err = self.client:start("create_video", item.params, own)
  if not handle then
    self.paid, self.made = self.paid - 1, self.made - 1
    return finish(self, item, err)
  end
  item.handle, item.state = handle, "asked"
  function item.after(video, failure)
    if not video then
      if failure.ambiguous then
        item.step, item.failure = "find", failure
        self.lost[item.prompt or ""] = (self.lost[item.prompt or ""] or 0) + 1
        item.ticket = { created = os.time(), prompt = item.prompt }
        return
      end
      if failure.kind ~= "decode" then self.paid, self.made = self.paid - 1, self.made - 1 end
      if meets_all(failure) then
        self.halted = failure
      elseif put_off(self, item, failure) then
        return
      end
      return finish(self, item, failure)
    end
    self.pause = nil
    local view = normalize.video(video)
    item.id, item.video = view.id, video
    item.step = view.state == "completed" and "download" or "wait"
    if not view.id and item.step == "wait" then
      finish(self, item, problem("decode", "no_id", "the created job has no id"))
    end
  end
end

--- Tells whether a job can be the one that an item asked for.
-- @local
function batch.may_be(item, video, known)
  local id = normalize.video(video).id
  if not id or known[id] or video.prompt ~= item.prompt then return false end
  for _, name in ipairs { "model", "size", "seconds" } do
    local asked, has = item.params[name], video[name]
    if asked ~= nil and has ~= nil and tostring(asked) ~= tostring(has) then return false end
  end
  return true
end

-- Takes an item that an earlier run left unsure as not made.
local function remake(self, item)
  local good, err = self.client:forget(item.ticket)
  if not good then return finish(self, item, err) end
  self.lost[item.prompt or ""] = (self.lost[item.prompt or ""] or 1) - 1
  item.unsure, item.ticket, item.attempt, item.step = nil, nil, item.attempt + 1, "create"
end

-- Looks for the job that a create may have made whose answer never came.
function steps.find(self, item)
  item.unsure = true
  local ticket, found, err = item.ticket, {}, nil
  if item.prompt and (self.lost[item.prompt] or 0) <= 1 then
    local list
    list, err = self.client:find_created({ prompt = item.prompt,
      since = ticket.created and ticket.created - batch.SKEW or nil }, pick(self.opts, CALL))
    for _, video in ipairs(list or {}) do
      if batch.may_be(item, video, self.known) then found[#found + 1] = video end
    end
  end
  if #found ~= 1 then
    if self.opts.remake and ticket.key and (not err or err.kind == "api") then return remake(self, item) end
    local why = err and tostring(err) or #found == 0 and "no such job was found"
      or #found .. " jobs may be it"
    local lost = problem("api", "unsure", ("nobody knows whether the job was made (%s); it is not asked for "
      .. "again: see client:unfinished and client:forget"):format(why))
    lost.ambiguous = true
    return finish(self, item, lost)
  end
  local tickets = self.client:journaled() or {}
  for _, other in ipairs(tickets) do
    if other.label == item.label and other.ambiguous and not other.over then
      journal.outcome(self.client, other.key, found[1])
    end
  end
  local view = normalize.video(found[1])
  item.unsure, item.id, self.known[view.id] = nil, view.id, true
  self.lost[item.prompt] = nil
  item.step = view.state == "completed" and "download" or "wait"
end

function steps.wait(self, item)
  local rules = pick(self.opts, WAIT)
  rules.on_done = waker(self)
  function rules.on_progress(_, view)
    item.progress, item.state = view.progress, view.state
    told(self, item)
  end
  local job, err = self.client:watch(item.id, rules)
  if not job then return finish(self, item, err) end
  item.handle, item.state = job, "in_progress"
  function item.after(video, failure)
    if failure then return finish(self, item, failure) end
    item.video, item.step = video, "download"
  end
end

function steps.download(self, item)
  local opts = pick(self.opts, CALL)
  local function done(file, err)
    if not file and err.kind == "file" then self.halted = err end -- the disk may be full
    if not file then return finish(self, item, err) end
    item.bytes = file.bytes
    finish(self, item)
  end
  item.state = "downloading"
  local source = item.id or item.video
  opts.on_done = waker(self)
  local handle, err = self.client:start("download_video", source, item.path, opts)
  if not handle then return done(nil, err) end
  item.handle, item.after = handle, done
end

-- Takes the steps of an item that need no waiting.
local function advance(self, item)
  while not item.handle and item.step and not self.stopped and not is_held(self, item) do
    local step = item.step
    item.step = nil
    steps[step](self, item)
    told(self, item)
  end
end

-- Running ----------------------------------------------------------------------------

-- Whether an item has something to wait for.
local function is_active(self, item)
  return item.handle ~= nil or item.step ~= nil and not self.stopped
end

-- Takes the results that are there. Returns whether there were any.
local function collect(self)
  local any = false
  self.progressed = false
  for i = #self.active, 1, -1 do
    local item = self.active[i]
    if item.handle and item.handle:done() then
      local handle, after = item.handle, item.after
      item.handle, item.after, any = nil, nil, true
      after(handle:result())
      told(self, item)
    end
    advance(self, item)
    if not is_active(self, item) then table.remove(self.active, i) end
  end
  return any
end

local function fill(self)
  while not self.stopped and #self.active < self.jobs and self.next <= #self.items do
    local item = self.items[self.next]
    self.next = self.next + 1
    plan(self, item)
    advance(self, item)
    if is_active(self, item) then self.active[#self.active + 1] = item end
  end
end

-- Ends what may be ended for nothing: waits and downloads, but no create.
local function stop(self)
  for _, item in ipairs(self.active) do
    if item.handle and item.state ~= "asked" then item.handle:cancel() end
  end
end

-- Whether an item may go on. Asks the handles, too: a callback that memory is out for has told nothing.
local function can_proceed(self)
  if self.progressed then return true end
  for _, item in ipairs(self.active) do
    if item.handle and item.handle:done() or item.step and not is_held(self, item) then return true end
  end
  return false
end

-- How long the batch may rest, in s: items that are held have nothing that wakes it.
local function rest_time(self)
  for _, item in ipairs(self.active) do
    if item.step then return math.max(self.held_until - core.now(), 0) end
  end
  return MAX_REST
end

local function rest(self)
  if pump.has_hook(self.client) then return pump.rest(self.client, rest_time(self), self.turn, true) end
  local good, raised = pcall(pump.rest, self.client, rest_time(self), self.turn, true)
  if good then return end
  stop(self)
  error(raised, 0)
end

local Turn = {}
Turn.__index = Turn

function Turn:done() return can_proceed(self.batch) end
function Turn:cancel()
  stop(self.batch)
  return true
end

local function results_of(self)
  local results = { made = self.made, saved = 0, failed = 0, unsure = 0 }
  for i, item in ipairs(self.items) do
    if not item.err and item.state ~= "saved" then
      finish(self, item, problem("cancelled", nil, "on_progress stopped the batch"))
    end
    local kind = item.err and (item.unsure and "unsure" or "failed") or "saved"
    results[kind] = results[kind] + 1
    results[i] = { path = not item.err and item.path or nil, bytes = item.bytes, id = item.id,
      label = item.label, had = item.had, err = item.err, unsure = item.unsure }
  end
  return results
end

-- Reads the list and the journal. Returns the batch, or nil, err.
local function prepare(client, list, opts, who)
  options.expect(who, "options", opts, "table")
  opts = options.check(who, opts, RULES)
  if not opts.dir then
    core.complain(who, "option 'dir' is missing: write { dir = 'films' }, the folder to save the films in")
  end
  local timeout = machine.rules(pick(opts, WAIT), who).timeout
  local items = read_list(client, list, opts, who)
  local tickets, err = client:journaled() -- refuses a client without a journal
  if not tickets then return nil, err end
  local self = { client = client, items = items, opts = opts, jobs = opts.jobs or 8, active = {}, next = 1,
    known = {}, lost = {}, paid = 0, made = 0, progressed = false, tickets = tickets, timeout = timeout,
    held_until = 0 }
  self.turn = { handle = setmetatable({ batch = self }, Turn) }
  take_tickets(self, tickets)
  return self
end

--- Tells what a run would do about each item, and does nothing.
-- @tparam table client
-- @tparam table list as for `run`
-- @tparam table opts as for `run`
-- @treturn[1] {table,...} items: `state` is "saved" or "failed" where nothing is to be done; or `step` is
-- "create", "find" (nobody knows whether the job was made), "wait" or "download"
-- @treturn[1] {table,...} the journal's tickets
-- @treturn[2] nil
-- @treturn[2] table error
function batch.survey(client, list, opts)
  local self, err = prepare(client, list, opts, "batch")
  if not self then return nil, err end
  for _, item in ipairs(self.items) do plan(self, item) end
  return self.items, self.tickets
end

--- Makes the films of a list, and saves them in a folder; see `Client:batch`.
function batch.run(client, list, opts)
  local self, err = prepare(client, list, opts, "batch")
  if not self then return nil, err end
  opts = self.opts
  local usable
  usable, err = core.usable(client)
  if not usable then return nil, err end
  if core.file_kind(opts.dir) ~= "folder" then
    return nil, problem("file", nil, opts.dir .. ": the folder does not exist")
  end
  pump.check_can_wait(client)
  fill(self)
  while #self.active > 0 do
    if not can_proceed(self) then rest(self) end
    if self.stopped then stop(self) end
    collect(self)
    fill(self)
  end
  pump.written(client)
  return results_of(self)
end

return batch
