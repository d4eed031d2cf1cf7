# The long proofs of a running channel.
load ../lib
load ../service

setup() {
    rv_setup
    P1=$(make_clip programme1.mp4 --clip 1 --frames 600 --size 1280x720)
    P2=$(make_clip programme2.mov --clip 2 --frames 450 --size 1280x720 --gop 48)
    AD=$(make_clip commercial.mp4 --clip 3 --frames 300 --size 1280x720)
    ID=$(make_clip ident.mkv --clip 4 --frames 90 --size 1280x720)
    plan=$BATS_TEST_TMPDIR/plan.json
    cat >"$plan" <<-PLAN
	{"version":1, "loop":true, "segments":[
	  {"id":"programme1","asset":"$P1"},
	  {"id":"commercial","asset":"$AD","in":"31f","duration":"200f"},
	  {"id":"ident","asset":"$ID"},
	  {"id":"programme2","asset":"$P2","in":"13f"},
	  {"id":"ident2","asset":"$ID","duration":"45f"}]}
	PLAN
    ROUND='1:0-599 3:31-230 4:0-89 2:13-449 4:0-44'
}

@test "two minutes of a channel: every frame, once, in order, sound with it" {
    start_serve
    ctl start 1 "$plan"
    receive 1 120 "$BATS_TEST_TMPDIR/out.ts"
    ctl stop 1
    stop_serve
    check_rounds "$BATS_TEST_TMPDIR/out.ts" "$ROUND"
    assert_le 3500 "$(jq .pictures "$BATS_TEST_TMPDIR/summary")" "pictures"
}

@test "stage and renderer killed ten times each: nothing is lost" {
    start_serve
    ctl start 1 "$plan"
    receive 1 60 "$BATS_TEST_TMPDIR/out.ts" &
    viewer=$!
    for round in 1 2 3 4 5 6 7 8 9 10; do
        for name in stage render; do
            sleep "$((RANDOM % 2 + 1)).$((RANDOM % 10))"
            kill -KILL "$(proc_pid 1 $name)"
            wait_until "proc_pid 1 $name >/dev/null" 5
        done
    done
    wait $viewer
    ctl stop 1
    stop_serve
    check_rounds "$BATS_TEST_TMPDIR/out.ts" "$ROUND"
}

@test "four channels on two ports, fifty times in any order, leave nothing" {
    start_serve --house 320x180@30000/1001
    other=$(free_port)
    declare -A port=([1]= [2]= [3]=$other [4]=$other)
    for round in $(seq 50); do
        for channel in $(shuf -e 1 2 3 4); do
            ctl start "$channel" "$plan" ${port[$channel]}
        done
        for channel in $(shuf -e 1 2 3 4); do
            ctl stop "$channel"
        done
        if [ "$round" = 5 ]; then
            fds=$(ls "/proc/$SERVE/fd" | wc -l)
        fi
    done
    assert_le "$(ls "/proc/$SERVE/fd" | wc -l)" "$fds" "descriptors of serve"
    stop_serve
}

@test "two servers on one host do not meet" {
    start_serve --house 320x180@30000/1001
    first_serve=$SERVE first_sock=$SOCK first_port=$HTTP_PORT
    mv "$BATS_TEST_TMPDIR/serve.out" "$BATS_TEST_TMPDIR/first.out"
    mkdir "$RUN/second"
    first_run=$RUN
    RUN=$RUN/second
    start_serve --house 320x180@30000/1001
    ctl start 1 "$plan"
    "$BIN/rv-ctl" --address "unix:$first_sock" start 1 "$plan"
    curl -s --max-time 2 "$(url 1)" | head -c 188 | grep -qa '^G'
    curl -s --max-time 2 "$(url 1 "$first_port")" | head -c 188 | grep -qa '^G'
    kill -TERM "$SERVE"
    status_within "$SERVE" 10
    curl -s --max-time 2 "$(url 1 "$first_port")" | head -c 188 | grep -qa '^G'
    rm -rf -- "$RUN"
    RUN=$first_run SERVE=$first_serve
    stop_serve
}
