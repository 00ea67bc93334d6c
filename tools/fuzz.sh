#!/bin/sh
# tools/fuzz.sh FOLDER SECONDS: runs the fuzz targets. Run it through make (`make fuzz SECONDS=60`).
# tools/fuzz.sh FOLDER keep: keeps those inputs in spec/fuzz/corpus that reach what no kept one does.
#
# First each target gets every input that is kept (spec/fuzz/corpus, spec/fuzz/finds) and the seeds; then SECONDS are
# divided among the targets, and new inputs go to FOLDER/corpus. FOLDER has one program per target. A crash, a leak, a
# report of a sanitizer, an input that takes 10 s and a property that does not hold end it with status 1; the input is
# written to FOLDER/finds.
set -u

folder=$1 seconds=$2
targets="answer json address journal webhook headers"
# Journals are synced line by line, which memory does at once.
TMPDIR=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d) || exit 1
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1

mkdir -p "$folder/seeds" "$folder/finds"
rm -rf "$folder/seeds/"*
$LUA spec/fuzz/seeds.lua "$folder/seeds" || exit 1

# Leaks are looked for when a target ends: Lua's own garbage would make libFuzzer look after each input.
run() { # TARGET OPTION-OR-FOLDER…: runs a target, showing its output only if it fails
  target=$1
  shift
  log=$folder/$target.log
  [ ! -e "spec/fuzz/$target.dict" ] || set -- "-dict=spec/fuzz/$target.dict" "$@"
  "$folder/$target" -timeout=10 -rss_limit_mb=2048 -detect_leaks=0 -artifact_prefix="$folder/finds/$target-" \
    "$@" >"$log" 2>&1 && return
  tail -n 60 "$log"
  find=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  echo "The fuzz target $target failed. To replay it: $folder/$target ${find:-(see $log)}"
  echo "Once it is mended, move the input to spec/fuzz/finds/$target, where every run replays it."
  exit 1
}

# Adds to the seeds and what is kept what reaches more, and keeps all but the seeds.
keep() { # TARGET
  kept=spec/fuzz/corpus/$1 all=$folder/merged/$1
  rm -rf "$all"
  mkdir -p "$all" "$kept" "$folder/corpus/$1"
  cp "$folder/seeds/$1/"* "$all"
  run "$1" -set_cover_merge=1 -use_counters=0 "$all" "$kept" "$folder/corpus/$1"
  rm -f "$kept"/*
  find "$all" -type f ! -name 'seed-*' -exec cp {} "$kept" \;
  printf '%-9s %s inputs kept\n' "$1" "$(find "$kept" -type f | wc -l)"
}

if [ "$seconds" = keep ]; then
  for target in $targets; do keep "$target"; done
  exit 0
fi

count=$(echo "$targets" | wc -w)
# shellcheck disable=SC2086 # lists of folders
for target in $targets; do
  kept=
  for each in "spec/fuzz/corpus/$target" "spec/fuzz/finds/$target" "$folder/seeds/$target"; do
    [ ! -d "$each" ] || kept="$kept $each"
  done
  if [ "$seconds" = 0 ]; then
    run "$target" -runs=0 $kept
    runs=$(find $kept -type f | wc -l)
  else
    mkdir -p "$folder/corpus/$target"
    run "$target" -max_total_time=$((seconds / count + 1)) -print_final_stats=1 "$folder/corpus/$target" $kept
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  fi
  printf '%-9s %s inputs\n' "$target" "$runs"
done
