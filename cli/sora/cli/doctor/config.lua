--- Checks what is on this computer: versions, the command's files, and the settings of a server.
--
-- Invariant: of a key only its length is shown, and where it came from.
-- @module sora.cli.doctor.config
-- @local

local address = require "sora.cli.doctor.address"
local core = require "sora.core"
local exit = require "sora.cli.exit"
local files = require "sora.cli.files"
local options = require "sora.options"
local repair = require "sora.cli.doctor.repair"
local settings = require "sora.cli.settings"
local sora = require "sora"
local text = require "sora.cli.text"

local config = {}

local getenv = files.getenv

local function message_of(raised)
  return text.shown(type(raised) == "table" and raised.message or raised)
end

-- Files ------------------------------------------------------------------------------

function config.check_versions(report)
  report:ok("version", ("sora %s, %s"):format(sora._VERSION, rawget(_G, "jit") and jit.version or _VERSION))
end

-- A file that is not JSON is moved away; of any other failure `ls` shows why.
local function check_file(report, path, read)
  local good, raised = pcall(read)
  if good then return true end
  local message = message_of(raised)
  report:bad("files", message, { status = exit.USAGE, text = message .. ".",
    repair = { message:find "is not a" and ("mv %s %s"):format(text.quote(path),
      text.quote(path .. ".broken")) or "ls -ld " .. text.quote(path) } })
  return false
end

local function check_folder(report, variable)
  local value = getenv(variable)
  if value and value:sub(1, 1) ~= "/" and not files.ON_WINDOWS then
    report:unsure("files", ("%s is not an absolute path, so it is not used: %s"):format(variable,
      text.shown(value)))
  end
end

-- Tells whether a new file could be written in the folder of the configuration.
local function check_writable(report)
  local folder = files.config_folder()
  if not core.file_kind(folder) then return end
  local path = folder .. "/doctor"
  local file, problem = io.open(path, "w")
  if not file then
    return report:bad("files", "settings cannot be changed: " .. text.shown(problem), { status = exit.USAGE,
      minor = true, text = "The folder of the settings cannot be written to.",
      repair = { "ls -ld " .. text.quote(folder) } })
  end
  file:close()
  os.remove(path)
end

local function check_open_keys(report)
  if not files.keys_are_open() then return end
  report:bad("files", "other users of this computer can read " .. files.keys_path(), { status = exit.USAGE,
    minor = true, text = "Other users of this computer can read the keys.",
    repair = { "chmod 600 " .. text.quote(files.keys_path()) } })
end

local function check_journal(report)
  local good, path = pcall(files.journal)
  local file, problem
  if good then
    file, problem = io.open(path, "ab")
  else
    problem = message_of(path)
  end
  if file then
    file:close()
    return report:ok("journal", path)
  end
  local folder = files.state_folder()
  report:bad("journal", text.shown(problem), { status = exit.USAGE,
    text = "The journal cannot be written, and without it no job is made: it is what finds a job again.",
    repair = { getenv "XDG_STATE_HOME" and getenv "HOME"
      and repair.export("XDG_STATE_HOME", getenv "HOME" .. "/.local/state")
      or ('sudo chown -R "$USER" %s'):format(text.quote(folder)) } })
end

--- Checks the command's files.
-- @treturn boolean false: the configuration cannot be read
function config.check_files(report)
  local good, folder = pcall(files.config_folder)
  if not good then
    report:bad("files", message_of(folder), { status = exit.USAGE, text = message_of(folder) .. ".",
      repair = { repair.export("HOME", "/your/home") } })
    return false
  end
  check_folder(report, "XDG_CONFIG_HOME")
  check_folder(report, "XDG_STATE_HOME")
  if not (check_file(report, files.config_path(), files.read_config)
    and check_file(report, files.keys_path(), files.read_keys)) then
    return false
  end
  if core.file_kind(files.config_path()) then
    report:ok("files", files.config_path())
  else
    report:ok("files", "no " .. files.config_path() .. " yet")
  end
  check_writable(report)
  check_open_keys(report)
  check_journal(report)
  return true
end

-- A server's settings ------------------------------------------------------------------

local function check_profile(report, server)
  local client, profile = server.found.client, server.found.settings or {}
  local function refuse(name, sentence, suggestion)
    report:bad("settings", sentence, { status = exit.USAGE, text = sentence:gsub("^%l", string.upper) .. ".",
      repair = { repair.command(server, suggestion or "config unset " .. name) } })
    return false
  end
  for _, name in ipairs(options.names(profile)) do
    local value = profile[name]
    if not settings.names[name] then
      report:unsure("settings", ("unknown setting '%s' in %s"):format(text.shown(name), files.config_path()))
    elseif type(value) ~= "string" or value == "" then
      return refuse(name, ("the setting '%s': expected text, got %s"):format(name,
        value == "" and "none" or "a " .. type(value)))
    end
  end
  if client.dialect and not options.dialects[client.dialect] then
    local near = options.nearest(client.dialect, options.dialects) or "openai"
    return refuse("dialect", ("unknown dialect '%s'; known dialects: %s"):format(text.shown(client.dialect),
      table.concat(options.names(options.dialects), ", ")), "config set dialect " .. near)
  end
  local wrong_auth = profile.auth and settings.auth_problem(profile.auth)
  if wrong_auth then
    local near = options.nearest(profile.auth, settings.AUTH) or "bearer"
    return refuse("auth", text.shown(wrong_auth), "config set auth " .. near)
  end
  for _, name in ipairs { "ca_file", "cert_file", "key_file" } do
    if client[name] and core.file_kind(client[name]) ~= "file" then
      return refuse(name, ("there is no file %s, which %s names"):format(text.shown(client[name]), name))
    end
  end
  return true
end

-- Tells of sources that another one hides, and of a key that belongs to none.
local function check_sources(report, server)
  for _, source in ipairs(server.sources or {}) do
    if source.base_url and source.from ~= server.found.from then
      report:ok("server", ("%s is set, too, but %s goes first"):format(source.from, server.found.from))
    end
  end
  if getenv "SORA_API_KEY" and not getenv "SORA_BASE_URL" then
    report:unsure("key", "SORA_API_KEY is set without SORA_BASE_URL, so it is not used")
    server.stray = true
  end
end

local function check_url(report, server)
  local url = server.found.base_url
  local wrong, fixed, password = address.check(url)
  if not wrong then
    server.parts = address.split(url)
    local hopeless = address.is_hopeless(server.parts.host)
    if not hopeless then return true end
    report:bad("server", hopeless, { status = exit.USAGE,
      repair = repair.set(server, { base_url = repair.EXAMPLE }),
      text = ("%s makes no videos: %s."):format(server.parts.host, hopeless) })
    return false
  end
  server.parts = address.split(fixed or repair.EXAMPLE)
  report:bad("server", "the base URL " .. wrong, { status = exit.USAGE,
    text = ("The base URL from %s %s%s."):format(server.found.from, wrong,
      password and "; send it with auth raw and a key_command that prints 'Basic …'" or ""),
    repair = repair.set(server, { base_url = fixed or repair.EXAMPLE }) })
  return false
end

local KEY_FORMS = {
  { "^%s*$", "is empty" },
  { "^[Bb]earer%s", "begins with 'Bearer', which is added by itself" },
  { "^[\"'].*[\"']$", "has quotes around it" },
  { "^%s", "has a blank at its beginning" },
  { "%s$", "has a blank or a line's end at its end" },
  { "[%c]", "holds a control character" },
  { "[\128-\255]", "holds a character that keys never have, such as '…'" },
  { "%s", "holds a blank" },
}

-- Takes the key of a key_command, and looks at its form; a raw one may be two words ("Basic …").
local function check_key(report, server)
  local found = server.found
  if found.misfit then
    report:bad("key", ("it was set for %s, so it is not sent to %s"):format(tostring(found.stored_for),
      tostring(settings.origin(found.base_url))), { status = exit.KEY, repair = repair.key(server),
      text = ("The key of profile '%s' belongs to another server than its base URL."):format(found.profile) })
  end
  if not found.key then
    if not found.misfit then report:ok("key", "none is configured for this server") end
    return true
  end
  if type(found.key) == "function" then
    local good, key = pcall(found.key)
    if not good then
      if type(key) ~= "table" then error(key, 0) end -- Ctrl-C
      report:bad("key", message_of(key), { status = exit.USAGE, text = message_of(key) .. ".",
        repair = { found.settings.key_command } })
      return false
    end
    found.key = key
  end
  for _, form in ipairs(KEY_FORMS) do
    if found.key:find(form[1]) and not (form[1] == "%s" and found.client.auth == "raw") then
      report:bad("key", ("the key from %s %s"):format(found.key_from, form[2]), { status = exit.USAGE,
        text = ("The key from %s %s."):format(found.key_from, form[2]), repair = repair.key(server) })
      return false
    end
  end
  report:ok("key", ("from %s, %s"):format(found.key_from, text.count(#found.key, "character")))
  return true
end

--- Checks the settings of a server.
-- @tparam table report
-- @tparam table server
-- @treturn boolean false: there is no use in asking it
function config.check_server(report, server)
  local found = server.found
  if not found.base_url then
    check_sources(report, server)
    report:bad("server", "no server is configured", { status = exit.USAGE, text = "No server is configured.",
      repair = server.stray and { repair.export("SORA_BASE_URL", repair.EXAMPLE) }
        or { repair.command(server, "config set base_url " .. repair.EXAMPLE),
          repair.command(server, "key set") } })
    return false
  end
  report:ok("server", ("%s, from %s%s"):format(text.shown(address.shown(found.base_url)), found.from,
    found.client.dialect and ", dialect " .. text.shown(found.client.dialect) or ""))
  check_sources(report, server)
  return check_profile(report, server) and check_url(report, server) and check_key(report, server)
end

return config
