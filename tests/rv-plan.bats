#!/usr/bin/env bats
# rv-plan: from a plan to lines, problems, a table and an answer.

bats_require_minimum_version 1.5.0
load lib

setup() {
    rv_setup
    cd "$BATS_TEST_TMPDIR" || return 1
    PLANS=$ROOT/examples/plans
}

# plan FIELDS SEGMENTS: a plan on standard output.
plan() {
    printf '{"version":1,%s"segments":[%s]}\n' "$1" "$2"
}

@test "a plan becomes lines whose frames join without a hole" {
    plan '' '{"asset":"a.mkv","duration":10},{"asset":"b.mkv","duration":"0:10"},
             {"asset":"/c.mkv","in":"1/3","duration":"20/2"}' >day.json
    run "$BIN/rv-plan" resolve day.json
    assert_eq "$status" 0
    assert_eq "$(jq -c '[.segment,.asset,.in,.first,.frames]' <<<"$output")" \
        "[\"#1\",\"$PWD/a.mkv\",\"0/1\",0,300]
[\"#2\",\"$PWD/b.mkv\",\"0/1\",300,299]
[\"#3\",\"/c.mkv\",\"1/3\",599,300]"
}

@test "the house is the plan's, else that of --house" {
    plan '' '{"asset":"a","duration":1}' >a.json
    run "$BIN/rv-plan" resolve --house 640x360@25 a.json
    assert_eq "$(jq -c '[.frames,.house.video.width,.house.video.frame_rate]' <<<"$output")" '[25,640,"25"]'
    run "$BIN/rv-plan" resolve --house 640x360@25 "$PLANS/day.json"
    assert_eq "$(jq -s '.[0].house.video.width' <<<"$output")" 1280
    # a plan without a verb is resolved
    assert_eq "$("$BIN/rv-plan" "$PLANS/day.json")" "$output"
}

@test "standard input, lists of files and media are plans too" {
    printf '# list\nx.mkv\n\n/y.mkv\n' | "$BIN/rv-plan" resolve - >lines
    assert_eq "$(jq -c '[.asset,.first,.frames]' lines)" \
        "[\"$PWD/x.mkv\",0,null]
[\"/y.mkv\",null,null]"
    plan '' '{"asset":"z.mkv"}' | "$BIN/rv-plan" resolve - >lines
    assert_eq "$(jq -r .asset lines)" "$PWD/z.mkv"
    printf '\032E\337\243' >film.mkv
    run "$BIN/rv-plan" resolve film.mkv
    assert_eq "$(jq -r .asset <<<"$output")" "$PWD/film.mkv"
    run "$BIN/rv-plan" resolve - <film.mkv
    assert_eq "$status" 1
    assert_contains "$output" "neither JSON nor a list"
}

@test "a plan is found by name in --plan-dir and nowhere else" {
    mkdir plans
    plan '' '{"asset":"a","duration":1}' >plans/day.json
    run "$BIN/rv-plan" resolve --plan-dir plans day
    assert_eq "$status" 0
    run "$BIN/rv-plan" resolve --plan-dir plans ../plans/day
    assert_eq "$status" 1
    assert_contains "$output" "'..'"
    run "$BIN/rv-plan" resolve --plan-dir plans night
    assert_eq "$status" 1
    assert_contains "$output" "neither a file in plans"
    run "$BIN/rv-plan" resolve "file://$PWD/plans/day.json"
    assert_eq "$status" 0
}

@test "a looping plan never ends, but ends with its reader" {
    "$BIN/rv-plan" resolve "$PLANS/loop.json" 2>err | head -n 5000 >lines
    assert_eq "${PIPESTATUS[0]}" 0
    assert_eq "$(cat err)" ""
    # 8 s + 100 frames + 0.5 s: exact over 1,666 passes
    assert_eq "$(jq -s '[.[1:], .[:-1]] | transpose | all(.[0].first == .[1].first + .[1].frames)' lines)" true
    assert_eq "$(tail -n 2 lines | jq -s '.[0].first')" \
        "$(/usr/bin/python3 -c '
from fractions import Fraction as F
import math
fps = F(30000, 1001)
print(math.floor(1666 * (F(17, 2) * fps + 100) + F(1, 2)))')"
}

@test "a looping plan that waits for its reader ends at once when asked to" {
    mkfifo pipe
    exec 7<>pipe
    "$BIN/rv-plan" resolve "$PLANS/loop.json" >pipe 2>err 3>&- 7>&- &
    local id=$!
    # full: it sleeps in write()
    wait_until "grep -q '^State:.*S' /proc/$id/status" 5
    kill -TERM "$id"
    status=0
    status_within "$id" 2 || status=$?
    exec 7>&-
    assert_eq "$status" 0
}

@test "--passes goes around so many times" {
    run "$BIN/rv-plan" resolve --passes 2 "$PLANS/loop.json"
    assert_eq "$(jq -s 'map(.segment) | join(" ")' <<<"$output")" '"film spot black film spot black"'
    run "$BIN/rv-plan" resolve --passes 0 "$PLANS/loop.json"
    assert_eq "$status" 2
}

@test "--at joins a plan in progress" {
    run "$BIN/rv-plan" resolve --at 2026-11-23T14:00:20Z "$PLANS/day.json"
    assert_eq "$(jq -sc '.[0] | [.segment,.first,.skip]' <<<"$output")" '["spots",240,360]'
    assert_eq "$(jq -sc '.[1] | [.segment,.first,.skip]' <<<"$output")" '["film-2",1139,0]'
    # before its start it is not joined, and in a gap the gap is
    run "$BIN/rv-plan" resolve --at 2026-11-23T13:00:00Z "$PLANS/day.json"
    assert_eq "$(jq -sc '.[0] | [.segment,.skip]' <<<"$output")" '["film-1",0]'
    run "$BIN/rv-plan" resolve --at 2026-11-23T14:03:00Z "$PLANS/day.json"
    assert_eq "$(jq -sc '.[0] | [.segment,.type]' <<<"$output")" '["gap","slate"]'
    # years ahead in a loop is no work
    plan '"start":"2026-11-23T14:00:00Z","loop":true,' '{"asset":"a","duration":1}' >loop.json
    run "$BIN/rv-plan" resolve --passes 1 --house 320x180@25 --at 2046-11-23T14:00:00.5Z loop.json
    assert_eq "$(jq -c '[.first,.frames,.skip]' <<<"$output")" '[15778800000,25,13]'
    run "$BIN/rv-plan" resolve --at now "$PLANS/loop.json"
    assert_eq "$status" 1
    assert_contains "$output" "has no start"
    plan '"start":"2026-11-23T14:00:00Z",' '{"asset":"a"},{"asset":"b"}' >open.json
    run "$BIN/rv-plan" resolve --at 2026-11-23T14:00:01Z open.json
    assert_eq "$status" 1
    assert_contains "$output" "'#1' has no duration"
}

@test "check names every problem at once, with its line and field" {
    cat >bad.json <<'EOF'
{ "version": 1, "mood": "fine",
  "segments": [
    {"id": "a", "asset": "x.mkv", "duration": -3},
    {"id": "a", "type": "film", "asset": "y.mkv"},
    {"type": "pad",
     "pad": "blue"}
  ], "loop": "yes" }
EOF
    run --separate-stderr "$BIN/rv-plan" check bad.json
    assert_eq "$status" 1
    assert_eq "$(cut -c 1-40 <<<"$output" | sed 's/: [^:]*$//')" \
        "bad.json:1: mood: warning
bad.json:3: segments[0].duration
bad.json:4: segments[1].type
bad.json:4: segments[1].id
bad.json:5: segments[2].duration
bad.json:6: segments[2].pad
bad.json:7: loop"
    assert_eq "$stderr" "rv-plan: bad.json: 6 errors, 1 warning"
    run --separate-stderr "$BIN/rv-plan" check --json bad.json
    assert_eq "$(jq -sc 'map([.line,.field,.level])[1]' <<<"$output")" \
        '[3,"segments[0].duration","error"]'
}

@test "check opens the assets: there, readable, long enough" {
    local film
    film=$(make_clip film.mkv --frames 100 --rate 25 --size 160x90)
    cp "$film" film.mkv
    echo "no film" >text.mkv
    plan '' '{"id":"1","asset":"film.mkv","duration":4},
{"id":"2","asset":"film.mkv","in":1,"duration":3.2},
{"id":"3","asset":"film.mkv","in":1,"duration":3.3},
{"id":"4","asset":"film.mkv","in":4},
{"id":"5","type":"filler","asset":"film.mkv","duration":60},
{"id":"6","asset":"missing.mkv"},
{"id":"7","asset":"text.mkv"}' >day.json
    run --separate-stderr "$BIN/rv-plan" check day.json
    assert_eq "$status" 1
    assert_eq "$stderr" "rv-plan: day.json: 3 errors, 1 warning"
    # one row of the only asset that can be played, then problems
    assert_eq "${#lines[@]}" 5
    assert_eq "${lines[0]%%f  *}" "film.mkv                      0:00:04.000     120"
    run --separate-stderr "$BIN/rv-plan" check --quiet day.json
    assert_eq "$status" 1
    assert_eq "${#lines[@]}" 4
    assert_contains "${lines[0]}" "day.json:3: segments[2].duration: warning: needs the asset up to 0:00:04.300"
    assert_contains "${lines[1]}" "day.json:4: segments[3].in: 0:00:04.000 lies behind the end"
    assert_contains "${lines[2]}" "day.json:6: segments[5].asset: $PWD/missing.mkv: cannot be opened: No such file"
    assert_contains "${lines[3]}" "day.json:7: segments[6].asset:"
    run "$BIN/rv-plan" check --no-probe day.json
    assert_eq "$status" 0
    assert_eq "$output" ""
    plan '' '{"asset":"film.mkv","duration":9}' >long.json
    run "$BIN/rv-plan" check -q long.json
    assert_eq "$status" 0
    run "$BIN/rv-plan" check --strict long.json
    assert_eq "$status" 1
}

@test "check shows its progress on a terminal and nowhere else" {
    cp "$(make_clip film.mkv --frames 100 --rate 25 --size 160x90)" film.mkv
    plan '' '{"asset":"film.mkv"},{"asset":"film.mkv"}' >day.json
    run script -qec "'$BIN/rv-plan' check day.json" /dev/null
    assert_eq "$status" 0
    assert_contains "$output" "probing 1 of 1: film.mkv"
    run --separate-stderr "$BIN/rv-plan" check day.json
    assert_eq "${#lines[@]} $stderr" "1 "
    run "$BIN/rv-plan" check --quiet day.json
    assert_eq "$output" ""
}

@test "check measures what no header tells the length of" {
    # a stream of raw H.264 has no duration
    ffmpeg -v error -i "$(make_clip film.mkv --frames 100 --rate 25 --size 160x90)" \
        -map 0:v -c copy -f matroska -live 1 - >live.mkv
    plan '' '{"asset":"live.mkv","in":3.9},{"asset":"live.mkv","in":4.1}' >day.json
    run "$BIN/rv-plan" check day.json
    assert_eq "$status" 1
    assert_contains "${lines[1]}" "segments[1].in: 0:00:04.100 lies behind the end of the asset"
}

@test "show draws the timeline" {
    COLUMNS=100 run "$BIN/rv-plan" show --house 320x180@25 "$PLANS/loop.json"
    assert_eq "$status" 0
    assert_contains "$output" "length  0:00:12.520, 313 frames, then around again"
    assert_contains "$output" "    1 spot  content  0:00:08.000  0:00:04.000      100 spot.mp4"
    assert_contains "$output" "|#####################......"
    run "$BIN/rv-plan" show --json "$PLANS/day.json"
    assert_eq "$(jq -c '[.loop,.start,(.segments|length),.segments[3].segment,.segments[3].index,.segments[4].index]' <<<"$output")" \
        '[false,"2026-11-23T14:00:00.000Z",6,"gap",null,3]'
}

@test "now tells what is on and what is next" {
    run "$BIN/rv-plan" now --at 2026-11-23T14:00:20Z "$PLANS/day.json"
    assert_eq "$status" 0
    assert_contains "${lines[1]}" "on    2026-11-23T14:00:08.008Z - 2026-11-23T14:00:38.004Z  spots  filler"
    assert_contains "${lines[2]}" "frame 359 of 899"
    assert_contains "${lines[3]}" "film-2"
    run "$BIN/rv-plan" now --json --at 2026-11-23T13:00:00Z "$PLANS/day.json"
    assert_eq "$(jq -c '[.on,.next.segment]' <<<"$output")" '[null,"film-1"]'
    run "$BIN/rv-plan" now --at 2030-01-01T00:00:00Z "$PLANS/day.json"
    assert_contains "${lines[1]}" "goodbye  slate"
    assert_contains "${lines[2]}" "next  nothing"
    run "$BIN/rv-plan" now "$PLANS/loop.json"
    assert_eq "$status" 1
    assert_contains "$output" "has no start"
}

@test "wrong usage is status 2, a bad plan 1, and the sentence says what to do" {
    run "$BIN/rv-plan"
    assert_eq "$status" 2
    run "$BIN/rv-plan" play x.json
    assert_eq "$status" 2
    assert_contains "$output" "'play' is no verb; give resolve"
    run "$BIN/rv-plan" resolve --at noon x.json
    assert_eq "$status" 2
    run "$BIN/rv-plan" resolve --house big x.json
    assert_eq "$status" 2
    run "$BIN/rv-plan" resolve missing.json
    assert_eq "$status" 1
    assert_contains "$output" "give the path of a plan"
    run "$BIN/rv-plan" resolve /dev/zero
    assert_eq "$status" 1
    assert_contains "$output" "is no file"
    if [ -w /dev/full ]; then
        run bash -c '"$1" resolve "$2" >/dev/full' - "$BIN/rv-plan" "$PLANS/loop.json"
        assert_eq "$status" 4
    fi
}

@test "the examples fit the schema and have no warning" {
    run "$PYTHON" "$ROOT/tests/tools/schema.py" "$ROOT/examples/plan.schema.json" "$PLANS"/*.json
    assert_eq "$status" 0
    local file
    for file in "$PLANS"/*; do
        run "$BIN/rv-plan" check --no-probe --strict "$file"
        assert_eq "$output" "" "$file"
        assert_eq "$status" 0 "$file"
    done
}

@test "schema and program are of one mind" {
    local n=0 segment file verdict
    mkdir many
    # good ones, then bad ones
    while read -r segment; do
        plan '' "$segment" >many/$((n++)).json
    done <<'EOF'
{"asset":"a"}
{"asset":"a","duration":"1:30","in":"01:30:00.5","fade_in":"1/2","fade_out":"9f"}
{"type":"pad","duration":0}
{"type":"slate"}
{"type":"filler","asset":"a","duration":2e1,"pad":"hold","gain_db":-60,"audio":["en","pt-BR"]}
{"asset":"a","id":"größe 1","start":"2026-11-23T14:00:00.25+01:00"}
{}
7
{"asset":""}
{"asset":"-"}
{"asset":5}
{"asset":"a","mood":1}
{"asset":"a","type":"film"}
{"type":"slate","asset":"a"}
{"type":"pad"}
{"asset":"a","duration":-1}
{"asset":"a","duration":"1:75"}
{"asset":"a","duration":"-5f"}
{"asset":"a","duration":"1/0"}
{"asset":"a","duration":true}
{"asset":"a","duration":1e10}
{"asset":"a","pad":"blue"}
{"asset":"a","gain_db":61}
{"asset":"a","gain_db":"1"}
{"asset":"a","audio":"en"}
{"asset":"a","audio":["e"]}
{"asset":"a","audio":["a","b","c","d","e","f","g","h","i"]}
{"asset":"a","start":"noon"}
{"asset":"a","start":"2016-12-31T23:59:60Z"}
{"asset":"a","id":""}
{"asset":"a","id":"x\ty"}
EOF
    for file in many/*.json; do
        verdict=0
        "$BIN/rv-plan" check --no-probe --strict "$file" >/dev/null 2>&1 || verdict=$?
        run "$PYTHON" "$ROOT/tests/tools/schema.py" "$ROOT/examples/plan.schema.json" "$file"
        assert_eq "$status" "$verdict" "$(cat "$file"): $output"
        n=$(basename "$file" .json)
        assert_eq "$verdict" $((n >= 6)) "$(cat "$file")"
    done
}
