---@meta sora.loop.uv

---Makes the waiting calls of a client cooperative under luv.
---@param client sora.Client
---@param opts? { call?: fun(work: fun()) } `call` runs its work soon, as Neovim's `vim.schedule` does
---@return sora.Client client the same
return function(client, opts) end
