#!/bin/sh
# Makes lua/sora/server/media_data.lua: the video, thumbnail and sprite sheet that the development server serves.
# Run it from any folder; it needs ffmpeg with libx264. The script draws the picture (a square that bounces along a
# bar), so its copyright is the project's. It leaves out metadata, so the same ffmpeg always makes the same bytes.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

exact="-fflags +bitexact -flags:v +bitexact -map_metadata -1"
scene="color=c=0x12304f:s=320x180:r=12:d=2[sky];color=c=0xe94f37:s=320x20:r=12:d=2[bar];
color=c=0xf2b134:s=48x48:r=12:d=2[square];[sky][bar]overlay=x=0:y=150[ground];
[ground][square]overlay=x='12+t*124':y='100-90*abs(sin(t*3.14159))'"

# filter_units removes the SEI message with x264's version and settings.
# shellcheck disable=SC2086
ffmpeg -v error -f lavfi -i "$scene" -an -c:v libx264 -profile:v baseline -pix_fmt yuv420p -preset veryslow \
  -crf 28 -g 24 -threads 1 $exact -bsf:v filter_units=remove_types=6 -movflags +faststart "$work/video.mp4"
# shellcheck disable=SC2086
ffmpeg -v error -ss 1 -i "$work/video.mp4" -frames:v 1 -q:v 6 $exact "$work/thumbnail.jpg"
# shellcheck disable=SC2086
ffmpeg -v error -i "$work/video.mp4" -vf "fps=4,scale=160:-1,tile=4x2" -frames:v 1 -q:v 8 $exact \
  "$work/spritesheet.jpg"

{
  echo "-- Made by tools/make_media.sh: do not edit. Base64 of the files that the development server gives out."
  echo "return {"
  for file in video.mp4 thumbnail.jpg spritesheet.jpg; do
    echo "  ${file%.*} = [["
    base64 <"$work/$file" | tr -d '\n' | fold -w 100
    echo
    echo "]],"
  done
  echo "}"
} >"$root/lua/sora/server/media_data.lua"
