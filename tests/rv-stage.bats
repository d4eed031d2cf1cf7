#!/usr/bin/env bats
# rv-stage with a decoder without a codec (rv-poolgen) and a renderer without
# an encoder (rv-ringread): which frame stands where, whatever is killed.

load lib

# pool_in NUMBER [AT [ORIGIN [REASON [MORE]]]]: an input of this channel's list
pool_in() {
    printf '{"pool":"%s/1/pool-%s","at":%s,"origin":%s,"reason":"%s"%s}' \
        "$RUN" "$1" "${2:-null}" "${3:-null}" "${4:-plan}" "${5:+,$5}"
}

# list SERIAL END INPUT...
list() {
    local serial=$1 end=$2 IFS=,
    shift 2
    printf '{"serial":%s,"end":%s,"inputs":[%s]}\n' "$serial" "$end" "$*"
}

# stage [OPTION...]: a stage in service, in the background
stage() {
    spawn stage "$BIN/rv-stage" --run-dir "$RUN" --channel 1 \
        --house "${HOUSE:-32x16@25}" --asrun "$BATS_TEST_TMPDIR/asrun" "$@"
    STAGE=$PID
}

# gen NUMBER [OPTION...]: a decoder for pool NUMBER, clip NUMBER
gen() {
    mkdir -p "$RUN/1"
    spawn "gen$1" "$TOOLS/rv-poolgen" --pool "$RUN/1/pool-$1" --clip "$@"
    GEN=$PID
    wait_until '[ -e "$RUN/1/pool-'"$1"'" ]' 5
}

want() { "$TOOLS/rv-want" "$RUN/1/ring"; }
read_ring() { "$TOOLS/rv-ringread" --ring "$RUN/1/ring" "$@"; }
asrun() { jq -c '[.segment,.first_frame,.last_frame,.asset_first_frame,.reason]' \
    "$BATS_TEST_TMPDIR/asrun"; }

# shell INPUT_TEXT [OPTION...]: a stage in a shell over these lines
shell_stage() {
    local text=$1
    shift
    printf '%s\n' "$text" >"$BATS_TEST_TMPDIR/lines"
    "$BIN/rv-stage" --ring "$RUN/r/ring" "$@" <"$BATS_TEST_TMPDIR/lines" \
        >"$BATS_TEST_TMPDIR/asrun" 2>"$BATS_TEST_TMPDIR/stage.err" 3>&- &
    STAGE=$!
}
read_shell() { "$TOOLS/rv-ringread" --ring "$RUN/r/ring" "$@"; }

# --- in a shell ---------------------------------------------------------------

@test "in a shell every frame comes once, in order, and nothing is left" {
    "$TOOLS/rv-poolgen" --pool "$RUN/p" --frames 700 --part 200 --gap 250:10 \
        --line 3>&- | "$BIN/rv-stage" --ring "$RUN/r/ring" \
        >"$BATS_TEST_TMPDIR/asrun" 3>&- &
    run read_shell
    assert_eq "$status" 0
    assert_eq "$output" "0-249 clip 1 index 0-249 plan
250-259 slate: gap
260-699 clip 1 index 260-699 plan"
    wait_until 'gone $!' 5
    assert_eq "$(asrun)" '["s0",0,199,0,"plan"]
["s1",200,249,0,"plan"]
["",250,259,0,"slate: gap"]
["s1",260,399,60,"plan"]
["s2",400,599,0,"plan"]
["s3",600,699,0,"plan"]'
    assert_clean
}

@test "the second pool follows right behind the first one's end" {
    "$TOOLS/rv-poolgen" --pool "$RUN/a" --frames 123 --clip 1 3>&- &
    "$TOOLS/rv-poolgen" --pool "$RUN/b" --frames 77 --clip 2 --first 5 3>&- &
    wait_until '[ -e "$RUN/a" ] && [ -e "$RUN/b" ]' 5
    shell_stage '{"serial":1,"end":true,"inputs":[
{"pool":"'"$RUN"'/a","at":null,"origin":null,"reason":"plan"},'"
"'{"pool":"'"$RUN"'/b","at":null,"origin":null,"reason":"plan"}]}' || true
    wait_until 'gone $STAGE' 5 # the line is broken in two: refused
    shell_stage "$(tr -d '\n' <"$BATS_TEST_TMPDIR/lines")"
    run read_shell
    assert_eq "$output" "0-122 clip 1 index 0-122 plan
123-199 clip 2 index 5-81 plan"
    wait_until 'gone $STAGE' 5
}

@test "a pool that fails ends the programme there, with what it had" {
    "$TOOLS/rv-poolgen" --pool "$RUN/a" --frames 50 --fail "broken file" 3>&- &
    wait_until '[ -e "$RUN/a" ]' 5
    shell_stage '{"serial":1,"end":false,"inputs":[{"pool":"'"$RUN"'/a","at":null,"origin":null,"reason":"plan"}]}'
    run read_shell
    assert_eq "$output" "0-49 clip 1 index 0-49 plan"
    wait_until 'gone $STAGE' 5
    assert_clean
}

@test "a decoder that dies in a shell ends the programme with its last frame" {
    "$TOOLS/rv-poolgen" --pool "$RUN/a" --frames 50 --die-at 31 3>&- &
    wait_until '[ -e "$RUN/a" ]' 5
    shell_stage '{"serial":1,"end":true,"inputs":[{"pool":"'"$RUN"'/a","at":null,"origin":null,"reason":"plan"}]}'
    run read_shell
    assert_eq "$output" "0-30 clip 1 index 0-30 plan"
    wait_until 'gone $STAGE' 5
    assert_clean
}

@test "SIGTERM ends a stage that waits for a consumer, and leaves nothing" {
    "$TOOLS/rv-poolgen" --pool "$RUN/a" --frames 20 3>&- &
    wait_until '[ -e "$RUN/a" ]' 5
    shell_stage '{"serial":1,"end":true,"inputs":[{"pool":"'"$RUN"'/a","at":null,"origin":null,"reason":"plan"}]}'
    wait_until '[ -e "$RUN/r/ring" ]' 5
    kill "$STAGE"
    status_within "$STAGE" 5
    assert_clean
}

@test "a ring by name lies in the run folder and goes with the stage" {
    "$TOOLS/rv-poolgen" --pool "$RUN/a" --frames 20 3>&- &
    wait_until '[ -e "$RUN/a" ]' 5
    echo '{"serial":1,"end":true,"inputs":[{"pool":"'"$RUN"'/a","at":null,"origin":null,"reason":"plan"}]}' |
        "$BIN/rv-stage" --run-dir "$RUN/run" --ring one 3>&- >/dev/null &
    run "$TOOLS/rv-ringread" --ring "$RUN/run/one/ring"
    assert_eq "$output" "0-19 clip 1 index 0-19 plan"
    wait_until 'gone $!' 5
    [ ! -e "$RUN/run/one" ]
}

@test "--no-wait gives up when nobody is there at the end" {
    "$TOOLS/rv-poolgen" --pool "$RUN/a" --frames 20 3>&- &
    wait_until '[ -e "$RUN/a" ]' 5
    shell_stage '{"serial":1,"end":true,"inputs":[{"pool":"'"$RUN"'/a","at":null,"origin":null,"reason":"plan"}]}' --no-wait
    status_within "$STAGE" 5
    assert_clean
}

@test "wrong input is one sentence and status 1" {
    run bash -c "echo garbage | '$BIN/rv-stage' --ring '$RUN/r/ring'"
    assert_eq "$status" 1
    [[ $output == "rv-stage: standard input, line 1: "* ]]
    assert_eq "${#lines[@]}" 1
    run bash -c "'$BIN/rv-stage' --ring '$RUN/r/ring' </dev/null"
    assert_eq "$status" 1
    [[ $output == *"without a list of inputs"* ]]
    run bash -c "echo '{\"serial\":1,\"end\":true,\"inputs\":[{\"pool\":\"$RUN/none\",\"at\":null,\"origin\":null,\"reason\":\"plan\"}]}' | '$BIN/rv-stage' --ring '$RUN/r/ring'"
    assert_eq "$status" 3
    [[ $output == *"$RUN/none: No such file"* ]]
    head -c 5000 /dev/urandom >"$RUN/bad"
    run bash -c "echo '{\"serial\":1,\"end\":true,\"inputs\":[{\"pool\":\"$RUN/bad\",\"at\":null,\"origin\":null,\"reason\":\"plan\"}]}' | '$BIN/rv-stage' --ring '$RUN/r/ring'"
    assert_eq "$status" 1
    [[ $output == *"this is no pool"* ]]
    mkdir -p "$RUN/r" && head -c 70000 /dev/urandom >"$RUN/r/ring"
    run "$BIN/rv-stage" --ring "$RUN/r/ring" --house 32x16@25 </dev/null
    assert_eq "$status" 1
    [[ $output == *"this is no stage ring"* ]]
}

@test "wrong usage is status 2" {
    local options
    for options in "" "--ring a --channel 1" "--channel 1" "--ring a extra" \
        "--ring a --min-depth 0" "--ring a --min-depth 50 --max-depth 40" \
        "--ring a --house big" "--channel 0 --house 32x16@25"; do
        # shellcheck disable=SC2086
        run "$BIN/rv-stage" $options </dev/null
        assert_eq "$status" 2 "$options"
    done
    run "$BIN/rv-stage" --help
    assert_eq "$status" 0
}

@test "a full disk is a sentence and status 4" {
    run bash -c "trap '' XFSZ; ulimit -f 16; '$BIN/rv-stage' --ring '$RUN/r/ring' --house 1920x1080@25 </dev/null"
    assert_eq "$status" 4
    [[ $output == *"no room for"* ]]
    assert_clean
}

# --- in service ---------------------------------------------------------------

@test "two stages on one ring: the second is refused" {
    stage
    wait_until '[ -e "$RUN/1/ring" ]' 5
    run "$BIN/rv-stage" --run-dir "$RUN" --channel 1 --house 32x16@25
    assert_eq "$status" 1
    "$BIN/rv-stage" --ring "$RUN/1/ring" --house 32x16@25 </dev/null \
        2>"$BATS_TEST_TMPDIR/second" && false
    grep -q "living stage" "$BATS_TEST_TMPDIR/second"
    kill "$STAGE"
    status_within "$STAGE" 5
    [ -e "$RUN/1/ring" ] # the director's to remove
}

@test "a cut at a set frame, and one as soon as possible, are exact" {
    stage
    gen 1 --frames 2000
    list 1 false "$(pool_in 1 0 0)" | want
    gen 2 --frames 100
    gen 3 --frames 2000 --first 30
    read_ring --frames 600 --pace 3000 >"$BATS_TEST_TMPDIR/read" 3>&- &
    local reader=$!
    assert_eq "$(list 2 false "$(pool_in 1 0 0)" "$(pool_in 2 200 200 preview)" \
        "$(pool_in 1 300 0)" | want)" -1
    wait_until 'grep -q "^0-199" "$BATS_TEST_TMPDIR/read"' 10
    local cut
    cut=$(list 3 false "$(pool_in 1 0 0)" "$(pool_in 2 200 200 preview)" \
        "$(pool_in 1 300 0)" "$(pool_in 3 '"now"' null preview)" | want)
    wait_until 'gone $reader' 10
    cat "$BATS_TEST_TMPDIR/read"
    if ((cut > 300)); then
        assert_eq "$(cat "$BATS_TEST_TMPDIR/read")" "0-199 clip 1 index 0-199 plan
200-299 clip 2 index 0-99 preview
300-$((cut - 1)) clip 1 index 300-$((cut - 1)) plan
$cut-599 clip 3 index 30-$((629 - cut)) preview"
    else
        assert_eq "$(cat "$BATS_TEST_TMPDIR/read")" "0-199 clip 1 index 0-199 plan
200-$((cut - 1)) clip 2 index 0-$((cut - 201)) preview
$cut-599 clip 3 index 30-$((629 - cut)) preview"
    fi
}

@test "now is not before the frame that is told, and then at once" {
    stage --min-depth 60
    gen 1 --frames 200 --slots 100
    gen 2 --frames 200
    gen 3 --frames 200
    list 1 false "$(pool_in 1 0 0)" | want
    wait_until 'grep -q "channel is ready" "$BATS_TEST_TMPDIR/stage.err"' 5
    assert_eq "$(list 2 false "$(pool_in 1 0 0)" \
        "$(pool_in 2 '"now"' null preview '"not_before":20')" | want)" 20
    # behind what is staged yet
    assert_eq "$(list 3 false "$(pool_in 1 0 0)" "$(pool_in 2 20 20 preview)" \
        "$(pool_in 3 '"now"' null preview '"not_before":150')" | want)" 150
    run read_ring --frames 170
    assert_eq "$output" "0-19 clip 1 index 0-19 plan
20-149 clip 2 index 0-129 preview
150-169 clip 3 index 0-19 preview"
}

@test "frames that a new list leaves as they were are not taken back" {
    stage --min-depth 60
    gen 1 --frames 200 --slots 100
    gen 2 --frames 200
    list 1 false "$(pool_in 1 0 0)" | want
    wait_until 'grep -q "channel is ready" "$BATS_TEST_TMPDIR/stage.err"' 5
    list 2 false "$(pool_in 1 0 0)" | want # now all of them are staged
    assert_eq "$(list 3 false "$(pool_in 1 0 0)" "$(pool_in 2 50 50)" | want)" 50
    assert_eq "$(list 4 false "$(pool_in 1 0 0)" "$(pool_in 2 50 50)" \
        "$(pool_in 1 55 5)" | want)" 55
    assert_eq "$(list 5 false "$(pool_in 1 0 0)" "$(pool_in 2 50 50)" \
        "$(pool_in 1 55 5)" | want)" -1
    run read_ring --frames 60
    assert_eq "$output" "0-49 clip 1 index 0-49 plan
50-54 clip 2 index 0-4 plan
55-59 clip 1 index 50-54 plan"
}

# A preview that ends earlier than was told: what it hid had been looked over.
@test "what a list hides is still there when the next one shows it" {
    stage
    gen 1 --frames 300 --slots 200
    gen 2 --frames 150 --slots 200
    list 1 false "$(pool_in 1 0 0 plan '"until":20')" \
        "$(pool_in 2 20 20 preview '"until":140')" "$(pool_in 1 140 0)" | want
    run read_ring --frames 100
    assert_eq "$output" "0-19 clip 1 index 0-19 plan
20-99 clip 2 index 0-79 preview"
    sleep 0.3 # the ring is filled to 160, and what is not needed let go of
    list 2 false "$(pool_in 1 0 0 plan '"until":20')" \
        "$(pool_in 2 20 20 preview '"until":110')" "$(pool_in 1 110 0)" | want
    run read_ring --frames 200
    assert_eq "$output" "100-109 clip 2 index 80-89 preview
110-199 clip 1 index 110-199 plan"
}

@test "a stage that is killed again and again loses and doubles nothing" {
    local round=0 kills=0 i expected=
    stage
    gen 1 --frames 1500 --part 100 --segment s --pace 300
    list 1 false "$(pool_in 1 0 0)" "$(pool_in 2)" | want
    spawn reader "$TOOLS/rv-ringread" --ring "$RUN/1/ring" --frames 3000 --pace 700
    local reader=$PID
    gen 2 --frames 1500 --part 100 --segment t --pace 300
    while ! gone "$reader"; do
        kill -KILL "$STAGE"
        wait "$STAGE" 2>/dev/null || true
        kills=$((kills + 1))
        stage
        wait_until 'gone $reader || [ -e "$RUN/1/stage.proc" ]' 5
        "$PYTHON" -c "import random,time; time.sleep(random.random()*.12)"
        ((++round < 400)) || break
    done
    status_within "$reader" 20
    assert_eq "$(cat "$BATS_TEST_TMPDIR/reader.out")" \
        "0-1499 clip 1 index 0-1499 plan
1500-2999 clip 2 index 0-1499 plan"
    echo "$kills kills"
    ((kills > 10))
    for ((i = 0; i < 29; i++)); do
        expected+="$((i * 100)) $((i * 100 + 99))"$'\n'
    done
    wait_until '[ "$(jq -r "\"\(.first_frame) \(.last_frame)\"" "$BATS_TEST_TMPDIR/asrun" | sort -nu | head -29)" = "${expected%?}" ]' 5
}

@test "a missing pool is slate and state error, then the programme is back" {
    stage
    gen 2 --frames 300
    list 1 false "$(pool_in 1 0 0)" "$(pool_in 2 30 30)" | want
    wait_until 'grep -q "channel is error" "$BATS_TEST_TMPDIR/stage.err"' 5
    run read_ring --frames 60
    assert_eq "$output" "0-29 slate: asset cannot be played
30-59 clip 2 index 0-29 plan"
    wait_until 'grep -q "channel is ready" "$BATS_TEST_TMPDIR/stage.err"' 5
}

@test "a pool that comes late takes the place of what is not yet taken" {
    stage
    wait_until '[ -e "$RUN/1/ring" ]' 5
    list 1 false "$(pool_in 1 0 0)" "$(pool_in 2)" | want
    gen 1 --frames 50
    gen 2 --frames 50
    wait_until 'grep -q "channel is ready" "$BATS_TEST_TMPDIR/stage.err"' 5
    run read_ring --frames 100
    assert_eq "$output" "0-49 clip 1 index 0-49 plan
50-99 clip 2 index 0-49 plan"
}

@test "input that is late is slate, and comes back at its own frame" {
    HOUSE=32x16@100 stage --start-delay 100
    gen 1 --frames 100 --slots 100 --house 32x16@100
    list 1 false "$(pool_in 1 0 0)" "$(pool_in 2 100 100)" | want
    spawn reader "$TOOLS/rv-ringread" --ring "$RUN/1/ring" --frames 200 --paced
    local reader=$PID
    wait_until 'grep -q "^0-99 clip 1" "$BATS_TEST_TMPDIR/reader.out"' 10
    gen 2 --frames 200 --slots 200 --house 32x16@100
    wait_until 'gone $reader' 10
    cat "$BATS_TEST_TMPDIR/reader.out"
    local missed
    missed=$(sed -n 's/^100-\([0-9]*\) slate: .*/\1/p' "$BATS_TEST_TMPDIR/reader.out")
    assert_eq "$(tail -1 "$BATS_TEST_TMPDIR/reader.out")" \
        "$((missed + 1))-199 clip 2 index $((missed + 1 - 100))-99 plan"
}

# metric NAME: its value for channel 1
metric() {
    "$BIN/rv-metrics" --run-dir "$RUN" --once |
        sed -n 's/^retrovue_playout_'"$1"'{channel="1"} //p'
}

@test "an underrun is counted once, a change of programme is not" {
    HOUSE=32x16@100 stage
    gen 1 --frames 1000 --slots 100 --house 32x16@100
    gen 2 --frames 100 --slots 100 --house 32x16@100
    list 1 false "$(pool_in 1 0 0)" | want
    spawn reader "$TOOLS/rv-ringread" --ring "$RUN/1/ring" --paced
    wait_until '[ "$(metric channel_state)" = 2 ]' 5
    wait_until '[ "$(metric buffer_depth_frames)" -ge 60 ]' 5
    list 2 false "$(pool_in 1 0 0)" "$(pool_in 2 '"now"' null preview)" | want
    assert_eq "$(metric buffer_underrun_total)" 0
    assert_eq "$(metric channel_state)" 2
    wait_until 'grep -q "clip 2" "$BATS_TEST_TMPDIR/reader.out"' 5
    assert_eq "$(metric channel_state)" 1
    assert_eq "$(metric buffer_underrun_total)" 1
    list 3 false '{"slate":"end of plan","reason":"slate: end of plan","at":"now","state":2}' | want
    wait_until '[ "$(metric channel_state)" = 2 ]' 5
    assert_eq "$(metric buffer_underrun_total)" 1
}

@test "slate for what is late names the segment that it stands for" {
    stage
    gen 1 --frames 20
    list 1 false "$(pool_in 1 0 0 plan '"segment":"s1","asset":"/a.mkv"')" | want
    spawn reader "$TOOLS/rv-ringread" --ring "$RUN/1/ring" --paced --frames 40
    status_within "$PID" 5
    assert_eq "$(tail -n 1 "$BATS_TEST_TMPDIR/reader.out")" "20-39 slate: input late"
    list 2 true | want
    wait_until 'grep -q "input late" "$BATS_TEST_TMPDIR/asrun"' 5
    run jq -c 'select(.reason != "plan") | [.segment, .asset, .first_frame]' "$BATS_TEST_TMPDIR/asrun"
    assert_eq "$output" '["s1","/a.mkv",20]'
}

@test "a channel without input shows slate after one and a half seconds" {
    stage
    spawn reader "$TOOLS/rv-ringread" --ring "$RUN/1/ring" --frames 10 --paced
    status_within "$PID" 5
    assert_eq "$(cat "$BATS_TEST_TMPDIR/reader.out")" "0-9 slate: input late"
}

@test "a hole of more than five seconds is a new epoch, not a storm of slate" {
    # The epoch lies 20 s back: as if all had slept.
    stage --epoch $(($(date +%s%6N) - 20000000))
    gen 1 --frames 300
    list 1 false "$(pool_in 1 0 0)" | want
    run read_ring --frames 60 --paced
    assert_eq "$output" "0-59 clip 1 index 0-59 plan"
    grep -q "a new epoch" "$BATS_TEST_TMPDIR/stage.err"
}

@test "a wrong list is a logged sentence, and the one before stays" {
    stage
    gen 1 --frames 300
    list 1 false "$(pool_in 1 0 0)" | want
    echo nonsense | want && false
    wait_until 'grep -q "the list before stays" "$BATS_TEST_TMPDIR/stage.err"' 5
    run read_ring --frames 200
    assert_eq "$output" "0-199 clip 1 index 0-199 plan"
}

@test "a pool is removed when nobody needs it any more, and not before" {
    stage
    gen 1 --frames 60
    gen 2 --frames 300
    list 1 false "$(pool_in 1 0 0)" "$(pool_in 2)" | want
    read_ring --frames 100 >/dev/null
    [ -e "$RUN/1/pool-1" ]
    list 2 false "$(pool_in 2 60 60)" | want
    wait_until '[ ! -e "$RUN/1/pool-1" ]' 5
    [ -e "$RUN/1/pool-2" ]
}

@test "a stage and a renderer whose folder was removed end with status 3" {
    stage
    wait_until '[ -e "$RUN/1/ring" ]' 5
    spawn render "$BIN/rv-render" --run-dir "$RUN" --channel 1
    local render=$PID
    wait_until '[ -e "$RUN/1/ts" ]' 10
    rm -rf "$RUN/1"
    status_within "$STAGE" 10 || assert_eq $? 3
    grep -q "ring: was removed; start the channel again" "$BATS_TEST_TMPDIR/stage.err"
    status_within "$render" 10 || assert_eq $? 3
    # it may be the TS ring that is missed first
    grep -qE "ring .*/(ring|ts): was removed; start the channel again" "$BATS_TEST_TMPDIR/render.err"
}

@test "a full ring costs no CPU" {
    stage
    gen 1 --frames 3000
    list 1 false "$(pool_in 1 0 0)" | want
    local before after
    wait_until 'grep -q "channel is ready" "$BATS_TEST_TMPDIR/stage.err"' 5
    before=$(awk '{print $14+$15}' "/proc/$STAGE/stat")
    wait_until '[ "$(($(now_ms) - '"$(now_ms)"'))" -gt 1500 ]' 5
    after=$(awk '{print $14+$15}' "/proc/$STAGE/stat")
    assert_le "$((after - before))" 2
}
