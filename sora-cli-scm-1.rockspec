rockspec_format = "3.0"
package = "sora-cli"
version = "scm-1"
source = {
  url = "git+https://github.com/sora-lua/sora.git",
}
description = {
  summary = "Development server for video generation jobs in the OpenAI video format",
  detailed = [[
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
    lua = {
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
    },
  },
}
