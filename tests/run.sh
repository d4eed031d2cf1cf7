#!/bin/bash
# run.sh LABEL FILE...: runs unit tests (programs) and bats files, counts honestly.
#
# Every single test counts, of cmocka and of bats, as TAP says.  A file that
# hangs is ended and is a failure; so is one that crashes, that says it will
# run more tests than it did, or that leaves a process behind.  Results are
# added to the file $RV_TALLY, if set; else the last line is the count.
#
#   RV_BIN, RV_TESTS  the variant's programs and unit tests (build/bin, build/tests)
#   RV_WRAP           put before each unit test, e.g. valgrind -q
#   RV_TIMEOUT        seconds a file may take (300); a bats file may ask for
#                     more with a line "# timeout: SECONDS"
#   RV_JOBS           files at a time (1)
#   RV_RETRY          1: a file that failed is run once more, alone, when all
#                     others are done.  Real-time tests share the machine with
#                     what else it does; a fault of ours fails twice.  What
#                     failed first is printed and called flaky.
#   RV_OUT            where the TAP of each file is kept (build/tests/out)
set -u

label=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 4
export RV_BIN=${RV_BIN:-$root/build/bin} RV_TESTS=${RV_TESTS:-$root/build/tests}
retry=${RV_RETRY:-}
unset RV_RETRY # not for a runner that a test runs
out=${RV_OUT:-build/tests/out}/$label
rm -rf "$out"
mkdir -p "$out"

# What the file started and did not end; ids only of its own processes.
left_behind() {
    local file pid
    grep -lsz "^RV_FILE_ID=$1\$" /proc/[0-9]*/environ | while read -r file; do
        pid=${file//[!0-9]/}
        grep -qs '^State:.*Z' "/proc/$pid/status" || echo "$pid"
    done
}

# run_file FILE: its TAP goes to $out, its count to $out/NAME.count.
run_file() {
    local file=$1 name tap seconds limit status id begin=$SECONDS
    name=$(basename "$file")
    tap=$out/$name.tap
    limit=${RV_TIMEOUT:-300}
    id=$$-$RANDOM-$name
    if [[ $file == *.bats ]]; then
        seconds=$(sed -n 's/^# timeout: \([0-9]*\)$/\1/p' "$file" | head -1)
        limit=${seconds:-$limit}
        RV_FILE_ID=$id timeout -k 10 "$limit" bats --tap "$file" \
            >"$tap" 2>&1 </dev/null
    else
        RV_FILE_ID=$id CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 10 "$limit" \
            ${RV_WRAP:-} "$file" >"$tap" 2>&1 </dev/null
    fi
    status=$?
    judge "$file" "$tap" "$status" "$limit" "$id" $((SECONDS - begin)) \
        >"$out/$name.count"
    tell "$file" "$out/$name.count" "$tap"
}

# First line "PASSED FAILED SECONDS", then a reason a line.
judge() {
    local file=$1 tap=$2 status=$3 limit=$4 id=$5 took=$6
    local passed failed skipped planned pid reasons=()
    # cmocka says of what is skipped that it is not ok
    skipped=$(grep -cE '^ok .* # skip|^not ok .* # SKIP' "$tap")
    passed=$(grep '^ok ' "$tap" | grep -vc ' # skip')
    failed=$(grep '^not ok ' "$tap" | grep -vc ' # SKIP')
    # cmocka prints a plan for each group, bats one
    planned=$(awk '/^1\.\.[0-9]+/ { sub(/^1\.\./, ""); n += $1 } END { print n + 0 }' "$tap")
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        reasons+=("hung: ended after $limit s")
    elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
        reasons+=("ended with status $status")
    fi
    if [ $((passed + failed + skipped)) -lt "$planned" ]; then
        [ ${#reasons[@]} -gt 0 ] ||
            reasons+=("$planned tests planned, $((passed + failed + skipped)) run")
        failed=$planned-$passed-$skipped
    elif [ "$planned" -eq 0 ] && [ ${#reasons[@]} -eq 0 ]; then
        reasons+=("no test in it")
    fi
    failed=$((failed))
    for pid in $(left_behind "$id"); do
        reasons+=("left a process: $(tr '\0' ' ' <"/proc/$pid/cmdline")")
        kill -KILL "$pid" 2>/dev/null
    done
    [ ${#reasons[@]} -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
    echo "$passed $failed $took $skipped"
    printf '%s\n' "${reasons[@]}"
}

# A line for a good file; for a bad one what failed and why.
tell() {
    local passed failed took skipped
    read -r passed failed took skipped <"$2"
    [ "$skipped" -eq 0 ] ||
        sed -n -e 's/^ok [0-9]* \(.*\) # skip *\(.*\)/         skipped: \1 (\2)/p' \
            -e 's/^not ok [0-9]* # SKIP \(.*\)/         skipped: \1/p' "$3"
    if [ "$failed" -eq 0 ]; then
        printf '%-8s %4d ok  %4d s  %s\n' "$label" "$passed" "$took" "$1"
        return
    fi
    {
        printf '%-8s %4d ok, %d FAILED  %d s  %s\n' "$label" "$passed" \
            "$failed" "$took" "$1"
        sed -n '2,$ { /./s/^/    /p }' "$2"
        awk '/^ok |^1\.\./ { show = 0 } /^not ok/ { show = 1 } show' "$3" | head -n 60
        grep -q '^not ok' "$3" || tail -n 30 "$3"
    } | sed '2,$s/^/    /'
}

running=0
for file in "$@"; do
    [ -e "$file" ] || continue
    run_file "$file" &
    running=$((running + 1))
    if [ "$running" -ge "${RV_JOBS:-1}" ]; then
        wait -n
        running=$((running - 1))
    fi
done
wait

# failures FILE: how many tests of it failed.
failures() {
    awk 'FNR == 1 { print $2 }' "$out/$(basename "$1").count"
}

for file in "$@"; do
    [ -n "$retry" ] && [ -e "$file" ] && [ "$(failures "$file")" -gt 0 ] || continue
    echo "$label: once more, alone: $file"
    run_file "$file"
    [ "$(failures "$file")" -gt 0 ] || echo "$label: flaky: $file"
done

awk 'FNR == 1 { p += $1; f += $2; s += $4 } END { print p + 0, f + 0, s + 0 }' \
    /dev/null "$out"/*.count 2>/dev/null >"$out/total"
read -r passed failed skipped <"$out/total"
if [ -n "${RV_TALLY:-}" ]; then
    echo "$passed $failed $skipped" >>"$RV_TALLY"
else
    said="$passed passed, $failed failed"
    [ "$skipped" -eq 0 ] || said="$said, $skipped skipped"
    echo "$said"
fi
[ "$failed" -eq 0 ]
