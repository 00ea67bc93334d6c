--- The development server as a program.
-- Owns the command line, the line "listening on URL" on stdout, the log on stderr, and the shutdown on a
-- signal or at the end of stdin. Needs argparse.
local loaded, argparse = pcall(require, "argparse")
if not loaded then
  error("sora.server's command line needs argparse: `luarocks install argparse`, or Debian's lua-argparse", 0)
end
local cqueues = require "cqueues"
local signal = require "cqueues.signal"
local modes = require "sora.server.modes"

local function number(text)
  return tonumber(text) or nil, ("'%s' is not a number"):format(text)
end

local function list_modes()
  local lines = { "Modes (of all jobs; a create can name another with dev.mode):" }
  for name, text in modes.each() do
    lines[#lines + 1] = ("   %-20s %s"):format(name, text)
  end
  return table.concat(lines, "\n")
end

-- For docs/development-server.md.
local function print_modes()
  io.stdout:write("| mode | |\n|---|---|\n")
  for name, text in modes.each() do
    io.stdout:write(("| `%s` | %s |\n"):format(name, text))
  end
  os.exit(0)
end

local function make_parser()
  local about = "A development server for video jobs in the OpenAI video format."
  local parser = argparse("serve", about, list_modes())
  parser:option("--host", "Address to bind.", "127.0.0.1")
  parser:option("--port", "Port to bind; 0 lets the system choose one.", "0", number)
  parser:option("--duration", "Seconds that a job takes.", "6", number)
  parser:option("--queue", "Seconds in the queue (default: a tenth of the duration).", nil, number)
  parser:option("--expires", "Seconds for which content is kept.", "3600", number)
  parser:option("--fail-rate", "Share of the jobs that fail, 0 to 1.", "0", number)
  parser:option("--mode", "How the server answers; see below.")
  parser:option("--webhook", "URL that receives an event for each job that has ended.")
  parser:option("--webhook-secret", "Secret that signs these events.")
  parser:option("--delay", "Seconds before each response.", "0", number)
  parser:option("--keep-alive", "Seconds until an idle connection is closed.", "75", number)
  parser:option("--not-ready", "Status of content that is not ready.", "404", number)
  parser:option("--base-path", "Path before /videos.", "/v1")
  parser:option("--api-key", "Require this key.")
  parser:option("--auth", "How the key is sent."):choices { "bearer", "raw", "api-key", "x-api-key" }
  parser:option("--cors", "Origin whose web pages may call the server, or '*'.")
  parser:flag("--allow-remote", "Allow a host that is not loopback.")
  parser:flag("--exit-with-stdin", "End when standard input closes, so as not to outlive the parent.")
  parser:flag("--list-modes", "Write the modes as a table in Markdown, and end."):action(print_modes)
  parser:flag("--quiet", "Write no log.")
  return parser
end

local function to_stderr(line)
  io.stderr:write(line, "\n")
end

-- Polls in a separate loop: epoll rejects files and /dev/null, and that error would end a step of the server.
local function can_poll(descriptor)
  return (cqueues.new():wrap(function() cqueues.poll(descriptor) end):step(0))
end

-- Reads one byte after each poll: a larger read could block the server. Input that cannot be polled (a file,
-- /dev/null) never blocks.
local function stop_at_end_of_input(server)
  local stdin = { pollfd = 0, events = "r" }
  local pollable = can_poll(stdin)
  repeat
    if pollable then
      cqueues.poll(stdin)
    end
  until not io.stdin:read(1)
  server:stop()
end

--- Runs the program.
-- @tparam table module sora.server, or a table with a function `new` like its own
-- @tparam {string,...} arguments
-- @treturn number exit status
return function(module, arguments)
  local options = make_parser():parse(arguments)
  local with_stdin = options.exit_with_stdin
  options.log = not options.quiet and to_stderr or nil
  options.exit_with_stdin, options.quiet = nil, nil
  local made, server, err = pcall(module.new, options)
  if not server or not made then
    to_stderr("serve: " .. tostring(made and err or server))
    return 1
  end
  signal.block(signal.SIGINT, signal.SIGTERM)
  local signals = signal.listen(signal.SIGINT, signal.SIGTERM)
  server:spawn(function()
    signals:wait()
    server:stop()
  end)
  if with_stdin then
    server:spawn(function() stop_at_end_of_input(server) end)
  end
  io.stdout:write("listening on ", server:url(), "\n")
  io.stdout:flush()
  server:run()
  return 0
end
