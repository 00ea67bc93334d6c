--- `sora doctor`: finds out why a server does not work.
--
-- Owns the order of the checks and how they are shown. Invariant: it sends GETs alone, so it costs nothing.
-- @local
local address = require "sora.cli.doctor.address"
local api = require "sora.cli.doctor.api"
local config = require "sora.cli.doctor.config"
local core = require "sora.core"
local endpoints = require "sora.endpoints"
local exit = require "sora.cli.exit"
local files = require "sora.cli.files"
local json = require "sora.json"
local network = require "sora.cli.doctor.network"
local options = require "sora.options"
local params = require "sora.cli.params"
local probe = require "sora.cli.doctor.probe"
local repair = require "sora.cli.doctor.repair"
local report = require "sora.cli.doctor.report"
local settings = require "sora.cli.settings"
local text = require "sora.cli.text"

local doctor = { about = "Find out why a server does not work.", usage = "[--all] [--timeout S]" }

function doctor.define(command)
  command:flag "--all":description "Check all profiles, and the servers of SORA_BASE_URL and OPENAI_BASE_URL."
  command:option "--timeout":argname "S":default "10":convert(params.seconds)
    :description "Seconds to wait for each answer."
end

-- Printing ---------------------------------------------------------------------------

local COLORS = { ok = "green", bad = "red", ["?"] = "yellow" }
local WIDTH = 8 -- of the name of a check

-- Breaks a text into lines for the terminal; the first one begins at column `indent`.
local function wrap(value, indent)
  local columns = core.columns(1)
  if not columns then return value end
  local lines, line = {}, ""
  for word in value:gmatch "%S+" do
    if line ~= "" and text.width(line) + 1 + text.width(word) > columns - indent then
      lines[#lines + 1], line = line, word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n" .. (" "):rep(indent))
end

local function paint(session, color, value)
  return core.columns(1) and session.screen:paint(color, value) or value
end

local function print_finding(session)
  return function(finding)
    if session.screen.quiet then return end
    session.screen:result(("%s %s  %s"):format(text.pad(finding.check, WIDTH),
      paint(session, COLORS[finding.verdict], text.pad(finding.verdict, 3)),
      wrap(text.shown(finding.message), WIDTH + 6)))
    io.stdout:flush()
  end
end

-- Prints what is wrong, in a sentence, and the commands that repair it; these are never broken.
local function print_problem(session, found)
  local problem = found.problem
  if not problem then
    return session.screen:result(paint(session, "green", "Nothing is wrong, as far as a GET can tell."))
  end
  session.screen:result((session.screen.quiet and "" or "\n")
    .. paint(session, "red", wrap(text.shown(problem.text), 0)))
  for _, command in ipairs(problem.repair) do session.screen:result("  " .. text.shown(command)) end
end

local function object_of(found, server)
  local problem = found.problem
  return { ok = problem == nil, status = problem and problem.status or exit.DONE,
    problem = problem and problem.text, repair = problem and json.array(problem.repair),
    checks = json.array(found.checks),
    base_url = server.found and server.found.base_url and address.shown(server.found.base_url),
    from = server.found and server.found.from }
end

-- Servers ----------------------------------------------------------------------------

local function paths_of(found)
  return endpoints.paths((options.dialects[found.client.dialect] or {}).paths, "doctor")
end

local function examine(session, server)
  local findings = server.findings
  if not config.check_server(findings, server) then return end
  server.base, server.paths = server.parts.path, paths_of(server.found)
  server.job = api.job(server.paths)
  network.check_proxy(findings, server)
  server.probe = probe.new(server.found, server.parts.scheme .. "://" .. server.parts.authority,
    server.parts.query, session.args.timeout, session:event_printer())
  local good, raised = pcall(function()
    if network.reach(findings, server) then api.check(findings, server) end
  end)
  server.probe:close()
  if not good then error(raised, 0) end
end

-- Every source that names a server, in the order in which they count.
local function all_servers(session)
  local servers = {}
  local function add(source)
    local found = settings.complete(source, session.args)
    found.profile = source.profile
    servers[#servers + 1] = repair.describe(session, found)
  end
  local here = settings.find {}
  for _, source in ipairs(here.sources) do
    if source.base_url and not source.profile then add(source) end
  end
  for _, name in ipairs(options.names(files.read_config().profiles)) do
    add(settings.find { profile = name }.sources[1])
  end
  return servers
end

local function one_server(session)
  return { repair.describe(session, settings.find(session.args)) }
end

function doctor.run(session)
  local print = print_finding(session)
  local own = report.new(print)
  config.check_versions(own)
  local readable = config.check_files(own)
  local servers = readable and session.args.all and all_servers(session) or {}
  if readable and #servers == 0 then servers = one_server(session) end
  if not readable then servers[1] = {} end
  local objects, statuses = {}, {}
  for i, server in ipairs(servers) do
    if session.args.all and server.found and server.found.from and not session.screen.quiet then
      session.screen:result("\n" .. paint(session, "bold", text.shown(server.found.from)))
    end
    server.findings = report.new(print)
    if i == 1 then server.findings.checks, server.findings.problem = own.checks, own.problem end
    if server.found then examine(session, server) end
    print_problem(session, server.findings)
    objects[i] = object_of(server.findings, server)
    statuses[i] = objects[i].status
  end
  local status = exit.combine(statuses)
  session.screen:object(session.args.all and { ok = status == exit.DONE, status = status,
    servers = json.array(objects) } or objects[1])
  return status
end

return doctor
