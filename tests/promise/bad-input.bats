# Bad input of every kind: one sentence, the documented status, nothing left,
# and the other channels play on.
load ../lib
load ../service

setup() {
    rv_setup
    export RETROVUE_RUN_DIR=$RUN/shell
    mkdir "$RUN/shell"
    A=$(make_clip film.mov --clip 1 --frames 150)
    HOUSE='"house":{"video":{"width":320,"height":180,"frame_rate":"30000/1001"},"audio":{"sample_rate":48000,"channels":2}}'
    good=$BATS_TEST_TMPDIR/good.json
    cat >"$good" <<-PLAN
	{"version":1, "loop":true, $HOUSE, "segments":[{"id":"film","asset":"$A"}]}
	PLAN
}

# refuses STATUS PART COMMAND...: ends with STATUS, says one sentence with PART.
refuses() {
    local wanted=$1 part=$2
    shift 2
    local status=0
    timeout 20 "$@" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" \
        </dev/null || status=$?
    assert_eq "$status" "$wanted" "status of $*: $(cat "$BATS_TEST_TMPDIR/err")"
    assert_contains "$(cat "$BATS_TEST_TMPDIR/err")" "$part"
    assert_le "$(grep -c '^rv-' "$BATS_TEST_TMPDIR/err")" 1 "lines on standard error"
}

@test "missing, empty, truncated and non-media assets" {
    : >"$BATS_TEST_TMPDIR/empty.mp4"
    head -c 3000 "$A" >"$BATS_TEST_TMPDIR/cut.mov"
    echo "this is no media file" >"$BATS_TEST_TMPDIR/text.mkv"
    for asset in "$BATS_TEST_TMPDIR"/{nowhere.mp4,empty.mp4,cut.mov,text.mkv}; do
        refuses 1 "$(basename "$asset")" "$BIN/rv-decode" --nut "$asset"
        refuses 1 "$(basename "$asset")" "$BIN/rv-decode" "$asset"
    done
    assert_empty "$RUN/shell"
}

@test "plans that are malformed, huge, deep, or not UTF-8" {
    cd "$BATS_TEST_TMPDIR"
    printf '{"version":1,"segments":[' >broken.json
    printf '{"version":1,"segments":[{"asset":"\xff\xfe"}]}' >bytes.json
    "$PYTHON" -c 'print("["*100000)' >deep.json
    "$PYTHON" -c 'print("{\"version\":1,\"segments\":[" + " "*(17<<20) + "]}")' \
        >huge.json
    for plan in broken bytes deep huge; do
        refuses 1 "$plan.json" "$BIN/rv-plan" resolve "$plan.json"
    done
}

@test "negative, zero, overflowing and not-a-number times" {
    cd "$BATS_TEST_TMPDIR"
    for time in -1 '"-00:01"' 1e400 99999999999999999999 '"nan"' '"1/0"' \
        '"12:99:99"' '"-5f"' '"1e9999"' null '{}'; do
        echo "{\"version\":1,\"segments\":[{\"asset\":\"$A\",\"duration\":$time}]}" \
            >time.json
        refuses 1 duration "$BIN/rv-plan" resolve time.json || {
            echo "duration $time" >&2
            return 1
        }
    done
}

@test "an unknown field is a warning" {
    echo "{\"version\":1,\"colour\":7,\"segments\":[{\"asset\":\"$A\"}]}" \
        >"$BATS_TEST_TMPDIR/unknown.json"
    "$BIN/rv-plan" check "$BATS_TEST_TMPDIR/unknown.json" \
        >"$BATS_TEST_TMPDIR/out" 2>&1
    assert_contains "$(cat "$BATS_TEST_TMPDIR/out")" colour
}

@test "a ring or pool of another version, cut short, or of random bytes" {
    mkdir "$RUN/shell/bad"
    for size in 0 100 4096 5000000; do
        head -c "$size" /dev/urandom >"$RUN/shell/bad/ring"
        cp "$RUN/shell/bad/ring" "$RUN/shell/bad/pool-1"
        refuses 1 ring "$BIN/rv-render" --ring bad --no-pace
        refuses 1 pool-1 "$BIN/rv-tap" -n 1 "$RUN/shell/bad/pool-1"
    done
}

@test "a full tmpfs is a sentence" {
    unshare -Urm true 2>/dev/null || {
        echo "user namespaces are off: the limit of a file's size stands in" >&2
        (
            trap '' XFSZ
            ulimit -f 1000
            refuses 4 room "$BIN/rv-decode" "$A"
        )
        return
    }
    cat >"$BATS_TEST_TMPDIR/in-small.sh" <<-'SH'
	mount -t tmpfs -o size=4m tmpfs "$1" && cd "$1" && exec "$2" --run-dir "$1" "$3"
	SH
    refuses 4 room unshare -Urm sh "$BATS_TEST_TMPDIR/in-small.sh" \
        "$RUN/shell" "$BIN/rv-decode" "$A"
}

@test "a server answers bad calls with a sentence, and channel 1 plays on" {
    start_serve
    CTL=("$BIN/rv-ctl" --address "unix:$SOCK")
    ctl start 1 "$good"
    receive 1 8 "$BATS_TEST_TMPDIR/out.ts" &
    viewer=$!
    echo '{"version":1,"segments":[{"type":"nonsense"}]}' \
        >"$BATS_TEST_TMPDIR/bad.json"
    refuses 1 nonsense "${CTL[@]}" start 2 "$BATS_TEST_TMPDIR/bad.json"
    refuses 1 nonsense "${CTL[@]}" update 1 "$BATS_TEST_TMPDIR/bad.json"
    refuses 1 nowhere "${CTL[@]}" load 1 "$BATS_TEST_TMPDIR/nowhere.mkv"
    refuses 1 preview "${CTL[@]}" switch 1
    refuses 1 7 "${CTL[@]}" stop 7
    refuses 1 channel "${CTL[@]}" start 0 "$good"
    # a port that another program holds
    "$PYTHON" -m http.server --bind 127.0.0.1 "$(free_port)" \
        >"$BATS_TEST_TMPDIR/py.out" 2>&1 3>&- &
    python=$!
    wait_until 'ss -ltnp | grep -q "pid=$python,"' 10
    held=$(ss -ltnp | sed -n "s/.*:\([0-9]*\) .*pid=$python,.*/\1/p" | head -1)
    refuses 1 "$held" "${CTL[@]}" start 3 "$good" "$held"
    kill $python
    wait $viewer
    ctl stop 1
    assert_eq "$(ctl status --json | jq -c 'map([.channel, .state])')" \
        '[[1,"stopped"]]'
    stop_serve
    "$TOOLS/rv-readmarks" --summary "$BATS_TEST_TMPDIR/out.ts" \
        >"$BATS_TEST_TMPDIR/summary"
    "$PYTHON" "$ROOT/tests/rounds.py" 1:0-149 \
        "$(jq -r .runs "$BATS_TEST_TMPDIR/summary")"
    assert_eq "$(jq -r .gaps "$BATS_TEST_TMPDIR/summary")" 0
}

@test "a second server on the same run folder is refused" {
    start_serve
    refuses 1 "$RUN/run" "$BIN/rv-ctl" serve --run-dir "$RUN/run" \
        --state-dir "$RUN/state" --listen 127.0.0.1:0 --metrics 127.0.0.1:0 \
        --http-port "$(free_port)"
    ctl status >/dev/null
    stop_serve
}
@test "a run folder left by a power cut is swept" {
    start_serve
    ctl start 1 "$good"
    # everything dies at once, nobody cleans up
    wait_until '! kill_test_processes' 5
    [ -e "$RUN/run/1" ]
    start_serve
    assert_eq "$(ctl status --json | jq -c '[.[] | select(.state != "stopped")]')" '[]'
    ctl start 1 "$good"
    curl -s --max-time 5 "$(url 1)" | head -c 188 | grep -qa '^G'
    stop_serve
}
