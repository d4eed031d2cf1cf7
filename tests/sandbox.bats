#!/usr/bin/env bats
# The sandbox that decoders run in: what they are for works in there as outside,
# and what a media file could want beyond that does not.  What each system call
# gets is in tests/unit/test_sandbox.c.
#
# RV_ODD_MEDIA may name a folder with real files, which are compared too.

load lib
load service
load cases
load codecs
bats_require_minimum_version 1.5.0

HOUSE=160x90@25

setup() {
    rv_setup
    cases_setup
    # as the kernel says, and not with a sanitizer, which is built without
    "$BIN/rv-decode" --sandbox=strict --nut --house $HOUSE "$GOOD" >"$T/probe" 2>"$T/why" ||
        skip "$(cat "$T/why")"
    rm "$T/probe"
}

# decoded SANDBOX FILE [OPTION...]: a hash of all that comes out.
decoded() {
    local mode=$1 file=$2
    shift 2
    "$BIN/rv-decode" --sandbox="$mode" --nut --house $HOUSE "$@" "$file" 2>"$T/err" |
        sha256sum
    [ ! -s "$T/err" ] || {
        cat "$T/err" >&2
        return 1
    }
}

# is_locked PID: all its threads are.
is_locked() {
    local task
    for task in /proc/"$1"/task/*/status; do
        grep -qx $'Seccomp:\t2' "$task" && grep -qx $'NoNewPrivs:\t1' "$task" || return 1
    done
}

# decoder_of FILE: the decoder that has it open.
decoder_of() {
    local pid
    for pid in $(test_processes); do
        [ "$(cat "/proc/$pid/comm")" = rv-decode ] &&
            find "/proc/$pid/fd" -lname "$1" 2>/dev/null | grep -q . && echo "$pid" && return 0
    done
    return 1
}

@test "every codec and container comes out the same inside as outside" {
    local file wanted threads
    make_codecs "$T/codecs"
    for file in "$T"/codecs/*; do
        wanted=$(decoded off "$file")
        for threads in 1 4; do
            assert_eq "$(decoded strict "$file" --threads $threads)" "$wanted" \
                "$(basename "$file") with $threads threads"
        done
    done
}

@test "odd real files come out the same inside as outside" {
    local file count=0
    [ -n "${RV_ODD_MEDIA:-}" ] || skip "RV_ODD_MEDIA names no folder of real files"
    while read -r file; do
        assert_eq "$(decoded strict "$file")" "$(decoded off "$file")" "$file"
        count=$((count + 1))
    done < <(find "$RV_ODD_MEDIA" -type f ! -name '*.tsv' | sort)
    [ $count -ge 1 ]
}

@test "media from standard input, a link and several files are read inside" {
    local film wanted
    film=$(make_clip film.mkv --clip 2 --frames 25 "${RATE[@]}")
    ln -s "$film" "$T/link.mkv"
    wanted=$(decoded off "$film")
    assert_eq "$(decoded strict "$T/link.mkv")" "$wanted" "by a link"
    assert_eq "$(decoded strict - <"$film")" "$wanted" "standard input"
    assert_eq "$(cd "$T" && decoded strict link.mkv)" "$wanted" "a relative path"
    assert_eq "$(decoded strict "$film" "$GOOD")" "$(decoded off "$film" "$GOOD")" "two files"
    run -0 "$BIN/rv-decode" --explain --sandbox=strict "$film"
    assert_eq "$output" "$("$BIN/rv-decode" --explain "$film")"
}

@test "a file that says it is a playlist reads no other file" {
    local list
    mkdir "$T/shown" "$T/secret"
    cp "$(make_clip part.ts --clip 2 --frames 25 "${RATE[@]}")" "$T/secret/part.ts"
    cp "$T/secret/part.ts" "$T/shown/part.ts"
    printf '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n%s\n#EXT-X-ENDLIST\n' \
        part.ts >"$T/shown/film.mp4"
    printf '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n%s\n#EXT-X-ENDLIST\n' \
        "$T/secret/part.ts" >"$T/shown/list.m3u8"
    printf 'ffconcat version 1.0\nfile part.ts\n' >"$T/shown/film.mkv"
    for list in film.mp4 list.m3u8 film.mkv; do
        # outside it does, so this is a test
        run -0 decoded off "$T/shown/$list"
        run -1 decoded strict "$T/shown/$list"
        assert_contains "$output" "asset $T/shown/$list: "
    done
    # one that is a playlist by its name plays what lies beside it
    cp "$T/shown/film.mp4" "$T/shown/good.m3u8"
    cp "$T/shown/film.mkv" "$T/shown/good.ffconcat"
    for list in good.m3u8 good.ffconcat; do
        assert_eq "$(decoded strict "$T/shown/$list")" "$(decoded off "$T/shown/$list")" "$list"
    done
}

@test "where the kernel lacks something it is a warning, or an end if strict" {
    local calls why film
    film=$(make_clip film.mkv --clip 2 --frames 25 "${RATE[@]}")
    for calls in landlock_create_ruleset:'any file can be read' \
        seccomp:'programs can be started' \
        landlock_create_ruleset,seccomp:'neither Landlock nor seccomp'; do
        why=${calls#*:}
        run -0 --separate-stderr "$ROOT/tests/tools/without.py" "${calls%:*}" \
            "$BIN/rv-decode" --sandbox=on --pool "$RUN/pool" --house $HOUSE "$film" </dev/null
        assert_eq "$(jq -r .level <<<"$stderr")" warning
        assert_contains "$stderr" "$why"
        rm "$RUN/pool"
        run -4 "$ROOT/tests/tools/without.py" "${calls%:*}" \
            "$BIN/rv-decode" --sandbox=strict --nut --house $HOUSE "$film"
        assert_contains "$output" "$why"
    done
}

@test "wrong usage is status 2" {
    run -2 "$BIN/rv-decode" --sandbox=some --nut "$GOOD"
    assert_contains "$output" "give off|on|strict"
    run -2 "$BIN/rv-decode" --sandbox=on --nut
    assert_contains "$output" "give FILEs"
    run -2 "$BIN/rv-decode" --sandbox=on "$GOOD"
    assert_contains "$output" "give --pool"
    run -2 "$BIN/rv-stage" --ring x --sandbox=no
    run -2 "$BIN/rv-ctl" run 1 --plan x --sandbox=no
    run -2 "$BIN/rv-ctl" serve --sandbox=no
}

@test "in service decoders are locked, and one that is killed for it is replaced" {
    local pid new behind
    film=$(make_clip film.ts --clip 2 --frames 400 "${RATE[@]}")
    mkfifo "$T/slate" # holds up who makes the slate of it
    start_serve --house $HOUSE --slate "$T/slate"
    on_air film "$film" '"duration":"400f"'
    wait_until 'pid=$(pgrep -f "rv-decode .*--run-dir $RUN/run .*--slate")' 5
    wait_until 'is_locked $pid' 5
    # it fills its pool and waits
    wait_until '[ "$(metric retrovue_playout_frames_decoded_total)" -ge $((GOOD_FRAMES + 60)) ]' 10
    pid=$(decoder_of "$film")
    is_locked "$pid"
    kill -SYS "$pid"
    wait_until 'new=$(decoder_of "$film") && [ "$new" != '"$pid"' ]' 5
    is_locked "$new"
    assert_contains "$(cat "$T/serve.err")" "did what the sandbox forbids"
    [ "$(metric retrovue_playout_restart_total)" -ge 1 ]
    # and the plan is played to its end, in the sandbox
    wait_until 'behind=$(decoder_of "$GOOD")' 30
    is_locked "$behind"
    wait_until '[ "$(metric retrovue_playout_frames_decoded_total)" -ge $((2 * GOOD_FRAMES + 400)) ]' 30
    assert_eq "$(find "$RUN/run/1" -name 'pool-*' -size 0)" "" "pools that were never made"
    stop_serve
}

@test "a service can be told to do without" {
    local pid
    film=$(make_clip film.ts --clip 2 --frames 400 "${RATE[@]}")
    start_serve --house $HOUSE --sandbox=off
    on_air film "$film" '"duration":"400f"'
    wait_until 'pid=$(decoder_of "$film")' 10
    grep -qx $'Seccomp:\t0' "/proc/$pid/status"
    stop_serve
}
