--- The two socket settings that the scripted server needs and cqueues cannot make.
-- Owns the trick: a copy of the socket that survives exec is handed to a perl one-liner (perl and its Socket
-- module are in every Debian), which changes the open file that both share. It takes some 10 ms, so it is for
-- rare use. Works under every Lua.
local socket = require "cqueues.socket"

local sockopt = {}

-- LD_PRELOAD may hold a sanitizer, which is there for the specs' own process.
local function with_perl(sock, code)
  local copy = assert(socket.dup{ socket = sock, cloexec = false })
  local command = "env -u LD_PRELOAD perl -MSocket -e 'open S, \"+<&=%d\" or die $!; %s or die $!'"
  local status = os.execute(command:format(copy:pollfd(), code))
  copy:close()
  assert(status == true or status == 0, "perl could not change a socket")
end

--- Makes the next close of a socket send RST in place of FIN.
-- @param sock a connected cqueues socket
function sockopt.reset_on_close(sock)
  with_perl(sock, 'setsockopt S, SOL_SOCKET, SO_LINGER, pack("ii", 1, 0)')
end

--- Changes how many finished connections a listener keeps for `accept`.
-- @param sock a listening cqueues socket
-- @tparam number n the new backlog (Linux keeps one connection more)
function sockopt.backlog(sock, n)
  with_perl(sock, ("listen S, %d"):format(n))
end

return sockopt
