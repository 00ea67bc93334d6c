--- `sora cancel`: cancels jobs that are not over.
-- @local
return require "sora.cli.each" {
  about = "Cancel jobs that are not over.", usage = "ID…", method = "cancel_video", done = "cancelled",
}
