-- How the command words sizes, times and names, and which exit status several jobs have.
local exit = require "sora.cli.exit"
local text = require "sora.cli.text"

describe("the command's words", function()
  it("for sizes have one unit and at most two digits behind the point's place", function()
    assert.same({ "0 B", "999 B", "1.0 kB", "3.2 MB", "32 MB", "1.0 GB", "5000 TB" },
      { text.size(0), text.size(999),
      text.size(1000), text.size(3.2e6), text.size(32e6), text.size(999.9e6), text.size(5e15) })
  end)

  it("for times have two units at most", function()
    assert.same({ "0 s", "41 s", "2 min 5 s", "3 h 20 min", "2 d" }, { text.duration(0.4), text.duration(41),
      text.duration(125), text.duration(12000), text.duration(2 * 86400 + 5) })
  end)

  it("make names of files of prompts in any language", function()
    for prompt, name in pairs {
      ["A fox, in the snow!"] = "a-fox-in-the-snow.mp4", ["../../etc/passwd"] = "etc-passwd.mp4",
        ["..."] = "video.mp4",
      [""] = "video.mp4", ["Ein Fuchs über Köln"] = "ein-fuchs-über-köln.mp4", ["狐"] = "狐.mp4",
      ["new\nline\0zero"] = "new-line-zero.mp4", ["a" .. ("b"):rep(100)] = "a" .. ("b"):rep(39) .. ".mp4",
    } do
      assert.equal(name, text.file_name(prompt))
    end
  end)

  it("fit into columns, also where characters are wide", function()
    assert.same({ 3, 4, 2 }, { text.width "abc", text.width "狐狸", text.width "🦊" })
    assert.same({ "abc", "ab…", "狐…", "…", "" }, { text.cut("abc", 3), text.cut("abcd", 3), text.cut("狐狸", 3),
      text.cut("abc", 1), text.cut("abc", 0) })
    assert.equal("狐  ", text.pad("狐", 4))
  end)
end)

describe("the exit status", function()
  it("of several jobs is the first that applies of 130, 5, 4, 3, 1, 6 and 2", function()
    local order = { 130, 5, 4, 3, 1, 6, 2 }
    for i = 1, #order do
      local statuses = { 0 }
      for j = #order, i, -1 do statuses[#statuses + 1] = order[j] end
      assert.equal(order[i], exit.combine(statuses))
    end
    assert.equal(0, exit.combine { 0, 0 })
  end)

  it("of an error depends on what it means for the job", function()
    for status, errors in pairs {
      [1] = { { kind = "api", status = 422 }, { kind = "failed" }, { kind = "expired" },
        { kind = "decode" } },
      [2] = { { kind = "config" }, { kind = "file" } },
      [3] = { { kind = "deadline" }, { kind = "timeout", ticket = {} },
        { kind = "api", code = "not_ready" } },
      [4] = { { kind = "api", status = 401 }, { kind = "api", status = 403, reason = "auth" } },
      [5] = { { kind = "timeout", ambiguous = true }, { kind = "api", status = 502, ambiguous = true } },
      [6] = { { kind = "dns" }, { kind = "tls" }, { kind = "connect" } },
    } do
      for _, err in ipairs(errors) do assert.equal(status, exit.of(err)) end
    end
  end)
end)
