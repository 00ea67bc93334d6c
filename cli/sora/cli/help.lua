--- The texts of help: the overview, the topics, and the advice that follows an error.
-- @module sora.cli.help
-- @local

local exit = require "sora.cli.exit"
local text = require "sora.cli.text"

local help = {}

local OVERVIEW = [[
Usage: sora COMMAND …          `sora help COMMAND` tells its options

  make PROMPT                  make a video, wait for it, and save it
  wait ID…                     wait for jobs, and save their videos
  resume                       go on with everything that is unfinished
  get ID                       show a job
  list                         list the jobs made here; --remote: the server's
  download ID                  save a finished video
  remix ID PROMPT              make a new video from a finished one
  edit ID|FILE PROMPT          edit a video
  extend ID|FILE [PROMPT]      make a video longer
  cancel ID…, delete ID…       cancel or delete jobs at the server
  batch FILE                   make many videos, each once
  put FILE, work, tasks        the same from a queue, with many workers
  doctor                       find out why a server does not work
  config, key                  keep the server's address, and its key
  serve                        start a server to try things on, without costs

Everywhere: --profile P, --base-url URL, --dialect D, --json, -q, -v, --no-color
More: sora help exit-codes, sora help environment, man sora
]]

--- Returns the text of `sora --help`, which fits a screen of 24 lines.
function help.overview() return OVERVIEW end

local ENVIRONMENT = [[
SORA_BASE_URL, SORA_API_KEY      the server and its key, before those of the
                                 default profile
OPENAI_BASE_URL, OPENAI_API_KEY  the same, after the default profile; a key is
                                 only sent to the server of its own pair
SORA_REDIS_URL                   the Redis of put, work and tasks;
                                 SORA_REDIS_PASSWORD: its password
XDG_CONFIG_HOME                  where sora/config.json and sora/keys.json are
                                 (default: ~/.config)
XDG_STATE_HOME                   where sora/journal is, the record of all jobs
                                 (default: ~/.local/state)
NO_COLOR, TERM=dumb              no colours; no progress bars
http_proxy, https_proxy, …       the proxy, as for curl
SORA_DEBUG=1                     print each request, as -v does
]]

local function exit_codes()
  local lines = {}
  for _, meaning in ipairs(exit.meanings) do lines[#lines + 1] = ("%4d  %s"):format(meaning[1],
    meaning[2]) end
  lines[#lines + 1] = "Of several jobs: the first that applies of 130, 5, 4, 3, 1, 6, 2."
  return table.concat(lines, "\n") .. "\n"
end

help.topics = {
  ["exit-codes"] = exit_codes,
  environment = function() return ENVIRONMENT end,
}

-- Says where the key came from, and how another one gets there.
local function about_key(session)
  local found = session.found
  local repair = require "sora.cli.doctor.repair" -- required late: a cheap start
  local commands = table.concat(repair.key(repair.describe(session, found)), " && ")
  return { (found.key and ("The key is from %s. Another one:  "):format(found.key_from)
      or "No key was sent. Set one:  ") .. commands,
    "What else may be wrong:  " .. session:command "doctor" }
end

--- Returns what can be done about an error: a list of lines, perhaps empty.
-- @tparam table session
-- @tparam table err of the library
-- @tparam integer status from `exit.of`
function help.advice(session, err, status)
  local id = err.ticket and err.ticket.id
  if status == exit.UNSURE then
    return { "It was not asked for again. The server's list:  " .. session:command "list --remote",
      "To look for the job and save its video:  " .. session:command "resume" }
  elseif status == exit.KEY then
    return about_key(session)
  elseif status == exit.UNFINISHED and id then
    return { "The job goes on at the server. To wait for it:  "
      .. session:command("wait " .. text.quote(id)) }
  elseif status == exit.NETWORK
    or err.kind == "api" and (err.status == 404 or err.status == 405) and not id then
    return { "What is wrong there:  " .. session:command "doctor" }
  elseif err.kind == "file" and id then
    return { "The video can still be fetched:  " .. session:command("wait " .. text.quote(id)) }
  elseif err.retry_after then
    return { ("The server says: again in %s."):format(text.duration(err.retry_after)) }
  end
  return {}
end

return help
