--- Exit statuses, and what raises one.
-- Owns the numbers and their meaning. Invariant: a status of 5 is told before anything that could hide it:
-- there may be a job that somebody pays for.
-- @module sora.cli.exit
-- @local

local exit = {
  DONE = 0, REFUSED = 1, USAGE = 2, UNFINISHED = 3, KEY = 4, UNSURE = 5, NETWORK = 6, INTERRUPTED = 130,
}

--- What each status means, in the order of `sora help exit-codes`.
exit.meanings = {
  { 0, "done" },
  { 1, "the server refused, or the job failed, was cancelled or has expired" },
  { 2, "usage, configuration, or a file" },
  { 3, "the job is not over yet: `sora wait ID` or `sora resume` goes on with it" },
  { 4, "the server refused the key" },
  { 5, "there may be a job: the answer was lost after the request was sent" },
  { 6, "the network failed, and nothing was made" },
  { 130, "interrupted with Ctrl-C" },
}

-- Of several jobs, the first of these that applies.
local ORDER = { 130, 5, 4, 3, 1, 6, 2 }

local NETWORK = { dns = true, connect = true, tls = true, timeout = true, transport = true }
local LOCAL = { config = true, file = true, closed = true, forked = true }

--- Tells whether an error says that the key was refused.
function exit.is_key(err)
  return err.kind == "api" and (err.status == 401 or err.reason == "auth")
end

--- Returns the status for an error of the library.
-- @tparam table err
-- @treturn integer
function exit.of(err)
  if err.ambiguous then return exit.UNSURE end
  if exit.is_key(err) then return exit.KEY end
  if err.kind == "deadline" or err.code == "not_ready"
    or err.code == "not_fetched" then return exit.UNFINISHED end
  if NETWORK[err.kind] then return err.ticket and exit.UNFINISHED or exit.NETWORK end
  if LOCAL[err.kind] then return exit.USAGE end
  return exit.REFUSED
end

--- Returns the status for several jobs.
-- @tparam {integer,...} statuses
-- @treturn integer
function exit.combine(statuses)
  local seen = {}
  for _, status in ipairs(statuses) do seen[status] = true end
  for _, status in ipairs(ORDER) do
    if seen[status] then return status end
  end
  return exit.DONE
end

--- Ends the command with an error message.
-- @tparam integer status
-- @tparam string message one sentence
-- @tparam ?string advice what to write instead
function exit.fail(status, message, advice)
  error({ status = status, message = message, advice = advice }, 0)
end

--- Ends the command as bad usage: prints the usage line of the command, too.
function exit.usage(message)
  error({ status = exit.USAGE, message = message, usage = true }, 0)
end

return exit
