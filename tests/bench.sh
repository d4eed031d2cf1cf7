#!/bin/sh
# bench.sh: figures of this machine at this moment, "NAME VALUE UNIT" a line.
#
# They are for comparing two commits here, one after the other, and fail
# nothing.  Runs every program build/tests/bench_* and every tests/bench/*.sh.
set -eu

cd "$(dirname "$0")/.."
export RV_BIN="${RV_BIN:-$PWD/build/bin}" RV_TOOLS="${RV_TOOLS:-$PWD/build/tests}"
echo "# $(date -u +%FT%TZ) $(git rev-parse --short HEAD 2>/dev/null || echo -) $(nproc) cores"
for program in "$RV_TOOLS"/bench_*; do
    [ ! -x "$program" ] || "$program"
done
for file in tests/bench/*.sh; do
    [ ! -e "$file" ] || sh "$file"
done
