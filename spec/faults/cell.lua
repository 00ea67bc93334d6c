--- One cell of the table: a call that meets a fault.
-- Owns what must hold in every cell, whatever the fault: the call ends with one of the kinds that
-- are expected, `retryable` and `ambiguous` follow from the kind, no POST arrives twice, a failed download
-- leaves nothing behind, and a plain call over the same client succeeds afterwards.
local cell = {}

-- Whether another attempt may succeed. An error that is not listed may be either.
local RETRYABLE = { connect = true, timeout = true, transport = true, decode = true, too_large = false }

-- In these nothing of the request has left.
local UNSENT = { connect = true, tls = true }

-- Describes a result in one line.
local function describe(good, err)
  if not err then return good and "good" or "a wrong result" end
  return ("%s, retryable = %s, ambiguous = %s, attempts = %s: %s"):format(err.kind, tostring(err.retryable),
    tostring(err.ambiguous), tostring(err.attempts), tostring(err))
end

-- Returns what is wrong with an error, or nil.
local function flaw_of(call, err, rules)
  local retryable = RETRYABLE[err.kind]
  if rules.retryable ~= nil then retryable = rules.retryable end
  local ambiguous
  if call.creates and not (UNSENT[err.kind] or rules.unambiguous) then ambiguous, retryable = true, false end
  if err.ambiguous ~= ambiguous then return "ambiguous is wrong" end
  if retryable ~= nil and retryable ~= "any" and err.retryable ~= retryable then
    return "retryable is wrong"
  end
  if call.creates and err.attempts ~= 1 then return "attempts is wrong" end
end

local function leftovers(path)
  for _, name in ipairs { path, path .. ".part", path .. ".part.json" } do
    local file = io.open(name, "rb")
    if file then
      file:close()
      return name .. " was left behind"
    end
  end
end

-- Whether the kinds that are expected include one.
local function expects(rules, kind)
  return (" " .. rules.expect .. " "):find(" " .. kind .. " ", 1, true)
end

-- Returns what is wrong with the outcome of a call, or nil.
local function flaw(call, good, err, counts, rules)
  local kind = err and err.kind or good and "good" or "a wrong result"
  if not expects(rules, kind) then return "expected " .. rules.expect end
  if call.creates and (counts.posts > 1 or counts.connections > 1) then
    return ("%d POSTs over %d connections"):format(counts.posts, counts.connections)
  end
  return err and flaw_of(call, err, rules)
end

-- Returns what is wrong with a plain call, or nil.
local function flaw_afterwards(client)
  local video, err = client:get_video("v", { timeout = 60, max_retries = 0 })
  return not (video and video.id == "v") and "a call afterwards fails: " .. tostring(err) or nil
end

-- Returns the options of the call. A create is allowed repeats wherever it must not use them.
local function options_of(call, rules)
  local may_repeat = expects(rules, "connect") or expects(rules, "tls") or rules.unambiguous
  return call.creates and not may_repeat and { max_retries = 2 } or nil
end

--- Makes a call that meets a fault, and raises if anything is wrong.
-- @param client
-- @param server from wire.lua
-- @tparam table call from calls.lua
-- @tparam ?table fault for `server:arm`
-- @tparam table rules `expect`, the kinds that are right, "good" among them, separated by blanks; `retryable`
-- (or "any") and `unambiguous`, where they do not follow from the kind; `keep`, see `server:arm`; `where`,
-- for the message; `path`, where downloads go; `lasting`: the fault is there for the next call, too
-- @treturn ?table the error of the call
-- @treturn table counts of the server
function cell.check(client, server, call, fault, rules)
  server:arm(fault, rules.keep)
  local result, err = call.run(client, options_of(call, rules), rules.path)
  local counts = server:disarm()
  local good = result and call.good(result)
  local wrong = flaw(call, good, err, counts, rules)
    or call.is_film and leftovers(rules.path)
    or not rules.lasting and flaw_afterwards(client)
  if wrong then
    error(("%s: %s; got %s"):format(rules.where or call.name, wrong, describe(good, err)), 2)
  end
  return err, counts
end

return cell
