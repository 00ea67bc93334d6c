--- What the commands put, work and tasks have in common: the queue on a Redis.
-- Owns where its address comes from. Invariant: messages show it without its password.
-- @module sora.cli.queue
-- @local

local exit = require "sora.cli.exit"
local work = require "sora.work"

local queue = {}

function queue.define(command)
  command:option "--redis":argname "URL"
    :description "The Redis: redis://host:port/db or unix:///path (SORA_REDIS_URL)."
  command:option "--queue":argname "NAME":default "sora":description "The name of the queue (sora)."
end

--- Opens the queue; fails if no Redis is named or it cannot be reached.
function queue.open(session)
  local args = session.args
  if not args.redis and (os.getenv "SORA_REDIS_URL" or "") == "" then
    exit.fail(exit.USAGE, "no Redis is named",
      "Write:  export SORA_REDIS_URL=redis://127.0.0.1:6379   (or give --redis URL)")
  end
  local opened, err = work.open(args.redis, { name = args.queue })
  if not opened then queue.fail(err) end
  if opened.durable == false then
    session.screen:warn("This Redis keeps no append-only file: a crash of it forgets what was asked for. "
      .. "Write in redis.conf:  appendonly yes")
  end
  return opened
end

--- Ends the command with an error of the queue.
function queue.fail(err)
  exit.fail(exit.of(err), err.message)
end

return queue
