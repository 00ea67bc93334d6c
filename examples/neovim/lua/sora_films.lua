-- Films in Neovim: made, followed and saved while the editor goes on.
-- Owns the client, its journal and the films of this Neovim. Invariant: each film has a coroutine that waits
-- while the editor runs; a job that is not over is in the journal, and the next Neovim resumes it.
-- luacheck: globals vim
local M = {}

local CLOSING = 3 -- s; how long leaving waits for the answers of creates
local FRESH = 60  -- s; a create without an answer may be another Neovim's, which waits for it

local UNSURE = ". The server may have the job; it is not asked for again. :SoraForget closes it."

local folder = vim.fn.stdpath "data" .. "/sora" -- the journal and the films
local films = {} -- label → { prompt, label, state, progress, busy }
local client

local function say(level, text, ...)
  vim.notify("sora: " .. text:format(...), vim.log.levels[level])
end

-- Says that a film is saved, on one line: a longer message would wait for Enter.
local function say_saved(film)
  local text = film.prompt:gsub("%c", " ") .. " is saved; :SoraList shows where"
  local columns = vim.v.echospace - #"sora: "
  if vim.fn.strdisplaywidth(text) > columns then text = "a film is saved; :SoraList shows where" end
  say("INFO", "%s", text)
end

-- Whether a create of this Neovim has no answer yet.
local function is_asking()
  for _, ticket in ipairs(client:unfinished() or {}) do
    local film = films[ticket.label]
    if ticket.ambiguous and film and film.busy then return true end
  end
end

-- Waits some seconds for the answers of creates, so that the journal has the ids of their jobs.
local function leave()
  local till = vim.loop.hrtime() + CLOSING * 1e9
  while is_asking() and vim.loop.hrtime() < till do client:update(0.1, true) end
  client:close()
end

-- Makes the client at first use, or says why it can't. The URL and the key come from the environment, never
-- from a file.
local function open()
  if client then return client end
  vim.fn.mkdir(folder, "p")
  local made, err = require("sora").new { journal = folder .. "/jobs.journal" }
  if not made then return say("ERROR", "%s", err.message) end
  client = require "sora.loop.uv"(made, { call = vim.schedule }) -- callbacks of uv may not touch the editor
  vim.api.nvim_create_autocmd("VimLeavePre", { callback = leave })
  return client
end

-- Runs the calls of a film, which wait, in a coroutine; says how they ended.
local function run(film, calls)
  films[film.label], film.busy, film.progress = film, true, 0
  local path = ("%s/%s.mp4"):format(folder, film.label)
  local function on_progress(_, view)
    film.state, film.progress = view.state, view.progress or film.progress
    vim.cmd "redrawstatus!"
  end
  local good, problem = coroutine.resume(coroutine.create(function()
    local file, err = calls(path, on_progress)
    film.busy = false
    vim.cmd "redrawstatus!"
    if file then
      say_saved(film)
    elseif err.code ~= "locked" and err.kind ~= "closed" then -- another Neovim is, or will be, saving it
      say("ERROR", "%s: %s%s", film.prompt, err.message, err.ambiguous and UNSURE or "")
    end
  end))
  if good then return end
  film.busy = false
  error(problem, 0)
end

--- Makes a film.
function M.make(prompt)
  if not prompt:find "%S" then return say("ERROR", "write :Sora PROMPT, or select the prompt") end
  if not open() then return end
  local film = { prompt = prompt, label = os.date "%Y%m%d-%H%M%S-" .. vim.loop.hrtime(), state = "asking" }
  local params = vim.tbl_extend("force", { seconds = "4" }, vim.g.sora_params or {}, { prompt = prompt })
  run(film, function(path, on_progress)
    return client:create_and_download(params, path, { label = film.label, on_progress = on_progress })
  end)
end

--- Resumes the jobs of the journal that nobody follows here.
function M.resume()
  if not open() then return end
  local tickets, err = client:unfinished()
  if not tickets then return say("ERROR", "%s", err.message) end
  for _, ticket in ipairs(tickets) do
    local film = films[ticket.label] or { prompt = ticket.prompt or "?", label = ticket.label or ticket.key }
    local is_old = os.time() - (ticket.created or 0) > FRESH
    if ticket.id and not film.busy then
      run(film, function(path, on_progress)
        local video, problem = client:wait(ticket, { on_progress = on_progress })
        if not video then return nil, problem end
        return client:download_video(ticket, path)
      end)
    elseif ticket.ambiguous and is_old and not film.busy then
      say("WARN", "%s: the answer was lost%s", film.prompt, UNSURE)
    end
  end
end

--- Closes the jobs of the journal whose answer was lost.
function M.forget()
  for _, ticket in ipairs(open() and client:unfinished() or {}) do
    local film = films[ticket.label]
    if ticket.ambiguous and not (film and film.busy) then client:forget(ticket) end
  end
end

--- Lists all films of the journal in a window, newest first.
function M.list()
  M.resume()
  if not client then return end
  local lines = {}
  for _, ticket in ipairs(client:journaled() or {}) do
    local film = films[ticket.label]
    local state = film and film.busy and ("%s, %d %%"):format(film.state or "resumed", film.progress)
      or ticket.path or ticket.state or ticket.over and "forgotten" or "unsure: the answer was lost"
    table.insert(lines, 1, ("%s  (%s)"):format((ticket.prompt or "?"):gsub("%c", " "), state))
  end
  vim.cmd "botright new"
  vim.bo.buftype, vim.bo.bufhidden, vim.bo.swapfile = "nofile", "wipe", false
  vim.api.nvim_buf_set_lines(0, 0, -1, false, lines)
end

--- For the status line: "sora: 2 films, 45 %", or nothing.
function M.status()
  local count, sum = 0, 0
  for _, film in pairs(films) do
    if film.busy then count, sum = count + 1, sum + film.progress end
  end
  if count == 0 then return "" end
  return ("sora: %d film%s, %d %%"):format(count, count == 1 and "" or "s", sum / count)
end

--- Returns the text of a command's range: the visual selection, or whole lines; no range is an empty text.
function M.selection(opts)
  if opts.range == 0 then return "" end
  local lines = vim.api.nvim_buf_get_lines(0, opts.line1 - 1, opts.line2, false)
  local from, to = vim.fn.getpos "'<", vim.fn.getpos "'>"
  if vim.fn.visualmode() == "v" and opts.range == 2 and from[2] == opts.line1 and to[2] == opts.line2 then
    local last = lines[#lines]
    lines[#lines] = last:sub(1, to[3] - 1) .. vim.fn.matchstr(last:sub(to[3]), "^.")
    lines[1] = lines[1]:sub(from[3])
  end
  return table.concat(lines, "\n")
end

return M
