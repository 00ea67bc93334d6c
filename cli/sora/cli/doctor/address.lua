--- The form of a base URL, read as text: what is wrong with it, and how it should be.
-- Pure. Invariant: a URL that is returned to be shown has neither a password nor the values of its query.
-- @module sora.cli.doctor.address
-- @local

local address = {}

-- Ends of addresses that people copy from a document, below the base URL.
local CALLS = { "/videos", "/videos/[^/]+", "/videos/[^/]+/content", "/video/generations", "/video/create",
  "/video/query", "/chat/completions", "/responses", "/models", "/images/generations" }

--- Splits an http(s) URL.
-- @tparam string url
-- @treturn ?table { scheme, authority, host, port, path, query }; path has no slash at its end
function address.split(url)
  local scheme, authority, rest = tostring(url):match "^(%a+)://([^/?#%s]+)([^#%s]*)$"
  if not scheme then return nil end
  local path, query = rest:match "^([^?]*)%??(.*)$"
  local host = authority:gsub("^.*@", ""):gsub(":%d*$", "")
  scheme = scheme:lower()
  return { scheme = scheme, authority = authority, host = host:lower(),
    port = tonumber(authority:match ":(%d+)$") or (scheme == "https" and 443 or 80),
    path = (path:gsub("/+$", "")), query = query ~= "" and query or nil }
end

--- Joins what `split` returned.
function address.join(parts)
  return parts.scheme .. "://" .. parts.authority .. parts.path .. (parts.query and "?" .. parts.query or "")
end

--- Returns a URL as it may be shown: without user, password, and values of its query.
function address.shown(url)
  local text = tostring(url):gsub("^(%a[%w+.-]*://)[^/?#]*@", "%1…@"):gsub("^[^/?#:]*:[^/?#]*@", "…@")
  return (text:gsub("([?&][^=&]*)=([^&]*)", function(name, value)
    return name:find "version" and name .. "=" .. value or name .. "=…"
  end))
end

--- Tells whether a host is this computer.
function address.is_local(host)
  return host == "localhost" or host == "[::1]" or host:find "^127%." ~= nil
end

local function add_scheme(url)
  local scheme, rest = url:match "^(https?):?/*([^/:].*)$"
  if scheme and url:find("^" .. scheme .. "[:/]") then return scheme .. "://" .. rest end
  rest = url:gsub("^%a[%w+.-]*://", "")
  return (address.is_local(rest:match "^[^/:]*") and "http://" or "https://") .. rest
end

-- Cuts the path of a call off, and a doubled version: "/v1/v1".
local function cut_path(path)
  for _, call in ipairs(CALLS) do
    local base = path:match("^(.-)" .. call .. "$")
    if base and not path:find "/v%d+%w*$" then
      return base, "ends in the path of a call: it must be the part before /videos"
    end
  end
  local base, version = path:match "^(.*)(/v%d+)$"
  if version and base:sub(-#version) == version then return base, "has " .. version .. " twice" end
  return path
end

--- Looks at a base URL.
-- @tparam string url
-- @treturn ?string what is wrong with it; nil: nothing
-- @treturn ?string the URL as it should be; nil if that cannot be told
-- @treturn ?boolean its password must be sent in another way
function address.check(url)
  if type(url) ~= "string" then return "is not text, but a " .. type(url) end
  local wrong = {}
  local function note(sentence, fixed)
    wrong[#wrong + 1] = sentence
    return fixed
  end
  local bare = url:gsub("^[%s\"'<]+", ""):gsub("[%s\"'>]+$", "")
  local fixed = bare ~= url and note("has blanks or quotes around it", bare) or bare
  if not fixed:lower():find "^https?://[^/]" then
    fixed = note("does not begin with http:// or https://", add_scheme(fixed))
  end
  if fixed:find "#" then
    fixed = note("has a fragment (#…), which is never sent", (fixed:gsub("#.*$", "")))
  end
  local parts = address.split(fixed)
  if not parts then return "is not a URL" end
  local password = parts.authority:find "@" ~= nil
  if password then
    parts.authority = note("holds a user name or a password", (parts.authority:gsub("^.*@", "")))
  end
  local path, problem = cut_path(parts.path)
  if problem then parts.path = note(problem, path) end
  if #wrong == 0 then return nil end
  return table.concat(wrong, ", and "), address.join(parts), password
end

--- Says why nothing can be made at a host that everybody knows.
function address.is_hopeless(host)
  if host == "api.openai.com" then
    return "OpenAI shut its own video service down on 2026-09-24; the format lives on in other servers"
  elseif host:find "%.example$" or host:find "^example%.%a+$" or host:find "%.example%.%a+$" then
    return "it is an example of the documentation, not a server"
  end
end

return address
