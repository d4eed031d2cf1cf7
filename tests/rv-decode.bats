#!/usr/bin/env bats
# rv-decode: which picture and which sound is on screen when, to the frame.
#
# Clips carry their own frame numbers (rv-mkmedia); what comes out is read as
# NUT, and from the pool by unit tests.

load lib
bats_require_minimum_version 1.5.0

setup() {
    rv_setup
    OUT=$BATS_TEST_TMPDIR/out.nut
    SUM=$BATS_TEST_TMPDIR/sum.json
}

H=320x180 # of all clips here: nothing is scaled unless a test says so

# decode FILE-OR-OPTION...: NUT into $OUT, its summary into $SUM.
decode() {
    "$BIN/rv-decode" --nut --run-dir "$RUN" "$@" >"$OUT"
    "$TOOLS/rv-readmarks" --summary "$OUT" >"$SUM"
}

# line ASSET IN FRAMES [MEMBERS]: a segment line.
line() {
    printf '{"segment":"s","asset":"%s","in":"%s","frames":%s%s}\n' \
        "$1" "$2" "$3" "${4:+,$4}"
}

sum() { jq -r "$1" "$SUM"; }

# numbers FILE: the frame numbers of its pictures, "-" for none.
numbers() {
    "$TOOLS/rv-readmarks" --json "$1" |
        jq -r 'select(.type == "v") | .frame // "-"' | tr '\n' ' '
}

# on_screen COUNT ASSET_RATE HOUSE_RATE: what should be shown, in exact numbers.
on_screen() {
    "$PYTHON" - "$@" <<'PY'
import sys
from fractions import Fraction as F
n, asset, house = int(sys.argv[1]), F(sys.argv[2]), F(sys.argv[3])
length = (n / asset * house + F(1, 2)).__floor__()
print(*[min((r * asset / house).__floor__(), n - 1) for r in range(length)], end=' ')
PY
}

# exact: sound at its pictures, none missing, no jump.
exact() {
    assert_le "$(sum .av.max_abs_ms)" "${1:-0.03}" "A/V offset"
    assert_eq "$(sum .av.missing)" 0 bursts
    assert_eq "$(sum .sound_jumps)" 0 jumps
    assert_eq "$(sum .gaps)" 0 gaps
    assert_eq "$(sum .pts_constant)" true
}

@test "at its own rate each frame of an asset is shown exactly once" {
    local rate ext
    for rate in 24000/1001 25 30000/1001 50 60000/1001; do
        for ext in mkv mp4 ts; do
            decode --house $H@$rate "$(make_clip "o.$ext" --frames 90 \
                --rate $rate --bframes 3 --gop 48)"
            assert_eq "$(sum .runs)" 1:0-89 "$rate in $ext"
            exact 1
        done
    done
}

@test "at another rate it is the picture on screen at each frame's moment" {
    local asset house ext
    for asset in 24000/1001 25 30000/1001 50; do
        for house in 25 30000/1001 50 60000/1001; do
            for ext in mkv mp4 ts; do
                decode --house $H@$house "$(make_clip "c.$ext" --frames 75 \
                    --rate $asset --bframes 2)"
                assert_eq "$(numbers "$OUT")" "$(on_screen 75 $asset $house)" \
                    "$asset to $house in $ext"
            done
        done
    done
}

@test "in cuts to the frame anywhere in a group of pictures" {
    local ext n path
    for ext in mkv mp4 ts nut; do
        path=$(make_clip "in.$ext" --frames 300 --bframes 3 --gop 100)
        for n in 1 47 99 100 101 150 198 251 290; do
            line "$path" $((n * 1001))/30000 8 |
                decode --house $H@30000/1001
            assert_eq "$(sum .runs)" "1:$n-$((n + 7))" "$ext from $n"
            assert_eq "$(sum .gaps)" 0 "$ext from $n"
        done
    done
}

@test "the first frame after in is the one on screen, not the next" {
    local path
    path=$(make_clip in.mp4 --frames 300 --bframes 3 --gop 100)
    # frame 100 is on screen from 3.33667 s to 3.37003 s
    line "$path" 337/100 3 | decode --house $H@30000/1001
    assert_eq "$(sum .runs)" 1:100-102
    line "$path" 33/10 3 | decode --house $H@30000/1001
    assert_eq "$(sum .runs)" 1:98-100
}

@test "sound begins at its picture wherever the cut is, within a millisecond" {
    local ext n path
    for ext in mov mkv ts mp4; do
        path=$(make_clip "av.$ext" --frames 300 --bframes 2 --gop 50)
        for n in 5 50 135 201; do
            line "$path" $((n * 1001))/30000 60 |
                decode --house $H@30000/1001
            exact 1
        done
    done
}

@test "in PCM sound is exact to the sample" {
    local n path
    path=$(make_clip pcm.mov --frames 200 --gop 50)
    for n in 0 5 133; do
        line "$path" $((n * 1001))/30000 40 | decode --house $H@30000/1001
        exact 0.03
    done
}

@test "44.1 kHz mono becomes 48 kHz stereo in its place" {
    decode --house $H@25 "$(make_clip mono.mov --frames 100 --rate 25 \
        --sample-rate 44100 --channels 1)"
    exact 0.1
    assert_eq "$(sum .samples)" 192000
    assert_eq "$(sum .channels)" 2
}

@test "skip joins in progress: the frames before are not shown" {
    local path
    path=$(make_clip in.mp4 --frames 300 --bframes 3 --gop 100)
    line "$path" 0/1 20 '"skip":12,"first":1000' |
        decode --house $H@30000/1001
    assert_eq "$(sum .runs)" 1:12-19
    assert_eq "$(sum .pts_first)" $((12 * 3003))
}

@test "an asset that ends early is held 250 ms, then pad decides" {
    local path
    path=$(make_clip short.mkv --frames 20 --rate 25)
    line "$path" 0/1 40 '"pad":"hold"' | decode --house $H@25
    assert_eq "$(sum .runs)" '1:0-18 1:19*21'
    line "$path" 0/1 40 '"pad":"black"' | decode --house $H@25
    assert_eq "$(sum .runs)" '1:0-18 1:19*7 -*14'
    line "$path" 0/1 40 '"pad":"slate"' | decode --house $H@25
    assert_eq "$(sum .runs)" '1:0-18 1:19*7 -*14'
    assert_eq "$(sum .samples)" 76800
    # what follows comes right behind its last picture
    {
        line "$path" 0/1 40 '"pad":"none"'
        line "$path" 3/25 5
    } | decode --house $H@25
    assert_eq "$(sum .runs)" '1:0-19 1:3-7'
}

@test "filler begins again, from in, with sound in its place" {
    local path
    path=$(make_clip loop.mov --frames 50 --rate 25 --gop 25)
    line "$path" 20/25 100 '"type":"filler"' | decode --house $H@25
    assert_eq "$(sum .runs)" '1:20-49 1:20-49 1:20-49 1:20-29'
    assert_eq "$(sum .gaps)" 0
    assert_le "$(sum .av.max_abs_ms)" 0.03
    # joined in its third round
    line "$path" 20/25 100 '"type":"filler","skip":70' | decode --house $H@25
    assert_eq "$(sum .runs)" '1:30-49 1:20-29'
}

@test "segments follow each other without a hole, each exact" {
    local a b
    a=$(make_clip one.mkv --frames 61 --clip 1 --bframes 2)
    b=$(make_clip two.mp4 --frames 47 --clip 2 --rate 25)
    decode --house $H@30000/1001 "$a" "$b" "$a"
    assert_eq "$(sum '.clips | map("\(.clip):\(.pictures)") | join(" ")')" \
        '1:61 2:56 1:61'
    assert_eq "$(sum .pts_constant)" true
    assert_eq "$(sum .samples)" "$(((61 + 56 + 61) * 48000 * 1001 / 30000))"
}

@test "first leaves a gap, pad is black, slate is left to the stage" {
    local path
    path=$(make_clip one.mkv --frames 61 --clip 1 --bframes 2)
    {
        line "$path" 0/1 10 '"first":500'
        line "$path" 0/1 10 '"first":515'
        echo '{"segment":"p","type":"pad","frames":6}'
        echo '{"segment":"q","type":"slate","frames":4}'
        line "$path" 0/1 3
    } | decode --house $H@30000/1001
    assert_eq "$(sum .runs)" '1:0-9 -*5 1:0-9 -*10 1:0-2'
}

@test "what cannot be opened leaves its time, the rest plays, status 1" {
    local path why
    path=$(make_clip one.mkv --frames 61 --clip 1 --bframes 2)
    why=$BATS_TEST_TMPDIR/why
    run -1 bash -c "'$BIN/rv-decode' --nut --house $H@25 '$path' /nowhere/x.mp4 \
        '$path' 2>'$why' >'$BATS_TEST_TMPDIR/o.nut'"
    assert_contains "$(cat "$why")" "asset /nowhere/x.mp4: cannot be opened"
    run -0 marks "$BATS_TEST_TMPDIR/o.nut" .runs
    assert_contains "$output" ' -*25 '
}

@test "a file that is no media is one sentence that names it" {
    local file
    : >"$BATS_TEST_TMPDIR/empty.mp4"
    printf 'hello\n' >"$BATS_TEST_TMPDIR/text.mkv"
    head -c 3000 "$(make_clip short.mkv --frames 20 --rate 25)" |
        tail -c 2900 >"$BATS_TEST_TMPDIR/half.mkv"
    for file in empty.mp4 text.mkv half.mkv; do
        run -1 bash -c "'$BIN/rv-decode' --nut '$BATS_TEST_TMPDIR/$file' 2>&1 >/dev/null"
        assert_eq "${#lines[@]}" 1 "lines about $file"
        assert_contains "$output" "asset $BATS_TEST_TMPDIR/$file: not a media file"
    done
}

@test "a damaged file plays on, and what is whole is exact" {
    local path=$BATS_TEST_TMPDIR/damaged.ts
    cp "$(make_clip whole.ts --frames 200 --bframes 2 --gop 25)" "$path"
    chmod u+w "$path"
    dd if=/dev/urandom of="$path" bs=188 seek=300 count=20 conv=notrunc status=none
    decode --house $H@30000/1001 "$path"
    [ "$(sum .pictures)" -ge 195 ]
    [ "$(sum .marked)" -ge 150 ]
    assert_eq "$(numbers "$OUT" | tr ' ' '\n' | tail -20 | tr '\n' ' ')" \
        "$(seq 180 199 | tr '\n' ' ')"
}

@test "a spliced recording plays through, its sound at its pictures" {
    local x y far=$BATS_TEST_TMPDIR/far.ts all=$BATS_TEST_TMPDIR/all.ts
    x=$(make_clip x.ts --frames 90 --clip 3 --bframes 2)
    y=$(make_clip y.ts --frames 90 --clip 4 --bframes 2)
    ffmpeg -nostdin -v error -i "$y" -c copy -copyts -output_ts_offset 1000 \
        -f mpegts "$far"
    cat "$x" "$far" "$y" "$x" >"$all"
    decode --house $H@30000/1001 "$all"
    assert_eq "$(sum .runs)" '3:0-89 4:0-89 4:0-89 3:0-89'
    assert_le "$(sum .av.max_abs_ms)" 1
    assert_eq "$(sum .sound_jumps)" 0
}

@test "in behind the end is said, not shown as something else" {
    line "$(make_clip one.mkv --frames 61 --clip 1 --bframes 2)" 5/1 10 \
        >"$BATS_TEST_TMPDIR/line"
    run -1 bash -c "'$BIN/rv-decode' --nut --house $H@25 2>&1 >/dev/null \
        <'$BATS_TEST_TMPDIR/line'"
    assert_contains "$output" "ends before 5.000 s"
}

@test "standard input is read as media, seekable or not, NUT too" {
    local path
    path=$(make_clip one.mkv --frames 61 --clip 1 --bframes 2)
    decode --house $H@30000/1001 - <"$path"
    assert_eq "$(sum .runs)" 1:0-60
    "$BIN/rv-decode" --nut --house $H@30000/1001 "$path" |
        decode --house $H@30000/1001 -
    assert_eq "$(sum .runs)" 1:0-60
    exact 0.03
}

@test "sound without pictures is black with its length" {
    decode --house $H@25 "$(make_clip s.mkv --no-video --frames 50 --rate 25)"
    assert_eq "$(sum .runs)" '-*50'
    assert_eq "$(sum .samples)" 96000
}

@test "pictures without sound have silence of their length" {
    decode --house $H@25 "$(make_clip n.mkv --no-audio --frames 50 --rate 25)"
    assert_eq "$(sum .runs)" 1:0-49
    assert_eq "$(sum .samples)" 96000
}

@test "display aspect and rotation are kept inside black bars" {
    ffmpeg -nostdin -v error -f lavfi -i color=white:s=320x240:r=25:d=0.2 \
        -vf setsar=1 -c:v ffv1 "$BATS_TEST_TMPDIR/43.mkv"
    decode --house 640x360@25 "$BATS_TEST_TMPDIR/43.mkv"
    # 480x360 in the middle: 80 black columns on both sides
    run -0 bash -c "ffmpeg -nostdin -v error -i '$OUT' -frames:v 1 \
        -pix_fmt gray -f rawvideo - 2>/dev/null | od -An -v -tu1 -w640 -j $((640 * 180)) -N 640 |
        tr -s ' ' '\n' | sed 1d | uniq -c | awk '{ print \$1 \":\" (\$2 > 100) }' |
        awk -F: '{ n[\$2] += \$1 } END { print n[0], n[1] }'"
    assert_eq "$output" "160 480"
}

@test "sound is that of the wanted language, else the first" {
    local f=$BATS_TEST_TMPDIR/two.mkv
    ffmpeg -nostdin -v error -f lavfi -i color=gray:s=$H:r=25:d=1 \
        -f lavfi -i aevalsrc=0.05:d=1:s=48000 -f lavfi -i aevalsrc=0.4:d=1:s=48000 \
        -map 0 -map 1 -map 2 -metadata:s:a:0 language=eng \
        -metadata:s:a:1 language=ger -c:v ffv1 -c:a pcm_s16le "$f"
    loud() {
        ffmpeg -nostdin -v info -i "$OUT" -af astats=measure_perchannel=none \
            -f null - 2>&1 | sed -n 's/.*Max level: //p' | cut -d. -f1
    }
    line "$f" 0/1 25 '"audio":["fr","de"]' | decode --house $H@25
    [ "$(loud)" -gt 9000 ]
    line "$f" 0/1 25 | decode --house $H@25
    [ "$(loud)" -lt 2000 ]
}

# level RAW-NUT FRAME: mean luma of a picture.
level() {
    ffmpeg -nostdin -v error -i "$OUT" -vf "select=eq(n\\,$1)" -frames:v 1 \
        -f rawvideo - 2>/dev/null | od -An -v -tu1 -N $((320 * 180)) |
        awk '{ for (i = 1; i <= NF; i++) { s += $i; n++ } } END { print int(s / n + .5) }'
}

@test "fades go from black to the picture and back, gain is in decibels" {
    local f=$BATS_TEST_TMPDIR/white.mkv
    ffmpeg -nostdin -v error -f lavfi -i color=white:s=$H:r=25:d=2 \
        -f lavfi -i aevalsrc=0.5:d=2:s=48000 -c:v ffv1 -c:a pcm_s16le "$f"
    line "$f" 0/1 50 '"fade_in":"1/1","fade_out":"2/5"' | decode --house $H@25
    assert_eq "$(level 0)" 16 "first"
    assert_eq "$(level 30)" 235 "middle"
    assert_le "$(level 12)" 127 "half"
    assert_le 114 "$(level 12)" "half"
    assert_le "$(level 49)" 40 "last"
    # without a length the fade out ends where the asset ends
    line "$f" 0/1 null '"fade_out":"2/5"' | decode --house $H@25
    assert_eq "$(sum .pictures)" 50
    assert_eq "$(level 35)" 235
    assert_le "$(level 49)" 40
    line "$f" 0/1 50 '"gain_db":-6.0206' | decode --house $H@25
    run -0 bash -c "ffmpeg -nostdin -v info -i '$OUT' -af astats=measure_perchannel=none \
        -f null - 2>&1 | sed -n 's/.*Max level: //p' | cut -d. -f1"
    # 0.5 of full scale, mono into both of two channels (-3 dB each), halved
    assert_le 5791 "$output"
    assert_le "$output" 5795
}

@test "full range and the matrix of another size come out right" {
    # RGB 200,50,50 is 97,106,194 in BT.601 and 86,113,194 in BT.709
    local f
    middle() {
        ffmpeg -nostdin -v error -i "$OUT" -frames:v 1 -f rawvideo - 2>/dev/null |
            "$PYTHON" -c '
import sys
w, h = int(sys.argv[1]), int(sys.argv[2])
d = sys.stdin.buffer.read()
c = w * h
print(d[h // 2 * w + w // 2], d[c + h // 4 * (w // 2) + w // 4],
      d[c + c // 4 + h // 4 * (w // 2) + w // 4])' "$@"
    }
    f=$BATS_TEST_TMPDIR/full.mkv
    ffmpeg -nostdin -v error -f lavfi -i color=0xC83232:s=640x480:r=25:d=0.2 \
        -vf scale=out_range=pc:out_color_matrix=bt601,format=yuvj420p \
        -c:v mjpeg -q:v 1 "$f"
    decode --house 640x480@25 "$f"
    assert_eq "$(middle 640 480)" "97 106 194"
    decode --house 1280x720@25 "$f"
    assert_eq "$(middle 1280 720)" "86 113 194"
}

@test "interlaced pictures come out without combs" {
    decode --house $H@25 "$(make_clip i.ts --frames 50 --rate 25 \
        --vcodec mpeg2video --interlaced)"
    assert_eq "$(sum .runs)" 1:0-49
}

# Frames at the asset's own rate (variable: at a rate that shows them all).
@test "odd real files have the right number of frames" {
    local folder=${RV_ODD_MEDIA:-} name rate frames
    [ -n "$folder" ] || skip "RV_ODD_MEDIA names no folder of real files"
    while read -r name rate frames; do
        [ -e "$folder/$name" ] || continue
        decode --house 160x90@"$rate" "$folder/$name"
        assert_eq "$(sum .pictures)" "$frames" "$name"
        assert_eq "$(sum .pts_constant)" true "$name"
    done <<-LIST
	17_ts_pts_rollover_33bit.ts 24 432
	18_ts_608_multichannel.ts 30000/1001 181
	19_ts_multi_sps_size_change.ts 15 146
	23_iphone_hevc_dolbyvision_rot_elst.mp4 30000/1001 77
	25_vfr_cursed_3026x1386.mp4 25 218
	26_mov_neg_edit_vfr_slides.mov 25 261
	29_nasa_2video_2audio_sub.mp4 25 325
	30_prores_4795fps_sar16-15.mov 48000/1001 40
	32_theora_15fps_400x300.ogv 15 443
	33_mediarecorder_no_duration.webm 15000/1001 74
	35_vp9_odd_161x121.webm 2997/100 30
	36_av1_10bit_portrait_hdr10.mp4 30000/1001 127
	LIST
}

@test "odd real files can be cut into anywhere, with the same picture as played" {
    local folder=${RV_ODD_MEDIA:-} name whole cut
    [ -n "$folder" ] || skip "RV_ODD_MEDIA names no folder of real files"
    for name in "$folder"/{17,18,26,29,30,33,35}_*; do
        [ -e "$name" ] || continue
        "$BIN/rv-decode" --nut --house 160x90@10 "$name" |
            ffmpeg -nostdin -v error -f nut -i - -map 0:v -f framemd5 - |
            awk '!/^#/ { print $NF }' >"$BATS_TEST_TMPDIR/whole"
        line "$name" 7/10 5 |
            "$BIN/rv-decode" --nut --house 160x90@10 |
            ffmpeg -nostdin -v error -f nut -i - -map 0:v -f framemd5 - |
            awk '!/^#/ { print $NF }' >"$BATS_TEST_TMPDIR/cut"
        whole=$(sed -n '8,12p' "$BATS_TEST_TMPDIR/whole" | tr '\n' ' ')
        cut=$(head -5 "$BATS_TEST_TMPDIR/cut" | tr '\n' ' ')
        # a file of less than a second is held
        [ "$(wc -l <"$BATS_TEST_TMPDIR/whole")" -lt 12 ] && continue
        assert_eq "$cut" "$whole" "$name"
    done
}

@test "an option that is wrong is said with status 2" {
    run -2 "$BIN/rv-decode" --house 17 x
    assert_contains "$output" "--house"
    run -2 "$BIN/rv-decode" --threads 99 x
    run -2 "$BIN/rv-decode" --nut --pool /dev/shm/x x
}

@test "a bad line is named by its number, the others play" {
    local path
    path=$(make_clip short.mkv --frames 20 --rate 25)
    run -1 bash -c "{ printf 'nonsense\n'; printf '%s\n' \
        '{\"segment\":\"s\",\"asset\":\"$path\",\"frames\":5}'; } |
        '$BIN/rv-decode' --nut --house $H@25 2>&1 >'$BATS_TEST_TMPDIR/o.nut'"
    assert_contains "$output" "standard input: line 1"
    run -0 marks "$BATS_TEST_TMPDIR/o.nut" .runs
    assert_contains "$output" "1:0-4"
}

@test "a pool is announced in one inputs line; SIGTERM takes it away" {
    spawn d "$BIN/rv-decode" --run-dir "$RUN" --house $H@25 \
        "$(make_clip long.mkv --frames 400 --rate 25)"
    wait_until '[ -s "$BATS_TEST_TMPDIR/d.out" ]' 5
    local pool
    pool=$(jq -r '.inputs[0].pool' "$BATS_TEST_TMPDIR/d.out")
    assert_eq "$(jq -c '[.serial, .end, .inputs[0].reason]' "$BATS_TEST_TMPDIR/d.out")" \
        '[1,true,"plan"]'
    [ -f "$pool" ]
    kill "$PID"
    status_within "$PID" 3
    [ ! -e "$pool" ]
}

@test "a relative --pool is told as an absolute path" {
    cd "$RUN"
    "$BIN/rv-decode" --pool here --house $H@25 \
        "$(make_clip short.mkv --frames 20 --rate 25)" >"$BATS_TEST_TMPDIR/line"
    assert_eq "$(jq -r '.inputs[0].pool' "$BATS_TEST_TMPDIR/line")" "$RUN/here"
    [ -f "$RUN/here" ]
    run -2 "$BIN/rv-decode" --pool "" x
}

@test "in service a pool is there even when the asset is not, and it is counted" {
    local pool=$RUN/7/pool-1
    mkdir -p "$RUN/7"
    run -1 bash -c "printf '%s\n' '{\"segment\":\"s\",\"asset\":\"/nowhere.mp4\",\"frames\":50}' |
        '$BIN/rv-decode' --run-dir '$RUN' --channel 7 --pool '$pool'"
    [ -f "$pool" ]
    [ -f "$RUN/7/stats" ]
    assert_contains "$output" "asset /nowhere.mp4"
}

@test "a waiting worker plays its one line and exits" {
    local path pool=$RUN/7/pool-2
    mkdir -p "$RUN/7"
    path=$(make_clip short.mkv --frames 20 --rate 25)
    mkfifo "$BATS_TEST_TMPDIR/in"
    "$BIN/rv-decode" --run-dir "$RUN" --channel 7 --pool "$pool" \
        --house $H@25 <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/w.out" 3>&- &
    local pid=$!
    exec 5>"$BATS_TEST_TMPDIR/in"
    line "$path" 0/1 20 >&5
    status_within "$pid" 5
    exec 5>&-
    assert_contains "$(cat "$BATS_TEST_TMPDIR/w.out")" "$pool"
}

@test "one that opens for a director that has ended does not stay" {
    local path pool=$RUN/7/pool-3
    mkdir -p "$RUN/7"
    path=$(make_clip long.mkv --frames 200 --rate 25)
    mkfifo "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
    "$BIN/rv-decode" --run-dir "$RUN" --channel 7 --pool "$pool" --house $H@25 \
        <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
    local pid=$!
    exec 5>"$BATS_TEST_TMPDIR/in" 6<"$BATS_TEST_TMPDIR/out"
    exec 6<&-
    line "$path" 0/1 200 >&5
    exec 5>&-
    local status=0
    status_within "$pid" 5 || status=$?
    assert_eq "$status" 1 "exit status"
    assert_contains "$(<"$BATS_TEST_TMPDIR/err")" "a director that has ended"
}
