--- Answers of the scripted server (httpd.lua) that many specs need, and ways to make others.
-- Owns the job "v", as a server shows it, and its file. Invariant: nobody changes one of these tables; `with`
-- makes a copy that has more.
local answers = {}

--- A copy of a table that has more fields.
-- @tparam ?table fields
-- @tparam ?table more
function answers.with(fields, more)
  local all = {}
  for name, value in pairs(fields or {}) do all[name] = value end
  for name, value in pairs(more or {}) do all[name] = value end
  return all
end

--- The job "v" with a status, and more fields if given.
function answers.job(status, fields)
  return { json = answers.with({ id = "v", status = status }, fields) }
end

answers.QUEUED = answers.job("queued")
answers.RUNNING = answers.job("in_progress", { progress = 40 })
answers.DONE = answers.job("completed")

--- DONE, once it is released.
answers.HELD = answers.with(answers.DONE, { hold = true })

--- A body with nothing but the id "v".
answers.VIDEO = { body = '{"id":"v"}' }

--- A refusal after which the server asks to wait so many milliseconds.
function answers.busy(ms)
  return { status = 503, headers = { ["retry-after-ms"] = tostring(ms) } }
end

--- A redirect.
function answers.redirect(status, location)
  return { status = status, headers = { Location = location }, body = "<a href=x>moved</a>" }
end

--- The headers of a file.
answers.TYPE = { ["Content-Type"] = "video/mp4" }

--- A file of these bytes, with more headers if given.
function answers.file(bytes, headers)
  return { body = bytes, headers = answers.with(answers.TYPE, headers) }
end

--- The bytes of a small film, and the answer that has them.
answers.MP4 = "\0\0\0\24ftypisom\0\0\2\0isommp42" .. ("\0\255mdat"):rep(100)
answers.FILE = answers.file(answers.MP4)

--- The beginning of a file, whose rest doesn't come.
answers.HALF = { steps = {
  "HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 9\r\n\r\nfilm", 600 } }

return answers
