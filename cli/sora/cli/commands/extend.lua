--- `sora extend`: makes a video longer, of a job or in a file.
-- @local
return require "sora.cli.again" {
  about = "Make a video longer.", usage = "ID|FILE [PROMPT] [-s SECONDS] [-o FILE|-] [--set NAME=VALUE]…",
  verb = "extend", first = "ID|FILE", file = true,
  arguments = function(video, given)
    given.video = video
    return { given }
  end,
}
