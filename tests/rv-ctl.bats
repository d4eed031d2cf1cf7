#!/usr/bin/env bats
# rv-ctl: a channel by hand, the server with its verbs, and gRPC conversations
# with the clients that others use.

load lib
load service

SIZE='"house":{"video":{"width":320,"height":180,"frame_rate":"30000/1001"},"audio":{"sample_rate":48000,"channels":2}}'

setup_file() {
    # Compiled once; grpcio's own names are left alone.
    cd "${BATS_TEST_DIRNAME}/.." || return 1
    mkdir -p "$BATS_FILE_TMPDIR/gen"
    protoc -Iproto --python_out="$BATS_FILE_TMPDIR/gen" \
        retrovue/playout.proto retrovue/playout_status.proto
}

setup() {
    rv_setup
    ONE=$(make_clip one.mp4 --clip 1 --frames 300)
    TWO=$(make_clip two.mp4 --clip 2 --frames 200)
    THREE=$(make_clip three.mp4 --clip 3 --frames 300)
    PLAN=$BATS_TEST_TMPDIR/a.json
    OTHER=$BATS_TEST_TMPDIR/b.json
    echo "{\"version\":1,\"loop\":true,$SIZE,\"segments\":[
        {\"id\":\"a1\",\"asset\":\"$ONE\",\"duration\":\"120f\"},
        {\"id\":\"a2\",\"asset\":\"$TWO\",\"duration\":\"90f\"}]}" >"$PLAN"
    echo "{\"version\":1,\"loop\":true,$SIZE,\"segments\":[
        {\"id\":\"b1\",\"asset\":\"$TWO\",\"duration\":\"150f\"}]}" >"$OTHER"
}

# is_on_air CHANNEL [STATE]: and frames go out.
is_on_air() {
    [ "$(ctl status --json | jq -r ".[] | select(.channel == $1)
        | select(.state == \"${2:-ready}\" and .frame > 0) | .channel")" = "$1" ]
}

on_air() {
    wait_until "is_on_air $1 ${2:-ready}" 15
}

# conversation ADDRESS SCENARIO: output is what it printed.
conversation() {
    "$PYTHON" "$ROOT/tests/grpc/conversation.py" "$BATS_FILE_TMPDIR/gen" "$1" "$2" \
        "$PLAN" "$OTHER" "$THREE"
}

# whole FILE: no frame lost, doubled or black between two that were received.
whole() {
    assert_eq "$(marks "$1" '[.pts_constant, .decode_errors, .ts.continuity_errors,
        .ts.discontinuities, .pts_backward] | join(" ")')" "true 0 0 0 0" "$1"
}

# --- by hand -----------------------------------------------------------------

@test "a director runs a channel without any server and leaves nothing" {
    spawn run "$BIN/rv-ctl" run 1 --run-dir "$RUN/run" --state-dir "$RUN/state" --plan "$PLAN"
    local run=$PID
    wait_until '[ -s "$RUN/run/1/ts" ] || gone '"$run" 10
    assert_eq "$(jq -r .channel "$BATS_TEST_TMPDIR/run.out")" 1
    kill -TERM "$run"
    status_within "$run" 3
    assert_no_processes
    rm -rf "$RUN/state"
    assert_empty "$RUN/run"
}

@test "a person can talk to the control socket" {
    spawn run "$BIN/rv-ctl" run 1 --run-dir "$RUN/run" --plan "$PLAN"
    wait_until '[ -S "$RUN/run/1/control" ]' 10
    run "$PYTHON" - "$RUN/run/1/control" <<'PY'
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(10)
peer.connect(sys.argv[1])
lines = peer.makefile("rw")
for order in ('{"id":7,"do":"status"}', '{"do":"dance"}', 'what?',
              '{"id":"x","do":"switch"}', '{"id":9,"do":"stop"}'):
    print(order, file=lines, flush=True)
    print(lines.readline().strip())
PY
    assert_eq "$status" 0
    assert_eq "$(jq -r '[.id, .ok] | @csv' <<<"${lines[0]}")" '7,true'
    assert_contains "${lines[1]}" "'dance' is no order"
    assert_contains "${lines[2]}" "not a JSON object"
    assert_contains "${lines[3]}" "no preview is loaded"
    assert_eq "$(jq -r '[.id, .ok] | @csv' <<<"${lines[4]}")" '9,true'
    status_within "$PID" 3
}

@test "a director by hand takes over from a killed one and plays another plan" {
    spawn run "$BIN/rv-ctl" run 1 --run-dir "$RUN/run" --state-dir "$RUN/state" --plan "$PLAN"
    wait_until '[ -s "$RUN/run/1/ts" ]' 10
    local stage
    stage=$(proc_pid 1 stage)
    kill -KILL "$PID"
    wait_until "gone $PID" 5
    spawn run "$BIN/rv-ctl" run 1 --run-dir "$RUN/run" --state-dir "$RUN/state" --plan "$OTHER"
    local run=$PID
    wait_until '[ -s "$BATS_TEST_TMPDIR/run.out" ]' 5
    wait_until 'grep -qs "\"b1\"" "$RUN/run/1/state"' 10
    assert_eq "$(proc_pid 1 stage)" "$stage"
    kill -TERM "$run"
    status_within "$run" 3
    assert_no_processes
}

@test "what is wrong with a plan is said, with status 1" {
    echo '{"version":1,"segments":[{"asset":7}]}' >"$PLAN"
    run "$BIN/rv-ctl" run 1 --run-dir "$RUN/run" --plan "$PLAN"
    assert_eq "$status" 1
    assert_contains "$output" "$PLAN"
    assert_contains "$output" "asset"
    run "$BIN/rv-ctl" run 1 --run-dir "$RUN/run" --plan /no/such
    assert_eq "$status" 1
    assert_empty "$RUN/run"
}

@test "wrong usage is status 2" {
    local words
    for words in "" "dance" "start" "start 1" "start x a" "stop 1 2" "switch 1 --frames 3" \
        "run" "run 0 --plan x" "run 1" "serve --listen 7" "serve --house 3" \
        "serve --http-port 70000" "version --json"; do
        # shellcheck disable=SC2086
        run "$BIN/rv-ctl" $words
        assert_eq "$status" 2 "rv-ctl $words"
    done
}

@test "nobody there is status 3" {
    run "$BIN/rv-ctl" --address "unix:$RUN/none" version
    assert_eq "$status" 3
    assert_contains "$output" "$RUN/none"
    run "$BIN/rv-ctl" --address "127.0.0.1:$(free_port)" status
    assert_eq "$status" 3
}

# --- the server --------------------------------------------------------------

@test "what is started can be received, and stop leaves nothing" {
    start_serve
    assert_eq "$(jq -c 'keys' "$BATS_TEST_TMPDIR/serve.out")" \
        '["grpc","metrics","pid","run_dir","socket"]'
    [[ $(stat -c %a "$SOCK") == ?00 ]] # the owner's alone
    run ctl start 1 "$PLAN"
    assert_eq "$status" 0
    assert_contains "$output" "$(url 1)"
    receive 1 6 "$BATS_TEST_TMPDIR/seen.ts"
    whole "$BATS_TEST_TMPDIR/seen.ts"
    assert_eq "$(ffprobe -v error -show_entries stream=codec_name -of csv=p=0 \
        "$BATS_TEST_TMPDIR/seen.ts" | grep . | sort -u | paste -sd ' ')" "aac h264"
    [ "$(marks "$BATS_TEST_TMPDIR/seen.ts" .marked)" -gt 60 ]
    run ctl stop 1
    assert_eq "$status" 0
    assert_eq "$(ls "$RUN/run/1")" stats
    assert_eq "$(curl -s -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' "$(url 1)")" 404
    [ -s "$BATS_TEST_TMPDIR/body" ]
    assert_eq "$(ctl status --json | jq -r '.[0].state')" stopped
    stop_serve
}

@test "processes of a channel show which one they belong to" {
    start_serve
    ctl start 7 "$PLAN"
    on_air 7
    local name
    for name in stage render decode; do
        run proc_pid 7 $name
        assert_eq "$status" 0 "rv-$name"
    done
    [ -n "$(ps -eo args | grep -F "rv-ctl run --run-dir $RUN/run --channel 7 " | grep -v grep)" ]
    stop_serve
}

@test "an update, a preview and its end lose no frame" {
    start_serve
    ctl start 1 "$PLAN"
    on_air 1
    receive 1 12 "$BATS_TEST_TMPDIR/seen.ts" &
    local viewer=$!
    ctl load 1 "$THREE" --start-frame 20 --frames 60
    wait_until 'ctl switch 1 | grep -q "on air from"' 10
    wait_until '[ "$(ctl status --json | jq -r ".[0].segment")" = preview-1 ]' 5
    wait_until '[ "$(ctl status --json | jq -r ".[0].segment" | cut -c1)" = a ]' 8
    ctl update 1 "$OTHER"
    wait "$viewer"
    whole "$BATS_TEST_TMPDIR/seen.ts"
    local runs
    runs=$(marks "$BATS_TEST_TMPDIR/seen.ts" .runs)
    assert_contains "$runs" " 3:20-79 "
    # b1 begins with its first frame and goes on to the end.
    [[ $runs =~ \ 2:0-[0-9]+$ ]]
    assert_eq "$(marks "$BATS_TEST_TMPDIR/seen.ts" '.pictures - .marked')" 0
    assert_eq "$(marks "$BATS_TEST_TMPDIR/seen.ts" .wrong_sound)" 0
    stop_serve
}

@test "a preview that is ready follows the live one without a hole" {
    start_serve
    ctl start 1 "$PLAN"
    on_air 1
    receive 1 10 "$BATS_TEST_TMPDIR/out.ts" &
    local viewer=$!
    ctl load 1 "$THREE" --start-frame 20 --frames 50
    wait_until 'ctl switch 1 | grep -q "on air from"' 10
    ctl load 1 "$THREE" --start-frame 200 --frames 40 # and no switch
    wait $viewer
    # the same call after the cut answers with its figures
    run ctl switch 1
    assert_eq "$status" 0
    ctl stop 1
    stop_serve
    assert_contains "$(marks "$BATS_TEST_TMPDIR/out.ts" .runs)" " 3:20-69 3:200-239 "
    whole "$BATS_TEST_TMPDIR/out.ts"
}

@test "a new plan that holds what is on air goes on with it" {
    start_serve
    ctl start 1 "$PLAN"
    on_air 1
    receive 1 7 "$BATS_TEST_TMPDIR/seen.ts" &
    local viewer=$!
    echo "{\"version\":1,$SIZE,\"segments\":[
        {\"id\":\"x\",\"asset\":\"$TWO\",\"duration\":\"30f\"},
        {\"id\":\"a1\",\"asset\":\"$ONE\",\"duration\":\"120f\"},
        {\"id\":\"c\",\"asset\":\"$THREE\",\"duration\":\"300f\"}]}" >"$OTHER"
    ctl update 1 "$OTHER"
    wait "$viewer"
    whole "$BATS_TEST_TMPDIR/seen.ts"
    [[ $(marks "$BATS_TEST_TMPDIR/seen.ts" .runs) =~ ^1:[0-9]+-119\ 3:0-[0-9]+$ ]]
    stop_serve
}

@test "a missing asset is slate for its time and state error, then ready" {
    echo "{\"version\":1,$SIZE,\"segments\":[
        {\"id\":\"m\",\"asset\":\"/no/such.mp4\",\"duration\":\"90f\"},
        {\"id\":\"a\",\"asset\":\"$ONE\",\"duration\":\"120f\"}]}" >"$PLAN"
    start_serve
    ctl start 1 "$PLAN"
    on_air 1 error
    assert_eq "$(ctl status --json | jq -r '.[0].segment')" m
    on_air 1 ready
    wait_until '[ "$(ctl status --json | jq -r ".[0].segment")" = a ]' 5
    [ "$(metric retrovue_playout_decode_failure_count)" -ge 1 ]
    ctl stop 1
    jq -se '.[0] | .segment == "m" and .first_frame == 0 and .last_frame == 89 and
        .reason == "slate: asset cannot be played"' "$RUN/state/asrun-1.jsonl"
    stop_serve
}

@test "a plan with times is joined in progress" {
    local start
    start=$("$PYTHON" -c 'import datetime as d
print((d.datetime.now(d.timezone.utc) - d.timedelta(seconds=64)).strftime("%Y-%m-%dT%H:%M:%SZ"))')
    echo "{\"version\":1,\"start\":\"$start\",$SIZE,\"segments\":[
        {\"asset\":\"$ONE\",\"duration\":60},
        {\"asset\":\"$TWO\"}, {\"asset\":\"$THREE\"}]}" >"$PLAN"
    start_serve
    ctl start 1 "$PLAN"
    on_air 1
    receive 1 4 "$BATS_TEST_TMPDIR/seen.ts"
    whole "$BATS_TEST_TMPDIR/seen.ts"
    # Sixty seconds are 1798 frames: what is on air says what time it is.
    ctl stop 1
    jq -se --arg start "$start" 'map(select(.reason == "plan"))[0]
        | .asset_first_frame as $frame
        | ((.utc[:19] + "Z" | fromdate) - ($start | fromdate) - 60) * 29.97
        | $frame > 90 and ($frame - . | fabs) < 32' "$RUN/state/asrun-1.jsonl"
    stop_serve
}

@test "a port that another program holds is refused, and nothing is left" {
    start_serve
    local port
    port=$(free_port)
    spawn holder "$PYTHON" -c "import socket, time
s = socket.socket()
s.bind(('127.0.0.1', $port))
s.listen()
print('listens', flush=True)
time.sleep(60)"
    local holder=$PID
    wait_until '[ -s "$BATS_TEST_TMPDIR/holder.out" ]' 5
    run ctl start 1 "$PLAN" "$port"
    assert_eq "$status" 1
    assert_contains "$output" "port $port"
    assert_eq "$(ctl status --json)" "[]"
    [ ! -e "$RUN/run/1" ]
    kill "$holder"
    wait_until "gone $holder" 5
    run ctl start 1 "$PLAN" "$port"
    assert_eq "$status" 0
    receive 1 2 "$BATS_TEST_TMPDIR/seen.ts" "$port"
    [ -s "$BATS_TEST_TMPDIR/seen.ts" ]
    # on the other port there is no such channel
    assert_eq "$(curl -s -o /dev/null -w '%{http_code}' "$(url 1)")" 404
    stop_serve
}

@test "a second server on the same run folder is refused with a sentence" {
    start_serve
    run "$BIN/rv-ctl" serve --run-dir "$RUN/run" --listen 127.0.0.1:0 --metrics 127.0.0.1:0 \
        --http-port 0 --socket "$RUN/other.sock"
    assert_eq "$status" 1
    assert_contains "$output" "$RUN/run"
    ctl version
    stop_serve
}

@test "a stale run folder is swept" {
    mkdir -p "$RUN/run/3"
    echo '{"version":1}' >"$RUN/run/3/state"
    echo rubbish >"$RUN/run/3/ring"
    echo 8090 >"$RUN/run/3/port"
    echo x >"$RUN/run/3/pool-5"
    start_serve
    wait_until '[ ! -e "$RUN/run/3/ring" ]' 5
    assert_eq "$(ctl status --json | jq -c '[.[] | select(.state != "stopped")]')" "[]"
    ctl start 3 "$PLAN"
    on_air 3
    stop_serve
}

@test "a killed server is replaced by one that takes over" {
    start_serve
    ctl start 1 "$PLAN"
    on_air 1
    receive 1 7 "$BATS_TEST_TMPDIR/seen.ts" &
    local viewer=$! port=$HTTP_PORT
    kill -KILL "$SERVE"
    wait_until "gone $SERVE" 5
    start_serve
    HTTP_PORT=$port
    assert_eq "$(ctl status --json | jq -c '.[0] | [.channel, .port]')" "[1,$port]"
    ctl load 1 "$THREE"
    wait "$viewer"
    whole "$BATS_TEST_TMPDIR/seen.ts"
    ctl stop 1
    stop_serve
}

@test "SIGUSR2 executes the server anew and nobody notices" {
    start_serve
    ctl start 1 "$PLAN"
    on_air 1
    receive 1 5 "$BATS_TEST_TMPDIR/seen.ts" &
    local viewer=$!
    kill -USR2 "$SERVE"
    wait_until 'grep -q "taken over" "$BATS_TEST_TMPDIR/serve.err"' 5
    assert_eq "$(ctl version)" 1.0.0
    "$BIN/rv-ctl" --address "$GRPC" version
    assert_eq "$(ctl status --json | jq -c '.[0] | [.channel, .state]')" '[1,"ready"]'
    wait "$viewer"
    whole "$BATS_TEST_TMPDIR/seen.ts"
    curl -sf "http://$METRICS/metrics" >/dev/null
    stop_serve
}

has_restarted() {
    curl -sf "http://$METRICS/metrics" |
        grep -q "^retrovue_playout_restart_total{.*stage=\"$1\"} [1-9]"
}

@test "whoever is killed, the viewer loses no frame" {
    start_serve
    ctl start 1 "$PLAN"
    on_air 1
    receive 1 10 "$BATS_TEST_TMPDIR/seen.ts" &
    local viewer=$! name
    for name in stage render decode; do
        kill -KILL "$(proc_pid 1 $name)"
        wait_until "has_restarted $name" 5
    done
    kill -KILL "$(pgrep -f "rv-ctl run --run-dir $RUN/run --channel 1 ")"
    wait "$viewer"
    whole "$BATS_TEST_TMPDIR/seen.ts"
    assert_eq "$(marks "$BATS_TEST_TMPDIR/seen.ts" '.pictures - .marked')" 0
    stop_serve
}

@test "rv-ctl clock shows the MasterClock" {
    start_serve
    run "$BIN/rv-ctl" clock --json --run-dir "$RUN/run"
    assert_eq "$status" 0
    jq -e '.has_keeper and .source == "real"' <<<"$output"
    stop_serve
}

# --- the clients that others use ---------------------------------------------

@test "grpcio leads a channel through its life, over TCP" {
    start_serve
    ctl start 2 "$PLAN" # another channel is not touched
    run conversation "$GRPC" life
    echo "$output"
    assert_eq "$status" 0
    stop_serve
}

@test "grpcio leads a channel through its life, over the Unix socket" {
    start_serve
    run conversation "unix:$SOCK" life
    echo "$output"
    assert_eq "$status" 0
    # 25 frames at 25 are 29.97 of ours, 50 are 59.94
    assert_eq "$(jq -sc '[.[] | select(.segment == "preview-4")
        | [.asset_first_frame, .last_frame - .first_frame + 1]]' "$RUN/state/asrun-1.jsonl")" '[[30,60]]'
    stop_serve
}

@test "every wrong call is refused with its status and a sentence" {
    start_serve
    run conversation "$GRPC" refusals
    echo "$output"
    assert_eq "$status" 0
    stop_serve
}
