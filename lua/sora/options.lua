--- Options: the one checker of names and types, and the options of a client.
-- Owns the wording of misuse, the presets (`dialect`) and which environment variables count. Invariant: a key
-- is only ever taken from the place that names its server; OPENAI_API_KEY never goes to SORA_BASE_URL.
-- @module sora.options
-- @local

local core = require "sora.core"

core.own()

local options = {}

-- Checking ---------------------------------------------------------------------------

local NAMES = { boolean = "a boolean", ["function"] = "a function", string = "a string", table = "a table" }

--- Copies the fields of a table, not what is inside them.
-- @tparam ?table from
-- @tparam ?table into the table to add them to; by default a new one
-- @treturn table
function options.copy(from, into)
  into = into or {}
  for name, value in pairs(from or {}) do into[name] = value end
  return into
end

--- Returns the keys of a table, in order.
function options.names(known)
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Finds the known name that is spelled most like `word`.
-- @param word
-- @tparam table known the names are its keys
-- @treturn ?string nil if none is near
-- @treturn ?integer by how many edits
function options.nearest(word, known)
  if type(word) == "string" then return core.nearest(word, options.names(known)) end
end

--- Says what to write in place of an unknown name: "; did you mean 'x'?", "; write …" for a name that other
-- clients have, or "".
function options.suggest(word, known)
  return type(word) == "string" and core.suggest(word, options.names(known)) or ""
end

--- Raises unless a value has a type.
-- @tparam string who the function that the user called
-- @tparam string what the argument or option
-- @param value
-- @tparam string kind a type of Lua
-- @tparam ?string expected in words
function options.expect(who, what, value, kind, expected)
  if type(value) == kind then return end
  core.complain(who, ("%s: expected %s, got %s"):format(what, expected or NAMES[kind], type(value)))
end

--- The same for a value that may be nil.
function options.expect_optional(who, what, value, kind, expected)
  if value ~= nil then options.expect(who, what, value, kind, expected) end
end

--- Describes an option for `options.check`.
-- @tparam string kind the type of Lua
-- @tparam ?string expected in words
-- @tparam ?function test tells whether a value of that type is valid
-- @treturn table
function options.rule(kind, expected, test)
  return { kind = kind, expected = expected or NAMES[kind], test = test }
end

options.FUNCTION = options.rule "function"
options.FLAG = options.rule "boolean"
options.SECONDS = options.rule("number", "a positive number of seconds", function(n) return n > 0 end)
options.COUNT = options.rule("number", "a whole number, 0 or more", function(n)
  return n >= 0 and n % 1 == 0
end)

-- A number may be shown; any other value may be a key.
local function check_value(who, name, value, rule, arg)
  local right = type(value) == rule.kind
  if right and (not rule.test or rule.test(value)) then return end
  core.complain(who, ("option '%s': expected %s, got %s"):format(name, rule.expected,
    right and rule.kind == "number" and tostring(value) or type(value)), arg)
end

-- A table with a metatable: a copy of its own fields and of the known ones that the metatable gives.
local function plain(given, rules)
  if not getmetatable(given) then return given end
  local own = options.copy(given)
  for name in pairs(rules) do
    if own[name] == nil then own[name] = given[name] end
  end
  return own
end

--- Raises unless all names in a table are known and their values valid.
-- @tparam string who the function that the user called
-- @tparam table given
-- @tparam table rules name → a rule; true: somebody else checks the value
-- @treturn table the options, which metatables no longer matter for
function options.check(who, given, rules)
  given = plain(given, rules)
  for name, value in pairs(given) do
    if type(name) ~= "string" then
      core.complain(who, "options: expected names that are strings, as in { timeout = 60 }, got a "
        .. type(name))
    end
    local rule = rules[name]
    if not rule then
      core.complain(who, ("unknown option '%s'%s"):format(name, options.suggest(name, rules)))
    end
    if rule ~= true then check_value(who, name, value, rule) end
  end
  return given
end

-- The options of a client ------------------------------------------------------------

-- Presets for servers that differ in several things at once: what `dialect` stands for. A preset holds
-- options that anybody could give, and given options take precedence. Answers need none: `normalize` reads
-- them all.
options.dialects = {
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

local UNTIL = { saved = true, ended = true }

-- Options that C does not know. `paths` is checked by endpoints.paths, `journal` by journal.open.
local OWN = {
  paths = true,
  multipart = options.FLAG,
  journal = true,
  journal_until = options.rule("string", "'saved' or 'ended'", function(word) return UNTIL[word] == true end),
  dialect = options.rule "string",
}

-- An empty variable counts as missing.
local function getenv(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local function from_environment(given)
  local sora_url, openai_url = getenv("SORA_BASE_URL"), getenv("OPENAI_BASE_URL")
  local found = {}
  if given.base_url ~= nil or sora_url then
    found.base_url = given.base_url or sora_url
    found.api_key = getenv("SORA_API_KEY")
  elseif openai_url then
    found.base_url = openai_url
    found.api_key = getenv("SORA_API_KEY") or getenv("OPENAI_API_KEY")
  end
  return found
end

local function print_event(event)
  if event.event == "callback_error" then
    io.stderr:write("sora: a callback raised an error: ", core.printable(tostring(event.raised)), "\n")
    return
  end
  local parts = { "sora:", event.event, event.method, event.url, "attempt " .. event.attempt }
  if event.status then parts[#parts + 1] = "HTTP " .. event.status end
  if event.error then parts[#parts + 1] = event.error end
  if event.delay then parts[#parts + 1] = ("again in %.2f s"):format(event.delay) end
  if event.seconds then parts[#parts + 1] = ("%.3f s"):format(event.seconds) end
  io.stderr:write(core.printable(table.concat(parts, " ")), "\n")
end

-- SORA_DEBUG=1 prints the events, and the user's own on_event is called as well.
local function with_debug(on_event)
  if getenv("SORA_DEBUG") ~= "1" then return on_event end
  return function(event)
    print_event(event)
    if on_event then on_event(event) end
  end
end

-- Adds the preset's options that are not given.
local function add_dialect(all, own, who)
  if own.dialect == nil then return end
  local preset = options.dialects[own.dialect]
  if not preset then
    core.complain(who, ("option 'dialect': unknown dialect '%s'%s; known dialects: %s"):format(own.dialect,
      options.suggest(own.dialect, options.dialects), table.concat(options.names(options.dialects), ", ")), 1)
  end
  for name, value in pairs(preset) do
    local to = OWN[name] and own or all
    if to[name] == nil then
      to[name] = value
    elseif name == "paths" and type(to.paths) == "table" then
      to.paths = options.copy(to.paths, options.copy(value))
    end
  end
end

--- Completes the options of a client: adds those of the environment and of the dialect, and SORA_DEBUG's
-- printer.
-- @tparam table given
-- @tparam string who the function that the user called
-- @treturn table for the core
-- @treturn table for the Lua layer: paths, multipart, journal, journal_until
function options.complete(given, who)
  local all, own = {}, {}
  if getmetatable(given) then setmetatable(all, { __index = given }) end -- C asks for the names it knows
  for name, value in pairs(plain(given, OWN)) do
    local rule = OWN[name]
    if rule and rule ~= true then check_value(who, name, value, rule, 1) end
    if rule then own[name] = value else all[name] = value end
  end
  add_dialect(all, own, who)
  for name, value in pairs(from_environment(given)) do
    if all[name] == nil then all[name] = value end
  end
  all.on_event = with_debug(given.on_event)
  return all, own
end

return options
