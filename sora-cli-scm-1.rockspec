rockspec_format = "3.0"
package = "sora-cli"
version = "scm-1"
source = {
  url = "git+https://github.com/sora-lua/sora.git",
}
description = {
  summary = "Command and development server for video generation jobs in the OpenAI video format",
  detailed = [[
The command sora makes, follows and fetches videos from a shell, and finds out why a server does not work.
A server on loopback that speaks the whole format (POST /v1/videos and its relatives) without a key and without costs:
moving jobs, small real MP4 files, webhooks, and the odd answers of real servers on demand.]],
  homepage = "https://github.com/sora-lua/sora",
  license = "MIT",
  labels = { "video", "openai", "http", "commandline", "testing" },
}
-- Both rocks are released together. http installs cqueues, luaossl and basexx; sora installs lua-cjson.
dependencies = {
  "lua >= 5.1, < 5.6",
  "sora == scm",
  "http >= 0.4",
  "argparse >= 0.7",
}
-- Nothing is built. With "builtin" as type, LuaRocks would install the library's folder lua/, too.
build = {
  type = "none",
  install = {
    bin = { "bin/sora" },
    lua = {
      ["sora.cli.again"] = "cli/sora/cli/again.lua",
      ["sora.cli.commands.batch"] = "cli/sora/cli/commands/batch.lua",
      ["sora.cli.commands.cancel"] = "cli/sora/cli/commands/cancel.lua",
      ["sora.cli.commands.completion"] = "cli/sora/cli/commands/completion.lua",
      ["sora.cli.commands.config"] = "cli/sora/cli/commands/config.lua",
      ["sora.cli.commands.delete"] = "cli/sora/cli/commands/delete.lua",
      ["sora.cli.commands.doctor"] = "cli/sora/cli/commands/doctor.lua",
      ["sora.cli.commands.download"] = "cli/sora/cli/commands/download.lua",
      ["sora.cli.commands.edit"] = "cli/sora/cli/commands/edit.lua",
      ["sora.cli.commands.extend"] = "cli/sora/cli/commands/extend.lua",
      ["sora.cli.commands.get"] = "cli/sora/cli/commands/get.lua",
      ["sora.cli.commands.help"] = "cli/sora/cli/commands/help.lua",
      ["sora.cli.commands.key"] = "cli/sora/cli/commands/key.lua",
      ["sora.cli.commands.list"] = "cli/sora/cli/commands/list.lua",
      ["sora.cli.commands.make"] = "cli/sora/cli/commands/make.lua",
      ["sora.cli.commands.remix"] = "cli/sora/cli/commands/remix.lua",
      ["sora.cli.commands.resume"] = "cli/sora/cli/commands/resume.lua",
      ["sora.cli.commands.serve"] = "cli/sora/cli/commands/serve.lua",
      ["sora.cli.commands.wait"] = "cli/sora/cli/commands/wait.lua",
      ["sora.cli.doctor.address"] = "cli/sora/cli/doctor/address.lua",
      ["sora.cli.doctor.api"] = "cli/sora/cli/doctor/api.lua",
      ["sora.cli.doctor.config"] = "cli/sora/cli/doctor/config.lua",
      ["sora.cli.doctor.network"] = "cli/sora/cli/doctor/network.lua",
      ["sora.cli.doctor.probe"] = "cli/sora/cli/doctor/probe.lua",
      ["sora.cli.doctor.repair"] = "cli/sora/cli/doctor/repair.lua",
      ["sora.cli.doctor.report"] = "cli/sora/cli/doctor/report.lua",
      ["sora.cli.each"] = "cli/sora/cli/each.lua",
      ["sora.cli.exit"] = "cli/sora/cli/exit.lua",
      ["sora.cli.files"] = "cli/sora/cli/files.lua",
      ["sora.cli.follow"] = "cli/sora/cli/follow.lua",
      ["sora.cli.help"] = "cli/sora/cli/help.lua",
      ["sora.cli"] = "cli/sora/cli/init.lua",
      ["sora.cli.commands.put"] = "cli/sora/cli/commands/put.lua",
      ["sora.cli.commands.tasks"] = "cli/sora/cli/commands/tasks.lua",
      ["sora.cli.commands.work"] = "cli/sora/cli/commands/work.lua",
      ["sora.cli.queue"] = "cli/sora/cli/queue.lua",
      ["sora.cli.params"] = "cli/sora/cli/params.lua",
      ["sora.cli.prompts"] = "cli/sora/cli/prompts.lua",
      ["sora.cli.screen"] = "cli/sora/cli/screen.lua",
      ["sora.cli.settings"] = "cli/sora/cli/settings.lua",
      ["sora.cli.target"] = "cli/sora/cli/target.lua",
      ["sora.cli.text"] = "cli/sora/cli/text.lua",
      ["sora.server"] = "cli/sora/server.lua",
      ["sora.server.control"] = "cli/sora/server/control.lua",
      ["sora.server.endpoints"] = "cli/sora/server/endpoints.lua",
      ["sora.server.format"] = "cli/sora/server/format.lua",
      ["sora.server.input"] = "cli/sora/server/input.lua",
      ["sora.server.jobs"] = "cli/sora/server/jobs.lua",
      ["sora.server.media"] = "cli/sora/server/media.lua",
      ["sora.server.media_data"] = "cli/sora/server/media_data.lua",
      ["sora.server.modes"] = "cli/sora/server/modes.lua",
      ["sora.server.program"] = "cli/sora/server/program.lua",
      ["sora.server.transport"] = "cli/sora/server/transport.lua",
      ["sora.server.webhook"] = "cli/sora/server/webhook.lua",
      ["sora.store.redis"] = "cli/sora/store/redis.lua",
      ["sora.store.scripts"] = "cli/sora/store/scripts.lua",
      ["sora.work"] = "cli/sora/work.lua",
      ["sora.work.worker"] = "cli/sora/work/worker.lua",
    },
  },
}
