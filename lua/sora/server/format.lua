--- The JSON that OpenAI's server sends: the default dialect.
-- Owns the shape of every JSON body sent under the base path. A server in another dialect is another table
-- with these functions. Pure.
local json = require "sora.server.json"

local format = {}

local VIDEO = {
  "id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at", "prompt", "size",
  "seconds", "remixed_from_video_id", "error",
}

--- Writes a video.
-- @tparam table view from `Store:view`
-- @treturn string JSON
function format.video(view)
  return json.object(VIDEO, view)
end

--- Writes the response to a delete.
-- @tparam string id
-- @treturn string JSON
function format.deleted(id)
  return json.object({ "id", "object", "deleted" }, { id = id, object = "video.deleted", deleted = true })
end

--- Writes one page of the list.
-- @tparam {table,...} views
-- @tparam boolean has_more
-- @treturn string JSON
function format.list(views, has_more)
  local items = {}
  for i, view in ipairs(views) do
    items[i] = format.video(view)
  end
  local first, last = views[1], views[#views]
  local first_id = json.encode(first and first.id or json.null)
  local last_id = json.encode(last and last.id or json.null)
  return ('{"object":"list","data":%s,"first_id":%s,"last_id":%s,"has_more":%s}'):format(
    json.array(items), first_id, last_id, tostring(has_more))
end

--- Writes a character.
-- @tparam table character `id`, `name`, `created_at`
-- @treturn string JSON
function format.character(character)
  return json.object({ "id", "name", "created_at" }, character)
end

local TYPES = { [401] = "authentication_error", [429] = "rate_limit_error" }

--- Writes an error.
-- @tparam table problem `status`, `message`, and where known `code` and `param`
-- @treturn string JSON
function format.error(problem)
  local kind = TYPES[problem.status] or problem.status >= 500 and "server_error" or "invalid_request_error"
  return '{"error":' .. json.object({ "message", "type", "param", "code" }, {
    message = problem.message, type = kind, param = problem.param, code = problem.code,
  }) .. "}"
end

return format
