--- Processes for specs: programs that run beside the spec, in any Lua, with nothing but the standard library.
-- Owns the plumbing: a program's stdin is a pipe of ours, which closes when the spec's process ends, however
-- it ends; its stdout is a FIFO that is read line by line, without waiting for luck; its stderr is kept.
-- Invariant: `pid` is nil once the process has been waited for, so that nobody else's process is ever hit.
local process = {}

local Process = {}
Process.__index = Process

local READY = "^listening on ((http://[^/]+).*)$"

local function quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end
process.quote = quote

local function quote_all(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = quote(word)
  end
  return table.concat(quoted, " ")
end

--- What a command writes.
-- @tparam string command for the shell
-- @treturn string
function process.output(command)
  local pipe = assert(io.popen(command))
  local output = pipe:read("*a")
  pipe:close()
  return output
end

--- A new folder for temporary files.
-- @treturn string
function process.folder()
  return (process.output("mktemp -d"):gsub("\n", ""))
end

--- The contents of a file.
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

--- Starts a program.
-- @tparam {string,...} argv
-- @treturn Process with `pid`, and `input` (its stdin, a file)
function process.start(argv)
  local folder = process.folder()
  local fifo = folder .. "/out"
  assert(process.output("mkfifo " .. quote(fifo) .. " && printf made") == "made")
  local self = setmetatable({ folder = folder }, Process)
  local inner = "sh -c " .. quote 'echo $$; exec "$@"' .. " sh " .. quote_all(argv)
  local outer = ("%s >%s 2>%s; echo $? >%s"):format(inner, quote(fifo), quote(folder .. "/err"),
    quote(folder .. "/status"))
  self.input = assert(io.popen(outer, "w"))
  self.out = assert(io.open(fifo, "r")) -- waits until the other side is open as well
  self.pid = assert(tonumber(self.out:read("*l")))
  return self
end

--- The words that start the Lua that runs the specs, with the paths it has.
-- @tparam {string,...} arguments its arguments
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

--- Starts the development server and waits until it is ready. It ends with the spec's process at the latest.
-- @tparam ?{string,...} options of its command line
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

--- The next line of its output.
-- @treturn ?string nil at the end
function Process:readline()
  return self.out:read("*l")
end

--- What it has written to stderr.
-- @treturn string
function Process:errors()
  return process.slurp(self.folder .. "/err") or ""
end

--- Sends it a signal.
-- @tparam ?string name TERM when not given
function Process:kill(name)
  if self.pid then
    os.execute(("kill -s %s %d 2>/dev/null"):format(name or "TERM", self.pid))
  end
end

--- Closes its stdin and waits until it has ended.
-- @treturn number its exit status; 128 and more for a signal
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

--- Ends it and waits for that. It may be called again.
-- @treturn number its exit status
function Process:stop()
  self:kill("TERM")
  return self:wait()
end

return process
