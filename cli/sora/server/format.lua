--- JSON for the development server: how it is decoded, and the bodies of OpenAI's server.
-- Owns a cjson instance of its own, so that it neither changes nor depends on a program's cjson settings, and
-- the shape of every body sent under the base path. A server in another dialect is another table with the
-- functions `video`, `deleted`, `list`, `character` and `error`. Pure.
local cjson = require("cjson.safe").new()

local format = {}
local json = { null = cjson.null, encode = cjson.encode }
format.json = json

-- ---- JSON -------------------------------------------------------------------------------------------------

local function without_nulls(value)
  if type(value) ~= "table" then
    return value
  end
  for key, item in pairs(value) do
    if item == cjson.null then
      value[key] = nil
    else
      without_nulls(item)
    end
  end
  return value
end

--- Decodes JSON; a null becomes a missing field.
-- @tparam string text
-- @return the value, or nil and the reason
function json.decode(text)
  local value, err = cjson.decode(text)
  if value == nil then
    return nil, err
  elseif value == cjson.null then
    return nil, "null"
  end
  return without_nulls(value)
end

--- Decodes a JSON object. Looks at the text, because cjson decodes `[]` and `{}` to the same table.
-- @tparam string text
-- @treturn ?table nil when it is not JSON or not an object
function json.decode_object(text)
  return text:find("^%s*{") and json.decode(text) or nil
end

--- Encodes an object with its fields in a given order, and missing ones as null, as real servers do.
-- @tparam {string,...} names its fields, in order
-- @tparam table values
-- @treturn string
function json.object(names, values)
  local parts = {}
  for i, name in ipairs(names) do
    local value = values[name]
    if value == nil then
      value = cjson.null
    end
    parts[i] = cjson.encode(name) .. ":" .. assert(cjson.encode(value))
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

--- Encodes an array of JSON texts. cjson would encode an empty array as `{}`.
-- @tparam {string,...} items
-- @treturn string
function json.array(items)
  return "[" .. table.concat(items, ",") .. "]"
end

--- Changes fields of an object and keeps its nulls.
-- @tparam string text
-- @tparam function change receives the object
-- @treturn string
function json.edit(text, change)
  local object = assert(cjson.decode(text))
  change(object)
  return assert(cjson.encode(object))
end

-- ---- the default dialect ----------------------------------------------------------------------------------

local VIDEO = {
  "id", "object", "model", "status", "progress", "created_at", "completed_at", "expires_at", "prompt", "size",
  "seconds", "remixed_from_video_id", "error",
}

--- Encodes a video.
-- @tparam table view from `Store:view`
-- @treturn string JSON
function format.video(view)
  return json.object(VIDEO, view)
end

--- Encodes the response to a delete.
-- @tparam string id
-- @treturn string JSON
function format.deleted(id)
  return json.object({ "id", "object", "deleted" }, { id = id, object = "video.deleted", deleted = true })
end

--- Encodes one page of the list.
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

--- Encodes a character.
-- @tparam table character `id`, `name`, `created_at`
-- @treturn string JSON
function format.character(character)
  return json.object({ "id", "name", "created_at" }, character)
end

local TYPES = { [401] = "authentication_error", [429] = "rate_limit_error" }

--- Encodes an error.
-- @tparam table problem `status`, `message`, and where known `code` and `param`
-- @treturn string JSON
function format.error(problem)
  local kind = TYPES[problem.status] or problem.status >= 500 and "server_error" or "invalid_request_error"
  return '{"error":' .. json.object({ "message", "type", "param", "code" }, {
    message = problem.message, type = kind, param = problem.param, code = problem.code,
  }) .. "}"
end

return format
