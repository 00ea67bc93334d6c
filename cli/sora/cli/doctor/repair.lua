--- The commands that repair a configuration, for the source that it came from.
-- Invariant: no command holds a key; a query's value, which may be one, is written as "…".
-- @module sora.cli.doctor.repair
-- @local

local address = require "sora.cli.doctor.address"
local files = require "sora.cli.files"
local options = require "sora.options"
local settings = require "sora.cli.settings"
local text = require "sora.cli.text"

local repair = {}

local ORDER = { "base_url", "dialect", "auth", "ca_file", "cert_file", "key_file", "proxy" }

--- An address to put one's own in place of.
repair.EXAMPLE = "https://gateway.example/v1"

--- Returns what this module needs to know of a server.
-- @tparam table session
-- @tparam table found from `settings.find`
function repair.describe(session, found)
  local all = files.read_config()
  local default = settings.profile_name({}, all)
  local profile = found.profile or default
  return { found = found, args = session.args, sources = found.sources, profile = profile,
    parts = found.base_url and address.split(found.base_url),
    is_default = profile == default and not session.args.profile, is_flag = found.from == "--base-url",
    default = default, prefix = found.from and found.from:match "^(%u+)_BASE_URL$",
    default_is_taken = type(all.profiles[default]) == "table" and all.profiles[default].base_url ~= nil }
end

--- Returns the command that sets an environment variable.
function repair.export(name, value)
  if files.ON_WINDOWS then return "set " .. name .. "=" .. value end
  return "export " .. name .. "=" .. text.quote(value)
end

--- Returns a command for the profile of a server.
-- @tparam table server `profile`, `is_default`: whether it is the one without --profile
-- @tparam string words
function repair.command(server, words)
  return "sora " .. (server.is_default and "" or "--profile " .. text.quote(server.profile) .. " ") .. words
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
      commands[#commands + 1] = repair.command(server,
        ("config set %s %s"):format(name, text.quote(changes[name])))
    end
  end
  return commands
end

-- Stores the key of an environment variable.
local function store_key(server, variable)
  return ('printf %%s "$%s" | %s'):format(variable, repair.command(server, "key set"))
end

-- Only profiles hold more than a base URL and a key, so the server gets one; the default one, if it is free.
local function move_to_profile(server, changes)
  local found, to = server.found, server
  if server.default_is_taken and not server.args.profile then
    to = { profile = (server.parts.host:gsub("[^%w]+", "-")) }
  end
  local commands = set_all(to, options.copy(changes,
    { base_url = address.shown(found.base_url), dialect = server.args.dialect }))
  if server.prefix and found.key then
    commands[#commands + 1] = store_key(to, found.key_from)
  elseif found.key or next(changes) == nil then
    commands[#commands + 1] = repair.command(to, "key set")
  end
  if to ~= server then
    commands[#commands + 1] = repair.command(to, "doctor")
  elseif server.prefix == "SORA" then
    commands[#commands + 1] = "unset SORA_BASE_URL SORA_API_KEY"
  end
  return commands
end

-- Returns the command line with other flags, if those can say all changes.
local function change_flags(server, changes)
  local base_url = changes.base_url or address.shown(server.found.base_url)
  local dialect = changes.dialect or server.args.dialect
  for name in pairs(changes) do
    if name ~= "base_url" and name ~= "dialect" then return nil end
  end
  return { ("sora %s--base-url %s %sdoctor"):format(server.args.profile and "--profile "
    .. text.quote(server.args.profile) .. " " or "", text.quote(base_url),
    dialect and "--dialect " .. text.quote(dialect) .. " " or "") }
end

--- Returns the commands that change settings of a server.
-- @tparam table server { found, profile, is_default, prefix (SORA or OPENAI), is_flag, args, … }
-- @tparam table changes name → value
-- @treturn {string,...}
function repair.set(server, changes)
  local found = server.found
  changes.base_url = changes.base_url and address.shown(changes.base_url)
  if server.is_flag then return change_flags(server, changes) or move_to_profile(server, changes) end
  if server.prefix then
    if next(changes) == "base_url" and next(changes, "base_url") == nil then
      return { repair.export(server.prefix .. "_BASE_URL", changes.base_url) }
    end
    return move_to_profile(server, changes)
  end
  local commands = set_all(server, changes)
  local origin = changes.base_url and settings.origin(changes.base_url)
  if origin and found.stored_for and origin ~= found.stored_for and changes.base_url ~= repair.EXAMPLE then
    commands[#commands + 1] = repair.command(server, "key set") -- a key belongs to an origin
  end
  return commands
end

--- Returns the commands that use SORA_API_KEY, which is set without SORA_BASE_URL, for a server.
function repair.adopt_key(server)
  if server.is_flag or server.prefix then
    return { repair.export("SORA_BASE_URL", address.shown(server.found.base_url)) }
  end
  return { store_key(server, "SORA_API_KEY") }
end

--- Returns the commands that give a server another key, where its key is now.
function repair.key(server)
  local from = server.found.key_from or server.prefix and server.prefix .. "_API_KEY" or ""
  if from:find "_API_KEY$" then return { repair.export(from, "KEY") } end
  if from == "key_command" then return { repair.command(server, "config set key_command COMMAND") } end
  if from == "" and server.is_flag then return move_to_profile(server, {}) end
  local profile = from:match "profile '(.*)'$" or server.profile
  return { repair.command({ profile = profile, is_default = server.is_default or profile == server.default },
    "key set") }
end

return repair
