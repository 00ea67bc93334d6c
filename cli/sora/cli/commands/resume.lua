--- `sora resume`: resumes every unfinished job: waits, saves, and looks for jobs whose answer was lost.
-- Owns the search for those. Invariant: it makes no job.
-- @local
local batch = require "sora.batch"
local follow = require "sora.cli.follow"
local json = require "sora.json"
local normalize = require "sora.normalize"
local params = require "sora.cli.params"
local target = require "sora.cli.target"
local text = require "sora.cli.text"
local exit = require "sora.cli.exit"

local resume = { about = "Go on with everything that is unfinished.", usage = "[-o FOLDER] [--timeout S]" }

function resume.define(command)
  params.define_output(command)
  params.define_waiting(command)
end

-- Looks for the job of a create whose answer was lost. Returns the ticket, with its id; or nil and why it is
-- not known.
local function find(client, ticket, known)
  if type(ticket.prompt) ~= "string" then return nil, "its prompt is not in the journal" end
  local since = ticket.created and ticket.created - batch.SKEW
  local found, err = client:find_created { prompt = ticket.prompt, since = since }
  if not found then return nil, err.message end
  local fitting = {}
  for _, video in ipairs(found) do
    local id = normalize.video(video).id
    if id and not known[id] and video.prompt == ticket.prompt then fitting[#fitting + 1] = video end
  end
  if #fitting == 1 then
    local adopted, problem = client:adopt(ticket, fitting[1])
    return adopted, problem and problem.message
  end
  return nil, #fitting == 0 and "the server lists no such job" or text.count(#fitting, "job") .. " may be it"
end

local function item_of(session, ticket)
  local path = target.choose(session.args, ticket.prompt or ticket.id, ticket.target)
  return { id = ticket.id, ticket = ticket, name = target.shown(path), path = path }
end

-- Says how many jobs other servers have, since their keys are elsewhere.
local function tell_others(session, client)
  local urls, count = {}, 0
  for _, ticket in ipairs(client:unfinished { all_servers = true } or {}) do
    if ticket.base_url ~= client.base_url then
      count = count + 1
      urls[ticket.base_url] = true
    end
  end
  for url in pairs(urls) do
    session.screen:note(("%s at another server:  sora --base-url %s resume"):format(text.count(count, "job"),
      text.shown(text.quote(url))))
  end
end

function resume.run(session)
  local client = session:client()
  local tickets, err = client:unfinished()
  if not tickets then return session:fail(err) end
  local known, items, unsure = {}, {}, {}
  for _, ticket in ipairs(assert(client:journaled())) do known[ticket.id or ""] = true end
  for _, ticket in ipairs(tickets) do
    local job, why = ticket.id and ticket, nil
    if not job then job, why = find(client, ticket, known) end
    if job then
      known[job.id] = true
      items[#items + 1] = item_of(session, job)
    else
      unsure[#unsure + 1] = { ticket = ticket, why = why }
    end
  end
  for _, one in ipairs(unsure) do
    session.screen:fail(("nobody knows whether this was made, it is not asked for again: %s (%s)"):format(
      text.shown(json.encode(one.ticket.prompt or "?")), text.shown(one.why)),
      "If it was not:  " .. session:command("list --forget " .. one.ticket.key))
  end
  tell_others(session, client)
  if #items == 0 then
    if #unsure == 0 then session.screen:note "nothing is unfinished" end
    session.screen:object { jobs = json.array {} }
    return #unsure > 0 and exit.UNSURE or exit.DONE
  end
  local status = follow.all(session, items, true)
  return #unsure > 0 and exit.combine { exit.UNSURE, status } or status
end

return resume
