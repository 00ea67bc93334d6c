-- Runs busted in the Lua that runs this file. The launchers that come with busted choose a Lua themselves.
require "busted.runner" { standalone = false }
