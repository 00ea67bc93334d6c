--- Two socket options that the scripted server needs and cqueues does not offer.
-- Owns the workaround: a perl one-liner inherits a copy of the socket and sets the option, which both copies
-- share (every Debian has perl and its Socket module). It starts a process, so use it rarely. Works under
-- every Lua.
local socket = require "cqueues.socket"

local sockopt = {}

-- Runs perl on a socket. LD_PRELOAD may hold a sanitizer, which is only for the process of the specs.
local function with_perl(sock, code)
  local copy = assert(socket.dup{ socket = sock, cloexec = false })
  local command = "env -u LD_PRELOAD perl -MSocket -e 'open S, \"+<&=%d\" or die $!; %s or die $!'"
  local status = os.execute(command:format(copy:pollfd(), code))
  copy:close()
  assert(status == true or status == 0, "perl could not change a socket")
end

--- Makes the next close of a socket send RST instead of FIN.
-- @param sock a connected cqueues socket
function sockopt.reset_on_close(sock)
  with_perl(sock, 'setsockopt S, SOL_SOCKET, SO_LINGER, pack("ii", 1, 0)')
end

--- Changes how many established connections wait for `accept` at most.
-- @param sock a listening cqueues socket
-- @tparam number n the new backlog (Linux keeps one connection more)
function sockopt.backlog(sock, n)
  with_perl(sock, ("listen S, %d"):format(n))
end

return sockopt
