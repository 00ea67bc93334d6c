#!/bin/sh
# examples/demo.sh [PROMPT]: starts the development server (sora serve) and makes a video on it (sora make).
# `make demo` sets LUA, LUA_PATH and LUA_CPATH and runs this. The server always ends when this script ends.
set -u

LUA=${LUA:-lua5.4}
prompt=${1:-A paper boat sails down a rainy street at dusk}
seconds=5 # until a video is finished
film=video.mp4

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

# The demo has a configuration and a journal of its own.
export XDG_CONFIG_HOME="$dir" XDG_STATE_HOME="$dir"
sora() { "$LUA" bin/sora "$@"; }
say() { printf '\n$ %s\n' "$*"; }

# The server chooses a free port and prints it in its first line when it is ready, so reading that line also waits for
# it. It ends when its standard input closes. Only this shell holds that open, so even `kill -9` leaves no server
# behind.
mkfifo "$dir/input" "$dir/output" || exit 1
exec 4<>"$dir/input"
say "bin/sora serve --port 0 --duration $seconds &"
"$LUA" bin/sora serve --port 0 --duration "$seconds" --quiet --exit-with-stdin <"$dir/input" >"$dir/output" 4>&- &
server=$!
exec 3<"$dir/output" # stays open, so that later writes of the server do not fail
read -r line <&3
SORA_BASE_URL=${line#listening on }
if [ "$SORA_BASE_URL" = "$line" ]; then
  echo "The development server did not start. ${line:-It said nothing.}" >&2
  exit 1
fi
echo "$line"
say "export SORA_BASE_URL=$SORA_BASE_URL"
export SORA_BASE_URL

say "bin/sora make '$prompt' -o $film --force"
sora make "$prompt" -o "$film" --force 3<&- 4>&- || exit

say "bin/sora list"
sora list 3<&- 4>&- || exit

cat <<EOT

Nothing of this costs anything: the server speaks the format, and its videos are ready-made. To go on with it:
  bin/sora serve                                               and, in another shell,
  export SORA_BASE_URL=http://127.0.0.1:8787/v1
  bin/sora make "a paper boat"
With a server of yours:
  bin/sora config set base_url https://gateway.example/v1      the part before /videos
  bin/sora key set
EOT
