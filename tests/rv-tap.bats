#!/usr/bin/env bats
# rv-tap: what it copies is exact, and nobody is held up by it.

load lib

# pool CLIP FRAMES: a pool with a whole clip whose decoder waits.
pool() {
    local clip
    clip=$(make_clip "tap$1.mkv" --frames "$2" --clip "$1" --size 640x360 --rate 25)
    POOL=$RUN/pool
    spawn decode "$BIN/rv-decode" --run-dir "$RUN" --pool "$POOL" \
        --house 640x360@25 --slots 100 "$clip"
    DECODE=$PID
    wait_until '[ "$(ready)" = '"$2"' ]' 10
}

ready() {
    "$BIN/rv-tap" --json --no-follow "$POOL" 2>/dev/null | wc -l
}

# ring CLIP FRAMES: a ring named "one" with that clip, and a consumer that
# takes a frame every 20 ms.
ring() {
    local clip
    clip=$(make_clip "tap$1.mkv" --frames "$2" --clip "$1" --size 640x360 --rate 25)
    cat >"$BATS_TEST_TMPDIR/chain" <<CHAIN
"$BIN/rv-decode" --run-dir "$RUN" --house 640x360@25 "$clip" |
    "$BIN/rv-stage" --run-dir "$RUN" --ring one --start-delay 300
CHAIN
    spawn chain bash "$BATS_TEST_TMPDIR/chain"
    wait_until '[ -e "$RUN/one/ring" ]' 10
}

consumer() {
    spawn consumer "$TOOLS/rv-ringread" --ring "$RUN/one/ring" --plain \
        --pace 20000 --lag 5 "$@"
    CONSUMER=$PID
}

@test "a pool is copied exactly, pictures and sound" {
    pool 21 50
    "$BIN/rv-tap" --no-follow "$POOL" >"$BATS_TEST_TMPDIR/a.nut"
    "$TOOLS/rv-readmarks" --summary --check 21:0-49 "$BATS_TEST_TMPDIR/a.nut" \
        >"$BATS_TEST_TMPDIR/s.json"
    jq -e '.gaps == 0 and .sound_jumps == 0 and .av.max_abs_ms < 0.05 and
        .samples == 96000' "$BATS_TEST_TMPDIR/s.json"
}

@test "y4m and no sound, and lines of JSON" {
    pool 21 50
    "$BIN/rv-tap" --y4m -n 7 "$POOL" >"$BATS_TEST_TMPDIR/a.y4m"
    assert_eq "$(marks "$BATS_TEST_TMPDIR/a.y4m" .runs)" 21:0-6
    "$BIN/rv-tap" --no-audio -n 7 "$POOL" >"$BATS_TEST_TMPDIR/a.nut"
    assert_eq "$(ffprobe -v error -show_entries stream=codec_name -of csv=p=0 \
        "$BATS_TEST_TMPDIR/a.nut")" rawvideo
    "$BIN/rv-tap" --json -n 3 "$POOL" >"$BATS_TEST_TMPDIR/a.json"
    assert_eq "$(jq -c '[.n, .pts, .asset_frame, .flags]' "$BATS_TEST_TMPDIR/a.json")" \
        $'[0,null,0,[]]\n[1,null,1,[]]\n[2,null,2,[]]'
    jq -e '.asset | endswith(".mkv")' "$BATS_TEST_TMPDIR/a.json"
}

@test "a ring is followed to its end, all that is taken is copied" {
    ring 22 100
    spawn tap bash -c "exec '$BIN/rv-tap' --run-dir '$RUN' one >'$BATS_TEST_TMPDIR/a.nut'"
    local tap=$PID
    wait_until '[ -e /proc/'"$tap"'/maps ] && grep -q one/ring /proc/'"$tap"'/maps' 5
    consumer
    status_within "$tap" 20
    assert_eq "$(cat "$BATS_TEST_TMPDIR/tap.err")" ""
    "$TOOLS/rv-readmarks" --summary "$BATS_TEST_TMPDIR/a.nut" >"$BATS_TEST_TMPDIR/s.json"
    jq -e '.runs == "22:0-99" and .gaps == 0 and .sound_jumps == 0 and
        .av.max_abs_ms < 0.05' "$BATS_TEST_TMPDIR/s.json"
    wait_until '[ ! -e "$RUN/one" ]' 5
    assert_no_processes
}

@test "the lines of a ring carry the channel's timestamps and reasons" {
    ring 22 100
    consumer
    "$BIN/rv-tap" --run-dir "$RUN" --json -n 20 one >"$BATS_TEST_TMPDIR/a.json"
    jq -se 'all(.pts == 900000 + .n * 3600 and .reason == "plan") and
        (map(.n) == [range(.[0].n; .[0].n + 20)])' "$BATS_TEST_TMPDIR/a.json"
}

@test "a tap that stands still holds nobody up, and says what it skipped" {
    ring 23 150
    consumer
    spawn tap bash -c "exec '$BIN/rv-tap' --run-dir '$RUN' one >'$BATS_TEST_TMPDIR/a.nut'"
    local tap=$PID
    wait_until '[ "$(stat -c %s "$BATS_TEST_TMPDIR/a.nut")" -gt 2000000 ]' 10
    kill -STOP "$tap"
    status_within "$CONSUMER" 15
    kill -CONT "$tap"
    status_within "$tap" 10
    assert_contains "$(cat "$BATS_TEST_TMPDIR/tap.err")" \
        "frames skipped: given back before they were read"
    # what was written is whole and in order
    "$TOOLS/rv-readmarks" --summary "$BATS_TEST_TMPDIR/a.nut" >"$BATS_TEST_TMPDIR/s.json"
    jq -e '.marked == .pictures and .pts_backward == 0 and
        .clips[0].backward == 0 and .clips[0].repeated == 0' "$BATS_TEST_TMPDIR/s.json"
}

@test "nothing in a pool changes under a tap" {
    pool 21 50
    wait "$DECODE"
    cp "$POOL" "$BATS_TEST_TMPDIR/before"
    "$BIN/rv-tap" --no-follow "$POOL" >/dev/null
    cmp "$POOL" "$BATS_TEST_TMPDIR/before"
    # one that is stuck in its output: how has it mapped the pool?
    mkfifo "$BATS_TEST_TMPDIR/fifo"
    spawn tap bash -c "exec '$BIN/rv-tap' '$POOL' >'$BATS_TEST_TMPDIR/fifo'"
    exec 8<"$BATS_TEST_TMPDIR/fifo"
    wait_until 'grep -q "$POOL" /proc/'"$PID"'/maps' 5
    [ -z "$(grep "$POOL" "/proc/$PID/maps" | grep ' .w')" ]
    exec 8<&-
    status_within "$PID" 5
}

@test "a reader that goes away is a quiet end" {
    pool 21 50
    spawn tap bash -c "set -o pipefail; '$BIN/rv-tap' '$POOL' | head -c 1000000 >/dev/null"
    status_within "$PID" 5
    assert_eq "$(cat "$BATS_TEST_TMPDIR/tap.err")" ""
}

@test "what is no source is one sentence" {
    head -c 300000 /dev/urandom >"$BATS_TEST_TMPDIR/rubbish"
    run "$BIN/rv-tap" "$BATS_TEST_TMPDIR/rubbish"
    assert_eq "$status" 1
    assert_contains "$output" "neither a pool nor a stage ring"
    run "$BIN/rv-tap" "$BATS_TEST_TMPDIR/none"
    assert_eq "$status" 3
    run "$BIN/rv-tap" --run-dir "$RUN" --channel 3
    assert_eq "$status" 1
    assert_contains "$output" "$RUN/3: no such folder"
    run "$BIN/rv-tap"
    assert_eq "$status" 2
    run "$BIN/rv-tap" --channel 1 x
    assert_eq "$status" 2
    run "$BIN/rv-tap" -n 0 x
    assert_eq "$status" 2
}
