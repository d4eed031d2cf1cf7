#!/bin/sh
# Each conversion of rv-decode beside ffmpeg.
set -eu
exec /usr/bin/python3 tests/bench/conversions.py "$RV_BIN"
