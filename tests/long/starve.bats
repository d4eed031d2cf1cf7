# A decoder that stands still: slate for what is really late, then the
# programme at the very frame where its timeline is.
load ../lib
load ../service
load ../exact

# check_place FILE [FRAMES]: each picture is slate or the plan's on that frame; prints
# how many are slate.  The plan shows clip 1's FRAMES (300) for ever.
check_place() {
    "$TOOLS/rv-readmarks" --json "$1" | jq -se --argjson round "${2:-300}" 'map(select(.type == "v"))
        | (.[0].pts_90k) as $begin | (.[0].frame) as $origin
        | map(select(.clip == 1 and
            .frame != ($origin + (.pts_90k - $begin) / 3003) % $round)) | length == 0' >/dev/null
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

# slow_disk: processes that are started from here on read the clips from a disk
# of so many bytes a second as the file $RATE says.
slow_disk() {
    RATE=$BATS_TEST_TMPDIR/rate
    echo 0 >"$RATE"
    "${CC:-gcc}" -O1 -D_GNU_SOURCE -shared -fPIC -o "$BATS_TEST_TMPDIR/slowdisk.so" \
        "$ROOT/tests/slowdisk/slowdisk.c"
    export SLOWDISK_RATE=$RATE SLOWDISK_UNDER=$(dirname "$F") LD_PRELOAD=$BATS_TEST_TMPDIR/slowdisk.so
}

# throttle PERCENT SECONDS: a disk that gives so much of what the clip needs.
throttle() {
    F=$(make_clip slow.mov --clip 1 --frames 900 --size 160x90)
    slow_disk
    start_clips
    unset LD_PRELOAD
    plan_of "$F 0 900" >"$PLAN"
    ctl start 1 "$PLAN"
    wait_until '[ "$(ctl status --json | jq ".[0].frame")" -gt 30 ]' 10
    receive 1 $(($2 + 6)) "$BATS_TEST_TMPDIR/out.ts" &
    viewer=$!
    echo $(($(stat -c %s "$F") / 30 * $1 / 100)) >"$RATE"
    sleep "$2" # the time that is asked for, not a wait for anything
    echo 0 >"$RATE"
    wait $viewer
    ctl stop 1
    slate=$(check_place "$BATS_TEST_TMPDIR/out.ts" 900)
    logged=$(jq -s 'map(select(.reason | startswith("slate")) | .last_frame - .first_frame + 1)
        | add // 0' "$RUN/state/asrun-1.jsonl")
    echo "$1 % for $2 s: $slate frames of slate, $logged in the as-run log" >&2
    assert_eq "$slate" "$logged" "frames of slate"
    assert_le "$slate" $((($2 + 1) * 30)) "frames of slate"
    # the last two seconds are the programme
    "$TOOLS/rv-readmarks" --json "$BATS_TEST_TMPDIR/out.ts" |
        jq -s 'map(select(.type == "v")) | .[-60:] | map(select(.clip != 1)) | length' >"$BATS_TEST_TMPDIR/late"
    assert_eq "$(<"$BATS_TEST_TMPDIR/late")" 0 "frames of slate in the last two seconds"
    stop_serve
}

@test "a disk that gives a fifth of what the programme needs" {
    throttle 20 8
    assert_le 30 "$slate"
}

@test "a disk that gives nearly what the programme needs" {
    throttle 70 8
}

@test "a disk that gives next to nothing" {
    throttle 2 8
    assert_le 30 "$slate"
}
