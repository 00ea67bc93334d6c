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

-- Words that APIs put into `code` and `message` if nothing is wrong.
local FINE = { ["0"] = true, ["200"] = true, ["201"] = true, ["202"] = true,
  ok = true, success = true, succeeded = true, succeed = true }

--- Tells whether a code (or a message) means success.
-- @param value anything
-- @treturn boolean
function errors.is_fine(value)
  local label = values.label(value)
  return label ~= nil and FINE[label:lower()] == true
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
  if label and not FINE[label:lower()] then return label end
  return nil
end

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
-- @treturn table `{ message=, code=, type=, param=, request_id= }`, each a string or nil
function errors.failure(body)
  if type(body) ~= "table" then return { message = text(body) } end
  -- The error's own fields come before those beside it.
  local layers = tree.spread(body, HOLDERS)
  table.remove(layers, 1)
  layers[#layers + 1] = body
  if type(body.data) == "table" then layers[#layers + 1] = body.data end
  local found = {
    message = say(body, 1) or say(body.data, 1),
    code = first(layers, CODE, errors.code),
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
  if body.type == "error" or body.object == "error" then return true end
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
  local lowered = markup:lower()
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

return errors
