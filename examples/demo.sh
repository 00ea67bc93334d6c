#!/bin/sh
# examples/demo.sh [PROMPT]: starts the development server and runs make_a_video.lua on it.
# `make demo` sets LUA, LUA_PATH and LUA_CPATH and runs this. The server always ends when this script ends.
set -u

LUA=${LUA:-lua5.4}
prompt=${1:-A paper boat sails down a rainy street at dusk}
seconds=5 # until a video is finished

dir=$(mktemp -d) || exit 1
server=
clean_up() {
  exec 4>&- # the server's input
  [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
  rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The server chooses a free port and prints it in its first line when it is ready, so reading that line also waits for
# it. It ends when its standard input closes. Only this shell holds that open, so even `kill -9` leaves no server
# behind.
mkfifo "$dir/input" "$dir/output" || exit 1
exec 4<>"$dir/input"
"$LUA" examples/serve.lua --quiet --exit-with-stdin --duration "$seconds" <"$dir/input" >"$dir/output" 4>&- &
server=$!
exec 3<"$dir/output" # stays open, so that later writes of the server do not fail
read -r line <&3
url=${line#listening on }
if [ "$url" = "$line" ]; then
  echo "The development server did not start. ${line:-It said nothing.}" >&2
  exit 1
fi

echo "A development server is at $url: it speaks the format, and its videos cost nothing."
SORA_BASE_URL=$url SORA_API_KEY=demo-key "$LUA" examples/make_a_video.lua "$prompt" 3<&- 4>&-
