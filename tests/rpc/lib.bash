# lib.bash: what rpc.bats and long/rpc.bats share.  Load it behind tests/lib.

rpc_setup_file() {
    local out=$BATS_FILE_TMPDIR/gen
    mkdir -p "$out"
    cd "$ROOT" || return 1
    protoc -Itests/rpc --python_out="$out" echo.proto
    # not "grpc/": that is grpcio's own
    protoc -Igrpc_=proto/grpc --python_out="$out" \
        grpc_/health/v1/health.proto grpc_/reflection/v1/reflection.proto
}

rpc_setup() {
    rv_setup
    cd "$ROOT" || return 1
    [[ $UNIT != *variant* ]] || export RV_NO_RSS=1
}

# serve OPTION...: on TCP and on a Unix socket; sets TCP, SOCKET and SERVER.
# SERVE_UNDER is put before it, e.g. valgrind.
serve() {
    rm -f "$BATS_TEST_TMPDIR/server.out"
    # shellcheck disable=SC2086
    spawn server ${SERVE_UNDER:-} "$UNIT/echo_server" "$@" 127.0.0.1:0 "unix:$RUN/s"
    SERVER=$PID
    wait_until '[ -s "$BATS_TEST_TMPDIR/server.out" ]' 20 || {
        cat "$BATS_TEST_TMPDIR/server.err" >&2
        return 1
    }
    TCP=$(jq -r '.[0]' "$BATS_TEST_TMPDIR/server.out")
    SOCKET=unix:$RUN/s
}

# ended: the server stops when asked, with status 0, and leaves nothing.
ended() {
    kill -TERM "$SERVER" 2>/dev/null || true
    status_within "$SERVER" 20 || {
        cat "$BATS_TEST_TMPDIR/server.err" >&2
        return 1
    }
    assert_clean
}

client() { "$PYTHON" tests/rpc/client.py "$BATS_FILE_TMPDIR/gen" "$@"; }
attack() { "$PYTHON" tests/rpc/attack.py "$@"; }
