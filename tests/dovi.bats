#!/usr/bin/env bats
# Dolby Vision: pictures in its own colours become what the same light would
# in HDR10, whatever their metadata do to them, in each picture anew; damage
# to the metadata costs no more than that picture's reshaping.

load lib
bats_require_minimum_version 1.5.0

setup() {
    rv_setup
    cd "$BATS_TEST_TMPDIR" || return 1
}

ff() { ffmpeg -nostdin -v error -y "$@"; }

dovi() { "$PYTHON" "$ROOT/tests/dovi.py" "$@"; }

# picture KIND...: picture.hevc, patches coded so, without loss and metadata
picture() {
    dovi make 960x360 "$@" |
        ff -f rawvideo -pix_fmt yuv420p10le -s 960x360 -r 25 -i - -c:v libx265 -f hevc \
            -x265-params log-level=none:lossless=1:range=full:bframes=0 picture.hevc
}

# as_mp4 HEVC [PROFILE ID]: asset.mp4, with the configuration of that profile
as_mp4() {
    ff -r 25 -i "$1" -c copy whole.mp4
    if [ $# -gt 1 ]; then
        dovi box "$2" "$3" whole.mp4 >asset.mp4
    else
        mv whole.mp4 asset.mp4
    fi
}

# patched FILE MATRIX SIZE KIND...: these are its pictures, of the same light
patched() {
    local file=$1 matrix=$2 size=$3 at=0
    shift 3
    local bytes=$((${size%x*} * ${size#*x} * 3 / 2))
    "$BIN/rv-decode" --nut --house "$size@25" "$file" |
        ff -f nut -i - -map 0:v -f rawvideo out.yuv
    assert_eq "$(stat -c %s out.yuv)" $((bytes * $#)) "pictures of $file"
    for kind; do
        echo "picture $at: $kind" >&2
        tail -c +$((bytes * at + 1)) out.yuv | dovi check "$size" "$matrix" "$kind"
        at=$((at + 1))
    done
}

# said WHAT FILE
said() {
    "$BIN/rv-decode" --explain --json --house 1280x720@25 "$2" |
        jq -r --arg what "$1" '.lines[] | select(.what == $what).text'
}

@test "its own colours, reshaped in each way, become those of HDR10" {
    local kinds=(plain pieces mmr plain mmr pieces)
    picture "${kinds[@]}"
    dovi rpu "${kinds[@]}" <picture.hevc >dovi.hevc
    # by its RPUs alone, and by what the container says as well
    patched dovi.hevc 601 960x360 "${kinds[@]}"
    as_mp4 dovi.hevc 5 0
    patched asset.mp4 709 1920x720 "${kinds[@]}"
    assert_eq "$(said hdr asset.mp4)" \
        "Dolby Vision profile 5, its own colours with a peak of 1001 cd/m2 to SDR, primaries of BT.2020 to BT.709"
    assert_eq "$(said dynamic asset.mp4)" ""
}

@test "a picture shown after a seek is what it is when all are shown" {
    local kinds=(plain pieces mmr pieces)
    picture "${kinds[@]}"
    dovi rpu "${kinds[@]}" <picture.hevc >dovi.hevc
    as_mp4 dovi.hevc 5 0
    "$BIN/rv-decode" --nut --house 960x360@25 asset.mp4 | ff -f nut -i - -map 0:v \
        -f framemd5 all
    printf '{"segment":"s","asset":"%s","in":"2/25","frames":2}\n' "$PWD/asset.mp4" |
        "$BIN/rv-decode" --nut --house 960x360@25 | ff -f nut -i - -map 0:v -f framemd5 late
    assert_eq "$(grep -v '^#' late | awk '{ print $NF }')" \
        "$(grep -v '^#' all | tail -n 2 | awk '{ print $NF }')"
}

@test "a picture without metadata is taken for one that is not reshaped" {
    picture plain plain pieces
    dovi rpu plain none pieces <picture.hevc >dovi.hevc
    as_mp4 dovi.hevc 5 0
    patched asset.mp4 601 960x360 plain plain pieces
    as_mp4 picture.hevc 10 0
    assert_eq "$(said hdr asset.mp4)" \
        "Dolby Vision profile 10, its own colours (as they are usually: no metadata) with a peak of 1000 cd/m2 to SDR, primaries of BT.2020 to BT.709"
}

@test "damaged metadata are not believed" {
    local kinds=() i
    for ((i = 0; i < 12; i++)); do kinds+=(plain); done
    picture "${kinds[@]}"
    dovi rpu "${kinds[@]}" <picture.hevc >dovi.hevc
    dovi hurt 1 <dovi.hevc >hurt.hevc
    as_mp4 hurt.hevc 5 0
    patched asset.mp4 601 960x360 "${kinds[@]}"
}

@test "metadata that pass their CRC but make no sense harm nobody" {
    local seed
    picture plain pieces mmr
    dovi rpu plain pieces mmr <picture.hevc >dovi.hevc
    for seed in 1 2 3 4 5 6 7 8 9 10; do
        dovi hurt $seed sealed <dovi.hevc >hurt.hevc
        assert_eq "$("$BIN/rv-decode" --nut --house 960x360@25 hurt.hevc |
            ff -f nut -i - -map 0:v -f framemd5 - | grep -vc '^#')" 3
    done
}

@test "a base that is complete without is shown as it is" {
    "$PYTHON" "$ROOT/tests/hdr.py" make pq 960x360 >patches.yuv
    ff -f rawvideo -pix_fmt yuv420p10le -s 960x360 -r 25 -i patches.yuv -c:v libx265 -f hevc \
        -x265-params log-level=none:lossless=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc \
        picture.hevc
    dovi rpu base <picture.hevc >dovi.hevc
    as_mp4 dovi.hevc 8 1
    "$BIN/rv-decode" --nut --house 960x360@25 asset.mp4 |
        ff -f nut -i - -frames:v 1 -f rawvideo out.yuv
    "$PYTHON" "$ROOT/tests/hdr.py" check pq 960x360 601 <out.yuv
    assert_eq "$(said hdr asset.mp4)" \
        "PQ with a peak of 1000 cd/m2 (usual, none is told) to SDR, primaries of BT.2020 to BT.709"
    assert_eq "$(said dynamic asset.mp4)" "Dolby Vision profile 8 left out: shown as without it"
    dovi plus <dovi.hevc >plus.hevc
    as_mp4 plus.hevc 8 1
    assert_eq "$(said dynamic asset.mp4)" \
        "Dolby Vision profile 8 and HDR10+ left out: shown as without them"
    dovi plus <picture.hevc >plus.hevc
    assert_eq "$(said dynamic plus.hevc)" "HDR10+ left out: shown as without it"
}
