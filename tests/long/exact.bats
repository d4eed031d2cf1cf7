# Long and many cuts, exact to the frame.
# timeout: 1800
load ../lib
load ../service
load ../exact

setup() {
    rv_setup
    export PATH=$BIN:$PATH
}

# Segments of up to 400 frames at every rate, and a new dice each day.
@test "fifty segments of 1 to 400 frames at every house rate" {
    export RETROVUE_RUN_DIR=$RUN
    local rate seed
    seed=$(date +%j)
    echo "seed $seed"
    for rate in 24000/1001 25 30000/1001 30 50 60000/1001 60; do
        check_cuts "$seed" 50 400 "$rate"
        assert_clean
    done
}

# RV_SWITCHES=1000 makes them all, which takes a quarter of an hour.
@test "minutes of switches at random moments are exact, and in time" {
    [ -n "${RV_SWITCHES:-}" ] || export ONAIR_SECONDS=120
    start_clips
    plan_of "$A 0 240" "$B 3 237" "$C 0 200" >"$PLAN"
    onair switches "${RV_SWITCHES:-2000}" "$(date +%j)" "1:240:$A" "2:240:$B" \
        "3:240:$C" "4:200:$D" "5:130:$E"
    check_whole "$BATS_TEST_TMPDIR/out.ts"
    ctl stop 1
    stop_serve
}

@test "behind previews that end before what was asked for the plan goes on" {
    export ONAIR_SECONDS=80
    start_clips
    plan_of "$A 0 240" "$B 3 237" "$C 0 200" >"$PLAN"
    onair shorts 2000 "$(date +%j)" "1:240:$A" "2:240:$B" "3:240:$C" \
        "4:200:$D" "5:130:$E"
    check_whole "$BATS_TEST_TMPDIR/out.ts"
    ctl stop 1
    stop_serve
}

@test "new plans at random moments keep what is on air in its place" {
    start_clips
    plan_of "$A 0 100" "$B 17 83" "$C 40 61" "$A 130 70" "$B 110 90" >"$PLAN"
    onair updates "${RV_UPDATES:-60}" "$(date +%j)" "1:240:$A" "2:240:$B" "3:240:$C"
    check_whole "$BATS_TEST_TMPDIR/out.ts"
    ctl stop 1
    stop_serve
}
