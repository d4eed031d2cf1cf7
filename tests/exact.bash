# exact.bash: marked clips and plans of random cuts, through a shell pipeline.
#
#     load ../lib; load ../service; load ../exact

# make_clips RATE FRAMES: three that differ in container, GOP and codecs, in A,
# B and C, and as exactplan.py wants them in CLIPS.
make_clips() {
    A=$(make_clip a.mov --clip 1 --frames "$2" --rate "$1" --size 160x90)
    B=$(make_clip b.mp4 --clip 2 --frames "$2" --rate "$1" --size 160x90 --gop 48)
    C=$(make_clip c.mkv --clip 3 --frames "$2" --rate "$1" --size 160x90 \
        --gop 12 --bframes 0)
    CLIPS=("1:$2:$A" "2:$2:$B" "3:$2:$C")
}

# check_whole FILE: no PTS step, no sound and no packet is out of place.
check_whole() {
    marks "$1" . >"$BATS_TEST_TMPDIR/summary"
    assert_eq "$(jq -c '[.pts_constant, .pts_backward, .decode_errors, .gaps,
        .wrong_sound, .av.missing]' "$BATS_TEST_TMPDIR/summary")" \
        '[true,0,0,0,0,0]' "PTS, decoding, gaps, wrong sound, clicks missing"
    assert_le "$(jq .av.max_abs_ms "$BATS_TEST_TMPDIR/summary")" 5 "A/V offset in ms"
    "$TOOLS/rv-tscheck" "$1"
}

# check_cuts SEED COUNT MAX RATE: a plan of random cuts becomes that TS.
check_cuts() {
    local out=$BATS_TEST_TMPDIR/out.ts
    make_clips "$4" $(($3 + 40))
    "$PYTHON" "$ROOT/tests/exactplan.py" "$1" "$2" "$3" "$4" "${CLIPS[@]}" \
        >"$BATS_TEST_TMPDIR/plan.json" 2>"$BATS_TEST_TMPDIR/wanted"
    timeout 120 "$ROOT/examples/pipelines/plan-to-ts.sh" "$BATS_TEST_TMPDIR/plan.json" \
        "$out" "$BATS_TEST_TMPDIR/asrun"
    "$TOOLS/rv-readmarks" --check "$(<"$BATS_TEST_TMPDIR/wanted")" "$out"
    check_whole "$out"
    assert_eq "$(wc -l <"$BATS_TEST_TMPDIR/asrun")" "$2" "as-run lines"
}

# start_clips: a service, and clips of which a plan shows 1 to 3 and previews
# show 4 and 5.
start_clips() {
    mkdir -p "$BATS_TEST_TMPDIR/gen"
    (cd "$ROOT" && protoc -Iproto --python_out="$BATS_TEST_TMPDIR/gen" \
        retrovue/playout.proto retrovue/playout_status.proto)
    make_clips 30000/1001 240
    D=$(make_clip d.mp4 --clip 4 --frames 200 --size 160x90 --gop 48)
    E=$(make_clip e.mkv --clip 5 --frames 130 --size 160x90 --gop 12 --bframes 0)
    PLAN=$BATS_TEST_TMPDIR/plan.json
    export TOOLS
    start_serve
}

# plan_of [SEGMENT...]: each 'ASSET IN FRAMES'; a looping plan.
plan_of() {
    printf '%s\n' "$@" | jq -Rn '{version: 1, loop: true,
        house: {video: {width: 160, height: 90, frame_rate: "30000/1001"},
            audio: {sample_rate: 48000, channels: 2}},
        segments: [inputs | split(" ") | {id: ((.[0] | sub(".*/"; "")) + .[1]),
            asset: .[0], in: (.[1] + "f"), duration: (.[2] + "f")}]}'
}

# onair SCENARIO COUNT SEED CLIP...: tests/grpc/onair.py
onair() {
    "$PYTHON" "$ROOT/tests/grpc/onair.py" "$BATS_TEST_TMPDIR/gen" "$GRPC" "$1" "$2" "$3" \
        "$(url 1)" "$BATS_TEST_TMPDIR/out.ts" "$PLAN" "${@:4}" || {
        tail -n 30 "$BATS_TEST_TMPDIR/serve.err" >&2
        cat "$RUN/run/1/inputs" >&2
        return 1
    }
}
