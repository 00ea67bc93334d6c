--- `sora list`: lists the jobs that were made here, or those of the server.
-- Owns the columns. Invariant: without --remote it needs no server, no key and no network.
-- @local
local exit = require "sora.cli.exit"
local files = require "sora.cli.files"
local normalize = require "sora.normalize"
local params = require "sora.cli.params"
local target = require "sora.cli.target"
local text = require "sora.cli.text"

local list = { about = "List the jobs made here; --remote: the server's.",
  usage = "[-n N] [--remote] [--state S] [--forget KEY]" }

local STATES = { "queued", "in_progress", "completed", "failed", "cancelled", "expired", "deleted",
  "refused", "unsure",
  "saved" }

function list.define(command)
  command:option "-n --number":argname "N":default "20":convert(params.count)
    :description "How many (20), newest first."
  command:flag "--remote":description "Ask the server for its jobs, also those made elsewhere."
  command:option "--state":argname "S":choices(STATES):description("Only those in this state: "
    .. table.concat(STATES, ", ") .. ".")
  command:option "--forget":argname "KEY"
    :description "Take a job out of what is unfinished: an id, or a key that `resume` names."
end

-- A row: id, state, created, prompt, path and, for JSON, more.
local function row_of_ticket(ticket)
  local state = ticket.path and "saved" or ticket.ambiguous and not ticket.over and "unsure"
    or ticket.state or "unsure"
  return { id = ticket.id, key = ticket.key, state = state, created = ticket.created, prompt = ticket.prompt,
    path = ticket.path, target = ticket.target, base_url = ticket.base_url, label = ticket.label }
end

local function row_of_video(video)
  local view = normalize.video(video)
  return { id = view.id, state = view.state, created = view.created_at, prompt = video.prompt, url = view.url,
    progress = view.progress }
end

-- Adds rows until there are enough.
local function collect(session, each)
  local rows = {}
  for row in each do
    if not session.args.state or row.state == session.args.state then rows[#rows + 1] = row end
    if #rows >= session.args.number then break end
  end
  return rows
end

local function remote(session)
  local step = session:client():videos { order = "desc", limit = math.min(session.args.number, 100) }
  return collect(session, function()
    local video = step()
    return video and row_of_video(video)
  end)
end

-- Reads the journal, for which neither a server nor a key is needed.
local function journaled(session)
  local client = assert(require("sora").new { base_url = "http://localhost", api_key = "unused",
    journal = files.journal() })
  local tickets, err = client:journaled { all_servers = true }
  client:close()
  if not tickets then error(err, 0) end
  local at = #tickets + 1
  return collect(session, function()
    at = at - 1
    return tickets[at] and row_of_ticket(tickets[at])
  end)
end

local function age(created)
  return created and text.duration(math.max(os.time() - created, 0)) or ""
end

local function cells(row)
  return { text.shown(row.id or "(" .. (row.key or "no id") .. ")"), row.state, age(row.created),
    row.path and text.shown(target.shown(row.path)) or "", text.shown(row.prompt or "") }
end

local HEAD = { "ID", "STATE", "AGE", "FILE", "PROMPT" }

local function forget(session, what)
  local client = session:client()
  local ticket = what
  for _, other in ipairs(client:unfinished() or {}) do
    if other.key == what then ticket = other end
  end
  local good, err = client:forget(ticket)
  if not good and err.code == "not_journaled" then
    exit.fail(exit.USAGE, ("no job '%s' of %s is in the journal"):format(what, client.base_url),
      "The jobs in it:  " .. session:command "list")
  end
  if not good then return session:fail(err) end
  session.screen:note(text.shown(what) .. " is no longer among what is unfinished")
  session.screen:object { forgotten = what }
end

function list.run(session)
  if session.args.forget then return forget(session, session.args.forget) end
  local rows = (session.args.remote and remote or journaled)(session)
  if session.args.json then
    for _, row in ipairs(rows) do session.screen:object(row) end
  elseif #rows == 0 then
    session.screen:note "no jobs"
  else
    local lines = {}
    for i, row in ipairs(rows) do lines[i] = cells(row) end
    session.screen:table(HEAD, lines)
  end
  return exit.DONE
end

return list
