# Days: a channel on a clock that runs fast, and seven days without an encoder.
#
# RV_DAY_HOURS (1) of a channel at RV_DAY_RATE (20) times real time, of which a
# machine must be able to encode the sound; seven days at RV_DAYS_RATE (10) frames
# a second up to the ring.
load ../lib
load ../service

HOURS=${RV_DAY_HOURS:-1}
RATE=${RV_DAY_RATE:-20}

clock() {
    "$BIN/rv-ctl" clock --json --run-dir "$RUN/run" "$@"
}

# sizes PID...: own memory in kB and descriptors of each, one a line
sizes() {
    local pid
    for pid in "$@"; do
        echo "$pid $(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status")" \
            "$(find "/proc/$pid/fd" -mindepth 1 | wc -l)"
    done
}

# level BEFORE AFTER: nobody has grown, but for 512 kB and what the director holds
# of a decoder that is armed: a pidfd, two pipes and a pool
level() {
    paste -d ' ' "$1" "$2" >&2
    paste -d ' ' "$1" "$2" | awk '
        $1 != $4 || $5 > $2 + 512 || $6 > $3 + 5 { bad = 1; print "grew: " $0 }
        END { exit bad }'
}

frame_on_air() {
    ctl status --json | jq '.[0].frame'
}

@test "a channel that plays for hours on a fast clock is on time to the frame" {
    local clip frames epoch_us now_us want pids
    clip=$(make_clip day.nut --frames 300 --clip 1 --rate 5 --size 64x48)
    jq -n --arg clip "$clip" '{version: 1, loop: true, segments: [
        {id: "a", type: "filler", asset: $clip, duration: 600},
        {id: "b", type: "filler", asset: $clip, duration: 900}]}' >"$BATS_TEST_TMPDIR/plan.json"
    frames=$((HOURS * 3600))
    start_serve --house 64x48@1:8000:1 --lead 30000 --clock virtual:2026-11-23T23:30:00Z
    ctl start 1 "$BATS_TEST_TMPDIR/plan.json"
    wait_until '[ "$(metric retrovue_playout_channel_state)" = 2 ]' 10
    clock --rate "$RATE" >/dev/null
    wait_until '[ "$(frame_on_air)" -ge '$((frames / 10))' ]' $((frames / RATE))
    pids="$SERVE $(proc_pid 1 ctl) $(proc_pid 1 stage) $(proc_pid 1 render)"
    # shellcheck disable=SC2086
    sizes $pids >"$BATS_TEST_TMPDIR/before"
    # one that stands still harms nobody
    clock --pause >/dev/null
    sleep 3
    clock --resume >/dev/null
    wait_until '[ "$(frame_on_air)" -ge '"$frames"' ]' $((frames * 3 / 2 / RATE + 30))
    # shellcheck disable=SC2086
    sizes $pids >"$BATS_TEST_TMPDIR/after"
    now_us=$(clock --pause | jq .utc_us)
    epoch_us=$(head -n 1 "$RUN/state/asrun-1.jsonl" | jq -r .utc |
        "$PYTHON" -c 'import datetime
t = datetime.datetime.fromisoformat(input().replace("Z", "+00:00"))
print(round(t.timestamp() * 1000) * 1000)')
    # the as-run log has milliseconds
    want=$(((now_us - epoch_us - 500) / 1000000))
    wait_until '[ "$(frame_on_air)" = '"$want"' ]' 3
    clock --rate 1 >/dev/null
    clock --resume >/dev/null
    receive 1 8 "$BATS_TEST_TMPDIR/end.ts"
    for name in frames_dropped_total frames_slate_total decode_failure_count restart_total; do
        assert_eq "$(metric retrovue_playout_$name)" 0 "$name" || { cat "$BATS_TEST_TMPDIR/serve.err" >&2; false; }
    done
    ctl stop 1
    cp "$RUN/state/asrun-1.jsonl" "$BATS_TEST_TMPDIR/asrun"
    stop_serve
    level "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
    # every picture at the end is that of its frame
    "$TOOLS/rv-readmarks" "$BATS_TEST_TMPDIR/end.ts" | awk '$1 == "v" {
        n = ($2 - 900000) / 90000
        if ($3 != 1 || $4 != n % 60 * 5) { print "frame " n ": " $0; bad = 1 }
        seen++; last = n }
        END { print seen " pictures, the last is frame " last; exit bad || seen < 4 }' >&2
    # every frame once, and each run to the millisecond
    "$PYTHON" - "$BATS_TEST_TMPDIR/asrun" "$frames" <<'P'
import datetime, json, sys
next_frame, epoch, lines = 0, None, 0
for line in map(json.loads, open(sys.argv[1])):
    assert line["first_frame"] == next_frame and line["reason"] == "plan", line
    utc = datetime.datetime.fromisoformat(line["utc"].replace("Z", "+00:00"))
    epoch = epoch or utc
    assert (utc - epoch) == datetime.timedelta(seconds=next_frame), line
    next_frame, lines = line["last_frame"] + 1, lines + 1
assert next_frame >= int(sys.argv[2]), next_frame
print(lines, "runs,", next_frame, "frames", file=sys.stderr)
P
}

# asrun_lines N: so many runs are out
asrun_lines() {
    wait_until '[ "$(wc -l <"$BATS_TEST_TMPDIR/asrun")" -ge '"$1"' ]' 300
}

@test "seven days and a change of the clocks without an encoder, to the last frame" {
    local rate=${RV_DAYS_RATE:-10} clip seconds=$((7 * 86400 + 3600)) epoch decode stage
    clip=$(make_clip day.nut --frames 300 --clip 1 --rate 5 --size 64x48)
    # local days in Berlin, 28 October to 3 November 2027; the 31st has 25 hours
    "$PYTHON" - "$clip" "$rate" >"$BATS_TEST_TMPDIR/plan.json" <<'P'
import json, sys
segments = []
for day in range(7):
    date = ["2027-10-28", "2027-10-29", "2027-10-30", "2027-10-31",
            "2027-11-01", "2027-11-02", "2027-11-03"][day]
    midnight, evening = (f"{date}T00:00:00" + ("+02:00" if day < 4 else "+01:00"),
                         f"{date}T20:00:00" + ("+02:00" if day < 3 else "+01:00"))
    segments += [
        {"id": f"day{day}", "type": "pad", "start": midnight,
         "duration": 72000 + (3600 if day == 3 else 0)},
        {"id": f"show{day}", "type": "filler", "asset": sys.argv[1], "start": evening,
         "duration": 60},
        {"id": f"night{day}", "type": "pad", "duration": 14340}]
print(json.dumps({"version": 1, "start": "2027-10-28T00:00:00+02:00",
    "house": {"video": {"width": 64, "height": 48, "frame_rate": sys.argv[2]},
              "audio": {"sample_rate": 8000, "channels": 1}}, "segments": segments}))
P
    epoch=$(date -u -d 2027-10-27T22:00:00Z +%s)
    "$BIN/rv-plan" resolve "$BATS_TEST_TMPDIR/plan.json" >"$BATS_TEST_TMPDIR/lines"
    mkfifo "$BATS_TEST_TMPDIR/inputs"
    "$BIN/rv-decode" <"$BATS_TEST_TMPDIR/lines" >"$BATS_TEST_TMPDIR/inputs" 3>&- &
    decode=$!
    "$BIN/rv-stage" --ring "$RUN/r/ring" --epoch "${epoch}000000" \
        --asrun "$BATS_TEST_TMPDIR/asrun" <"$BATS_TEST_TMPDIR/inputs" 3>&- &
    stage=$!
    "$TOOLS/rv-ringread" --ring "$RUN/r/ring" --plain >"$BATS_TEST_TMPDIR/runs" 3>&- &
    reader=$!
    asrun_lines 3
    sizes $decode $stage $reader >"$BATS_TEST_TMPDIR/before"
    asrun_lines 20
    sizes $decode $stage $reader >"$BATS_TEST_TMPDIR/after"
    wait $reader
    wait $decode
    wait $stage
    level "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
    "$PYTHON" - "$BATS_TEST_TMPDIR/asrun" "$rate" "$seconds" "$epoch" <<'P'
import datetime, json, sys
rate, seconds, epoch = map(int, sys.argv[2:])
lines = [json.loads(line) for line in open(sys.argv[1])]
place = 0
for line in lines:
    assert line["first_frame"] == place and line["reason"] == "plan", line
    utc = datetime.datetime.fromisoformat(line["utc"].replace("Z", "+00:00"))
    assert utc.timestamp() == epoch + place / rate, line
    place = line["last_frame"] + 1
assert len(lines) == 21 and place == seconds * rate, (len(lines), place)
assert lines[19]["utc"] == "2027-11-03T19:00:00.000Z", lines[19]  # 20:00 there
assert lines[19]["first_frame"] == (6 * 86400 + 3600 + 72000) * rate, lines[19]
P
    assert_eq "$(tail -n 1 "$BATS_TEST_TMPDIR/runs" | sed -E 's/^[0-9]+-([0-9]+) .*/\1/')" \
        $((seconds * rate - 1)) "the last frame taken"
}
