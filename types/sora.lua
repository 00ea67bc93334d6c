---@meta sora
-- luacheck: no unused, no max line length
-- Types of sora for the Lua language server: add this folder to `workspace.library`.
-- Contains no code. Invariant: it declares every field, method and option of the module, of clients, jobs and
-- handles, and nothing else; spec/house/types_spec.lua compares it with the real ones.

-- Options ----------------------------------------------------------------------------

---How the key is sent: as `Authorization: Bearer KEY`, in another header, as `Authorization: KEY`, or not at all.
---@alias sora.Auth "bearer"|"api-key"|"x-api-key"|"raw"|"none"

---Options of a client. Times are in seconds.
---@class sora.ClientOptions
---@field base_url? string the part before `/videos` (SORA_BASE_URL or OPENAI_BASE_URL)
---@field api_key? string|fun(): string the key, or a function that is called for each request
---@field auth? sora.Auth how the key is sent (`"bearer"`)
---@field headers? table<string, string|number> sent with each request to the server of `base_url`, and to no other
---@field timeout? number the limit for one attempt (60); for a download, the longest time without progress
---@field connect_timeout? number the limit for making a connection (10)
---@field max_retries? integer how many attempts may follow the first (2)
---@field max_response_bytes? integer the limit for a JSON response (8 MiB); files have none
---@field max_connections? integer per host (64); an HTTP/2 connection carries up to 100 requests
---@field proxy? string a URL, as libcurl's `CURLOPT_PROXY` takes it; "" for none, whatever the environment says
---@field ca_file? string the file of certificates to trust
---@field ca_path? string the folder of certificates to trust
---@field cert_file? string the client certificate (PEM), sent to the server of `base_url` alone
---@field key_file? string its private key, without a passphrase, unless `cert_file` holds that too
---@field unix_socket? string the path of a Unix socket that leads to the server of `base_url`
---@field verify? boolean `false` trusts any certificate (`true`)
---@field user_agent? string what the client calls itself (`"sora/…"`)
---@field on_event? fun(event: sora.Event) called with each request, retry and response
---@field dialect? sora.Dialect a preset where several things differ at once; what is given goes first
---@field paths? sora.Paths where calls are, below the base URL
---@field multipart? boolean `true` for servers that take nothing but forms (`false`)
---@field journal? string|sora.Journal a file, or more functions: it gets a line for each job before and after it is made
---@field journal_until? "saved"|"ended" what closes a completed job in it: that its file is saved (`"saved"`)

---A journal that is kept elsewhere than in a file. Both functions may yield where their caller may.
---@class sora.Journal
---@field append fun(line: string): boolean?, any adds a line; true once it is safe, or nil and why not
---@field read fun(): (fun(): string?)?, any iterates over all lines; or nil and why not

---Presets for kinds of servers; lua/sora/options.lua defines them.
---@alias sora.Dialect
---| "azure" # Azure OpenAI: the key in `api-key`
---| "newapi-generations" # new-api and its resellers: `/video/generations`
---| "openai" # OpenAI
---| "openrouter" # OpenRouter: several files per job
---| "raw-key" # the key in `Authorization`, without `Bearer`
---| "video-query" # `/video/create` and `/video/query?id=`
---| "videos-generations" # `/videos/generations`
---| "vllm-omni" # vLLM-Omni: multipart forms only

---The path of each call, below the base URL. `{id}` stands for the percent-encoded id; a query may follow.
---@class sora.Paths
---@field create? string (`"/videos"`)
---@field list? string (`"/videos"`)
---@field get? string (`"/videos/{id}"`)
---@field delete? string (`"/videos/{id}"`)
---@field cancel? string (`"/videos/{id}/cancel"`)
---@field content? string (`"/videos/{id}/content"`)
---@field remix? string (`"/videos/{id}/remix"`)
---@field edit? string (`"/videos/edits"`)
---@field extend? string (`"/videos/extensions"`)
---@field create_character? string (`"/videos/characters"`)
---@field get_character? string (`"/videos/characters/{id}"`)

---Options of one call.
---@class sora.CallOptions
---@field timeout? number the limit for one attempt in seconds
---@field max_retries? integer how many attempts may follow the first
---@field headers? table<string, string|number> for this call, in addition to the client's
---@field query? table<string, string|number|boolean> added to the URL
---@field idempotency_key? string sent as `Idempotency-Key`; makes retries safe if the server supports it
---@field response? boolean `true` returns the response table as a third result

---Options of a started call: those of a call, and a callback.
---@class sora.StartOptions: sora.CallOptions
---@field on_done? fun(result: table?, err: sora.Error?, response: sora.Response?) called from `update`

---Options of a call that makes a job.
---@class sora.CreateOptions: sora.CallOptions
---@field label? string a name of your own for the job, in the journal
---@field target? string the path where its file is to go, for the journal

---Options of a call that makes a job and is started.
---@class sora.StartCreateOptions: sora.StartOptions
---@field label? string a name of your own for the job, in the journal
---@field target? string the path where its file is to go, for the journal

---Options of `poll`: how a job is followed.
---@class sora.PollOptions
---@field interval? number seconds between the first polls (2)
---@field max_interval? number seconds up to which the interval grows (15)
---@field timeout? number the limit for the whole wait in seconds (1800)
---@field max_failures? integer how many polls in a row may fail without ending the wait (10)
---@field cancel_on_timeout? boolean cancels the job at the deadline (`false`); `err.cancelled` tells whether the server did
---@field on_progress? fun(video: sora.Video, view: sora.View): boolean? called at each change; `false` ends the wait
---@field max_retries? integer retries of each poll (0, because the next poll follows anyway)
---@field headers? table<string, string|number> sent with each poll
---@field query? table<string, string|number|boolean> added to the URL of each poll

---Options of `wait`.
---@class sora.WaitOptions: sora.PollOptions
---@field response? boolean `true` returns the response table of the last poll as a third result

---Options of `wait_all`.
---@class sora.WaitAllOptions: sora.PollOptions
---@field max_rate? number the most polls per second, for all jobs together

---Options of `watch`.
---@class sora.WatchOptions: sora.WaitAllOptions
---@field on_done? fun(video: sora.Video?, err: sora.Error?) called from `update` when the wait has ended

---A job where its id is expected: the id, or a table that has one, as any call returned it.
---@alias sora.Id string|integer|sora.Video|sora.View|sora.Ticket|sora.Job|sora.CreatedFile|sora.WaitResult

---What to create. Fields that no document names are sent as they are.
---@class sora.CreateParams
---@field prompt? string describes the video
---@field model? string such as `"sora-2"`
---@field seconds? string|number how long the video is; most servers take a string such as `"4"`
---@field size? string width and height, such as `"720x1280"`
---@field input_reference? sora.Reference|sora.Reference[] what the video starts from
---@field extra_body? table fields that are sent unchecked
---@field [string] any whatever else the server takes

---A file to upload: either `path` or `data`. The request becomes a multipart form.
---@class sora.InputFile
---@field path? string of a file, which is read while it is sent
---@field data? string the bytes of the file
---@field filename? string the name sent to the server; for `data` without one it is made of the field and the type
---@field content_type? string such as `"image/png"`; else told by the name's extension, or by the first bytes

---A file, a URL or data URL, or the id of something on the server.
---@alias sora.Reference string|sora.InputFile|{ image_url: string }|{ file_id: string }|{ id: string }

---How to remix a completed video.
---@class sora.RemixParams
---@field prompt string what changes
---@field extra_body? table fields that are sent unchecked
---@field [string] any whatever else the server takes

---How to edit a video.
---@class sora.EditParams
---@field video sora.Id|sora.Reference an id, a job, or a file
---@field prompt string what changes
---@field extra_body? table fields that are sent unchecked
---@field [string] any whatever else the server takes

---How to extend a video.
---@class sora.ExtendParams
---@field video sora.Id|sora.Reference an id, a job, or a file
---@field prompt? string what follows
---@field seconds? string|number how much longer
---@field extra_body? table fields that are sent unchecked
---@field [string] any whatever else the server takes

---The character to create.
---@class sora.CharacterParams
---@field name string what it is called
---@field video sora.Id|sora.Reference an id, a job, or a file
---@field extra_body? table fields that are sent unchecked
---@field [string] any whatever else the server takes

---Which jobs to list.
---@class sora.ListParams
---@field limit? integer jobs per page
---@field after? string the id of the last job on the previous page
---@field order? "asc"|"desc" by creation time
---@field [string] any other fields that the server accepts

---Which jobs to find.
---@class sora.Sought
---@field prompt? string the prompt of the create
---@field since? number the earliest creation time, in seconds since 1970

---Options of `create_and_wait`, `create_and_download` and their relatives: those of the wait and of the create.
---@class sora.CreateAndWaitOptions: sora.PollOptions
---@field idempotency_key? string makes repeats of the create safe where the server knows it
---@field label? string a name of your own for the job, in the journal
---@field target? string the path where its file is to go, for the journal
---@field on_created? fun(job: sora.Video) called as soon as the server has answered with the job

---Options of `batch`.
---@class sora.BatchOptions
---@field dir string the folder that the films go to
---@field jobs? integer how many are under way at a time (8)
---@field max_jobs? integer how many jobs the items may cost, in all runs together
---@field label? string the batch's name: another one makes all films anew
---@field remake? boolean asks again for what an earlier run left unsure, which may be paid for twice (`false`)
---@field on_progress? fun(item: sora.BatchProgress): boolean? called when an item gets further; `false` stops the batch
---@field interval? number seconds between two polls (2)
---@field max_interval? number seconds that the interval grows to (15)
---@field timeout? number seconds that a job may take (1800)
---@field max_failures? integer failed polls in a row that end a wait (10)
---@field cancel_on_timeout? boolean cancels a job at its deadline (`false`)
---@field headers? table<string, string|number> sent with each request
---@field query? table<string, string|number|boolean> added to each URL

---An item of a batch that is under way.
---@class sora.BatchProgress
---@field index integer its number in the list
---@field prompt? string its prompt
---@field state "waiting"|"asked"|"downloading"|"saved"|"failed"|"unsure"|sora.State how far it is
---@field progress? number percent
---@field path string where the film goes
---@field id? string the job's id
---@field err? sora.Error why there is no film

---Where a download goes: either `path` or `sink`.
---@class sora.DownloadTarget
---@field path? string the file to write; at any time it is missing, the old file, or the complete new one
---@field sink? fun(chunk: string): boolean? receives the bytes instead of a file; a slow sink slows the transfer; `false` stops it
---@field variant? "video"|"thumbnail"|"spritesheet" which file of the job (`"video"`)
---@field on_progress? fun(received: integer, total: integer?): boolean? `false` stops the download
---@field resume? boolean whether an interrupted transfer resumes where it stopped, also in another process (`true`)
---@field sync? boolean `false` does not wait until the file is on the disk (`true`)
---@field grace? number how many seconds the file of a job that has just ended may be late (30; 10 if nobody knows when it ended); 0: not at all

-- Results ----------------------------------------------------------------------------

---A job as the server sends it. Every field may be missing; JSON `null` becomes a missing field.
---@class sora.Video
---@field id? string the job's id
---@field object? string `"video"`
---@field model? string the model that makes the video
---@field status? string the server's word for the state; `sora.normalize` interprets it
---@field progress? number percent
---@field prompt? string the prompt of the create
---@field seconds? string how long the video is
---@field size? string width and height
---@field created_at? integer seconds since 1970
---@field completed_at? integer seconds since 1970
---@field expires_at? integer seconds since 1970; then the file is deleted
---@field remixed_from_video_id? string the id of the job that this one was made from
---@field video_url? string the URL of the file, from servers that send it
---@field error? table why the job failed
---@field [string] any other fields that the server sends

---The state of a job, the same for every dialect.
---@alias sora.State
---| "queued" # not started yet
---| "in_progress" # running; also for most statuses that are not known
---| "completed" # the file is ready
---| "failed" # the server could not make the video
---| "cancelled" # somebody stopped it
---| "expired" # the file has expired
---| "deleted" # the job was deleted

---A video in the same form for every dialect.
---@class sora.View
---@field id? string the job's id
---@field state sora.State the state of the job
---@field progress? number 0 to 100
---@field url? string the URL of the file
---@field urls? string[] the URLs of all outputs in order, `url` first
---@field last_frame_url? string the URL of a picture: how the film ends
---@field seconds? number how long the film is
---@field cost? number what it cost, in the server's currency (mostly US dollars)
---@field error? sora.ViewError why the job failed
---@field created_at? integer seconds since 1970
---@field completed_at? integer seconds since 1970
---@field raw any the video that was normalized

---Why a job failed.
---@class sora.ViewError
---@field code? string the server's error code
---@field message? string the server's message
---@field type? string the server's type of error
---@field param? string the parameter that caused it
---@field reason? sora.Reason why the job failed, in one word over all dialects

---A downloaded file.
---@class sora.File
---@field path? string where it is; nil when a sink received it
---@field bytes integer its size
---@field content_type? string its type, from the server

---The downloaded file of a job that the same call created.
---@class sora.CreatedFile: sora.File
---@field video sora.Video the completed job

---One page of jobs.
---@class sora.VideoList
---@field data? sora.Video[] the jobs
---@field first_id? string the id of the first job
---@field last_id? string the id of the last job, for `after`
---@field has_more? boolean whether another page follows
---@field [string] any other fields that the server sends

---The response to a delete.
---@class sora.Deletion
---@field id? string the job's id
---@field object? string `"video.deleted"`
---@field deleted? boolean whether the job was deleted
---@field [string] any other fields that the server sends

---A character to use in videos.
---@class sora.Character
---@field id? string for `get_character`, and for prompts
---@field name? string the character's name
---@field created_at? integer seconds since 1970
---@field [string] any other fields that the server sends

---The result of `wait_all` for one job: it has one of the two fields.
---@class sora.WaitResult
---@field video? sora.Video the completed video
---@field err? sora.Error why there is no completed video

---What became of one item of a batch.
---@class sora.BatchItem
---@field path? string the film
---@field bytes? integer its size
---@field id? string the job's id
---@field label? string the job's label in the journal
---@field had? boolean an earlier run saved it
---@field err? sora.Error why there is no film
---@field unsure? boolean nobody knows whether its job was made

---What a batch gives: the items in order, as a list, and their counts.
---@class sora.BatchResults
---@field made integer jobs that this run made
---@field saved integer items whose film is there
---@field failed integer items that failed
---@field unsure integer items that may have a job
---@field [integer] sora.BatchItem one for each item

---The response to a call, without its body.
---@class sora.Response
---@field status integer the HTTP status; 0 if no response came
---@field headers table<string, string> names in lower case; repeated ones are joined by ", "
---@field request_id? string the server's id for the request
---@field attempts integer how often the request was sent
---@field seconds number from the start of the first attempt to the end of the call
---@field poll_after? number seconds to wait before the next poll, from the server

---The argument of `on_event`. It contains no headers, no query and no key.
---@class sora.Event
---@field event "request"|"retry"|"response"|"callback_error" what happened; the last one has the field `raised` alone
---@field method? string the HTTP method
---@field url? string without the query
---@field attempt? integer 1 for the first attempt
---@field status? integer the HTTP status, if a response came
---@field error? sora.ErrorKind what went wrong
---@field seconds? number since the start of the call; not in "request"
---@field delay? number seconds until the next attempt; only in "retry"
---@field raised? any what a callback raised that `update` could not raise; only in "callback_error"

---A saved wait, to continue with `watch` in another process. It contains no secret.
---@class sora.Ticket
---@field id string the job's id
---@field base_url string the base URL of the client
---@field created? integer seconds since 1970
---@field state? sora.State the last known state

---Options of `unfinished` and `journaled`.
---@class sora.JournalOptions
---@field all_servers? boolean also the jobs of other base URLs (`false`)

---A job of the journal that is not over. One with `ambiguous` may never have been made.
---@class sora.UnfinishedTicket
---@field key? string names the job in the journal
---@field id? string the job's id; nil where the answer never came
---@field base_url string of the client's server
---@field created? integer seconds since 1970
---@field state? sora.State as it was last seen
---@field prompt? string what was asked for
---@field label? string the option of the call that made it
---@field target? string where its file was to go
---@field idempotency_key? string the option of the call that made it
---@field ambiguous? boolean there is no id: `find_created` may find the job

---A job of the journal.
---@class sora.JournalTicket: sora.UnfinishedTicket
---@field state? sora.State|"refused" as it was last seen
---@field path? string where its file was saved
---@field bytes? integer of the saved file
---@field over? boolean nothing is left to do: it failed, its file is saved, or `forget` closed it

---What a server posts when a job has ended.
---@class sora.WebhookEvent
---@field type? string such as `"video.completed"`
---@field data? table the job, or its id; `sora.normalize` interprets it
---@field [string] any other fields that the server sends

-- Errors -----------------------------------------------------------------------------

---What went wrong. Kinds are stable, so programs may branch on them.
---@alias sora.ErrorKind
---| "config" # the base URL, the client certificate or `unix_socket` cannot be used, or a journal is missing
---| "dns" # the host name could not be resolved
---| "connect" # the connection could not be made
---| "tls" # the certificate is not trusted, or the server does not speak TLS
---| "timeout" # an attempt took too long
---| "transport" # the connection broke, or the response is not valid HTTP
---| "api" # the server returned an error, by its status or in the body of a 200
---| "decode" # the response is not a JSON object
---| "too_large" # the response is longer than `max_response_bytes`, or its headers are too long
---| "file" # a file could not be read or written; an existing target is unchanged
---| "failed" # the job failed
---| "cancelled" # the job or the call was cancelled
---| "expired" # the job expired
---| "deadline" # the wait reached its timeout; the job may still finish
---| "closed" # the client was closed
---| "forked" # the client belongs to another process

---Why a server said no, in one word over all dialects. It goes by code, type and status, never by the message.
---@alias sora.Reason
---| "moderation" # the prompt, an input or the film was blocked
---| "quota" # no credit is left
---| "rate_limit" # too many requests
---| "capacity" # the server is overloaded
---| "auth" # the key is wrong or lacks a permission
---| "not_found" # there is no such job, model or path
---| "invalid" # a parameter is wrong

---The second result of a call that fails. `tostring` makes it one line. It never contains the key.
---@class sora.Error
---@field kind sora.ErrorKind what went wrong
---@field message string for people; it may change between versions
---@field status? integer the HTTP status
---@field code? string the server's error code, or one of ours: docs/errors.md lists them
---@field type? string the server's type of error
---@field param? string the parameter that caused it
---@field reason? sora.Reason why the server or the job said no, where that can be told
---@field request_id? string the server's id for the request
---@field retry_after? number seconds to wait before a retry, from the server
---@field retryable? boolean whether the same call may succeed later
---@field ambiguous? boolean the server may have created the job: if you repeat the call, you may pay twice
---@field curl? string libcurl's error code, such as `"CURLE_PARTIAL_FILE"`
---@field attempts? integer how often the request was sent
---@field body? string the first KiB of the response
---@field video? sora.Video the last snapshot of a wait
---@field ticket? sora.Ticket for `watch`, if the job was created before the error
---@field cancelled? boolean whether the server has cancelled the job, with `cancel_on_timeout`
---@field cancel_error? sora.Error why it has not

-- Started calls and watched jobs -----------------------------------------------------

---The methods that can be started: those that make one call, and those that create, wait and download.
---@alias sora.CallName
---| "cancel_video" # `Client:cancel_video`
---| "create_and_download" # `Client:create_and_download`
---| "create_and_wait" # `Client:create_and_wait`
---| "create_character" # `Client:create_character`
---| "create_video" # `Client:create_video`
---| "delete_video" # `Client:delete_video`
---| "download_video" # `Client:download_video`
---| "edit_and_download" # `Client:edit_and_download`
---| "edit_and_wait" # `Client:edit_and_wait`
---| "edit_video" # `Client:edit_video`
---| "extend_and_download" # `Client:extend_and_download`
---| "extend_and_wait" # `Client:extend_and_wait`
---| "extend_video" # `Client:extend_video`
---| "get_character" # `Client:get_character`
---| "get_video" # `Client:get_video`
---| "list_videos" # `Client:list_videos`
---| "remix_and_download" # `Client:remix_and_download`
---| "remix_and_wait" # `Client:remix_and_wait`
---| "remix_video" # `Client:remix_video`

---A call that was started.
---@class sora.Handle
local Handle = {}

---Tells whether the call is done.
---@return boolean
function Handle:done() end

---Returns the results of the call; raises while it is running.
---@return table? result
---@return sora.Error? err
---@return sora.Response? response with the option `response`
function Handle:result() end

---Waits until the call is done, for at most `seconds`; after that it runs on, and the error is a `deadline`.
---@param seconds? number by default as long as it takes
---@return table? result
---@return sora.Error? err
---@return sora.Response? response with the option `response`
function Handle:wait(seconds) end

---Cancels the call.
---@return boolean active whether it was running
function Handle:cancel() end

---A watched job.
---@class sora.Job
local Job = {}

---Tells whether the wait has ended.
---@return boolean
function Job:done() end

---Returns how the wait ended; raises while it has not.
---@return sora.Video? video the completed video
---@return sora.Error? err
function Job:result() end

---Waits until the wait has ended, for at most `seconds`; after that it runs on, and the error is a `deadline`.
---@param seconds? number by default as long as it takes
---@return sora.Video? video the completed video
---@return sora.Error? err
function Job:wait(seconds) end

---Stops watching; the job keeps running on the server.
---@return boolean active whether it was being watched
function Job:cancel() end

---Returns a ticket, with which another process can continue the wait.
---@return sora.Ticket
function Job:ticket() end

---The second argument of a pause hook: the call that waits.
---@class sora.Turn
---@field handle sora.Handle the call that waits
---@field wake? fun() set by the hook; called when the call is done

-- A client ---------------------------------------------------------------------------

---A client: one server, its options, and the calls to it.
---@class sora.Client
---@field base_url string the base URL without its query
---@field can_wait? fun() set by adapters: called before anything is sent, it raises where the pause hook could not wait
local Client = {}

---Fetches a job: one HTTP call.
---@param id sora.Id percent-encoded into the path
---@param opts? sora.CallOptions
---@return sora.Video? video
---@return sora.Error? err
---@return sora.Response? response with the option `response`
function Client:get_video(id, opts) end

---Creates a job. Retries only if that cannot create (and cost) a second job.
---@param params sora.CreateParams
---@param opts? sora.CreateOptions
---@return sora.Video? job as the server answers
---@return sora.Error? err where `ambiguous` is true, the server may have the job
---@return sora.Response? response where it was asked for
function Client:create_video(params, opts) end

---Fetches one page of the jobs.
---@param params? sora.ListParams
---@param opts? sora.CallOptions
---@return sora.VideoList? page
---@return sora.Error? err
---@return sora.Response? response with the option `response`
function Client:list_videos(params, opts) end

---Deletes a job and its file.
---@param id sora.Id
---@param opts? sora.CallOptions
---@return sora.Deletion? answer
---@return sora.Error? err
---@return sora.Response? response with the option `response`
function Client:delete_video(id, opts) end

---Cancels a job that is not over. Many servers answer 404 or 405, because they have no such call; one whose job is
---over already answers 409.
---@param id sora.Id
---@param opts? sora.CallOptions
---@return sora.Video? job as the server answers, or an empty table
---@return sora.Error? err
---@return sora.Response? response with the option `response`
function Client:cancel_video(id, opts) end

---Makes a new video of a finished one.
---@param id sora.Id
---@param params sora.RemixParams
---@param opts? sora.CreateOptions
---@return sora.Video? job
---@return sora.Error? err if `ambiguous` is true, the server may have created the job
---@return sora.Response? response with the option `response`
function Client:remix_video(id, params, opts) end

---Edits a video.
---@param params sora.EditParams
---@param opts? sora.CreateOptions
---@return sora.Video? job
---@return sora.Error? err if `ambiguous` is true, the server may have created the job
---@return sora.Response? response with the option `response`
function Client:edit_video(params, opts) end

---Makes a video longer.
---@param params sora.ExtendParams
---@param opts? sora.CreateOptions
---@return sora.Video? job
---@return sora.Error? err if `ambiguous` is true, the server may have created the job
---@return sora.Response? response with the option `response`
function Client:extend_video(params, opts) end

---Creates a character from a video.
---@param params sora.CharacterParams
---@param opts? sora.CallOptions
---@return sora.Character? character
---@return sora.Error? err
---@return sora.Response? response with the option `response`
function Client:create_character(params, opts) end

---Fetches a character.
---@param id string|sora.Character
---@param opts? sora.CallOptions
---@return sora.Character? character
---@return sora.Error? err
---@return sora.Response? response with the option `response`
function Client:get_character(id, opts) end

---Iterates over the jobs of all pages. Raises the error table if a page cannot be fetched.
---@param params? sora.ListParams
---@param opts? sora.CallOptions
---@return fun(): sora.Video?
function Client:videos(params, opts) end

---Finds jobs that a create with a lost response may have made.
---@param what sora.Sought
---@param opts? sora.CallOptions
---@return sora.Video[]? jobs those without a prompt in the server's list come last
---@return sora.Error? err
function Client:find_created(what, opts) end

---Creates a video and waits for it.
---@param params sora.CreateParams
---@param opts? sora.CreateAndWaitOptions
---@return sora.Video? video the completed video
---@return sora.Error? err with a `ticket` once the job is created
function Client:create_and_wait(params, opts) end

---Creates a video, waits for it and saves it. The target is checked and locked before anything is paid for.
---@param params sora.CreateParams
---@param target string|sora.DownloadTarget
---@param opts? sora.CreateAndWaitOptions
---@return sora.CreatedFile? file
---@return sora.Error? err with a `ticket` once the job is created
function Client:create_and_download(params, target, opts) end

---Remixes a video and waits for the new one, as `create_and_wait` does.
---@param id sora.Id
---@param params sora.RemixParams
---@param opts? sora.CreateAndWaitOptions
---@return sora.Video? video the completed video
---@return sora.Error? err with a `ticket` once the job is created
function Client:remix_and_wait(id, params, opts) end

---Remixes a video, waits for the new one and saves it, as `create_and_download` does.
---@param id sora.Id
---@param params sora.RemixParams
---@param target string|sora.DownloadTarget
---@param opts? sora.CreateAndWaitOptions
---@return sora.CreatedFile? file
---@return sora.Error? err with a `ticket` once the job is created
function Client:remix_and_download(id, params, target, opts) end

---Edits a video and waits for the new one, as `create_and_wait` does.
---@param params sora.EditParams
---@param opts? sora.CreateAndWaitOptions
---@return sora.Video? video the completed video
---@return sora.Error? err with a `ticket` once the job is created
function Client:edit_and_wait(params, opts) end

---Edits a video, waits for the new one and saves it, as `create_and_download` does.
---@param params sora.EditParams
---@param target string|sora.DownloadTarget
---@param opts? sora.CreateAndWaitOptions
---@return sora.CreatedFile? file
---@return sora.Error? err with a `ticket` once the job is created
function Client:edit_and_download(params, target, opts) end

---Makes a video longer and waits for the new one, as `create_and_wait` does.
---@param params sora.ExtendParams
---@param opts? sora.CreateAndWaitOptions
---@return sora.Video? video the completed video
---@return sora.Error? err with a `ticket` once the job is created
function Client:extend_and_wait(params, opts) end

---Makes a video longer, waits for the new one and saves it, as `create_and_download` does.
---@param params sora.ExtendParams
---@param target string|sora.DownloadTarget
---@param opts? sora.CreateAndWaitOptions
---@return sora.CreatedFile? file
---@return sora.Error? err with a `ticket` once the job is created
function Client:extend_and_download(params, target, opts) end

---Makes many films, each once, however often it is killed and run again. Needs the option `journal`.
---@param list (string|sora.CreateParams)[] prompts, or params with one more field, `output`
---@param opts sora.BatchOptions
---@return sora.BatchResults|sora.BatchItem[]|nil results
---@return sora.Error? err there is no journal, or no such folder
function Client:batch(list, opts) end

---Reads the jobs of the journal that are not over. Needs the option `journal`.
---@param opts? sora.JournalOptions
---@return sora.UnfinishedTicket[]? tickets for `watch` and `download_video`, where they have an id
---@return sora.Error? err
function Client:unfinished(opts) end

---Reads all jobs of the journal, oldest first. Needs the option `journal`.
---@param opts? sora.JournalOptions
---@return sora.JournalTicket[]? tickets
---@return sora.Error? err
function Client:journaled(opts) end

---Gives a ticket without an id the job that was made for it.
---@param ticket sora.UnfinishedTicket
---@param job sora.Id
---@return sora.UnfinishedTicket? ticket with its id
---@return sora.Error? err whose `code` is `not_journaled` or `taken`
function Client:adopt(ticket, job) end

---Closes a job of the journal by hand; the server hears nothing of it.
---@param what sora.UnfinishedTicket|sora.Id
---@return true? closed
---@return sora.Error? err whose `code` is `not_journaled` where the journal does not know the job
function Client:forget(what) end

---Saves the file of a finished job.
---@param id sora.Id
---@param target string|sora.DownloadTarget the path, or where to and which file
---@param opts? sora.CallOptions
---@return sora.File? file
---@return sora.Error? err
---@return sora.Response? response with the option `response`
function Client:download_video(id, target, opts) end

---Waits until a job ends.
---@param id sora.Id
---@param opts? sora.WaitOptions
---@return sora.Video? video the completed video
---@return sora.Error? err why there is no completed video; `err.video` is the last snapshot
---@return sora.Response? response of the last poll, with the option `response`
function Client:wait(id, opts) end

---Iterates over the snapshots of a job and their readings, the last one terminal. What ends the polls before that raises.
---@param id sora.Id
---@param opts? sora.PollOptions
---@return fun(): sora.Video?, sora.View?
function Client:poll(id, opts) end

---Waits for many jobs at once.
---@param ids sora.Id[]|sora.VideoList without holes
---@param opts? sora.WaitAllOptions
---@return sora.WaitResult[] results in the order of `ids`
function Client:wait_all(ids, opts) end

---Watches a job without waiting: `update` polls it when it is due.
---@param id sora.Id
---@param opts? sora.WatchOptions
---@return sora.Job? job
---@return sora.Error? err
function Client:watch(id, opts) end

---Starts a call and returns at once.
---@param name sora.CallName
---@param ... any the arguments of the method; its options may have `on_done` (`sora.StartOptions`)
---@return sora.Handle? handle
---@return sora.Error? err
function Client:start(name, ...) end

---Advances all started calls and watched jobs, and calls the callbacks of those that are done.
---@param seconds? number the longest wait for one of them to be done (0)
---@param calls_only? boolean `true` starts no polls of watched jobs, as in a process that is about to exit
---@return integer? running how many calls and watched jobs are left
---@return integer|sora.Error? on_wire how many of them have a request in flight; the error if the first result is nil
function Client:update(seconds, calls_only) end

---Makes the descriptor readable, and a blocking `update` return, after `seconds`: a timer for loops without one.
---@param seconds? number nil removes the timer
---@return nil
---@return sora.Error? err
function Client:wake(seconds) end

---Lets other tasks run for at most `seconds`. Replace it by your own function to make blocking calls cooperative.
---@param seconds number
---@param turn? sora.Turn the call that waits
function Client:pause(seconds, turn) end

---Passes on to `on_event` what a callback raised, for adapters that have caught it from `update`.
---@param problem any
---@return boolean told false if there is no `on_event`, or it raised an error itself
function Client:report(problem) end

---Returns a descriptor that is readable whenever `update(0)` has work; nil on platforms without one.
---@return integer?
function Client:fileno() end

---Returns the descriptor to poll; cqueues calls it.
---@return integer?
function Client:pollfd() end

---Returns the events to poll for; cqueues calls it.
---@return string
function Client:events() end

---Returns the seconds until `update(0)` has work because of a timer; nil: no timer is set.
---@return number?
function Client:timeout() end

---Returns the timeout of one attempt in seconds.
---@return number
function Client:attempt_timeout() end

---Ends all calls and watched jobs. Safe to call twice.
function Client:close() end

-- The module -------------------------------------------------------------------------

---The module. Its functions are the methods of the default client.
---@class sora
---@field _VERSION string of the module
---@field null any a JSON null among the params, the same as `cjson.null`
---Fetches a job: `Client:get_video` of the default client.
---@field get_video fun(id: sora.Id, opts?: sora.CallOptions): sora.Video?, sora.Error?, sora.Response?
---Creates a job: `Client:create_video` of the default client.
---@field create_video fun(params: sora.CreateParams, opts?: sora.CreateOptions): sora.Video?, sora.Error?, sora.Response?
---One page of the jobs: `Client:list_videos` of the default client.
---@field list_videos fun(params?: sora.ListParams, opts?: sora.CallOptions): sora.VideoList?, sora.Error?, sora.Response?
---Deletes a job and its file: `Client:delete_video` of the default client.
---@field delete_video fun(id: sora.Id, opts?: sora.CallOptions): sora.Deletion?, sora.Error?, sora.Response?
---Cancels a job that is not over: `Client:cancel_video` of the default client.
---@field cancel_video fun(id: sora.Id, opts?: sora.CallOptions): sora.Video?, sora.Error?, sora.Response?
---Makes a new video of a finished one: `Client:remix_video` of the default client.
---@field remix_video fun(id: sora.Id, params: sora.RemixParams, opts?: sora.CreateOptions): sora.Video?, sora.Error?, sora.Response?
---Edits a video: `Client:edit_video` of the default client.
---@field edit_video fun(params: sora.EditParams, opts?: sora.CreateOptions): sora.Video?, sora.Error?, sora.Response?
---Makes a video longer: `Client:extend_video` of the default client.
---@field extend_video fun(params: sora.ExtendParams, opts?: sora.CreateOptions): sora.Video?, sora.Error?, sora.Response?
---Makes a character from a video: `Client:create_character` of the default client.
---@field create_character fun(params: sora.CharacterParams, opts?: sora.CallOptions): sora.Character?, sora.Error?, sora.Response?
---Fetches a character: `Client:get_character` of the default client.
---@field get_character fun(id: string|sora.Character, opts?: sora.CallOptions): sora.Character?, sora.Error?, sora.Response?
---Iterates over the jobs of all pages: `Client:videos` of the default client.
---@field videos fun(params?: sora.ListParams, opts?: sora.CallOptions): fun(): sora.Video?
---Finds jobs that a create with a lost response may have made: `Client:find_created` of the default client.
---@field find_created fun(what: sora.Sought, opts?: sora.CallOptions): sora.Video[]?, sora.Error?
---Creates a video and waits for it: `Client:create_and_wait` of the default client.
---@field create_and_wait fun(params: sora.CreateParams, opts?: sora.CreateAndWaitOptions): sora.Video?, sora.Error?
---Creates a video, waits for it and saves it: `Client:create_and_download` of the default client.
---@field create_and_download fun(params: sora.CreateParams, target: string|sora.DownloadTarget, opts?: sora.CreateAndWaitOptions): sora.CreatedFile?, sora.Error?
---Remixes a video and waits for the new one: `Client:remix_and_wait` of the default client.
---@field remix_and_wait fun(id: sora.Id, params: sora.RemixParams, opts?: sora.CreateAndWaitOptions): sora.Video?, sora.Error?
---Remixes a video, waits for the new one and saves it: `Client:remix_and_download` of the default client.
---@field remix_and_download fun(id: sora.Id, params: sora.RemixParams, target: string|sora.DownloadTarget, opts?: sora.CreateAndWaitOptions): sora.CreatedFile?, sora.Error?
---Edits a video and waits for the new one: `Client:edit_and_wait` of the default client.
---@field edit_and_wait fun(params: sora.EditParams, opts?: sora.CreateAndWaitOptions): sora.Video?, sora.Error?
---Edits a video, waits for the new one and saves it: `Client:edit_and_download` of the default client.
---@field edit_and_download fun(params: sora.EditParams, target: string|sora.DownloadTarget, opts?: sora.CreateAndWaitOptions): sora.CreatedFile?, sora.Error?
---Makes a video longer and waits for the new one: `Client:extend_and_wait` of the default client.
---@field extend_and_wait fun(params: sora.ExtendParams, opts?: sora.CreateAndWaitOptions): sora.Video?, sora.Error?
---Makes a video longer, waits for the new one and saves it: `Client:extend_and_download` of the default client.
---@field extend_and_download fun(params: sora.ExtendParams, target: string|sora.DownloadTarget, opts?: sora.CreateAndWaitOptions): sora.CreatedFile?, sora.Error?
---Makes many films, each once: `Client:batch` of the default client.
---@field batch fun(list: (string|sora.CreateParams)[], opts: sora.BatchOptions): sora.BatchResults|sora.BatchItem[]|nil, sora.Error?
---Reads all jobs of the journal: `Client:journaled` of the default client.
---@field journaled fun(opts?: sora.JournalOptions): sora.JournalTicket[]?, sora.Error?
---Gives a ticket without an id the job that was made for it: `Client:adopt` of the default client.
---@field adopt fun(ticket: sora.UnfinishedTicket, job: sora.Id): sora.UnfinishedTicket?, sora.Error?
---Closes a job of the journal by hand: `Client:forget` of the default client.
---@field forget fun(what: sora.UnfinishedTicket|sora.Id): true?, sora.Error?
---Reads the jobs of the journal that are not over: `Client:unfinished` of the default client.
---@field unfinished fun(opts?: sora.JournalOptions): sora.UnfinishedTicket[]?, sora.Error?
---Saves the file of a finished job: `Client:download_video` of the default client.
---@field download_video fun(id: sora.Id, target: string|sora.DownloadTarget, opts?: sora.CallOptions): sora.File?, sora.Error?, sora.Response?
---Waits until a job ends: `Client:wait` of the default client.
---@field wait fun(id: sora.Id, opts?: sora.WaitOptions): sora.Video?, sora.Error?, sora.Response?
---Iterates over the snapshots of a job: `Client:poll` of the default client.
---@field poll fun(id: sora.Id, opts?: sora.PollOptions): fun(): sora.Video?, sora.View?
---Waits for many jobs at once: `Client:wait_all` of the default client.
---@field wait_all fun(ids: sora.Id[]|sora.VideoList, opts?: sora.WaitAllOptions): sora.WaitResult[]?, sora.Error?
---Watches a job without waiting: `Client:watch` of the default client.
---@field watch fun(id: sora.Id, opts?: sora.WatchOptions): sora.Job?, sora.Error?
---Starts a call and returns at once: `Client:start` of the default client.
---@field start fun(name: sora.CallName, ...: any): sora.Handle?, sora.Error?
---Advances all started calls and watched jobs: `Client:update` of the default client.
---@field update fun(seconds?: number, calls_only?: boolean): integer?, integer|sora.Error?
---Makes the descriptor readable after some seconds: `Client:wake` of the default client.
---@field wake fun(seconds?: number): nil, sora.Error?
---Lets other tasks run: `Client:pause` of the default client. Setting this field has no effect.
---@field pause fun(seconds: number, turn?: sora.Turn)
---Passes on to `on_event` what a callback raised: `Client:report` of the default client.
---@field report fun(problem: any): boolean?, sora.Error?
---Returns the descriptor to poll: `Client:fileno` of the default client.
---@field fileno fun(): integer?, sora.Error?
---Returns the same descriptor; cqueues calls it: `Client:pollfd` of the default client.
---@field pollfd fun(): integer?, sora.Error?
---Returns the events to poll for; cqueues calls it: `Client:events` of the default client.
---@field events fun(): string?, sora.Error?
---Returns the seconds until `update(0)` has work because of a timer: `Client:timeout` of the default client.
---@field timeout fun(): number?, sora.Error?
---Returns the timeout of one attempt: `Client:attempt_timeout` of the default client.
---@field attempt_timeout fun(): number?, sora.Error?
local sora = {}

---Creates a client.
---@param options sora.ClientOptions
---@return sora.Client? client
---@return sora.Error? err of kind `config`
function sora.new(options) end

---Creates a client and makes it the default client.
---@param options sora.ClientOptions
---@return sora.Client? client
---@return sora.Error? err of kind `config`; then the default client is unchanged
function sora.configure(options) end

---Converts a video of any dialect to one form.
---@param video table as a call returned it
---@return sora.View
function sora.normalize(video) end

---Marks a list as an array, so that it is sent as one: an empty table is an object otherwise.
---@param list? table a new one if missing
---@return table list the same table
function sora.array(list) end

---Checks the signature of a webhook and reads its event.
---@param headers table<string, string|string[]>|fun(name: string): string? of the request; names in any case
---@param body string the bytes as received
---@param secret string `whsec_` and base64, or the plain key
---@param tolerance? number how many seconds the timestamp may differ from now (300)
---@param now? number seconds since 1970
---@return sora.WebhookEvent? event
---@return sora.Error? err whose `code` is `webhook_unsigned`, `webhook_stale`, `webhook_forged` or `webhook_unreadable`
function sora.verify_webhook(headers, body, secret, tolerance, now) end

---Closes the default client; the next call creates a new one.
function sora.close() end

return sora
