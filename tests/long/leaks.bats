#!/usr/bin/env bats
# What starts and stops for days leaves nothing: no process, file, socket, page
# of shared memory or byte.  RV_ROUNDS: how often (50); tests/check-all.sh also
# runs this with the sanitizers' build.
# timeout: 900

load ../lib
load ../service

setup() {
    rv_setup
    ROUNDS=${RV_ROUNDS:-50}
    A=$(make_clip film.mov --clip 1 --frames 150)
    B=$(make_clip spot.mp4 --clip 2 --frames 60 --gop 15)
    plan=$BATS_TEST_TMPDIR/plan.json
    echo '{"version":1, "loop":true, "segments":[
        {"asset":"'"$A"'"}, {"asset":"'"$B"'","in":"7f","duration":"41f"}]}' >"$plan"
}

# descriptors PID: how many it has open.
descriptors() {
    find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}

# rounds N: four channels on two ports, started and stopped in any order, with
# a viewer, a cut and a new plan on the way; descriptors of serve stay few.
rounds() {
    local round channel most=0 other
    other=$(free_port)
    declare -A port=([1]='' [2]='' [3]=$other [4]=$other)
    for round in $(seq "$1"); do
        for channel in $(shuf -e 1 2 3 4); do
            # shellcheck disable=SC2086
            ctl start "$channel" "$plan" ${port[$channel]}
        done
        receive 3 $((round == 1 ? 3 : 1)) "$BATS_TEST_TMPDIR/seen.ts" "$other"
        [ "$round" -gt 1 ] || [ -s "$BATS_TEST_TMPDIR/seen.ts" ]
        ctl load 2 "$B"
        ctl switch 2
        ctl update 4 "$A"
        for channel in $(shuf -e 1 2 3 4); do
            ctl stop "$channel"
        done
        if [ "$round" -eq 2 ]; then
            most=$(descriptors "$SERVE")
        fi
    done >"$BATS_TEST_TMPDIR/rounds"
    wait_until '[ "$(descriptors '"$SERVE"')" -le '"$most"' ]' 5
}

@test "four channels, again and again in any order, leave nothing" {
    start_serve --house 320x180@30000/1001
    rounds "$ROUNDS"
    stop_serve
}

# under_valgrind FOLDER: programs for $BIN, the servers among them watched.  Not
# rv-ctl and rv-stage: valgrind knows neither pidfd_open nor futex_waitv.
under_valgrind() {
    local tool
    mkdir "$1"
    cp "$BIN"/rv-* "$1"
    for tool in rv-http rv-metrics; do
        cat >"$1/$tool" <<-WRAPPER
		#!/bin/sh
		exec valgrind -q --error-exitcode=99 --leak-check=full \
		    --errors-for-leak-kinds=definite --log-file="$1/log.%p" \
		    --suppressions="$ROOT/tests/valgrind.supp" "$BIN/$tool" "\$@"
		WRAPPER
    done
}

@test "the long-lived servers are clean under valgrind" {
    [[ $BIN != *variant* ]] || skip "the sanitizers look at that build"
    local bin=$BATS_TEST_TMPDIR/bin
    under_valgrind "$bin"
    BIN=$bin start_serve --house 320x180@30000/1001
    wait_until 'curl -sf "http://$METRICS/metrics" >/dev/null' 20
    BIN=$bin rounds 3
    curl -sf "http://$METRICS/metrics" >/dev/null
    stop_serve
    # "--": what valgrind does not know, as epoll_pwait2, which has a substitute
    assert_eq "$(grep -h '^==' "$bin"/log.*)" ""
    # two servers and the metrics at least
    assert_le 3 "$(find "$bin" -name 'log.*' | wc -l)" "programs watched"
}
