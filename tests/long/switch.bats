# Every change of programme on the air is exact to the frame.
load ../lib
load ../service
load ../exact

@test "thirty switches at random moments are exact, and in time" {
    start_clips
    plan_of "$A 0 240" "$B 3 237" "$C 0 200" >"$PLAN"
    onair switches 30 7 "1:240:$A" "2:240:$B" "3:240:$C" "4:200:$D" "5:130:$E"
    check_whole "$BATS_TEST_TMPDIR/out.ts"
    ctl stop 1
    stop_serve
}

@test "fifteen new plans at random moments keep what is on air in its place" {
    start_clips
    plan_of "$A 0 100" "$B 17 83" "$C 40 61" "$A 130 70" "$B 110 90" >"$PLAN"
    onair updates 15 7 "1:240:$A" "2:240:$B" "3:240:$C"
    check_whole "$BATS_TEST_TMPDIR/out.ts"
    ctl stop 1
    stop_serve
}
