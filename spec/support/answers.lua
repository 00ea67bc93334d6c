--- Responses of the scripted server (httpd.lua) that many specs need, and functions that make others.
-- Owns the job "v", as a server shows it, and its file. Invariant: these tables are never changed; `with`
-- makes a copy with more fields.
local answers = {}

--- Copies a table and adds fields.
-- @tparam ?table fields
-- @tparam ?table more
function answers.with(fields, more)
  local all = {}
  for name, value in pairs(fields or {}) do all[name] = value end
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

--- Makes the job "v" with a status, and more fields if given.
function answers.job(status, fields)
  return { json = answers.with({ id = "v", status = status }, fields) }
end

answers.QUEUED = answers.job("queued")
answers.RUNNING = answers.job("in_progress", { progress = 40 })
answers.DONE = answers.job("completed")

--- DONE, held back until `release`.
answers.HELD = answers.with(answers.DONE, { hold = true })

--- A body with nothing but the id "v".
answers.VIDEO = { body = '{"id":"v"}' }

--- Makes a 503 with retry-after-ms.
function answers.busy(ms)
  return { status = 503, headers = { ["retry-after-ms"] = tostring(ms) } }
end

--- Makes a redirect.
function answers.redirect(status, location)
  return { status = status, headers = { Location = location }, body = "<a href=x>moved</a>" }
end

--- The headers of a file.
answers.TYPE = { ["Content-Type"] = "video/mp4" }

--- Makes a file of these bytes, with more headers if given.
function answers.file(bytes, headers)
  return { body = bytes, headers = answers.with(answers.TYPE, headers) }
end

--- The bytes of a small video file, and the response with them.
answers.MP4 = "\0\0\0\24ftypisom\0\0\2\0isommp42" .. ("\0\255mdat"):rep(100)
answers.FILE = answers.file(answers.MP4)

--- The first bytes of a file. The rest does not come.
answers.HALF = { steps = {
  "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 9\r\n\r\nfilm", 600 } }

return answers
