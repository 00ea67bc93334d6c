-- Makes three videos at once under Copas, while a server in the same loop keeps running.
-- Usage: SORA_BASE_URL=… SORA_API_KEY=… lua5.1 examples/copas.lua
dofile((arg[0]:gsub("[^/]+$", "clone.lua"))) -- for a clone; an installed sora needs no such line
local copas = require "copas"
local socket = require "socket"
local sora = require "sora"

local client = require "sora.loop.copas"(assert(sora.new {}))
local prompts = { "a paper boat", "a red fox", "a lighthouse" }
local left, greeted = #prompts, false

-- A server in the same loop, and a client that connects to it while the videos are made.
local server = assert(socket.bind("127.0.0.1", 0))
copas.addserver(server, function(connection) copas.send(connection, "hello\n") end)
copas.addthread(function()
  local caller = socket.tcp()
  caller:settimeout(0)
  copas.connect(caller, server:getsockname())
  greeted = copas.receive(caller) == "hello" and left > 0
end)

-- Makes one video. A call blocks only its Copas thread, not the loop.
local function make(prompt)
  local job, err = client:create_video { prompt = prompt, seconds = "4" }
  local video = job
  if job then video, err = client:wait(job, { interval = 0.2 }) end
  print(("%-14s %s"):format(prompt, video and video.status or tostring(err)))
  left = left - 1
end

for _, prompt in ipairs(prompts) do
  copas.addthread(function() make(prompt) end)
end
while left > 0 do copas.step() end -- copas.loop() would not return, because the server never ends
print(("the server went on: %s"):format(greeted and "yes" or "no"))
