# The shell pipelines of examples/pipelines: what comes out, frame by frame.
load ../lib

setup() {
    rv_setup
    export PATH=$BIN:$PATH RETROVUE_RUN_DIR=$RUN
    HOUSE='"house":{"video":{"width":320,"height":180,"frame_rate":"30000/1001"},"audio":{"sample_rate":48000,"channels":2}}'
    A=$(make_clip a.mov --clip 1 --frames 60)
    B=$(make_clip b.mkv --clip 2 --frames 45 --gop 12)
    plan=$BATS_TEST_TMPDIR/plan.json
    cat >"$plan" <<-PLAN
	{"version":1, $HOUSE, "segments":[
	  {"id":"one","asset":"$A"},
	  {"id":"two","asset":"$B","in":"10f","duration":"25f"},
	  {"id":"three","asset":"$A","in":"7f","duration":"3f"}]}
	PLAN
    WANTED='1:0-59 2:10-34 1:7-9'
}

@test "a plan becomes a TS with every frame of every segment, once, in order" {
    timeout 60 "$ROOT/examples/pipelines/plan-to-ts.sh" "$plan" \
        "$BATS_TEST_TMPDIR/out.ts" "$BATS_TEST_TMPDIR/asrun.ndjson"
    "$TOOLS/rv-readmarks" --check "$WANTED" "$BATS_TEST_TMPDIR/out.ts"
    assert_eq "$(marks "$BATS_TEST_TMPDIR/out.ts" .pts_constant)" true
    assert_eq "$(marks "$BATS_TEST_TMPDIR/out.ts" .gaps)" 0 "gaps in the sound"
    assert_le "$(marks "$BATS_TEST_TMPDIR/out.ts" '.av.offsets_ms | map(fabs) | max')" 5
    assert_eq "$(jq -r '[.segment,.first_frame,.last_frame]|join(" ")' \
        "$BATS_TEST_TMPDIR/asrun.ndjson")" $'one 0 59\ntwo 60 84\nthree 85 87'
    assert_clean
}

@test "it does not matter whether stage or renderer starts first" {
    rv-plan resolve "$plan" | rv-decode 3>&- |
        rv-stage --ring late >"$BATS_TEST_TMPDIR/asrun" 3>&- &
    stage=$!
    wait_until '[ -e "$RUN/late/ring" ]' 10
    timeout 60 rv-render --ring late --no-pace >"$BATS_TEST_TMPDIR/out.ts"
    status_within $stage 10
    "$TOOLS/rv-readmarks" --check "$WANTED" "$BATS_TEST_TMPDIR/out.ts"
    assert_clean
}

@test "a plan as NUT has the same frames, and the sound is exact" {
    rv-plan resolve "$plan" | rv-decode --nut >"$BATS_TEST_TMPDIR/out.nut"
    "$TOOLS/rv-readmarks" --check "$WANTED" "$BATS_TEST_TMPDIR/out.nut"
    assert_eq "$(marks "$BATS_TEST_TMPDIR/out.nut" .gaps)" 0
    assert_le "$(marks "$BATS_TEST_TMPDIR/out.nut" '.av.offsets_ms | map(fabs) | max')" 1
    timeout 60 "$ROOT/examples/pipelines/plan-to-player.sh" "$plan" \
        ffmpeg -v error -xerror -i - -f null -
    assert_clean
}

@test "what ffmpeg makes goes through rv-decode - into a ring" {
    timeout 60 "$ROOT/examples/pipelines/ffmpeg-to-ts.sh" \
        "$BATS_TEST_TMPDIR/out.ts" -i "$A"
    "$TOOLS/rv-readmarks" --check '1:0-59' "$BATS_TEST_TMPDIR/out.ts"
    assert_clean
}

@test "slate before, between and behind has its frames" {
    cat >"$plan" <<-PLAN
	{"version":1, $HOUSE, "segments":[
	  {"type":"slate","duration":"15f"}, {"asset":"$B"},
	  {"type":"slate","duration":"4f"}, {"asset":"$A"},
	  {"type":"pad","duration":"6f"}, {"type":"slate","duration":"9f"}]}
	PLAN
    timeout 60 "$ROOT/examples/pipelines/plan-to-ts.sh" "$plan" \
        "$BATS_TEST_TMPDIR/out.ts" "$BATS_TEST_TMPDIR/asrun.ndjson"
    "$TOOLS/rv-readmarks" --check '-*15 2:0-44 -*4 1:0-59 -*15' \
        "$BATS_TEST_TMPDIR/out.ts"
    rv-plan resolve "$plan" | rv-decode --nut |
        "$TOOLS/rv-readmarks" --check '-*15 2:0-44 -*4 1:0-59 -*15' -
    assert_clean
}

@test "a missing asset is one second of slate and the neighbours are exact" {
    cat >"$plan" <<-PLAN
	{"version":1, $HOUSE, "segments":[
	  {"asset":"gone.mkv"}, {"asset":"$A"}, {"asset":"nowhere.mkv"}, {"asset":"$B"}]}
	PLAN
    # a pipeline's status is its last program's, and the stage had its slate
    timeout 60 "$ROOT/examples/pipelines/plan-to-ts.sh" "$plan" \
        "$BATS_TEST_TMPDIR/out.ts" "$BATS_TEST_TMPDIR/asrun.ndjson" \
        2>"$BATS_TEST_TMPDIR/err"
    "$TOOLS/rv-readmarks" --check '-*30 1:0-59 -*30 2:0-44' "$BATS_TEST_TMPDIR/out.ts"
    assert_contains "$(cat "$BATS_TEST_TMPDIR/err")" nowhere.mkv
    assert_clean
}
