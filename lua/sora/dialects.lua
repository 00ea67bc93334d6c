--- Presets for servers where several things differ at once.
-- Owns which options a dialect stands for. Invariant: a preset holds options that anybody could give, and
-- what is given goes first; answers need none, because `normalize` reads them all.
-- @module sora.dialects

return {
  -- OpenAI's own shape, as LiteLLM, Bifrost, LocalAI and most gateways have it.
  openai = {},

  -- Azure OpenAI: base_url = "https://NAME.openai.azure.com/openai/v1?api-version=preview"; an Entra token
  -- goes with auth = "bearer".
  azure = { auth = "api-key" },

  -- OpenRouter: base_url = "https://openrouter.ai/api/v1"; several files a job, by index.
  openrouter = { paths = { content = "/videos/{id}/content?index=0" } },

  -- new-api and its resellers, the older paths.
  ["newapi-generations"] = { paths = { create = "/video/generations", get = "/video/generations/{id}" } },

  -- Gateways that ask by query: GET /video/query?id=…
  ["video-query"] = { paths = { create = "/video/create", get = "/video/query?id={id}" } },

  -- Gateways with generations below videos: POST and GET /videos/generations.
  ["videos-generations"] = { paths = { create = "/videos/generations", get = "/videos/generations/{id}" } },

  -- vLLM-Omni takes nothing but multipart forms.
  ["vllm-omni"] = { multipart = true },

  -- Gateways that want the bare key in Authorization.
  ["raw-key"] = { auth = "raw" },
}
