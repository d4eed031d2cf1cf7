# service.bash: a running service for tests, and viewers of its channels.
#
#     load lib; load service
#     start_serve [options]          -> GRPC, SOCK, METRICS, HTTP_PORT, SERVE
#     ctl start 1 plan.json
#     receive 1 SECONDS FILE         a viewer with curl
#     stop_serve                     and nothing is left

# A TCP port that nobody listens on now.
free_port() {
    "$PYTHON" -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# start_serve [options]: waits until it listens.
start_serve() {
    HTTP_PORT=$(free_port)
    spawn serve "$BIN/rv-ctl" serve --run-dir "$RUN/run" \
        --state-dir "$RUN/state" --listen 127.0.0.1:0 --metrics 127.0.0.1:0 \
        --http-port "$HTTP_PORT" "$@"
    SERVE=$PID
    wait_until '[ -s "$BATS_TEST_TMPDIR/serve.out" ] || gone $SERVE' 10
    GRPC=$(jq -r .grpc "$BATS_TEST_TMPDIR/serve.out")
    SOCK=$(jq -r .socket "$BATS_TEST_TMPDIR/serve.out")
    METRICS=$(jq -r .metrics "$BATS_TEST_TMPDIR/serve.out")
    [ -n "$GRPC" ] || {
        cat "$BATS_TEST_TMPDIR/serve.err" >&2
        return 1
    }
}

# Ends the service; fails unless it ends with 0 and leaves nothing.
stop_serve() {
    kill -TERM "$SERVE"
    status_within "$SERVE" 10 || {
        echo "serve ended with $?" >&2
        tail -20 "$BATS_TEST_TMPDIR/serve.err" >&2
        return 1
    }
    assert_no_processes
    rm -rf -- "$RUN/state"
    assert_empty "$RUN/run"
}

ctl() {
    "$BIN/rv-ctl" --address "unix:$SOCK" "$@"
}

url() {
    echo "http://127.0.0.1:${2:-$HTTP_PORT}/channel/$1.ts"
}

# receive CHANNEL SECONDS FILE [PORT]: what a viewer gets in that time.
receive() {
    curl --silent --show-error --max-time "$2" --output "$3" \
        "$(url "$1" "${4-}")" || [ $? -eq 28 ]
}

# metric NAME [CHANNEL]: its value.
metric() {
    curl -sf "http://$METRICS/metrics" |
        awk -v name="$1" -v channel="channel=\"${2:-1}\"" '
            index($1, name "{") == 1 && index($0, channel) { print $NF; exit }'
}

# The newest id of channel CHANNEL's process NAME (stage, render, ...).
proc_pid() {
    local pid
    for pid in $(test_processes); do
        tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null |
            grep -q "rv-$2 .*--channel $1 " && echo "$pid" && return 0
    done
    return 1
}

# check_rounds FILE ROUND: what was received repeats ROUND (runs as in the
# summary of rv-readmarks) from its first frame on, sound with picture, and is
# a strict transport stream.  The summary stays in $BATS_TEST_TMPDIR/summary.
check_rounds() {
    local summary=$BATS_TEST_TMPDIR/summary
    marks "$1" . >"$summary"
    "$PYTHON" "$ROOT/tests/rounds.py" "$2" "$(jq -r .runs "$summary")"
    assert_eq "$(jq -r .pts_constant "$summary")" true \
        "PTS steps $(jq -c .pts_steps "$summary"): constant"
    assert_eq "$(jq -r .gaps "$summary")" 0 "gaps in the sound"
    assert_eq "$(jq -r .wrong_sound "$summary")" 0 "sound of another clip"
    assert_le "$(jq -r '.av.offsets_ms | map(fabs) | max' "$summary")" 5 \
        "A/V offset in ms"
    "$TOOLS/rv-tscheck" "$1"
}
