-- lua spec/fuzz/seeds.lua FOLDER: writes what the fuzz targets begin with to FOLDER/<target>.
-- Owns the seeds: the answers of known servers, and a few written by hand for what no server should send.
local dialects = require "spec.support.dialects"

local folder = assert(arg[1], "expected a folder")
local count = 0

local function seed(target, text)
  count = count + 1
  local file = assert(io.open(("%s/%s/seed-%03d"):format(folder, target, count), "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function answer(status, headers, body)
  return ("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s"):format(status, headers, #body, body)
end

local function json_answer(body, status)
  return answer(status or "200 OK", "Content-Type: application/json\r\n", body)
end

os.execute(("cd '%s' && mkdir -p answer json webhook journal address headers"):format(folder))

-- A job as gzip.
local PACKED = "\31\139\8\0\0\0\0\0\0\3\171\86\202\76\81\178\82\42\83\210\81\42\46\73\44\41\45\6\114\10\75\83"
  .. "\75\83\83\128\34\5\69\249\185\5\37\64\145\68\5\40\84\170\5\0\209\238\18\7\49\0\0\0"

local JOB = '{"id":"v","status":"completed","url":"http://files.test/v.mp4"}'
local FILM = answer("200 OK", "Content-Type: video/mp4\r\nETag: \"v1\"\r\n", "\0\0\0\24ftypmp42 film")

-- The answers of known servers, to each call.
for _, case in ipairs(dialects.bodies()) do
  local text = dialects.read(case.entry.file)
  seed("json", text)
  for letter in ("ABCDHIJ"):gmatch "." do seed("answer", letter .. json_answer(text) .. "\n~~~\n" .. FILM) end
end

local function part(range, body)
  return answer("206 Partial Content", ('Content-Range: bytes %s\r\nETag: "v1"\r\n'):format(range), body)
end

for letter in ("ABCDEFGHIJabcdefghij"):gmatch "." do
  local NOTE = letter:upper() == "F" and '{"id":"v","base_url":"http://api.test/v1","variant":"video",'
    .. '"validator":"\\"v1\\"","total":20}\n~~~\n' or ""
  for _, text in ipairs {
    FILM,
    json_answer(JOB) .. "\n~~~\n" .. FILM,
    answer("200 OK", "Content-Encoding: gzip\r\n", PACKED) .. "\n~~~\n" .. FILM,
    answer("400 Bad", "Content-Encoding: deflate\r\n", PACKED:sub(11)),
    part("10-19/20", "abcdefghij"),
    part("10-19/*", "abcdefghij"),
    part("0-9223372036854775807/9223372036854775807", "abcdefghij"),
    part("10-14/20", "abcde") .. "\n~~~\n" .. part("15-19/20", "fghij"),
    answer("416 Range Not Satisfiable", "", "") .. "\n~~~\n" .. FILM,
    answer("302 Found", "Location: http://files.test/v.mp4\r\n", "") .. "\n~~~\n" .. FILM,
    answer("307 Temporary Redirect", "Location: /v1/videos?again\r\n", "") .. "\n~~~\n" .. json_answer(JOB),
    answer("429 Too Many Requests", "Retry-After: 1\r\n", "") .. "\n~~~\n" .. json_answer(JOB),
    answer("503 Busy", "Retry-After: Thu, 26 Nov 2037 01:00:00 GMT\r\nretry-after-ms: 12.5\r\n", "x"),
    "HTTP/1.1 100 Continue\r\n\r\n" .. json_answer(JOB),
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "HTTP/1.1 200 OK\r\n folded\r\nX: 1\r\n 2\r\n\r\n{}",
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" .. JOB,
    answer("500 Oops", "Content-Type: text/html\r\n", "<html><title>Oops</title>"),
    answer("401 No", "x-should-retry: true\r\n", '{"error":{"message":"no sk-fuzz-0123456789abcdef"}}'),
    "HTTP/1.1 200 OK\r\nHTTP/1.1 429: later\r\n\r\n" .. JOB,
    answer("204 No Content", "", ""), "HTTP/1.1 202 Accepted\r\n\r\n", "HTTP/1.0 200\n\n{}", "",
  } do seed("answer", letter .. NOTE .. text) end
end

for _, text in ipairs { "[]", "{}", "[null,1,[],{}]", '{"a":null}', '{"n":[1,-0,0.0,1e2,1e999,-1e-9]}',
  '{"n":12345678901234567890,"m":123456789012345678,"x":0.1234567890123456789}', '{"a":NaN,"b":-Infinity}',
  '{"a":0x1F,"b":012}', '{"s":"\\u0000\\ud83d\\ude00\\\\\\""}', "[1.0e5,10.00,1E+2]", "[[[[[[[[1]]]]]]]]",
  "{1:2}", "<html><title>x</title>", '{"status":"tasktaskjob_success"}',
  '{"created_at":"2026-11-26T01:02:03.5+05:30","progress":"45%","data":[{"b64_json":"AAAAGGZ0eXBtcDQy"}]}',
} do seed("json", text) end

local EVENT = '{"type":"video.completed","data":{"id":"v"}}'
for _, flag in ipairs { "s", "x" } do
  for _, secret in ipairs { "plain", "whsec_c2VjcmV0", "whsec_", "" } do
    seed("webhook", table.concat({ flag, secret, "msg_1", "1764115200", "v1,AAAA v1,c2lnbmF0dXJl", "3",
      EVENT }, "\n"))
  end
end
seed("webhook", "s\nk\n\n99999999999999999999999\n\n\n{}")

local function lines(...)
  local list = { ... }
  for i, line in ipairs(list) do
    list[i] = line:gsub("}$", ',"v":2,"base_url":"http://api.test/v1"}')
  end
  return table.concat(list, "\n")
end
local ASKED = '{"event":"asked","key":"k1","created":1764115200,"prompt":"p","label":"l"}'
local MADE = '{"event":"made","key":"k1","id":"v","state":"queued","created":1764115200,"expires_at":5}'
seed("journal", lines(ASKED))
seed("journal", lines(ASKED, MADE))
seed("journal", lines(ASKED, MADE, '{"event":"ended","id":"v","state":"completed"}'))
seed("journal", lines(ASKED, MADE, '{"event":"saved","id":"v","path":"v.mp4","bytes":7}'))
seed("journal", lines(ASKED, '{"event":"refused","key":"k1","kind":"api"}', '{"event":"forgotten","id":"v"}'))
seed("journal", lines(ASKED, '{"event":"made","key":"k1","state":"completed"}',
  '{"event":"saved","key":"k1"}'))
seed("journal", lines('{"event":"made","key":"k2","id":17,"state":"x"}', '{"event":"ended","id":17.5}'))
seed("journal", lines(MADE, '{"event":"ended","id":"v","state":"failed"}', (MADE:gsub("k1", "k2")))
  .. "\n{\"ev")
seed("journal", '{"base_url":"http://api.test/v1","event":"ended","id":"v","state":"completed"}\n\n\0\n[]')

for index, list in ipairs {
  { "video_1", "a/b", "..", "../../x", "%2e", "v?x=1#y", "\r\nX: 1", "\0", "é", "a b:c" },
  { "http://api.test/v1", "https://api.test", "http://user:pw@api.test/", "ftp://x", "http://[::1]:80/v1?a=b",
    "http://api.test/v1?x=1", "api.test/v1", "http://api.test/#f", "http://a b/", "http://h:99999/",
    "HTTP://H/%2f/" },
  { "/v2", "//files.test/x", "http://API.test:80/x", "http://api.test:81/x", "https://api.test/", "?q", "#f",
    "http://api.test@evil.test/", "http://evil.test\\@api.test/", "http:/evil.test", "ftp://x", "../../x" },
  { "http://files.test/v.mp4", "/v.mp4", "data:video/mp4;base64,AAAAGGZ0eXBtcDQy", "data:,%66ilm",
    "DATA:video/mp4;base64,AAAA", "http://api.test/v1/file", "HTTPS://x/y", "http://api.test.evil.test/" },
} do
  for _, text in ipairs(list) do seed("address", string.char(0x40 + index - 1) .. text) end
end

seed("headers", "Content-Type: application/json\r\nRetry-After: 12.5\r\nX-Data: AAAAGGZ0eXBtcDQy\r\n\r\n")
seed("headers", "A:\nB :  x \t\r\n: y\nno colon\nA: 99999999999999999999999\nC")

print(count .. " seeds")
