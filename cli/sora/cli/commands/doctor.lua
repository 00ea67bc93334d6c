--- `sora doctor`: finds out why a server does not work.
-- @local
return { about = "Start a doctorr to try things on, without costs.", usage = "[--all]",
  define = function() end, run = function() end }
