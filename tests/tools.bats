#!/usr/bin/env bats
# The helpers of the tests: what they write is what they read, and what is
# wrong is seen.  Every other test leans on this one.

load lib

# read_back FILE RUNS: numbers, timestamps and sound are all in place.
read_back() {
    "$TOOLS/rv-readmarks" --summary --check "$2" "$1" >"$BATS_TEST_TMPDIR/s.json"
    jq -e '.gaps == 0 and .sound_jumps == 0 and .decode_errors == 0 and
           .av.missing == 0 and .pts_constant' "$BATS_TEST_TMPDIR/s.json"
}

@test "what is written is read back in each container" {
    local name
    for name in a.mkv a.mov a.mp4 a.ts a.nut; do
        read_back "$(make_clip "$name" --frames 60 --clip 7)" 7:0-59
    done
    read_back "$(make_clip a.mpg --frames 60 --clip 9 --size 352x288 --rate 25)" 9:0-59
    # its last picture has no timestamp
    read_back "$(make_clip b.mpg --frames 60 --clip 2)" 2:0-59
}

@test "in PCM each burst starts at its sample" {
    local path
    path=$(make_clip exact.mov --frames 100)
    assert_le "$(marks "$path" .av.max_abs_ms)" 0.021
}

@test "numbers survive another size, letter boxes and hard coding" {
    local path
    path=$(make_clip hard.mov --frames 60 --size 720x576 --rate 25 --clip 200 --start 70000)
    ffmpeg -v error -nostdin -i "$path" -vf scale=450:360,pad=640:360:95:0 \
        -c:v libx264 -crf 28 -c:a aac "$BATS_TEST_TMPDIR/b.ts"
    read_back "$BATS_TEST_TMPDIR/b.ts" 200:70000-70059
    assert_le "$(marks "$BATS_TEST_TMPDIR/b.ts" .av.max_abs_ms)" 0.7
}

@test "640x360 x264 crf 28 from standard input is read exactly" {
    ffmpeg -v error -nostdin -i "$(make_clip hd.mov --frames 45 --size 1280x720)" \
        -vf scale=640:360 -c:v libx264 -crf 28 -c:a aac -f mpegts \
        "$BATS_TEST_TMPDIR/c.ts"
    "$TOOLS/rv-readmarks" --check 1:0-44 - <"$BATS_TEST_TMPDIR/c.ts"
}

@test "ten bits, another rate, and interlaced MPEG-2 are read" {
    local path
    path=$(make_clip in.mkv --frames 30 --rate 50)
    ffmpeg -v error -nostdin -i "$path" -pix_fmt yuv420p10le -c:v libx264 -an \
        "$BATS_TEST_TMPDIR/ten.mkv"
    "$TOOLS/rv-readmarks" --check 1:0-29 "$BATS_TEST_TMPDIR/ten.mkv"
    "$TOOLS/rv-readmarks" --check 1:0-24 \
        "$(make_clip i.ts --frames 25 --vcodec mpeg2video --interlaced --rate 25)"
}

@test "a missing picture, a gap and late sound are reported" {
    local path
    path=$(make_clip bad.ts --frames 100 --drop 40 --mute 60 --audio-shift 10)
    run "$TOOLS/rv-readmarks" --check 1:0-99 "$path"
    assert_eq "$status" 1
    assert_eq "$output" \
        "rv-readmarks: runs are '1:0-39 1:41-100', not '1:0-99'"
    assert_eq "$(marks "$path" '.clips[0].missing')" 1
    assert_eq "$(marks "$path" '.av.min_ms | round')" 10
    assert_eq "$(marks "$path" '[.gap_list[].ms > 25] | length')" 2
}

@test "pictures without a mark are no frames" {
    ffmpeg -v error -nostdin -f lavfi -i testsrc2=s=640x360:r=25:d=2 \
        -f lavfi -i smptehdbars=s=640x360:r=25:d=2 \
        -filter_complex concat -c:v libx264 "$BATS_TEST_TMPDIR/t.mkv"
    "$TOOLS/rv-readmarks" --check '-*100' "$BATS_TEST_TMPDIR/t.mkv"
    "$TOOLS/rv-readmarks" --check - "$BATS_TEST_TMPDIR/t.mkv"
}

@test "a repeated picture is told from the next one" {
    ffmpeg -v error -nostdin -i "$(make_clip r.mkv --frames 20 --rate 25)" \
        -vf fps=50 -an -c:v libx264 "$BATS_TEST_TMPDIR/r.mkv"
    "$TOOLS/rv-readmarks" --check '1:0-19*2' "$BATS_TEST_TMPDIR/r.mkv"
}

@test "the same options make the same bytes, hashes see each change" {
    local a b
    a=$BATS_TEST_TMPDIR/a.nut
    b=$BATS_TEST_TMPDIR/b.nut
    "$TOOLS/rv-mkmedia" --out "$a" --frames 12
    "$TOOLS/rv-mkmedia" --out "$b" --frames 12
    cmp "$a" "$b"
    "$TOOLS/rv-readmarks" --hash "$a" >"$BATS_TEST_TMPDIR/h1"
    "$TOOLS/rv-mkmedia" --out "$b" --frames 12 --mute 7
    "$TOOLS/rv-readmarks" --hash "$b" >"$BATS_TEST_TMPDIR/h2"
    run diff <(cut -d' ' -f2- "$BATS_TEST_TMPDIR/h1") \
        <(cut -d' ' -f2- "$BATS_TEST_TMPDIR/h2")
    assert_eq "$(grep -c '^[<>] 7 ' <<<"$output")" 2
    assert_eq "${#lines[@]}" 4
}

@test "damage in a transport stream is counted" {
    local path ts=$BATS_TEST_TMPDIR/d.ts
    path=$(make_clip d.ts --frames 30)
    assert_eq "$(marks "$path" '[.ts.continuity_errors, .ts.sync_losses,
        .ts.crc_errors, .ts.pts_late] | @csv')" 0,0,0,0
    # one packet of the middle is gone
    { head -c $((188 * 100)) "$path"; tail -c +$((188 * 101 + 1)) "$path"; } >"$ts"
    assert_eq "$(marks "$ts" .ts.continuity_errors)" 1
    # three bytes of rubbish between two packets
    { head -c $((188 * 100)) "$path"; printf 'xyz'; tail -c +$((188 * 100 + 1)) "$path"; } >"$ts"
    assert_eq "$(marks "$ts" .ts.sync_losses)" 1
}

@test "what cannot be read is one sentence and status 1" {
    run "$TOOLS/rv-readmarks" /nonexistent.ts
    assert_eq "$status" 1
    assert_contains "$output" "/nonexistent.ts: No such file"
    head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/noise"
    run "$TOOLS/rv-readmarks" "$BATS_TEST_TMPDIR/noise"
    assert_eq "$status" 1
    assert_eq "${#lines[@]}" 1
}

@test "a process that is left over is found and named" {
    spawn left tail -f /dev/null
    run assert_no_processes 1
    assert_eq "$status" 1
    assert_contains "$output" "tail -f /dev/null"
    kill "$PID"
    assert_clean
}

# joined AT: pictures of clip 1 and 2 with the cut at 50, sound with it at AT.
joined() {
    local cut=$BATS_TEST_TMPDIR/cut-$1.ts
    ffmpeg -v error -nostdin -i "$(make_clip one.mov --frames 100)" \
        -i "$(make_clip two.mov --frames 100 --clip 2)" -filter_complex \
        "[0:v]trim=end_frame=50[v0];
         [1:v]trim=start_frame=50,setpts=PTS-STARTPTS[v1];
         [v0][v1]concat[v];
         [0:a]atrim=end_sample=$1[a0];
         [1:a]atrim=start_sample=$1,asetpts=PTS-STARTPTS[a1];
         [a0][a1]concat=v=0:a=1[a]" \
        -map '[v]' -map '[a]' -c:v libx264 -c:a aac "$cut"
    echo "$cut"
}

@test "at a cut the sound of another clip is seen, though its bursts fit" {
    local path
    path=$(joined 80080)
    assert_eq "$(marks "$path" .runs)" "1:0-49 2:50-99"
    assert_eq "$(marks "$path" .wrong_sound)" 0
    path=$(joined 84885)
    assert_le "$(marks "$path" .av.max_abs_ms)" 0.1
    assert_eq "$(marks "$path" '.wrong_sound_list | @csv')" 50,51,52
}
