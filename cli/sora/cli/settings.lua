--- Which server is asked, with which key, and where each setting came from.
--
-- Owns the order of the sources: `--base-url` and `--profile`, then SORA_BASE_URL, then the default profile,
-- then OPENAI_BASE_URL. Invariant: a base URL and its key come from the same source; a key is only sent to
-- the origin that its source names.
-- @module sora.cli.settings
-- @local

local exit = require "sora.cli.exit"
local files = require "sora.cli.files"
local options = require "sora.options"
local text = require "sora.cli.text"

local settings = {}

--- What a profile may hold: the server's settings go to the client, the defaults to `sora make`.
settings.names = {
  base_url = "the part of the server's addresses before /videos",
  dialect = "a preset for servers that differ: " .. table.concat(options.names(options.dialects), ", "),
  auth = "how the key is sent: bearer, api-key, x-api-key, raw or none",
  key_command = "a command whose output is the key, such as 'pass show sora'",
  proxy = "the URL of a proxy", ca_file = "a file of certificates to trust",
  cert_file = "a client certificate", key_file = "its key",
    unix_socket = "a Unix socket that leads to the server",
  model = "the model that `sora make` asks for", seconds = "the length that it asks for",
  size = "the size that it asks for, such as 1280x720",
}

--- The ways to send a key.
settings.AUTH = { bearer = true, raw = true, none = true, ["api-key"] = true, ["x-api-key"] = true }

--- Returns what is wrong with a value of `auth`, or nil.
function settings.auth_problem(value)
  if settings.AUTH[value] then return nil end
  return ("auth is '%s'; expected bearer, api-key, x-api-key, raw or none"):format(value)
end

local CLIENT = { "dialect", "auth", "proxy", "ca_file", "cert_file", "key_file", "unix_socket" }
local DEFAULTS = { "model", "seconds", "size" }

local getenv = files.getenv

--- Returns the origin of a URL: scheme, host and port, in lower case; nil if it is not a URL.
function settings.origin(url)
  local scheme, rest = tostring(url):match "^(%a+)://([^/?#]+)"
  if not scheme then return nil end
  scheme, rest = scheme:lower(), rest:gsub("^.*@", ""):lower()
  local default = scheme == "https" and ":443" or ":80"
  return scheme .. "://" .. (rest:sub(-#default) == default and rest:sub(1, -#default - 1) or rest)
end

--- Returns the name of the profile that arguments mean.
function settings.profile_name(args, config)
  return args.profile or type(config.profile) == "string" and config.profile or "default"
end

local WITH_STATUS = files.ON_WINDOWS and "%s && echo exit 0" or "(%s\n)\necho \"exit $?\""

-- Runs a command and returns its output and exit status, which pipes of Lua 5.1 do not tell.
local function output_of(command)
  local pipe, problem = io.popen(WITH_STATUS:format(command), "r")
  if not pipe then exit.fail(exit.USAGE, "key_command: " .. problem) end
  local output = pipe:read "*a"
  pipe:close()
  return output:match "^(.*)exit (%d+)\n$"
end

-- Runs a command once and returns the first line of its output that is not blank, without blanks around it.
local function key_of_command(command)
  local key
  return function()
    if key then return key end
    local output, status = output_of(command)
    key = status == "0" and output:match "%S[^\r\n]*" or nil
    key = key and key:gsub("%s+$", "")
    return key or exit.fail(exit.USAGE, ("key_command '%s' gave no key (exit status %s)"):format(command,
      status or "unknown"))
  end
end

-- The sources, in order. Each has base_url, and may have key, key_from and profile.
local function environment(prefix)
  local base_url = getenv(prefix .. "_BASE_URL")
  return { base_url = base_url, from = prefix .. "_BASE_URL", key = getenv(prefix .. "_API_KEY"),
    key_from = prefix .. "_API_KEY" }
end

local function from_profile(config, name, args)
  local profile = config.profiles[name]
  if not profile then
    if args.profile then
      exit.fail(exit.USAGE, ("there is no profile '%s'"):format(name), {
        "Make it:  sora --profile " .. text.quote(name) .. " config set base_url https://gateway.example/v1",
        "The others:  sora config list" })
    end
    return {}
  end
  local source = { base_url = profile.base_url, from = ("profile '%s'"):format(name), profile = name,
    settings = profile }
  local stored = files.read_keys()[name]
  if type(stored) == "table" and stored.key then
    source.stored_for = stored.origin
    if stored.origin == settings.origin(profile.base_url) then
      source.key, source.key_from = stored.key, ("`sora key set`, profile '%s'"):format(name)
    else
      source.misfit = true
    end
  end
  if not source.key and profile.key_command then
    source.key, source.key_from = key_of_command(profile.key_command), "key_command"
  end
  return source
end

-- The URL of --base-url, with the key of the first source that names its origin.
local function from_flag(args, sources)
  local found = { base_url = args.base_url, from = "--base-url" }
  for _, source in ipairs(sources) do
    if source.key and settings.origin(source.base_url) == settings.origin(args.base_url) then
      found.key, found.key_from = source.key, source.key_from
      break
    end
  end
  if args.profile then found.settings, found.profile = sources[1].settings, sources[1].profile end
  return found
end

local function pick(source, names)
  local picked = {}
  for _, name in ipairs(names) do picked[name] = (source.settings or {})[name] end
  return picked
end

--- Completes what a source says.
-- @tparam table source base_url, from, and perhaps key, key_from, profile, settings, misfit, stored_for
-- @tparam table args `dialect`
-- @treturn table { base_url, from, key, key_from, profile, settings (of the profile), client (options for
-- sora.new), defaults, … }
function settings.complete(source, args)
  local client = pick(source, CLIENT)
  client.base_url, client.api_key = source.base_url, source.key
  client.dialect = args.dialect or client.dialect
  if not source.key then client.auth = "none" end -- else the library takes SORA_API_KEY
  return { base_url = source.base_url, from = source.from, key = source.key,
    key_from = source.key and source.key_from, profile = source.profile, settings = source.settings,
    misfit = source.misfit, stored_for = source.stored_for, client = client,
    defaults = pick(source, DEFAULTS) }
end

--- Finds the server.
-- @tparam table args `base_url`, `profile`, `dialect`
-- @treturn table as from `complete`, and `sources`: all of them; `base_url` is nil if none names a server
function settings.find(args)
  local config = files.read_config()
  local name = settings.profile_name(args, config)
  local profile = from_profile(config, name, args)
  local sources = { environment "SORA", profile, environment "OPENAI" }
  if args.profile then sources = { profile } end
  local source
  if args.base_url then
    source = from_flag(args, sources)
  else
    for _, other in ipairs(sources) do
      source = source or other.base_url and other
    end
  end
  local found = settings.complete(source or {}, args)
  found.profile, found.sources = found.profile or name, sources
  return found
end

return settings
