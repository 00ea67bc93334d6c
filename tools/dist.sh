#!/bin/sh
# tools/dist.sh [URL]: writes a release of HEAD to build/dist: the tarball, and for each rock a rockspec that fetches it
# from URL. Run it through make (`make dist`). The same commit gives the same bytes.
#
# The rockspecs are those for the checkout (scm) with another version and source.
set -eu

git rev-parse --verify --quiet 'HEAD^{commit}' >/dev/null ||
  { echo "make dist packs the last commit of a git checkout; there is none here." >&2; exit 1; }
version=$(git show HEAD:src/lua/binding.h | sed -n 's/^#define SORA_VERSION "\(.*\)"$/\1/p')
[ -n "$version" ] || { echo "src/lua/binding.h defines no SORA_VERSION." >&2; exit 1; }
url=${1:-https://github.com/sora-lua/sora/releases/download/v$version}
out=build/dist
tarball=sora-$version.tar.gz

rm -rf "$out"
mkdir -p "$out"
git -c tar.umask=0022 archive --format=tar --prefix="sora-$version/" -o "$out/sora-$version.tar" HEAD
gzip -n -9 "$out/sora-$version.tar"
md5=$(md5sum <"$out/$tarball" | cut -d ' ' -f 1)

for rock in sora sora-cli; do
  rockspec=$out/$rock-$version-1.rockspec
  git show "HEAD:$rock-scm-1.rockspec" | sed \
    -e "s|^version = \"scm-1\"|version = \"$version-1\"|" \
    -e "s|\"sora == scm\"|\"sora == $version\"|" \
    -e "s|^  url = \"git+.*\",|  url = \"$url/$tarball\",\\
  dir = \"sora-$version\",\\
  md5 = \"$md5\",|" >"$rockspec"
  if ! grep -q "^  dir = \"sora-$version\",$" "$rockspec" || grep -n 'scm\|git+' "$rockspec"; then
    echo "tools/dist.sh doesn't know how to turn $rock-scm-1.rockspec into that of a release." >&2
    exit 1
  fi
done

echo "$out has $(cd "$out" && echo ./* | sed 's|\./||g')"
if [ -n "$(git status --porcelain)" ]; then echo "They are of the last commit, without your uncommitted changes."; fi
if git show HEAD:CHANGELOG.md | grep -q "^## $version - unreleased"; then
  echo "CHANGELOG.md has no date for $version yet."
fi
