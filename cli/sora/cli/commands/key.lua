--- `sora key`: sets or removes the key of a profile. A key is never an argument, which other users could see.
-- Invariant: a key is stored with the origin that it is for, and nobody sees it being typed.
-- @local
local core = require "sora.core"
local exit = require "sora.cli.exit"
local files = require "sora.cli.files"
local settings = require "sora.cli.settings"
local text = require "sora.cli.text"

local key = { about = "Set or remove the key of a profile.", usage = "set|rm [PROFILE]" }

function key.define(command)
  command:argument "action":choices { "set", "rm" }
    :description "set reads the key from the terminal, or from standard input."
  command:argument "name":argname "PROFILE":args "?":description "The profile (the default one)."
end

-- Reads a line of what is typed while it is hidden.
local function read_hidden()
  local line = {}
  while true do
    local character = io.read(1)
    if character == "\3" then error("interrupted!", 0) end -- Ctrl-C
    if not character or character == "\n" then return table.concat(line) end
    line[#line + 1] = character
  end
end

-- Reads a line; on a terminal nothing that is typed is shown, whatever ends the reading.
local function read_key(name, origin)
  local terminal = core.echo(false)
  if not terminal then return io.read "*l" end
  io.stderr:write(("Key for %s (profile %s): "):format(origin, name))
  local good, line = pcall(read_hidden)
  core.echo(true)
  io.stderr:write "\n"
  if not good then error(line, 0) end
  return line
end

local function set(name, base_url, keys)
  local origin = settings.origin(base_url)
  if not origin then
    exit.fail(exit.USAGE, ("profile '%s' has no base_url, so the key would belong to no server"):format(name),
      ("Write first:  sora --profile %s config set base_url https://gateway.example/v1")
        :format(text.quote(name)))
  end
  local line = (read_key(name, origin) or ""):gsub("^%s+", ""):gsub("%s+$", "")
  if line == "" then exit.fail(exit.USAGE, "no key came from standard input; nothing was changed") end
  if line:find "[%c%s]" then exit.fail(exit.USAGE,
    "the key holds blanks or control characters; nothing was changed") end
  keys[name] = { key = line, origin = origin }
end

function key.run(session)
  local config, keys = files.read_config(), files.read_keys()
  local name = session.args.name or settings.profile_name(session.args, config)
  if session.args.action == "rm" then
    if not keys[name] then exit.fail(exit.USAGE, ("profile '%s' has no key"):format(name)) end
    keys[name] = nil
  else
    set(name, (config.profiles[name] or {}).base_url, keys)
  end
  files.write_keys(keys)
  local done = session.args.action == "rm" and "removed" or "set"
  session.screen:note(("key of profile '%s' %s"):format(name, done))
  session.screen:object { profile = name, key = done, origin = (keys[name] or {}).origin }
end

return key
