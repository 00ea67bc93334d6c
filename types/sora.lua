---@meta sora
-- luacheck: no unused, no max line length
-- Types of sora for the Lua language server: add this folder to `workspace.library`.
-- Owns no code. Invariant: whatever the module, a client, a job or a handle has, and whatever option they
-- take, is declared here, and nothing else; spec/house/types_spec.lua holds it against the live tables.

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
---@field max_connections? integer a host (64); over HTTP/2 each carries a hundred requests
---@field proxy? string a URL, as libcurl's `CURLOPT_PROXY` takes it
---@field ca_file? string the file of certificates to trust
---@field ca_path? string the folder of certificates to trust
---@field verify? boolean `false` trusts any certificate (`true`)
---@field user_agent? string what the client calls itself (`"sora/…"`)
---@field on_event? fun(event: sora.Event) called with each request, retry and response
---@field dialect? sora.Dialect a preset where several things differ at once; what is given goes first
---@field paths? sora.Paths where calls are, below the base URL
---@field multipart? boolean `true` for servers that take nothing but forms (`false`)
---@field journal? string a file that gets a line for each job before and after it is made

---Presets: what each stands for is in lua/sora/options.lua.
---@alias sora.Dialect
---| "azure" # Azure OpenAI: the key in `api-key`
---| "newapi-generations" # new-api and its resellers: `/video/generations`
---| "openai" # OpenAI's own shape
---| "openrouter" # several files a job
---| "raw-key" # the bare key in `Authorization`
---| "video-query" # `/video/create` and `/video/query?id=`
---| "videos-generations" # `/videos/generations`
---| "vllm-omni" # nothing but forms

---Where calls are, below the base URL. `{id}` stands for the job's id, percent-encoded; a query may follow.
---@class sora.Paths
---@field create? string (`"/videos"`)
---@field list? string (`"/videos"`)
---@field get? string (`"/videos/{id}"`)
---@field delete? string (`"/videos/{id}"`)
---@field content? string (`"/videos/{id}/content"`)
---@field remix? string (`"/videos/{id}/remix"`)
---@field edit? string (`"/videos/edits"`)
---@field extend? string (`"/videos/extensions"`)
---@field create_character? string (`"/videos/characters"`)
---@field get_character? string (`"/videos/characters/{id}"`)

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
---@field input_reference? sora.Reference|sora.Reference[] what the video starts from
---@field [string] any whatever else the server takes

---A file to send: either `path` or `data`. It makes the request a form.
---@class sora.InputFile
---@field path? string of a file, which is read while it is sent
---@field data? string its bytes
---@field filename? string what the server is told it is called
---@field content_type? string what it is, such as `"image/png"`

---A file, a URL or data URL, or what the server has already.
---@alias sora.Reference string|sora.InputFile|{ image_url: string }|{ file_id: string }|{ id: string }

---What to make of a finished video.
---@class sora.RemixParams
---@field prompt string what changes
---@field [string] any whatever else the server takes

---What to edit.
---@class sora.EditParams
---@field video string|sora.Reference an id, or a file
---@field prompt string what changes
---@field [string] any whatever else the server takes

---What to make longer.
---@class sora.ExtendParams
---@field video string|sora.Reference an id, or a file
---@field prompt? string what follows
---@field seconds? string|number how much longer
---@field [string] any whatever else the server takes

---What to make a character of.
---@class sora.CharacterParams
---@field name string what it is called
---@field video string|sora.Reference an id, or a file
---@field [string] any whatever else the server takes

---Which jobs to list.
---@class sora.ListParams
---@field limit? integer how many a page
---@field after? string the id of the last job before the page
---@field order? "asc"|"desc" by the time of their creation
---@field [string] any whatever else the server takes

---What to look for among the jobs.
---@class sora.Sought
---@field prompt? string that was asked for
---@field since? number seconds since 1970

---Options of `create_and_wait` and `create_and_download`: those of the wait, and one of the create.
---@class sora.CreateAndWaitOptions: sora.PollOptions
---@field idempotency_key? string makes repeats of the create safe where the server knows it

---Where a download goes: `path` or `sink`.
---@class sora.DownloadTarget
---@field path? string the file; it is absent, the old one, or the whole new one
---@field sink? fun(chunk: string): boolean? gets the bytes in place of a file; it may wait, which slows the transfer; `false` stops it
---@field variant? "video"|"thumbnail"|"spritesheet" which of the job's files (`"video"`)
---@field on_progress? fun(received: integer, total: integer?): boolean? `false` stops the download
---@field resume? boolean whether an interrupted transfer resumes where it stopped (`true`), also one of another process
---@field sync? boolean `false` does not wait until the file is on the disk (`true`)
---@field grace? number seconds for which the file of a job that has just ended is asked for again (30; 10 where nobody knows when it ended); 0: not at all

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
---@field path? string where it is; nil when a sink got it
---@field bytes integer how long it is
---@field content_type? string what the server calls it

---A file of a job that was created for it.
---@class sora.CreatedFile: sora.File
---@field video sora.Video the completed job

---One page of jobs.
---@class sora.VideoList
---@field data? sora.Video[] the jobs
---@field first_id? string the id of the first
---@field last_id? string the id of the last, for `after`
---@field has_more? boolean whether another page follows
---@field [string] any whatever else the server says

---What a delete is answered with.
---@class sora.Deletion
---@field id? string the job's id
---@field object? string `"video.deleted"`
---@field deleted? boolean whether it is gone
---@field [string] any whatever else the server says

---A character that videos can be made with.
---@class sora.Character
---@field id? string for `get_character`, and for the prompts of videos
---@field name? string what it is called
---@field created_at? integer seconds since 1970
---@field [string] any whatever else the server says

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

---A job of the journal that nobody has seen end. One with `ambiguous` may never have been made.
---@class sora.UnfinishedTicket
---@field id? string the job's id; nil where the answer never came
---@field base_url string of the client's server
---@field created? integer seconds since 1970
---@field state? sora.State as it was last seen
---@field prompt? string what was asked for
---@field ambiguous? boolean there is no id: `find_created` may find the job

---What a server posts when a job has ended.
---@class sora.WebhookEvent
---@field type? string such as `"video.completed"`
---@field data? table the job, or its id: `sora.normalize` reads it
---@field [string] any whatever else the server says

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
---| "file" # a file could not be read, or not written; an old one is untouched
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
---@field ticket? sora.Ticket of a job that was created before things went wrong: `watch` takes it up

-- Calls and jobs under way -------------------------------------------------------------

---The methods that can be started: those that make one call, and three that make several.
---@alias sora.CallName
---| "create_and_download" # `Client:create_and_download`
---| "create_and_wait" # `Client:create_and_wait`
---| "create_character" # `Client:create_character`
---| "create_video" # `Client:create_video`
---| "delete_video" # `Client:delete_video`
---| "download_video" # `Client:download_video`
---| "edit_video" # `Client:edit_video`
---| "extend_video" # `Client:extend_video`
---| "get_character" # `Client:get_character`
---| "get_video" # `Client:get_video`
---| "list_videos" # `Client:list_videos`
---| "remix_video" # `Client:remix_video`

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

---One page of the jobs.
---@param params? sora.ListParams
---@param opts? sora.CallOptions
---@return sora.VideoList? page
---@return sora.Error? err
---@return sora.Response? response where it was asked for
function Client:list_videos(params, opts) end

---Deletes a job and its file.
---@param id string
---@param opts? sora.CallOptions
---@return sora.Deletion? answer
---@return sora.Error? err
---@return sora.Response? response where it was asked for
function Client:delete_video(id, opts) end

---Makes a new video of a finished one.
---@param id string
---@param params sora.RemixParams
---@param opts? sora.CallOptions
---@return sora.Video? job
---@return sora.Error? err where `ambiguous` is true, the server may have the job
---@return sora.Response? response where it was asked for
function Client:remix_video(id, params, opts) end

---Edits a video.
---@param params sora.EditParams
---@param opts? sora.CallOptions
---@return sora.Video? job
---@return sora.Error? err where `ambiguous` is true, the server may have the job
---@return sora.Response? response where it was asked for
function Client:edit_video(params, opts) end

---Makes a video longer.
---@param params sora.ExtendParams
---@param opts? sora.CallOptions
---@return sora.Video? job
---@return sora.Error? err where `ambiguous` is true, the server may have the job
---@return sora.Response? response where it was asked for
function Client:extend_video(params, opts) end

---Makes a character from a video.
---@param params sora.CharacterParams
---@param opts? sora.CallOptions
---@return sora.Character? character
---@return sora.Error? err
---@return sora.Response? response where it was asked for
function Client:create_character(params, opts) end

---Fetches a character.
---@param id string
---@param opts? sora.CallOptions
---@return sora.Character? character
---@return sora.Error? err
---@return sora.Response? response where it was asked for
function Client:get_character(id, opts) end

---Iterates over the jobs of all pages. A page that cannot be had raises its error table.
---@param params? sora.ListParams
---@param opts? sora.CallOptions
---@return fun(): sora.Video?
function Client:videos(params, opts) end

---Looks for the jobs that a create may have made whose answer never came.
---@param what sora.Sought
---@param opts? sora.CallOptions
---@return sora.Video[]? jobs those whose prompt the server does not tell come last
---@return sora.Error? err
function Client:find_created(what, opts) end

---Creates a video and waits for it.
---@param params sora.CreateParams
---@param opts? sora.CreateAndWaitOptions
---@return sora.Video? video the completed one
---@return sora.Error? err once there is a job it has its `ticket`
function Client:create_and_wait(params, opts) end

---Creates a video, waits for it and saves it. The target is checked and locked before anything is paid for.
---@param params sora.CreateParams
---@param target string|sora.DownloadTarget
---@param opts? sora.CreateAndWaitOptions
---@return sora.CreatedFile? file
---@return sora.Error? err once there is a job it has its `ticket`
function Client:create_and_download(params, target, opts) end

---Reads the jobs of the journal that nobody has seen end. Needs the option `journal`.
---@return sora.UnfinishedTicket[]? tickets for `watch`, where they have an id
---@return sora.Error? err
function Client:unfinished() end

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

---Drives all that was started and watched, and calls the callbacks of what is done.
---@param seconds? number how long it may wait for something to be done (0)
---@param calls_only? boolean `true` starts no polls of watched jobs, as in a process that is about to exit
---@return integer? running how many calls and watched jobs are left
---@return integer|sora.Error? on_wire how many of them are on the wire; the error where the first result is nil
function Client:update(seconds, calls_only) end

---Makes the descriptor readable, and a blocking `update` return, after `seconds`: a timer for loops without one.
---@param seconds? number nil removes it
---@return nil
---@return sora.Error? err
function Client:wake(seconds) end

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
---One page of the jobs: `Client:list_videos` of the default client.
---@field list_videos fun(params?: sora.ListParams, opts?: sora.CallOptions): sora.VideoList?, sora.Error?, sora.Response?
---Deletes a job and its file: `Client:delete_video` of the default client.
---@field delete_video fun(id: string, opts?: sora.CallOptions): sora.Deletion?, sora.Error?, sora.Response?
---Makes a new video of a finished one: `Client:remix_video` of the default client.
---@field remix_video fun(id: string, params: sora.RemixParams, opts?: sora.CallOptions): sora.Video?, sora.Error?, sora.Response?
---Edits a video: `Client:edit_video` of the default client.
---@field edit_video fun(params: sora.EditParams, opts?: sora.CallOptions): sora.Video?, sora.Error?, sora.Response?
---Makes a video longer: `Client:extend_video` of the default client.
---@field extend_video fun(params: sora.ExtendParams, opts?: sora.CallOptions): sora.Video?, sora.Error?, sora.Response?
---Makes a character from a video: `Client:create_character` of the default client.
---@field create_character fun(params: sora.CharacterParams, opts?: sora.CallOptions): sora.Character?, sora.Error?, sora.Response?
---Fetches a character: `Client:get_character` of the default client.
---@field get_character fun(id: string, opts?: sora.CallOptions): sora.Character?, sora.Error?, sora.Response?
---Iterates over the jobs of all pages: `Client:videos` of the default client.
---@field videos fun(params?: sora.ListParams, opts?: sora.CallOptions): fun(): sora.Video?
---Looks for the jobs that a create may have made whose answer never came: `Client:find_created` of the default client.
---@field find_created fun(what: sora.Sought, opts?: sora.CallOptions): sora.Video[]?, sora.Error?
---Creates a video and waits for it: `Client:create_and_wait` of the default client.
---@field create_and_wait fun(params: sora.CreateParams, opts?: sora.CreateAndWaitOptions): sora.Video?, sora.Error?
---Creates a video, waits for it and saves it: `Client:create_and_download` of the default client.
---@field create_and_download fun(params: sora.CreateParams, target: string|sora.DownloadTarget, opts?: sora.CreateAndWaitOptions): sora.CreatedFile?, sora.Error?
---Reads the jobs of the journal that nobody has seen end: `Client:unfinished` of the default client.
---@field unfinished fun(): sora.UnfinishedTicket[]?, sora.Error?
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
---Drives all that was started and watched: `Client:update` of the default client.
---@field update fun(seconds?: number, calls_only?: boolean): integer?, integer|sora.Error?
---Makes the descriptor readable after some seconds: `Client:wake` of the default client.
---@field wake fun(seconds?: number): nil, sora.Error?
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

---Checks the signature of a webhook and reads its event.
---@param headers table<string, string|string[]>|fun(name: string): string? of the request, in any case
---@param body string the bytes as they came
---@param secret string `whsec_` and base64, or the plain key
---@param tolerance? number seconds that the timestamp may be off (300)
---@param now? number seconds since 1970
---@return sora.WebhookEvent? event
---@return sora.Error? err whose `code` is `webhook_unsigned`, `webhook_stale`, `webhook_forged` or `webhook_unreadable`
function sora.verify_webhook(headers, body, secret, tolerance, now) end

---Closes the default client; the next call makes another.
function sora.close() end

return sora
