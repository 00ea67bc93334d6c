#!/bin/bash
# The curl command, with jq (where it is; the version says so) to read the answer, as in a shell script: a process of
# each for every request, so that nothing is kept between two, and there is no `many`. CPU is that of this shell and of
# its children; RSS is curl's own, of one request more, and all of it counts as growth.
# The command line, the line at the end and the exit statuses are those of common.lua.
# Invariant: the line is printed only when every answer was right.
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

# curl itself fails when a body is shorter than was announced.
download() {
  for ((i = 0; i < count; i++)); do
    size=$(get -o "$file" -w '%{size_download}') || fail "no answer"
    [ "$(stat -c %s "$file")" = "$size" ] || fail "a wrong answer: the file is not whole"
  done
}

# curl's own peak in KiB: it is made to read, after the request, what the kernel says of the process that reads it.
memory() {
  get -o "$file" --next -sS file:///proc/self/status | sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p'
}

# Calls the function, and prints the line. bash's `time` counts the children, too; what fails speaks through 3.
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
