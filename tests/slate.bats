#!/usr/bin/env bats
# The slate of a channel: the card, a picture, a video, its sound, and what is
# shown when that cannot be had.  Looked at in the stream that comes out.

load lib
load service

HOUSE=320x180@30000/1001

setup() {
    rv_setup
    export RETROVUE_RUN_DIR=$RUN
    LOOP=$(make_clip loop.mkv --clip 5 --frames 60)
    MUTE=$(make_clip mute.mkv --clip 6 --frames 45 --no-audio)
    RED=$BATS_TEST_TMPDIR/red.png
    ffmpeg -v error -f lavfi -i color=red:s=240x180 -frames:v 1 "$RED"
    OUT=$BATS_TEST_TMPDIR/out.ts
    LIST='{"serial":1,"end":true,"inputs":[{"slate":"x","reason":"slate: plan","at":0,"until":120,"state":2}]}'
}

# play [rv-stage options]: the list $LIST in a shell, into $OUT.
play() {
    local stage
    printf '%s\n' "$LIST" >"$BATS_TEST_TMPDIR/list"
    "$BIN/rv-stage" --ring one --house "$HOUSE" "$@" <"$BATS_TEST_TMPDIR/list" \
        >"$BATS_TEST_TMPDIR/asrun" 2>"$BATS_TEST_TMPDIR/stage.err" 3>&- &
    stage=$!
    wait_until '[ -e "$RUN/one/ring" ] || gone '"$stage" 10
    "$BIN/rv-render" --ring one --no-pace -o "$OUT"
    wait "$stage"
    assert_clean
}

# pixel FRAME X: mean of the middle of the picture, 20 wide from X, as "Y U V".
pixel() {
    ffmpeg -v error -i "$OUT" -vf \
        "select=eq(n\,$1),crop=20:20:$2:80,scale=1:1:flags=area" \
        -frames:v 1 -f rawvideo -pix_fmt yuv444p - | od -An -tu1 | xargs
}

# is_colour "Y U V" "Y U V": within what a coded picture may be off
is_colour() {
    local a b i
    read -r -a a <<<"$1"
    read -r -a b <<<"$2"
    for i in 0 1 2; do
        assert_le "$((a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]))" 4 "$1 is not $2" || return 1
    done
}

RED_601="81 90 240"
BLACK="16 128 128"
GROUND="58 142 120" # of the card, beside its band

# ground FRAME: the card's ground above its band
ground() {
    ffmpeg -v error -i "$OUT" -vf \
        "select=eq(n\,$1),crop=300:20:10:10,scale=1:1:flags=area" \
        -frames:v 1 -f rawvideo -pix_fmt yuv444p - | od -An -tu1 | xargs
}

# level [FROM]: "PEAK RMS" of the sound in dB, whole numbers of tenths, from FROM seconds on
level() {
    ffmpeg -hide_banner -nostats -i "$1" -af \
        "atrim=start=${2:-0.5}:end=${3:-3},astats=measure_perchannel=none" -f null - 2>&1 |
        sed -n 's/.*Peak level dB: //p; s/.*RMS level dB: //p' | xargs
}

# Zero crossings a second, half of them: Hz.
hertz() {
    ffmpeg -v error -i "$1" -af "atrim=start=0.5:end=2.5" -ac 1 -f s16le - |
        "$PYTHON" -c 'import array, sys
a = array.array("h", sys.stdin.buffer.read())
ups = sum(1 for x, y in zip(a, a[1:]) if x < 0 <= y)
print(round(ups * 48000 / len(a)))'
}

warnings() { grep -c '"level":"warning"' "$BATS_TEST_TMPDIR/stage.err" || true; }

# --- what is shown ------------------------------------------------------------

@test "without a file slate is the card, in silence" {
    play
    is_colour "$(ground 0)" "$GROUND"
    is_colour "$(ground 119)" "$GROUND"
    assert_eq "$(marks "$OUT" '[.pictures, .pts_constant] | join(" ")')" "120 true"
    assert_eq "$(level "$OUT")" "-inf -inf"
    assert_eq "$(jq -r '[.first_frame, .last_frame, .reason] | join(" ")' \
        "$BATS_TEST_TMPDIR/asrun")" "0 119 slate: plan"
}

@test "--slate with a picture shows it in its own shape" {
    play --slate "$RED"
    for frame in 0 60 119; do
        is_colour "$(pixel $frame 150)" "$RED_601"
        is_colour "$(pixel $frame 0)" "$BLACK"
        is_colour "$(pixel $frame 300)" "$BLACK"
    done
    assert_eq "$(level "$OUT")" "-inf -inf"
    assert_eq "$(warnings)" 0
}

@test "--slate with a video repeats it, with its own sound" {
    play --slate "$LOOP" --slate-sound tone
    "$TOOLS/rv-readmarks" --summary --check "5:0-59 5:0-59" "$OUT" \
        >"$BATS_TEST_TMPDIR/s.json"
    assert_eq "$(jq -c '[.gaps, .wrong_sound, .pts_constant]' "$BATS_TEST_TMPDIR/s.json")" \
        '[0,0,true]'
    assert_le "$(jq -r '.av.offsets_ms | map(fabs) | max' "$BATS_TEST_TMPDIR/s.json")" 5
}

@test "a video begins anew whenever slate comes, and not while it lasts" {
    local i
    for i in 1 2; do
        "$BIN/rv-decode" --house "$HOUSE" --pool "$RUN/$i" \
            "$(make_clip "$i.mkv" --clip $i --frames 20)" >/dev/null </dev/null 3>&- &
        wait_until '[ -e "$RUN/$i" ]' 5
    done
    LIST=$(jq -cn --arg run "$RUN" '{serial: 1, end: true, inputs: [
        {pool: "\($run)/1", at: 0, origin: 0, until: 20, reason: "plan"},
        {slate: "x", reason: "slate: plan", at: 20, until: 50, state: 2},
        {slate: "y", reason: "slate: end of plan", at: 50, until: 90, state: 2},
        {pool: "\($run)/2", at: 90, origin: 90, until: 100, reason: "plan"},
        {slate: "z", reason: "slate: plan", at: 100, until: 120, state: 2}]}')
    play --slate "$LOOP"
    "$TOOLS/rv-readmarks" --summary --check "1:0-19 5:0-59 5:0-9 2:0-9 5:0-19" "$OUT"
}

@test "--slate-sound tone is 1 kHz at -20 dBFS, on card, picture and mute video" {
    local options peak rms
    for options in "" "--slate $RED" "--slate $MUTE"; do
        # shellcheck disable=SC2086
        play --slate-sound tone $options
        read -r peak rms <<<"$(level "$OUT")"
        assert_le "$peak" -19.5 "peak with '$options'"
        assert_le -20.5 "$peak" "peak with '$options'"
        # a sine's is 3.01 dB below its peak: nothing but the sine is there
        assert_le "$rms" -22.8 "level with '$options'"
        assert_le -23.2 "$rms" "level with '$options'"
        assert_eq "$(hertz "$OUT")" 1000 "Hz with '$options'"
    done
    "$TOOLS/rv-readmarks" --summary --check "6:0-44 6:0-44 6:0-29" "$OUT"
}

@test "a video that is too long is shown as far as a slate may go" {
    local long
    long=$(make_clip long.mkv --clip 7 --frames 300)
    LIST=${LIST/120/300}
    play --slate "$long"
    assert_contains "$(cat "$BATS_TEST_TMPDIR/stage.err")" "its first 250 frames"
    "$TOOLS/rv-readmarks" --summary --check "7:0-249 7:0-49" "$OUT"
}

# --- what cannot be shown -----------------------------------------------------

@test "a slate that is missing is one warning that names it, and the card" {
    play --slate "$BATS_TEST_TMPDIR/nowhere.png"
    is_colour "$(ground 0)" "$GROUND"
    assert_eq "$(marks "$OUT" .pictures)" 120
    assert_eq "$(wc -l <"$BATS_TEST_TMPDIR/stage.err")" 1
    assert_contains "$(jq -r 'select(.level == "warning").message' "$BATS_TEST_TMPDIR/stage.err")" \
        "nowhere.png: cannot be opened (No such file or directory)"
    assert_contains "$(cat "$BATS_TEST_TMPDIR/stage.err")" "the built-in card is in its place"
}

@test "a slate that is cut short is shown as far as it goes, else the card" {
    local part mp4
    part=$BATS_TEST_TMPDIR/part.mkv
    head -c "$(($(stat -c %s "$LOOP") / 2))" "$LOOP" >"$part"
    play --slate "$part"
    local shown
    shown=$(marks "$OUT" .runs)
    [[ $shown =~ ^5:0-([0-9]+)\ 5:0- ]]
    assert_le 15 "${BASH_REMATCH[1]}"
    assert_le "${BASH_REMATCH[1]}" 45

    mp4=$(make_clip whole.mp4 --clip 8 --frames 60)
    head -c "$(($(stat -c %s "$mp4") / 2))" "$mp4" >"$BATS_TEST_TMPDIR/part.mp4"
    head -c 100 "$RED" >"$BATS_TEST_TMPDIR/part.png"
    : >"$BATS_TEST_TMPDIR/part.jpg"
    for part in part.mp4 part.png part.jpg; do
        play --slate "$BATS_TEST_TMPDIR/$part"
        is_colour "$(ground 0)" "$GROUND"
        assert_eq "$(warnings)" 1 "warnings about $part"
        assert_contains "$(cat "$BATS_TEST_TMPDIR/stage.err")" "$part: "
    done
}

@test "a file without a picture is no slate" {
    play --slate "$(make_clip sound.wav --clip 9 --frames 60 --no-video)"
    is_colour "$(ground 0)" "$GROUND"
    assert_contains "$(cat "$BATS_TEST_TMPDIR/stage.err")" "has no picture; give a picture or a video"
}

@test "wrong usage is status 2" {
    local words
    for words in "rv-stage --ring a --slate-sound loud" "rv-ctl run 1 --plan a --slate-sound x" \
        "rv-ctl serve --slate-sound 1" "rv-decode --slate tone a.png" \
        "rv-decode --slate loud --pool $RUN/p --house $HOUSE a.png" \
        "rv-decode --slate tone --pool $RUN/p --house $HOUSE a.png b.png"; do
        # shellcheck disable=SC2086
        run "$BIN"/$words </dev/null
        assert_eq "$status" 2 "$words"
    done
    run "$BIN/rv-decode" --slate tone --pool "$RUN/p" --house "$HOUSE" nowhere.png </dev/null
    assert_eq "$status" 1
    assert_contains "$output" "nowhere.png: cannot be opened"
    assert_clean
}

# --- who dies -----------------------------------------------------------------

# stage [OPTION...]: in service, with a slate that a test holds up by a FIFO
stage() {
    spawn stage "$BIN/rv-stage" --run-dir "$RUN" --channel 1 --house "$HOUSE" \
        --asrun "$BATS_TEST_TMPDIR/asrun" "$@"
    STAGE=$PID
}

@test "an rv-decode that dies over and over leaves the card on the air" {
    local i maker
    mkfifo "$BATS_TEST_TMPDIR/fifo"
    stage --slate "$BATS_TEST_TMPDIR/fifo"
    for i in 1 2 3; do
        wait_until 'proc_pid 1 decode >/dev/null' 5
        maker=$(proc_pid 1 decode)
        kill -KILL "$maker"
        wait_until "gone $maker" 5
        wait_until '[ "$(proc_pid 1 decode)" != '"$maker"' ]' 5
    done
    wait_until '[ "$(warnings)" = 1 ]' 5
    assert_contains "$(cat "$BATS_TEST_TMPDIR/stage.err")" "fifo: rv-decode died of it 3 times"
    run "$TOOLS/rv-ringread" --plain --ring "$RUN/1/ring" --frames 30 --paced
    assert_eq "$output" "0-29 slate: input late"
    assert_eq "$(cd "$RUN/1" && echo pool-* slate*)" "pool-0 slate*"
    kill "$STAGE"
    status_within "$STAGE" 5
}

@test "a decoder of a slate does not outlive its stage, a new one makes it" {
    mkfifo "$BATS_TEST_TMPDIR/fifo"
    ln -s fifo "$BATS_TEST_TMPDIR/slate.mkv"
    stage --slate "$BATS_TEST_TMPDIR/slate.mkv"
    wait_until 'proc_pid 1 decode >/dev/null' 5
    local maker
    maker=$(proc_pid 1 decode)
    kill -KILL "$STAGE"
    wait_until "gone $maker" 5
    ln -sfn "$LOOP" "$BATS_TEST_TMPDIR/slate.mkv"
    : >"$RUN/1/slate.4711.new" # of one that was killed half way
    stage --slate "$BATS_TEST_TMPDIR/slate.mkv"
    wait_until '[ -e "$RUN/1/slate" ]' 5
    [ ! -e "$RUN/1/slate.4711.new" ]
    kill -KILL "$STAGE"
    wait_until "gone $STAGE" 5
    # now it is there: nobody decodes it again
    local before
    before=$(stat -c %i "$RUN/1/slate")
    stage --slate "$BATS_TEST_TMPDIR/fifo"
    run "$TOOLS/rv-ringread" --plain --ring "$RUN/1/ring" --frames 150 --paced
    assert_contains "$output" "index 0-59 slate: input late"
    assert_eq "$(stat -c %i "$RUN/1/slate")" "$before"
    kill "$STAGE"
    status_within "$STAGE" 5
}

@test "stage and renderer killed while a video is the slate: no frame is lost" {
    local viewer i part
    echo '{"version":1,"segments":[{"id":"s","type":"slate"}]}' >"$BATS_TEST_TMPDIR/plan.json"
    start_serve --house "$HOUSE" --slate "$LOOP"
    ctl start 1 "$BATS_TEST_TMPDIR/plan.json"
    wait_until '[ -e "$RUN/run/1/slate" ]' 5
    receive 1 9 "$OUT" &
    viewer=$!
    for part in stage render stage; do
        wait_until "[ \$(stat -c %s '$OUT' 2>/dev/null || echo 0) -gt $((${i:=0} + 40000)) ]" 10
        i=$(stat -c %s "$OUT")
        kill -KILL "$(proc_pid 1 $part)"
    done
    wait "$viewer"
    check_rounds "$OUT" 5:0-59
    ctl stop 1
    stop_serve
}

@test "a server's channels have their own titles and slates" {
    cp "$RED" "$BATS_TEST_TMPDIR/slate-2.png"
    echo '{"version":1,"segments":[{"id":"s","type":"slate"}]}' >"$BATS_TEST_TMPDIR/plan.json"
    start_serve --house "$HOUSE" --slate "$BATS_TEST_TMPDIR/slate-%d.png" \
        --slate-sound tone --title "Station %d"
    ctl start 1 "$BATS_TEST_TMPDIR/plan.json"
    ctl start 2 "$BATS_TEST_TMPDIR/plan.json"
    wait_until '[ -e "$RUN/run/2/slate" ]' 5
    receive 1 3 "$BATS_TEST_TMPDIR/1.ts" &
    local viewer=$!
    receive 2 3 "$OUT"
    wait "$viewer"
    is_colour "$(pixel 30 150)" "$RED_601"
    assert_eq "$(hertz "$OUT")" 1000
    OUT=$BATS_TEST_TMPDIR/1.ts
    is_colour "$(ground 30)" "$GROUND"
    assert_eq "$(hertz "$OUT")" 1000
    tr '\0' ' ' <"/proc/$(proc_pid 1 stage)/cmdline" | grep -q -- "--title Station 1 --slate .*/slate-1.png"
    grep -q 'slate-1.png: cannot be opened' "$BATS_TEST_TMPDIR/serve.err"
    ctl stop 1
    ctl stop 2
    stop_serve
}
