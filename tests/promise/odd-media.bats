# Odd real media in a plan between two good segments: no crash, exact neighbours.
#
# Files with such oddness are made; RV_ODD_MEDIA may name a folder with real ones.
load ../lib

odd_files() {
    if [ -n "${RV_ODD_MEDIA:-}" ]; then
        find "$RV_ODD_MEDIA" -type f ! -name '*.tsv' | sort
    else
        make_odd
    fi
}

# Portrait with an odd size, variable rate, no duration, sound only.
make_odd() {
    local out=$BATS_TEST_TMPDIR/odd
    mkdir -p "$out"
    ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=161x121:d=2:r=15 \
        -c:v libvpx-vp9 -f webm - >"$out/noduration.webm"
    ffmpeg -nostdin -v error -f lavfi -i sine=d=2 "$out/sound.ogg"
    ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=720x1280:d=2:r=60 \
        -vf "select='not(mod(n,7))+not(mod(n,5))'" -vsync vfr "$out/vfr.mp4"
    find "$out" -type f | sort
}

@test "every odd file plays between two good segments, which stay exact" {
    export RETROVUE_RUN_DIR=$RUN PATH=$BIN:$PATH
    A=$(make_clip good.mov --clip 1 --frames 30)
    local failed=0 file count=0
    HOUSE='"house":{"video":{"width":320,"height":180,"frame_rate":"30000/1001"},"audio":{"sample_rate":48000,"channels":2}}'
    for file in $(odd_files); do
        cat >"$BATS_TEST_TMPDIR/plan.json" <<-PLAN
	{"version":1, $HOUSE, "segments":[
	  {"asset":"$A"}, {"asset":"$file"}, {"asset":"$A"}]}
	PLAN
        rv-plan resolve "$BATS_TEST_TMPDIR/plan.json" |
            timeout 120 rv-decode --nut |
            "$TOOLS/rv-readmarks" --summary - >"$BATS_TEST_TMPDIR/sum.json"
        runs=$(jq -r .runs "$BATS_TEST_TMPDIR/sum.json")
        echo "$(basename "$file"): $runs" >&2
        [[ $runs =~ ^1:0-29\ -\*[0-9]+\ 1:0-29$ ]] || failed=1
        count=$((count + 1))
    done
    [ $count -ge 3 ]
    assert_clean
    return $failed
}
