--- The options that commands have in common, and the params of a create that they stand for.
-- Invariant: a value that is certainly wrong is refused before a request is made of it.
-- @module sora.cli.params
-- @local

local core = require "sora.core"
local endpoints = require "sora.endpoints"
local exit = require "sora.cli.exit"
local json = require "sora.json"
local options = require "sora.options"
local text = require "sora.cli.text"

local params = {}

--- Converts a number of seconds, for argparse.
function params.seconds(value)
  local number = tonumber(value)
  if number and number > 0 then return number end
  return nil, ("expected a number of seconds above 0, got '%s'"):format(value)
end

--- Converts a count, for argparse.
function params.count(value)
  local number = tonumber(value)
  if number and number >= 1 and number % 1 == 0 then return number end
  return nil, ("expected a whole number, 1 or more, got '%s'"):format(value)
end

-- NAME=VALUE: a value that is JSON is taken as such, any other as a string.
local function assignment(value)
  local name, right = value:match "^([^=]+)=(.*)$"
  if not name then return nil, ("expected NAME=VALUE, got '%s'"):format(value) end
  local decoded = json.decode("[" .. right .. "]")
  if type(decoded) == "table" and #decoded == 1 then return { name, decoded[1] } end
  if right == "null" then return { name, json.null } end
  return { name, right }
end

function params.define_output(command)
  command:option "-o --output":argname "FILE"
    :description "Where the video goes: a file, a folder, or - for standard output."
  command:flag "--force":description "Overwrite a file that exists."
end

function params.define_waiting(command)
  command:option "--timeout":argname "S":convert(params.seconds)
    :description "Seconds to wait (1800); the job goes on after that."
end

function params.define_params(command)
  command:option "-m --model":argname "MODEL":description "The model."
  command:option "-s --seconds":argname "S":description "How long the video is to be."
  command:option "--size":argname "WxH":description "Its size, such as 1280x720."
  command:option "-i --image":argname "IMAGE":count "*"
    :description "A picture to start from: a file or a URL."
  command:option "--set":argname "NAME=VALUE":count "*":convert(assignment):description
    "Any other field of the request; a VALUE that is JSON is sent as such."
end

-- The prompt, from standard input if it is "-".
local function read_prompt(prompt)
  if prompt == "-" then
    prompt = (io.read "*a" or ""):gsub("%s+$", "")
  end
  if not prompt:find "%S" then exit.usage "the prompt is empty" end
  return prompt
end

local function reference(image)
  if image:find "^%a[%w+.-]*://" or image:find "^data:" then return { image_url = image } end
  local kind = core.file_kind(image)
  if kind ~= "file" then
    exit.fail(exit.USAGE, ("--image: expected a file or a URL, got '%s', which is %s"):format(image,
      kind == "folder" and "a folder" or kind and "not a regular file" or "not there"))
  end
  return { path = image }
end

--- Returns the params that the arguments stand for.
function params.of(session)
  local args, defaults = session.args, session:server().defaults
  local given = { prompt = args.prompt and read_prompt(args.prompt), model = args.model or defaults.model,
    seconds = args.seconds or defaults.seconds, size = args.size or defaults.size }
  local images = {}
  for i, image in ipairs(args.image) do images[i] = reference(image) end
  if #images > 0 then given.input_reference = #images == 1 and images[1] or images end
  if #args.set > 0 then
    given.extra_body = {}
    for _, pair in ipairs(args.set) do given.extra_body[pair[1]] = pair[2] end
  end
  return given
end

-- The parts of a form, or the JSON body, for people.
local function body_lines(spec)
  if spec.body then return { "Content-Type: application/json", "", text.shown(spec.body) } end
  local lines = { "Content-Type: multipart/form-data", "" }
  for _, part in ipairs(spec.parts or {}) do
    lines[#lines + 1] = part.name .. ": " .. text.shown(part.path and "the file " .. part.path or part.data)
  end
  return lines
end

-- The header that has the key, without it.
local function key_line(server)
  local preset = options.dialects[server.client.dialect] or {}
  local auth = server.client.auth or preset.auth or "bearer"
  local header = (auth == "api-key" or auth == "x-api-key") and auth or "Authorization"
  if not server.key or auth == "none" then return header .. ": (no key)" end
  return ("%s: (the key, from %s)"):format(header, server.key_from)
end

--- Prints the request that would be sent, without the key.
function params.show_request(session, given)
  local client = session:client()
  local spec = endpoints.describe.create_video(client, given)
  local url = client.base_url .. spec.path .. (spec.query and "?" .. spec.query or "")
  session.screen:result("POST " .. text.shown(url))
  session.screen:result(key_line(session:server()))
  for _, line in ipairs(body_lines(spec)) do session.screen:result(line) end
  session.screen:object { method = "POST", url = url, body = spec.body and json.decode(spec.body),
    parts = spec.parts }
end

return params
