# All processes stopped at once, as when a machine sleeps: the viewer's stream
# goes on behind the hole, no frame comes twice or goes back.
load ../lib
load ../service

setup() {
    rv_setup
    A=$(make_clip long.mov --clip 1 --frames 900 --size 320x180)
}

# stop_all SECONDS: everything of ours but the viewer.
stop_all() {
    local pid pids=()
    for pid in $(test_processes); do
        case $(cat "/proc/$pid/comm") in rv-*) pids+=("$pid") ;; esac
    done
    kill -STOP "${pids[@]}"
    sleep "$1"
    kill -CONT "${pids[@]}"
}

# hole_of SECONDS: a viewer of 12 s more than the hole, which begins after 4 s.
hole_of() {
    start_serve --house 320x180@30000/1001
    ctl start 1 "$A"
    receive 1 "$((12 + $1))" "$BATS_TEST_TMPDIR/out.ts" &
    local viewer=$!
    wait_until '[ "$(metric retrovue_playout_frames_rendered_total)" -gt 120 ]' 15
    stop_all "$1"
    wait $viewer
    dropped=$(metric retrovue_playout_frames_dropped_total)
    restarts=$(curl -s "http://$METRICS/metrics" |
        awk '/^retrovue_playout_restart_total/ { n += $NF } END { print n + 0 }')
    ctl stop 1
    stop_serve
    marks "$BATS_TEST_TMPDIR/out.ts" . >"$BATS_TEST_TMPDIR/summary"
    jq -c '{runs, clips, pts_backward, gaps}' "$BATS_TEST_TMPDIR/summary" >&2
    echo "dropped $dropped, restarts $restarts" >&2
    assert_eq "$restarts" 0 "processes restarted"
    assert_eq "$(jq '.pts_backward' "$BATS_TEST_TMPDIR/summary")" 0
    assert_eq "$(jq '[.clips[] | .repeated + .backward] | add' \
        "$BATS_TEST_TMPDIR/summary")" 0 "frames again or back"
    # 12 s of viewing less the start
    assert_le 270 "$(jq .marked "$BATS_TEST_TMPDIR/summary")" "frames seen"
}

@test "a hole of two seconds skips its frames, and they are counted" {
    hole_of 2
    # the last of one run to the first of the next
    missing=$(jq -r '.clips[0].missing' "$BATS_TEST_TMPDIR/summary")
    assert_eq "$missing" "$dropped" "frames missing"
}

@test "a hole of ten seconds is a new epoch: the programme goes on where it was" {
    hole_of 10
}
