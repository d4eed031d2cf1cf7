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

@test "a preview loaded while another is about to follow is answered" {
    start_clips
    plan_of "$A 0 240" "$B 3 237" "$C 0 200" >"$PLAN"
    ctl start 1 "$PLAN"
    wait_until '[ "$(ctl status --json | jq ".[0].frame")" -gt 30 ]' 10
    local i
    for ((i = 0; i < 4; i++)); do
        ctl load 1 "$D" --frames $((40 + 3 * i)) >/dev/null
        wait_until 'ctl switch 1 | grep -q "on air from"' 10
        # until the first follows it: each has an answer at once
        for _ in {1..30}; do
            run timeout 2 "$BIN/rv-ctl" --address "unix:$SOCK" load 1 "$E" --start-frame $((RANDOM % 50))
            [[ $output == *"decodes in the shadow"* ||
                $output == *"is loaded already"* || $output == *"a switch is under way"* ]] || {
                echo "$status: $output" >&2
                return 1
            }
        done
        wait_until 'ctl switch 1 | grep -q "on air from"' 10
    done
    ctl stop 1
    stop_serve
}

@test "behind a preview of a few frames over a long one the plan is back at its frame" {
    start_clips
    # to come in anew takes a second: one keyframe for all
    F=$(make_clip f.mp4 --clip 1 --frames 900 --gop 900 --size 1280x720)
    L=$(make_clip l.mov --clip 2 --frames 900 --size 160x90)
    plan_of "$F 0 900" >"$PLAN"
    ctl start 1 "$PLAN"
    wait_until '[ "$(ctl status --json | jq ".[0].frame")" -gt 30 ]' 10
    receive 1 20 "$BATS_TEST_TMPDIR/out.ts" &
    viewer=$!
    local i
    for i in 3 18 9; do
        ctl load 1 "$L" >/dev/null
        wait_until 'ctl switch 1 | grep -q "on air from"' 10
        sleep 3 # for longer than what it hides is kept
        ctl load 1 "$D" --start-frame 20 --frames "$i" >/dev/null
        wait_until 'ctl switch 1 | grep -q "on air from"' 10
        sleep 2
    done
    wait $viewer
    "$TOOLS/rv-readmarks" --json "$BATS_TEST_TMPDIR/out.ts" >"$BATS_TEST_TMPDIR/marks"
    "$TOOLS/rv-readmarks" --summary "$BATS_TEST_TMPDIR/out.ts" | jq -r .runs >&2
    run jq -se 'map(select(.type == "v")) | (.[0].pts_90k) as $begin | (.[0].frame) as $origin
        | [map(select(.clip != 1 and .clip != 2 and .clip != 4)), map(select(.clip == 1 and
            .frame != ($origin + (.pts_90k - $begin) / 3003) % 900))] | map(length)' \
        "$BATS_TEST_TMPDIR/marks"
    assert_eq "${output//[[:space:]]/}" "[0,0]" "frames of slate, frames out of place"
    assert_eq "$(jq -s 'map(select(.type == "v" and .clip == 4)) | length' "$BATS_TEST_TMPDIR/marks")" 30 \
        "frames of the short ones"
    ctl stop 1
    stop_serve
}
