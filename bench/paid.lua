-- What one create costs with several clients, where its answer is lost: `make bench-paid`.
--
-- Owns the faults and the count. A server that counts POSTs reads each one whole, as a gateway does that
-- makes the job, and then fails in one of three ways; the client is left with its own defaults, but for a
-- timeout of one second where the server never answers. Invariant: each number is of one call by a fresh
-- process.
local httpd = require "spec.support.httpd"
local process = require "spec.support.process"

local FAULTS = {
  { name = "502 from a proxy", answer = { status = 502, body = "Bad Gateway" } },
  { name = "connection reset", answer = { close = true } },
  { name = "no answer in time", answer = { hold = true } },
}

local SORA = [[
  local sora = require "sora"
  sora.configure { base_url = arg[1], api_key = "k", timeout = tonumber(arg[2]) }
  sora.create_video { prompt = "p" }
]]

local OPENAI_NODE = [[
  const { OpenAI } = require("openai");
  const [, baseURL, seconds] = process.argv;
  const client = new OpenAI({ baseURL, apiKey: "k", timeout: seconds * 1000 });
  client.videos.create({ prompt: "p", model: "sora-2" }).catch(() => process.exit(0));
]]

local function lua_program(code)
  local path = os.tmpname()
  process.spill(path, code)
  return path
end

local function sora(url, seconds)
  local path = lua_program(SORA)
  process.output(process.command(process.lua { path, url, seconds }) .. " 2>&1")
  os.remove(path)
end

local function openai_node(url, seconds)
  process.output("cd build/bench && " .. process.command { "node", "-e", OPENAI_NODE, url, seconds }
    .. " 2>&1")
end

local function curl_retry(url, seconds)
  process.output(process.command { "curl", "-s", "--retry", "2", "--retry-all-errors", "-m", seconds,
    "--json", '{"prompt":"p"}', url .. "/videos" } .. " 2>&1")
end

local function version(command)
  return process.output(command .. " 2>/dev/null"):match "%d+%.%d+[%d.]*"
end

local CLIENTS = {
  { "sora", sora, require "sora"._VERSION },
  { "openai-node", openai_node,
    version "node -p 'require(\"./build/bench/node_modules/openai/package.json\").version'" },
  { "curl --retry 2 --retry-all-errors", curl_retry, version "curl --version" },
}

local server = httpd.start()

-- Lets a client make one create; returns how many POSTs came. A client that has ended sends no more.
local function count(client, fault)
  server:reset()
  server:route("*", "^", fault.answer)
  client[2](server.url .. "/v1", "1")
  local posts = 0
  for _, request in ipairs(server:requests()) do
    if request.method == "POST" then posts = posts + 1 end
  end
  assert(posts > 0, client[1] .. " sent no request")
  return posts
end

local function row(cells) print("| " .. table.concat(cells, " | ") .. " |") end

print "Jobs that a gateway makes, and bills, of one create whose answer is lost:\n"
local head, line = { "client" }, { "---" }
for i, fault in ipairs(FAULTS) do head[i + 1], line[i + 1] = fault.name, "---:" end
row(head)
row(line)
for _, client in ipairs(CLIENTS) do
  if client[3] then
    local cells = { client[1] .. " " .. client[3] }
    for i, fault in ipairs(FAULTS) do cells[i + 1] = tostring(count(client, fault)) end
    row(cells)
  end
end
server:stop()
