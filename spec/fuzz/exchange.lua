--- A client and the host's server for one input.
-- Owns what is true of every exchange, whatever the server answers: the shape of errors, who sees the key,
-- and how often a job is asked for. Runs in spec/fuzz/host.c only.
local host = require "spec.fuzz.host"
local sora = require "sora"

local exchange = {}

local KEY = "sk-fuzz-0123456789abcdef"
local KINDS = {}
for kind in ([[config dns connect tls timeout transport api decode too_large file failed cancelled expired
  deadline closed]]):gmatch "%S+" do KINDS[kind] = true end

--- Divides an input into the answers of successive connections.
function exchange.split(input)
  local answers, at = {}, 1
  while true do
    local from, to = input:find("\n~~~\n", at, true)
    answers[#answers + 1] = input:sub(at, (from or 0) - 1)
    if not from then return answers end
    at = to + 1
  end
end

-- Raises if a text in the table, which is an error, holds the key.
local function check_texts(value, depth)
  if type(value) == "string" and value:find(KEY, 1, true) then error("an error shows the key") end
  if type(value) ~= "table" or depth > 3 then return end
  for _, item in pairs(value) do check_texts(item, depth + 1) end
end

local TYPES = { message = "string", code = "string", type = "string", param = "string", request_id = "string",
  body = "string", curl = "string", status = "number", retry_after = "number", attempts = "number",
  retryable = "boolean", ambiguous = "boolean" }

--- Raises unless a call gave its result, or nil and an error as it is documented.
function exchange.check_result(result, err)
  if result ~= nil then
    assert(type(result) == "table", "a result that is no table")
    return
  end
  assert(type(err) == "table" and KINDS[err.kind], "no error, or one of an unknown kind")
  for name, kind in pairs(TYPES) do
    if err[name] ~= nil and type(err[name]) ~= kind then
      error(("err.%s is a %s"):format(name, type(err[name])))
    end
  end
  assert(type(err.message) == "string", "an error without a message")
  assert(not err.retry_after or err.retry_after >= 0, "a negative retry_after")
  assert(not (err.retryable and err.ambiguous), "an error that is retryable and ambiguous")
  check_texts({ err.message, err.code, err.type, err.param, err.request_id, err.body, tostring(err) }, 1)
end

-- The requests that went to the client's own origin may hold the key, and no other.
local function check_key(request)
  local head = request:lower()
  if not request:find(KEY, 1, true) then return end
  local rest = head:match "^%u*%l+ http://api%.test([^ ]*) "
  assert(rest and (rest:find "^/" or rest:find "^:80/"), "another server sees the key: " .. request)
end

-- Statuses after which a create may be sent again.
local AGAIN = { [429] = true, [503] = true, [307] = true, [308] = true }

-- Raises if a job was asked for again after anything but a refusal.
local function check_posts(answers, requests)
  local last
  for i, request in ipairs(requests) do
    if request:find "^POST http://api%.test/v1/videos[ ?]" then
      if last then
        local answer = answers[math.min(last, #answers)] or ""
        local status = tonumber(answer:match "^HTTP/[^ \n]* +(%d%d?%d?)")
        assert(status and (AGAIN[status] or status < 200), "a job was asked for twice, after: " .. answer)
      end
      last = i
    end
  end
end

--- Options of every client: the host's server is its proxy, and no certificates take seconds to be read.
exchange.options = { base_url = "http://api.test/v1", api_key = KEY, proxy = host.url, ca_file = "/dev/null",
  timeout = 5, max_retries = 1, max_response_bytes = 100000 }

--- Makes a client whose proxy is the host's server, runs `code` with it, and checks what was sent.
function exchange.run(answers, options, code)
  host.serve(answers, options.in_pieces)
  local settings = { journal = options.journal }
  for name, value in pairs(exchange.options) do settings[name] = value end
  local client = assert(sora.new(settings))
  code(client)
  client:close()
  local requests = host.requests()
  for _, request in ipairs(requests) do check_key(request) end
  check_posts(answers, requests)
  return requests
end

return exchange
