#!/bin/sh
# tools/house.sh OBJECT…: checks the layers of the C code (docs/architecture.md): which folder may include and call
# which. Reads the calls from the object files (`make house` passes them), not from the source text. Prints each
# violation, and exits with 1 if there is one.
set -u
breaches=$(mktemp)
trap 'rm -f "$breaches"' EXIT

# base, http and loop do not include Lua's headers; base and lua do not include libcurl's; no folder includes a higher
# one.
{
  grep -rnE '#include +[<"](lua|lauxlib|lualib)\.h' src/base src/http src/loop
  grep -rnE '#include +[<"]curl/' src/base src/lua
  grep -rnE '#include +"(http|loop|lua)/' src/base
  grep -rnE '#include +"(loop|lua)/' src/http
  grep -rnE '#include +"lua/' src/loop
} >"$breaches"

# The calls between files, one line each: "lua/api http/headers".
calls=$(nm -A "$@" | awk '
  { file = $1; sub(/\.o:.*/, "", file); sub(/^.*\/obj\//, "", file); kind = $(NF - 1) }
  kind ~ /^[TDBR]$/ { home[$NF] = file }
  kind == "U" { uses[file, $NF] }
  END {
    for (use in uses) {
      split(use, pair, SUBSEP)
      if (pair[2] in home && home[pair[2]] != pair[1]) print pair[1], home[pair[2]]
    }
  }' | sort -u)
[ -n "$calls" ] || echo "the object files call nothing" >>"$breaches"

printf '%s\n' "$calls" | awk '
  BEGIN { level["base"] = 0; level["http"] = 1; level["loop"] = 2; level["lua"] = 3; level["core"] = 4 }
  { split($1, from, "/"); split($2, to, "/") }
  level[from[1]] < level[to[1]] { print $1 " calls up into " $2 }' >>"$breaches"

# tsort prints the files of a cycle.
printf '%s\n' "$calls" | tsort 2>>"$breaches" >/dev/null

[ ! -s "$breaches" ] || { cat "$breaches"; exit 1; }
printf '%s\n' "$calls" | awk '{ files[$1]; files[$2] } END { for (f in files) n++
  print NR " calls between " n " files: none up, none in a circle" }'
