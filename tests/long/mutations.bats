#!/usr/bin/env bats
# Nothing that a damaged file does reaches its neighbours: thousands of damaged
# files, each in front of a good one, in one decoder after another.
#
# RV_SEED       which mutations (1); it is printed
# RV_MUTATIONS  of each file in the shell (150), a hundredth of it in service
# timeout: 3600

load ../lib
load ../service
load ../codecs
bats_require_minimum_version 1.5.0

HOUSE='{"video":{"width":160,"height":90,"frame_rate":"25"},"audio":{"sample_rate":48000,"channels":2}}'

setup_file() {
    export MEDIA=$BATS_FILE_TMPDIR/media
    make_codecs "$MEDIA"
}

setup() {
    rv_setup
    SEED=${RV_SEED:-1}
    COUNT=${RV_MUTATIONS:-150}
    GOOD=("$(make_clip one.mp4 --clip 1 --frames 10 --rate 25 --size 160x90 --gop 5)"
        "$(make_clip two.ts --clip 2 --frames 10 --rate 25 --size 192x108)"
        "$(make_clip three.mkv --clip 3 --frames 10 --rate 25 --size 160x90 \
            --vcodec libvpx-vp9 --acodec libopus)")
    RESULT=$BATS_TEST_TMPDIR/result
    echo "# RV_SEED=$SEED RV_MUTATIONS=$COUNT" >&3
}

# mutations COUNT OPTION...: what tests/tools/mutations.py says, into $RESULT.
mutations() {
    local count=$1 status=0
    shift
    "$PYTHON" "$ROOT/tests/tools/mutations.py" --bin "$BIN" --tools "$TOOLS" \
        --folder "$RUN/m" --seed "$SEED" --count "$count" "$@" \
        --good "${GOOD[@]}" --bad "$MEDIA"/* >"$RESULT" || status=$?
    cat "$RESULT" >&2
    return "$status"
}

@test "good files between damaged ones are exact, nothing hangs or dies" {
    # a sanitizer's shadow has no room in that
    local memory=(--as-mib 2048)
    [[ $BIN != *variant* ]] || memory=(--hang 30)
    mutations "$COUNT" "${memory[@]}"
    assert_eq "$(jq .neighbours "$RESULT")" $((18 * COUNT)) "exact neighbours"
    [[ $BIN == *variant* ]] ||
        assert_le "$(jq .max_rss_mib "$RESULT")" 1024 "MiB of a decoder"
    # the damage is neither nothing nor so great that all are refused
    between=$(jq '.with_picture * 100 / .mutations | floor' "$RESULT")
    assert_le 30 "$between" "percent with a picture"
    assert_le "$between" 95 "percent with a picture"
    rm -rf "$RUN/m"
    assert_clean
}

@test "a neighbour that is not exact is found" {
    # as long as the first good file, but another one
    GOOD=("${GOOD[0]}")
    local wrong
    wrong=$(make_clip wrong.mp4 --clip 4 --frames 10 --rate 25 --size 160x90 --gop 5)
    MEDIA=$BATS_TEST_TMPDIR/media
    mkdir "$MEDIA"
    cp "$wrong" "$MEDIA/a.mp4"
    # rv-plan is told another name for the good file once it is known
    mkdir "$BATS_TEST_TMPDIR/bin"
    ln -s "$BIN"/rv-decode "$BIN"/rv-stage "$BATS_TEST_TMPDIR/bin"
    cat >"$BATS_TEST_TMPDIR/bin/rv-plan" <<-SH
	#!/bin/sh
	grep -q good0 "\$2" && sed -i 's|"${GOOD[0]}"|"$wrong"|g' "\$2"
	exec "$BIN/rv-plan" "\$@"
	SH
    chmod +x "$BATS_TEST_TMPDIR/bin/rv-plan"
    BIN=$BATS_TEST_TMPDIR/bin run mutations 3
    [ "$status" -ne 0 ]
    assert_eq "$(jq '.wrong | length' "$RESULT")" 3
}

@test "in service, a process each: the good ones are whole and in place" {
    local plan=$BATS_TEST_TMPDIR/plan.json n=0 file bad wanted=()
    {
        echo "{\"version\":1,\"house\":$HOUSE,\"segments\":["
        # a good second, a damaged one, and so on
        local long
        long=$(make_clip second.mp4 --clip 1 --frames 25 --rate 25 --size 160x90)
        echo "{\"asset\":\"$long\",\"duration\":\"25f\"}"
        for i in $(seq 0 $((COUNT / 100))); do
            for file in "$MEDIA"/[adfhknp].*; do
                bad=$("$PYTHON" "$ROOT/tests/tools/mutations.py" --bin "$BIN" \
                    --tools "$TOOLS" --folder "$RUN/m" --seed "$SEED" --only $((n + i)) \
                    --good "${GOOD[0]}" --bad "$file")
                echo ",{\"asset\":\"$bad\",\"duration\":\"10f\"}"
                echo ",{\"asset\":\"$long\",\"duration\":\"25f\"}"
                n=$((n + 1))
            done
        done
        echo "]}"
    } >"$plan"
    n=$(jq '.segments | length' "$plan")
    start_serve --house 160x90@25
    ctl start 1 "$plan"
    receive 1 $(((n / 2) * 35 / 25 + 3)) "$BATS_TEST_TMPDIR/out.ts"
    ctl stop 1
    stop_serve
    "$TOOLS/rv-readmarks" --json "$BATS_TEST_TMPDIR/out.ts" | jq -c 'select(.type == "v")' |
        jq -se --argjson rounds $((n / 2)) '.[0].frame as $origin | .[0].pts_90k as $begin
            | [.[] | . + {n: ((.pts_90k - $begin) / 3600 + $origin)}
                | select(.n % 35 < 25 and .n < $rounds * 35)]
            | (map(select(.clip != 1 or .frame != .n % 35)) | length) == 0 and
                length > ($rounds - 1) * 25' >/dev/null
}
