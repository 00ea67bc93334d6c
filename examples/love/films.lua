-- The films: how far each is, and where it is saved.
-- Owns the client, its journal in the save directory, and the list that the screen shows. Invariant: nothing
-- waits, except `open` and `close`; a film is asked for once, and the next start resumes what is not over.
-- luacheck: std +love
local sora = require "sora"

local films = { list = {} } -- newest first: { prompt, label, state, text, progress, busy, id, picture, note }
local POLL = 1    -- s; until the second look at a job, then slowly more
local CLOSING = 3 -- s; how long `close` waits for the answers of creates

local client
local asked = 0 -- films, since the start
local pictures = love.thread.newChannel() -- of { label, ImageData } or { label, false, why }

-- Runs in a thread, because decoding a big picture takes longer than a frame.
local DECODE = [[
local label, name, pictures = ...
require "love.image"
local data, why = love.filesystem.read("data", name)
local good, image = false, nil
if data and data:getString():find "^RIFF....WEBP" then
  why = "this thumbnail is WebP, which LÖVE cannot draw"
elseif data then
  good, image = pcall(love.image.newImageData, data)
  why = "LÖVE cannot draw this thumbnail: " .. tostring(image)
end
pictures:push { label, good and image, not good and why or nil }]]

-- Returns the file of a film: its name in the save directory, and its path.
local function file_of(film, suffix)
  local name = "films/" .. film.label .. suffix
  return name, love.filesystem.getSaveDirectory() .. "/" .. name
end

local function find(label)
  for _, film in ipairs(films.list) do
    if film.label == label then return film end
  end
end

local function set(film, state, text)
  film.state, film.text = state, text
  film.busy = state ~= "saved" and state ~= "unsure" and state ~= "failed"
end

-- Starts a call. One that cannot be started is done at once.
local function start(name, first, target, opts)
  local handle, err = client:start(name, first, target, opts)
  if not handle then opts.on_done(nil, err) end
end

local function show_thumbnail(film)
  love.thread.newThread(DECODE):start(film.label, file_of(film, ".thumbnail"), pictures)
end

local function finish(film, file, err)
  if not file and err.ambiguous then
    return set(film, "unsure", "The answer was lost: the server may have the job. It is not asked for again.")
  elseif not file then
    return set(film, "failed", tostring(err))
  end
  set(film, "saved", file.path)
  if not film.id then return end -- the server sent the film at once
  local _, path = file_of(film, ".thumbnail")
  start("download_video", film.id, { path = path, variant = "thumbnail" }, { on_done = function(_, problem)
    if not problem then return show_thumbnail(film) end
    film.note = "no thumbnail: " .. tostring(problem)
  end })
end

local WORDS = { queued = "waits in the server's queue", in_progress = "is being made",
  completed = "is being saved" }

-- Adds a film to the list. Its functions are the callbacks of its calls.
local function add(prompt, label)
  local film = { prompt = prompt, label = label, progress = 0 }
  function film.on_progress(_, view)
    film.id, film.progress = view.id or film.id, view.progress or film.progress
    if WORDS[view.state] then set(film, view.state, WORDS[view.state]) end
  end
  function film.on_done(file, err) finish(film, file, err) end
  table.insert(films.list, 1, film)
  return film
end

--- Asks for a film.
function films.make(prompt)
  asked = asked + 1
  local film = add(prompt, ("%s-%d"):format(os.date "%Y%m%d-%H%M%S", asked))
  local _, path = file_of(film, ".mp4")
  set(film, "asking", "asks the server")
  start("create_and_download", { prompt = prompt, seconds = "4", model = os.getenv "SORA_MODEL" }, path,
    { label = film.label, interval = POLL, on_progress = film.on_progress, on_done = film.on_done })
end

-- Waits for a job that was made before, and saves its film.
local function follow(film, ticket)
  local _, path = file_of(film, ".mp4")
  film.id = ticket.id
  set(film, "queued", "is taken up again")
  client:watch(ticket, { interval = POLL, on_progress = film.on_progress, on_done = function(video, err)
    if not video then return finish(film, nil, err) end
    start("download_video", ticket, path, { on_done = film.on_done })
  end })
end

--- Lists the films of the journal, and follows the jobs that are not over.
function films.resume()
  local tickets, err = client:journaled()
  films.problem = err and tostring(err)
  for _, ticket in ipairs(tickets or {}) do
    local label = ticket.label or ticket.key
    local film = find(label) or (ticket.path or not ticket.over) and add(ticket.prompt or "?", label)
    local open = film and not film.busy and film.state ~= "saved"
    if open and ticket.path then
      set(film, "saved", ticket.path)
      show_thumbnail(film)
    elseif open and ticket.ambiguous and not ticket.over then
      finish(film, nil, ticket)
    elseif open and not ticket.over then
      follow(film, ticket)
    end
  end
end

--- Removes the newest film that failed or is unsure from the list; what is unsure from the journal, too.
function films.dismiss()
  for i, film in ipairs(films.list) do
    if film.state == "unsure" or film.state == "failed" then
      for _, ticket in ipairs(client:unfinished() or {}) do
        if ticket.ambiguous and ticket.label == film.label then client:forget(ticket) end
      end
      return table.remove(films.list, i)
    end
  end
end

function films.open()
  assert(love.filesystem.createDirectory "films")
  client = assert(sora.new { journal = love.filesystem.getSaveDirectory() .. "/jobs.journal" })
  films.resume()
end

--- Drives the client, and takes a thumbnail that is decoded.
function films.update()
  client:update(0)
  local answer = pictures:pop()
  local film = answer and find(answer[1])
  if not film then return end
  local good, image = pcall(love.graphics.newImage, answer[2])
  film.picture, film.note = good and image or nil, answer[3] or not good and image or nil
end

-- Whether a create has no answer yet.
local function is_asking()
  for _, ticket in ipairs(client:unfinished() or {}) do
    local film = find(ticket.label)
    if ticket.ambiguous and film and film.busy then return true end
  end
end

--- Waits some seconds for the answers of creates, so that the journal has the ids of their jobs.
function films.close()
  local till = love.timer.getTime() + CLOSING
  while is_asking() and love.timer.getTime() < till do client:update(0.1, true) end
  client:close()
end

return films
