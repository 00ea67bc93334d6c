--- The command `sora`, run as its users run it: in a folder of its own, without settings of the machine.
-- Owns a home folder for each spec, with the command's configuration and journal. Invariant: nothing outside
-- of it is read or written.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local process = require "spec.support.process"

local Shell = {}
Shell.__index = Shell

local HERE = process.lines("pwd")[1]
local HIDDEN = { "SORA_BASE_URL", "SORA_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY", "SORA_DEBUG",
  "NO_COLOR",
  "http_proxy", "https_proxy", "all_proxy", "LC_ALL", "LC_CTYPE", "LD_PRELOAD" }

local shell = {}

--- Returns a shell, whose folder is empty when a spec begins.
function shell.new()
  return setmetatable({ files = given.folder(), env = {} }, Shell)
end

-- The words that run a program in the folder, with the shell's environment.
local function words_of(self, program, env)
  local words = { "env", "-C", self.files.path }
  for _, name in ipairs(HIDDEN) do
    words[#words + 1], words[#words + 2] = "-u", name
  end
  local all = { PWD = self.files.path, HOME = self.files.path, XDG_CONFIG_HOME = self.files:at "config",
    XDG_STATE_HOME = self.files:at "state", LANG = "C.UTF-8", TERM = "xterm" }
  for name, value in pairs(self.env) do all[name] = value end
  for name, value in pairs(env or {}) do all[name] = value end
  for name, value in pairs(all) do words[#words + 1] = name .. "=" .. value end
  for _, word in ipairs(program) do words[#words + 1] = word end
  return words
end

local function sora(arguments)
  local program = process.lua_anywhere { HERE .. "/bin/sora" }
  for _, argument in ipairs(arguments) do program[#program + 1] = argument end
  return program
end

--- Runs the command to its end.
-- @tparam {string,...} arguments
-- @tparam ?table opts `input` for its standard input, `env`, `output` (a file in place of the captured
-- stdout)
-- @treturn string stdout
-- @treturn string stderr
-- @treturn integer exit status
function Shell:run(arguments, opts)
  opts = opts or {}
  local out, err, input = os.tmpname(), os.tmpname(), os.tmpname()
  process.spill(input, opts.input or "")
  local line = ("%s <%s >%s 2>%s; echo $?"):format(process.command(words_of(self, sora(arguments), opts.env)),
    input, opts.output or out, err)
  local status = tonumber(process.lines(line)[1])
  local texts = { process.slurp(out), process.slurp(err) }
  for _, path in ipairs { out, err, input } do os.remove(path) end
  return texts[1], texts[2], status
end

--- Runs the command on a real terminal.
-- @tparam {string,...} arguments
-- @tparam ?table opts `columns` (80), `env`, `dialog`: a list of { text to wait for, what is typed then },
-- `after`: a
-- shell command that runs on the terminal afterwards, when the status has been printed
-- @treturn string all that the terminal got
-- @treturn integer exit status
function Shell:terminal(arguments, opts)
  opts = opts or {}
  local line = ("stty cols %d rows 24; %s"):format(opts.columns or 80,
    process.command(words_of(self, sora(arguments), opts.env)))
  if opts.after then line = line .. "; echo status $?; " .. opts.after end
  local program = process.start { "env", "SHELL=/bin/sh", "script", "-qec", line, "/dev/null" }
  local text = ""
  for _, step in ipairs(opts.dialog or {}) do
    while not text:find(step[1], 1, true) do
      text = text .. assert(program.out:read(1), "the command ended: " .. text)
    end
    program.input:write(step[2])
    program.input:flush()
  end
  local status, rest = program:finish()
  return ((text .. rest):gsub("\r\n", "\n")), status
end

--- Runs lines of a shell script, in which `sora` is the command.
-- @tparam string script
-- @treturn string what it printed
-- @treturn integer exit status
function Shell:script(script)
  process.spill(self.files:at "sora", "#!/bin/sh\nexec " .. process.command(sora {}) .. ' "$@"\n')
  local program = { "sh", "-c", 'chmod +x sora; PATH="$PWD:$PATH"; ' .. script }
  return process.run(process.command(words_of(self, program)) .. " </dev/null")
end

--- Starts the command; see spec/support/process.lua.
function Shell:start(arguments, env)
  return process.start(words_of(self, sora(arguments), env))
end

--- Returns a response that asks for the next poll at once, as soon as the format allows.
function shell.soon(response)
  return answers.with(response, { headers = { ["openai-poll-after-ms"] = "200" } })
end

--- Lets the command use a server, through the environment.
function Shell:use(url, key)
  self.env.SORA_BASE_URL, self.env.SORA_API_KEY = url, key
end

return shell
