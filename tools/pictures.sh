#!/bin/sh
# tools/pictures.sh [terminal | charts | page | love | neovim]…: makes the pictures of README and docs, all of them by
# default, in docs/images/. Run it through make (`make pictures`), which sets LUA, LUA_PATH and LUA_CPATH.
#
# Each picture is of the real program against the development server; none is made by hand.
set -eu

LUA=${LUA:-lua5.4}
out=docs/images
work=$(mktemp -d)
home=/tmp/ada # what the pictures show, so no folder with a chance name
server=
clean_up() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$work" "$home"
}
trap clean_up EXIT

mkdir -p "$out" "$home"

# Starts the development server; sets $url.
serve() {
  rm -f "$work/listening" && mkfifo "$work/listening"
  "$LUA" examples/serve.lua --quiet "$@" >"$work/listening" &
  server=$!
  read -r line <"$work/listening"
  url=${line#listening on }
}

# A terminal, as an animation: the commands are typed and run, and asciinema records what the terminal gets.
terminal() {
  serve --duration 7
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
cd "$home"
export HOME=$home XDG_CONFIG_HOME=$work/config XDG_STATE_HOME=$work/state
export SORA_BASE_URL=$url SORA_API_KEY=demo
run 'sora make "a paper boat on a rainy street" -o boat.mp4' 1
run 'sora list' 4
printf '\033[1;32m\$\033[0m ' # an event: the recording ends with the last one, and would hide the list
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

# The game, on a screen that nobody sees: while a film is made, and one is there already.
love() {
  serve --duration 5
  Xvfb -displayfd 3 -screen 0 800x600x24 -nolisten tcp 3>"$work/display" 2>/dev/null &
  screen=$!
  until [ -s "$work/display" ]; do sleep 0.1; done
  for prompt in "A paper boat in the rain" "A red fox in the snow"; do
    env DISPLAY=":$(cat "$work/display")" HOME="$home" SORA_BASE_URL="$url" SORA_API_KEY=demo SDL_AUDIODRIVER=dummy \
      LIBGL_ALWAYS_SOFTWARE=1 LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='build/luajit/?.so;;' \
      love examples/love "$prompt" >/dev/null 2>&1 &
    game=$!
    sleep 2
    env DISPLAY=":$(cat "$work/display")" xdotool key Return
    sleep 5
    env DISPLAY=":$(cat "$work/display")" import -window root "$out/love.png"
    sleep 4
    kill "$game"
    wait "$game" 2>/dev/null || true
  done
  kill "$screen"
}

# The editor, while a film is made: its status line counts up, and a message tells the end.
neovim() {
  serve --duration 7
  cat >"$work/poem.txt" <<'EOT'
A paper boat sails down a rainy street at dusk,
past the lamps that one by one are lit.

A red fox in the snow looks up.
EOT
  cat >"$work/init.vim" <<'EOT'
set nocompatible noruler noswapfile runtimepath^=examples/neovim laststatus=2 shortmess+=I
set statusline=\ %t%=%{luaeval('require(\"sora_films\").status()')}\ 
runtime plugin/sora.lua
call timer_start(1500, {-> execute('1Sora')})
call timer_start(300, {-> execute('redrawstatus')}, {'repeat': -1})
call timer_start(12000, {-> execute('qa!')})
EOT
  env HOME="$home" SORA_BASE_URL="$url" SORA_API_KEY=demo TERM=xterm-256color LC_ALL=C.UTF-8 \
    LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='build/luajit/?.so;;' \
    asciinema rec --quiet --overwrite --cols 84 --rows 10 -c "nvim -u $work/init.vim $work/poem.txt" "$work/cast"
  npx --prefix build/pictures svg-term --in "$work/cast" --out "$out/neovim.svg" --window --width 84 --height 10
}

# The web page of the example for OpenResty.
page() {
  "$LUA" tools/page_picture.lua "$out/page.png"
}

[ $# -gt 0 ] || set -- terminal charts love neovim page
for picture; do
  "$picture"
done
