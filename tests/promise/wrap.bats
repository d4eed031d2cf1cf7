# Timestamps have 33 bits: a channel that starts just below wraps and goes on.
load ../lib
load ../service
load ../exact

WRAP=$((1 << 33))

# Pictures of FILE as "PTS CLIP FRAME", PTS modulo 2^33 as in the stream.
pictures() {
    "$TOOLS/rv-readmarks" "$1" |
        awk -v wrap=$WRAP '$1 == "v" { printf "%.0f %d %d\n", ($2 + wrap) % wrap, $3, $4 }'
}

# others FILE: what FFmpeg's own programs make of it
others() {
    ffmpeg -nostdin -v error -xerror -err_detect explode -i "$1" -f null - \
        2>"$BATS_TEST_TMPDIR/ffmpeg.err"
    assert_empty_file "$BATS_TEST_TMPDIR/ffmpeg.err"
    ffprobe -v error -select_streams v -count_frames -of csv=p=0 \
        -show_entries stream=nb_read_frames "$1" | head -n 1
}

assert_empty_file() {
    [ ! -s "$1" ] || {
        cat "$1" >&2
        return 1
    }
}

@test "through the pipeline no frame and no sound is lost where timestamps wrap" {
    local out=$BATS_TEST_TMPDIR/out.ts
    make_clips 30000/1001 160
    plan_of "$A 0 100" "$B 20 77" "$C 3 123" | jq '.loop = false' >"$BATS_TEST_TMPDIR/plan.json"
    "$BIN/rv-plan" resolve "$BATS_TEST_TMPDIR/plan.json" | "$BIN/rv-decode" |
        "$BIN/rv-stage" --ring "$RUN/w/ring" --pts-base $((WRAP - 405000)) >/dev/null 3>&- &
    "$BIN/rv-render" --ring "$RUN/w/ring" --no-pace >"$out"
    wait $!
    "$TOOLS/rv-readmarks" --check '1:0-99 2:20-96 3:3-125' "$out"
    check_whole "$out"
    assert_eq "$(others "$out")" 300 "frames that FFmpeg decodes"
    pictures "$out" >"$BATS_TEST_TMPDIR/pictures"
    # frame 134 is the last one below 2^33
    assert_eq "$(sed -n '1p;135p;136p' "$BATS_TEST_TMPDIR/pictures" | tr '\n' ' ')" \
        "$((WRAP - 405000)) 1 0 $((WRAP - 2598)) 2 54 405 2 55 "
}

@test "a stream on standard input starts where it is told to" {
    "$BIN/rv-render" --no-pace --pts-base $((WRAP - 90000)) - \
        <"$(make_clip in.nut --frames 90 --clip 7)" >"$BATS_TEST_TMPDIR/w.ts"
    check_whole "$BATS_TEST_TMPDIR/w.ts"
    assert_eq "$(pictures "$BATS_TEST_TMPDIR/w.ts" | sed -n 1p)" "$((WRAP - 90000)) 7 0"
    run "$BIN/rv-render" --pts-base 900000 --ring nobody
    assert_eq "$status" 2
    assert_contains "$output" "a stage ring has its own"
    run "$BIN/rv-stage" --ring x --pts-base 89999
    assert_eq "$status" 2
    assert_contains "$output" "90000"
}

# on_air FRAME: the channel is that far
on_air() {
    wait_until '[ "$(ctl status --json | jq ".[0].frame")" -ge '"$1"' ]' 20
}

@test "on the air, with a renderer killed on the wrap and a switch behind it" {
    local out=$BATS_TEST_TMPDIR/out.ts cut
    make_clips 25 200
    plan_of "$A 0 150" "$B 0 150" |
        jq '.house.video.frame_rate = "25"' >"$BATS_TEST_TMPDIR/plan.json"
    # frame 150 has the PTS 0
    start_serve --pts-base $((WRAP - 150 * 3600))
    ctl start 1 "$BATS_TEST_TMPDIR/plan.json"
    receive 1 16 "$out" &
    viewer=$!
    on_air 145
    assert_eq "$("$BIN/rv-tap" --run-dir "$RUN/run" --json --frames 1 1 |
        jq '(.pts - (.n - 150) * 3600) % '$WRAP)" 0
    kill -KILL "$(proc_pid 1 render)"
    on_air 180
    ctl load 1 "$C"
    wait_until 'ctl switch 1 >"$BATS_TEST_TMPDIR/cut"' 5
    on_air 250
    kill -KILL "$(proc_pid 1 stage)" # its successor keeps the timeline
    wait $viewer
    ctl stop 1
    stop_serve
    check_whole "$out"
    others "$out"
    pictures "$out" >"$BATS_TEST_TMPDIR/pictures"
    "$PYTHON" - "$BATS_TEST_TMPDIR/pictures" <<'P'
import sys
rows = [tuple(map(int, line.split())) for line in open(sys.argv[1])]
wrap = 1 << 33
assert rows[0][0] >= wrap - 150 * 3600 and 0 < rows[-1][0] < 600 * 3600, (rows[0], rows[-1])
for (a, _, _), (b, _, _) in zip(rows, rows[1:]):
    assert (b - a) % wrap == 3600, (a, b)
P
    grep -q '^0 2 0$' "$BATS_TEST_TMPDIR/pictures" # the plan's frame 150
    cut=$(grep -oE 'PTS [0-9]+' "$BATS_TEST_TMPDIR/cut" | tr -dc 0-9)
    [ "$cut" -gt 0 ] && [ "$cut" -lt $((200 * 3600)) ]
    grep -q "^$cut 3 0\$" "$BATS_TEST_TMPDIR/pictures"
}
