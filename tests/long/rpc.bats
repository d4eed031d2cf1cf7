#!/usr/bin/env bats
# lib/rpc with what is too slow for make check: Node's client, valgrind, and
# more mutations than rpc.bats.
# timeout: 900

load ../lib
load ../rpc/lib

setup_file() { rpc_setup_file; }
setup() { rpc_setup; }

@test "grpc-js calls, streams, compresses and asks health and reflection" {
    export NODE_PATH=$ROOT/build/node/node_modules # tests/node.sh made it
    serve
    node tests/rpc/node/client.js "$TCP"
    node tests/rpc/node/client.js "$SOCKET"
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
