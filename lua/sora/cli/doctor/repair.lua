--- The commands that repair a configuration, for the source that it came from.
-- Pure. Invariant: no command holds a key.
-- @module sora.cli.doctor.repair
-- @local

local options = require "sora.options"
local settings = require "sora.cli.settings"

local repair = {}

local ON_WINDOWS = package.config:sub(1, 1) == "\\"
local ORDER = { "base_url", "dialect", "auth", "ca_file", "proxy" }

--- An address to put one's own in place of.
repair.EXAMPLE = "https://gateway.example/v1"

--- Quotes a word for a shell, if it needs that.
function repair.quote(word)
  if word:find "^[%w_%-.:/@%%+,=]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- Returns the command that sets an environment variable.
function repair.export(name, value)
  if ON_WINDOWS then return "set " .. name .. "=" .. value end
  return "export " .. name .. "=" .. repair.quote(value)
end

--- Returns a command for the profile of a server.
-- @tparam table server `profile`, `is_default`: whether it is the one without --profile
-- @tparam string words
function repair.command(server, words)
  return "sora " .. (server.is_default and "" or "--profile " .. repair.quote(server.profile) .. " ") .. words
end

--- Joins two lists of commands.
function repair.join(first, second)
  local all = {}
  for _, command in ipairs(first) do all[#all + 1] = command end
  for _, command in ipairs(second) do all[#all + 1] = command end
  return all
end

-- The changes as commands for a profile.
local function set_all(server, changes)
  local commands = {}
  for _, name in ipairs(ORDER) do
    if changes[name] then
      commands[#commands + 1] = repair.command(server, ("config set %s %s"):format(name, repair.quote(changes[name])))
    end
  end
  return commands
end

-- Stores the key of an environment variable.
local function store_key(server, variable)
  return ('printf %%s "$%s" | %s'):format(variable, repair.command(server, "key set"))
end

-- Only profiles hold more than a base URL and a key, so the server gets one.
local function move_to_profile(server, changes)
  local found = server.found
  local all = options.copy(changes, { base_url = found.base_url, dialect = server.args.dialect })
  local to = server
  if server.default_is_taken then to = { profile = (server.parts.host:gsub("[^%w]+", "-")) } end
  local commands = set_all(to, all)
  if server.prefix and found.key then
    commands[#commands + 1] = store_key(to, found.key_from)
  elseif found.key then
    commands[#commands + 1] = repair.command(to, "key set")
  end
  if server.prefix == "SORA" and to.is_default then commands[#commands + 1] = "unset SORA_BASE_URL SORA_API_KEY" end
  return commands
end

--- Returns the commands that change settings of a server.
-- @tparam table server { found, profile, is_default, prefix (SORA or OPENAI), is_flag, args, … }
-- @tparam table changes name → value
-- @treturn {string,...}
function repair.set(server, changes)
  local found, only_url = server.found, next(changes) == "base_url" and next(changes, "base_url") == nil
  if server.is_flag and only_url then
    return { "sora --base-url " .. repair.quote(changes.base_url) .. " doctor" }
  elseif server.prefix and only_url then
    return { repair.export(server.prefix .. "_BASE_URL", changes.base_url) }
  elseif server.prefix or server.is_flag and not (server.args.profile and not changes.base_url) then
    return move_to_profile(server, changes)
  end
  local commands = set_all(server, changes)
  local origin = changes.base_url and settings.origin(changes.base_url)
  if origin and found.stored_for and origin ~= found.stored_for and changes.base_url ~= repair.EXAMPLE then
    commands[#commands + 1] = repair.command(server, "key set") -- a key belongs to an origin
  end
  return commands
end

--- Returns the commands that use a key of the environment, which no base URL of the environment goes with.
function repair.adopt_key(server, prefix)
  if server.is_flag or server.prefix then return { repair.export(prefix .. "_BASE_URL", server.found.base_url) } end
  return { store_key(server, prefix .. "_API_KEY") }
end

--- Returns the commands that give a server another key.
function repair.key(server)
  if server.prefix then return { repair.export(server.prefix .. "_API_KEY", "KEY") } end
  if server.found.key_from == "key_command" then
    return { repair.command(server, "config set key_command COMMAND") }
  elseif server.is_flag and not server.args.profile then
    return { "sora config set base_url " .. repair.quote(server.found.base_url), "sora key set" }
  end
  return { repair.command(server, "key set") }
end

return repair
