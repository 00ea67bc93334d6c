--- Readers of single values: one decoded JSON value in, one plain value or nil out.
-- Owns what a status word, a number, a time, a URL or an id looks like; does not know where in a body they
-- are. Invariant: the functions accept a value of any type and never raise; nil means "this is not one".
-- @module sora.normalize.values
-- @local

local values = {}

local floor, huge = math.floor, math.huge
local math_type = math.type or function() return nil end

-- Not string.lower, which follows the locale: in Turkish, "FAILED" keeps its "I".
local LOWER = {}
for byte = ("A"):byte(), ("Z"):byte() do LOWER[string.char(byte)] = string.char(byte + 32) end

--- Returns a text with its ASCII letters in lower case, in any locale.
function values.lower(s)
  if not s:find("%u") then return s end
  return (s:gsub("[A-Z]", LOWER))
end

--- Reads a decimal number with a '.'; the tonumber of Lua 5.1 wants the locale's decimal point.
function values.to_number(s)
  return tonumber(s) or tonumber((s:gsub("%.", (("%.1f"):format(0.5):gsub("%d", "")))))
end

--- Removes the blanks around a string. Never scans the middle: a payload may be many megabytes.
-- @tparam string s
-- @treturn string
function values.trim(s)
  local from = s:find("%S")
  if not from then return "" end
  local to = #s
  while s:find("^%s", to) do to = to - 1 end
  if from == 1 and to == #s then return s end
  return s:sub(from, to)
end

--- Reads text: a string that is not blank.
-- @param value anything
-- @treturn string|nil trimmed
function values.text(value)
  if type(value) ~= "string" then return nil end
  local s = values.trim(value)
  if s == "" then return nil end
  return s
end

-- 45.0 becomes 45 (on 5.3+ floor gives an integer), 45.5 stays.
local function whole(n)
  local f = floor(n)
  if f == n then return f end
  return n
end

local function finite(n)
  return n == n and n ~= huge and n ~= -huge
end

local LONGEST = 64 -- bytes of a number or a word; the patterns below take the square of a text's length

--- Reads a finite number, given as a number or as decimal text.
-- @param value anything
-- @treturn number|nil an integer if it is whole
function values.number(value)
  if type(value) == "string" then
    local s = values.trim(value)
    if #s > LONGEST then return nil end
    if not (s:find("^[+-]?%d+%.?%d*$") or s:find("^[+-]?%.%d+$")) then return nil end
    value = values.to_number(s)
  end
  if type(value) ~= "number" or not finite(value) then return nil end
  return whole(value)
end

-- Integers of 5.3+ must not pass through a float, or an id of 19 digits would change.
local function decimal(n)
  if math_type(n) == "integer" then return tostring(n) end
  if not finite(n) then return nil end
  if n == 0 then return "0" end
  if floor(n) == n and n > -1e21 and n < 1e21 then return ("%.0f"):format(n) end
  return (("%.14g"):format(n):gsub("[^%da-z+-]+", ".")) -- the locale's decimal point
end

--- Reads a name or code: text, or a number as its decimal text.
-- @param value anything
-- @treturn string|nil
function values.label(value)
  if type(value) == "number" then return decimal(value) end
  return values.text(value)
end

--- Reads an id given as text, unchanged, because it is passed back to the server, in a path: "." and ".." are
-- no ids.
-- @param value anything
-- @treturn string|nil
function values.id(value)
  if type(value) == "string" and value:find("%S") and value ~= "." and value ~= ".." then return value end
  return nil
end

--- Reads an id given as a number, which must be whole.
-- @param value anything
-- @treturn string|nil
function values.row_id(value)
  if type(value) ~= "number" or floor(value) ~= value then return nil end
  return decimal(value)
end

-- States -------------------------------------------------------------------------------------------

local STATES = {}

for state, words in pairs {
  queued = "queued queueing queuing queue inqueue enqueued pending submitted submitting notstart notstarted "
    .. "unknown init initializing initialising initialized initialised preparing throttled created "
    .. "accepted scheduled waiting received new",
  in_progress = "in_progress inprogress processing running generating started starting active working "
    .. "executing rendering uploading finalizing",
  completed = "completed complete succeeded succeed success successful done finished finish ready",
  failed = "failed fail failure error errored rejected blocked moderated invalid timeout timedout",
  cancelled = "cancelled canceled cancel aborted stopped terminated revoked",
  expired = "expired expire",
  deleted = "deleted removed",
} do
  for word in words:gmatch("%S+") do STATES[word] = state end
end

-- Prefixes without meaning: TASK_STATUS_SUCCEED, JOB_STATE_FAILED, "video.completed".
local PREFIXES = { "^task", "^job", "^video", "^generation", "^status", "^state" }

local function squeeze(value)
  return (values.lower(value):gsub("[%s%-_%.]+", ""))
end

--- Returns the state that a known word stands for.
-- @param value anything
-- @treturn string|nil one of the seven states; nil for an unknown word
function values.known_state(value)
  if type(value) ~= "string" then return nil end
  local word = squeeze(value)
  if #word > LONGEST then return nil end
  local state = STATES[word]
  while not state do
    local rest
    for i = 1, #PREFIXES do
      local _, last = word:find(PREFIXES[i])
      if last then rest = word:sub(last + 1) break end
    end
    if not rest then return nil end
    word, state = rest, STATES[rest]
  end
  return state
end

-- Tokens that end a job, in words that no list above has: "content_filtered", "NSFW_DETECTED".
local FINAL = {}

for state, tokens in pairs {
  failed = "nsfw moderated filtered blocked rejected violation violated unsafe prohibited denied refused "
    .. "interrupted crashed failed failure error errored",
  cancelled = "aborted cancelled canceled terminated",
  expired = "expired",
} do
  for token in tokens:gmatch("%S+") do FINAL[token] = state end
end

-- Tokens beside which a final one says nothing: the job goes on, or the word is denied.
local ONGOING = {}
for token in ("pending requeued rescheduled resubmitted restarted resumed recovered no non not never without "
    .. "partially"):gmatch("%S+") do
  ONGOING[token] = true
end

local function is_ongoing(token)
  return ONGOING[token] or token:find("ing$") or token:find("^await") or token:find("^retr[yi]")
end

-- Splits a word into lower-case tokens: "ContentFiltered", "content-filtered".
local function tokens_of(word)
  return values.lower((word:gsub("(%l)(%u)", "%1 %2"))):gsub("not[%s_%-]*found", "notfound"):gmatch("%w+")
end

-- Returns the final state that an unknown word stands for by one of its tokens.
local function final_state(word)
  local state
  for token in tokens_of(word) do
    if is_ongoing(token) then return nil end
    state = state or FINAL[token] or token == "notfound" and "failed" or nil
  end
  return state
end

--- Reads the state in a status field. An unknown word means "keep polling", unless one of its tokens is final
-- ("content_filtered"). Ignores numbers, and "ok", which is about the call and not about the job.
-- @param value anything
-- @treturn string|nil
function values.state(value)
  if type(value) ~= "string" then return nil end
  if STATES[value] then return STATES[value] end   -- the usual spelling, without the work below
  local word = squeeze(value)
  if word == "" or word == "ok" or word:find("^%d+$") then return nil end
  return values.known_state(value) or final_state(value) or "in_progress"
end

--- Returns the word in a status field if no list has it.
-- @param value anything
-- @treturn string|boolean|nil false: a list has it; nil: it is no status word
function values.unlisted(value)
  if not values.state(value) then return nil end
  return not values.known_state(value) and value
end

--- Tells whether a status is "success", which envelopes say of the call and jobs of themselves.
-- @param value anything
-- @treturn boolean
function values.says_success(value)
  return type(value) == "string" and squeeze(value) == "success"
end

-- Progress and time --------------------------------------------------------------------------------

--- Reads progress as 0-100. Needs the field's name, because only that tells a fraction from a percentage.
-- @param value anything
-- @tparam string name
-- @treturn number|nil
function values.percent(value, name)
  local marked = false
  if type(value) == "string" then
    local s = values.trim(value)
    local digits, mark = (#s <= LONGEST and s or ""):match("^(%d*%.?%d*)%s*(%%?)$")
    value, marked = values.to_number(digits or ""), mark == "%"
  end
  if type(value) ~= "number" or not finite(value) or value < 0 then return nil end
  if not marked then
    local lowered = values.lower(name)
    local by_name = lowered:find("pct$") or lowered:find("ratio$") or lowered:find("fraction$")
    if by_name and value <= 1 or name == "progress" and value > 0 and value < 1 then
      value = floor(value * 1e4 + 0.5) / 100   -- 0.57 * 100 is 56.99999999999999
    end
  end
  if value > 100 then return nil end
  return whole(value)
end

local MONTH_DAYS = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

-- Returns the days since 1970-01-01 in the Gregorian calendar. Counts in years that begin in March, so that
-- the leap day comes last.
local function days(year, month, day)
  if month <= 2 then year = year - 1 end
  local century = floor(year / 100)
  local since_march = (month + 9) % 12
  return year * 365 + floor(year / 4) - century + floor(century / 4)
    + floor((153 * since_march + 2) / 5) + day - 719469
end

-- Reads a zone as seconds east of UTC; a time without one is in UTC.
local function zone(s)
  s = values.trim(s):upper()
  if s == "" or s == "Z" or s == "UTC" or s == "GMT" then return 0 end
  local sign, hours, minutes = s:match("^([+-])(%d%d):?(%d%d)$")
  if not sign then sign, hours = s:match("^([+-])(%d%d)$") end
  if not sign then return nil end
  local offset = tonumber(hours) * 3600 + tonumber(minutes or 0) * 60
  return sign == "-" and -offset or offset
end

local function iso(s)
  local year, month, day, rest = s:match("^(%d%d%d%d)[-/]?(%d%d)[-/]?(%d%d)(.*)$")
  if not year then return nil end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if month < 1 or month > 12 or day < 1 or day > MONTH_DAYS[month] then return nil end
  local hour, minute, second = 0, 0, 0
  if rest ~= "" then
    hour, minute, rest = rest:match("^[Tt%s]%s*(%d%d):?(%d%d)(.*)$")
    if not hour then return nil end
    hour, minute = tonumber(hour), tonumber(minute)
    local digits, tail = rest:match("^:?(%d%d)(.*)$")
    if digits then second, rest = tonumber(digits), tail:gsub("^[.,]%d+", "") end
  end
  local offset = zone(rest)
  if not offset or hour > 23 or minute > 59 or second > 60 then return nil end
  return days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
end

--- Reads a time as whole seconds since 1970, from seconds, milli-, micro- or nanoseconds, or ISO-8601.
-- @param value anything
-- @treturn integer|nil nil for 0, for times before 1970 and for junk
function values.time(value)
  local t = values.number(value)
  if not t and type(value) == "string" then t = iso(values.trim(value)) end
  if not t or t >= 1e20 then return nil end
  while t >= 1e11 do t = t / 1000 end   -- 1e11 s is the year 5138; as ms it is 1973
  t = floor(t)
  if t <= 0 then return nil end
  return t
end

-- Media --------------------------------------------------------------------------------------------

local IMAGES = { png = true, jpg = true, jpeg = true, webp = true, avif = true, svg = true }
local FILMS = { mp4 = true, mov = true, webm = true, mkv = true, m4v = true }

local function is_image(url)
  local extension = url:match("^[^?#]*"):match("%.(%w+)$")
  return extension ~= nil and IMAGES[values.lower(extension)] == true
end

--- Reads a URL that may be the video: http, https or data, and no picture.
-- @param value anything
-- @tparam[opt] boolean relative whether to accept "/path" too
-- @treturn string|nil
function values.url(value, relative)
  if type(value) ~= "string" then return nil end
  local s = values.trim(value)
  if s:find("^[Dd][Aa][Tt][Aa]:[^,%s]*,.") then
    if s:find("^%a+:[Ii][Mm][Aa][Gg][Ee]/") then return nil end
    return s
  end
  local fits = s:find("^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]") or relative and s:find("^/.")
  if not fits or s:find("[%s%c]") or is_image(s) then return nil end
  return s
end

--- Reads an http(s) URL of anything, pictures too.
-- @param value anything
-- @treturn string|nil
function values.link(value)
  if type(value) ~= "string" then return nil end
  local s = values.trim(value)
  if not s:find("^[Hh][Tt][Tt][Pp][Ss]?://[^/?#]") or s:find("[%s%c]") then return nil end
  return s
end

--- Tells whether a URL's path ends like that of a video file.
-- @tparam string url
-- @treturn boolean
function values.names_film(url)
  local extension = url:match("^[^?#]*"):match("%.(%w+)$")
  return extension ~= nil and FILMS[values.lower(extension)] == true
end

--- Reads base64 of a media file, by its first bytes (MP4's ftyp box, or Matroska's magic number), from a
-- field that may also hold a URL or an id.
-- @param value anything
-- @treturn string|nil
function values.media(value)
  if type(value) ~= "string" then return nil end
  if value:find("^%s*AAAA..Z0eX[A-D]") or value:find("^%s*GkXfo") then return value end
  return nil
end

return values
