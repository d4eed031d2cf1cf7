#!/usr/bin/env bats
# What is said of an asset is what is done to it: its length to the frame, where
# it lies in the picture, how often a picture is shown, where sound begins.

load lib
bats_require_minimum_version 1.5.0

setup() {
    rv_setup
    cd "$BATS_TEST_TMPDIR" || return 1
}

ff() { ffmpeg -nostdin -v error -y "$@"; }

# said WHAT FILE [HOUSE]: the text of that line, nothing where there is none.
said() {
    "$BIN/rv-decode" --explain --json --house "${3:-1280x720@25}" "$2" |
        jq -r --arg what "$1" '.lines[] | select(.what == $what).text'
}

# frames HOUSE FILE: as many as really come out.
frames() {
    "$BIN/rv-decode" --nut --house "$1" "$2" 2>/dev/null |
        ffmpeg -nostdin -v error -f nut -i - -map 0:v -c copy -f framecrc - | grep -vc '^#'
}

# same_length HOUSE FILE...: what is said is what comes out.
same_length() {
    local house=$1 file
    shift
    for file; do
        assert_eq "$("$BIN/rv-decode" --explain --json --house "$house" "$file" |
            jq -r .length.frames)" "$(frames "$house" "$file")" "$file at ${house#*@}"
    done
}

# shorten BYTES-OF-TEN FILE TO: what is left of a file whose copying was cut off.
shorten() {
    head -c $(($(stat -c %s "$2") * $1 / 10)) "$2" >"$3"
}

@test "the length that is said is the length that is played, to the frame" {
    local source
    source=$(make_clip film.mkv --rate 25 --frames 120 --gop 10 --size 160x90 --vcodec libx264)
    ff -i "$source" -c:v copy -c:a aac -movflags faststart whole.mp4
    ff -ss 1.7 -i whole.mp4 -c copy edit.mp4
    ff -i "$source" -c:v copy -c:a aac -movflags frag_keyframe+empty_moov pieces.mp4
    ff -i "$source" -c:v copy -c:a aac whole.ts
    ff -i whole.ts -c copy -output_ts_offset 500 later.ts
    cat whole.ts later.ts >jump.ts
    ff -i "$source" -c:v mpeg2video -bf 2 -g 10 -c:a mp2 whole.mpg
    ff -i "$source" -map 0:v -c copy -f matroska -live 1 - >live.mkv
    ff -i "$source" -vf "select='not(mod(n\,3))+lt(n\,40)'" -vsync vfr -an whole.mkv
    ff -i "$source" -itsoffset 1.5 -i "$source" -map 1:v -map 0:a -c copy late.mkv
    ff -i "$source" -t 2 -map 0:v -c copy two.mkv
    ff -i two.mkv -i "$source" -map 0:v -map 1:a -c copy sound.mkv
    ff -i "$source" -frames:v 1 still.png
    ff -i "$source" -map 0:a -c:a libmp3lame sound.mp3
    shorten 6 whole.mp4 cut.mp4
    shorten 6 "$source" cut.mkv
    shorten 6 whole.ts cut.ts
    same_length 64x36@30000/1001 ./*.mp4 ./*.ts ./*.mpg ./*.mkv ./*.png ./*.mp3
    same_length 64x36@60 whole.mkv edit.mp4 cut.mp4 cut.ts
    # its last picture begins and ends between two frames
    ff -i "$source" -frames:v 116 -an -c:v ffv1 between.mkv
    same_length 64x36@7 whole.mkv whole.mp4 jump.ts between.mkv
    # found in each way
    assert_eq "$("$BIN/rv-decode" --explain --json whole.mp4 whole.ts whole.mpg |
        jq -r .length.by | tr '\n' ' ')" "index packets decoded "
}

@test "damaged files and wrong headers do not change that" {
    local source
    source=$(make_clip film.mkv --rate 25 --frames 120 --gop 10 --size 160x90 --vcodec libx264)
    ff -i "$source" -c:v copy -c:a aac -movflags faststart whole.mp4
    ff -i "$source" -c:v copy -c:a aac whole.ts
    cp "$source" whole.mkv
    "$PYTHON" - whole.mp4 whole.ts whole.mkv <<-'EOF'
	import random, struct, sys
	random.seed(1)
	for name in sys.argv[1:]:
	    data = bytearray(open(name, 'rb').read())
	    for first, last in ((len(data) // 4, len(data)), (len(data) - 9000, len(data))):
	        hurt = bytearray(data)
	        for i in range(20):
	            at = random.randrange(first, last - 40)
	            hurt[at:at + 40] = random.randbytes(40)
	        open('%d-%s' % (last - first, name), 'wb').write(hurt)
	data = bytearray(open('whole.mkv', 'rb').read())
	at = data.index(b'\x44\x89\x88') + 3  # Duration, in ms
	for ms in 1000, 90000:
	    data[at:at + 8] = struct.pack('>d', ms)
	    open('says-%d.mkv' % ms, 'wb').write(data)
	data = bytearray(open('whole.mp4', 'rb').read())
	for box, skip in ((b'mvhd', 20), (b'mdhd', 20), (b'tkhd', 24)):
	    at = -1
	    while (at := data.find(box, at + 1)) >= 0:
	        old, = struct.unpack('>I', data[at + skip:at + skip + 4])
	        data[at + skip:at + skip + 4] = struct.pack('>I', old // 3)
	open('says-less.mp4', 'wb').write(data)
	EOF
    # no picture of the second half can be decoded
    ff -i "$source" -map 0:v -c copy -bsf:v "noise=amount='if(gt(n\,60)\,1\,0)'" half.mkv
    same_length 64x36@25 [0-9]*.m* [0-9]*.ts says-* half.mkv
    assert_eq "$(said container says-90000.mkv)" \
        "Matroska / WebM, says 0:01:30.000, longer than its pictures are"
    PATH=$BIN:$PATH run "$ROOT/examples/pipelines/lying-headers.sh" says-*.mkv whole.mkv
    assert_eq "$status" 0
    assert_eq "$(tr '\t\n' ' ;' <<<"$output")" "says-1000.mkv 1 4.8;says-90000.mkv 90 4.8;"
    # believed when asked to
    assert_eq "$("$BIN/rv-decode" --explain --quick --json says-1000.mkv |
        jq -c '[.length.frames, .length.exact]')" "[30,false]"
}

# white SIZE SAR [DECODED-AS...]: a white picture without sound in white.nut
white() {
    ff -f lavfi -i "color=white:s=$1:r=25,setsar=${2/:/\/}" -frames:v 3 -pix_fmt yuv444p \
        -c:v ffv1 white.nut
}

@test "bars lie where it says" {
    local shape
    for shape in 720x576:16:15 720x480:32:27 161x121:1:1 1000x50:1:1 480x640:1:1; do
        white "${shape%%:*}" "${shape#*:}"
        assert_eq "$("$BIN/rv-decode" --explain --json --house 640x360@25 white.nut |
            jq -r '.picture.at | "\(.[2])x\(.[3])+\(.[0])+\(.[1])"')" \
            "$("$BIN/rv-decode" --nut --house 640x360@25 white.nut |
                ffmpeg -nostdin -v error -f nut -i - -frames:v 1 -vf extractplanes=y \
                    -f rawvideo - | "$PYTHON" "$ROOT/tests/shape.py" find 640x360)" "$shape"
    done
    white 720x576 16:15
    assert_eq "$(said scale white.nut)" "720x576 to 960x720, black bars of 160 left and right"
    ff -f lavfi -i color=white:s=320x180:r=25:d=0.2 -c:v mpeg4 flat.mp4
    ff -i flat.mp4 -c copy -metadata:s:v rotate=90 turned.mp4
    assert_eq "$(said turn turned.mp4)" "turned by 90 degrees counterclockwise"
    assert_eq "$(said scale turned.mp4 320x320@25)" \
        "320x180 to 180x320, black bars of 70 left and right"
}

# shown FILE HOUSE: how many pictures come out, how many of them are different.
shown() {
    "$BIN/rv-decode" --nut --house "$2" "$1" |
        ffmpeg -nostdin -v error -f nut -i - -map 0:v -f framemd5 - |
        awk '!/^#/ { n++; if (!($NF in seen)) { seen[$NF]; d++ } } END { print n, d }'
}

@test "as many pictures are shown as it says" {
    ff -f lavfi -i testsrc2=s=160x96:r=24 -frames:v 48 -c:v ffv1 film.mkv
    assert_eq "$(said rate film.mkv 160x96@30)" "24 to 30: 4 pictures fill 5 frames"
    assert_eq "$(shown film.mkv 160x96@30)" "60 48"
    assert_eq "$(said rate film.mkv 160x96@48)" "24 to 48: each picture 2 times"
    assert_eq "$(shown film.mkv 160x96@48)" "96 48"
    assert_eq "$(said rate film.mkv 160x96@18)" "24 to 18: 3 of 4 pictures are shown"
    assert_eq "$(shown film.mkv 160x96@18)" "36 36"
    # each of 50 fields, in two orders
    ff -f lavfi -i testsrc2=s=160x96:r=50 -frames:v 25 -vf interlace=scan=bff -c:v libx264 \
        -flags +ilme+ildct -x264-params bff=1 fields.mkv
    assert_eq "$(said fields fields.mkv)" "deinterlaced, bottom field first"
    assert_eq "$(said rate fields.mkv 160x96@50)" "25 to 50: each field once"
    assert_eq "$(shown fields.mkv 160x96@50)" "50 50"
    # 2:3 pulldown: the film's rate, each picture once
    ff -f lavfi -i testsrc2=s=320x192:r=24000/1001 -frames:v 48 -c:v mpeg2video -bf 0 -f mpeg2video - |
        "$PYTHON" "$ROOT/tests/pulldown.py" >down.m2v
    ff -fflags +genpts -f mpegvideo -framerate 30000/1001 -i down.m2v -c copy down.ts
    assert_eq "$(said pulldown down.ts)" "2:3 pulldown by flags: shown as the film it is"
    assert_eq "$(said rate down.ts 320x192@24000/1001)" ""
    assert_eq "$(shown down.ts 320x192@24000/1001)" "48 48"
    assert_eq "$(said rate down.ts 320x192@30000/1001)" \
        "24000/1001 to 30000/1001: 4 pictures fill 5 frames"
}

@test "colours are told where they are changed, and only there" {
    ff -f lavfi -i testsrc2=s=1280x720:r=25 -frames:v 2 -pix_fmt yuv420p -c:v ffv1 \
        -colorspace bt709 plain.mkv
    assert_eq "$("$BIN/rv-decode" --explain --json --house 1280x720@25 plain.mkv |
        jq -c '[.lines[].what]')" '["length","container","picture","silence","captions"]'
    ff -f lavfi -i testsrc2=s=1280x720:r=25 -frames:v 2 -pix_fmt yuva444p10le -c:v ffv1 \
        -color_range pc -colorspace smpte170m deep.mkv
    assert_eq "$(said format deep.mkv)" "10 bits to 8, 4:4:4 to 4:2:0, full range to limited"
    assert_eq "$(said matrix deep.mkv)" "BT.601 to BT.709"
    assert_eq "$(said alpha deep.mkv)" "transparent, shown over black"
    ff -f lavfi -i testsrc2=s=320x180:r=25 -frames:v 2 -pix_fmt yuv420p10le -c:v libx265 \
        -x265-params log-level=none:hdr10=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:max-cll=600,200 \
        pq.mp4
    assert_eq "$(said hdr pq.mp4)" \
        "PQ with a peak of 600 cd/m2 (told) to SDR, primaries of BT.2020 to BT.709"
}

# heard FILE: milliseconds of silence before, and of sound.
heard() {
    "$BIN/rv-decode" --nut --house 64x36@25 "$1" |
        ffmpeg -nostdin -v error -f nut -i - -map 0:a -ac 1 -f s16le - |
        "$PYTHON" -c '
import array, sys
data = array.array("h", sys.stdin.buffer.read())
loud = [i for i, v in enumerate(data) if abs(v) > 300]
print(loud[0] // 48, (loud[-1] - loud[0]) // 48)'
}

@test "sound begins, ends and is chosen as it says" {
    ff -f lavfi -i testsrc2=s=64x36:r=25:d=4 -c:v ffv1 still.mkv
    ff -f lavfi -i sine=d=2:f=500:r=44100,volume=12dB -c:a pcm_s16le two.wav
    ff -i still.mkv -itsoffset 0.5 -i two.wav -map 0 -map 1 -c copy -metadata:s:a language=deu late.mkv
    assert_eq "$(said late late.mkv)" "sound begins 0.500 s behind the first picture: silence"
    assert_eq "$(said short late.mkv)" "sound ends 1.500 s before the pictures: silence"
    assert_eq "$(said mix late.mkv)" "mono to stereo"
    assert_eq "$(said resample late.mkv)" "44100 to 48000 Hz"
    assert_contains "$(heard late.mkv)" "500 1999"
    ff -t 1.6 -i still.mkv -i two.wav -map 0 -map 1 -c copy long.mkv
    assert_eq "$(said cut long.mkv)" "0.400 s of sound behind the last picture are cut"
    assert_eq "$(heard long.mkv)" "0 1599"
    ff -i still.mkv -i two.wav -i two.wav -map 0 -map 1 -map 2 -c:v copy -c:a:0 pcm_s16le \
        -c:a:1 flac -metadata:s:a:0 language=deu -metadata:s:a:1 language=fra both.mkv
    printf '{"version":1,"segments":[{"asset":"both.mkv","audio":["de"]},
{"asset":"both.mkv","audio":["fr"]},{"asset":"both.mkv","audio":["fr"],"gain_db":3,"fade_in":1}]}' >day.json
    run "$BIN/rv-plan" check --explain day.json
    assert_contains "$output" "pcm_s16le, mono, 44100 Hz, track 1 of 2 (deu), wanted: de"
    assert_contains "$output" "flac, mono, 44100 Hz, track 2 of 2 (fra), wanted: fr"
    assert_contains "$output" "segment    #3, gain +3 dB before the limiter, fade in 1 s"
}

@test "captions are told, wherever they begin" {
    assert_eq "$(said captions "$(make_clip cc.ts --frames 50 --size 160x90 --captions)")" \
        "A/53 captions, passed on"
    # in the middle of what is not decoded
    ff -f lavfi -i testsrc2=s=160x90:r=30000/1001:d=4 -c:v libx264 -g 10 before.mkv
    ff -i "$(make_clip cc.ts --frames 50 --size 160x90 --captions)" -map 0:v -c copy behind.mkv
    printf 'file %s\n' before.mkv behind.mkv before.mkv >parts
    ff -f concat -i parts -c copy whole.mkv
    assert_eq "$(said captions whole.mkv)" "A/53 captions, passed on"
    assert_eq "$(said captions before.mkv)" "none seen"
    assert_contains "$(said length whole.mkv)" "by all its packets"
}

@test "what cannot be played is one sentence and a status, the others are explained" {
    ff -f lavfi -i testsrc2=s=160x90:r=25:d=1 -c:v ffv1 good.mkv
    echo "no film" >text.mkv
    run --separate-stderr "$BIN/rv-decode" --explain missing.mkv
    assert_eq "$status" 1
    assert_contains "$stderr" "missing.mkv: cannot be opened (No such file or directory)"
    run --separate-stderr "$BIN/rv-decode" --explain --json text.mkv good.mkv missing.mkv
    assert_eq "$status" 1
    assert_eq "$(jq -c '[.file, .length.frames, has("error")]' <<<"$output" | tr '\n' ' ')" \
        '["text.mkv",null,true] ["good.mkv",30,false] ["missing.mkv",null,true] '
    assert_contains "$stderr" "2 of 3 files cannot be played, first: asset $PWD/text.mkv"
    run "$BIN/rv-decode" --explain - <good.mkv
    assert_eq "$status" 0
    assert_contains "${lines[1]}" "length     0:00:01.000, 30 frames"
    run "$BIN/rv-decode" --explain --json - < <(cat good.mkv)
    assert_eq "$(jq -c '[.length.frames, .length.by]' <<<"$output")" '[30,"decoded"]'
    run "$BIN/rv-decode" --explain - </dev/null
    assert_eq "$status" 1
    run "$BIN/rv-decode" --explain http://127.0.0.1:9/a.mp4
    assert_eq "$status" 3
    run "$BIN/rv-decode" --explain
    assert_eq "$status" 2
    run "$BIN/rv-decode" --explain --nut good.mkv
    assert_eq "$status" 2
    assert_empty "$RUN"
}

@test "a signal ends it in the middle of a file" {
    mkfifo pipe
    exec 5<>pipe
    # more than a pipe holds, so who has written it knows that it is read
    ff -f lavfi -i testsrc2=s=320x180:r=25:d=2 -c:v rawvideo -f nut - >head.nut
    spawn explain bash -c "exec '$BIN/rv-decode' --explain - <pipe"
    timeout 20 cat head.nut >&5
    kill -TERM "$PID"
    local ended=0
    status_within "$PID" 5 || ended=$?
    assert_eq "$ended" 1
    exec 5>&-
    assert_eq "$(cat explain.err)" "rv-decode: ended before all was explained"
}

@test "check tells of each asset before the problems, and of a server's what it says" {
    ff -f lavfi -i testsrc2=s=160x90:r=25:d=2 -c:v ffv1 good.mkv
    printf '{"version":1,"mood":"x","segments":[{"asset":"good.mkv","duration":4},
{"asset":"good.mkv"},{"asset":"none.mkv"}]}' >day.json
    run --separate-stderr "$BIN/rv-plan" check day.json
    assert_eq "$status ${#lines[@]}" "1 4"
    assert_contains "${lines[0]}" "good.mkv                      0:00:02.000      60f  160x90 to 1280x720, 25 to 29.97"
    assert_contains "${lines[1]}" "day.json:1: mood: warning"
    run --separate-stderr "$BIN/rv-plan" check --json day.json
    assert_eq "$(jq -sc 'map(.level)' <<<"$output")" '["info","warning","warning","error"]'
    assert_eq "$(jq -sc '.[0] | [.line, .field, .segments, .explain.length.frames]' <<<"$output")" \
        '[1,"segments[0].asset",[0,1],60]'
}
