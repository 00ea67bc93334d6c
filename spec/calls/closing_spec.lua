-- Closing a client while it is in use: from each place where a call runs code of the user's.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local rig = require "spec.support.rig"

describe("a client that is closed", function()
  local srv = given.server()
  before_each(function() srv:route("*", "^", answers.DONE) end)

  -- Where: each makes a client and the options of a call that close it there.
  local PLACES = {
    ["by the api_key function"] = [[
      client = new { api_key = function() client:close() return "k" end }]],
    ["by the second call of the api_key function"] = [[
      local calls = 0
      client = new { api_key = function()
        calls = calls + 1
        if calls == 2 then client:close() end
        return "k"
      end }
      client:start("get_video", "before")]],
    ["by a metamethod of the options"] = [[
      client = new {}
      opts = setmetatable({ headers = { a = "b" } }, { __index = function() client:close() end })]],
    ["by a metamethod of the job"] = [[
      client = new {}
      id = setmetatable({}, { __index = function(_, name)
        client:close()
        return name == "id" and "v" or nil
      end })]],
    ["by on_event"] = [[
      client = new { on_event = function() client:close() end }]],
    ["by on_event, at the answer"] = [[
      client = new { on_event = function(event) if event.event == "response" then client:close() end end }]],
    ["by a callback of another call"] = [[
      client = new {}
      client:start("get_video", "other", { on_done = function() client:close() end })
      client:watch("another", { interval = 0.01, on_progress = function() client:close() end })]],
    ["by a finalizer"] = [[
      client = new {}
      local function litter()
        if _VERSION == "Lua 5.1" then
          local proxy = newproxy(true)
          getmetatable(proxy).__gc = function() client:close() end
        else
          setmetatable({}, { __gc = function() client:close() end })
        end
      end
      litter()
      if jit then jit.off() end -- its traces may exit for ever where the collector is always due
      collectgarbage "stop" -- the next allocation of the call collects
      collectgarbage "restart"
      if _VERSION == "Lua 5.5" then
        collectgarbage("param", "pause", 1)
        collectgarbage("param", "stepmul", 100000)
      else
        collectgarbage("setpause", 1)
        collectgarbage("setstepmul", 100000)
      end]],
  }

  local CALLS = {
    get_video = "client:get_video(id, opts)",
    create_video = "client:create_video({ prompt = 'p' }, opts)",
    ["create_video with a file"] =
      "client:create_video({ prompt = 'p', input_reference = { data = 'x', filename = 'x.png' } }, opts)",
    delete_video = "client:delete_video(id, opts)",
    list_videos = "client:list_videos({ limit = 1 }, opts)",
    download_video = "client:download_video(id, { sink = function() end }, opts)",
    wait = "client:wait(id, { interval = 0.01, headers = opts and opts.headers })",
    ["start and update"] = [[finish(client:start("get_video", id, opts))]],
    ["start of a download"] = [[finish(client:start("download_video", id, { sink = function() end }, opts))]],
    watch = [[finish(client:watch(id, { interval = 0.01 }))]],
  }

  for place, make in pairs(PLACES) do
    it(place .. " ends each call with an error or its result, and never crashes", function()
      local output, status = rig.run(([[
        local sora = require "sora"
        local function new(options)
          options.base_url, options.max_retries, options.timeout = %q, 0, 10
          options.api_key = options.api_key or "k"
          return assert(sora.new(options))
        end
        local client
        local KINDS = { closed = true, api = true } -- there is no file to download
        local function finish(job, err)
          if not job then return nil, err end
          while not job:done() and client:update(0.1) do end
          return job:result()
        end
        for name, code in pairs { %s } do
          local id, opts = "v", nil
          local function run()
            local good, video, err = pcall(assert((loadstring or load)(
              "local client, id, opts, finish = ... return " .. code)), client, id, opts, finish)
            assert(good, video)
            assert(video or KINDS[err.kind], name .. ": " .. tostring(err))
          end
          %s
          run()
          client:close()
        end
        collectgarbage() collectgarbage()
        print "survived"
      ]]):format(srv.url .. "/v1", (function()
        local list = {}
        for name, code in pairs(CALLS) do list[#list + 1] = ("[%q] = %q"):format(name, code) end
        return table.concat(list, ", ")
      end)(), make))
      assert.equal("survived\n", output, status)
    end)
  end
end)
