--- `sora edit`: edits a video, of a job or in a file.
-- @local
return require "sora.cli.again" {
  about = "Edit a video.", usage = "ID|FILE PROMPT [-o FILE|-] [--set NAME=VALUE]…",
  verb = "edit", first = "ID|FILE", prompt = true, file = true,
  arguments = function(video, given)
    given.video = video
    return { given }
  end,
}
