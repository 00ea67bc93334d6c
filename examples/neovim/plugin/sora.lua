-- The commands of the Neovim example. Owns their names. Invariant: lua/sora_films.lua is loaded when one is
-- used, or when there is a journal, and not before.
-- luacheck: globals vim
local function films() return require "sora_films" end

local command = vim.api.nvim_create_user_command
command("Sora", function(opts) films().make(opts.args ~= "" and opts.args or films().selection(opts)) end,
  { nargs = "*", range = true, desc = "Make a film of a prompt, or of the selected text" })
command("SoraList", function() films().list() end, { desc = "List all films, and resume what is not over" })
command("SoraForget", function() films().forget() end, { desc = "Forget the jobs whose answer was lost" })

vim.api.nvim_create_autocmd("VimEnter", { once = true, callback = function()
  if vim.fn.filereadable(vim.fn.stdpath "data" .. "/sora/jobs.journal") == 1 then films().resume() end
end })
