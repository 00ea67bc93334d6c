rockspec_format = "3.0"
package = "sora"
version = "scm-1"
source = {
  url = "git+https://github.com/sora-lua/sora.git",
}
description = {
  summary = "Client for video generation jobs in the OpenAI video format",
  detailed = [[
Starts, follows and fetches video generation jobs on any server that speaks the OpenAI video format
(POST /v1/videos and its relatives). A C module on libcurl does the transfers; calls may block or not.
The development server is in the rock sora-cli.]],
  homepage = "https://github.com/sora-lua/sora",
  license = "MIT",
  labels = { "video", "openai", "http", "curl", "async" },
}
dependencies = {
  "lua >= 5.1, < 5.6",
  "lua-cjson >= 2.1.0",
}
-- The library alone: Debian keeps the header in a folder per architecture, where the compiler looks but LuaRocks
-- does not. CURL_DIR=…, CURL_INCDIR=… and CURL_LIBDIR=… after `luarocks make`, and the same with CRYPTO, name other
-- folders.
external_dependencies = {
  CURL = { library = "curl" },
  platforms = {
    linux = { CRYPTO = { library = "crypto" } },
    freebsd = { CRYPTO = { library = "crypto" } },
    netbsd = { CRYPTO = { library = "crypto" } },
    openbsd = { CRYPTO = { library = "crypto" } },
  },
}
-- Where OpenSSL checks signatures: macOS and Windows have libraries of their own for that.
local function with_openssl(...)
  return {
    modules = {
      ["sora.core"] = {
        incdirs = { "src", "$(CURL_INCDIR)", "$(CRYPTO_INCDIR)" },
        libdirs = { "$(CURL_LIBDIR)", "$(CRYPTO_LIBDIR)" },
        libraries = { "curl", "crypto", "pthread", ... },
      },
    },
  }
end
build = {
  type = "builtin", -- which installs all of lua/, listed or not
  modules = {
    ["sora.core"] = {
      sources = {
        "src/base/append_file.c",
        "src/base/base64.c",
        "src/base/buffer.c",
        "src/base/inflate.c",
        "src/base/json_numbers.c",
        "src/base/media.c",
        "src/base/part_file.c",
        "src/base/pem.c",
        "src/base/sys.c",
        "src/base/sys_hmac.c",
        "src/base/sys_posix.c",
        "src/base/sys_win32.c",
        "src/core.c",
        "src/http/attempt.c",
        "src/http/easy.c",
        "src/http/endpoint.c",
        "src/http/failure.c",
        "src/http/form.c",
        "src/http/headers.c",
        "src/http/receive.c",
        "src/http/redact.c",
        "src/http/request.c",
        "src/http/retry.c",
        "src/loop/loop.c",
        "src/loop/poller_epoll.c",
        "src/loop/poller_kqueue.c",
        "src/loop/poller_poll.c",
        "src/loop/pool.c",
        "src/loop/timers.c",
        "src/lua/api.c",
        "src/lua/append.c",
        "src/lua/box.c",
        "src/lua/call.c",
        "src/lua/clean.c",
        "src/lua/client.c",
        "src/lua/error.c",
        "src/lua/events.c",
        "src/lua/handle.c",
        "src/lua/json.c",
        "src/lua/options.c",
        "src/lua/part.c",
        "src/lua/result.c",
        "src/lua/stream.c",
        "src/lua/update.c",
        "src/lua/util.c",
        "src/lua/wait.c",
      },
      incdirs = { "src", "$(CURL_INCDIR)" },
      libdirs = { "$(CURL_LIBDIR)" },
      libraries = { "curl" },
    },
    sora = "lua/sora/init.lua",
    ["sora.batch"] = "lua/sora/batch.lua",
    ["sora.client"] = "lua/sora/client.lua",
    ["sora.download"] = "lua/sora/download.lua",
    ["sora.endpoints"] = "lua/sora/endpoints.lua",
    ["sora.journal"] = "lua/sora/journal.lua",
    ["sora.json"] = "lua/sora/json.lua",
    ["sora.loop.copas"] = "lua/sora/loop/copas.lua",
    ["sora.loop.copas1"] = "lua/sora/loop/copas1.lua",
    ["sora.loop.coroutine"] = "lua/sora/loop/coroutine.lua",
    ["sora.loop.cqueues"] = "lua/sora/loop/cqueues.lua",
    ["sora.loop.host"] = "lua/sora/loop/host.lua",
    ["sora.loop.openresty"] = "lua/sora/loop/openresty.lua",
    ["sora.loop.uv"] = "lua/sora/loop/uv.lua",
    ["sora.misuse"] = "lua/sora/misuse.lua",
    ["sora.normalize"] = "lua/sora/normalize/init.lua",
    ["sora.normalize.errors"] = "lua/sora/normalize/errors.lua",
    ["sora.normalize.tree"] = "lua/sora/normalize/tree.lua",
    ["sora.normalize.values"] = "lua/sora/normalize/values.lua",
    ["sora.options"] = "lua/sora/options.lua",
    ["sora.pages"] = "lua/sora/pages.lua",
    ["sora.problems"] = "lua/sora/problems.lua",
    ["sora.pump"] = "lua/sora/pump.lua",
    ["sora.task"] = "lua/sora/task.lua",
    ["sora.wait.group"] = "lua/sora/wait/group.lua",
    ["sora.wait.heap"] = "lua/sora/wait/heap.lua",
    ["sora.wait.machine"] = "lua/sora/wait/machine.lua",
    ["sora.webhook"] = "lua/sora/webhook.lua",
  },
  platforms = {
    linux = with_openssl("dl"),
    freebsd = with_openssl(),
    netbsd = with_openssl(),
    openbsd = with_openssl(),
    -- With MinGW; this has been compiled and linked, but LuaRocks has not run it there.
    windows = { modules = { ["sora.core"] = { libraries = { "curl", "bcrypt", "ws2_32" } } } },
  },
  copy_directories = { "docs", "examples", "types" },
  -- LuaRocks copies the licence by itself only where copy_directories is missing.
  install = { conf = { "LICENSE" } },
}
test_dependencies = {
  "busted >= 2.0",
  "http >= 0.4",
  "argparse >= 0.7",
}
-- Runs `make test`, which builds the module first. `luarocks test ROCKSPEC -- spec/wait` runs one folder.
test = {
  type = "command",
  script = "tools/luarocks_test.lua",
}
