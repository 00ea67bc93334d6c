--- `sora remix`: makes a new video from a finished one.
-- @local
return require "sora.cli.again" {
  about = "Make a new video from a finished one.", usage = "ID PROMPT [-o FILE|-] [--set NAME=VALUE]…",
  verb = "remix", first = "ID", prompt = true,
  arguments = function(video, given) return { video, given } end,
}
