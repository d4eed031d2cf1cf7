#!/usr/bin/env bats
# The shape of pictures: pixel aspect, bars, turns, crops and odd sizes, as where
# white lies among black, and as marks that can still be read.

load lib
bats_require_minimum_version 1.5.0

# white SIZE SAR [PIXEL-FORMAT]: $CLIP
white() {
    CLIP=$BATS_TEST_TMPDIR/white.nut
    ffmpeg -nostdin -v error -y -f lavfi -i "color=white:s=$1:r=25,setsar=${2/:/\/}" \
        -frames:v 1 -pix_fmt "${3:-yuv444p}" -c:v ffv1 "$CLIP"
}

# lies HOUSE: where $CLIP's first picture is in it.
lies() {
    "$BIN/rv-decode" --nut --house "$1@25" "$CLIP" |
        ffmpeg -nostdin -v error -f nut -i - -frames:v 1 -vf extractplanes=y \
            -f rawvideo - | "$PYTHON" "$ROOT/tests/shape.py" find "$1"
}

@test "every pixel aspect lies in every house as its display aspect wants" {
    local shape house
    for shape in 720x576:16:15 720x576:64:45 720x480:8:9 720x480:32:27 \
        704x576:12:11 1440x1080:4:3 640x360:1:1 400x300:1:1 480x640:1:1 \
        352x288:2:1 320x64:1:1; do
        for house in 640x360 640x480 720x576; do
            white "${shape%%:*}" "${shape#*:}"
            assert_eq "$(lies $house)" "$("$PYTHON" "$ROOT/tests/shape.py" want \
                "${shape%%:*}" "${shape#*:}" $house)" "$shape in $house"
        done
    done
}

@test "odd and extreme sizes have the shape they should" {
    local size format
    for size in 161x121 319x179 853x479 35x97 3x3 2x2 16x720 1000x5; do
        for format in yuv444p gray gbrp; do
            white $size 1:1 $format
            assert_eq "$(lies 320x180)" "$("$PYTHON" "$ROOT/tests/shape.py" want \
                $size 1 320x180)" "$size $format"
        done
    done
    for size in 161x121 319x179 853x479; do
        white $size 1:1 yuv420p
        assert_eq "$(lies 320x180)" "$("$PYTHON" "$ROOT/tests/shape.py" want \
            $size 1 320x180)" "$size yuv420p"
    done
}

# read_back HOUSE: the numbers of $CLIP's pictures, as runs.
read_back() {
    "$BIN/rv-decode" --nut --house "$1@25" "$CLIP" |
        "$TOOLS/rv-readmarks" --summary - | jq -r .runs
}

@test "a photograph may be larger than a film's pictures, which are refused by name" {
    local size=8256x5504
    CLIP=$BATS_TEST_TMPDIR/large.jpg
    ffmpeg -nostdin -v error -y -f lavfi -i color=white:s=$size:r=25 -frames:v 1 "$CLIP"
    assert_eq "$(lies 320x180)" "$("$PYTHON" "$ROOT/tests/shape.py" want $size 1 320x180)"
    white $size 1:1 gray
    run -1 "$BIN/rv-decode" --explain "$CLIP"
    assert_eq "$output" "rv-decode: asset $CLIP: its pictures of $size are too large; scale them down to 37 megapixels"
}

@test "a cover that says so is turned" {
    local turned=$BATS_TEST_TMPDIR/turned.jpg
    ffmpeg -nostdin -v error -y -f lavfi -i color=white:s=320x180:r=25 -frames:v 1 "$turned"
    "$PYTHON" - "$turned" <<'EOF'
import struct, sys
data = open(sys.argv[1], "rb").read()
# Exif 2.3 4.6.4: Orientation, a SHORT, "the 0th row is the right-hand side"
exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x112, 3, 1, 6, 0)
open(sys.argv[1], "wb").write(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
EOF
    CLIP=$BATS_TEST_TMPDIR/cover.m4a
    ffmpeg -nostdin -v error -y -f lavfi -i sine=d=1 -i "$turned" -map 0 -map 1 -c:v copy \
        -disposition:v attached_pic "$CLIP"
    assert_eq "$(lies 320x180)" "$("$PYTHON" "$ROOT/tests/shape.py" want 180x320 1 320x180)"
}

@test "marks can be read in any shape, up and down in size" {
    local sar house scale clip
    clip=$(make_clip shape.mov --rate 25 --frames 10 --size 640x360)
    for scale in 640:360 720:576 1440:1080 320:181 353:287; do
        for sar in 1/1 16/15 64/45 4/3 10/11; do
            CLIP=$BATS_TEST_TMPDIR/shaped.mov
            ffmpeg -nostdin -v error -y -i "$clip" -vf "scale=$scale,setsar=$sar" \
                -pix_fmt yuv444p -c:v ffv1 -f nut "$CLIP"
            for house in 640x360 1280x720 320x240; do
                assert_eq "$(read_back $house)" 1:0-9 "$scale $sar in $house"
            done
        done
    done
}

@test "a turned picture comes out upright, between the bars it needs" {
    local clip angle filter want
    clip=$(make_clip shape.mov --rate 25 --frames 10 --size 640x360)
    while read -r angle filter want; do
        ffmpeg -nostdin -v error -y -i "$clip" -vf "$filter" -c:v mpeg4 -q:v 2 -an \
            "$BATS_TEST_TMPDIR/flat.mp4"
        CLIP=$BATS_TEST_TMPDIR/turned.mp4
        ffmpeg -nostdin -v error -y -i "$BATS_TEST_TMPDIR/flat.mp4" -c copy \
            -metadata:s:v "rotate=$angle" "$CLIP"
        assert_eq "$(ffprobe -v error -select_streams v -of csv=p=0 \
            -show_entries stream_side_data=rotation "$CLIP" | tr -d -- '-,\n')" \
            "${want%%/*}" "rotation in the file"
        assert_eq "$(read_back 640x360)" 1:0-9 "turned by $angle"
        assert_eq "$(read_back 360x640)" 1:0-9 "turned by $angle, in portrait"
    done <<-LIST
	90 transpose=1 90/
	180 hflip,vflip 180/
	270 transpose=2 90/
	LIST
    # portrait by its matrix: bars at the sides
    ffmpeg -nostdin -v error -y -f lavfi -i color=white:s=320x180:r=25:d=0.2 \
        -c:v mpeg4 -q:v 2 "$BATS_TEST_TMPDIR/flat.mp4"
    ffmpeg -nostdin -v error -y -i "$BATS_TEST_TMPDIR/flat.mp4" -c copy \
        -metadata:s:v rotate=90 "$CLIP"
    assert_eq "$(lies 640x360)" "$("$PYTHON" "$ROOT/tests/shape.py" want 180x320 1 640x360)"
}

@test "what the stream crops is not seen, and the rest keeps its shape" {
    local clip name
    clip=$(make_clip shape.mov --rate 25 --frames 10 --size 640x360)
    CLIP=$BATS_TEST_TMPDIR/cropped.mp4
    # a white frame that the parameter sets cut off again; 682 is no whole block
    ffmpeg -nostdin -v error -i "$clip" -vf 'pad=682:402:26:24:white' -c:v libx264 -an \
        -bsf:v h264_metadata=crop_left=26:crop_right=22:crop_top=24:crop_bottom=32 "$CLIP"
    assert_eq "$(ffprobe -v error -select_streams v -of csv=p=0 \
        -show_entries stream=width,height "$CLIP" | head -1)" 640,360
    assert_eq "$(read_back 640x360)" 1:0-9 "same size"
    assert_eq "$(read_back 320x240)" 1:0-9 "smaller"
    # to the edges the same as what was padded
    for name in "$CLIP" "$clip"; do
        "$BIN/rv-decode" --nut --house 640x360@25 "$name" >"$BATS_TEST_TMPDIR/${name##*.}.nut"
    done
    assert_le 30 "$(ffmpeg -nostdin -hide_banner -i "$BATS_TEST_TMPDIR/mp4.nut" \
        -i "$BATS_TEST_TMPDIR/mov.nut" -lavfi psnr -f null - 2>&1 |
        sed -n 's/.*PSNR y:.* min:\([0-9.]*\).*/\1/p')" "least PSNR"
}
