--- The journal: a record on disk of every job that was asked for.
-- Owns the file's format: JSON lines, each written whole and synced, so that several processes may share the
-- file. Invariant: a line is written before a job is asked for and another after the answer, so that whatever
-- kills the process, a job that was paid for can be found; no line holds a key.
-- @module sora.journal
-- @local

local core = require "sora.core"
local json = require "sora.json"
local normalize = require "sora.normalize"

local journal = {}

local ENOENT = 2 -- on every system

local function write(path, line)
  return core.append(path, "\n" .. json.encode(line) .. "\n") -- ends a line that a crash cut off
end

-- Makes a key that no other line has, in any process.
local function new_key()
  return ("%d-%s-%.0f"):format(os.time(), tostring({}):gsub("%W", ""):sub(-8), core.random() * 1e9)
end

--- Writes that a job is about to be asked for.
-- @tparam table client
-- @tparam table params of the create
-- @treturn[1] string a key, for `outcome`
-- @treturn[2] nil
-- @treturn[2] table `file` error: nothing may be sent
function journal.intend(client, params)
  local key = new_key()
  local written, err = write(client._journal, { event = "asked", key = key, created = os.time(),
    base_url = client.base_url, prompt = type(params) == "table" and params.prompt or nil })
  if not written then return nil, err end
  return key
end

local function report(err)
  io.stderr:write("sora: the journal could not be written: ", err.message, "\n")
end

--- Writes what became of it. If the journal cannot be written, reports that and keeps the job.
function journal.outcome(client, key, video, err)
  local line = { event = "refused", key = key, base_url = client.base_url }
  if video then
    local view = normalize.video(video)
    line.event, line.id, line.state, line.created = "made", view.id, view.state, view.created_at or os.time()
  elseif err.ambiguous then
    return -- the first line remains: the server may have the job
  else
    line.kind = err.kind
  end
  local written, problem = write(client._journal, line)
  if not written then report(problem) end
end

--- Writes that a job has ended.
function journal.ended(client, id, state)
  local text = type(id) == "number" and ("%.0f"):format(id) or id
  local written, problem = write(client._journal, { event = "ended", id = text, state = state,
    base_url = client.base_url })
  if not written then report(problem) end
end

-- Reads the lines of the file; leaves out those that a crash cut off.
local function read(path)
  local file, problem, code = io.open(path, "rb")
  if not file then
    if code == ENOENT then return {} end
    return nil, core.error { kind = "file", message = problem }
  end
  local contents, why = file:read("*a")
  if not contents then
    file:close()
    return nil, core.error { kind = "file", message = ("%s: %s"):format(path, tostring(why)) }
  end
  local lines = {}
  for text in contents:gmatch("[^\n]+") do
    local line = json.decode(text)
    if line then lines[#lines + 1] = line end
  end
  file:close()
  return lines
end

--- Reads the jobs of the client's server that are not known to have ended.
-- @tparam table client
-- @treturn[1] {table,...} tickets { id, base_url, created, state, prompt }; a ticket without an id has
-- `ambiguous = true`, and `find_created` may find its job
-- @treturn[2] nil
-- @treturn[2] table `file` error
function journal.unfinished(client)
  local lines, err = read(client._journal)
  if not lines then return nil, err end
  local asked, ended, tickets = {}, {}, {}
  for _, line in ipairs(lines) do
    if line.base_url == client.base_url then
      if line.event == "asked" and line.key then
        asked[line.key] = { base_url = line.base_url, created = line.created, prompt = line.prompt,
          ambiguous = true }
        tickets[#tickets + 1] = asked[line.key]
      elseif line.event == "made" and line.key and asked[line.key] then
        local ticket = asked[line.key]
        ticket.id, ticket.state, ticket.ambiguous = line.id, line.state, line.id == nil or nil
        if line.id then ticket.created = line.created end
        ticket.over = normalize.terminal(line.state)
      elseif line.event == "refused" and line.key and asked[line.key] then
        asked[line.key].over = true
      elseif line.event == "ended" and line.id then
        ended[line.id] = true
      end
    end
  end
  local open = {}
  for _, ticket in ipairs(tickets) do
    if not ticket.over and not (ticket.id and ended[ticket.id]) then open[#open + 1] = ticket end
    ticket.over = nil
  end
  return open
end

return journal
