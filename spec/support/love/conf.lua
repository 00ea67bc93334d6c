-- The window of the example, for what looks at it.
dofile("examples/love/conf.lua")
