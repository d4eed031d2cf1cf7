#!/usr/bin/env bats
# rv-ctl serve and @grpc/grpc-js, which tests/node.sh has installed.

load lib
load service

conversation() {
    local clip size
    clip=$(make_clip one.mp4 --clip 1 --frames 300)
    size='"house":{"video":{"width":320,"height":180,"frame_rate":"30000/1001"},"audio":{"sample_rate":48000,"channels":2}}'
    echo "{\"version\":1,\"loop\":true,$size,\"segments\":[{\"asset\":\"$clip\"}]}" \
        >"$BATS_TEST_TMPDIR/a.json"
    echo "{\"version\":1,$size,\"segments\":[{\"asset\":\"$clip\",\"in\":2}]}" \
        >"$BATS_TEST_TMPDIR/b.json"
    NODE_PATH=$ROOT/build/node/node_modules timeout 60 node \
        "$ROOT/tests/grpc/node/conversation.js" "$1" "$BATS_TEST_TMPDIR/a.json" \
        "$BATS_TEST_TMPDIR/b.json" "$clip"
}

@test "grpc-js starts, updates, switches and stops a channel over TCP" {
    start_serve
    conversation "$GRPC"
    stop_serve
}

@test "grpc-js starts, updates, switches and stops a channel over the Unix socket" {
    start_serve
    conversation "unix:$SOCK"
    stop_serve
}
