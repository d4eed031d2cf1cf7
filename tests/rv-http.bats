#!/usr/bin/env bats
# rv-http: what viewers get, and what they can do to it.

load lib

# ring CHANNEL [rv-mkts options]: a channel whose ring is written.
ring() {
    local channel=$1
    shift
    mkdir -p "$RUN/$channel"
    spawn "ring$channel" "$TOOLS/rv-mkts" write "$RUN/$channel/ts" "$@"
    RING=$PID
    wait_until "grep -q ready '$BATS_TEST_TMPDIR/ring$channel.out'" 5
}

# http [options]: rv-http, its address in $AT.
http() {
    spawn http "$BIN/rv-http" --run-dir "$RUN" --listen 127.0.0.1:0 "$@"
    HTTP=$PID
    wait_until "grep -q http '$BATS_TEST_TMPDIR/http.out'" 5
    AT=$(jq -r .http "$BATS_TEST_TMPDIR/http.out" | head -1)
}

hammer() {
    "$PYTHON" "$ROOT/tests/tools/hammer.py" "$@"
}

# view PATH SECONDS FILE: a viewer for so long; curl's status is of no interest.
view() {
    curl -s --max-time "$2" "http://$AT$1" -o "$3" || true
}

# assert_stream FILE [JQ]: begins with a keyframe, nothing is missing.
assert_stream() {
    "$TOOLS/rv-mkts" check "$1" >"$BATS_TEST_TMPDIR/check.json"
    jq -e ".key and .wrong == 0 and .holes == 0 and (${2:-.packets > 0})" \
        "$BATS_TEST_TMPDIR/check.json" >&2
}

status_of() {
    curl -s -o /dev/null -w '%{http_code}' --max-time 8 "$@"
}

stats() { # what /healthz says of channel 1
    curl -s "http://$AT/healthz" | jq -r ".channels[0].$1"
}

@test "a viewer gets the stream from a keyframe on, with the headers promised" {
    ring 1
    http
    view /channel/1.ts 2 "$BATS_TEST_TMPDIR/a"
    assert_stream "$BATS_TEST_TMPDIR/a" '.packets > 500'
    run curl -sI "http://$AT/channel/1.ts"
    assert_contains "$output" "HTTP/1.1 200 OK"
    assert_contains "$output" "Content-Type: video/mp2t"
    assert_contains "$output" "Cache-Control: no-store"
    assert_contains "$output" "Access-Control-Allow-Origin: *"
    [[ $output != *Content-Length* && $output != *Transfer-Encoding* ]]
    kill "$HTTP"
    status_within "$HTTP" 3
    [ ! -e "$RUN/http.proc" ]
}

@test "nothing is sent before it is due" {
    local sent wanted
    ring 1 --lead 2000 --gop 1
    http
    view /channel/1.ts 2 "$BATS_TEST_TMPDIR/a"
    # 25 stretches of 20 packets a second; the lead of 2 s is not let out
    assert_stream "$BATS_TEST_TMPDIR/a" '.packets >= 900 and .packets <= 1040'
    assert_le "$(stats age_ms)" 100
    assert_le 0 "$(stats age_ms)"
}

@test "two hundred viewers at once all get everything" {
    local file
    ring 1
    http
    mkdir "$BATS_TEST_TMPDIR/v"
    hammer many "$AT" /channel/1.ts 200 3 "$BATS_TEST_TMPDIR/v" >&2
    for file in "$BATS_TEST_TMPDIR"/v/*; do
        sed -i '1,/^\r$/d' "$file"
        assert_stream "$file" '.packets > 1000'
    done
    assert_eq "$(ls "$BATS_TEST_TMPDIR/v" | wc -l)" 200
    wait_until '[ "$(stats viewers)" = 0 ]' 3
}

@test "a viewer who stops reading is disconnected, the others see nothing of it" {
    ring 1 --packets 400 --bytes 2000000
    http
    spawn stall "$PYTHON" "$ROOT/tests/tools/hammer.py" stall "$AT" /channel/1.ts
    wait_until "grep -q stalled '$BATS_TEST_TMPDIR/stall.out'" 5
    view /channel/1.ts 4 "$BATS_TEST_TMPDIR/a"
    wait_until "grep -q cut '$BATS_TEST_TMPDIR/stall.out'" 20
    assert_stream "$BATS_TEST_TMPDIR/a" '.packets > 20000'
    grep -q 'more than the ring behind' "$BATS_TEST_TMPDIR/http.err"
}

@test "the ring's writer is killed and goes on: the viewer misses nothing" {
    ring 1
    http
    spawn viewer curl -s --max-time 4 "http://$AT/channel/1.ts" \
        -o "$BATS_TEST_TMPDIR/a"
    local viewer=$PID
    wait_until '[ -s "$BATS_TEST_TMPDIR/a" ]' 5
    kill -KILL "$RING"
    wait "$RING" || true
    ring 1
    wait "$viewer" || true
    assert_stream "$BATS_TEST_TMPDIR/a" '.packets > 1500'
}

@test "a stream that is closed ends its viewers with all that was sent" {
    ring 1 --stretches 60 --close
    http
    run curl -s --max-time 8 "http://$AT/channel/1.ts" -o "$BATS_TEST_TMPDIR/a"
    assert_eq "$status" 0
    assert_stream "$BATS_TEST_TMPDIR/a" '.first + .packets == 60 * 20'
    assert_eq "$(status_of "http://$AT/channel/1.ts")" 404
}

@test "a ring that was made anew is found, its former viewers end" {
    ring 1
    http
    spawn old curl -s --max-time 9 "http://$AT/channel/1.ts" \
        -o "$BATS_TEST_TMPDIR/old"
    local old=$PID
    wait_until '[ -s "$BATS_TEST_TMPDIR/old" ]' 5
    kill -KILL "$RING"
    wait "$RING" || true
    rm -f "$RUN/1/ts" "$BATS_TEST_TMPDIR/ring1.out"
    ring 1
    view /channel/1.ts 1 "$BATS_TEST_TMPDIR/new"
    assert_stream "$BATS_TEST_TMPDIR/new" '.first == 0'
    status_within "$old" 6
    assert_stream "$BATS_TEST_TMPDIR/old"
}

@test "a channel that is removed ends its viewers and is 404" {
    ring 1
    http
    spawn old curl -s --max-time 9 "http://$AT/channel/1.ts" -o /dev/null
    local old=$PID
    wait_until '[ "$(stats viewers)" = 1 ]' 5
    kill "$RING"
    rm -r "$RUN/1"
    status_within "$old" 6
    run curl -s "http://$AT/channel/1.ts"
    assert_eq "$output" "channel 1 is not on the air here; start it, or look at / for those that are"
}

@test "who comes before the first keyframe waits" {
    mkdir "$RUN/1"
    http
    spawn early curl -s --max-time 3 "http://$AT/channel/1.ts" \
        -D "$BATS_TEST_TMPDIR/head" -o "$BATS_TEST_TMPDIR/a"
    local early=$PID
    wait_until 'grep -q "200 OK" "$BATS_TEST_TMPDIR/head"' 3
    ring 1
    wait "$early" || true
    assert_stream "$BATS_TEST_TMPDIR/a" '.first == 0 and .packets > 200'
}

@test "who waits five seconds in vain is let go" {
    local begin
    mkdir "$RUN/1"
    http
    begin=$(now_ms)
    run curl -s --max-time 9 -w '%{http_code}' "http://$AT/channel/1.ts"
    assert_eq "$status $output" "0 200"
    assert_le "$(($(now_ms) - begin))" 6500
    assert_le 4500 "$(($(now_ms) - begin))"
}

@test "two listeners, and each channel at its own port" {
    local one two
    ring 1
    ring 2
    http --listen 127.0.0.1:0 --match-port
    one=$(jq -r .http "$BATS_TEST_TMPDIR/http.out" | sed -n 1p)
    two=$(jq -r .http "$BATS_TEST_TMPDIR/http.out" | sed -n 2p)
    echo "${one##*:}" >"$RUN/1/port"
    echo "${two##*:}" >"$RUN/2/port"
    assert_eq "$(status_of -I "http://$one/channel/1.ts")" 200
    assert_eq "$(status_of -I "http://$two/channel/2.ts")" 200
    assert_eq "$(status_of -I "http://$two/channel/1.ts")" 404
    assert_eq "$(status_of -I "http://$one/channel/2.ts")" 404
    wait_until '[ "$(curl -s "http://'"$one"'/" | grep -c "<a ")" = 1 ]' 3
    assert_contains "$(curl -s "http://$one/")" 'href="/channel/1.ts"'
    AT=$two view /channel/2.ts 1 "$BATS_TEST_TMPDIR/a"
    assert_stream "$BATS_TEST_TMPDIR/a"
}

@test "what is wrong is one sentence" {
    local path
    http
    for path in /channel/0.ts /channel/01.ts /channel/-1.ts /channel/1 \
        /channel/99999999999.ts /channel/1.ts/ /x /channel/1%2ets; do
        assert_eq "$(status_of "http://$AT$path")" 404 "$path"
    done
    assert_eq "$(status_of -X POST -d x "http://$AT/")" 405
    assert_eq "$(status_of -X DELETE "http://$AT/channel/1.ts")" 405
    run hammer raw "$AT" <<<"hello"
    assert_contains "$output" "400 Bad Request"
    assert_contains "$output" "this is no HTTP/1 request"
    run hammer raw "$AT" < <(printf 'GET / HTTP/1.1\r\nX: %09000d\r\n\r\n' 0)
    assert_contains "$output" "431 "
    run hammer raw "$AT" < <(printf 'GET /%0900d HTTP/1.1\r\n\r\n' 0)
    assert_contains "$output" "414 "
    run hammer raw "$AT" < <(printf 'GET /healthz HTTP/1.0\r\n\r\n')
    assert_contains "$output" '{"status":"ok","viewers":0,"channels":[]}'
}

@test "rubbish does it no harm" {
    ring 1
    http
    hammer fuzz "$AT" 400 >&2
    view /channel/1.ts 1 "$BATS_TEST_TMPDIR/a"
    assert_stream "$BATS_TEST_TMPDIR/a"
    wait_until '[ "$(stats viewers)" = 0 ]' 6
}

@test "a ring that is rubbish is not served and harms no other channel" {
    ring 1
    mkdir "$RUN/2" "$RUN/3" "$RUN/name"
    head -c 20000000 /dev/urandom >"$RUN/2/ts"
    : >"$RUN/3/ts"
    http
    assert_eq "$(status_of "http://$AT/channel/2.ts")" 404
    assert_eq "$(status_of "http://$AT/channel/3.ts")" 404
    view /channel/1.ts 1 "$BATS_TEST_TMPDIR/a"
    assert_stream "$BATS_TEST_TMPDIR/a"
}

@test "more viewers than allowed are told so" {
    ring 1
    http --max-viewers 1
    spawn first curl -s --max-time 9 "http://$AT/channel/1.ts" -o /dev/null
    wait_until '[ "$(stats viewers)" = 1 ]' 5
    run curl -s -w '%{http_code}' "http://$AT/channel/1.ts"
    assert_eq "$output" $'1 viewers are here and no more are let in; come back later\n503'
}

@test "without descriptors it turns viewers away and recovers" {
    ring 1
    http_limited() {
        spawn http bash -c "ulimit -n 40; exec '$BIN/rv-http' --run-dir '$RUN' --listen 127.0.0.1:0"
        wait_until "grep -q http '$BATS_TEST_TMPDIR/http.out'" 5
        AT=$(jq -r .http "$BATS_TEST_TMPDIR/http.out")
    }
    http_limited
    mkdir "$BATS_TEST_TMPDIR/v"
    hammer many "$AT" /channel/1.ts 60 1 "$BATS_TEST_TMPDIR/v" >&2
    grep -q '503 Service' "$BATS_TEST_TMPDIR"/v/*
    wait_until '[ "$(status_of -I "http://$AT/channel/1.ts")" = 200 ]' 5
    view /channel/1.ts 1 "$BATS_TEST_TMPDIR/a"
    assert_stream "$BATS_TEST_TMPDIR/a"
}

@test "a second one in the same run folder is told who is there" {
    http
    run "$BIN/rv-http" --run-dir "$RUN" --listen 127.0.0.1:0
    assert_eq "$status" 1
    assert_contains "$output" "rv-http runs here already, process $HTTP"
    kill -KILL "$HTTP"
    wait "$HTTP" || true
    http
    assert_eq "$(status_of "http://$AT/healthz")" 200
    run "$BIN/rv-http" --run-dir "$RUN" --name other --listen "$AT"
    assert_eq "$status" 1
    assert_contains "$output" "cannot listen there, give another port"
}

# again: kills rv-http and starts another one at a new port.
again() {
    kill -KILL "$HTTP"
    wait "$HTTP" || true
    rm -f "$BATS_TEST_TMPDIR/http.out"
    http "$@"
}

@test "rv-http is killed again and again: the viewer goes on at the very byte" {
    local i
    ring 1 --packets 300
    "$TOOLS/rv-mkstats" "$RUN/1"
    http
    spawn viewer curl -s --max-time 6 "http://$AT/channel/1.ts" \
        -o "$BATS_TEST_TMPDIR/a"
    local viewer=$PID size
    wait_until '[ -s "$BATS_TEST_TMPDIR/a" ]' 5
    local -a listeners=()
    for i in 1 2 3 4 5; do
        listeners+=(--listen 127.0.0.1:0) # other descriptors each time
        again "${listeners[@]}"
        wait_until '[ "$(stats viewers)" = 1 ]' 3
        size=$(stat -c %s "$BATS_TEST_TMPDIR/a")
        wait_until '[ "$(stat -c %s "$BATS_TEST_TMPDIR/a")" -gt '"$size"' ]' 3
    done
    wait "$viewer" || true
    assert_stream "$BATS_TEST_TMPDIR/a" '.packets > 30000'
    "$BIN/rv-metrics" --once --run-dir "$RUN" >"$BATS_TEST_TMPDIR/m"
    grep -qx 'retrovue_playout_restart_total{channel="1",stage="http"} 5' "$BATS_TEST_TMPDIR/m"
    grep -qx 'retrovue_playout_viewer_connections_total{channel="1"} 1' "$BATS_TEST_TMPDIR/m"
}

@test "a hundred viewers, fast and slow, outlive rv-http" {
    local file
    ring 1 --packets 100
    http
    mkdir "$BATS_TEST_TMPDIR/v"
    spawn many "$PYTHON" "$ROOT/tests/tools/hammer.py" many "$AT" \
        /channel/1.ts 100 6 "$BATS_TEST_TMPDIR/v"
    local many=$PID
    wait_until '[ "$(stats viewers)" = 100 ]' 5
    again
    wait_until '[ "$(stats viewers)" = 100 ]' 3
    again
    status_within "$many" 10
    for file in "$BATS_TEST_TMPDIR"/v/*; do
        sed -i '1,/^\r$/d' "$file"
        assert_stream "$file" '.packets > 10000'
    done
}

@test "one who waits for a keyframe outlives rv-http too" {
    mkdir "$RUN/1"
    http
    spawn early curl -s --max-time 5 "http://$AT/channel/1.ts" \
        -D "$BATS_TEST_TMPDIR/head" -o "$BATS_TEST_TMPDIR/a"
    local early=$PID
    wait_until 'grep -q "200 OK" "$BATS_TEST_TMPDIR/head"' 3
    again
    ring 1
    wait "$early" || true
    assert_stream "$BATS_TEST_TMPDIR/a" '.first == 0 and .packets > 200'
}

@test "when nobody comes after it, its viewers end and nothing is left" {
    ring 1
    http
    spawn viewer curl -s --max-time 9 "http://$AT/channel/1.ts" -o /dev/null
    local viewer=$PID
    wait_until '[ "$(stats viewers)" = 1 ]' 5
    kill -KILL "$HTTP"
    wait "$HTTP" || true
    kill "$RING"
    status_within "$viewer" 5
    rm -r "$RUN/1" "$RUN/http.proc"
    assert_clean 5
}

@test "a signal ends its helper too, and without the helper it still serves" {
    local hold
    ring 1
    http
    hold=$(pgrep -f "^rv-hold $RUN\$")
    kill -KILL "$hold"
    view /channel/1.ts 1 "$BATS_TEST_TMPDIR/a"
    assert_stream "$BATS_TEST_TMPDIR/a"
    again
    view /channel/1.ts 1 "$BATS_TEST_TMPDIR/a"
    assert_stream "$BATS_TEST_TMPDIR/a"
    # nor does its name stay when it was killed
    hold=$(pgrep -f "^rv-hold $RUN\$")
    kill -KILL "$hold"
    view /channel/1.ts 1 "$BATS_TEST_TMPDIR/a"
    kill "$HTTP" "$RING"
    status_within "$HTTP" 3
    rm -r "$RUN/1"
    assert_clean
}

@test "a listener can be inherited, anything else cannot" {
    ring 1
    spawn http "$PYTHON" "$ROOT/tests/tools/hammer.py" inherit \
        "$BIN/rv-http" --run-dir "$RUN" --listen-fd 3
    wait_until "grep -q http '$BATS_TEST_TMPDIR/http.out'" 5
    AT=$(jq -r .http "$BATS_TEST_TMPDIR/http.out")
    view /channel/1.ts 1 "$BATS_TEST_TMPDIR/a"
    assert_stream "$BATS_TEST_TMPDIR/a"
    run "$BIN/rv-http" --run-dir "$RUN" --name b --listen-fd 7 7</dev/null
    assert_eq "$status" 1
    assert_contains "$output" "--listen-fd 7: is no listening socket"
    [ ! -e "$RUN/b.hold" ]
}

@test "a ring that turns to rubbish while it is sent harms no other channel" {
    local at
    ring 1
    ring 2
    http
    spawn other curl -s --max-time 6 "http://$AT/channel/1.ts" -o "$BATS_TEST_TMPDIR/a"
    local other=$PID
    spawn victim curl -s --max-time 9 "http://$AT/channel/2.ts" -o /dev/null
    wait_until '[ "$(curl -s "http://$AT/healthz" | jq .viewers)" = 2 ]' 5
    kill -KILL "$RING"
    # the index, bit by bit, then the header with its sizes
    for at in 60 40 20 8 4 2 1 0; do
        dd if=/dev/urandom of="$RUN/2/ts" bs=4096 seek="$at" count=20 \
            conv=notrunc status=none
        assert_eq "$(status_of "http://$AT/healthz")" 200
    done
    assert_eq "$(status_of -I "http://$AT/channel/1.ts")" 200
    status_of -I "http://$AT/channel/2.ts" # whatever it says
    wait "$other" || true
    assert_stream "$BATS_TEST_TMPDIR/a" '.packets > 2500'
    gone "$HTTP" && return 1 || true
}

@test "a virtual clock stands still, steps and runs: releases follow it" {
    local due
    mkfifo "$BATS_TEST_TMPDIR/orders"
    spawn vclock bash -c "exec '$TOOLS/rv-vclock' '$RUN' <'$BATS_TEST_TMPDIR/orders'"
    exec 8>"$BATS_TEST_TMPDIR/orders"
    wait_until "grep -q ready '$BATS_TEST_TMPDIR/vclock.out'" 5
    ring 1 --run-dir "$RUN" --lead 10000
    http
    wait_until '[ "$(stats frame)" = 0 ]' 5
    spawn viewer curl -sN --max-time 20 "http://$AT/channel/1.ts" -o "$BATS_TEST_TMPDIR/a"
    local viewer=$PID
    wait_until '[ "$(stat -c %s "$BATS_TEST_TMPDIR/a")" = 3760 ]' 5
    echo "step 1" >&8
    wait_until '[ "$(stats frame)" = 25 ]' 5
    wait_until '[ "$(stat -c %s "$BATS_TEST_TMPDIR/a")" = $((26 * 3760)) ]' 5
    echo "rate 20000000" >&8 # twenty times as fast: a minute in three seconds
    wait_until '[ "$(stats frame)" -gt 1500 ]' 12
    echo "rate 0" >&8
    kill "$viewer"
    assert_stream "$BATS_TEST_TMPDIR/a" '.first == 0 and .packets > 25000'
    exec 8>&-
}
