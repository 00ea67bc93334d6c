-- Uses the settings of the example: its window and its save directory.
dofile("examples/love/conf.lua")
