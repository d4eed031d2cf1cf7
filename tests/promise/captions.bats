# Captions travel with their picture from the source into the stream.
load ../lib

setup() {
    rv_setup
    export PATH=$BIN:$PATH RETROVUE_RUN_DIR=$RUN
    plan=$BATS_TEST_TMPDIR/plan.json
    B=$(make_clip plain.mkv --clip 2 --frames 20)
}

# captions FILE: a line for each picture of clip 1 that has some, its number
# and the bytes, and for each picture of another clip that has some.
captions() {
    "$TOOLS/rv-readmarks" --json "$1" | jq -r 'select(.captions)
        | if .clip == 1 then "\(.frame) \(.captions)" else "clip \(.clip)" end'
}

# through RATE FILE: between two clips without captions, into a stream.
through() {
    printf '{"version":1,"house":{"video":{"width":320,"height":180,"frame_rate":"%s"},
        "audio":{"sample_rate":48000,"channels":2}},"segments":[{"asset":"%s"},
        {"asset":"%s"},{"asset":"%s"}]}\n' "$1" "$B" "$2" "$B" >"$plan"
    timeout 60 "$ROOT/examples/pipelines/plan-to-ts.sh" "$plan" \
        "$BATS_TEST_TMPDIR/out.ts" "$BATS_TEST_TMPDIR/asrun"
    captions "$BATS_TEST_TMPDIR/out.ts"
}

@test "at the house's rate captions come out byte for byte at their picture" {
    local clip
    clip=$(make_clip cc.mkv --clip 1 --frames 200 --captions)
    captions "$clip" >"$BATS_TEST_TMPDIR/source"
    assert_eq "$(wc -l <"$BATS_TEST_TMPDIR/source")" 200
    assert_eq "$(sed -n 131p "$BATS_TEST_TMPDIR/source")" "130 fc0102fd0201ff0201"
    through 30000/1001 "$clip" >"$BATS_TEST_TMPDIR/stream"
    diff "$BATS_TEST_TMPDIR/source" "$BATS_TEST_TMPDIR/stream"
}

@test "at half the rate a picture carries those of the one that is left out" {
    local clip
    clip=$(make_clip fast.mkv --clip 1 --frames 120 --rate 60000/1001 --captions)
    captions "$clip" | cut -d' ' -f2 | tr -d '\n' >"$BATS_TEST_TMPDIR/source"
    through 30000/1001 "$clip" >"$BATS_TEST_TMPDIR/stream"
    assert_eq "$(wc -l <"$BATS_TEST_TMPDIR/stream")" 60
    # the last picture of the source has no frame of its own any more
    assert_eq "$(cut -d' ' -f2 "$BATS_TEST_TMPDIR/stream" | tr -d '\n')" \
        "$(head -c $((119 * 18)) "$BATS_TEST_TMPDIR/source")"
}

@test "at twice the rate they come once, with the first of the two" {
    local clip
    clip=$(make_clip slow.mkv --clip 1 --frames 60 --captions)
    captions "$clip" >"$BATS_TEST_TMPDIR/source"
    through 60000/1001 "$clip" >"$BATS_TEST_TMPDIR/stream"
    diff "$BATS_TEST_TMPDIR/source" "$BATS_TEST_TMPDIR/stream"
}

@test "a cut carries the captions of its pictures and no others" {
    local clip
    clip=$(make_clip cc.mkv --clip 1 --frames 200 --captions)
    printf '{"version":1,"house":{"video":{"width":320,"height":180,"frame_rate":"30000/1001"},
        "audio":{"sample_rate":48000,"channels":2}},"segments":[
        {"asset":"%s","in":"50f","duration":"30f"},{"asset":"%s"}]}\n' "$clip" "$B" >"$plan"
    timeout 60 "$ROOT/examples/pipelines/plan-to-ts.sh" "$plan" \
        "$BATS_TEST_TMPDIR/out.ts" "$BATS_TEST_TMPDIR/asrun"
    diff <(captions "$clip" | sed -n '51,80p') <(captions "$BATS_TEST_TMPDIR/out.ts")
}
