-- Where download_video gets a file from (redirects, and who is sent credentials), and where on disk it
-- writes it.
local answers = require "spec.support.answers"
local given = require "spec.support.given"
local patience = require "spec.support.patience"
local process = require "spec.support.process"
local rig = require "spec.support.rig"

local MP4, FILE = answers.MP4, answers.FILE

describe("download_video", function()
  local srv, other, dir = given.server(), given.server(), given.folder()
  local client

  before_each(function() client = rig.client(srv) end)
  after_each(function() client:close() end)

  local function download(target, opts)
    return client:download_video("v", target or dir:at("a.mp4"), opts)
  end

  describe("when it is redirected", function()
    local redirect = answers.redirect

    for _, status in ipairs{ 301, 302, 303, 307, 308 } do
      it("with " .. status .. " follows", function()
        srv:reply(redirect(status, other.url .. "/signed?X-Amz-Signature=abc"))
        other:reply(FILE)
        assert.equal(#MP4, assert(download()).bytes)
        assert.equal(MP4, dir:read("a.mp4"))
        assert.equal("/signed?X-Amz-Signature=abc", other:requests()[1].target)
      end)
    end

    for _, auth in ipairs{ "bearer", "api-key", "x-api-key", "raw" } do
      it("sends no credentials to another origin: " .. auth, function()
        client:close()
        local headers = { ["X-Team-Token"] = "team-secret", Cookie = "c=1" }
        client = rig.client(srv, { auth = auth, headers = headers })
        srv:reply(redirect(302, other.url .. "/file"))
        other:reply(FILE)
        assert(download(nil, { headers = { ["X-Call"] = "call-secret" } }))
        assert.matches(rig.KEY, srv:requests()[1].raw_head, 1, true)
        local head = other:requests()[1].raw_head
        for _, secret in ipairs{ rig.KEY, "team-secret", "c=1", "call-secret" } do
          assert.is_nil(head:find(secret, 1, true), head)
        end
        assert.matches("\r\nAccept: %*/%*\r\n", head)
      end)
    end

    it("sends credentials within its own origin, also after a relative redirect", function()
      srv:reply(redirect(302, "/files/v.mp4?sig=1"), redirect(307, "w.mp4"), FILE)
      assert(download())
      local requests = srv:requests()
      assert.same({ "/files/v.mp4?sig=1", "/files/w.mp4" }, { requests[2].target, requests[3].target })
      for _, request in ipairs(requests) do
        assert.equal("Bearer " .. rig.KEY, request.headers.authorization)
      end
    end)

    it("starts at its own origin again when it is retried", function()
      client:close()
      client = rig.client(srv, { max_retries = 1 })
      srv:reply(redirect(302, other.url .. "/1"), redirect(302, other.url .. "/2"))
      other:reply({ body = MP4, truncate = 50 }, FILE)
      assert(download())
      assert.equal(MP4, dir:read("a.mp4"))
      assert.same({ "/1", "/2" }, rig.pluck(other:requests(), "target"))
      assert.equal("Bearer " .. rig.KEY, srv:requests()[2].headers.authorization)
      assert.is_nil(other:requests()[2].headers.authorization)
    end)

    it("stops after 5 redirects", function()
      srv:route("*", "^", redirect(302, srv.url .. "/again"))
      local result, err = download()
      assert.is_nil(result)
      assert.equal("api", err.kind)
      assert.equal(6, #srv:requests())
      assert.equal("", dir:list())
    end)

    for _, location in ipairs{ "ftp://h.example/v.mp4", "file:///etc/passwd", "data:video/mp4;base64,AAAA",
      "" } do
      it("does not follow to \"" .. location .. "\"", function()
        srv:route("GET", "/v1/videos/v/content", redirect(302, location))
        local result, err = download()
        assert.is_nil(result)
        assert.equal("api", err.kind)
        assert.equal("", dir:list())
      end)
    end

    it("shows nothing of a signed URL in an error", function()
      srv:reply(redirect(302, other.url .. "/file?X-Amz-Signature=abcdef0123"))
      other:reply{ status = 403, body = "<Error><Code>AccessDenied</Code><Message>Expired</Message></Error>" }
      local _, err = download()
      assert.equal(403, err.status)
      assert.is_nil(rig.shown(err):find("abcdef0123", 1, true))
    end)
  end)

  describe("to a path that", function()
    -- A download that must fail before, or without, anything being written.
    local function refused(target)
      srv:reply(FILE)
      local result, err = download(target)
      assert.is_nil(result)
      assert.equal("file", err.kind)
      assert.matches("^cannot %a+ ", err.message)
      return err
    end

    it("is a folder is an error", function()
      dir:run("mkdir sub")
      assert.matches("cannot replace .*/sub: Is a directory", refused(dir:at("sub")).message)
      refused(dir:at("sub/"))
      assert.equal("sub", dir:list())
      assert.equal(0, #srv:requests()) -- nothing is asked for that could not be kept
    end)

    it("is in a missing folder is an error", function()
      assert.matches("/missing/a.mp4.part: No such file or directory",
        refused(dir:at("missing/a.mp4")).message)
      assert.equal(0, #srv:requests())
    end)

    it("lies below a file is an error", function()
      dir:write("plain", "text")
      assert.matches("Not a directory", refused(dir:at("plain/a.mp4")).message)
      assert.equal("text", dir:read("plain"))
    end)

    it("nobody may write to is an error", function()
      refused("/proc/sora/a.mp4")
      refused("/proc/a.mp4")
    end)

    it("has a name too long is an error", function()
      refused(dir:at(("n"):rep(300)))
      assert.equal("", dir:list())
    end)

    it("has a folder in place of its part file is an error, and leaves that folder", function()
      dir:run("mkdir a.mp4.part")
      assert.matches("a.mp4.part: Is a directory", refused(dir:at("a.mp4")).message)
      assert.equal("a.mp4.part", dir:list())
    end)

    it("has a symbolic link in place of its part file is an error, and what that leads to stays", function()
      dir:write("a.mp4", "old")
      dir:write("other", "mine")
      dir:run("ln -s other a.mp4.part")
      assert.matches("a.mp4.part: it is a symbolic link", refused(dir:at("a.mp4")).message)
      assert.same({ "old", "mine" }, { dir:read("a.mp4"), dir:read("other") })
      assert.equal("a.mp4 a.mp4.part other", dir:list())
    end)

    for _, make in ipairs{ "mkfifo a.mp4", "ln -s /dev/null a.mp4" } do
      it("exists and is no regular file is an error (" .. make .. ")", function()
        dir:run(make)
        assert.matches("cannot replace .*: it is not a regular file", refused(dir:at("a.mp4")).message)
        assert.equal("a.mp4", dir:list())
        assert.equal(0, #srv:requests())
      end)
    end

    it("is a symbolic link leads to the file that is replaced, with its permissions", function()
      dir:run("mkdir sub && echo old >sub/b.mp4 && chmod 640 sub/b.mp4 && ln -s sub/b.mp4 a.mp4")
      srv:reply(FILE)
      assert.equal(dir:at("a.mp4"), assert(download()).path)
      assert.equal(MP4, dir:read("sub/b.mp4"))
      assert.equal("640\n", process.output("stat -c %a " .. dir:at("sub/b.mp4")))
      assert.equal("a.mp4 sub", dir:list())
    end)

    it("another download writes is an error for the second", function()
      srv:reply(answers.HALF, FILE)
      local first = client:start("download_video", "v", dir:at("a.mp4"))
      patience.pump(client, function() return #srv:requests() > 0 end)
      assert.equal("a.mp4.part", dir:list())
      local result, err = client:download_video("w", dir:at("a.mp4"))
      assert.same({ nil, "file", "locked" }, { result, err.kind, err.code })
      assert.matches("cannot open .*a%.mp4%.part: another download is writing it", err.message)
      assert.equal("a.mp4.part", dir:list())
      first:cancel()
      assert.equal("", dir:list())
      assert.equal(#MP4, assert(client:download_video("w", dir:at("a.mp4"))).bytes)
    end)

    -- Each pair: two processes, one target; each says what it saved, and the file is one of the two.
    it("two processes download to at once is the file of one that said so", function()
      for i, bytes in ipairs{ ("1"):rep(300000), ("2"):rep(200000) } do
        srv:route("GET", "/v1/videos/" .. i .. "/content", answers.file("\0\0\0\24ftyp" .. bytes))
      end
      local code = ([[
        local client = require("sora").new{ base_url = "%s/v1", max_retries = 0 }
        for _ = 1, 20 do
          local file, err = client:download_video("%%d", "%s")
          if not file then assert(err.message:find("another download", 1, true), err) end
          local saved = io.open("%s", "rb"):read("*a")
          if file then assert(#saved == 300008 or #saved == 200008, #saved) end
          assert(saved:sub(9, 9):rep(#saved - 8) == saved:sub(9))
        end
        print "good"]]):format(srv.url, dir:at("a.mp4"), dir:at("a.mp4"))
      dir:write("a.mp4", "\0\0\0\24ftyp1")
      local first = rig.spawn(code:format(1))
      local second = rig.spawn(code:format(2))
      assert.equal("good\n", first:read("*a"))
      assert.equal("good\n", second:read("*a"))
      first:close()
      second:close()
      assert.equal("a.mp4", dir:list())
    end)

    -- In a process of its own, since a limit on the size of files can't be taken back by everybody.
    it("reaches a size limit in the middle is an error, and leaves the old file", function()
      dir:write("a.mp4", "old")
      srv:reply(answers.file(MP4:rep(200)))
      local code = ([[
        local client = require("sora").new{ base_url = "%s/v1", max_retries = 0 }
        local result, err = client:download_video("v", "%s")
        print(result, err.kind, err.message)]]):format(srv.url, dir:at("a.mp4"))
      local output = process.output("trap '' XFSZ; ulimit -f 64; exec "
        .. process.command(process.lua { "-e", code }) .. " 2>&1")
      assert.matches("^nil\tfile\tcannot write .*/a%.mp4%.part: File too large\n$", output)
      assert.equal("old", dir:read("a.mp4"))
      assert.equal("a.mp4", dir:list())
    end)

    it("names no folder is in the current one", function()
      srv:reply(FILE)
      local code = ([[
        local client = require("sora").new{ base_url = "%s/v1", max_retries = 0 }
        local result, err = client:download_video("v", "here.mp4")
        print(err or result.path)]]):format(srv.url)
      local command = process.command(process.lua_anywhere { "-e", code })
      assert.equal("here.mp4\n", process.output(("cd '%s' && %s 2>&1"):format(dir.path, command)))
      assert.equal(MP4, dir:read("here.mp4"))
    end)
  end)

  describe("misused", function()
    local function misuse(id, target, opts)
      local ok, message = pcall(client.download_video, client, id, target, opts)
      assert.is_false(ok)
      assert.matches("'download_video'", message)
      assert.equal(0, #srv:requests())
      assert.equal("", dir:list())
      return message
    end

    it("raises for a bad id", function()
      for _, id in ipairs{ "", ".", "..", {}, true } do
        assert.matches("%(id: ", misuse(id, dir:at("a.mp4")))
      end
    end)

    it("raises for a bad path", function()
      for _, target in ipairs{ 5, true, "", {}, { path = 5 }, { path = "" }, { variant = "video" } } do
        assert.matches("path: ", misuse("v", target))
      end
      assert.matches("path: ", misuse("v", nil))
      assert.matches("path: ", misuse("v", dir:at("a\0b.mp4")))
    end)

    it("raises for a bad variant", function()
      for _, variant in ipairs{ "videos", "", 1, {} } do
        assert.matches("'variant'.*'video', 'thumbnail' or 'spritesheet'",
          misuse("v", { path = dir:at("a"), variant = variant }))
      end
    end)

    it("raises for unknown options, with the nearest name", function()
      assert.matches("unknown option 'varient'; did you mean 'variant'%?",
        misuse("v", { path = dir:at("a"), varient = "video" }))
      assert.matches("unknown option 'time_out'; did you mean 'timeout'%?",
        misuse("v", dir:at("a"), { time_out = 1 }))
    end)

    it("raises for bad options of the call", function()
      assert.matches("options: expected a table, got number", misuse("v", dir:at("a"), 5))
      assert.matches("option 'timeout'", misuse("v", dir:at("a"), { timeout = "1" }))
    end)

    it("names the caller's line", function()
      for _, arguments in ipairs{ { "" , "a" }, { "v", 5 }, { "v", { path = "a", colour = 1 } } } do
        local _, message = pcall(function()
          local result = client:download_video(arguments[1], arguments[2])
          return result
        end)
        assert.matches("places_spec%.lua:%d+: bad argument", message)
      end
    end)
  end)
end)
