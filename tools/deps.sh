#!/bin/sh
# tools/deps.sh GOAL: installs the dependencies of GOAL. Run it through make (`make deps GOAL=test`).
#
#   GOAL  build | demo | test | lint | platforms | memcheck | sanitize | soak | fuzz | docs | site | bench | bench-check |
#         bench-workers | dist-check | pictures | ci
#   from the Makefile: LUA, LUA_PC, LUA_INCDIR, CC, and the LUA_PATH and LUA_CPATH that the goal will use
#
# Finds a dependency by trying it, not by asking a package manager, so that one installed by hand or by LuaRocks
# counts. On Debian and its derivatives it lists and installs the missing packages; elsewhere it only lists them.
# shellcheck disable=SC2317 # functions has_* and need_* are called by computed names
set -u

goal=${1:-build}
LUA=${LUA:-lua5.4}

# need PROBE ARGUMENT PACKAGES ELSEWHERE WHY: if has_PROBE ARGUMENT fails, adds a line to $missing: the Debian packages,
# the name on other systems ("-": not needed there), and why it is needed.
need() {
  "has_$1" "$2" || missing="$missing$3|$4|$5
"
}

# want …: like need, for optional dependencies: some specs and benchmarks are skipped without them. Does nothing on
# systems without apt-get.
want() {
  ! has_command apt-get || need "$@"
}

# ---- probes ------------------------------------------------------------------------------------------------------

has_command() { command -v "$1" >/dev/null 2>&1; }
has_file() { [ -e "$1" ]; }
has_library() { pkg-config --exists "$1" 2>/dev/null; }
has_module() { "$LUA" -e "require '$1'" >/dev/null 2>&1; }
has_module_of_5_1() { lua5.1 -e "require '$1'" >/dev/null 2>&1; }
has_mkdocs_theme() { mkdocs build --help 2>/dev/null | tr -d ' \n' | grep -q "[^a-z]$1[^a-z]"; }
has_headers() {
  if [ -n "${LUA_INCDIR:-}" ]; then has_file "$LUA_INCDIR/lua.h"; else has_library "$1"; fi
}
# Includes a header, because Debian's compiler can be installed without the headers of the C library.
# shellcheck disable=SC2086 # CC may hold options
has_compiler() { echo '#include <stdlib.h>' | $1 -E - >/dev/null 2>&1; }
# Runs a program, because valgrind refuses to start without the debugging symbols of the dynamic linker.
has_valgrind() { valgrind --quiet "$1" >/dev/null 2>&1; }
# Links a program, because the runtime of clang's sanitizers is a package of its own.
has_sanitizer() { echo 'int main(void) { return 0; }' | $1 -fsanitize=address,undefined -x c - -o /dev/null 2>/dev/null; }
has_fuzzer() {
  echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
    "$1" -fsanitize=fuzzer,address,undefined -x c - -o /dev/null 2>/dev/null
}
# OpenResty, or nginx with its Lua module.
has_openresty() {
  has_command "$1" && { has_file /usr/lib/nginx/modules/ngx_http_lua_module.so || "$1" -V 2>&1 | grep -q openresty; }
}

debian_has() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# ---- the dependencies of each goal -------------------------------------------------------------------------------

# Prints the package of an interpreter. Debian has two LuaJITs, and they conflict: luajit2 (OpenResty's branch) is the
# default; the original, luajit, is kept if it is installed.
lua_package() {
  if [ "$1" != luajit ]; then echo "$1"
  elif debian_has luajit; then echo luajit
  else echo luajit2
  fi
}
header_package() {
  case $1 in
    lua5.1) echo liblua5.1-0-dev ;;
    luajit) echo "lib$(lua_package luajit)-5.1-dev" ;;
    *) echo "lib$1-dev" ;;
  esac
}

need_build() {
  need compiler "${CC:-cc}" "gcc libc6-dev" "a C compiler" "compiles the C module"
  need command pkg-config pkg-config pkg-config "tells the compiler where headers are"
  need command "$LUA" "$(lua_package "$LUA")" "$LUA" "the Lua this is for"
  need headers "${LUA_PC:-$LUA}" "$(header_package "$LUA")" "C headers of $LUA" \
    "to compile the C module with"
  [ "$(uname -s)" = Darwin ] || need library libcrypto libssl-dev "OpenSSL and its headers" "checks the signatures of webhooks"
  need library libcurl libcurl4-openssl-dev "libcurl and its headers" "does the transfers"
  need module cjson lua-cjson "lua-cjson (luarocks install lua-cjson)" "reads JSON"
  if has_command dpkg-query; then # other systems have certificates elsewhere, and install them by default
    need file /etc/ssl/certs/ca-certificates.crt ca-certificates - "whom to trust on https"
  fi
}

need_demo() {
  need_build
  need module http.server lua-http "lua-http (luarocks install http)" "the development server stands on it"
  need module argparse lua-argparse "argparse (luarocks install argparse)" "reads its command line"
}

need_test() {
  need_demo
  need module busted lua-busted "busted (luarocks install busted)" "runs the specs"
  need command lua5.4 lua5.4 lua5.4 "runs the server that the specs talk to"
  need command openssl openssl openssl "makes certificates for the specs' https servers"
  need command curl curl curl "a second client, to check the development server with"
  want file /usr/share/i18n/locales/de_DE locales - "localedef makes a locale with a decimal comma of it"
  want openresty nginx "nginx-light libnginx-mod-http-lua lua-resty-core" - "the OpenResty adapter runs in it"
  want command chromedriver "chromium chromium-driver" - "opens the page of the example for OpenResty"
  want library luajit "$(lua_package luajit) $(header_package luajit)" - "the Lua that nginx runs"
  want module luv lua-luv - "the uv adapter runs in it"
  want module copas lua-copas - "the Copas adapter runs in it"
  want command love love - "the example for LÖVE is a game in it"
  want command xvfb-run "xvfb xauth libgl1-mesa-dri" - "a screen for that game"
  want command nvim neovim - "the example for Neovim is a plugin of it"
  want command strace strace - "counts system calls"
  want command redis-server redis-server - "the queue of workers lives in it"
  want command redis-cli redis-tools - "looks into that queue"
  want module socket lua-socket - "connects to it"
  want module redis lua-redis - "speaks its protocol"
  want command scdoc scdoc - "writes the manual of the command"
  want command zsh zsh - "reads its completions"
  want command fish fish - "reads its completions"
}

need_lint() {
  need_build
  need command gcc gcc gcc "its warnings"
  need command clang clang clang "its warnings"
  need command luacheck lua-check "luacheck (luarocks install luacheck)" "checks the Lua code"
  need command shellcheck shellcheck shellcheck "checks the shell scripts"
}

# Debian's compilers for other platforms. Elsewhere, and where one is missing, spec/platforms/run.lua leaves it out.
need_platforms() {
  need_build
  need command clang clang clang "its warnings"
  want command musl-gcc musl-tools - "the C library of Alpine Linux"
  [ "$(uname -m)" = x86_64 ] || return
  want file /usr/include/asm gcc-multilib - "compiles for 32-bit systems"
  want command x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64-win32 - "compiles for Windows"
  want file /usr/lib/wine/wine64 wine64 - "runs what was compiled for Windows"
}

need_memcheck() {
  need_test
  need valgrind true valgrind "valgrind, and debugging symbols of the C library" "finds leaks and bad accesses"
}

# Takes the compiler, ${CC:-cc} unless given.
need_sanitize() {
  need_test
  case ${1:-${CC:-cc}} in
    *clang*) need sanitizer "${1:-$CC}" "clang libclang-rt-dev" "clang and its sanitizers" "finds bad accesses" ;;
    *) need sanitizer "${1:-${CC:-cc}}" "gcc libc6-dev" "a C compiler with sanitizers" "finds bad accesses" ;;
  esac
}

need_soak() {
  need_test
  need openresty nginx "nginx-light libnginx-mod-http-lua lua-resty-core" "OpenResty, or nginx with its Lua module" \
    "the server that answers thousands of polls"
}

need_fuzz() {
  need_build
  need fuzzer clang "clang libclang-rt-dev" "clang with libFuzzer and its sanitizers" "runs and guides the fuzz targets"
}

need_docs() {
  need_build
  need command ldoc lua-ldoc "ldoc (luarocks install ldoc)" "writes the API reference"
}

need_site() {
  need_docs
  need command mkdocs mkdocs "MkDocs (pip install mkdocs-material)" "makes the site of the guides"
  need mkdocs_theme material mkdocs-material - "its theme"
}

need_bench_check() {
  need_build
  need module argparse lua-argparse "argparse (luarocks install argparse)" "reads the command line of sora"
  need module cqueues lua-cqueues "cqueues (luarocks install cqueues)" "finds ports, and waits for servers to start"
  need openresty nginx "nginx-light libnginx-mod-http-lua lua-resty-core" "OpenResty, or nginx with its Lua module" \
    "the server that is measured against"
  need command openssl openssl openssl "makes its certificate"
  need valgrind true valgrind "valgrind, and debugging symbols of the C library" "counts instructions"
}

need_bench() {
  need_bench_check
  want module http.client lua-http - "sora is measured beside it"
  want module socket.http lua-socket - "sora is measured beside it"
  want module ssl.https lua-sec - "lets LuaSocket speak https"
  want module luv lua-luv - "sora is measured beside it"
  want command lua5.1 lua5.1 - "the Lua that Debian's lua-curl is for"
  want module_of_5_1 curl lua-curl - "sora is measured beside it"
  want command node nodejs - "openai-node runs in it"
  want command curl curl - "sora is measured beside it"
  want command jq jq - "reads what the curl command gets"
}

need_bench_workers() {
  need_build
  need module cqueues lua-cqueues "cqueues (luarocks install cqueues)" "waits for servers to start"
  need openresty nginx "nginx-light libnginx-mod-http-lua lua-resty-core" "OpenResty, or nginx with its Lua module" \
    "the server that the workers ask"
  need command redis-server redis-server "Redis" "the queue"
  need command redis-cli redis-tools "redis-cli" "what Redis has counted"
  need module socket lua-socket "LuaSocket (luarocks install luasocket)" "connects to it"
  need module redis lua-redis "redis-lua (luarocks install redis-lua)" "speaks its protocol"
}

# Installs openai-node from npm into build/, if npm is installed, because no distribution has a package of it.
openai=build/bench/node_modules/openai
fetch_bench() {
  if has_file "$openai"; then return
  elif ! has_command npm; then echo "There is no npm here: openai-node is left out."
  else
    echo "Installing openai-node into build/ with npm …"
    npm install --prefix build/bench --no-audit --no-fund --silent openai || echo "It failed: openai-node is left out."
  fi
}

need_dist_check() {
  need_test
  need command luarocks luarocks LuaRocks "installs the rocks, as users do"
  need command git git git "packs a release"
}

# Debian's packages, and one from npm, into build/.
need_pictures() {
  need_test
  need command asciinema asciinema asciinema "records a terminal"
  need command npm npm npm "installs what makes a picture of the record"
  need command nvim neovim neovim "is in a picture"
  need command xdotool xdotool xdotool "presses a key in the game"
  need command import imagemagick imagemagick "takes the picture of the game"
  need command chromedriver "chromium chromium-driver" chromedriver "takes the picture of the web page"
}
svg_term=build/pictures/node_modules/.bin/svg-term
fetch_pictures() {
  has_file "$svg_term" || npm install --prefix build/pictures --no-audit --no-fund --silent svg-term-cli
}

need_ci() {
  need_lint
  need_platforms
  need_memcheck
  need_sanitize gcc
  need_sanitize clang
  need_fuzz
  need_bench_check
  need_site
  need_dist_check
  want command ffprobe ffmpeg - "plays the development server's video"
  for lua in lua5.1 lua5.2 lua5.3 lua5.4 luajit; do
    need library "$lua" "$(header_package "$lua")" "C headers of $lua" "to compile against each Lua's headers"
  done
}

# ---- installing and listing --------------------------------------------------------------------------------------

# Prints each missing package once, and sets $packages to their names.
announce() {
  packages=
  while IFS='|' read -r names _ why; do
    new=
    for name in $names; do
      case " $packages " in *" $name "*) continue ;; esac
      debian_has "$name" || new="$new $name"
    done
    [ -z "$new" ] && continue
    packages="$packages$new"
    printf ' %-50s %s\n' "$new" "$why"
  done <<EOT
$missing
EOT
}

run_quietly() { # shows the output of the command only if it fails
  log=$(mktemp) || exit 1
  if "$@" >"$log" 2>&1; then rm -f "$log"; else cat "$log"; rm -f "$log"; exit 1; fi
}

install_debian() {
  echo "Missing for the goal \"$goal\" with $LUA:"
  announce
  sudo=
  if [ "$(id -u)" != 0 ]; then
    sudo=sudo
    if ! has_command sudo; then
      echo "Please run this as root, and then make again:"
      echo "  apt-get update && apt-get install --no-install-recommends$packages"
      exit 1
    fi
  fi
  echo "Installing them with apt-get …"
  run_quietly $sudo apt-get update
  # releases without the package luajit2 have OpenResty's branch in luajit
  apt-cache show luajit2 >/dev/null 2>&1 || packages=$(echo "$packages" | sed 's/luajit2/luajit/g')
  # --no-remove: fail rather than remove a package that somebody has chosen
  # shellcheck disable=SC2086 # a list of names
  run_quietly $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends --no-remove \
    -o DPkg::Lock::Timeout=120 $packages
  case $packages in
    *nginx-light*) # the package starts a web server, which nobody asked for; the specs start their own
      $sudo update-rc.d nginx disable >/dev/null 2>&1
      $sudo invoke-rc.d nginx stop >/dev/null 2>&1
      ;;
  esac
  case $packages in
    *redis-server*) # the same
      $sudo update-rc.d redis-server disable >/dev/null 2>&1
      $sudo invoke-rc.d redis-server stop >/dev/null 2>&1
      ;;
  esac
}

tell_elsewhere() {
  echo "Missing for the goal \"$goal\" with $LUA:"
  printf '%s' "$missing" | awk -F'|' '$2 != "-" && !seen[$2]++ { printf "  %-44s %s\n", $2, $3 }'
  if has_command brew; then hint="brew install lua luarocks curl openssl pkg-config"
  elif has_command dnf; then hint="dnf install gcc make pkgconf lua lua-devel luarocks libcurl-devel openssl-devel"
  elif has_command pacman; then hint="pacman -S base-devel lua luarocks curl openssl"
  elif has_command apk; then hint="apk add build-base pkgconf lua5.4 lua5.4-dev luarocks5.4 curl curl-dev openssl-dev m4"
  else return
  fi
  echo "Here that is something like: $hint"
  echo "with LUA= the interpreter's name, and luarocks for the rest."
}

# Exits with 0 if nothing is missing; otherwise leaves the list in $missing.
look() {
  missing=
  "need_$(echo "$goal" | tr - _)"
  [ -z "$missing" ] || return
  [ "$goal" != bench ] || fetch_bench
  [ "$goal" != pictures ] || fetch_pictures
  exit 0
}

case $goal in
  build | demo | test | lint | platforms | memcheck | sanitize | soak | fuzz | docs | site | bench | bench-check | pictures | bench-workers | dist-check | ci) look ;;
  *) echo "tools/deps.sh: no such goal: $goal" >&2; exit 2 ;;
esac
if has_command apt-get && has_command dpkg-query; then
  install_debian
  look
fi
tell_elsewhere
exit 1
