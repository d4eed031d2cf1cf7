#!/bin/sh
# The picture that a running channel takes next, as a PNG.
#
#   tap-to-png.sh CHANNEL OUT.png [RUN-DIR]
set -eu

channel=$1
out=$2
run=${3-}

rv-tap ${run:+--run-dir "$run"} --channel "$channel" --nut -n 1 |
    ffmpeg -nostdin -loglevel error -y -f nut -i - -frames:v 1 "$out"
