#!/usr/bin/env bats
# Interlaced and telecined pictures: each field at its time, whole and uncombed.
#
# A picture that moves from field to field is interlaced; what comes out is
# compared with the progressive one that went in.

load lib
bats_require_minimum_version 1.5.0

H=320x192

# interlaced tff|bff RATE FIELDS: $CLIP, and the progressive one in $WHOLE.
interlaced() {
    WHOLE=$BATS_TEST_TMPDIR/whole.mkv
    CLIP=$BATS_TEST_TMPDIR/$1.mkv
    ffmpeg -nostdin -v error -y -f lavfi \
        -i "testsrc2=s=$H:r=$2,scroll=h=0.01,trim=end_frame=$3" -c:v ffv1 "$WHOLE"
    ffmpeg -nostdin -v error -y -i "$WHOLE" -vf "interlace=scan=$1:lowpass=0" \
        -c:v libx264 -preset fast -qp 4 -flags +ilme+ildct -bf 2 -g 25 \
        -colorspace smpte170m -x264-params "$1=1" "$CLIP"
}

# shown HOUSE-RATE [LINE]: NUT into $OUT.
shown() {
    local how=(--nut --house $H@"$1" ${THREADS:+--threads "$THREADS"})
    OUT=$BATS_TEST_TMPDIR/out.nut
    if [ $# -gt 1 ]; then
        printf '%s\n' "$2" | "$BIN/rv-decode" "${how[@]}" >"$OUT"
    else
        "$BIN/rv-decode" "${how[@]}" "$CLIP" >"$OUT"
    fi
}

numbers() {
    "$TOOLS/rv-readmarks" --json "$OUT" |
        jq -r 'select(.type == "v") | .frame // "-"' | tr '\n' ' '
}

# like NUMBER...: the pictures of $OUT are these of $WHOLE, 30 dB at least, the
# very first and last 20 dB.  A picture a field too early or late has 16.
like() {
    local chosen
    chosen=$(printf '+eq(n\\,%d)' "$@")
    ffmpeg -nostdin -v error -i "$OUT" -i "$WHOLE" -filter_complex \
        "[1:v]select='${chosen#+}',setpts=N/TB/50,settb=1/1000[b];[0:v]setpts=N/TB/50,settb=1/1000[a];
         [a][b]psnr=stats_file=$BATS_TEST_TMPDIR/psnr:shortest=1" -f null -
    sed 's/.*psnr_y:\([^ ]*\).*/\1/' "$BATS_TEST_TMPDIR/psnr" >"$BATS_TEST_TMPDIR/db"
    assert_eq "$(wc -l <"$BATS_TEST_TMPDIR/db")" $# pictures
    awk -v last=$# '$1 != "inf" && $1 < (NR == 1 || NR == last ? 20 : 30) {
        print "picture " NR ": " $1 " dB"; bad = 1 } END { exit bad }' \
        "$BATS_TEST_TMPDIR/db" >&2
}

# hashes [FIRST LAST]: one a picture of $OUT.
hashes() {
    ffmpeg -nostdin -v error -f nut -i "$OUT" -map 0:v -f framemd5 - |
        awk '!/^#/ { print $NF }' | sed -n "${1:-1},${2:-\$}p"
}

@test "at field rate each field is shown once, in either order" {
    local order
    for order in tff bff; do
        interlaced $order 50 100
        shown 50
        like $(seq 0 99)
    done
}

@test "fields of v210 are known from the container, in either order" {
    local order
    for order in tt bb; do
        interlaced ${order:0:1}ff 50 20
        CLIP=$BATS_TEST_TMPDIR/$order.mov
        ffmpeg -nostdin -v error -y -i "$WHOLE" \
            -vf "interlace=scan=${order:0:1}ff:lowpass=0" -c:v v210 -field_order $order "$CLIP"
        assert_eq "$(ffprobe -v error -select_streams v -of csv=p=0 \
            -show_entries stream=field_order "$CLIP")" $order
        shown 50
        like $(seq 0 19)
    done
}

@test "at frame rate it is the first field of each picture" {
    interlaced tff 50 100
    shown 25
    like $(seq 0 2 98)
}

@test "at another rate it is the field on screen at each frame's moment" {
    interlaced bff 50 100
    shown 30000/1001
    like $("$PYTHON" -c 'print(*[r * 50 * 1001 // 30000 for r in range(60)])')
}

@test "fields in Matroska's milliseconds are at their times at 59.94" {
    interlaced tff 60000/1001 80
    shown 60000/1001
    like $(seq 0 79)
}

@test "what is made between the lines is what bwdif makes, to the bit" {
    interlaced tff 50 50
    shown 50
    hashes 3 48 >"$BATS_TEST_TMPDIR/ours"
    ffmpeg -nostdin -v error -i "$CLIP" -vf bwdif=mode=send_field -f framemd5 - |
        awk '!/^#/ { print $NF }' | sed -n '3,48p' >"$BATS_TEST_TMPDIR/theirs"
    assert_eq "$(wc -l <"$BATS_TEST_TMPDIR/ours")" 46
    diff "$BATS_TEST_TMPDIR/ours" "$BATS_TEST_TMPDIR/theirs"
}

@test "a decoder that begins in the middle makes the same pictures of fields" {
    local n
    interlaced tff 50 100
    shown 50
    hashes >"$BATS_TEST_TMPDIR/whole"
    for n in 1 24 49 50 51 77; do
        shown 50 "{\"segment\":\"s\",\"asset\":\"$CLIP\",\"in\":\"$n/50\",\"frames\":8}"
        assert_eq "$(hashes)" "$(sed -n "$((n + 1)),$((n + 8))p" \
            "$BATS_TEST_TMPDIR/whole")" "from field $n"
    done
}

@test "soft telecine is shown as the film it is, each picture when its flags say" {
    local film
    film=$(make_clip film.ts --rate 24000/1001 --frames 96 --size $H --bframes 0 \
        --vcodec mpeg2video --no-audio)
    CLIP=$BATS_TEST_TMPDIR/telecine.ts
    ffmpeg -nostdin -v error -i "$film" -map 0:v -c copy -f mpeg2video - |
        "$PYTHON" "$ROOT/tests/pulldown.py" >"$BATS_TEST_TMPDIR/film.m2v"
    ffmpeg -nostdin -v error -fflags +genpts -f mpegvideo -framerate 30000/1001 \
        -i "$BATS_TEST_TMPDIR/film.m2v" -c copy "$CLIP"
    shown 24000/1001
    assert_eq "$(numbers)" "$(seq 0 95 | tr '\n' ' ')"
    # pictures of 3, 2, 3 and 2 fields, looked at every two (what made the clip
    # does not know how long the last one is)
    shown 30000/1001
    assert_eq "$(numbers | cut -d" " -f-118)" "$("$PYTHON" -c '
import bisect
start = [n * 5 // 2 + (n % 2) for n in range(97)]
print(*[bisect.bisect(start, 2 * r) - 1 for r in range(118)])')"
}

# telecined FILM OPTION...: 2:3 pulldown made into the pictures of FILM, as $CLIP.
telecined() {
    CLIP=$BATS_TEST_TMPDIR/telecined.${FORMAT:-mkv}
    ffmpeg -nostdin -v error -y -i "$1" -an -vf "telecine=pattern=23:first_field=${2%ff},setfield=$3" \
        "${@:4}" "$CLIP"
}

# film SIZE: a clip of 96 pictures at the film's rate
film() {
    make_clip film.mkv --rate 24000/1001 --frames 96 --size "$1" --vcodec ffv1 --no-audio
}

@test "hard telecine is shown as the film it is, each picture once, bit by bit" {
    local source order
    H=320x192
    source=$(film $H)
    ffmpeg -nostdin -v error -i "$source" -f framemd5 - |
        awk '!/^#/ { print $NF }' >"$BATS_TEST_TMPDIR/film"
    for order in top bottom; do
        telecined "$source" ${order}ff ${order:0:1}ff -c:v ffv1 -flags +ilme+ildct
        shown 24000/1001
        assert_eq "$(numbers)" "$(seq 0 95 | tr '\n' ' ')" "$order field first"
        # the very first field has none before it to tell by
        diff <(hashes 2 95) <(sed -n '2,95p' "$BATS_TEST_TMPDIR/film")
        shown 60000/1001
        assert_eq "$(numbers | cut -d' ' -f-236)" "$("$PYTHON" -c '
print(*[n for n in range(96) for _ in range(2 + n % 2)][:236])')" "$order field first"
    done
}

@test "codecs whose pictures stand alone are shown the same by one thread and by four" {
    local rate n
    H=320x480
    telecined "$(film $H)" topff prog -c:v ffvhuff
    # many threads decode ahead, one when a picture is due; that is a quarter
    # earlier here and there, which the second of these ins meets
    for rate in 24000/1001 25 30000/1001 60000/1001; do
        for n in 0 1 2; do
            set -- $rate "{\"segment\":\"s\",\"asset\":\"$CLIP\",\"in\":\"$((n * 1001))/30000\",\"frames\":70}"
            THREADS=1 shown "$@"
            hashes >"$BATS_TEST_TMPDIR/one"
            THREADS=4 shown "$@"
            diff "$BATS_TEST_TMPDIR/one" <(hashes)
        done
    done
    assert_eq "$(sort -u "$BATS_TEST_TMPDIR/one" | wc -l)" 29
}

@test "hard telecine that is not flagged is found, and looks like the film" {
    local order
    H=320x480
    for order in top bottom; do
        FORMAT=mp4 telecined "$(film $H)" ${order}ff prog -c:v libx264 -preset veryfast \
            -crf 18 -bf 2
        assert_eq "$("$BIN/rv-decode" --explain --json --house $H@25 "$CLIP" |
            jq -r '.lines[] | select(.what == "fields" or .what == "pulldown").text' |
            sed 's/: [0-9]* of [0-9]*/: some/' | tr '\n' '.')" \
            "film in fields, woven again, $order field first, not flagged but combed, where so: some looked at.2:3 pulldown in its pictures: shown as the film it is."
        shown 24000/1001
        assert_eq "$(numbers)" "$(seq 0 95 | tr '\n' ' ')" "$order field first"
        WHOLE=$(film $H)
        like $(seq 0 95)
    done
}

@test "film in segmented frames is not deinterlaced" {
    local source
    H=320x192
    source=$(make_clip psf.mkv --rate 25 --frames 50 --size $H --vcodec ffv1 --no-audio)
    CLIP=$BATS_TEST_TMPDIR/psf.mkv
    ffmpeg -nostdin -v error -i "$source" -an -vf setfield=tff -c:v ffv1 -flags +ilme+ildct "$CLIP"
    ffmpeg -nostdin -v error -i "$source" -f framemd5 - |
        awk '!/^#/ { print $NF }' >"$BATS_TEST_TMPDIR/film"
    shown 25
    diff <(hashes 2) <(sed -n '2,$p' "$BATS_TEST_TMPDIR/film")
    # both fields of a picture are the picture
    shown 50
    diff <(hashes 3 98 | uniq) <(sed -n '2,49p' "$BATS_TEST_TMPDIR/film")
}

@test "what is combed without a flag is deinterlaced, in the order it has" {
    local order
    H=320x480
    for order in tff bff; do
        interlaced $order 50 50
        ffmpeg -nostdin -v error -y -i "$WHOLE" -vf "interlace=scan=$order:lowpass=0,setfield=prog" \
            -c:v libx264 -preset fast -qp 4 -bf 2 -g 25 -colorspace smpte170m \
            "$BATS_TEST_TMPDIR/combed.mkv"
        CLIP=$BATS_TEST_TMPDIR/combed.mkv
        assert_eq "$(ffprobe -v error -select_streams v -of csv=p=0 -show_entries \
            frame=interlaced_frame -read_intervals %+#1 "$CLIP" | head -n 1)" "0,"
        shown 50
        # from the third field on: before, nothing has moved yet
        ffmpeg -nostdin -v error -y -i "$OUT" -vf "select=gt(n\\,1)" -c:v ffv1 -vsync 0 \
            "$BATS_TEST_TMPDIR/rest.nut"
        OUT=$BATS_TEST_TMPDIR/rest.nut
        like $(seq 2 49)
    done
}

@test "a decoder that begins in the middle weaves the same pictures" {
    local n
    H=320x480
    telecined "$(film $H)" topff prog -c:v libx264 -preset veryfast -crf 18 -bf 2 -g 25
    shown 24000/1001
    hashes >"$BATS_TEST_TMPDIR/whole"
    # nor does it matter where in the turn of 2:3 a segment begins
    for n in 1 2 3 4 5; do
        shown 24000/1001 "{\"segment\":\"s\",\"asset\":\"$CLIP\",\"in\":\"$((n * 1001))/30000\",\"frames\":72}"
        assert_eq "$(numbers)" "$("$PYTHON" -c "
first = [0, 1, 1, 2, 3, 4][$n]
print(*range(first, first + 72), '')")" "from picture $n of the telecine"
    done
    for n in 1 2 24 25 49 50 77; do
        shown 24000/1001 "{\"segment\":\"s\",\"asset\":\"$CLIP\",\"in\":\"$((n * 1001))/24000\",\"frames\":8}"
        assert_eq "$(hashes)" "$(sed -n "$((n + 1)),$((n + 8))p" \
            "$BATS_TEST_TMPDIR/whole")" "from picture $n"
    done
}

@test "pictures in motion that are whole stay whole, whatever their height says" {
    local source
    H=320x576
    WHOLE=$BATS_TEST_TMPDIR/moving.mkv
    ffmpeg -nostdin -v error -y -f lavfi \
        -i "testsrc2=s=320x1152:r=25,scroll=h=0.02:v=0.013,crop=320:576,trim=end_frame=50" \
        -c:v ffv1 -pix_fmt yuv420p "$WHOLE"
    CLIP=$WHOLE
    ffmpeg -nostdin -v error -i "$WHOLE" -f framemd5 - |
        awk '!/^#/ { print $NF }' >"$BATS_TEST_TMPDIR/film"
    shown 25
    diff <(hashes) "$BATS_TEST_TMPDIR/film"
}
