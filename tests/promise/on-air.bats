# What a viewer of a running channel sees, frame by frame.
load ../lib
load ../service

setup() {
    rv_setup
    A=$(make_clip film.mov --clip 1 --frames 150)
    B=$(make_clip spot.mp4 --clip 2 --frames 60 --gop 15)
    C=$(make_clip ident.mkv --clip 3 --frames 33)
    plan=$BATS_TEST_TMPDIR/plan.json
    HOUSE='"house":{"video":{"width":320,"height":180,"frame_rate":"30000/1001"},"audio":{"sample_rate":48000,"channels":2}}'
    cat >"$plan" <<-PLAN
	{"version":1, "loop":true, $HOUSE, "segments":[
	  {"id":"film","asset":"$A"},
	  {"id":"spot","asset":"$B","in":"7f","duration":"41f"},
	  {"id":"ident","asset":"$C"},
	  {"id":"one","asset":"$A","in":"100f","duration":"1f"},
	  {"id":"film2","asset":"$A","in":"101f"}]}
	PLAN
    # what one time around the plan shows
    ROUND='1:0-149 2:7-47 3:0-32 1:100-149'
}

@test "every frame of every segment is on the air, once, in order" {
    start_serve
    ctl start 1 "$plan"
    receive 1 20 "$BATS_TEST_TMPDIR/out.ts"
    ctl stop 1
    # the as-run log accounts for every frame, up to the last one
    jq -se '.[0].first_frame == 0 and .[-1].last_frame >= 560 and
        ([range(1; length) as $i | .[$i].first_frame == .[$i-1].last_frame + 1]
        | all)' "$RUN/state/asrun-1.jsonl"
    stop_serve
    check_rounds "$BATS_TEST_TMPDIR/out.ts" "$ROUND"
}

@test "stage and renderer killed in turn: no frame is lost or doubled" {
    start_serve
    ctl start 1 "$plan"
    receive 1 20 "$BATS_TEST_TMPDIR/out.ts" &
    viewer=$!
    for round in 1 2 3; do
        for name in stage render; do
            sleep 2
            kill -KILL "$(proc_pid 1 $name)"
            wait_until "proc_pid 1 $name >/dev/null" 5
        done
    done
    wait $viewer
    ctl stop 1
    stop_serve
    check_rounds "$BATS_TEST_TMPDIR/out.ts" "$ROUND"
}

@test "the shell pipeline and the service give the same frames" {
    export RETROVUE_RUN_DIR=$RUN/shell PATH=$BIN:$PATH
    mkdir "$RUN/shell"
    jq '.loop = false' "$plan" >"$BATS_TEST_TMPDIR/once.json"
    rv-plan resolve "$BATS_TEST_TMPDIR/once.json" | rv-decode --nut |
        "$TOOLS/rv-readmarks" --hash - | cut -d ' ' -f 4- >"$BATS_TEST_TMPDIR/shell.hash"
    unset RETROVUE_RUN_DIR
    rm -rf "$RUN/shell"

    start_serve
    ctl start 1 "$BATS_TEST_TMPDIR/once.json"
    # what the renderer takes; the plan lasts nine seconds, six of them will do
    wait_until '[ -e "$RUN/run/1/ring" ]' 5
    spawn tap "$BIN/rv-tap" --run-dir "$RUN/run" --channel 1 --nut -n 181
    tap=$PID
    status_within "$tap" 20
    ctl stop 1
    stop_serve
    "$TOOLS/rv-readmarks" --hash "$BATS_TEST_TMPDIR/tap.out" |
        cut -d ' ' -f 4- >"$BATS_TEST_TMPDIR/service.hash"
    assert_eq "$(wc -l <"$BATS_TEST_TMPDIR/shell.hash")" 274 "frames"
    assert_eq "$(wc -l <"$BATS_TEST_TMPDIR/service.hash")" 181 "frames"
    # the last one's sound may lack a sample of the frame that follows
    sed -i '$ d' "$BATS_TEST_TMPDIR/service.hash"
    place=$(grep -n -x -F -m 1 "$(head -n 1 "$BATS_TEST_TMPDIR/service.hash")" \
        "$BATS_TEST_TMPDIR/shell.hash" | cut -d : -f 1)
    tail -n "+$place" "$BATS_TEST_TMPDIR/shell.hash" | head -n 180 |
        cmp - "$BATS_TEST_TMPDIR/service.hash"
}

@test "two channels on one port and two on another, in any order" {
    start_serve
    other=$(free_port)
    for i in 1 2 3; do
        callers=()
        for channel in 1 2; do
            ctl start $channel "$plan" &
            callers+=($!)
            ctl start $((channel + 2)) "$plan" "$other" &
            callers+=($!)
        done
        wait "${callers[@]}"
        for channel in 1 2; do
            curl -s --max-time 2 "$(url $channel)" | head -c 188 |
                grep -qa '^G'
        done
        curl -s --max-time 2 "$(url 3 "$other")" | head -c 188 | grep -qa '^G'
        # a channel answers on its own port only
        assert_eq "$(curl -s -o /dev/null -w '%{http_code}' \
            "$(url 3 "$HTTP_PORT")")" 404
        for channel in $(shuf -e 1 2 3 4); do
            ctl stop "$channel"
        done
    done
    stop_serve
}
