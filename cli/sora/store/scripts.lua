--- The scripts that Redis runs for `sora.store.redis`, one for each of its calls.
--
-- Owns the keys. All begin with "{NAME}:", so that a cluster keeps them together:
--
--     waiting  list of ids          leases  sorted set: id, when its lease expires (ms)
--     saved, failed, unsure         sorted sets: id, since when
--     task:ID  hash of a task       jobs    hash: id of a job → id of its task
--     outputs  hash: output → id    open    hash: twin → how many tasks have asked and have no answer
--     meta     hash                 hints   list of ids of jobs, to which anybody may push; hints:WORKER
--     lines    list: the journal
--
-- Invariant: a task is in one of the first five, by its `state`. What may fail because Redis is full comes
-- first in a script, so that none is left half way.
-- @module sora.store.scripts
-- @local

local scripts = {}

scripts.states = { "waiting", "running", "saved", "failed", "unsure" }

-- Fields of a task, in the order in which scripts give them.
scripts.fields = { "id", "state", "lease", "owner", "attempt", "asked", "job", "others", "body", "output",
  "path", "bytes", "error", "age", "left" }
scripts.numbers = { "lease", "attempt", "bytes", "age", "left" }

-- Scripts that write little, and what must not be lost: they run where Redis is full.
scripts.small = { note = true, renew = true, append = true }

local PRELUDE = [[
local P = KEYS[1]
local function call(...) return redis.call(...) end
local function hash(id) return P .. 'task:' .. id end
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function row(id)
  local h = call('HMGET', hash(id), 'state', 'lease', 'owner', 'attempt', 'asked', 'job', 'others', 'body',
    'output', 'path', 'bytes', 'error', 'asked_at')
  local asked_at = table.remove(h)
  local left = call('ZSCORE', P .. 'leases', id)
  table.insert(h, 1, id)
  table.insert(h, asked_at and tostring((now - asked_at) / 1000) or '')
  table.insert(h, left and tostring((left - now) / 1000) or '')
  return h
end
]]

-- ARGV: id, body, output, twin, position; and so on.
scripts.put = PRELUDE .. [[
for i = 1, #ARGV, 5 do
  local owner = ARGV[i + 2] ~= '' and call('HGET', P .. 'outputs', ARGV[i + 2])
  if owner and owner ~= ARGV[i] then return { 'output', ARGV[i + 2], owner, ARGV[i + 4] } end
end
local added = 0
for i = 1, #ARGV, 5 do
  local id = ARGV[i]
  if call('EXISTS', hash(id)) == 0 then
    call('HSET', hash(id), 'body', ARGV[i + 1], 'output', ARGV[i + 2], 'twin', ARGV[i + 3],
      'state', 'waiting', 'attempt', '1', 'lease', '0', 'put', now)
    if ARGV[i + 2] ~= '' then call('HSET', P .. 'outputs', ARGV[i + 2], id) end
    call('RPUSH', P .. 'waiting', id)
    added = added + 1
  end
end
return added
]]

-- ARGV: worker, ms, count, server. An entry of the list without a hash was pushed by hand: it is kept as a
-- failed task.
scripts.take = PRELUDE .. [[
local worker, ms, count, server = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local bound = call('HGET', P .. 'meta', 'server')
if bound and bound ~= server then return { 'server', bound } end
local ids = call('ZRANGEBYSCORE', P .. 'leases', '-inf', now, 'LIMIT', 0, count)
local lapsed = #ids
local more = count > lapsed and call('LRANGE', P .. 'waiting', 0, count - lapsed - 1) or {}
if lapsed + #more == 0 then return {} end
call('HSET', P .. 'meta', 'server', server)
for _ = 1, #more do call('LPOP', P .. 'waiting') end
for _, id in ipairs(more) do ids[#ids + 1] = id end
local taken = {}
for _, id in ipairs(ids) do
  if call('EXISTS', hash(id)) == 0 then
    call('HSET', hash(id), 'body', id, 'state', 'failed', 'attempt', '1', 'lease', '0', 'error',
      'not a task: somebody else has pushed this to the list')
    call('ZADD', P .. 'failed', now, id)
  else
    call('HINCRBY', hash(id), 'lease', 1)
    call('HSET', hash(id), 'state', 'running', 'owner', worker)
    call('ZADD', P .. 'leases', now + ms, id)
    taken[#taken + 1] = row(id)
  end
end
return taken
]]

-- ARGV: worker, ms; id, lease; and so on. Hints for others are left to them.
scripts.renew = PRELUDE .. [[
local worker, ms, lost, jobs = ARGV[1], tonumber(ARGV[2]), {}, {}
for i = 3, #ARGV, 2 do
  local h = call('HMGET', hash(ARGV[i]), 'state', 'lease', 'owner')
  if h[1] == 'running' and h[2] == ARGV[i + 1] and h[3] == worker then
    call('ZADD', P .. 'leases', now + ms, ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
for _ = 1, 100 do
  local job = call('LPOP', P .. 'hints')
  if not job then break end
  local id = call('HGET', P .. 'jobs', job)
  local h = id and call('HMGET', hash(id), 'state', 'owner')
  local owner = h and h[1] == 'running' and h[2]
  if owner == worker then
    jobs[#jobs + 1] = job
  elseif owner then
    call('RPUSH', P .. 'hints:' .. owner, job)
    call('EXPIRE', P .. 'hints:' .. owner, 60)
  end
end
local own = call('LRANGE', P .. 'hints:' .. worker, 0, 99)
for _, job in ipairs(own) do jobs[#jobs + 1] = job end
if #own > 0 then call('LTRIM', P .. 'hints:' .. worker, #own, -1) end
return { lost, jobs }
]]

-- ARGV: id, lease, event; name, value; and so on.
scripts.note = PRELUDE .. [[
local id, lease, event, f = ARGV[1], ARGV[2], ARGV[3], {}
for i = 4, #ARGV, 2 do f[ARGV[i] ] = ARGV[i + 1] end
if event == 'hint' then
  call('RPUSH', P .. 'hints', id)
  call('LTRIM', P .. 'hints', -10000, -1)
  return { 'ok' }
end
local names = { 'state', 'lease', 'job', 'twin', 'asked', 'asked_lease', 'others', 'over', 'owner', 'ended' }
local t = {}
for i, value in ipairs(call('HMGET', hash(id), unpack(names))) do
  t[names[i] ] = value and value ~= '' and value or nil
end
local there = t.state ~= nil
if not there then
  if event ~= 'made' then return { 'unknown' } end
  t.state = 'unsure'
  call('HSET', hash(id), 'state', 'unsure', 'attempt', '1', 'lease', '0', 'error',
    'the task was dropped before its job was made')
  call('ZADD', P .. 'unsure', now, id)
end
local state, job, twin, asked = t.state, t.job, t.twin, t.asked
local current = state == 'running' and t.lease == lease
local function set(...) call('HSET', hash(id), ...) end
local function unset(...) call('HDEL', hash(id), ...) end

local function leave()
  if state == 'waiting' then call('LREM', P .. 'waiting', 1, id)
  elseif state == 'running' then call('ZREM', P .. 'leases', id)
  else call('ZREM', P .. state, id) end
end
-- Puts the task to where its new state has it; `front`: before the others that wait.
local function enter(new, front)
  if new == 'waiting' then call(front and 'LPUSH' or 'RPUSH', P .. 'waiting', id)
  else call('ZADD', P .. new, now, id) end
  leave()
  set('state', new, 'ended', lease .. ' ' .. event)
  unset('owner')
  state = new
end
local function settle() -- there is an answer to what was asked
  if asked and twin and not job and call('HINCRBY', P .. 'open', twin, -1) <= 0 then
    call('HDEL', P .. 'open', twin)
  end
end
local function forget() -- what was asked, so that it may be asked for anew
  settle()
  unset('asked', 'asked_at', 'asked_lease')
  call('HINCRBY', hash(id), 'attempt', 1)
  asked = nil
end
local others = t.others or ''
local function is_other(which) return ('\n' .. others .. '\n'):find('\n' .. which .. '\n', 1, true) end
local function add_other(which)
  if is_other(which) then return end
  others = others == '' and which or others .. '\n' .. which
  set('others', others)
end
local function erase(which) -- a task that is in no place any more
  local h = call('HMGET', hash(which), 'output', 'job', 'others')
  if h[1] and call('HGET', P .. 'outputs', h[1]) == which then call('HDEL', P .. 'outputs', h[1]) end
  for made in ((h[2] or '') .. '\n' .. (h[3] or '')):gmatch('[^\n]+') do
    if call('HGET', P .. 'jobs', made) == which then call('HDEL', P .. 'jobs', made) end
  end
  call('DEL', hash(which))
end
local function take_job(which)
  settle()
  set('job', which)
  call('HSET', P .. 'jobs', which, id)
  job = which
end

local events = {}
function events.asked()
  if not current then return { 'stale' } end
  if job then return { 'made' } end
  if asked and asked ~= f.key then return { 'stale' } end
  if not asked and twin then call('HINCRBY', P .. 'open', twin, 1) end
  -- What two have asked nobody can take back: the POST of the other may have made a job.
  set('asked', f.key, 'asked_at', now, 'asked_lease', asked and t.asked_lease ~= lease and 'two' or lease)
  return { 'ok' }
end
function events.refused()
  if job or not asked or t.asked_lease ~= lease then return { 'stale' } end
  forget()
  if state ~= 'running' and state ~= 'unsure' then return { 'ok' } end
  if f.error then set('error', f.error) else unset('error') end
  enter(f.again and 'waiting' or 'failed', false)
  return { 'ok' }
end
function events.made()
  local owner = call('HGET', P .. 'jobs', f.job)
  if owner and owner ~= id then
    add_other(f.job)
    set('error', 'its job is also that of task ' .. owner)
    if state ~= 'unsure' then enter('unsure') end
    return { 'unsure' }
  elseif job == f.job or is_other(f.job) then
    return { current and 'ok' or 'stale' }
  elseif job then
    add_other(f.job)
    call('HSET', P .. 'jobs', f.job, id)
    set('error', 'two jobs were made for it')
    if state ~= 'unsure' then enter('unsure') end
    return { 'unsure' }
  end
  take_job(f.job)
  if state == 'unsure' and there then
    unset('error')
    enter('waiting', true)
  end
  return { current and 'ok' or 'stale' }
end
function events.found()
  if not current or not asked then return { 'stale' } end
  if job then return { 'made', job } end
  local one
  for _, candidate in ipairs(cjson.decode(f.jobs)) do
    if not call('HGET', P .. 'jobs', candidate) then
      if one then return { 'several' } end
      one = candidate
    end
  end
  if not one then return { 'none' } end
  if twin and tonumber(call('HGET', P .. 'open', twin) or 0) > 1 then return { 'several' } end
  take_job(one)
  return { 'ok', one }
end
function events.saved()
  if job ~= f.job and not (current and not job) then return { 'stale' } end
  if state == 'saved' then return { current and 'ok' or 'stale' } end
  if others ~= '' and state == 'unsure' then return { 'unsure' } end
  settle()
  set('path', f.path or '', 'bytes', f.bytes or '')
  unset('error')
  enter('saved')
  if f.keep then
    local till = '(' .. now - f.keep * 1000
    for _, which in ipairs(call('ZRANGEBYSCORE', P .. 'saved', '-inf', till, 'LIMIT', 0, 10)) do
      call('ZREM', P .. 'saved', which)
      erase(which)
    end
  end
  return { 'ok' }
end
function events.failed()
  if not current then return { 'stale' } end
  set('error', f.error or '', 'over', f.over or '')
  enter('failed')
  return { 'ok' }
end
function events.unsure()
  if not current or job or not asked then return { 'stale' } end
  set('error', f.error or '')
  enter('unsure')
  return { 'ok' }
end
function events.released()
  if not current then return { 'stale' } end
  enter('waiting', f.last ~= '1')
  return { 'ok' }
end
function events.retry()
  if lease ~= '' then return { 'stale' } end
  if state == 'waiting' or state == 'running' then return { state } end
  if f.job then
    if not (job == f.job or is_other(f.job) or not call('HGET', P .. 'jobs', f.job)) then
      return { 'taken', call('HGET', P .. 'jobs', f.job) }
    end
    if job and job ~= f.job then add_other(job) end
    take_job(f.job)
  elseif f.anew or t.over or not job then
    forget()
    if job then add_other(job) end
    unset('job')
  elseif state == 'unsure' and others ~= '' then
    return { 'several' }
  end
  unset('error', 'over')
  enter('waiting')
  return { 'ok' }
end
function events.drop()
  if lease ~= '' then return { 'stale' } end
  if state == 'running' then return { 'running', t.owner } end
  settle()
  leave()
  erase(id)
  return { 'ok' }
end
if not events[event] then return redis.error_reply('ERR no such event') end
local ends = { refused = true, saved = true, failed = true, unsure = true, released = true }
if ends[event] and t.ended == lease .. ' ' .. event then return { 'ok' } end -- its answer was lost
return events[event]()
]]

-- ARGV: state, first and last position; without a state, counts.
scripts.list = PRELUDE .. [[
local state, first, last = ARGV[1], ARGV[2], ARGV[3]
if state == '' then
  return { call('LLEN', P .. 'waiting'), call('ZCARD', P .. 'leases'), call('ZCARD', P .. 'saved'),
    call('ZCARD', P .. 'failed'), call('ZCARD', P .. 'unsure') }
end
local ids
if state == 'waiting' then ids = call('LRANGE', P .. 'waiting', first, last)
else ids = call('ZRANGE', P .. (state == 'running' and 'leases' or state), first, last) end
local rows = {}
for i, id in ipairs(ids) do rows[i] = row(id) end
return rows
]]

-- ARGV: line, and a word that no other line has: a line that is sent twice is written once.
scripts.append = PRELUDE .. [[
if call('SET', P .. 'line:' .. ARGV[2], '1', 'NX', 'EX', 600) then call('RPUSH', P .. 'lines', ARGV[1]) end
return 1
]]

-- ARGV: first and last position.
scripts.lines = PRELUDE .. [[
return call('LRANGE', P .. 'lines', ARGV[1], ARGV[2])
]]

return scripts
