#!/bin/sh
# Anything that ffmpeg can read or make, through a stage and a renderer.
#
#   ffmpeg-to-ts.sh OUT.ts FFMPEG-INPUT-OPTIONS...
#   ffmpeg-to-ts.sh out.ts -f lavfi -i testsrc2=d=5 -f lavfi -i sine=d=5
set -eu

out=$1
shift
ring=ffmpeg-to-ts-$$

rv-render --ring "$ring" --no-pace >"$out" &
renderer=$!
ffmpeg -nostdin -loglevel error "$@" -c:v rawvideo -pix_fmt yuv420p \
    -c:a pcm_s16le -f nut - |
    rv-decode - |
    rv-stage --ring "$ring" >/dev/null
wait "$renderer"
