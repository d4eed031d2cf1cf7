# Damage inside a file: what is whole stays exact, sound is silent rather than
# noise, and the log says once where it is.
load ../lib
load ../service
bats_require_minimum_version 1.5.0

setup() {
    rv_setup
    A=$(make_clip hit.mp4 --clip 1 --frames 200 --rate 25 --size 160x90 --gop 25 --bframes 0)
    HIT=$BATS_TEST_TMPDIR/hit.mp4
    LOG=$BATS_TEST_TMPDIR/log
    OUT=$BATS_TEST_TMPDIR/out.nut
}

hit() { "$PYTHON" "$ROOT/tests/tools/hit.py" "$@" >"$BATS_TEST_TMPDIR/hits"; }

# decode OPTION...: NUT into $OUT, what is said into $LOG.
decode() {
    "$BIN/rv-decode" --nut --house 160x90@25 "$@" >"$OUT" 2>"$LOG"
}

# Lines about damage, each 'FROM TO COUNT'.
told() {
    sed -n 's/.*damaged from \([0-9.]*\) s to \([0-9.]*\) s: \([0-9]*\) .*/\1 \2 \3/p' "$LOG"
}

# between VALUE LOW HIGH
between() {
    assert_le "$2" "$1" "low end"
    assert_le "$1" "$3" "high end"
}

# in_place FILE FROM TO: pictures FROM to TO are where they belong.
in_place() {
    "$TOOLS/rv-readmarks" --json "$1" | jq -se --argjson from "$2" --argjson to "$3" '
        map(select(.type == "v")) | .[0].pts_90k as $begin
        | map(select(((.pts_90k - $begin) / 3600) as $n | $n >= $from and $n <= $to))
        | length == $to - $from + 1 and
            all(.[]; .frame == (.pts_90k - $begin) / 3600)' >/dev/null
}

@test "a damaged stretch is told once with its place, and time is kept around it" {
    hit "$A" "$HIT" v 4 4.2
    decode "$HIT"
    assert_eq "$(told | wc -l)" 1 "lines in $(cat "$LOG")"
    read -r from to count < <(told)
    between "$from" 3.9 4.1
    between "$to" 4.1 4.3
    between "$count" 3 30
    assert_eq "$(jq -r .asset "$LOG")" "$HIT"
    # the next group of pictures begins with 125
    in_place "$OUT" 0 98
    in_place "$OUT" 125 199
    # and the sound never noticed
    marks "$OUT" . >"$BATS_TEST_TMPDIR/summary"
    assert_eq "$(jq -c '[.gaps, .wrong_sound]' "$BATS_TEST_TMPDIR/summary")" '[0,0]'
}

@test "what was read before the segment's begin or behind its end is not told" {
    hit "$A" "$HIT" v 4 4.2
    local in
    for in in 1 5 6; do
        printf '{"segment":"s","asset":"%s","in":"%s/1","frames":20}\n' "$HIT" $in |
            decode
        assert_eq "$(told)" "" "from second $in"
    done
    printf '{"segment":"s","asset":"%s","in":"3/1","frames":40,"first":1000}\n' "$HIT" |
        decode
    assert_eq "$(told | wc -l)" 1
    between "$(jq .frame "$LOG")" 1023 1027
}

@test "an asset that is damaged all through is told in a handful of lines" {
    local long
    long=$(make_clip long.mp4 --clip 1 --frames 2000 --rate 25 --size 160x90 --gop 25 --bframes 0)
    local second args=()
    cp "$long" "$HIT"
    for second in 10 14 20 21 30 40 41 42 50 60 64 70; do
        hit "$HIT" "$HIT.new" v $second $second.1
        mv "$HIT.new" "$HIT"
    done
    decode "$HIT"
    between "$(told | wc -l)" 2 6
    # none of it is left out
    between "$(told | head -1 | cut -d ' ' -f 1)" 9.9 10.2
    between "$(told | tail -1 | cut -d ' ' -f 2)" 70 70.3
    between "$(told | awk '{ n += $3 } END { print n }')" 24 200
}

@test "sound with a checksum is silent where it is damaged, never louder" {
    local whole=$BATS_TEST_TMPDIR/whole.mka codec
    for codec in flac eac3 wavpack; do
        ffmpeg -nostdin -v error -y -f lavfi \
            -i sine=f=997:d=8:r=48000 -ac 2 -c:a $codec -frame_size 1024 "$whole"
        hit "$whole" "$BATS_TEST_TMPDIR/hit.mka" a 4 4.2
        decode "$BATS_TEST_TMPDIR/hit.mka"
        assert_eq "$(told | wc -l)" 1 "lines about $codec"
        ffmpeg -nostdin -v error -y -i "$OUT" -f s16le "$BATS_TEST_TMPDIR/pcm"
        # peaks of 10 ms each: none above the tone's, and some silent ones
        "$PYTHON" - "$BATS_TEST_TMPDIR/pcm" <<-'PY'
	import array, sys
	sound = array.array("h", open(sys.argv[1], "rb").read())[::2]
	peaks = [max(map(abs, sound[i:i + 480])) for i in range(0, len(sound), 480)]
	usual = sorted(peaks)[len(peaks) // 2]
	damaged = [i for i, p in enumerate(peaks) if p < usual / 2]
	print(usual, max(peaks), damaged, file=sys.stderr)
	assert usual > 1000 and max(peaks) < 1.5 * usual, "noise"
	assert damaged and 380 <= damaged[0] and damaged[-1] < 500, "place"
	PY
    done
}

@test "in service a line names channel, segment, asset and frame, and is counted" {
    local plan=$BATS_TEST_TMPDIR/plan.json
    hit "$A" "$HIT" v 1 1.2
    cat >"$plan" <<-PLAN
	{"version":1, "house":{"video":{"width":160,"height":90,"frame_rate":"25"},
	  "audio":{"sample_rate":48000,"channels":2}}, "segments":[
	  {"id":"good","asset":"$A","duration":"50f"},
	  {"id":"hit","type":"filler","asset":"$HIT","duration":"300f"},
	  {"id":"good2","asset":"$A"}]}
	PLAN
    start_serve
    ctl start 1 "$plan"
    LOG=$BATS_TEST_TMPDIR/serve.err
    # past the filler, which goes twice around
    wait_until '[ "$(metric retrovue_playout_frames_decoded_total)" -ge 360 ]' 30
    assert_le 3 "$(metric retrovue_playout_packets_damaged_total)" "packets damaged"
    wait_until '[ -n "$(told)" ]' 5
    grep 'damaged from' "$LOG" >"$BATS_TEST_TMPDIR/line"
    assert_eq "$(jq -c '[.level, .program, .channel, .segment, .asset]' "$BATS_TEST_TMPDIR/line")" \
        "[\"warning\",\"rv-decode\",1,\"hit\",\"$HIT\"]"
    between "$(jq .frame "$BATS_TEST_TMPDIR/line")" 73 77
    ctl stop 1
    stop_serve
    assert_eq "$(told | wc -l)" 1 "lines, the filler begins again"
}

@test "a header that says pictures last for hours does not make them do so" {
    ffmpeg -nostdin -v error -i "$(make_clip rate.ts --clip 1 --frames 50 --rate 25 \
        --size 160x90)" -c copy -bsf:v h264_metadata=tick_rate=1/1000 "$BATS_TEST_TMPDIR/hours.ts"
    printf '{"segment":"s","asset":"%s","frames":50}\n' "$BATS_TEST_TMPDIR/hours.ts" | decode
    "$TOOLS/rv-readmarks" --check 1:0-49 "$OUT"
}
