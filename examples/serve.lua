-- A development server for video jobs, for when there is no key or a game is not to cost money while it is
-- written:
--
--     lua5.4 examples/serve.lua --duration 3
--
-- It prints "listening on http://127.0.0.1:PORT/v1"; that URL is what a client takes as base_url. --help
-- tells the rest. It needs lua-http and argparse.
os.exit(require("sora.server").main(arg))
