# Plans on the air that are tied to the clock, and ones of very short segments.
load ../lib
load ../service
load ../exact

# utc MILLISECONDS-AGO: as a plan writes it.
utc() {
    date -u -d "@$(awk -v ms="$(date +%s%3N)" -v ago="$1" \
        'BEGIN { printf "%.3f", (ms - ago) / 1000 }')" +%Y-%m-%dT%H:%M:%S.%3NZ
}

# as_run [OPTION...] FILTER: the as-run log of channel 1 as one list through jq.
as_run() {
    jq -rs "$@" "$RUN/state/asrun-1.jsonl"
}

@test "twenty-four segments, one-frame ones in a row, are exact on the air" {
    start_clips
    local words=() number
    for number in $(seq 0 7); do
        words+=("$A $((number * 28)) 1" "$B $((number * 29 + 3)) 27" "$C $((number * 20)) 1")
    done
    plan_of "${words[@]}" >"$PLAN"
    ROUND=$(jq -r '.segments[] | [.asset, (.in, .duration | .[:-1] | tonumber)]
        | "\(.[0] | sub(".*/"; "") | {a: 1, b: 2, c: 3}[.[:1]]):\(.[1])-\(.[1] + .[2] - 1)"' \
        "$PLAN" | paste -sd ' ')
    ctl start 1 "$PLAN"
    receive 1 26 "$BATS_TEST_TMPDIR/out.ts"
    ctl stop 1
    stop_serve
    check_whole "$BATS_TEST_TMPDIR/out.ts"
    rounds=$("$PYTHON" "$ROOT/tests/rounds.py" "$ROUND" "$(jq -r .runs \
        "$BATS_TEST_TMPDIR/summary")")
    assert_le 3 "$rounds" "rounds"
}

@test "a plan with a start is joined in progress at the frame of that moment" {
    start_clips
    # 61.7 s ago, of which 60 are one long filler
    plan_of "$A 0 240" "$B 0 100" | jq --arg start "$(utc 61700)" \
        '.loop = false | .start = $start | .segments[0] += {type: "filler", in: 0,
            duration: "1798f"}' >"$PLAN"
    ctl start 1 "$PLAN"
    receive 1 4 "$BATS_TEST_TMPDIR/out.ts"
    ctl stop 1
    check_whole "$BATS_TEST_TMPDIR/out.ts"
    local start first
    start=$(jq -r .start "$PLAN")
    # deadline of the first frame, counted from the plan's start, in frames
    first=$(as_run --arg start "$start" 'def ms: (.[:19] + "Z" | fromdate) * 1000
            + (.[20:23] | tonumber);
        map(select(.reason == "plan"))[0]
        | ((.utc | ms) - ($start | ms)) * 30 / 1001 - .asset_first_frame - 1798')
    echo "first frame beside its moment by $first frames" >&2
    assert_le "${first#-}" 0.55 "first frame"
    stop_serve
}

@test "a gap before a segment with its own start is slate, to the frame" {
    start_clips
    # from 0 to 90 A, slate until 5 s = frame 150, then B
    local start
    start=$(date +%s%3N)
    plan_of "$A 10 90" "$B 20 120" | jq --arg start "$(utc 0)" --arg second "$(utc -5000)" \
        '.loop = false | .start = $start | .segments[1].start = $second' >"$PLAN"
    ctl start 1 "$PLAN"
    receive 1 8 "$BATS_TEST_TMPDIR/out.ts"
    ctl stop 1
    stop_serve
    marks "$BATS_TEST_TMPDIR/out.ts" .runs >"$BATS_TEST_TMPDIR/runs"
    cat "$BATS_TEST_TMPDIR/runs" >&2
    # A ends with its frame 99, then slate alone, then B from its frame 20 on
    grep -qE '^1:[0-9]+-99 -\*[0-9]+ 2:20-[0-9]+' "$BATS_TEST_TMPDIR/runs"
    slate=$(sed 's/.*-99 -\*\([0-9]*\) 2:20.*/\1/' "$BATS_TEST_TMPDIR/runs")
    # the two times were taken a few milliseconds apart
    local wanted
    wanted=$(jq -r 'def ms: (.[:19] + "Z" | fromdate) * 1000 + (.[20:23] | tonumber);
        (((.segments[1].start | ms) - (.start | ms)) * 30 / 1001 + 0.5 | floor) - 90' "$PLAN")
    assert_eq "$slate" "$wanted" "frames of slate"
}
