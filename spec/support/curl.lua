--- The curl command as an HTTP client for specs: an independent implementation, in a process of its own.
-- Owns its command line and the parsing of its output. Works under every Lua.
local json = require("cjson.safe").new()
local process = require "spec.support.process"

local curl = {}

local function read_headers(text)
  local headers = {}
  -- curl writes the headers of each response (100 Continue, redirects); only the last counts
  local last = text:match(".*\n\r\n(HTTP/.*)$") or text
  for name, value in last:gmatch("\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    headers[name:lower()] = value
  end
  return headers
end

--- Runs curl.
-- @tparam string url
-- @tparam ?{string,...} options more options of curl
-- @treturn table `status`, `headers` (names in lower case), `body`, `json` (the body decoded), `exit` (curl's
-- exit status), `continued` (whether there was a 100 Continue)
function curl.get(url, options)
  local folder = process.folder()
  local words = { "curl", "-s", "--noproxy", "*", "--max-time", "60", "-w", "%{http_code} " }
  for option, file in pairs { ["-o"] = "/body", ["-D"] = "/head" } do
    words[#words + 1] = option
    words[#words + 1] = folder .. file
  end
  for _, option in ipairs(options or {}) do
    words[#words + 1] = option
  end
  words[#words + 1] = "--"
  words[#words + 1] = url
  local said = process.output(process.command(words) .. "; echo $?")
  local status, exit = said:match("(%d+) (%d+)%s*$") -- of the last response
  local head = process.slurp(folder .. "/head") or ""
  local body = process.slurp(folder .. "/body") or ""
  os.execute("rm -r " .. process.quote(folder))
  return {
    status = tonumber(status), exit = tonumber(exit), headers = read_headers(head), body = body,
    json = json.decode(body), continued = head:find("^HTTP/1.1 100") ~= nil,
  }
end

--- Posts a table as JSON, or a string unchanged.
-- @tparam string url
-- @param body
-- @tparam ?{string,...} options
function curl.post(url, body, options)
  local text = type(body) == "table" and json.encode(body) or body
  local all = { "-H", "Content-Type: application/json", "--data-binary", text }
  for _, option in ipairs(options or {}) do
    all[#all + 1] = option
  end
  return curl.get(url, all)
end

return curl
