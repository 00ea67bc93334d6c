--- Checks what answers at the base URL: whether it takes the key, is a video API, and lists jobs.
--
-- Owns the reading of answers. Invariant: an answer counts as one of the API only if a path that surely does
-- not exist is answered differently.
-- @module sora.cli.doctor.api
-- @local

local address = require "sora.cli.doctor.address"
local endpoints = require "sora.endpoints"
local exit = require "sora.cli.exit"
local options = require "sora.options"
local repair = require "sora.cli.doctor.repair"
local text = require "sora.cli.text"

local api = {}

local JOB = "sora-doctor"              -- an id that no job has
local NOWHERE = "/sora-doctor-nowhere" -- a path that no server has

--- Returns the path that asks for an unknown job, below the base URL.
function api.job(paths)
  local path, query = endpoints.address(paths.get, JOB, "doctor")
  return query and path .. "?" .. query or path
end

-- Answers ----------------------------------------------------------------------------

local LISTS = { "data", "videos", "items", "results" }

local function is_list(answer)
  if not answer.value then return false end
  if answer.value[1] ~= nil or next(answer.value) == nil then return true end
  for _, name in ipairs(LISTS) do
    if type(answer.value[name]) == "table" then return true end
  end
  return false
end

local function is_refused(answer)
  local err = answer.err
  return err ~= nil and (answer.status == 401 or answer.status == 403
    or err.kind == "api" and err.reason == "auth")
end

local function is_json(answer)
  return answer.value ~= nil or answer.err.body ~= nil and answer.err.body:find "^%s*[%[{]" ~= nil
end

-- Describes an answer in a few words.
local function describe(answer)
  if not answer.err then return "HTTP " .. tostring(answer.status) end
  return ("%s%s"):format(answer.status and "HTTP " .. answer.status .. ": " or "",
    text.cut(text.shown(answer.err.message), 100))
end

-- What an answer says, without its own address and without numbers such as a request's id.
local function gist(answer, target)
  local body = (answer.err and (answer.err.body or answer.err.message) or "JSON"):gsub("\\/", "/")
  for path in (target .. "\n" .. target:gsub("^/v%d+", "")):gmatch "[^\n]+" do
    local at = body:find(path, 1, true)
    while at do
      body = body:sub(1, at - 1) .. "PATH" .. body:sub(at + #path)
      at = body:find(path, at + 4, true)
    end
  end
  return tostring(answer.status) .. " " .. body:gsub("sora%-doctor[%w-]*", "ID"):gsub("%x*%d%x*", "N")
end

-- Tells whether an answer comes from an API at that path. `control` is that for a path that does not exist.
local function speaks(answer, target, control, control_target)
  if answer.failed or gist(answer, target) == gist(control, control_target) then return false end
  if answer.err and (answer.err.kind == "decode" or answer.err.kind == "too_large") then return false end
  if is_json(answer) then return true end
  return answer.status == 405 and control.status ~= 405
end

-- The key ----------------------------------------------------------------------------

local WAYS = { "bearer", "x-api-key", "api-key", "raw" }

-- Finds another way to send the key that the server takes.
local function find_way(server)
  for _, way in ipairs(WAYS) do
    if way ~= server.probe.auth then
      local answer = server.probe:get(server.base .. server.job, { auth = way })
      if not answer.failed and not is_refused(answer) and (answer.status or 500) < 500 then return way end
    end
  end
end

local HEADERS = { bearer = "Authorization: Bearer …", raw = "Authorization: …", ["api-key"] = "api-key: …",
  ["x-api-key"] = "x-api-key: …", none = "nothing at all" }

local function explain_no_key(report, server, answer)
  report:bad("access", "no key is sent, and the server wants one: " .. describe(answer), { status = exit.KEY,
    text = server.stray and "The server wants a key; SORA_API_KEY is only used with SORA_BASE_URL."
      or "The server wants a key, and none is configured for it.",
    repair = server.stray and repair.adopt_key(server) or repair.key(server) })
end

local function explain_refusal(report, server, answer)
  if not server.found.key then return explain_no_key(report, server, answer) end
  if server.redirects then
    return report:bad("access", "refused after a redirect: " .. describe(answer), { status = exit.USAGE,
      text = "The server redirects, perhaps to another one, where the key is not sent; set the address that "
        .. "this shows:",
      repair = { "curl -sI " .. text.quote(address.shown(server.found.base_url) .. server.paths.list) } })
  end
  local without = server.probe:get(server.base .. server.job, { auth = "none" })
  if answer.status == 403 and not is_json(answer) and without.status == 403 and not is_json(without) then
    return report:bad("access", "a web page refuses, with and without the key: " .. describe(answer), {
      status = exit.REFUSED, repair = { "curl " .. text.quote(address.shown(server.found.base_url)) },
      text = "Something before the server refuses this computer, such as a firewall. To read its page:" })
  end
  local way = find_way(server)
  if way then
    local now, right = HEADERS[server.probe.auth], HEADERS[way]
    return report:bad("access", ("the key is refused as '%s', and taken as '%s'"):format(now, right), {
      status = exit.KEY, text = ("The server takes the key as '%s' only."):format(right),
      repair = repair.set(server, { auth = way }) })
  end
  report:bad("access", "the key is refused, however it is sent: " .. describe(answer), { status = exit.KEY,
    text = ("The server refuses the key from %s; set the right one."):format(server.found.key_from),
    repair = repair.key(server) })
end

-- Tells whether the server answers nothing at all now. An unknown job alone may well be answered with 500.
local function check_trouble(report, server, list, job)
  local status = job.status or 0
  if status ~= 429 and not (status >= 500 and (list.status or 500) >= 500) then return false end
  if status >= 500 and (server.probe:get(server.base .. NOWHERE).status or 500) < 500 then return false end
  local sentence = status == 429 and "The server%s has had too many requests (HTTP %d); try again later."
    or "The server%s is in trouble (HTTP %d), whatever is asked; try again later."
  report:bad("access", describe(job), { status = exit.of(job.err), repair = { "sora doctor" },
    text = sentence:format(server.proxy and ", or the proxy before it," or "", status) })
  return true
end

-- Checks whether the server takes the key. Returns false if it does not.
local function check_access(report, server, list, job)
  if is_refused(job) or is_refused(list) and not (is_json(job) and job.err and job.err.kind == "api") then
    explain_refusal(report, server, is_refused(job) and job or list)
    return false
  end
  if check_trouble(report, server, list, job) then return false end
  if not server.found.key then
    report:ok("access", "the server wants no key")
  elseif is_refused(server.probe:get(server.base .. server.job, { auth = "none" })) then
    report:ok("access", ("the key is taken, as '%s'"):format(HEADERS[server.probe.auth]))
  else
    report:unsure("access", "the server answers without a key, too, so the key was not tested")
  end
  return true
end

-- The path ---------------------------------------------------------------------------

local ENDS = { "/v1", "/api/v1", "/openai/v1", "" }

-- The paths that the base URL may be meant to have.
local function bases_of(base)
  local bases, seen = { base }, { [base] = true }
  local function add(path)
    if not seen[path] then
      bases[#bases + 1], seen[path] = path, true
    end
  end
  add(base .. "/v1")
  add((base:gsub("/v%d+%w*$", "")))
  add((base:gsub("/v%d+%w*$", "")) .. "/v1")
  for _, path in ipairs(ENDS) do add(path) end
  return bases
end

-- The dialects whose paths differ, the current one first and then the format's own.
local function layouts_of(current)
  local layouts, seen = {}, {}
  local function add(name)
    local paths = endpoints.paths((options.dialects[name] or {}).paths, "doctor")
    if seen[paths.get] then return end
    layouts[#layouts + 1], seen[paths.get] = { dialect = name, paths = paths }, true
  end
  add(current or "openai")
  add "openai"
  for _, name in ipairs(options.names(options.dialects)) do add(name) end
  return layouts
end

-- A list says that the paths below it are there, too.
local function is_below_list(paths)
  return paths.get == paths.list .. "/{id}"
end

-- Tells whether a video API answers below a path.
local function answers_at(server, base, layout)
  local control = server.probe:get(base .. NOWHERE)
  local job, list = base .. api.job(layout.paths), base .. layout.paths.list
  if speaks(server.probe:get(job), job, control, base .. NOWHERE) then return true end
  return is_below_list(layout.paths) and is_list(server.probe:get(list)) and not is_list(control)
end

local function find_path(server)
  local layouts = layouts_of(server.found.client.dialect)
  local bases = bases_of(server.base)
  for i, layout in ipairs(layouts) do
    for j, base in ipairs(bases) do
      if i + j > 2 and answers_at(server, base, layout) then return base, layout end
    end
  end
end

-- The changes that lead to another path. Another dialect must not change how the key is sent.
local function changes_to(server, base, layout)
  local client, changes = server.found.client, {}
  if base ~= server.base then
    changes.base_url = address.join { scheme = server.parts.scheme, authority = server.parts.authority,
      path = base, query = server.parts.query }
  end
  if layout.dialect ~= (client.dialect or "openai") then
    changes.dialect = layout.dialect
    local preset = options.dialects[client.dialect] or {}
    if not client.auth and preset.auth then changes.auth = preset.auth end
  end
  return changes
end

local function explain_path(report, server, job)
  local shown = server.base .. server.job
  local base, layout = find_path(server)
  if base then
    local other = base .. layout.paths.get
    return report:bad("path", ("%s is not there (%s), but %s is"):format(shown, describe(job), other), {
      status = exit.USAGE, text = ("The server has its video API at %s."):format(other),
      repair = repair.set(server, changes_to(server, base, layout)) })
  end
  if server.probe:is_over() then
    report:unsure("path", "the server answers slowly, so not every other path was tried")
  end
  local sentence = "%s answers, but no video API was found there; its documentation has the base URL."
  report:bad("path", ("%s is answered as if there were no video API: %s"):format(shown, describe(job)), {
    status = exit.USAGE, text = sentence:format(server.parts.host),
    repair = repair.set(server, { base_url = repair.EXAMPLE }) })
end

local function check_path(report, server, list, job)
  local control = server.probe:get(server.base .. NOWHERE)
  local function is_there(answer, target) return speaks(answer, target, control, server.base .. NOWHERE) end
  if is_there(job, server.base .. server.job) or is_below_list(server.paths)
    and (is_list(list) and not is_list(control) or is_there(list, server.base .. server.paths.list)) then
    report:ok("path", server.base .. server.paths.get .. " is there")
    return true
  end
  explain_path(report, server, job)
  return false
end

local function check_lists(report, list)
  if is_list(list) then return report:ok("lists", "`sora list --remote` works") end
  report:unsure("lists", ("the server lists no jobs (%s), so `sora list --remote` does not work, and a job "
    .. "whose answer was lost cannot be found again"):format(describe(list)))
end

--- Checks the server's API.
-- @tparam table report
-- @tparam table server
function api.check(report, server)
  local list, job = server.list, server.probe:get(server.base .. server.job)
  if job.failed then
    return report:bad("access", "the second request failed: " .. job.err.message, { status = exit.NETWORK,
      text = "The server answers now and then only; try again.", repair = { "sora doctor" } })
  end
  if not check_access(report, server, list, job) then return end
  if check_path(report, server, list, job) then check_lists(report, list) end
end

return api
