--- `sora serve`: the development server.
-- @local
return { about = "Start a server to try things on, without costs.", usage = "[OPTIONS]",
  define = function() end, run = function() end }
