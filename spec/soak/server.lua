--- The server of the soak test, inside nginx: jobs that live as plan.lua says, and faults by chance.
-- Owns when each job was first asked for, and which were cancelled, in arrays whose size does not change.
-- Invariant: what a job's final status is, it stays; `truth` tells it without faults.

-- luacheck: std +ngx_lua

local ffi = require "ffi"
local plan = require "spec.soak.plan"

local JOB = '{"id":"%s","object":"video","status":"%s","progress":%d,"model":"sora-2","seconds":"8"}'

local server, requests = {}, 0
local born = ffi.new("double[?]", plan.MOST)
local cancelled = ffi.new("bool[?]", plan.MOST)

-- Returns the status and the progress of a job.
local function look(number)
  local now = ngx.now()
  if born[number] == 0 then born[number] = now end
  if cancelled[number] then return "cancelled", 0 end
  local part = (now - born[number]) / math.max(plan.life(number), 0.001)
  if part >= 1 then return plan.outcome(number), 100 end
  return part < 0.3 and "queued" or "in_progress", math.floor(part * 100)
end

local function answer(status, body)
  ngx.status = status
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

local function reset() return ngx.exit(444) end

-- Faults and how often of a thousand answers; resets are 50 in all.
local FAULTS = {
  { 40, function() return reset() end },
  { 10, function(body) -- in the middle of the answer
    ngx.header["Content-Length"] = #body
    ngx.print(body:sub(1, 30))
    ngx.flush(true)
    return reset()
  end },
  { 1, function()
    ngx.header["retry-after-ms"] = 20
    answer(429, "")
  end },
  { 10, function() answer(429, '{"error":{"message":"slow down"}}') end },
  { 10, function() answer(500, "<html><title>oops</title></html>") end },
  { 10, function() answer(503, "") end },
  { 2, function() answer(202, "") end },
  { 10, function(body)
    ngx.sleep(math.random() * 2)
    answer(200, body)
  end },
  { 0.2, function(body) -- too late
    ngx.sleep(6)
    answer(200, body)
  end },
}

local function give(body)
  local dice = math.random() * 1000
  for _, fault in ipairs(FAULTS) do
    dice = dice - fault[1]
    if dice < 0 then return fault[2](body) end
  end
  return answer(200, body)
end

-- Cancels a job unless it has ended; a fault may come before or after that.
local function delete(number)
  if math.random() < 0.05 then return reset() end
  local status = look(number)
  if status == "queued" or status == "in_progress" then cancelled[number] = true end
  return give('{"deleted":true}')
end

--- Answers GET and DELETE /v1/videos/job_N.
function server.video(id)
  local number = tonumber(id:match("%d+"))
  requests = requests + 1
  if ngx.req.get_method() == "DELETE" then return delete(number) end
  return give(JOB:format(id, look(number)))
end

--- Answers GET /truth/N with the status of a job.
function server.truth(number)
  return answer(200, (look(tonumber(number))))
end

--- Answers GET /requests with the number of requests about jobs.
function server.requests()
  return answer(200, tostring(requests))
end

return server
