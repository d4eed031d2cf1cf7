#!/bin/sh
# The whole chain beside ffmpeg, the hand-over of a frame, the start of a channel.
set -eu
exec /usr/bin/python3 tests/bench/bench.py "$RV_BIN" "$RV_TOOLS" tests/media.sh
