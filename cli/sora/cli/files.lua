--- The command's own files: where they are, and how they are read and written.
-- Owns the folders, config.json and keys.json. Invariant: a file is replaced whole, and only its owner may
-- read it; keys are in keys.json alone, each with the origin that it may be sent to.
-- @module sora.cli.files
-- @local

local core = require "sora.core"
local exit = require "sora.cli.exit"
local json = require "sora.json"

local files = {}

local ON_WINDOWS = package.config:sub(1, 1) == "\\"
files.ON_WINDOWS = ON_WINDOWS

--- Reads an environment variable; an empty one counts as missing.
function files.getenv(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end
local getenv = files.getenv

-- Returns a folder of the XDG base directory specification, with the command's name.
local function folder(variable, below_home)
  local base = getenv(variable)
  if base and base:sub(1, 1) ~= "/" and not ON_WINDOWS then base = nil end -- as the specification says
  if not base and ON_WINDOWS then base = getenv "LOCALAPPDATA" end
  if not base then
    local home = getenv "HOME"
    if not home then
      exit.fail(exit.USAGE,
        ("neither %s nor HOME says where the command may keep its files"):format(variable))
    end
    base = home .. below_home
  end
  return base .. "/sora"
end

--- The folder of config.json and keys.json.
function files.config_folder() return folder("XDG_CONFIG_HOME", "/.config") end

--- The folder of the journal.
function files.state_folder() return folder("XDG_STATE_HOME", "/.local/state") end

--- Makes a folder and those above it; unless `shared`, only their owner may enter them.
function files.make_folder(path, shared)
  if core.file_kind(path) == "folder" then return end
  local at = 1
  while true do
    local slash = path:find("[/\\]", at + 1)
    local part = slash and path:sub(1, slash - 1) or path
    if core.file_kind(part) ~= "folder" then
      local made, problem = core.make_folder(part, shared)
      if not made then exit.fail(exit.USAGE, problem) end
    end
    if not slash then return end
    at = slash
  end
end

--- Returns the path of the journal; its folder is there.
function files.journal()
  files.make_folder(files.state_folder())
  return files.state_folder() .. "/journal"
end

-- Reads a JSON object; {} if there is no such file.
local function read(path)
  local file, problem, code = io.open(path, "rb")
  if not file then
    if code == 2 then return {} end -- ENOENT
    exit.fail(exit.USAGE, problem)
  end
  local content = file:read "*a"
  file:close()
  local value = content and json.decode(content)
  if type(value) ~= "table" then
    exit.fail(exit.USAGE, path .. " is not a JSON object", "Mend it in an editor, or remove it.")
  end
  return value
end

-- Writes a value beside the file, for its owner alone, and then in its place.
local function write(path, value)
  files.make_folder(files.config_folder())
  local temporary = path .. ".new"
  os.remove(temporary)
  local appender = core.appender(temporary)
  local good, err = appender:append(assert(json.encode(value)) .. "\n")
  appender:close()
  if not good then exit.fail(exit.USAGE, type(err) == "table" and err.message or tostring(err)) end
  if ON_WINDOWS then os.remove(path) end
  local renamed, problem = os.rename(temporary, path)
  if not renamed then exit.fail(exit.USAGE, problem) end
end

function files.config_path() return files.config_folder() .. "/config.json" end
function files.keys_path() return files.config_folder() .. "/keys.json" end

--- Reads config.json: { profile = name or nil, profiles = { name → settings } }.
function files.read_config()
  local config = read(files.config_path())
  if type(config.profiles) ~= "table" then config.profiles = {} end
  for name, profile in pairs(config.profiles) do
    if type(profile) ~= "table" then
      exit.fail(exit.USAGE, ("%s: profile '%s' is not an object"):format(files.config_path(), tostring(name)),
        "Mend it in an editor, or remove it.")
    end
  end
  return config
end

function files.write_config(config) write(files.config_path(), config) end

--- Reads keys.json: profile → { key =, origin = }.
function files.read_keys() return read(files.keys_path()) end

function files.write_keys(keys) write(files.keys_path(), keys) end

--- Tells whether others than its owner may read keys.json.
function files.keys_are_open()
  local kind, mode = core.file_kind(files.keys_path())
  return kind ~= nil and not ON_WINDOWS and mode % 64 ~= 0
end

--- Makes a path absolute, so that it means the same in another folder.
function files.absolute(path)
  if path:find "^/" or ON_WINDOWS and path:find "^%a:" then return path end
  local here = core.real_path "."
  return here and here .. "/" .. path or path
end

--- Splits a path into the folder with its slash, or "", and the name.
function files.split(path)
  return path:match(ON_WINDOWS and "^(.*[/\\])([^/\\]*)$" or "^(.*/)([^/]*)$") or "",
    path:match(ON_WINDOWS and "[^/\\]*$" or "[^/]*$")
end

return files
