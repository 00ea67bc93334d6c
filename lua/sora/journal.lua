--- The journal: a record of every job that was asked for, which outlives the process.
-- Owns the format, one JSON object a line, and the lines that wait to be written. Invariant: a line is
-- written before a job is asked for and another when its answer comes, whoever waits for that; a line leaves
-- the queue only once it is written; no line holds a key, and none is ever changed or removed.
-- @module sora.journal
-- @local

local core = require "sora.core"
local json = require "sora.json"
local normalize = require "sora.normalize"
local problems = require "sora.problems"
local task = require "sora.task"
local values = require "sora.normalize.values"

core.own()

local journal = {}

local VERSION = 2
local BLOCK = 65536   -- bytes that are read at a time
local SLICE = 0.005   -- s; under an adapter, a reader lets others run at least so often
local LATE = 10       -- s; whoever writes a line for longer than this is thought to be gone

-- Where the lines are ----------------------------------------------------------------

local function file_error(client, problem)
  if type(problem) == "table" and problem.kind then return problem end
  return core.error({ kind = "file", message = "the journal: " .. tostring(problem) }, client)
end

-- Iterates over the lines of an open file; unlike file:lines, it reads zeros on every Lua.
local function lines_of(file)
  local rest, at, ended = "", 1, false
  return function()
    while true do
      local stop = rest:find("\n", at, true)
      if stop then
        local line = rest:sub(at, stop - 1)
        at = stop + 1
        return line
      elseif ended then
        local last = rest:sub(at)
        rest, at = "", 1
        return last ~= "" and last or nil
      end
      local block, problem = file:read(BLOCK)
      if problem then return nil, problem end
      rest, at, ended = rest:sub(at) .. (block or ""), 1, block == nil
      if ended then file:close() end
    end
  end
end

local function nothing() end

-- A journal in a file. An empty line before each ends one that a crash cut off.
local function open_file(path)
  local appender = core.appender(path)
  local store = { direct = true }
  function store.append(line) return appender:append("\n" .. line .. "\n") end
  function store.close() appender:close() end
  function store.read()
    local there, err = appender:exists()
    if err then return nil, err end
    if not there then return nothing end
    local file, problem = io.open(path, "rb")
    if not file then return nil, problem end
    return lines_of(file)
  end
  return store
end

local EXPECTED = "option 'journal': expected the name of a file, or a table with the functions append and "
  .. "read, got "

--- Makes a client's journal of its option.
-- @tparam ?string|table given a path, or { append = function(line), read = function() }
-- @tparam string who the function that the user called; misuse raises
-- @treturn ?table
function journal.open(given, who)
  local store
  if given == nil then return nil end
  if type(given) == "string" and given ~= "" and not given:find("%z") then
    store = open_file(given)
  elseif type(given) == "table" and type(given.append) == "function" and type(given.read) == "function" then
    store = { append = given.append, read = given.read, close = nothing }
  else
    core.complain(who, EXPECTED .. (given == "" and "an empty string" or type(given)))
  end
  store.queue, store.failed = {}, 0
  store.answers = {} -- calls whose answers become lines: see pump.lua
  store.nameless = setmetatable({}, { __mode = "k" }) -- a job without an id → its key
  store.repeatable = {} -- keys of creates that are repeated by themselves
  return store
end

-- Writing ----------------------------------------------------------------------------

-- Appends a line. A table's function may yield, so pcall is left out where a coroutine can't yield through
-- it. A file's may raise, too, where memory is out.
local function append(client, text)
  local store = client._journal
  local may_yield = client._pause and not store.direct
  if may_yield and not task.yields_through_pcall then return store.append(text) end
  local good, written, problem = pcall(store.append, text)
  if good then return written, problem end
  if not problems.is_interrupt(written) then return nil, written end
  store.writing = nil
  return error(written, 0)
end

local function encode(client, line)
  line.v, line.base_url = VERSION, client.base_url
  return json.encode(line)
end

-- Writes a line at once; true, or nil and a `file` error.
local function write(client, line)
  local text, problem = encode(client, line)
  local written
  if text then written, problem = append(client, text) end
  if written then return true end
  if problem == nil then problem = "expected its append to return true, got " .. tostring(written) end
  return nil, file_error(client, problem)
end

local function report(client, problem)
  local err = file_error(client, problem)
  io.stderr:write("sora: the journal could not be written: ", core.printable(err.message), "\n")
end

--- Writes the lines that wait. May yield where the journal's `append` does. Lines that can't be written are
-- tried again with the next one, or when the client is closed.
-- @tparam table client
-- @tparam ?boolean all true: tries those again that failed
function journal.flush(client, all)
  local store = client._journal
  if not store or #store.queue == (all and 0 or store.failed) then return end
  if store.writing and core.now() - store.writing < LATE then return end -- somebody else is at it
  local queue = store.queue
  while queue[1] do
    local line = queue[1]
    store.writing = core.now()
    local written, problem = append(client, line.text)
    store.writing = nil
    if not written then
      store.failed = #queue
      for _, other in ipairs(queue) do other.tried = true end
      return report(client, problem)
    end
    line.tried = true
    if queue[1] == line then table.remove(queue, 1) end
  end
  store.failed = 0
end

--- Returns how many lines wait to be written, without those that could not be.
function journal.pending(client)
  local store = client._journal
  return store and #store.queue - store.failed or 0
end

--- Returns a function that tells whether all lines of now were written, or tried.
function journal.mark(client)
  local store = client._journal
  local last = store and store.queue[#store.queue]
  return function() return not last or last.tried end
end

--- Writes what waits and closes the journal; a later line opens it again.
function journal.close(client)
  if not client._journal then return end
  journal.flush(client, true)
  client._journal.close()
end

-- Queues a line. A file is written at once, because that never yields.
local function note(client, line)
  local store = client._journal
  if not store then return end
  local text, problem = encode(client, line)
  if not text then return report(client, problem) end
  store.queue[#store.queue + 1] = { text = text, tried = false }
  if store.direct then journal.flush(client) end
end

-- Events -----------------------------------------------------------------------------

-- Makes a key that no other line has, in any process: tables of forked processes have the same addresses.
local function new_key()
  return ("%d-%s-%.0f"):format(os.time(), tostring({}):gsub("%W", ""):sub(-8), core.random() * 2^53)
end

local function as_text(id)
  return values.id(id) or values.row_id(id)
end

--- Writes that a job is about to be asked for; returns only once that is on disk.
-- @tparam table client
-- @tparam table params of the create
-- @tparam ?table opts the options of the call: `label`, `target` and `idempotency_key` are kept
-- @treturn[1] string a key, for `outcome`
-- @treturn[2] nil
-- @treturn[2] table `file` error: nothing may be sent
function journal.intend(client, params, opts)
  local key = new_key()
  opts = opts or {}
  local line = { event = "asked", key = key, created = os.time(), label = opts.label,
    target = opts.target, idempotency_key = opts.idempotency_key,
    prompt = type(params) == "table" and params.prompt or nil }
  local good, written, err = true
  if client._journal.direct then
    good, written, err = pcall(write, client, line)
  else
    written, err = write(client, line)
  end
  if not good then -- Ctrl-C: the line may be there, and nothing is sent
    note(client, { event = "refused", key = key, kind = "cancelled" })
    error(written, 0)
  end
  if not written then return nil, err end
  client._journal.repeatable[key] = opts.idempotency_key ~= nil or nil
  return key
end

local UNSENT = { dns = true, connect = true, tls = true, config = true, file = true, closed = true }

-- Tells whether the server may have a job. A create with an idempotency key is repeated, so that its error is
-- never called ambiguous; but any attempt before the last may have made the job.
local function may_exist(err, repeatable)
  if err.ambiguous or not repeatable then return err.ambiguous end
  if (err.attempts or 0) > 1 then return true end
  local status = err.kind == "api" and err.status or 0
  return not (UNSENT[err.kind] or status >= 400 and status < 500 and status ~= 408 and status ~= 409)
end

--- Notes what became of it. Nothing, if the server may have the job: the first line remains.
-- @tparam table client
-- @tparam string key from `intend`
-- @tparam ?table video
-- @tparam ?table err
function journal.outcome(client, key, video, err)
  local repeatable = client._journal.repeatable
  local repeated = repeatable[key]
  repeatable[key] = nil
  if not video then
    if may_exist(err, repeated) then return end
    return note(client, { event = "refused", key = key, kind = err.kind })
  end
  local view = normalize.video(video)
  if not view.id then client._journal.nameless[video] = key end
  local state = normalize.doubtful(video) and "in_progress" or view.state
  note(client, { event = "made", key = key, id = view.id, state = state,
    created = view.created_at or os.time(), expires_at = values.time(video.expires_at) })
end

--- Notes that a job has ended.
-- @tparam table client
-- @param id
-- @tparam string state
-- @tparam ?table video the last snapshot
function journal.ended(client, id, state, video)
  note(client, { event = "ended", id = as_text(id), state = state,
    expires_at = video and values.time(video.expires_at) or nil })
end

--- Notes that a job's file is in place, which closes the job.
-- @tparam table client
-- @param id an id; or, for a job that has none, the answer of its create
-- @tparam ?string path nil: a sink got the bytes
-- @tparam integer bytes
function journal.saved(client, id, path, bytes)
  if not client._journal then return end
  local key = client._journal.nameless[id]
  id = as_text(type(id) == "table" and normalize.video(id).id or id)
  if not (id or key) then return end
  note(client, { event = "saved", id = id, key = not id and key or nil, path = path, bytes = bytes })
end

-- Reading ----------------------------------------------------------------------------

-- What the lines of one server have told so far: where its tickets are. `list` has every ticket, in the order
-- of their first lines.
local function new_record(client, base_url, list)
  return { list = list, by_key = {}, by_id = {}, base_url = base_url, now = os.time(),
    ends = client._journal_until == "ended", expiries = {} }
end

-- Tells whether a job is over in a state. A line without a version is of sora 0.1, where the end of a job was
-- the end of its record.
local function is_over(record, state, line)
  if state == "completed" then return record.ends or line.v == nil end
  return normalize.terminal(state)
end

-- The field of a line, if it has the type that it is written with: anybody may have written the line.
local function field(line, name, kind)
  local value = line[name]
  return type(value) == (kind or "string") and value or nil
end

local function add_ticket(record, key)
  local ticket = { key = key, base_url = record.base_url }
  record.list[#record.list + 1] = ticket
  if key then record.by_key[key] = ticket end
  return ticket
end

local function set_state(record, ticket, line)
  local state = field(line, "state")
  ticket.state = state or ticket.state
  ticket.over = ticket.over or is_over(record, state, line) or nil
  record.expiries[ticket] = field(line, "expires_at", "number") or record.expiries[ticket]
end

local function same_id(record, id)
  record.by_id[id] = record.by_id[id] or {}
  return record.by_id[id]
end

-- Calls `change` with each job that a line is about: those with its id that are not over, for some servers
-- number their jobs anew, or else the last one; or the one with its key.
local function each_ticket(record, line, change)
  local id, found = as_text(line.id), false
  local list = id and record.by_id[id] or {}
  for _, ticket in ipairs(list) do
    if not ticket.over then
      change(record, ticket, line)
      found = true
    end
  end
  local only = list[#list] or (not id and record.by_key[field(line, "key")])
  if only and not found then change(record, only, line) end
end

local events = {}
local ASKED_WITH = { "label", "target", "idempotency_key" }

-- A key is one ticket's. Where two journals were joined, the line may come twice, or after others of its key.
function events.asked(record, line)
  local key = field(line, "key")
  if not key then return end
  local ticket = record.by_key[key]
  if not ticket then
    ticket = add_ticket(record, key)
    ticket.ambiguous = true
  end
  ticket.created = ticket.created or field(line, "created", "number")
  if ticket.prompt == nil then ticket.prompt = line.prompt end
  for _, name in ipairs(ASKED_WITH) do ticket[name] = ticket[name] or field(line, name) end
end

function events.made(record, line)
  local id, key = as_text(line.id), field(line, "key")
  local ticket = key and record.by_key[key]
  if not ticket then
    if not id then return end
    ticket = add_ticket(record, key) -- the first line is in another file
  end
  ticket.id, ticket.ambiguous = id, id == nil or nil
  if id then
    ticket.created = field(line, "created", "number") or ticket.created
    local list = same_id(record, id)
    if list[#list] ~= ticket then list[#list + 1] = ticket end
  end
  set_state(record, ticket, line)
end

function events.refused(record, line)
  local ticket = record.by_key[field(line, "key")]
  if not ticket then return end
  ticket.state, ticket.ambiguous, ticket.over = "refused", nil, true
end

function events.ended(record, line)
  each_ticket(record, line, set_state)
end

function events.saved(record, line)
  each_ticket(record, line, function(_, ticket)
    ticket.path, ticket.bytes = field(line, "path"), field(line, "bytes", "number")
    ticket.state, ticket.over, ticket.ambiguous = "completed", true, nil
  end)
end

function events.forgotten(record, line)
  each_ticket(record, line, function(_, ticket) ticket.over = true end)
end

-- Makes a function that takes a line into account. It skips lines that a crash cut off and, unless `all`,
-- those of other servers. Returns the records, too, by base URL.
local function new_reader(client, list, all)
  local records = {}
  return function(text)
    local line = type(text) == "string" and json.decode(text)
    local event, base_url = line and events[line.event], line and field(line, "base_url")
    if not (event and base_url and (all or base_url == client.base_url)) then return end
    records[base_url] = records[base_url] or new_record(client, base_url, list)
    event(records[base_url], line)
  end, records
end

-- A film that has expired is gone, whoever asks for it.
local function close_expired(record)
  for ticket, time in pairs(record.expiries) do
    if not ticket.over and ticket.state == "completed" and time < record.now then
      ticket.state, ticket.over = "expired", true
    end
  end
end

-- Returns a function that lets others run now and then, under an adapter, where the caller may wait.
local function breather(client)
  if not (client._pause and client.can_wait and pcall(client.can_wait, client)) then return nothing end
  local began = core.now()
  return function()
    if core.now() - began < SLICE then return end
    client:pause(0)
    began = core.now()
  end
end

--- Reads every job of the client's server.
-- @tparam table client
-- @tparam ?boolean all true: the jobs of all servers
-- @treturn[1] {table,...} tickets { key, label, target, idempotency_key, prompt, base_url, id, state,
-- created, path, bytes }; `over` is true where the job is; a ticket without an id has `ambiguous = true`
-- @treturn[2] nil
-- @treturn[2] table `file` error
function journal.tickets(client, all)
  local list, breathe = {}, breather(client)
  local take, records = new_reader(client, list, all)
  local step, state, at = client._journal.read()
  if not step then return nil, file_error(client, state) end
  while true do -- no for-iterator: a journal's own may yield, on Lua 5.1 too
    local text, problem = step(state, at)
    if text == nil and problem ~= nil then return nil, file_error(client, problem) end
    if text == nil then break end
    take(text)
    at = text
    breathe()
  end
  for _, record in pairs(records) do close_expired(record) end
  return list
end

-- The ticket that a key or an id belongs to; of several with an id, the last.
local function find(tickets, key, id)
  local found
  for _, ticket in ipairs(tickets) do
    if key and ticket.key == key then return ticket end
    if id and ticket.id == id then found = ticket end
  end
  return found
end

local function refuse(code, message)
  return nil, core.error { kind = "config", code = code, message = message }
end

--- Notes which job was made for a ticket without an id.
-- @tparam table client
-- @tparam string key of the ticket
-- @tparam table video
-- @treturn[1] table the ticket, with the id
-- @treturn[2] nil
-- @treturn[2] table error: the journal does not know the ticket, the ticket has a job, or the job has a
-- ticket
function journal.adopt(client, key, video)
  local tickets, err = journal.tickets(client)
  if not tickets then return nil, err end
  local view = normalize.video(video)
  local ticket, owner = find(tickets, key), find(tickets, nil, view.id)
  if not ticket then
    return refuse("not_journaled",
      ("the journal has no ticket '%s'; client:unfinished() lists them"):format(key))
  elseif ticket.id or ticket.over then
    return refuse("taken", ("the ticket '%s' has the job '%s' already"):format(key,
      ticket.id or ticket.state))
  elseif owner then
    return refuse("taken", ("the job '%s' is that of the ticket '%s'"):format(view.id, owner.key or "?"))
  end
  local written
  written, err = write(client, { event = "made", key = key, id = view.id, state = view.state,
    created = view.created_at or ticket.created })
  if not written then return nil, err end
  ticket.id, ticket.state, ticket.ambiguous = view.id, view.state, nil
  return ticket
end

--- Closes a job by hand.
-- @tparam table client
-- @tparam ?string key of its ticket
-- @tparam ?string id without a key
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error: the journal does not know the job, or can't be written
function journal.forget(client, key, id)
  local tickets, err = journal.tickets(client)
  if not tickets then return nil, err end
  local ticket = find(tickets, key, id)
  if not ticket then
    return refuse("not_journaled", ("the journal has no job '%s' of %s; client:journaled() lists all"):format(
      tostring(id or key), client.base_url))
  end
  if ticket.over then return true end
  return write(client, { event = "forgotten", key = key or ticket.key, id = not key and id or nil })
end

return journal
