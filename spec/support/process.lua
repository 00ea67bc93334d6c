--- Child processes for specs. Works in every Lua and needs only the standard library.
-- Owns the pipes: a program's stdin is a pipe that closes when the process of the specs ends, however it
-- ends; its stdout is a FIFO that is read line by line; its stderr is kept in a file. Also owns quoting for
-- the shell, and reading and writing whole files.
-- Invariant: `pid` is nil after the process was waited for, so that `kill` never hits another process.
local process = {}

local Process = {}
Process.__index = Process

local READY = "^listening on ((http://[^/]+).*)$"

local function quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end
process.quote = quote

--- Joins words into a shell command, each quoted.
-- @tparam {string,...} words
-- @treturn string
function process.command(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = quote(word)
  end
  return table.concat(quoted, " ")
end

--- Runs a command and returns its stdout.
-- @tparam string command for the shell
-- @treturn string
function process.output(command)
  local pipe = assert(io.popen(command))
  local output = pipe:read("*a")
  pipe:close()
  return output
end

--- Runs a command and returns the lines of its stdout.
-- @tparam string command for the shell
-- @treturn {string,...}
function process.lines(command)
  local lines = {}
  for line in process.output(command):gmatch("[^\n]+") do
    lines[#lines + 1] = line
  end
  return lines
end

--- Runs a command without LD_PRELOAD, which may hold a sanitizer for the process of the specs.
-- @tparam string command for the shell
-- @treturn string its stdout and stderr
-- @treturn number its exit status
function process.run(command)
  local text = process.output("unset LD_PRELOAD; { " .. command .. "; } 2>&1; echo \"exit $?\"")
  local output, status = text:match("^(.*)exit (%d+)\n$")
  return output, tonumber(status)
end

--- Creates a temporary folder.
-- @treturn string
function process.folder()
  return process.lines("mktemp -d")[1]
end

--- Counts the open descriptors of the process of the specs. Uses no pipe, which might be counted too.
-- @treturn number
function process.open_files()
  local list = os.tmpname()
  os.execute("ls /proc/$PPID/fd | wc -l >" .. list)
  local count = tonumber(process.slurp(list))
  os.remove(list)
  return count
end

--- Reads a file.
-- @tparam string path
-- @treturn ?string nil when it cannot be read
function process.slurp(path)
  local file = io.open(path, "rb")
  local contents = file and file:read("*a")
  if file then
    file:close()
  end
  return contents
end

--- Writes a file.
-- @tparam string path
-- @tparam string contents
function process.spill(path, contents)
  local file = assert(io.open(path, "wb"))
  assert(file:write(contents))
  file:close()
end

--- Starts a program.
-- @tparam {string,...} argv
-- @treturn Process with `pid`, and `input` (its stdin, a file)
function process.start(argv)
  local folder = process.folder()
  local fifo = folder .. "/out"
  assert(process.output("mkfifo " .. quote(fifo) .. " && printf made") == "made")
  local self = setmetatable({ folder = folder }, Process)
  local inner = "sh -c " .. quote 'echo $$; exec "$@"' .. " sh " .. process.command(argv)
  local outer = ("%s >%s 2>%s; echo $? >%s"):format(inner, quote(fifo), quote(folder .. "/err"),
    quote(folder .. "/status"))
  self.input = assert(io.popen(outer, "w"))
  self.out = assert(io.open(fifo, "r")) -- waits until the program has opened its end
  self.pid = assert(tonumber(self.out:read("*l")))
  return self
end

--- Returns the command line of the Lua that runs the specs, with the same module paths.
-- @tparam {string,...} arguments for Lua
-- @treturn {string,...}
function process.lua(arguments)
  local first = 0
  while arg and arg[first - 1] do
    first = first - 1
  end
  local words = { "env" }
  for _, version in ipairs { "5_2", "5_3", "5_4", "5_5" } do
    for _, name in ipairs { "LUA_PATH_", "LUA_CPATH_", "LUA_INIT_" } do
      words[#words + 1] = "-u"
      words[#words + 1] = name .. version
    end
  end
  words[#words + 1] = "LUA_PATH=" .. package.path
  words[#words + 1] = "LUA_CPATH=" .. package.cpath
  words[#words + 1] = os.getenv("LUA") or arg and arg[first] or "lua"
  for _, argument in ipairs(arguments) do
    words[#words + 1] = argument
  end
  return words
end

--- Returns the same command line with absolute module paths, for use in any folder.
-- @tparam {string,...} arguments
-- @treturn {string,...}
function process.lua_anywhere(arguments)
  local words, here = process.lua(arguments), process.lines("pwd")[1]
  for i, word in ipairs(words) do
    local name, paths = word:match("^(LUA_C?PATH=)(.*)$")
    if name then
      words[i] = name .. paths:gsub("[^;]+", function(path)
        return path:sub(1, 1) == "/" and path or here .. "/" .. path
      end)
    end
  end
  return words
end

--- Starts the development server and waits until it is ready. It does not outlive the process of the specs.
-- @tparam ?{string,...} options for its command line
-- @treturn Process with `url` (the base URL) and `origin`
function process.serve(options)
  local words = { "examples/serve.lua", "--exit-with-stdin" }
  for _, option in ipairs(options or {}) do
    words[#words + 1] = tostring(option)
  end
  local self = process.start(process.lua(words))
  local line = self:readline()
  self.url, self.origin = (line or ""):match(READY)
  if not self.url then
    local errors = self:errors()
    self:stop()
    error("the development server did not start: " .. tostring(line) .. "\n" .. errors, 2)
  end
  return self
end

--- Reads the next line of stdout.
-- @treturn ?string nil at the end
function Process:readline()
  return self.out:read("*l")
end

--- Reads stdout to its end and waits until the program has ended.
-- @treturn number the exit status
-- @treturn string stdout
-- @treturn string stderr
function Process:finish()
  local output = self.out:read("*a")
  local errors = self:errors()
  return self:wait(), output, errors
end

--- Reads stderr so far.
-- @treturn string
function Process:errors()
  return process.slurp(self.folder .. "/err") or ""
end

--- Sends a signal.
-- @tparam ?string name of the signal (TERM)
function Process:kill(name)
  if self.pid then
    os.execute(("kill -s %s %d 2>/dev/null"):format(name or "TERM", self.pid))
  end
end

--- Closes stdin and waits until the program has ended.
-- @treturn number the exit status; 128 or more after a signal
function Process:wait()
  if self.input then
    self.input:close()
    self.input, self.pid = nil, nil
    self.out:close()
    self.status = tonumber(process.slurp(self.folder .. "/status"))
    os.execute("rm -r " .. quote(self.folder))
  end
  return self.status
end

--- Sends TERM and waits until the program has ended. Safe to call twice.
-- @treturn number the exit status
function Process:stop()
  self:kill("TERM")
  return self:wait()
end

return process
