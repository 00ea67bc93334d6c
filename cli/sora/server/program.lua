--- The development server as a program: `sora serve` and examples/serve.lua.
-- Owns the options of its command line, the line "listening on URL" on stdout, the log on stderr, and the
-- shutdown on a signal or at the end of stdin.
local modes = require "sora.server.modes"

local program = {}

local function number(text)
  return tonumber(text) or nil, ("'%s' is not a number"):format(text)
end

local NAME, WIDTH = 24, 80 -- columns: where the text of a mode begins, and where a line ends

-- Breaks a text into lines, which begin below its first word.
local function wrap(text)
  local lines, line = {}, ""
  for word in text:gmatch "%S+" do
    if #line + #word + 1 > WIDTH - NAME then
      lines[#lines + 1], line = line, ""
    end
    line = line == "" and word or line .. " " .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n" .. (" "):rep(NAME))
end

local function list_modes()
  local lines = { "Modes (of all jobs; a create can name another with dev.mode):" }
  for name, text in modes.each() do
    lines[#lines + 1] = "   " .. name .. (" "):rep(NAME - 3 - #name) .. wrap(text)
  end
  return table.concat(lines, "\n")
end

-- For docs/development-server.md.
local function print_modes()
  io.stdout:write("| mode | behaviour |\n|---|---|\n")
  for name, text in modes.each() do
    io.stdout:write(("| `%s` | %s |\n"):format(name, text))
  end
  os.exit(0)
end

--- Adds the options to a parser, or to a command of one.
-- @param parser of argparse
-- @tparam table defaults `port` and perhaps `poll_after`, as strings
function program.define(parser, defaults)
  parser:epilog(list_modes())
  local function option(name, argname, ...)
    return parser:option(name, ...):argname(argname)
  end
  option("--host", "ADDRESS", "Address to bind.", "127.0.0.1")
  option("--port", "N", "Port to bind; 0 lets the system choose one.", defaults.port, number)
  option("--duration", "S", "Seconds that a job takes.", "6", number)
  option("--queue", "S", "Seconds in the queue (default: a tenth of the duration).", nil, number)
  option("--expires", "S", "Seconds for which content is kept.", "3600", number)
  option("--fail-rate", "SHARE", "Share of the jobs that fail, 0 to 1.", "0", number)
  option("--mode", "NAME", "How the server answers; see below.")
  option("--webhook", "URL", "URL that receives an event for each job that has ended.")
  option("--webhook-secret", "SECRET", "Secret that signs these events.")
  option("--poll-after", "S", "Seconds until the next poll, which answers ask for.", defaults.poll_after,
    number)
  option("--delay", "S", "Seconds before each response.", "0", number)
  option("--keep-alive", "S", "Seconds until an idle connection is closed.", "75", number)
  option("--not-ready", "STATUS", "Status of content that is not ready.", "404", number)
  option("--base-path", "PATH", "Path before /videos.", "/v1")
  option("--api-key", "KEY", "Require this key.")
  option("--auth", "HOW", "How the key is sent: bearer (the default), raw, api-key or x-api-key.")
    :choices { "bearer", "raw", "api-key", "x-api-key" }
  option("--cors", "ORIGIN", "Origin whose web pages may call the server, or '*'.")
  parser:flag("--allow-remote", "Allow a host that is not loopback.")
  parser:flag("--exit-with-stdin", "End when standard input closes, so as not to outlive the parent.")
  parser:flag("--list-modes", "Write the modes as a table in Markdown, and end."):action(print_modes)
end

-- The options above, of which each is one of the server's, too.
local NAMES = { "host", "port", "duration", "queue", "expires", "fail_rate", "mode", "webhook",
  "webhook_secret", "poll_after", "delay", "keep_alive", "not_ready", "base_path", "api_key", "auth", "cors",
  "allow_remote" }

local function to_stderr(line)
  io.stderr:write(line, "\n")
end

-- Polls in a separate loop: epoll rejects files and /dev/null, and that error would end a step of the server.
local function can_poll(cqueues, descriptor)
  return (cqueues.new():wrap(function() cqueues.poll(descriptor) end):step(0))
end

-- Reads one byte after each poll: a larger read could block the server. Input that cannot be polled (a file,
-- /dev/null) never blocks.
local function stop_at_end_of_input(server)
  local cqueues = require "cqueues"
  local stdin = { pollfd = 0, events = "r" }
  local pollable = can_poll(cqueues, stdin)
  repeat
    if pollable then
      cqueues.poll(stdin)
    end
  until not io.stdin:read(1)
  server:stop()
end

local function spawn_ends(server, with_stdin)
  local signal = require "cqueues.signal"
  signal.block(signal.SIGINT, signal.SIGTERM)
  local signals = signal.listen(signal.SIGINT, signal.SIGTERM)
  server:spawn(function()
    signals:wait()
    server:stop()
  end)
  if with_stdin then
    server:spawn(function() stop_at_end_of_input(server) end)
  end
end

-- Names options as the command line does: 'fail_rate' → --fail-rate.
local function as_flags(problem)
  return (problem:gsub("^sora%.server%.new: ", ""):gsub("option '([%w_]+)'", function(name)
    return "option --" .. name:gsub("_", "-")
  end):gsub("allow_remote = true", "--allow-remote"))
end

--- Runs the server until a signal, or the end of stdin, ends it.
-- @tparam table module sora.server, or a table with a function `new` like its own
-- @tparam table args as the parser gave them, with `quiet`; `json` leaves the URL to `on_ready`
-- @tparam ?function on_ready is called with the URL
-- @treturn ?string why it did not start
function program.run(module, args, on_ready)
  local options = { log = not args.quiet and to_stderr or nil }
  for _, name in ipairs(NAMES) do options[name] = args[name] end
  local made, server, err = pcall(module.new, options)
  if not server or not made then return as_flags(tostring(made and err or server)) end
  spawn_ends(server, args.exit_with_stdin)
  if not args.json then io.stdout:write("listening on ", server:url(), "\n") end
  io.stdout:flush()
  if on_ready then on_ready(server:url()) end
  server:run()
end

--- Runs the program with a command line of its own.
-- @tparam table module as for `run`
-- @tparam {string,...} arguments
-- @treturn number exit status
function program.main(module, arguments)
  local loaded, argparse = pcall(require, "argparse")
  if not loaded then
    error("sora.server's command line needs argparse: `luarocks install argparse`, or Debian's lua-argparse",
      0)
  end
  local parser = argparse("serve", "A development server for video jobs in the OpenAI video format.")
  program.define(parser, { port = "0" })
  parser:flag("--quiet", "Write no log.")
  local problem = program.run(module, parser:parse(arguments))
  if problem then to_stderr("serve: " .. problem) end
  return problem and 1 or 0
end

return program
