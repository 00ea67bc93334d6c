#!/bin/sh
# tools/pictures.sh [terminal | charts | page | love | neovim]…: makes the pictures of README and docs, all of them by
# default, in docs/images/. Run it through make (`make pictures`), which sets LUA, LUA_PATH and LUA_CPATH.
#
# Each picture is of the real program against the development server; none is made by hand.
set -eu

LUA=${LUA:-lua5.4}
out=docs/images
work=$(mktemp -d)
server=
clean_up() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT

mkdir -p "$out"

# Starts the development server; sets $url.
serve() {
  mkfifo "$work/listening"
  "$LUA" examples/serve.lua --quiet "$@" >"$work/listening" &
  server=$!
  read -r line <"$work/listening"
  url=${line#listening on }
}

# A terminal, as an animation: the commands are typed and run, and asciinema records what the terminal gets.
terminal() {
  serve --duration 7 --port 8787
  cat >"$work/session" <<EOT
type_line() {
  printf '\033[1;32m\$\033[0m '
  printf '%s' "\$1" | while IFS= read -r -n1 c; do printf '%s' "\$c"; sleep 0.04; done
  sleep 0.4
  printf '\n'
}
run() {
  type_line "\$1"
  eval "\$1"
  sleep "\$2"
}
sora() { $LUA $PWD/bin/sora "\$@"; }
cd "$work"
export HOME=$work XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/state
export SORA_BASE_URL=$url SORA_API_KEY=demo
run 'sora make "a paper boat on a rainy street" -o boat.mp4' 1
run 'sora list' 3
EOT
  env -u NO_COLOR TERM=xterm-256color LC_ALL=C.UTF-8 PATH="$PATH" asciinema rec --quiet --overwrite --cols 84 --rows 9 \
    -c "bash $work/session" "$work/cast"
  npx --prefix build/pictures svg-term --in "$work/cast" --out "$out/terminal.svg" --window --width 84 --height 9
}

# Two charts of what `make bench` measured.
charts() {
  "$LUA" tools/chart.lua bench/RESULTS.md "http" "CPU µs a request" \
    "CPU time of one call after another, in µs" >"$out/cpu.svg"
  "$LUA" tools/chart.lua bench/RESULTS.md "http, 10 000 in flight, 26 000 requests" "seconds" \
    "26,000 calls, 10,000 at a time: seconds" >"$out/flight.svg"
}

[ $# -gt 0 ] || set -- terminal charts
for picture; do
  "$picture"
done
