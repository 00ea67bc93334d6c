-- Starts the development server for video jobs, to work without an API key and without costs:
--
--     lua5.4 examples/serve.lua --duration 3
--
-- It prints "listening on http://127.0.0.1:PORT/v1"; use that URL as base_url. --help lists its options and
-- modes. It needs lua-http and argparse.

dofile((arg[0]:gsub("[^/]+$", "clone.lua"))) -- for a clone; an installed sora needs no such line

os.exit(require("sora.server").main(arg))
