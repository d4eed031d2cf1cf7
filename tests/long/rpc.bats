#!/usr/bin/env bats
# lib/rpc with what is too slow or too far for make check: Node's client (from
# the package registry), valgrind, and more mutations than rpc.bats.
# timeout: 900

load ../lib
load ../rpc/lib

setup_file() { rpc_setup_file; }
setup() { rpc_setup; }

@test "grpc-js calls, streams, compresses and asks health and reflection" {
    local node=$ROOT/build/node
    mkdir -p "$node"
    cp tests/rpc/node/package.json tests/rpc/node/package-lock.json "$node"
    npm ci --prefix "$node" --ignore-scripts --no-audit --no-fund >"$BATS_TEST_TMPDIR/npm" 2>&1 || {
        cat "$BATS_TEST_TMPDIR/npm" >&2
        return 1
    }
    serve
    NODE_PATH=$node/node_modules node tests/rpc/node/client.js "$TCP"
    NODE_PATH=$node/node_modules node tests/rpc/node/client.js "$SOCKET"
    ended
}

@test "thousands of calls leave nothing behind under valgrind" {
    SERVE_UNDER="valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=all
        --errors-for-leak-kinds=all --suppressions=$ROOT/tests/valgrind.supp"
    export RV_NO_RSS=1
    serve
    client "$TCP" calls
    client "$SOCKET" calls
    client "$TCP" gzip
    client "$SOCKET" reflection
    ended
}

@test "twenty thousand mutated sessions do no harm" {
    local seed
    for seed in 11 12; do
        serve
        RV_SEED=$seed attack "$TCP" fuzz 5000
        RV_SEED=$seed attack "$SOCKET" fuzz 5000
        ended
    done
}
