---@meta sora.loop.copas

---Makes the waiting calls of a client cooperative.
---@param client sora.Client
---@return sora.Client client the same
return function(client) end
