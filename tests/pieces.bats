#!/usr/bin/env bats
# Recordings whose timestamps begin anew: `in` shows what playing shows there.
load lib
bats_require_minimum_version 1.5.0

setup() {
    rv_setup
    OUT=$BATS_TEST_TMPDIR/out.nut
    ALL=$BATS_TEST_TMPDIR/all
}

H=320x180@30000/1001

# marks: clip:number of each picture in $OUT.
marks() {
    "$TOOLS/rv-readmarks" --json "$OUT" |
        jq -r 'select(.type == "v") | "\(.clip // "-"):\(.frame // "-")"'
}

sound() {
    ffmpeg -nostdin -v error -i "$OUT" -f s16le -
}

# assert_same_sound IN: that of from.s16 is in whole.s16 there, but for dither
# and what a coder that begins anew does otherwise.
assert_same_sound() {
    "$PYTHON" - "$BATS_TEST_TMPDIR" "$1" <<'PY'
import array, sys
folder, first = sys.argv[1], int(sys.argv[2])
whole, part = (array.array("h", open(f"{folder}/{name}.s16", "rb").read())
               for name in ("whole", "from"))
at = first * 1001 * 48000 // 30000 * 2
least = min((max(abs(a - b) for a, b in zip(whole[at + 2 * off:], part[:30000])), off)
            for off in range(-2, 3))
assert len(part) > 30000 and max(map(abs, whole)) > 1000
assert least[0] < 40, f"in {first}: off by {least}"
PY
}

# from IN: twelve frames from there.
from() {
    printf '{"segment":"s","asset":"%s","in":"%d/30000","frames":12}\n' \
        "$ALL" $(($1 * 1001)) |
        "$BIN/rv-decode" --nut --run-dir "$RUN" --house $H >"$OUT"
}

# same_from IN...: pictures and sound from each of them are those of the whole.
same_from() {
    local in
    "$BIN/rv-decode" --nut --run-dir "$RUN" --house $H "$ALL" >"$OUT"
    marks >"$BATS_TEST_TMPDIR/whole"
    sound >"$BATS_TEST_TMPDIR/whole.s16"
    for in in "$@"; do
        from "$in"
        assert_eq "$(marks | tr '\n' ' ')" \
            "$(sed -n "$((in + 1)),$((in + 12))p" "$BATS_TEST_TMPDIR/whole" |
                tr '\n' ' ')" "in $in"
        sound >"$BATS_TEST_TMPDIR/from.s16"
        assert_same_sound "$in"
    done
}

# part NAME CLIP EXT [FFMPEG OPTION...]: 90 frames as a file of that kind.
part() {
    local name=$1 clip=$2 ext=$3
    shift 3
    ffmpeg -nostdin -v error -i \
        "$(make_clip "p$clip.mov" --frames 90 --clip "$clip" --bframes 2)" \
        "$@" "$BATS_TEST_TMPDIR/$name.$ext"
    echo "$BATS_TEST_TMPDIR/$name.$ext"
}

@test "in behind joints of a small transport stream" {
    local x y far
    x=$(part x 3 ts -c:v copy -c:a mp2)
    y=$(part y 4 ts -c:v copy -c:a mp2)
    far=$(part far 5 ts -c:v copy -c:a mp2 -output_ts_offset 1000)
    cat "$x" "$far" "$y" "$x" >"$ALL"
    same_from 10 80 89 90 95 120 179 180 200 268 270 275 340
    cat "$x" "$x" "$x" >"$ALL"
    same_from 40 100 130 190 230
}

# Null packets make them as large as recordings.
@test "in behind joints of a large transport stream" {
    local x y far
    x=$(part x 3 ts -c:v copy -c:a mp2 -muxrate 40M)
    y=$(part y 4 ts -c:v copy -c:a mp2 -muxrate 40M)
    far=$(part far 5 ts -c:v copy -c:a mp2 -output_ts_offset 1000 -muxrate 20M)
    cat "$x" "$far" "$y" "$x" >"$ALL"
    same_from 10 80 90 120 180 200 270 340
    # what was joined runs straight on, and 2 s back
    cat "$x" "$(part back 4 ts -c:v copy -c:a mp2 -output_ts_offset 1 -muxrate 40M)" \
        "$x" >"$ALL"
    same_from 60 89 100 150 190 240
}

@test "in behind a joint at which the streams are other ones" {
    local x other
    x=$(part x 3 ts -c:v copy -c:a mp2)
    other=$(part other 4 ts -c:v copy -c:a mp2 -mpegts_pmt_start_pid 0x1100 \
        -mpegts_start_pid 0x200)
    cat "$x" "$other" >"$ALL"
    same_from 40 80 100 130
}

@test "in behind joints of sound alone in a transport stream" {
    local x
    x=$(part x 3 ts -vn -c:a mp2)
    cat "$x" "$x" "$x" >"$ALL"
    same_from 20 100 150 200 250
}

# Pictures are so small that not each has a timestamp.
@test "in behind joints of a programme stream, and in one without" {
    local x y
    x=$(part x 3 vob -c:v mpeg2video -q:v 3 -bf 2 -c:a mp2)
    y=$(part y 4 vob -c:v mpeg2video -q:v 3 -bf 2 -c:a mp2)
    cp "$x" "$ALL"
    same_from 20 35 50 70 75 78
    cat "$x" "$y" "$x" >"$ALL"
    same_from 40 80 88 92 120 170 185 200 255
}

@test "in behind the joint of two Matroska files" {
    cat "$(part x 3 mkv -c copy)" "$(part y 4 mkv -c copy)" >"$ALL"
    same_from 40 85 95 120 160
}

@test "in behind the joint of a chain of sound" {
    cat "$(part x 3 ogg -vn -c:a flac)" "$(part y 4 ogg -vn -c:a flac)" >"$ALL"
    same_from 20 100 150
}
