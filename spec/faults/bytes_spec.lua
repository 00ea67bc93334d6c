-- Every fault in the bytes of a server, met by every call: how the call ends, that no POST arrives twice, and
-- that the client goes on.
local calls = require "spec.faults.calls"
local cell = require "spec.faults.cell"
local faults = require "spec.faults.faults"
local given = require "spec.support.given"
local rig = require "spec.support.rig"
local wire = require "spec.support.wire"

describe("a server that sends #once", function()
  local dir = given.folder()
  local closing, resetting

  setup(function()
    closing, resetting = wire.start(), wire.start { resets = true }
    closing:serve(calls.answers())
    resetting:serve(calls.answers())
  end)
  teardown(function()
    closing:stop()
    resetting:stop()
  end)

  for _, row in ipairs(faults) do
    it(row.name, function()
      local server = row.resets and resetting or closing
      local client = rig.client(server, row.client)
      finally(function() client:close() end)
      local few = row.client and row.client.timeout -- a download stands still for a second each time
      for _, call in ipairs(few and calls.FEW or calls.list) do
        cell.check(client, server, call, row.fault(call), { path = dir:at "film.mp4",
          retryable = row.retryable,
          expect = call.is_film and row.film or call.deletes and row.delete or row.expect })
      end
    end)
  end
end)
