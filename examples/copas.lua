-- Makes three films at once under Copas, while a server in the same loop keeps running.
-- Usage: SORA_BASE_URL=… SORA_API_KEY=… lua5.1 examples/copas.lua
dofile((arg[0]:gsub("[^/]+$", "clone.lua"))) -- for a clone; an installed sora needs no such line
local copas = require "copas"
local socket = require "socket"
local sora = require "sora"

local client = require "sora.loop.copas"(assert(sora.new { journal = "jobs.journal" }))
local busy, greeted = true, 0

local films = {
  { prompt = "a paper boat", seconds = "4", output = "boat.mp4" },
  { prompt = "a red fox", seconds = "4", output = "fox.mp4" },
  { prompt = "a lighthouse", seconds = "4", output = "lighthouse.mp4" },
}

-- A server in the same loop, and a client that connects to it while the films are made.
local server = assert(socket.bind("127.0.0.1", 0))
copas.addserver(server, function(connection) copas.send(connection, "hello\n") end)
copas.addthread(function()
  local caller = socket.tcp()
  caller:settimeout(0)
  copas.connect(caller, server:getsockname())
  if copas.receive(caller) == "hello" and busy then greeted = 1 end
end)

-- Makes the films, or resumes those of an earlier run, and saves them: docs/money.md. A call that
-- waits blocks only its Copas thread, not the loop.
local function make()
  local results = assert(client:batch(films, { dir = ".", interval = 0.2 }))
  for i, film in ipairs(films) do
    print(("%-14s %s"):format(film.prompt, results[i].path or tostring(results[i].err)))
  end
  busy = false
end

copas.addthread(make)
while busy do copas.step() end -- copas.loop() would not return, because the server never ends
print(("%d answers of a server meanwhile"):format(greeted))
