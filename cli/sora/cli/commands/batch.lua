--- `sora batch`: makes many videos, each once.
-- @local
return { about = "Start a batchr to try things on, without costs.",
  usage = "FILE|- [-o DIR] [-j 8] [--max-jobs N]", define = function() end, run = function() end }
