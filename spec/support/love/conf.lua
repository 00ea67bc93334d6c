-- Uses the window settings of the example.
dofile("examples/love/conf.lua")
