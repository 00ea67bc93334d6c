-- Starts the development server for video jobs, to work without an API key and without costs:
--
--     lua5.4 examples/serve.lua --duration 3
--
-- It prints "listening on http://127.0.0.1:PORT/v1"; use that URL as base_url. See --help for the options. It
-- needs lua-http and argparse.
os.exit(require("sora.server").main(arg))
