# Files that change while they play, pipes, and servers that do not keep their
# word: what the viewer gets is as the manual says, and the segments before and
# behind are exact, to the frame, in their places.
load ../lib
load ../service
load ../cases
bats_require_minimum_version 1.5.0

setup() {
    rv_setup
    cases_setup
}

# Decoders of channel 1 to N have all that they can hold before the air.
wait_decoded() {
    local i
    for i in "${!CASES[@]}"; do
        wait_until '[ "$(metric retrovue_playout_frames_decoded_total '$((i + 1))')" -ge 130 ]' 15
    done
}

@test "a file that shrinks, goes, comes anew, is overwritten or grows on the air" {
    local name pid
    film=$(make_clip film.ts --clip 2 --frames 300 "${RATE[@]}")
    other=$(make_clip other.ts --clip 3 --frames 300 "${RATE[@]}")
    size=$(stat -c %s "$film")
    for name in shrinks short replaced overwritten; do
        cp "$film" "$T/$name.ts-file"
    done
    head -c $((size * 6 / 10)) "$film" >"$T/grows.ts-file"
    start_serve --house 160x90@25
    for name in shrinks replaced overwritten grows; do
        on_air $name "$T/$name.ts-file" '"duration":"300f"'
    done
    on_air short "$T/short.ts-file" # ends with its last picture
    view 24
    wait_decoded
    # no decoder has it mapped: what is cut off cannot be a SIGBUS
    mapped=$(for pid in $(test_processes); do
        grep -h ts-file "/proc/$pid/maps" 2>/dev/null || true
    done)
    assert_eq "$mapped" "" "mapped files"
    truncate -s $((size / 2)) "$T/shrinks.ts-file" "$T/short.ts-file"
    rm "$T/replaced.ts-file"
    cp "$other" "$T/replaced.ts-file"
    cat "$other" >"$T/overwritten.ts-file"
    tail -c +$((size * 6 / 10 + 1)) "$film" >>"$T/grows.ts-file"
    frames
    stop_serve
    for name in shrinks replaced overwritten grows; do
        neighbours $name 300
    done
    # what is there is shown, then as after any asset that ends early
    exact shrinks 0 130
    assert_le "$(count_exact shrinks)" 160 "frames of a file cut in half"
    # an open file stays what it is
    exact replaced 0 299
    exact overwritten 0 60
    # what was written before the decoder came to the end is played
    exact grows 0 299
    # and without a duration the next one follows right behind, without slate
    exact short 0 130
    runs=$("$TOOLS/rv-readmarks" --summary "$T/short.ts" | jq -r .runs)
    [[ $runs =~ ^1:[0-9]+-74\ 2:0-1[0-9][0-9].*\ 1:0-74 ]] || {
        echo "$runs" >&2
        return 1
    }
}

@test "a server that stalls, answers late or not at all, or knows no ranges" {
    local name
    serve_badly 150
    start_serve --house 160x90@25
    for name in noranges missing stallonce late; do
        on_air $name "$URL/$name/film.mkv" '"duration":"150f"'
    done
    view 17
    frames
    asked=$(curl -s "$URL/count/missing/film.mkv")
    kill "$SERVING"
    stop_serve
    tell
    for name in "${CASES[@]}"; do
        neighbours $name 150
    done
    exact noranges 0 149
    # a new decoder asks again, and goes on where the programme then is
    exact stallonce 0 60
    exact stallonce 120 149
    exact late 100 149
    assert_eq "$(count_exact missing)" 0 "pictures that are not there"
    # again and again, but with a pause that becomes longer
    assert_le 2 "$asked" "requests"
    assert_le "$asked" 8 "requests"
}

@test "a pipe plays once, and one where nobody writes holds nothing up" {
    local name
    film=$(make_clip film.ts --clip 2 --frames 150 "${RATE[@]}")
    size=$(stat -c %s "$film")
    mkfifo "$T/fed" "$T/alone" "$T/stalls" "$T/ends"
    (exec 3>&- && cat "$film" >"$T/fed") &
    feeders=($!)
    (exec 3>&- && head -c $((size / 2)) "$film" >"$T/ends") &
    feeders+=($!)
    # holds its end open and says nothing more
    "$PYTHON" - "$film" "$T/stalls" $((size / 2)) 3>&- <<-'PY' &
	import signal, sys
	with open(sys.argv[2], "wb", buffering=0) as pipe:
	    pipe.write(open(sys.argv[1], "rb").read(int(sys.argv[3])))
	    signal.pause()
	PY
    stalling=$!
    start_serve --house 160x90@25
    for name in fed alone stalls ends; do
        on_air $name "$T/$name" '"duration":"150f"'
    done
    view 18
    frames
    kill $stalling
    wait "${feeders[@]}"
    stop_serve
    tell
    for name in "${CASES[@]}"; do
        neighbours $name 150
    done
    exact fed 0 149
    assert_eq "$(count_exact alone)" 0
    exact stalls 0 60
    exact ends 0 60
}

@test "in a shell a pipe without a writer is given up, and a signal ends it at once" {
    mkfifo "$T/alone"
    export RETROVUE_RUN_DIR=$RUN
    spawn decode "$BIN/rv-decode" "$T/alone"
    decode=$PID
    wait_until '[ -d "$RUN/decode-$decode" ]' 5
    kill -TERM "$decode"
    status_within "$decode" 3
    assert_clean
    spawn decode "$BIN/rv-decode" "$T/alone"
    status=0
    status_within "$PID" 25 || status=$?
    assert_eq "$status" 3
    assert_contains "$(cat "$T/decode.err")" "see that somebody writes into it"
    plan piped "$T/alone"
    run -1 "$BIN/rv-plan" check "$T/piped.json"
    assert_contains "$output" "pipe"
}
