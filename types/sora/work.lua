---@meta sora.work

-- Types of sora.work, the queue that workers share, for the Lua language server.

---A task as people see it.
---@class sora.Task
---@field id string names the task
---@field state "waiting"|"running"|"saved"|"failed"|"unsure" how far it is
---@field prompt? string what the film shows
---@field params? table what is sent
---@field output? string the name of the film in the worker's folder
---@field owner? string the worker of one that is running
---@field left? number seconds that its lease has left
---@field lapsed? boolean its worker is dead or stuck
---@field job? string the job's id
---@field others? string[] ids of further jobs that were made for it
---@field asked? boolean a job may have been made
---@field attempt? integer 1; one more each time that the task was put back to be asked for anew
---@field path? string where its film was saved
---@field bytes? integer the film's size
---@field error? string|table why it failed, or is unsure

---How many tasks there are in each state.
---@class sora.TaskCounts
---@field waiting integer not taken yet
---@field running integer taken by a worker
---@field saved integer whose film is saved
---@field failed integer that failed
---@field unsure integer of which nobody knows whether a job was made

---What a worker has done.
---@class sora.WorkResults
---@field made integer jobs that it made
---@field saved integer films that it saved
---@field failed integer tasks that failed
---@field unsure integer tasks of which nobody knows whether a job was made
---@field unwritten? table[] what the store could not be told: { id =, event =, job = }

---Options of a worker.
---@class sora.WorkerOptions
---@field dir string the folder for the films
---@field jobs? integer how many at a time (20)
---@field lease? number seconds after which others take over what this worker leaves behind (30)
---@field name? string the worker's name in lists
---@field drain? boolean ends when the queue is done (`false`)
---@field idempotent? boolean the server honours Idempotency-Key: a POST whose answer was lost is sent again (`false`)
---@field settle? number seconds after a lost POST in which its job may appear in the server's list
---@field keep? number seconds after which saved tasks are forgotten (never)
---@field on_progress? fun(entry: table): boolean? hears how far each task is; `false` stops the worker
---@field interval? number seconds between the first polls (2)
---@field max_interval? number seconds up to which the interval grows (15)
---@field timeout? number the limit for the wait for one job in seconds (1800)
---@field max_failures? integer how many failed polls in a row end a wait (10)
---@field max_rate? number polls per second, of all jobs together
---@field headers? table<string, string|number> sent with each request
---@field query? table<string, string|number|boolean> added to each URL

---A queue of tasks.
---@class sora.Queue
---@field durable? boolean `false` where the Redis keeps no append-only file
local Queue = {}

---Puts tasks into the queue. Those that it knows already stay as they are.
---@param list (string|sora.CreateParams)[] prompts or params, perhaps with `output`
---@param opts? { label?: string } another label makes films anew that the queue knows
---@return { added: integer, known: integer }? result
---@return sora.Error? err
function Queue:put(list, opts) end

---Counts the tasks.
---@return sora.TaskCounts? counts
---@return sora.Error? err
function Queue:counts() end

---Lists tasks, the oldest first.
---@param state "waiting"|"running"|"saved"|"failed"|"unsure"
---@param limit? integer
---@return sora.Task[]? tasks
---@return sora.Error? err
function Queue:tasks(state, limit) end

---Puts a failed, unsure or saved task back.
---@param id string of the task
---@param opts? { job?: string, anew?: boolean } `job`: the id of the job to follow; `anew`: asks for another in any case
---@return boolean? done
---@return sora.Error? err
function Queue:retry(id, opts) end

---Removes a task that is not running.
---@param id string of the task
---@return boolean? done
---@return sora.Error? err
function Queue:drop(id) end

---Lets the worker that follows a job poll it at once.
---@param job string the job's id at the server
---@return boolean? done
---@return sora.Error? err
function Queue:hint(job) end

---Makes a worker.
---@param client sora.Client without a pause hook
---@param opts sora.WorkerOptions
---@return sora.Worker worker
function Queue:worker(client, opts) end

---Closes the connection.
function Queue:close() end

---A worker of a queue.
---@class sora.Worker
local Worker = {}

---Works until it is stopped.
---@return sora.WorkResults? results
---@return sora.Error? err its `results` are the counts
function Worker:run() end

---Stops it: what is running ends first; the second time that is left to others.
function Worker:stop() end

---The module.
---@class sora.work
local work = {}

---Opens a queue.
---@param where? string|table the address of a Redis (SORA_REDIS_URL), or a store of your own
---@param opts? { name?: string, patience?: number } the queue's name ("sora"); seconds to try to reach Redis (2)
---@return sora.Queue? queue
---@return sora.Error? err
function work.open(where, opts) end

return work
