#!/bin/bash
# The curl command, and jq (if installed) to read the response, as in a shell script: two new processes for each
# request, so no connection is reused and `many` is not supported. CPU is the time of this shell and its children. RSS
# is the peak of one more run of curl, and GROWTH is the same number.
# Command line, line of figures and exit statuses: see common.lua.
# Invariant: the line is printed only if every response was right.
set -u

readonly CANNOT=3 ID=video_123
what=${1:-probe} url=${2:-} count=${3:-} file=${5:-/dev/null}

fail() {
  echo "$1" >&2
  exit "${2:-1}"
}

options=(-sS --fail -A bench/1 -H "Accept: */*" -H "Authorization: Bearer sk-bench")
if [ -n "${BENCH_CA:-}" ]; then options+=(--cacert "$BENCH_CA"); fi
if [ "${BENCH_HTTP:-}" = 2 ]; then options+=(--http2); else options+=(--http1.1); fi

get() { # -q: without the user's .curlrc
  curl -q "${options[@]}" "$url" "$@"
}

if command -v jq >/dev/null; then
  decoder=$(jq --version)
  id_of() { jq -r .id; }
else
  decoder="no jq: JSON is not decoded"
  id_of() { sed -n 's/^{"id":"\([^"]*\)".*/\1/p'; }
fi

one() {
  for ((i = 0; i < count; i++)); do
    id=$(get | id_of)
    [ "$id" = "$ID" ] || fail "a wrong answer: $id"
  done
}

# curl itself fails when a body is shorter than its Content-Length.
download() {
  for ((i = 0; i < count; i++)); do
    size=$(get -o "$file" -w '%{size_download}') || fail "no answer"
    [ "$(stat -c %s "$file")" = "$size" ] || fail "a wrong answer: the file is not whole"
  done
}

# Prints curl's own peak memory in KiB: after the request, the same curl process reads its own /proc/self/status.
memory() {
  get -o "$file" --next -sS file:///proc/self/status | sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p'
}

# Runs the function $1 and prints the line of figures. bash's `time` includes child processes. Descriptor 3 is the
# original stderr, for error messages, because `time` writes to stderr too.
measure() {
  exec 3>&2
  TIMEFORMAT='%3R %3U %3S'
  figures=$({ time "$1" 2>&3; } 2>&1) || exit 1
  peak=$(memory)
  awk -v figures="$figures" -v count="$count" -v peak="$peak" \
    'BEGIN { split(figures, f, " "); printf "%d %.6f %.6f %d %d\n", count, f[1], f[2] + f[3], peak, peak }'
}

case $what in
  probe) curl -q --version | awk -v decoder="$decoder" 'NR == 1 { print $1, $2 ", " decoder }' ;;
  one | download) measure "$what" ;;
  *) fail "not for this client: $what" "$CANNOT" ;;
esac
