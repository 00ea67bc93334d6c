-- The commands of the Neovim example. Owns their names. Invariant: lua/sora_films.lua is loaded when one is
-- used, or when there is a journal, and not before.
-- luacheck: globals vim
local function films() return require "sora_films" end

local command = vim.api.nvim_create_user_command
command("Sora", function(opts) films().make(opts.args ~= "" and opts.args or films().selection(opts)) end,
  { nargs = "*", range = true, desc = "Make a film of a prompt, or of the selected text" })
command("SoraList", function() films().list() end, { desc = "List all films, and resume what is not over" })
command("SoraForget", function() films().forget() end, { desc = "Forget the jobs whose answer was lost" })

-- A Neovim whose environment names no server starts in silence.
vim.api.nvim_create_autocmd("VimEnter", { once = true, callback = function()
  local has_server = (vim.env.SORA_BASE_URL or "") .. (vim.env.OPENAI_BASE_URL or "") ~= ""
  local has_journal = vim.fn.filereadable(vim.fn.stdpath "data" .. "/sora/jobs.journal") == 1
  if has_server and has_journal then films().resume() end
end })
