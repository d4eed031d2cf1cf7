# The MasterClock under a running channel: steps, jumps and holes.
#
# No test sets the system's clock: RETROVUE_TEST_CLOCK_OFFSET names a file with
# microseconds that the programs add to what they read of it.
load ../lib
load ../service

setup() {
    rv_setup
    A=$(make_clip film.mov --clip 1 --frames 150)
    B=$(make_clip spot.mp4 --clip 2 --frames 60 --gop 15)
    plan=$BATS_TEST_TMPDIR/plan.json
    HOUSE='"house":{"video":{"width":320,"height":180,"frame_rate":"30000/1001"},"audio":{"sample_rate":48000,"channels":2}}'
    printf '{"version":1, "loop":true, %s, "segments":[
        {"id":"film","asset":"%s"},{"id":"spot","asset":"%s"}]}\n' \
        "$HOUSE" "$A" "$B" >"$plan"
    ROUND='1:0-149 2:0-59'
    export RETROVUE_TEST_CLOCK_OFFSET=$BATS_TEST_TMPDIR/offset
    SUMMARY=$BATS_TEST_TMPDIR/summary
    system_clock 0
}

# system_clock US: from now on it shows so much more than it does.
system_clock() {
    echo "$1" >"$RETROVUE_TEST_CLOCK_OFFSET.new"
    mv "$RETROVUE_TEST_CLOCK_OFFSET.new" "$RETROVUE_TEST_CLOCK_OFFSET"
}

clock() {
    "$BIN/rv-ctl" clock --json --run-dir "$RUN/run" "$@"
}

# clock_is FILTER: what rv-ctl clock says, asked of jq.
clock_is() {
    clock | jq -e "$1" >/dev/null
}

# A metric without a label.
plain_metric() {
    curl -sf "http://$METRICS/metrics" | awk -v name="$1" '$1 == name { print $2 }'
}

# Every frame once, in order, and timestamps as if nothing had happened.
check_stream() {
    marks "$1" . >"$SUMMARY"
    "$PYTHON" "$ROOT/tests/rounds.py" "$ROUND" "$(jq -r .runs "$SUMMARY")"
    assert_eq "$(jq -r .pts_constant "$SUMMARY")" true \
        "PTS steps $(jq -c .pts_steps "$SUMMARY"): constant"
    assert_eq "$(jq -r .gaps "$SUMMARY")" 0 "gaps in the sound"
    "$TOOLS/rv-tscheck" "$1"
}

@test "steps of the system clock up to 5 s are slewed, and nobody sees them" {
    start_serve
    ctl start 1 "$plan"
    receive 1 14 "$BATS_TEST_TMPDIR/out.ts" &
    viewer=$!
    wait_until '[ -s "$BATS_TEST_TMPDIR/out.ts" ]' 5
    for step in 200000 -200000 3000000 -3000000; do
        system_clock "$step"
        wait_until "clock_is '.left_to_slew_us - $step | fabs < 20000'" 2
        rate=$((step > 0 ? 1000500 : 999500))
        assert_eq "$(clock | jq .rate_millionths)" $rate rate
        system_clock 0
        wait_until "clock_is '.left_to_slew_us | fabs < 20000'" 2
    done
    assert_eq "$(plain_metric retrovue_playout_clock_jumps_total)" 0 jumps
    wait $viewer
    ctl stop 1
    stop_serve
    check_stream "$BATS_TEST_TMPDIR/out.ts"
}

@test "the system clock jumps an hour and back: a new epoch, no frame lost" {
    start_serve
    ctl start 1 "$plan"
    receive 1 15 "$BATS_TEST_TMPDIR/out.ts" &
    viewer=$!
    wait_until '[ "$(stat -c %s "$BATS_TEST_TMPDIR/out.ts" 2>/dev/null || echo 0)" -gt 100000 ]' 8
    for step in 3600000000 0; do
        jumps=$(plain_metric retrovue_playout_clock_jumps_total)
        size=$(stat -c %s "$BATS_TEST_TMPDIR/out.ts")
        system_clock "$step"
        wait_until "clock_is '.jumps == $((jumps + 1))'" 2
        # it goes on, at the right time of day
        wait_until "[ \$(stat -c %s '$BATS_TEST_TMPDIR/out.ts') -gt $((size + 60000)) ]" 4
    done
    assert_eq "$(plain_metric retrovue_playout_clock_jumps_total)" 2 jumps
    wait_until '[ "$(metric retrovue_playout_channel_clock_jumps_total)" = 2 ]' 2
    assert_eq "$(metric retrovue_playout_frames_dropped_total)" 0 dropped
    wait $viewer
    ctl stop 1
    stop_serve
    grep -q 'the clock jumped by' "$BATS_TEST_TMPDIR/serve.err"
    check_stream "$BATS_TEST_TMPDIR/out.ts"
}

@test "behind a jump a plan with times is joined where the clock then is" {
    # an hour of A from now on, then B for an hour
    jq --arg start "$(date -u +%Y-%m-%dT%H:%M:%SZ)" '.start = $start
        | .segments[] += {type: "filler", duration: 3600}' "$plan" >"$plan.timed"
    start_serve
    ctl start 1 "$plan.timed"
    wait_until '[ "$(ctl status --json | jq -r ".[0].segment")" = film ]' 10
    receive 1 8 "$BATS_TEST_TMPDIR/out.ts" &
    viewer=$!
    system_clock 5400000000 # to half past one
    wait_until '[ "$(ctl status --json | jq -r ".[0].segment")" = spot ]' 6
    wait $viewer
    ctl stop 1
    stop_serve
    marks "$BATS_TEST_TMPDIR/out.ts" . >"$SUMMARY"
    assert_eq "$(jq -c '[.pts_constant, .gaps]' "$SUMMARY")" '[true,0]'
    # no slate between the two
    jq -r .runs "$SUMMARY" | grep -qE '^1:[0-9]+-[0-9]+( 1:0-[0-9]+)?( 2:[0-9]+-59)+' ||
        { jq -r .runs "$SUMMARY" >&2; false; }
}

@test "the caller's own clock shows as an offset and is not followed" {
    start_serve
    ctl start 1 "$plan"
    ctl load 1 "$B"
    wait_until '[ "$(metric retrovue_playout_channel_state)" = 2 ]' 10
    echo 5000000 >"$BATS_TEST_TMPDIR/callers" # 5 s ahead of everybody
    RETROVUE_TEST_CLOCK_OFFSET=$BATS_TEST_TMPDIR/callers ctl switch 1
    wait_until 'metric retrovue_playout_runtime_clock_offset_seconds |
        awk "{ exit !(\$1 > -5.1 && \$1 < -4.5) }"' 5
    assert_eq "$(plain_metric retrovue_playout_clock_jumps_total)" 0
    ctl stop 1
    stop_serve
}

@test "a virtual clock is set with rv-ctl clock" {
    start_serve --clock virtual:2026-11-23T14:00:00Z
    clock_is '.source == "virtual" and .rate_millionths == 1000000 and
        (.utc | startswith("2026-11-23T14:00:")) and .has_keeper'
    clock --pause >/dev/null
    before=$(clock | jq .utc_us)
    clock_is ".rate_millionths == 0 and .utc_us == $before"
    clock --step 3000 | jq -e ".utc_us == $before + 3000000 and .jumps == 0"
    clock --step -3600000 | jq -e ".utc_us == $before - 3597000000 and .jumps == 1"
    clock --resume | jq -e '.rate_millionths == 1000000'
    clock --rate 20.5 | jq -e '.rate_millionths == 20500000'
    # a new server goes on with it
    kill -KILL "$SERVE"
    status=0
    status_within "$SERVE" 5 || status=$?
    assert_eq "$status" 137
    rm -f "$BATS_TEST_TMPDIR/serve.out"
    start_serve
    clock_is '.source == "virtual" and .rate_millionths == 20500000'
    run "$BIN/rv-ctl" clock --run-dir "$RUN/run"
    assert_contains "$output" "RATE     20.500000"
    assert_contains "$output" "SOURCE   virtual"
    stop_serve
}

@test "a clock that cannot be set says so" {
    run "$BIN/rv-ctl" clock --pause --run-dir "$RUN/run"
    assert_eq "$status" 3
    start_serve
    run "$BIN/rv-ctl" clock --rate 2 --run-dir "$RUN/run"
    assert_eq "$status" 1
    assert_contains "$output" "start rv-ctl serve with --clock virtual"
    stop_serve
    for words in '--rate -1' '--rate 1e3' '--rate 1000000.5' '--step x' \
        '--pause --resume'; do
        # shellcheck disable=SC2086
        run "$BIN/rv-ctl" clock $words
        assert_eq "$status" 2 "$words"
    done
    run "$BIN/rv-ctl" serve --clock moon --run-dir "$RUN/run"
    assert_eq "$status" 2
    run "$BIN/rv-ctl" status --rate 2
    assert_eq "$status" 2
}
