--- A headless Chromium for specs of web pages, driven over WebDriver by chromedriver.
-- Owns the driver's process and one window. Invariant: neither outlives the process that started them: the
-- shell around the driver kills their process group when its pipe is closed.
local cjson = require("cjson.safe").new()
local http_request = require "http.request"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local cqueues = require "cqueues"

local browser = {}
local Browser = {}
Browser.__index = Browser

local TIMEOUT = 60 -- s; of one command

--- Tells whether there is a browser here.
function browser.exists()
  return process.output("command -v chromium && command -v chromedriver"):find "chromedriver" ~= nil
end

-- Sends a command of WebDriver; `body` is JSON. Returns its value.
local function command(url, method, body)
  local request = http_request.new_from_uri(url)
  request.headers:upsert(":method", method)
  if body then
    request.headers:upsert("content-type", "application/json")
    request:set_body(body)
    request.headers:delete("expect")
  end
  local _, stream = assert(request:go(TIMEOUT))
  local answer = assert(cjson.decode(assert(stream:get_body_as_string(TIMEOUT))))
  if type(answer.value) == "table" and answer.value.error then
    error(method .. " " .. url .. ": " .. tostring(answer.value.message), 3)
  end
  return answer.value
end

-- setsid makes the group; the shell in it ends with its pipe.
local SHELL = [[exec setsid sh -c 'chromedriver --port=0 >"$1/out" 2>&1 &
  read -r _; kill -TERM $!; sleep 0.2; rm -rf "$1"; kill -KILL 0' sh ]]

--- Starts a browser.
-- @treturn table
function browser.start()
  local folder = process.folder()
  local self = setmetatable({ folder = folder }, Browser)
  self.shell = assert(io.popen("unset LD_PRELOAD; " .. SHELL .. process.quote(folder), "w"))
  local port = patience.wait(function()
    return (process.slurp(folder .. "/out") or ""):match "successfully on port (%d+)"
  end, function() cqueues.sleep(0.02) end, "chromedriver to start")
  local arguments = { "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--mute-audio", "--user-data-dir=" .. folder .. "/profile" }
  local driver = "http://127.0.0.1:" .. port .. "/session"
  local made = command(driver, "POST", cjson.encode { capabilities = { alwaysMatch = {
    ["goog:chromeOptions"] = { args = arguments }, ["goog:loggingPrefs"] = { browser = "ALL" } } } })
  self.url = driver .. "/" .. made.sessionId
  return self
end

--- Opens a page.
function Browser:open(url)
  command(self.url .. "/url", "POST", cjson.encode { url = url })
end

--- Runs JavaScript in the page; returns what it returns.
function Browser:run(script)
  local body = ('{"script":%s,"args":[]}'):format(cjson.encode(script))
  return command(self.url .. "/execute/sync", "POST", body)
end

--- Runs JavaScript until it returns something true; returns that.
function Browser:wait(script, what)
  return patience.wait(function()
    local value = self:run(script)
    return value ~= cjson.null and value ~= "" and value
  end, function() cqueues.sleep(0.02) end, what or script)
end

local function element(self, selector)
  local found = command(self.url .. "/element", "POST",
    cjson.encode { using = "css selector", value = selector })
  return self.url .. "/element/" .. select(2, next(found))
end

--- Types text into an element, as a person does.
function Browser:type(selector, text)
  command(element(self, selector) .. "/value", "POST", cjson.encode { text = text })
end

--- Clicks on an element.
function Browser:click(selector)
  command(element(self, selector) .. "/click", "POST", "{}")
end

--- Sends a command of the DevTools protocol.
function Browser:devtools(name, params)
  return command(self.url .. "/goog/cdp/execute", "POST", cjson.encode { cmd = name, params = params })
end

--- Returns what the page has written to the console, warnings of the browser too.
function Browser:console()
  local lines = {}
  for i, entry in ipairs(command(self.url .. "/se/log", "POST", '{"type":"browser"}')) do
    lines[i] = entry.message
  end
  return lines
end

--- Ends it.
function Browser:stop()
  if not self.shell then return end
  pcall(command, self.url, "DELETE")
  self.shell:write "stop\n"
  self.shell:close()
  self.shell = nil
end

return browser
