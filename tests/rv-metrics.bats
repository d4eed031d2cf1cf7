#!/usr/bin/env bats
# rv-metrics: the names and meanings that Prometheus was promised.

load lib

# numbers of the enums in lib/stats/stats.h
number_of() {
    sed -n '/^enum stats_'"${2:-counter}"' {/,/^}/p' "$ROOT/lib/stats/stats.h" |
        grep -oE '^ +STATS_[A-Z_]+' | grep -n "\bSTATS_$1\$" | cut -d: -f1 |
        awk '{ print $1 - 1 }'
}
counter() { echo "counter:$(number_of "$1")=$2"; }
gauge() { echo "gauge:$(number_of "$1" gauge)=$2"; }

# count CHANNEL WORD...: what the processes of a channel would have counted.
count() {
    mkdir -p "$RUN/$1"
    "$TOOLS/rv-mkstats" "$RUN/$1" "${@:2}"
}

once() {
    "$BIN/rv-metrics" --once --run-dir "$RUN"
}

# value NAME{LABELS}: of the text on standard input.
value() {
    grep -v "^#" | grep -F -- "retrovue_playout_$1 " | cut -d' ' -f2
}

metrics() {
    spawn metrics "$BIN/rv-metrics" --run-dir "$RUN" --listen 127.0.0.1:0 "$@"
    METRICS=$PID
    wait_until "grep -q metrics '$BATS_TEST_TMPDIR/metrics.out'" 5
    AT=$(jq -r .metrics "$BATS_TEST_TMPDIR/metrics.out")
}

@test "all metrics of the contract are there, with their types" {
    local name type
    count 1
    once >"$BATS_TEST_TMPDIR/m"
    while read -r name type; do
        grep -qx "# TYPE retrovue_playout_$name $type" "$BATS_TEST_TMPDIR/m"
        grep -q "^# HELP retrovue_playout_$name [A-Z0-9]" "$BATS_TEST_TMPDIR/m"
        grep -qE "^retrovue_playout_$name(_bucket)?\{channel=\"1\"" "$BATS_TEST_TMPDIR/m"
    done <<'LIST'
channel_state gauge
buffer_depth_frames gauge
frame_gap_seconds gauge
frames_decoded_total counter
frames_dropped_total counter
buffer_underrun_total counter
decode_failure_count counter
decode_latency_seconds histogram
channel_uptime_seconds gauge
restart_total counter
LIST
    for name in decode stage render http run; do
        grep -qx "retrovue_playout_restart_total{channel=\"1\",stage=\"$name\"} 0" \
            "$BATS_TEST_TMPDIR/m"
    done
    for name in 0.01 0.025 0.05 +Inf; do
        grep -qF "decode_latency_seconds_bucket{channel=\"1\",le=\"$name\"} 0" \
            "$BATS_TEST_TMPDIR/m"
    done
}

@test "what was counted is what is told" {
    count 7 "$(gauge STATE 3)" "$(gauge DEPTH_FRAMES 45)" \
        "$(gauge FRAME_GAP_US -1500)" "$(counter FRAMES_DECODED 12345678901)" \
        "$(counter RESTARTS_RENDER 3)" "$(counter RESTARTS_HTTP 2)" \
        latency=9000 latency=10000 latency=30000 latency=999999 \
        "$(gauge LEAD_US 499999)"
    once >"$BATS_TEST_TMPDIR/m"
    m() { value "$1" <"$BATS_TEST_TMPDIR/m"; }
    assert_eq "$(m 'channel_state{channel="7"}')" 3
    assert_eq "$(m 'buffer_depth_frames{channel="7"}')" 45
    assert_eq "$(m 'frame_gap_seconds{channel="7"}')" -0.001500
    assert_eq "$(m 'lead_seconds{channel="7"}')" 0.499999
    assert_eq "$(m 'frames_decoded_total{channel="7"}')" 12345678901
    assert_eq "$(m 'restart_total{channel="7",stage="render"}')" 3
    assert_eq "$(m 'restart_total{channel="7",stage="http"}')" 2
    assert_eq "$(m 'decode_latency_seconds_bucket{channel="7",le="0.01"}')" 2
    assert_eq "$(m 'decode_latency_seconds_bucket{channel="7",le="0.05"}')" 3
    assert_eq "$(m 'decode_latency_seconds_bucket{channel="7",le="+Inf"}')" 4
    assert_eq "$(m 'decode_latency_seconds_count{channel="7"}')" 4
    assert_eq "$(m 'decode_latency_seconds_sum{channel="7"}')" 1.048999
}

@test "a page made anew and one that is gone: no counter goes back" {
    count 1 "$(counter FRAMES_DECODED 100)" "$(gauge STATE 2)" latency=1
    metrics
    m() { curl -s "http://$AT/metrics" | value "$1"; }
    assert_eq "$(m 'frames_decoded_total{channel="1"}')" 100
    rm "$RUN/1/stats"
    assert_eq "$(m 'frames_decoded_total{channel="1"}')" 100
    assert_eq "$(m 'channel_state{channel="1"}')" 0
    count 1 "$(counter FRAMES_DECODED 5)" "$(gauge STATE 1)" latency=1
    assert_eq "$(m 'frames_decoded_total{channel="1"}')" 105
    assert_eq "$(m 'channel_state{channel="1"}')" 1
    assert_eq "$(m 'decode_latency_seconds_count{channel="1"}')" 2
    rm -r "$RUN/1"
    assert_eq "$(m 'channel_state{channel="1"}')" 0
}

@test "a channel whose processes are all dead is stopped" {
    mkdir "$RUN/1"
    spawn stage "$TOOLS/rv-mkstats" "$RUN/1" "$(gauge STATE 2)" enter=stage wait
    local stage=$PID
    wait_until "grep -q ready '$BATS_TEST_TMPDIR/stage.out'" 5
    assert_eq "$(once | value 'channel_state{channel="1"}')" 2
    assert_eq "$(once | value 'process_up{channel="1",process="stage"}')" 1
    kill -KILL "$stage"
    wait "$stage" || true
    assert_eq "$(once | value 'channel_state{channel="1"}')" 0
    assert_eq "$(once | value 'process_up{channel="1",process="stage"}')" 0
}

@test "a page that is rubbish costs only its channel, and is named" {
    count 1 "$(gauge STATE 2)"
    mkdir "$RUN/2" "$RUN/3" "$RUN/0x4" "$RUN/99999999999"
    head -c 100000 /dev/urandom >"$RUN/2/stats"
    : >"$RUN/3/stats"
    once >"$BATS_TEST_TMPDIR/m"
    assert_eq "$(value 'channel_state{channel="1"}' <"$BATS_TEST_TMPDIR/m")" 2
    assert_eq "$(value metrics_errors_total <"$BATS_TEST_TMPDIR/m")" 2
    grep -q '^# skipped: stats page .*/[23]/stats: ' "$BATS_TEST_TMPDIR/m"
    [[ $(<"$BATS_TEST_TMPDIR/m") != *'channel="2"'* ]]
}

@test "fifty channels are told within 100 ms" {
    local i took
    for i in {1..50}; do
        count "$i" "$(gauge STATE 2)"
    done
    metrics
    took=$(curl -s -o /dev/null -w '%{time_total}' "http://$AT/metrics")
    assert_le "$took" 0.1
    assert_eq "$(curl -s "http://$AT/metrics" | grep -c 'channel_state{')" 50
}

@test "other addresses and methods are a sentence, a signal ends it" {
    metrics
    assert_contains "$(curl -s "http://$AT/")" '/metrics'
    assert_eq "$(curl -s "http://$AT/x")" "there is nothing at this address; ask for /metrics"
    run curl -s -w '%{http_code}' -X POST -d x "http://$AT/metrics"
    assert_eq "$output" $'this method is not for here; use GET or HEAD\n405'
    run curl -sI "http://$AT/metrics"
    assert_contains "$output" "200 OK"
    assert_contains "$output" "Content-Type: text/plain; version=0.0.4"
    run "$BIN/rv-metrics" --run-dir "$RUN" --listen "$AT"
    assert_eq "$status" 1
    assert_contains "$output" "cannot listen there"
    kill "$METRICS"
    status_within "$METRICS" 3
    assert_clean
}
