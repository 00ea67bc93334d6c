---@meta sora
-- luacheck: no unused, no max line length
-- Types of sora for the Lua language server: add this folder to `workspace.library`.
-- Owns no code. Invariant: whatever the module, a client, a job or a handle has, and whatever option they
-- take, is declared here, and nothing else; spec/types_spec.lua holds it against the live tables.

-- Options ----------------------------------------------------------------------------

---How the key is sent: `Authorization: Bearer`, two other headers, with no word before it, or not at all.
---@alias sora.Auth "bearer"|"api-key"|"x-api-key"|"raw"|"none"

---Options of a client. Times are in seconds.
---@class sora.ClientOptions
---@field base_url? string the part before `/videos`; else SORA_BASE_URL or OPENAI_BASE_URL
---@field api_key? string|fun(): string the key, or a function that is called for each request
---@field auth? sora.Auth how the key is sent (`"bearer"`)
---@field headers? table<string, string|number> sent to the server of `base_url` alone
---@field timeout? number of one attempt (60); of a download, how long it may stand still
---@field connect_timeout? number until the connection stands (10)
---@field max_retries? integer beyond the first attempt (2)
---@field max_response_bytes? integer of a JSON answer (8 MiB); files have no limit
---@field max_connections? integer a host (64)
---@field proxy? string a URL, as libcurl's `CURLOPT_PROXY` takes it
---@field ca_file? string the file of certificates to trust
---@field ca_path? string the folder of certificates to trust
---@field verify? boolean `false` trusts any certificate (`true`)
---@field user_agent? string what the client calls itself (`"sora-lua/…"`)
---@field on_event? fun(event: sora.Event) called with each request, retry and response

---Options of one call.
---@class sora.CallOptions
---@field timeout? number seconds, of one attempt
---@field max_retries? integer beyond the first attempt
---@field headers? table<string, string|number> of this call alone, beside the client's
---@field query? table<string, string|number|boolean> added to the URL
---@field idempotency_key? string sends `Idempotency-Key` and makes repeats safe where the server knows it
---@field response? boolean `true` gives the response table as a third result

---Options of a call that is started: those of a call, and what to do when it is done.
---@class sora.StartOptions: sora.CallOptions
---@field on_done? fun(result: table?, err: sora.Error?, response: sora.Response?) called from `update`

---Options of `poll`: how a job is followed.
---@class sora.PollOptions
---@field interval? number seconds between two polls at first (2)
---@field max_interval? number seconds to which that grows (15)
---@field timeout? number seconds, of the whole wait (1800)
---@field max_failures? integer failed polls in a row that do not end the wait (10)
---@field on_progress? fun(video: sora.Video, view: sora.View): boolean? at every change; `false` ends the wait
---@field max_retries? integer of each poll (0, for a failed poll is followed by another)
---@field headers? table<string, string|number> of each poll
---@field query? table<string, string|number|boolean> of each poll

---Options of `wait`.
---@class sora.WaitOptions: sora.PollOptions
---@field response? boolean `true` gives the response table of the last poll as a third result

---Options of `wait_all`.
---@class sora.WaitAllOptions: sora.PollOptions
---@field max_rate? number polls a second, of all jobs together

---Options of `watch`.
---@class sora.WatchOptions: sora.WaitAllOptions
---@field on_done? fun(video: sora.Video?, err: sora.Error?) called from `update` when the wait has ended

---What to create. Fields that no document names are sent as they are.
---@class sora.CreateParams
---@field prompt? string what the video shows
---@field model? string for instance `"sora-2"`
---@field seconds? string|number how long the video is; most servers take a string such as `"4"`
---@field size? string width and height, such as `"720x1280"`
---@field [string] any whatever else the server takes

---Where a download goes.
---@class sora.DownloadTarget
---@field path string the file; it is absent, the old one, or the whole new one
---@field variant? "video"|"thumbnail"|"spritesheet" which of the job's files (`"video"`)

-- Results ----------------------------------------------------------------------------

---A job as the server answers, field by field. No field is required; JSON `null` is an absent field.
---@class sora.Video
---@field id? string the job's id
---@field object? string `"video"`
---@field model? string what makes the video
---@field status? string the server's word for the state; `sora.normalize` reads it
---@field progress? number percent
---@field prompt? string what was asked for
---@field seconds? string how long the video is
---@field size? string width and height
---@field created_at? integer seconds since 1970
---@field completed_at? integer seconds since 1970
---@field expires_at? integer seconds since 1970; the file is gone then
---@field remixed_from_video_id? string the job that this one was made from
---@field video_url? string where the file is, at servers that say so
---@field error? table why the job failed
---@field [string] any whatever else the server says

---The states that every server's words are read as.
---@alias sora.State
---| "queued" # it has not begun
---| "in_progress" # it is being made; unknown words are read as this
---| "completed" # the file is there
---| "failed" # the server gave up
---| "cancelled" # somebody stopped it
---| "expired" # the file is gone
---| "deleted" # the job is gone

---One reading of a video of any dialect.
---@class sora.View
---@field id? string the job's id
---@field state sora.State how far it is
---@field progress? number 0 to 100
---@field url? string where the file is
---@field error? sora.ViewError why the job failed
---@field created_at? integer seconds since 1970
---@field completed_at? integer seconds since 1970
---@field raw any what was read

---Why a job failed.
---@class sora.ViewError
---@field code? string the server's word for it
---@field message? string the server's text
---@field type? string the server's class of errors
---@field param? string the parameter that is to blame

---A file that was saved.
---@class sora.File
---@field path string where it is
---@field bytes integer how long it is
---@field content_type? string what the server calls it

---What became of one job of `wait_all`: either field.
---@class sora.WaitResult
---@field video? sora.Video the completed video
---@field err? sora.Error why there is none

---What an answer says beside its body.
---@class sora.Response
---@field status integer of HTTP; 0 where no answer came
---@field headers table<string, string> names in lower case; repeated ones are joined by ", "
---@field request_id? string the server's name for the request
---@field attempts integer how often the request was sent
---@field seconds number from the first attempt to the end
---@field poll_after? number seconds after which the server wants to be asked again

---What `on_event` hears. It holds no header, no query and no key.
---@class sora.Event
---@field event "request"|"retry"|"response" what happened
---@field method string of HTTP
---@field url string without its query
---@field attempt integer 1 for the first
---@field status? integer of HTTP, where an answer came
---@field error? sora.ErrorKind what went wrong
---@field seconds? number since the call began; not of a request
---@field delay? number seconds until the next attempt; of a retry alone

---A wait written down, for `watch` in another process. It holds no secret.
---@class sora.Ticket
---@field id string the job's id
---@field base_url string of the client's server
---@field created? integer seconds since 1970
---@field state? sora.State as it was last seen

-- Errors -----------------------------------------------------------------------------

---What went wrong. It is API: programs may decide by it.
---@alias sora.ErrorKind
---| "config" # no server is set, or the base URL is none
---| "dns" # no address was found
---| "connect" # no connection came about
---| "tls" # the server is not trusted, or speaks no TLS
---| "timeout" # an attempt took too long
---| "transport" # the connection broke, or the answer is no HTTP
---| "api" # the server said no, or said an error with status 200
---| "decode" # the answer is no JSON object
---| "too_large" # the answer is too long
---| "file" # the file could not be written; an old one is untouched
---| "failed" # the job failed
---| "cancelled" # the job or the call was cancelled
---| "expired" # the job expired
---| "deadline" # a wait ran out; the job may still finish
---| "closed" # the client was closed
---| "forked" # the client belongs to another process

---What a call gives in second place. `tostring` makes one line of it. It never holds the key.
---@class sora.Error
---@field kind sora.ErrorKind what went wrong
---@field message string for people; it may change
---@field status? integer of HTTP
---@field code? string the server's word for it
---@field type? string the server's class of errors
---@field param? string the parameter that is to blame
---@field request_id? string the server's name for the request
---@field retry_after? number seconds the server asks to wait
---@field retryable? boolean whether the same call may succeed later
---@field ambiguous? boolean the server may have the job: repeating the call may be paid for twice
---@field curl? string libcurl's name for it
---@field attempts? integer how often the request was sent
---@field body? string the first KiB of the answer
---@field video? sora.Video the last snapshot of a wait

-- Calls and jobs under way -------------------------------------------------------------

---The methods that make one call, and so can be started.
---@alias sora.CallName "create_video"|"download_video"|"get_video"

---A call that was started.
---@class sora.Handle
local Handle = {}

---Whether it is done.
---@return boolean
function Handle:done() end

---What it gives; raises while it is running.
---@return table? result
---@return sora.Error? err
---@return sora.Response? response where it was asked for
function Handle:result() end

---Ends it.
---@return boolean active whether it was running
function Handle:cancel() end

---A job that is watched.
---@class sora.Job
local Job = {}

---Whether the wait has ended.
---@return boolean
function Job:done() end

---How it ended; raises while it has not.
---@return sora.Video? video the completed one
---@return sora.Error? err
function Job:result() end

---Stops watching; the job itself goes on at the server.
---@return boolean active whether it was being watched
function Job:cancel() end

---What another process needs to take the wait up.
---@return sora.Ticket
function Job:ticket() end

---What a pause hook is told about the call that waits.
---@class sora.Turn
---@field handle sora.Handle the call that is waited for
---@field wake? fun() the hook may set it: it is called when the call is done

-- A client ---------------------------------------------------------------------------

---One server, its options, and the calls to it.
---@class sora.Client
---@field base_url string its server, without the query
local Client = {}

---Fetches a job: one HTTP call.
---@param id string percent-encoded into the path
---@param opts? sora.CallOptions
---@return sora.Video? video
---@return sora.Error? err
---@return sora.Response? response where it was asked for
function Client:get_video(id, opts) end

---Creates a job. It is repeated by itself only where that cannot be paid for twice.
---@param params sora.CreateParams
---@param opts? sora.CallOptions
---@return sora.Video? job as the server answers
---@return sora.Error? err where `ambiguous` is true, the server may have the job
---@return sora.Response? response where it was asked for
function Client:create_video(params, opts) end

---Saves the file of a finished job.
---@param id string
---@param target string|sora.DownloadTarget the path, or where to and which file
---@param opts? sora.CallOptions
---@return sora.File? file
---@return sora.Error? err
---@return sora.Response? response where it was asked for
function Client:download_video(id, target, opts) end

---Waits until a job ends.
---@param id string
---@param opts? sora.WaitOptions
---@return sora.Video? video the completed one
---@return sora.Error? err how else it ended; `err.video` is the last snapshot
---@return sora.Response? response of the last poll, where it was asked for
function Client:wait(id, opts) end

---Iterates over the snapshots of a job, the last one terminal. What ends the polls before that raises.
---@param id string
---@param opts? sora.PollOptions
---@return fun(): sora.Video?
function Client:poll(id, opts) end

---Waits for many jobs at once.
---@param ids string[]
---@param opts? sora.WaitAllOptions
---@return sora.WaitResult[] results in the order of `ids`
function Client:wait_all(ids, opts) end

---Watches a job without waiting: `update` polls it when it is due.
---@param id string|sora.Ticket
---@param opts? sora.WatchOptions
---@return sora.Job? job
---@return sora.Error? err
function Client:watch(id, opts) end

---Starts a call and returns at once.
---@param name sora.CallName
---@param ... any its arguments; the options may have `on_done` (`sora.StartOptions`)
---@return sora.Handle? handle
---@return sora.Error? err
function Client:start(name, ...) end

---Works on all that was started and watched, and calls the callbacks of what is done.
---@param seconds? number how long it may wait for something to be done (0)
---@return integer? running how many calls and jobs
---@return sora.Error? err
function Client:update(seconds) end

---Lets others work for at most `seconds`. Set to a function of one's own, it makes all that waits cooperative.
---@param seconds number
---@param turn? sora.Turn the call that waits
function Client:pause(seconds, turn) end

---A descriptor that is readable whenever `update(0)` has work; nil where the platform has none.
---@return integer?
function Client:fileno() end

---The descriptor to poll, for cqueues.
---@return integer?
function Client:pollfd() end

---What to poll for, for cqueues.
---@return string
function Client:events() end

---Seconds until `update(0)` has work by the clock; nil: not by the clock.
---@return number?
function Client:timeout() end

---The time-out of one attempt, in seconds.
---@return number
function Client:attempt_timeout() end

---Ends what is running; it may be called again.
function Client:close() end

-- The module -------------------------------------------------------------------------

---The module. What a client does, it does with the default client.
---@class sora
---@field _VERSION string of the module
---Fetches a job: `Client:get_video` of the default client.
---@field get_video fun(id: string, opts?: sora.CallOptions): sora.Video?, sora.Error?, sora.Response?
---Creates a job: `Client:create_video` of the default client.
---@field create_video fun(params: sora.CreateParams, opts?: sora.CallOptions): sora.Video?, sora.Error?, sora.Response?
---Saves the file of a finished job: `Client:download_video` of the default client.
---@field download_video fun(id: string, target: string|sora.DownloadTarget, opts?: sora.CallOptions): sora.File?, sora.Error?, sora.Response?
---Waits until a job ends: `Client:wait` of the default client.
---@field wait fun(id: string, opts?: sora.WaitOptions): sora.Video?, sora.Error?, sora.Response?
---Iterates over the snapshots of a job: `Client:poll` of the default client.
---@field poll fun(id: string, opts?: sora.PollOptions): fun(): sora.Video?
---Waits for many jobs at once: `Client:wait_all` of the default client.
---@field wait_all fun(ids: string[], opts?: sora.WaitAllOptions): sora.WaitResult[]?, sora.Error?
---Watches a job without waiting: `Client:watch` of the default client.
---@field watch fun(id: string|sora.Ticket, opts?: sora.WatchOptions): sora.Job?, sora.Error?
---Starts a call and returns at once: `Client:start` of the default client.
---@field start fun(name: sora.CallName, ...: any): sora.Handle?, sora.Error?
---Works on all that was started and watched: `Client:update` of the default client.
---@field update fun(seconds?: number): integer?, sora.Error?
---Lets others work: `Client:pause` of the default client. Setting it here changes nothing.
---@field pause fun(seconds: number, turn?: sora.Turn)
---A descriptor to poll: `Client:fileno` of the default client.
---@field fileno fun(): integer?, sora.Error?
---The same, for cqueues: `Client:pollfd` of the default client.
---@field pollfd fun(): integer?, sora.Error?
---What to poll for, for cqueues: `Client:events` of the default client.
---@field events fun(): string?, sora.Error?
---When `update` has work by the clock: `Client:timeout` of the default client.
---@field timeout fun(): number?, sora.Error?
---The time-out of one attempt: `Client:attempt_timeout` of the default client.
---@field attempt_timeout fun(): number?, sora.Error?
local sora = {}

---Makes a client of your own.
---@param options sora.ClientOptions
---@return sora.Client? client
---@return sora.Error? err of kind `config`
function sora.new(options) end

---Sets the default client.
---@param options sora.ClientOptions
---@return sora.Client? client
---@return sora.Error? err of kind `config`; the default client stays as it was
function sora.configure(options) end

---Reads a video of any dialect.
---@param video table as a call returned it
---@return sora.View
function sora.normalize(video) end

---Closes the default client; the next call makes another.
function sora.close() end

return sora
