-- Runs busted in whichever Lua runs this file: the launchers that come with it choose one themselves.
require "busted.runner" { standalone = false }
