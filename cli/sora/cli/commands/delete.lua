--- `sora delete`: deletes jobs and their videos at the server.
-- @local
return require "sora.cli.each" {
  about = "Delete jobs and their videos at the server.", usage = "ID… [--yes]", method = "delete_video",
  done = "deleted", confirm = "delete",
}
