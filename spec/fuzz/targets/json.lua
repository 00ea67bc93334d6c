-- JSON: the input is a text. Decoded, it is what lua-cjson makes of it, but for a byte order mark and halves
-- of characters, and normalize keeps its promises.
local cjson = require "cjson.safe"
local core = require "sora.core"
local dialects = require "spec.support.dialects"
local json = require "sora.json"
local normalize = require "sora.normalize"
local promises = require "spec.support.promises"

local strict, lenient = cjson.new(), cjson.new()
strict.decode_invalid_numbers(false)

-- Returns the text without the mark, and with U+FFFD in place of halves. Outside of strings no JSON has
-- escapes.
local function mended(text)
  local parts, at = {}, text:find("^\239\187\191") and 4 or 1
  while true do
    local escape = text:find("\\", at, true)
    if not escape then break end
    local pair = text:match("^\\u[Dd][89ABab]%x%x\\u[Dd][C-Fc-f]%x%x", escape)
    local half = text:match("^\\u[Dd][89A-Fa-f]%x%x", escape)
    parts[#parts + 1] = text:sub(at, escape - 1)
    parts[#parts + 1] = pair or half and "\\ufffd" or text:sub(escape, escape + 1)
    at = escape + (pair and 12 or half and 6 or 2)
  end
  return table.concat(parts) .. text:sub(at)
end

local function is_finite(n)
  return n == n and n ~= math.huge and n ~= -math.huge
end

-- Whether `ours` is the number that cjson read into a double, perhaps more exactly.
local function is_number(ours, theirs)
  if type(ours) == "string" then -- an integer beyond 64 bits
    return ours:find("^%-?%d+$") ~= nil and tonumber(ours) + 0.0 == theirs and math.abs(theirs) >= 2 ^ 63
  end
  return type(ours) == "number" and ours + 0.0 == theirs
end

-- Returns where the two differ, or nil.
local function difference(ours, theirs)
  if type(theirs) == "number" and is_finite(theirs) then
    return not is_number(ours, theirs) and ("%s for %s"):format(tostring(ours), tostring(theirs)) or nil
  elseif theirs == cjson.null or type(theirs) == "number" then
    return ours ~= nil and ("%s for %s"):format(tostring(ours), tostring(theirs)) or nil
  elseif type(theirs) ~= "table" then
    return ours ~= theirs and ("%q for %q"):format(tostring(ours), tostring(theirs)) or nil
  elseif type(ours) ~= "table" then
    return type(ours) .. " for a table"
  end
  for key, value in pairs(theirs) do
    local found = difference(ours[key], value)
    if found then return tostring(key) .. ": " .. found end
  end
  for key in pairs(ours) do
    if theirs[key] == nil then return tostring(key) .. ": is extra" end
  end
  return nil
end

-- The same, but cjson writes 14 digits of a number that is no integer.
local function is_same(a, b)
  if type(a) == "table" and type(b) == "table" then
    for key, value in pairs(a) do
      if not is_same(value, b[key]) then return false end
    end
    for key in pairs(b) do
      if a[key] == nil then return false end
    end
    return true
  end
  if math.type(a) == "float" and type(b) == "number" then return math.abs(a - b) <= math.abs(a) * 1e-13 end
  return a == b
end

local function check_decoded(text, body)
  local theirs = assert(lenient.decode(mended(text)), "a text that cjson refuses is decoded")
  local found = difference(body, theirs)
  if found then error("decode_json and cjson differ: " .. found) end
  local before = dialects.copy(body)
  local broken = promises.broken(body)
  if broken then error("normalize breaks a promise: " .. broken) end
  normalize.follow(body, true)
  local payload = normalize.payload(body)
  if payload then core.unbase64(payload) end
  assert(is_same(before, body), "normalize changed the body")
  local written = json.encode(body)
  if not written then return end -- a list with holes, or too deep
  local again = assert(json.decode(written))
  assert(is_same(body, again), "what is written is not what was read")
end

return function(text)
  local body, problem = core.decode_json(text)
  if body ~= nil then return check_decoded(text, body) end
  assert(type(problem) == "string" and problem ~= "")
  if type((strict.decode(text))) == "table" then error("a text that cjson takes is refused: " .. problem) end
  normalize.text(text)
end
