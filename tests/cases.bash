# cases.bash: a channel for each case, all at the same time, and what their
# viewers got.  Needs lib and service.
#
#     load lib; load service; load cases
#     setup() { rv_setup; cases_setup; }
#     start_serve; on_air NAME ASSET; view SECONDS; frames; stop_serve
#     neighbours NAME FRAMES; exact NAME FROM TO
#
# A plan is three seconds that are good (clip 1), the case (clip 2), three good
# seconds, at 25 pictures a second.

GOOD_FRAMES=75

cases_setup() {
    RATE=(--rate 25 --size 160x90 --gop 25)
    GOOD=$(make_clip good.mp4 --clip 1 --frames $GOOD_FRAMES "${RATE[@]}")
    T=$BATS_TEST_TMPDIR
    CASES=()
    VIEWERS=()
}

# serve_badly FRAMES: tests/tools/bad_server.py with a film of so many frames;
# URL, and SERVING to be killed.
serve_badly() {
    spawn server "$PYTHON" "$ROOT/tests/tools/bad_server.py" \
        "$(make_clip film.mkv --clip 2 --frames "$1" "${RATE[@]}")"
    SERVING=$PID
    wait_until '[ -s "$T/server.out" ]' 10
    URL=http://127.0.0.1:$(cat "$T/server.out")
}

# plan NAME ASSET [MEMBERS]: $T/NAME.json
plan() {
    cat >"$T/$1.json" <<-PLAN
	{"version":1, "house":{"video":{"width":160,"height":90,"frame_rate":"25"},
	  "audio":{"sample_rate":48000,"channels":2}}, "segments":[
	  {"id":"before","asset":"$GOOD"},
	  {"id":"$1","asset":"$2"${3:+,$3}},
	  {"id":"behind","asset":"$GOOD"}]}
	PLAN
}

# on_air NAME ASSET [MEMBERS]: starts a channel of it.
on_air() {
    plan "$@"
    CASES+=("$1")
    ctl start ${#CASES[@]} "$T/$1.json"
}

# view SECONDS: a viewer of each channel; $T/NAME.ts
view() {
    local i
    for i in "${!CASES[@]}"; do
        receive $((i + 1)) "$1" "$T/${CASES[i]}.ts" &
        VIEWERS+=($!)
    done
}

# When the viewers have gone: $T/NAME.frames, a line 'N CLIP FRAME' for each
# frame by its number on the channel.
frames() {
    local name
    wait "${VIEWERS[@]}"
    for name in "${CASES[@]}"; do
        "$TOOLS/rv-readmarks" --json "$T/$name.ts" | jq -sr '
            map(select(.type == "v")) | map(select(.clip == 1))[0] as $good | .[]
            | [(.pts_90k - $good.pts_90k) / 3600 + $good.frame, .clip // "-", .frame // "-"]
            | join(" ")' >"$T/$name.frames"
        awk -v name="$name" 'NR > 1 && $1 != last + 1 {
            print name ": a hole behind frame " last } { last = $1 }' \
            "$T/$name.frames" >&2
    done
}

# exact NAME FROM TO: frames FROM to TO of the case are there, each once.
exact() {
    awk -v from=$(($2 + GOOD_FRAMES)) -v to=$(($3 + GOOD_FRAMES)) -v good=$GOOD_FRAMES '
        $1 >= from && $1 <= to && $2 == 2 && $3 == $1 - good { n++ }
        END { exit n != to - from + 1 }' "$T/$1.frames" || {
        echo "$1: frames $2 to $3 are not all there:" >&2
        "$TOOLS/rv-readmarks" --summary "$T/$1.ts" | jq -r .runs >&2
        return 1
    }
}

# count_exact NAME: how many frames of the case are shown in their place.
count_exact() {
    awk -v good=$GOOD_FRAMES '$2 == 2 && $3 == $1 - good { n++ } END { print n + 0 }' \
        "$T/$1.frames"
}

# neighbours NAME FRAMES: the good seconds around the case's FRAMES are exact,
# from where the channel came on the air.
neighbours() {
    awk -v good=$GOOD_FRAMES -v behind=$((GOOD_FRAMES + $2)) '
        $1 < good && (n || $2 == 1) { n++; bad += $2 != 1 || $3 != $1 }
        $1 >= behind && $1 < behind + good { m++; bad += $2 != 1 || $3 != $1 - behind }
        END { exit bad || n < 5 || m < good - 5 }' "$T/$1.frames" || {
        echo "$1: a neighbour is not exact:" >&2
        "$TOOLS/rv-readmarks" --summary "$T/$1.ts" | jq -r .runs >&2
        return 1
    }
}

# tell: what each viewer saw, for whoever looks into a failure.
tell() {
    local name
    for name in "${CASES[@]}"; do
        echo "$name: $("$TOOLS/rv-readmarks" --summary "$T/$name.ts" | jq -r .runs)" >&2
    done
}
