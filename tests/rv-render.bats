#!/usr/bin/env bats
# rv-render: what goes in comes out, once, in order, at its time, whoever dies.

load lib

# feed [rv-mkring options]: a stage ring of numbered frames in $RUN/c/ring.
feed() {
    mkdir -p "$RUN/c"
    spawn feed "$TOOLS/rv-mkring" "$@" "$RUN/c/ring"
    FEED=$PID
}

# strict FILE [rv-tscheck options]: free of any fault.
strict() {
    local file=$1
    shift
    "$TOOLS/rv-tscheck" "$@" "$file" >"$BATS_TEST_TMPDIR/strict.json"
}

# whole FILE RUNS: all frames once and in order, sound without a gap and in place.
whole() {
    "$TOOLS/rv-readmarks" --summary --check "$2" "$1" >"$BATS_TEST_TMPDIR/s.json"
    jq -e '.gaps == 0 and .sound_jumps == 0 and .decode_errors == 0 and
           .av.missing == 0 and .pts_constant and .av.max_abs_ms < 2' \
        "$BATS_TEST_TMPDIR/s.json" || {
        cat "$BATS_TEST_TMPDIR/s.json" >&2
        return 1
    }
}

# kill_often LEAST MOST [rv-render options]: kills the renderer after LEAST to
# MOST ms, again and again, until one gets to the end; counts in $KILLS.  Each
# lives a little longer than the one before: a slow machine gets there, too.
kill_often() {
    local least=$1 most=$2 status=137 wait_ms
    shift 2
    KILLS=-1
    RANDOM=4711
    while [ "$status" = 137 ]; do
        KILLS=$((KILLS + 1))
        wait_ms=$((least + RANDOM % (most - least) + 4 * KILLS))
        status=0
        timeout -s KILL "$(printf '%d.%03d' $((wait_ms / 1000)) $((wait_ms % 1000)))" "$BIN/rv-render" \
            --ring "$RUN/c" --ts-ring "$@" 3>&- || status=$?
        # killed behind its last frame, before its own end: all is out
        [ "$status" != 137 ] || ! gone "$FEED" || status=0
        [ "$KILLS" -lt 2000 ] || return 1
    done
    assert_eq "$status" 0 "status of the last renderer"
}

# spliced FRAMES RATE [rv-tscheck options]: the TS ring holds them all.
spliced() {
    local frames=$1 rate=$2
    shift 2
    status_within "$FEED" 10
    strict "$RUN/c/ts" --ring --rate "$rate" --copy "$BATS_TEST_TMPDIR/out.ts" "$@"
    whole "$BATS_TEST_TMPDIR/out.ts" "1:0-$((frames - 1))"
    assert_eq "$(jq .discontinuities "$BATS_TEST_TMPDIR/strict.json")" 0
    echo "# $KILLS kills, $(jq .keyframes "$BATS_TEST_TMPDIR/strict.json") keyframes" >&3
}

@test "a stream on standard input becomes a clean transport stream" {
    local clip
    clip=$(make_clip in.nut --frames 150 --clip 7)
    "$BIN/rv-render" --no-pace - <"$clip" >"$BATS_TEST_TMPDIR/a.ts"
    strict "$BATS_TEST_TMPDIR/a.ts" --rate 30000/1001 --gop 30 --vbv 600,300
    whole "$BATS_TEST_TMPDIR/a.ts" 7:0-149
    assert_eq "$(jq .keyframes "$BATS_TEST_TMPDIR/strict.json")" 5
    assert_eq "$(jq .first_pts "$BATS_TEST_TMPDIR/strict.json")" 900000
}

@test "B-frames, slices, another GOP and size of the sound keep it clean" {
    local clip
    clip=$(make_clip in25.nut --frames 150 --clip 7 --rate 25)
    "$BIN/rv-render" --no-pace --bframes 2 --threads 2 --gop 12 --bitrate 300k \
        --audio-bitrate 64 -o "$BATS_TEST_TMPDIR/b.ts" - <"$clip"
    strict "$BATS_TEST_TMPDIR/b.ts" --rate 25 --gop 12 --vbv 300,150
    whole "$BATS_TEST_TMPDIR/b.ts" 7:0-149
    assert_le 20 "$(jq .b_pictures "$BATS_TEST_TMPDIR/strict.json")"
}

@test "time stamps go on when 33 bits are full" {
    "$BIN/rv-render" --no-pace --first-frame 2860050 -o "$BATS_TEST_TMPDIR/w.ts" - \
        <"$(make_clip in.nut --frames 150 --clip 7)"
    strict "$BATS_TEST_TMPDIR/w.ts" --rate 30000/1001 --gop 30
    assert_le 8589934592 "$(jq .last_pts "$BATS_TEST_TMPDIR/strict.json")"
}

@test "colours are said: 709 from 720 lines on, 601 below" {
    local clip
    clip=$(make_clip hd.nut --frames 10 --size 1280x720)
    "$BIN/rv-render" --no-pace - <"$clip" >"$BATS_TEST_TMPDIR/hd.ts"
    "$BIN/rv-render" --no-pace - <"$(make_clip in.nut --frames 150 --clip 7)" \
        >"$BATS_TEST_TMPDIR/sd.ts"
    assert_contains "$(ffprobe -v error -show_streams "$BATS_TEST_TMPDIR/hd.ts")" \
        "color_space=bt709"
    assert_contains "$(ffprobe -v error -show_streams "$BATS_TEST_TMPDIR/sd.ts")" \
        "color_space=smpte170m"
}

@test "a ring is rendered to its end, whichever was started first" {
    spawn render "$BIN/rv-render" --ring "$RUN/c/ring" --no-pace \
        -o "$BATS_TEST_TMPDIR/r.ts"
    local render=$PID
    feed --frames 200
    status_within "$render" 20
    status_within "$FEED" 5
    strict "$BATS_TEST_TMPDIR/r.ts" --rate 30000/1001 --gop 30
    whole "$BATS_TEST_TMPDIR/r.ts" 1:0-199
    assert_eq "$(ls "$RUN/c")" ""
}

@test "a renderer that is killed all the time loses nothing" {
    feed --frames 400
    kill_often 0 150 --no-pace
    spliced 400 30000/1001 --gop 30 --vbv 600,300
    assert_le 5 "$KILLS"
}

@test "nor with B-frames and 25 frames a second" {
    feed --frames 400 --house 320x180@25
    kill_often 0 150 --no-pace --bframes 2
    spliced 400 25 --gop 25
    assert_le 5 "$KILLS"
}

@test "nor when it keeps pace with a clock" {
    feed --frames 200 --paced 1500
    # one that is too late to be caught up with skips frames, and may
    if [[ $BIN == *variant* ]]; then
        kill_often 1200 1800
    else
        kill_often 200 900
    fi
    spliced 200 30000/1001 --gop 30 --vbv 600,300
    assert_le 2 "$KILLS"
}

@test "what was asleep too long is skipped and announced" {
    feed --frames 250 --paced 1000
    spawn render "$BIN/rv-render" --ring "$RUN/c" --ts-ring
    local render=$PID
    wait_until "\"$TOOLS/rv-tscheck\" --ring '$RUN/c/ts' 2>&1 | grep -q '\"pictures\":[5-9][0-9],'" 8
    kill -STOP "$render"
    sleep 2.2 # the hole itself
    kill -CONT "$render"
    status_within "$render" 15
    strict "$RUN/c/ts" --ring --rate 30000/1001 --copy "$BATS_TEST_TMPDIR/h.ts"
    assert_eq "$(jq .discontinuities "$BATS_TEST_TMPDIR/strict.json")" 2
    run "$TOOLS/rv-readmarks" --summary "$BATS_TEST_TMPDIR/h.ts"
    [[ $(jq -r .runs <<<"$output") =~ ^1:0-[0-9]+\ 1:[0-9]+-249$ ]]
}

@test "a stream is released at the pace of its clock" {
    local begin end
    begin=$(now_ms)
    "$BIN/rv-render" - <"$(make_clip in.nut --frames 150 --clip 7)" |
        cat >"$BATS_TEST_TMPDIR/p.ts"
    end=$(now_ms)
    assert_le 4900 $((end - begin))
    assert_le $((end - begin)) 8000
    whole "$BATS_TEST_TMPDIR/p.ts" 7:0-149
}

@test "a broken pool is bridged with the last picture, a wrong ring refused" {
    feed --frames 120 --pool-frames 40 --paced 1500
    spawn render "$BIN/rv-render" --ring "$RUN/c" -o "$BATS_TEST_TMPDIR/x.ts"
    local render=$PID
    wait_until "[ -e '$RUN/c/pool-3' ]" 8
    rm "$RUN/c/pool-3"
    # overwritten, not truncated: its magic is gone, its mapping stays
    printf 'garbage!' | dd of="$RUN/c/pool-2" conv=notrunc status=none || true
    status_within "$render" 15
    strict "$BATS_TEST_TMPDIR/x.ts" --rate 30000/1001 --gop 30
    assert_eq "$(jq .pictures "$BATS_TEST_TMPDIR/strict.json")" 120
    printf 'no ring at all, only a text that is long enough' >"$RUN/c/other"
    run "$BIN/rv-render" --ring "$RUN/c/other" --wait-s 0 -o /dev/null
    assert_eq "$status" 1
    assert_contains "$output" "$RUN/c/other"
}

@test "wrong usage, no ring, bad input and a full disk are sentences" {
    local clip
    clip=$(make_clip in.nut --frames 150 --clip 7)
    run "$BIN/rv-render"
    assert_eq "$status" 2
    run "$BIN/rv-render" --ring a --channel 2
    assert_eq "$status" 2
    run "$BIN/rv-render" --bframes 3 -
    assert_eq "$status" 2
    assert_contains "$output" "from 0 to 2"
    run "$BIN/rv-render" --run-dir "$RUN" --ring none --wait-s 0 -o /dev/null
    assert_eq "$status" 3
    assert_contains "$output" "start rv-stage"
    run bash -c "echo nonsense | '$BIN/rv-render' -o /dev/null -"
    assert_eq "$status" 1
    run bash -c "'$BIN/rv-render' --no-pace -o /dev/full - <'$clip'"
    assert_eq "$status" 4
    assert_contains "$output" "/dev/full"
    run bash -c "'$BIN/rv-render' --no-pace --preset best - <'$clip' >/dev/null"
    assert_eq "$status" 1
    assert_contains "$output" "veryfast"
    run bash -c "set -o pipefail; '$BIN/rv-render' --no-pace - <'$clip' | head -c 1000 >/dev/null"
    assert_eq "$status" 0
}

@test "SIGTERM ends it at once and cleanly" {
    feed --frames 3000 --paced 500
    spawn render "$BIN/rv-render" --ring "$RUN/c" -o "$BATS_TEST_TMPDIR/t.ts"
    local render=$PID
    wait_until "[ -s '$BATS_TEST_TMPDIR/t.ts' ]" 8
    kill "$render"
    status_within "$render" 1
    kill "$FEED"
    status_within "$FEED" 3
}
