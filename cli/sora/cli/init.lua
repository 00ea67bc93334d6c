--- The command `sora`: makes, follows and fetches videos from a shell.
--
-- Owns the command line, the session that a subcommand runs in, and the exit status. Invariant: nothing
-- raises out of here; whatever happened to a job that may be paid for is told before the process ends.
-- @module sora.cli
-- @local

local loaded, argparse = pcall(require, "argparse")
if not loaded then
  if tostring(argparse):find "interrupted!" then error(argparse, 0) end
  io.stderr:write("sora: the command needs argparse: `luarocks install argparse`, or Debian's lua-argparse\n")
  os.exit(2)
end
local Screen = require "sora.cli.screen"
local core = require "sora.core"
local exit = require "sora.cli.exit"
local files = require "sora.cli.files"
local settings = require "sora.cli.settings"
local text = require "sora.cli.text"

local GRACE = 3 -- s; for the answers of creates, after Ctrl-C

-- In the order of `sora --help`.
local COMMANDS = { "make", "wait", "get", "list", "download", "remix", "edit", "extend", "cancel", "delete",
  "batch", "resume", "put", "work", "tasks", "doctor", "config", "key", "serve", "completion", "help" }

-- Returns the texts of help, which are required late: a cheap start.
local function help() return require "sora.cli.help" end

-- Returns what the library says about a wrong argument, such as an id "."; nil for another error.
local function misuse_of(raised)
  return tostring(raised):match "bad argument [^(]*%((.*)%)$"
end

-- The session ------------------------------------------------------------------------

local Session = {}
Session.__index = Session

--- Returns the server's settings; fails if no server is configured.
function Session:server()
  self.found = self.found or settings.find(self.args)
  if self.found.base_url then return self.found end
  return exit.fail(exit.USAGE, "no server is configured", {
    "Write:  sora config set base_url https://gateway.example/v1   (the part before /videos)",
    "        sora key set",
    "or set SORA_BASE_URL and SORA_API_KEY. To try it without a server and without costs:  sora serve" })
end

-- Returns a function that prints the events of a client, for -v.
local function event_printer(screen)
  return function(event)
    if event.event == "callback_error" then
      return screen:warn("callback: " .. core.printable(tostring(event.raised)))
    end
    local parts = { event.event, event.method, event.url }
    if event.status then parts[#parts + 1] = "HTTP " .. event.status end
    if event.error then parts[#parts + 1] = event.error end
    if event.delay then parts[#parts + 1] = ("again in %.1f s"):format(event.delay) end
    screen:warn(screen:paint("dim", core.printable(table.concat(parts, " "))))
  end
end

--- Returns what prints each request, with -v; nil without it.
function Session:event_printer()
  return self.args.verbose and event_printer(self.screen) or nil
end

--- Returns the client, whose journal is always on.
function Session:client()
  if self.made then return self.made end
  local server = self:server()
  local given = { journal = files.journal() }
  for name, value in pairs(server.client) do given[name] = value end
  if type(given.api_key) == "function" then given.api_key = given.api_key() end
  given.on_event = self:event_printer()
  if server.misfit then
    self.screen:warn(("The key of profile '%s' was set for %s, so it is not sent to %s; write:  sora key set")
      :format(server.profile, tostring(server.stored_for), tostring(settings.origin(server.base_url))))
  end
  local good, client, err = pcall(require("sora").new, given)
  if not good then exit.fail(exit.USAGE, misuse_of(client) or tostring(client)) end
  if not client then
    exit.fail(exit.of(err), err.message, "What is wrong there:  " .. self:command "doctor")
  end
  self.made = client
  core.catch_interrupt()
  return client
end

-- Returns the command line that means the same server and configuration.
function Session:command(words)
  local args = self.args
  local parts = { "sora" }
  if args.profile then parts[#parts + 1] = "--profile " .. text.quote(args.profile) end
  if args.base_url then parts[#parts + 1] = "--base-url " .. text.quote(args.base_url) end
  if args.dialect then parts[#parts + 1] = "--dialect " .. text.quote(args.dialect) end
  parts[#parts + 1] = words
  return text.shown(table.concat(parts, " "))
end

--- Pumps the client until `is_done()`; redraws the progress lines meanwhile.
function Session:pump(is_done)
  local client = self:client()
  while not is_done() do
    local running, err = client:update(0.2)
    if not running then exit.fail(exit.of(err), err.message) end
    self.screen:draw()
  end
end

--- Gives, after Ctrl-C, creates that are on their way some seconds to tell the ids of their jobs.
function Session:await_answers()
  local pump = require "sora.pump" -- required late: a cheap start
  local client, till = self:client(), core.now() + GRACE
  client.pause = nil
  while pump.expects_answers(client) and core.now() < till do client:update(0.1) end
end

--- Prints an error of the library, with what can be done about it.
-- @tparam table err
-- @tparam ?string what the job or file that it is about
-- @treturn integer the exit status
function Session:fail(err, what)
  local status = exit.of(err)
  local advice = help().advice(self, err, status)
  if self.screen.json and not self.screen.told then
    self.screen:object { error = Session.error_object(err) }
  else
    self.screen:fail((what and what .. ": " or "") .. err.message, advice)
  end
  return status
end

--- Returns the fields of an error for --json.
function Session.error_object(err)
  local object = { ticket = err.ticket and { id = err.ticket.id, base_url = err.ticket.base_url } }
  for _, name in ipairs { "kind", "message", "status", "code", "type", "param", "reason", "request_id",
    "retry_after", "retryable", "ambiguous" } do
    object[name] = err[name]
  end
  return object
end

-- The command line ---------------------------------------------------------------------

local function add_globals(parser)
  parser:option "--profile":argname "P":description "Use this profile of the configuration."
  parser:option "--base-url":argname "URL":description "Ask this server."
  parser:option "--dialect":argname "D":description "The server's dialect, such as azure."
  parser:flag "--json":description "Print the result, or the error, as JSON."
  parser:flag "-q --quiet":description "Print results and errors only."
  parser:flag "-v --verbose":description "Print each request."
  parser:flag "--no-color":description "Print no colours."
end

local function usage_of(name, module)
  return "Usage: sora " .. name .. (module.usage and " " .. module.usage or "")
end

-- Loads the commands whose names are among the arguments: all of them would take twice the time of a start.
local function load_commands(arguments)
  local modules, named = {}, {}
  for _, argument in ipairs(arguments) do named[argument] = true end
  for _, name in ipairs(COMMANDS) do
    if named[name] or named.completion then modules[name] = require("sora.cli.commands." .. name) end
  end
  return modules
end

-- Prints a text in place of a command.
local function print_and_end(value)
  local screen = Screen.new {}
  local good, raised = pcall(screen.bytes, screen, value)
  if not good then screen:fail(raised.message) end
  os.exit(good and exit.DONE or exit.USAGE)
end

local function make_parser(modules)
  local parser = argparse("sora", "Makes videos on servers of the OpenAI video format.")
  parser:command_target "command":require_command(false):add_help(false)
  parser:usage "Usage: sora COMMAND …  (sora --help lists them)"
  parser:help_max_width(80):help_description_margin(30)
  parser:flag "-h --help":action(function() print_and_end(help().overview()) end)
    :description "Show this help."
  parser:flag "--version":action(function() print_and_end("sora " .. core._VERSION .. "\n") end)
    :description "Print the version."
  add_globals(parser)
  for _, name in ipairs(COMMANDS) do
    local module, command = modules[name], parser:command(name)
    if module then
      command:description(module.about):usage(usage_of(name, module))
      command:add_help { action = function() print_and_end(command:get_help() .. "\n") end }
      module.define(command, parser)
    end
  end
  return parser
end

-- Tells whether --json is among the arguments, also where the rest of them is wrong.
local function wants_json(arguments)
  for _, argument in ipairs(arguments) do
    if argument == "--" then return false end
    if argument == "--json" then return true end
  end
  return false
end

-- Makes what argparse calls for bad usage: it ends the process with one sentence, and the usage line.
local function refuser(arguments)
  return function(parser, message)
    message = message:gsub("\nDid you mean", "; did you mean")
    if wants_json(arguments) then
      Screen.new { json = true }:object { error = { kind = "config", message = message } }
    else
      local name = parser._name == "sora" and "sora" or "sora " .. parser._name
      io.stderr:write(name, ": ", core.printable(message), "\n", parser:get_usage(), "\n")
    end
    os.exit(exit.USAGE)
  end
end

-- Tells what ended a command early: Ctrl-C, `exit.fail`, an error of the library, or a mistake in this
-- program.
local function tell_raised(session, raised)
  local screen = session.screen
  if require("sora.problems").is_interrupt(raised) then -- required late: a cheap start
    screen:erase()
    local told, jobs
    if session.on_interrupt then told, jobs = pcall(session.on_interrupt) end
    screen:object { error = { kind = "cancelled", message = "interrupted" }, jobs = told and jobs or nil }
    return exit.INTERRUPTED
  end
  if type(raised) ~= "table" then
    local misuse = misuse_of(raised)
    raised = { status = exit.USAGE, usage = misuse ~= nil,
      message = misuse or "a mistake in sora itself: " .. tostring(raised) }
  end
  if not raised.status or raised.kind then return session:fail(raised) end
  if screen.json and not screen.told then
    screen:object { error = { kind = "config", message = raised.message } }
  else
    screen:fail(raised.message, raised.advice)
    if raised.usage then io.stderr:write(session.usage, "\n") end
  end
  return raised.status
end

-- Runs a function; returns the exit status.
local function guard(session, code)
  local good, result = pcall(code)
  if good then return result or exit.DONE end
  local told, status = pcall(tell_raised, session, result)
  return told and status or exit.USAGE
end

-- Opens something in place of each closed standard stream, or messages would go into the socket or film that
-- gets its number. Returns what must stay open; it refuses what the stream is for.
local function fill_streams()
  local opened = {}
  for number = 0, 2 do
    if not core.file_kind("/dev/fd/" .. number) then
      opened[number] = io.open("/dev/null", number == 0 and "w" or "r")
    end
  end
  return opened
end

--- Runs the command.
-- @tparam {string,...} arguments
-- @treturn integer the exit status
return function(arguments)
  local streams = fill_streams()
  local modules = load_commands(arguments)
  local parser = make_parser(modules)
  parser.error = refuser(arguments)
  local args = parser:parse(arguments)
  if not args.command then
    if args.json then parser:error "the command is missing" end
    io.stderr:write(help().overview())
    return exit.USAGE
  end
  local command = modules[args.command]
  local session = setmetatable({ args = args, screen = Screen.new(args), parser = parser, streams = streams,
    usage = usage_of(args.command, command) }, Session)
  local status = guard(session, function() return command.run(session) end)
  local ended = guard(session, function()
    if session.made then session.made:close() end
    session.screen:close()
  end)
  return status ~= exit.DONE and status or ended
end
