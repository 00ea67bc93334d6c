--- make threads: `run.lua HOST [SECONDS]` runs host.c with eight threads against two servers on loopback.
-- Owns the servers and their answers. Ends with the status of the program: the sanitizer's (66) where two
-- threads use memory without a lock, 1 where a call went wrong.
local answers = require "spec.support.answers"
local folder = require "spec.support.folder"
local httpd = require "spec.support.httpd"
local process = require "spec.support.process"
local tls = require "spec.support.tls"

local THREADS = 8
local HOST, SECONDS = arg[1], arg[2] or "15"

local certificates = tls.certificates()
local files = folder.new()

local function serve(options)
  local server = httpd.start(options)
  server:route("GET", "^/v1/videos/v%d+$", answers.DONE)
  server:route("GET", "^/v1/videos/v%d+/content$", answers.file(("\0\0\0\24ftypisom0000"):rep(3125)))
  server:route("GET", "/v1/videos/missing", { status = 404, json = { error = { message = "gone" } } })
  server:route("GET", "/v1/videos/odd", { body = "<html><title>sk-threads-1</title>" })
  server:route("GET", "/v1/videos/slow", answers.with(answers.DONE, { delay = 1 }))
  server:route("POST", "/v1/videos", answers.QUEUED)
  return server
end

local plain, secure = serve(), serve { tls = certificates.server }
local output, status = process.run(process.command { HOST, "spec/threads/calls.lua", THREADS, SECONDS,
  plain.url, secure.url, certificates.ca, httpd.refused_url(), files.path })
local lines = process.lines("wc -l <" .. process.quote(files:at "journal"))[1]
plain:stop()
secure:stop()
files:remove()
io.write(output)
if status == 0 then print(("no data race; %s lines in their journal"):format(lines)) end
os.exit(status)
