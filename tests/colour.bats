#!/usr/bin/env bats
# What colours a picture has when it has become the house's: bars of known
# values in every kind of coding, read back to within two levels.

load lib
bats_require_minimum_version 1.5.0

# bars FORMAT MATRIX RANGE SIZE [-ALPHA...] -- [ffmpeg options]: $CLIP
bars() {
    local format=$1 size=$4
    local -a what=("${@:1:4}")
    shift 4
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        what+=("$1")
        shift
    done
    [ $# -eq 0 ] || shift # the --
    CLIP=$BATS_TEST_TMPDIR/bars.mkv
    "$PYTHON" "$ROOT/tests/bars.py" make "${what[@]}" |
        ffmpeg -nostdin -v error -y -f rawvideo -pix_fmt "$format" -s "$size" -r 25 \
            -i - -frames:v 1 -c:v ffv1 "$@" "$CLIP"
}

# house MATRIX SIZE [ALPHA...]: the first frame of $CLIP is bars.
house() {
    "$BIN/rv-decode" --nut --house "$2@25" "$CLIP" |
        ffmpeg -nostdin -v error -f nut -i - -frames:v 1 -f rawvideo - |
        "$PYTHON" "$ROOT/tests/bars.py" check "$1" "$2" 2 "${@:3}"
}

tagged() {
    case $1 in
    601) echo -colorspace smpte170m ;;
    709) echo -colorspace bt709 ;;
    ycgco) echo -colorspace ycgco ;;
    esac
}

@test "bars in 4:2:0, 4:2:2 and 4:4:4 of 8, 10 and 12 bits keep their colours" {
    local chroma depth
    for chroma in 420 422 444; do
        for depth in "" 10le 12le; do
            bars yuv${chroma}p$depth 709 tv 640x360 -- -colorspace bt709 -color_range tv
            echo "yuv${chroma}p$depth in the same size" >&2
            house 601 640x360
            echo "yuv${chroma}p$depth larger, into HD" >&2
            house 709 1280x720
        done
    done
}

@test "bars in each matrix and range come out in the house's" {
    local matrix range
    for matrix in 601 709 ycgco; do
        for range in tv pc; do
            for format in yuv420p yuv422p10le yuv444p; do
                # shellcheck disable=SC2046
                bars $format $matrix $range 640x360 -- $(tagged $matrix) -color_range $range
                echo "$format $matrix $range" >&2
                house 601 320x180
                house 601 640x360
                house 709 1280x720
            done
        done
    done
}

@test "bars that say nothing are BT.601 in SD and BT.709 in HD" {
    bars yuv420p 601 tv 720x576
    house 601 720x576
    bars yuv420p 601 tv 640x360
    house 709 1280x720
    bars yuv422p 709 tv 1280x720
    house 709 1280x720
    house 601 640x360
    bars yuv420p 709 tv 720x1280
    house 601 180x320
}

@test "bars in RGB come out in the house's matrix" {
    local format
    for format in rgb24 gbrp gbrp10le gbrp12le; do
        bars $format 709 pc 640x360
        echo "$format" >&2
        house 601 640x360
        house 709 1280x720
    done
    # coded as 4:4:4 of matrix 0
    bars gbrp 709 pc 640x360 -- -c:v libx265 -x265-params lossless=1:log-level=none
    house 709 1280x720
}

@test "what is transparent lies over black" {
    local format
    for format in yuva420p yuva444p10le yuva422p rgba; do
        bars $format 709 tv 640x360 1 0.5 0.25 0 -- -colorspace bt709 -color_range tv
        echo "$format" >&2
        house 709 1280x720 1 0.5 0.25 0
        house 601 640x360 1 0.5 0.25 0
    done
}

@test "the alpha that WebM keeps beside its pictures lies over black" {
    local codec half
    CLIP=$BATS_TEST_TMPDIR/alpha.webm
    for codec in "libvpx -auto-alt-ref 0" libvpx-vp9; do
        # the left half is transparent
        # shellcheck disable=SC2086
        ffmpeg -nostdin -v error -y -f lavfi -i "color=white:s=320x180:r=25,
            format=yuva420p,geq=lum=lum(X\,Y):cb=128:cr=128:a=255*gte(X\,160)" \
            -frames:v 5 -c:v $codec -b:v 1M "$CLIP"
        half=$("$BIN/rv-decode" --nut --house 320x180@25 "$CLIP" |
            ffmpeg -nostdin -v error -f nut -i - -vf extractplanes=y,crop=2:2:79:90 \
                -f rawvideo - | od -An -tu1 -N4)
        assert_eq "$half" "  16  16  16  16" "$codec"
        half=$("$BIN/rv-decode" --nut --house 320x180@25 "$CLIP" |
            ffmpeg -nostdin -v error -f nut -i - -vf extractplanes=y,crop=2:2:240:90 \
                -f rawvideo - | od -An -tu1 -N4)
        assert_eq "$half" " 235 235 235 235" "$codec"
    done
}

# A GIF has its own palette: the bars' colours.
palette() {
    case $1 in
    *.gif) echo 'split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none' ;;
    *) echo null ;;
    esac
}

@test "a stored picture in JPEG, PNG and GIF has the colours of its kind" {
    local name
    for name in still.jpg still.png still.gif; do
        "$PYTHON" "$ROOT/tests/bars.py" make rgb24 709 pc 640x360 |
            ffmpeg -nostdin -v error -y -f rawvideo -pix_fmt rgb24 -s 640x360 -r 25 \
                -i - -frames:v 1 -q:v 1 -vf "$(palette "$name")" "$BATS_TEST_TMPDIR/$name"
        CLIP=$BATS_TEST_TMPDIR/$name
        echo "$name" >&2
        house 601 640x360
        house 709 1280x720
    done
}

space() {
    case $1 in
    *-ictcp) echo ictcp ;;
    *) echo bt2020nc ;;
    esac
}

# light KIND TRC [PEAK] -- CODEC-OPTIONS...: patches of known light into $CLIP
light() {
    local kind=$1 trc=$2
    CLIP=$BATS_TEST_TMPDIR/light.mkv
    shift 2
    "$PYTHON" "$ROOT/tests/hdr.py" make "$kind" 960x360 |
        ffmpeg -nostdin -v error -y -f rawvideo -pix_fmt yuv420p10le -s 960x360 -r 25 \
            -i - -frames:v 1 -color_range tv -colorspace "$(space "$kind")" \
            -color_primaries bt2020 -color_trc "$trc" "$@" "$CLIP"
}

# graded KIND MATRIX SIZE [PEAK]: the first frame of $CLIP has them in SDR.
graded() {
    "$BIN/rv-decode" --nut --house "$3@25" "$CLIP" |
        ffmpeg -nostdin -v error -f nut -i - -frames:v 1 -f rawvideo - |
        "$PYTHON" "$ROOT/tests/hdr.py" check "$1" "$3" "$2" "${@:4}"
}

@test "PQ is rolled off to 203 nits: greys in order, white at 90 %, hues kept" {
    light pq smpte2084 -c:v ffv1
    graded pq 601 960x360
    light pq smpte2084 -c:v ffv1 # another size than the house's
    graded pq 709 1920x720
}

@test "HLG comes out as a 1000-nit display shows it, rolled off" {
    light hlg arib-std-b67 -c:v ffv1
    graded hlg 601 960x360
    graded hlg 709 1920x720
}

@test "ICtCp is PQ or HLG of L, M and S, and comes out as they do" {
    light pq-ictcp smpte2084 -c:v ffv1
    graded pq-ictcp 601 960x360
    graded pq-ictcp 709 1920x720
    light pq-ictcp unknown -c:v ffv1 # PQ unless HLG is said
    graded pq-ictcp 709 1920x720
    light hlg-ictcp arib-std-b67 -c:v ffv1
    graded hlg-ictcp 601 960x360
    graded hlg-ictcp 709 1920x720
}

@test "SDR in BT.2020 has its primaries converted and its greys untouched" {
    light sdr bt2020-10 -c:v ffv1
    graded sdr 601 960x360
    graded sdr 709 1920x720
}

@test "the roll-off begins at the peak that the asset tells" {
    light pq smpte2084 -c:v libx265 -x265-params \
        log-level=none:lossless=1:max-cll=4000,400:hdr10=1
    graded pq 601 960x360 4000
}
