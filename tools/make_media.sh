#!/bin/sh
# Makes cli/sora/server/media_data.lua: the films of the development server, each with a thumbnail and a sprite sheet.
# Run it from any folder; it needs ffmpeg with libx264. The script draws the pictures (squares that move), so their
# copyright is the project's. It leaves out metadata, so the same ffmpeg always makes the same bytes.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
output=$root/cli/sora/server/media_data.lua
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

exact="-fflags +bitexact -flags:v +bitexact -map_metadata -1"

# film SCENE SHEET: draws two seconds, and appends the three files to the list. SHEET is the filter of a sprite sheet.
film() {
  # filter_units removes the SEI message with x264's version and settings.
  # shellcheck disable=SC2086
  ffmpeg -v error -y -f lavfi -i "$1" -an -c:v libx264 -profile:v baseline -pix_fmt yuv420p -preset veryslow \
    -crf 28 -g 24 -threads 1 $exact -bsf:v filter_units=remove_types=6 -movflags +faststart "$work/video.mp4"
  # shellcheck disable=SC2086
  ffmpeg -v error -y -ss 1 -i "$work/video.mp4" -frames:v 1 -q:v 6 $exact "$work/thumbnail.jpg"
  # shellcheck disable=SC2086
  ffmpeg -v error -y -i "$work/video.mp4" -vf "$2" -frames:v 1 -q:v 8 $exact "$work/spritesheet.jpg"
  echo "  {"
  for file in video.mp4 thumbnail.jpg spritesheet.jpg; do
    echo "    ${file%.*} = [["
    base64 <"$work/$file" | tr -d '\n' | fold -w 100
    echo
    echo "]],"
  done
  echo "  },"
}

{
  echo "-- Made by tools/make_media.sh: do not edit. Base64 of the files that the development server gives out."
  echo "return {"
  # a square that bounces along a bar
  film "color=c=0x12304f:s=320x180:r=12:d=2[sky];color=c=0xe94f37:s=320x20:r=12:d=2[bar];
color=c=0xf2b134:s=48x48:r=12:d=2[square];[sky][bar]overlay=x=0:y=150[ground];
[ground][square]overlay=x='12+t*124':y='100-90*abs(sin(t*3.14159))'" "fps=4,scale=160:-1,tile=4x2"
  # upright: a square that rises beside a pole
  film "color=c=0x2b2d42:s=180x320:r=12:d=2[sky];color=c=0x8d99ae:s=12x320:r=12:d=2[pole];
color=c=0xef233c:s=60x60:r=12:d=2[square];[sky][pole]overlay=x=40:y=0[scene];
[scene][square]overlay=x=80:y='250-t*120'" "fps=4,scale=90:-1,tile=4x2"
  # two squares that cross
  film "color=c=0xf7f3e3:s=240x240:r=12:d=2[paper];color=c=0x3d5a80:s=56x56:r=12:d=2[one];
color=c=0xee6c4d:s=56x56:r=12:d=2[two];[paper][one]overlay=x='t*92':y=60[scene];
[scene][two]overlay=x='184-t*92':y=124" "fps=4,scale=120:-1,tile=4x2"
  echo "}"
} >"$work/media_data.lua"
mv "$work/media_data.lua" "$output"
