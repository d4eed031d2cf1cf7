#!/bin/sh
# node.sh: gRPC's client for Node into build/node/node_modules, once.
#
# make check calls it beside deps.sh, so that no test needs the network.  What
# is installed is what tests/grpc/node/package-lock.json says, to the hash.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
wanted=$root/tests/grpc/node
there=$root/build/node
mark=$there/node_modules/.package-lock.json

[ -e "$mark" ] && cmp -s "$wanted/package-lock.json" "$there/package-lock.json" && exit 0
mkdir -p "$there"
rm -rf "$there/node_modules"
cp "$wanted/package.json" "$there"
echo "node.sh: installing @grpc/grpc-js into build/node" >&2
cp "$wanted/package-lock.json" "$there"
if ! npm ci --prefix "$there" --ignore-scripts --no-audit --no-fund \
    --prefer-offline >"$there/log" 2>&1; then
    tail -n 5 "$there/log" >&2
    rm -rf "$there/node_modules"
    echo "node.sh: npm could not install @grpc/grpc-js; it needs the npm registry" \
        "or npm's cache once, then run make check again" >&2
    exit 1
fi
