--- Reads error bodies: any shape of JSON as five strings, and the text in HTML and XML.
-- Owns the reading of errors; knows nothing about jobs. Invariant: the functions accept anything, never raise
-- and never change their input; every field that they return is a non-empty string or nil.
-- @module sora.normalize.errors
-- @local

local values = require "sora.normalize.values"
local tree = require "sora.normalize.tree"

local errors = {}

local names, first, pick, text = tree.names, tree.first, tree.pick, values.text

local MAX_DEPTH, MAX_ITEMS = 6, 8

local HOLDERS = names "error err errors detail fault"
local MESSAGE = names [[message msg Message error_message error_msg err_msg errmsg error_description
  faultstring detail errors error title description reason]]
local CODE = names "code error_code err_code errcode Code"
local TYPE = names "type error_type"
local PARAM = names "param parameter field loc"
local REQUEST_ID = names "request_id RequestId req_id trace_id"
local BASE = names "base_resp base_response"
local BASE_CODE, BASE_MESSAGE = names "status_code code", names "status_msg status_message message msg"

-- Words that APIs put into `code` and `message` if nothing is wrong.
local FINE = { ["0"] = true, ["200"] = true, ["201"] = true, ["202"] = true,
  ok = true, success = true, succeeded = true, succeed = true }

--- Tells whether a code (or a message) means success.
-- @param value anything
-- @treturn boolean
function errors.is_fine(value)
  local label = values.label(value)
  return label ~= nil and FINE[values.lower(label)] == true
end

--- Tells whether an `error` means that there is none: code 0, or the text "success".
-- @param value anything
-- @treturn boolean
function errors.is_harmless(value)
  if type(value) ~= "table" then return errors.is_fine(value) end
  return errors.is_fine(value.code) or value.code == nil and errors.is_fine(value.message)
end

--- Reads a code that means an error.
-- @param value anything
-- @treturn string|nil as text: 500 gives "500"
function errors.code(value)
  local label = values.label(value)
  if label and not FINE[values.lower(label)] then return label end
  return nil
end

-- Reasons ------------------------------------------------------------------------------------------

-- Words of codes and types, for each reason. The first reason that has one of them is the error's.
local REASONS = {}

for i, entry in ipairs {
  { "moderation", [[moderation moderated moderation_blocked sentinel content_policy content_filter
    content_filtered content_blocked policy_violation content_violation nsfw safety sensitive unsafe
    prohibited prohibited_content data_inspection]] },
  { "rate_limit", [[rate_limit rate_limited rate_limits ratelimit too_many_requests throttling throttled
    throttle concurrency concurrent_limit request_limit resource_exhausted]] },
  { "auth", [[api_key apikey unauthorized unauthenticated authentication authorization authorized permission
    permissions forbidden access_denied access_token invalid_token token_expired credentials scope]] },
  { "quota", [[insufficient quota billing balance credit credits payment arrearage overdue budget]] },
  { "capacity", "overloaded overload capacity busy unavailable no_available out_of_capacity" },
  { "not_found", "not_found notfound not_exist not_exists does_not_exist no_such" },
  { "invalid", [[invalid missing bad_request unsupported not_supported validation malformed unprocessable
    unprocessable_entity illegal out_of_range value_error parameter required]] },
} do
  local words = {}
  for word in entry[2]:gmatch("%S+") do words[#words + 1] = "_" .. word .. "_" end
  REASONS[i] = { reason = entry[1], words = words }
end

local BY_STATUS = { [400] = "invalid", [401] = "auth", [402] = "quota", [403] = "auth", [404] = "not_found",
  [405] = "invalid", [406] = "invalid", [410] = "not_found", [413] = "invalid", [414] = "invalid",
  [415] = "invalid", [422] = "invalid", [429] = "rate_limit", [503] = "capacity", [529] = "capacity" }

-- The codes in a base_resp, which are numbers of their own.
local BY_BASE_CODE = { ["1002"] = "rate_limit", ["1039"] = "rate_limit", ["1004"] = "auth", ["2049"] = "auth",
  ["1008"] = "quota", ["1026"] = "moderation", ["1027"] = "moderation", ["2013"] = "invalid" }

-- Finds the reason in a code or type: "DataInspectionFailed", "insufficient_user_quota".
local function reason_in(value)
  if type(value) ~= "string" or #value > 200 then return nil end
  local word = "_" .. values.lower((value:gsub("(%l)(%u)", "%1_%2"))):gsub("[^%w]+", "_") .. "_"
  for i = 1, #REASONS do
    local words = REASONS[i].words
    for k = 1, #words do
      if word:find(words[k], 1, true) then return REASONS[i].reason end
    end
  end
  return nil
end

--- Says in one word why a server said no. Goes by code, type and status, never by the message; "invalid" is
-- said of much, so a status that says more comes before it.
-- @tparam table fields of an error: `code`, `type` and `status`, each may be missing
-- @treturn string|nil moderation, quota, rate_limit, capacity, auth, not_found or invalid
function errors.reason(fields)
  local by_code, by_type = reason_in(fields.code), reason_in(fields.type)
  if by_code and by_code ~= "invalid" then return by_code end
  if by_type and by_type ~= "invalid" then return by_type end
  return BY_STATUS[tonumber(fields.code) or 0] or BY_STATUS[fields.status or 0] or by_code or by_type
end

--- Reads `base_resp { status_code, status_msg }`, in which some servers say what went wrong; code 0 is fine.
-- @param value anything
-- @treturn table|nil `{ code=, message=, reason= }`
function errors.base(value)
  local code = type(value) == "table" and pick(value, BASE_CODE, errors.code)
  if not code then return nil end
  return { code = code, message = pick(value, BASE_MESSAGE, text),
    reason = BY_BASE_CODE[code] or errors.reason { code = code } }
end

--- Finds the `base_resp` of a table that says what went wrong.
-- @tparam table layer
-- @treturn table|nil as from `base`
function errors.base_of(layer)
  return pick(layer, BASE, errors.base)
end

-- Fields -------------------------------------------------------------------------------------------

-- Reads the parameter to blame: FastAPI's `loc` is an array of names and positions, others have a string.
local function param(value)
  if type(value) ~= "table" then return text(value) end
  local parts = {}
  for i = 1, MAX_ITEMS do
    local part = values.label(value[i])
    if part then parts[#parts + 1] = part end
  end
  if #parts == 0 then return nil end
  return table.concat(parts, ".")
end

-- Reads an error's type. "error" only tells an error from an answer (Anthropic's shape); "about:blank" is how
-- RFC 9457 says that there is no type.
local function kind(value)
  local s = text(value)
  if s == "error" or s == "about:blank" then return nil end
  return s
end

local say   -- the readers below call each other

local function say_item(item, depth)
  local s = say(item, depth)
  local where = type(item) == "table" and param(item.loc)
  if s and where then return where .. ": " .. s end
  return s
end

-- Joins an array of texts or errors into one line.
local function say_items(list, depth)
  local parts = {}
  for i = 1, MAX_ITEMS do
    local s = list[i] ~= nil and say_item(list[i], depth)
    if s then parts[#parts + 1] = s end
  end
  if #parts == 0 then return nil end
  return table.concat(parts, "; ")
end

-- Joins {prompt: ["is required"], seconds: "is too long"}, sorted, so that the text is the same each time.
local function say_fields(map, depth)
  local parts = {}
  for key, value in pairs(map) do
    local s = type(key) == "string" and say(value, depth)
    if s then parts[#parts + 1] = key .. ": " .. s end
  end
  if #parts == 0 then return nil end
  table.sort(parts)
  return table.concat(parts, "; ", 1, math.min(#parts, MAX_ITEMS))
end

-- Reads the message of one table. An error object comes before a message beside it, and that before an error
-- in one word ({error: "Unauthorized", message: "Invalid token"}).
local function message(layer, depth)
  local object = type(layer.error) == "table" and layer.error or nil
  local function read(value, name)
    if value == object then return nil end
    local s = say(value, depth)
    if not s and type(value) == "table" and (name == "errors" or name == "detail") then
      s = say_fields(value, depth + 1)
    end
    return s
  end
  return object and say(object, depth) or pick(layer, MESSAGE, read)
end

function say(value, depth)
  if type(value) == "string" then return text(value) end
  if type(value) ~= "table" or depth > MAX_DEPTH then return nil end
  return say_items(value, depth + 1) or message(value, depth + 1)
end

--- Reads the text of an error in a string, an object, or an array of either.
-- @param value anything
-- @treturn string|nil
function errors.message(value)
  return say(value, 1)
end

--- Reads a decoded error body.
-- @param body anything
-- @treturn table `{ message=, code=, type=, param=, request_id=, reason= }`, each a string or nil; `reason`
-- only where `errors.reason` could not find it in the others
function errors.failure(body)
  if type(body) ~= "table" then return { message = text(body) } end
  -- The error's own fields come before those beside it.
  local layers = tree.spread(body, HOLDERS)
  table.remove(layers, 1)
  layers[#layers + 1] = body
  if type(body.data) == "table" then layers[#layers + 1] = body.data end
  local base = type(body.error) ~= "table" and first(layers, BASE, errors.base) or {}
  local found = {
    message = base.message or say(body, 1) or say(body.data, 1),
    code = base.code or first(layers, CODE, errors.code),
    reason = base.reason,
    type = first(layers, TYPE, kind),
    param = first(layers, PARAM, param),
    request_id = first(layers, REQUEST_ID, values.label),
  }
  -- {error: "invalid_grant", error_description: "..."} and {error: 500} have the code in `error`.
  local word = values.label(body.error)
  if not found.code and word and word ~= found.message and not word:find("%s") then
    found.code = errors.code(word)
  end
  return found
end

--- Tells whether a table reports an error in any way that a good answer never does.
-- @tparam table body
-- @treturn boolean
function errors.complains(body)
  local problem = body.error
  if errors.is_harmless(problem) then problem = nil end
  if problem == true or body.success == false then return true end
  if body.type == "error" or body.object == "error" or errors.base_of(body) then return true end
  if next(errors.failure { error = problem, errors = body.errors, detail = body.detail }) then return true end
  local status = values.number(body.status or body.status_code or body.statusCode)
  if status and status >= 400 and status <= 599 then return true end
  return body.success ~= true and pick(body, CODE, errors.code) ~= nil
    and not errors.is_fine(body.message or body.msg)
end

-- Bodies that are not JSON --------------------------------------------------------------------------

local MAX_TEXT, MAX_SCAN = 200, 8192

-- Returns how many bytes the UTF-8 character at `i` has; nil if it is invalid or a control character.
local function character(s, i)
  local a, b, c, d = s:byte(i, i + 3)
  local function tail(byte) return byte and byte >= 0x80 and byte <= 0xBF end
  if a < 0x80 then return a >= 0x20 and a ~= 0x7F and 1 or nil end
  if not tail(b) then return nil end
  if a >= 0xC2 and a <= 0xDF then return (a > 0xC2 or b >= 0xA0) and 2 or nil end
  if not tail(c) then return nil end
  if a >= 0xE0 and a <= 0xEF then
    if a == 0xE0 and b < 0xA0 or a == 0xED and b > 0x9F then return nil end
    return 3
  end
  if not tail(d) or a < 0xF0 or a > 0xF4 then return nil end
  if a == 0xF0 and b < 0x90 or a == 0xF4 and b > 0x8F then return nil end
  return 4
end

-- Makes one line of valid UTF-8 without control characters, cut between characters.
local function tidy(s)
  s = values.trim(s:gsub("%s+", " "))
  local parts, size, i = {}, 0, 1
  while i <= #s do
    local length = character(s, i)
    local part = length and s:sub(i, i + length - 1) or "?"
    if size + #part > MAX_TEXT then
      while size > MAX_TEXT - 3 do size = size - #table.remove(parts) end
      parts[#parts + 1] = "\226\128\166"   -- an ellipsis
      break
    end
    parts[#parts + 1], size, i = part, size + #part, i + (length or 1)
  end
  if size == 0 then return nil end
  return table.concat(parts)
end

local ENTITIES = { lt = "<", gt = ">", quot = '"', apos = "'", nbsp = " ", amp = "&", ["#39"] = "'" }

-- Replaces tags by blanks. What follows the last ">" holds none, and to look for one after each "<" would
-- take the square of its length.
local function strip(markup)
  local head, tail = markup:match("^(.*>)(.*)$")
  return head and head:gsub("<[^>]*>", " ") .. tail or markup
end

local function element(markup, lowered, name)
  local start = lowered:find("<" .. name, 1, true)
  local from = start and lowered:find(">", start, true)
  local to = from and lowered:find("</" .. name, from, true)
  if not to then return nil end
  return text((strip(markup:sub(from + 1, to - 1)):gsub("&(#?%w+);", ENTITIES)))
end

local function say_markup(markup)
  local lowered = values.lower(markup)
  local code, s = element(markup, lowered, "code"), element(markup, lowered, "message")
  if code and s then return code .. ": " .. s end
  return element(markup, lowered, "title") or s or code or element(markup, lowered, "h1")
    or text(strip(markup))
end

--- Makes readable text from an error body that is not JSON: an HTML page's title, the message of an XML
-- error, or the first line.
-- @param content anything; only a string has text
-- @treturn string|nil at most 200 bytes on one line, valid UTF-8; nil if there is nothing to read
function errors.text(content)
  if type(content) ~= "string" then return nil end
  local s = text(content:sub(1, MAX_SCAN):gsub("^\239\187\191", ""))
  if not s or s:find("\0", 1, true) then return nil end   -- NUL: a file, not a text
  if s:find("^<") then s = say_markup(s) else s = s:match("^[^\r\n]+") end
  return s and tidy(s)
end

--- Says what an answer is that should be JSON, and is a web page, XML or an event stream.
-- @param content anything; only a string is read
-- @treturn string|nil such as "a web page (Welcome)"
function errors.page(content)
  if type(content) ~= "string" then return nil end
  local s = content:sub(1, MAX_SCAN):gsub("^[%s\239\187\191]+", "")
  local lowered = values.lower(s)
  local what
  if lowered:find("^<!doctype html") or lowered:find("^<html") or lowered:find("^<[!%w][^>]*>.*<html") then
    what = "a web page"
  elseif s:find("^<[?!%a]") then
    what = "XML"
  elseif s:find("^data:") or s:find("^event:") or s:find("^id:") or s:find("^retry:") or s:find("^: ") then
    return "an event stream"
  else
    return nil
  end
  local said = errors.text(s)
  return said and ("%s (%s)"):format(what, said) or what
end

return errors
