#!/bin/sh
# bench.sh: runs every tests/bench/*.sh, which prints "NAME VALUE UNIT" lines.
#
# Figures of this machine at this moment: they are for comparing two commits
# here, one after the other, and they fail nothing.
set -eu

cd "$(dirname "$0")/.."
echo "# $(date -u +%FT%TZ) $(git rev-parse --short HEAD 2>/dev/null || echo '-') $(nproc) cores"
for file in tests/bench/*.sh; do
    [ -e "$file" ] || { echo "# no benchmark in tests/bench" && break; }
    sh "$file"
done
