--- `sora config`: shows and changes the profiles.
-- Owns the checks of what is set. Invariant: what is stored is valid, and holds no key.
-- @local
local address = require "sora.cli.doctor.address"
local exit = require "sora.cli.exit"
local files = require "sora.cli.files"
local json = require "sora.json"
local options = require "sora.options"
local settings = require "sora.cli.settings"
local text = require "sora.cli.text"

local config = { about = "Show or change the configuration.",
  usage = "[list | get NAME | set NAME VALUE | unset NAME]" }

function config.define(command)
  command:argument "action":args "?":choices { "list", "get", "set", "unset" }
    :description "list (the default), get, set or unset."
  command:argument "name":args "?":description("A setting: " .. table.concat(options.names(settings.names),
    ", ")
    .. "; or profile, the name of the default one.")
  command:argument "value":args "?":description "Its value."
end

local function check_name(name)
  if not name then exit.usage "the name of a setting is missing" end
  if name == "profile" or settings.names[name] then return end
  if name == "key" or name == "api_key" then exit.fail(exit.USAGE, "keys are kept apart",
    "Write:  sora key set") end
  exit.usage(("unknown setting '%s'%s"):format(name, options.suggest(name, settings.names)))
end

local function check_base_url(session, value)
  local wrong, fixed = address.check(value)
  if not wrong then return end
  fixed = text.quote(address.shown(fixed or "https://gateway.example/v1"))
  exit.fail(exit.USAGE, ("base_url '%s' %s"):format(address.shown(value), wrong),
    "Write:  " .. session:command("config set base_url " .. fixed))
end

local function check_value(session, name, value)
  local wrong_auth = name == "auth" and settings.auth_problem(value)
  if name == "base_url" then
    check_base_url(session, value)
  elseif wrong_auth then
    exit.fail(exit.USAGE, wrong_auth)
  elseif name == "dialect" and not options.dialects[value] then
    exit.fail(exit.USAGE, ("unknown dialect '%s'%s; known dialects: %s"):format(value,
      options.suggest(value, options.dialects), table.concat(options.names(options.dialects), ", ")))
  end
end

local function list(session, all)
  local found = settings.find { profile = nil, base_url = session.args.base_url }
  for _, name in ipairs(options.names(all.profiles)) do
    local mark = name == found.profile and "  (the default)" or ""
    session.screen:result(("[%s]%s"):format(text.shown(name), mark))
    for _, setting in ipairs(options.names(all.profiles[name])) do
      session.screen:result(("  %-12s %s"):format(setting, text.shown(all.profiles[name][setting])))
    end
    local key = files.read_keys()[name]
    if key then session.screen:result(("  %-12s (set, for %s)"):format("key", text.shown(key.origin))) end
  end
  if next(all.profiles) == nil then session.screen:note "no profile yet:  sora config set base_url URL" end
  session.screen:object(all)
end

function config.run(session)
  local args, all = session.args, files.read_config()
  if (args.action or "list") == "list" then return list(session, all) end
  local name, profile = args.name, settings.profile_name(args, all)
  check_name(name)
  local place = name == "profile" and all or all.profiles[profile] or {}
  if args.action == "get" then
    local value = place[name]
    if value == nil then exit.fail(exit.USAGE, ("%s is not set in profile '%s'"):format(name, profile)) end
    session.screen:result(text.shown(value))
    return session.screen:object { [name] = value }
  end
  if args.action == "set" and (args.value or "") == "" then exit.usage "the value is missing" end
  if args.action == "set" then check_value(session, name, args.value) end
  place[name] = args.action == "set" and args.value or nil
  if place ~= all then all.profiles[profile] = next(place) and place or nil end
  files.write_config(all)
  session.screen:object { [name] = place[name] or json.null }
  if name == "base_url" and args.action == "set" and not (files.read_keys()[profile] or {}).key then
    session.screen:note("Next, its key:  " .. session:command "key set")
  end
end

return config
