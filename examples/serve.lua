-- Starts the development server for video jobs, to work without an API key and without costs:
--
--     lua5.4 examples/serve.lua --duration 3
--
-- It prints "listening on http://127.0.0.1:PORT/v1"; use that URL as base_url. --help lists its options and
-- modes. It needs lua-http and argparse.

-- This checkout comes first. The last folders are Debian's, which has lua-http for Lua 5.1 to 5.3; all of it
-- runs on newer ones.
local checkout = arg[0]:match("^(.*)examples/[^/]*$")
if checkout then
  for _, files in ipairs { "cli/?.lua", "lua/?/init.lua", "lua/?.lua" } do
    package.path = checkout .. files .. ";" .. package.path
  end
end
package.path = package.path
  .. ";/usr/share/lua/5.3/?.lua;/usr/share/lua/5.3/?/init.lua;/usr/share/lua/5.1/?.lua"

os.exit(require("sora.server").main(arg))
