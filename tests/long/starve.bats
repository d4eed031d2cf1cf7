# A decoder that stands still: slate for what is really late, then the
# programme at the very frame where its timeline is.
load ../lib
load ../service
load ../exact

# check_place FILE: each picture is slate or the plan's on that frame; prints
# how many are slate.  The plan shows 1:0-299 for ever.
check_place() {
    "$TOOLS/rv-readmarks" --json "$1" | jq -se 'map(select(.type == "v"))
        | (.[0].pts_90k) as $begin | (.[0].frame) as $origin
        | map(select(.clip == 1 and
            .frame != ($origin + (.pts_90k - $begin) / 3003) % 300)) | length == 0' >/dev/null
    "$TOOLS/rv-readmarks" --json "$1" | jq -s 'map(select(.type == "v" and .clip != 1)) | length'
}

# starve SECONDS: what the channel's decoders lose, seen by a viewer.
starve() {
    start_clips
    F=$(make_clip f.mov --clip 1 --frames 300 --size 160x90)
    plan_of "$F 0 300" >"$PLAN"
    ctl start 1 "$PLAN"
    wait_until '[ "$(ctl status --json | jq ".[0].frame")" -gt 30 ]' 10
    receive 1 "$2" "$BATS_TEST_TMPDIR/out.ts" &
    viewer=$!
    pids=$(for pid in $(test_processes); do
        tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q 'rv-decode .*--channel 1 ' &&
            echo "$pid" || true
    done)
    # shellcheck disable=SC2086
    kill -STOP $pids
    sleep "$1" # the time that is asked for, not a wait for anything
    # shellcheck disable=SC2086
    kill -CONT $pids 2>/dev/null || true
    wait $viewer
    underruns=$(metric retrovue_playout_buffer_underrun_total)
    ctl stop 1
    slate=$(check_place "$BATS_TEST_TMPDIR/out.ts")
    logged=$(jq -s 'map(select(.reason | startswith("slate")) | .last_frame - .first_frame + 1)
        | add // 0' "$RUN/state/asrun-1.jsonl")
    echo "$1 s: $slate frames of slate, $logged in the as-run log, $underruns underruns" >&2
    assert_eq "$slate" "$logged" "frames of slate"
    stop_serve
}

@test "decoders that stand still for 0.1 s cost nothing" {
    starve 0.1 4
    assert_eq "$slate" 0
}

@test "decoders that stand still for 1 s cost at most a second" {
    starve 1 6
    assert_le "$slate" 30
}

@test "decoders that stand still for 10 s are replaced" {
    starve 10 14
    # found out before ring and pool are empty, the warm one with them
    assert_le "$slate" 30
    assert_le 1 "$underruns"
}
