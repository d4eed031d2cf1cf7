# lib.bash: what every bats file needs.  At its head:
#
#     load lib            (tests/*.bats)
#     load ../lib         (tests/promise/*.bats, tests/long/*.bats)
#
# gives setup() and teardown(); a file that has its own calls rv_setup and
# rv_teardown in them.  Then in each test:
#
#     $BIN/rv-plan        programs of the variant under test
#     $TOOLS/rv-readmarks helpers of the tests
#     $RUN                an empty run folder of this test, on a tmpfs
#     $BATS_TEST_TMPDIR   for anything else
#
# Everything a test starts carries RV_TEST_ID in its environment: so what is
# left over is found by assert_no_processes and ended by teardown, and nobody
# else's processes are ever touched.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BIN=${RV_BIN:-$ROOT/build/bin}
UNIT=${RV_TESTS:-$ROOT/build/tests}
TOOLS=${RV_TOOLS:-$ROOT/build/tests}
PYTHON=/usr/bin/python3
export LC_ALL=C TZ=UTC

rv_setup() {
    RV_TEST_ID=rvtest-$$-${BATS_TEST_NUMBER:-0}-$RANDOM$RANDOM
    RUN=$(mktemp -d /dev/shm/rvtest.XXXXXX)
    export RV_TEST_ID
    unset RETROVUE_RUN_DIR
}

rv_teardown() {
    wait_until '! kill_test_processes' 5 || true
    rm -rf -- "${RUN:?}"
}

# Kills all that is left; false when there was nothing.  What dies may be
# started again by what lives, so it takes more than one round.
kill_test_processes() {
    local left
    left=$(test_processes)
    [ -n "$left" ] || return 1
    # shellcheck disable=SC2086
    kill -KILL $left 2>/dev/null || true
}

setup() { rv_setup; }
teardown() { rv_teardown; }

# make_clip NAME.EXT [rv-mkmedia options]: path of a clip, made only once.
make_clip() {
    "$ROOT/tests/media.sh" "$@"
}

# wait_until CONDITION SECONDS: true as soon as the shell text is; else says so.
wait_until() {
    local condition=$1 limit_ms=$(($2 * 1000)) begin now
    begin=$(now_ms)

    until eval "$condition"; do
        now=$(now_ms)
        if ((now - begin > limit_ms)); then
            echo "after $2 s still not: $condition" >&2
            return 1
        fi
        sleep 0.02
    done
}

# Milliseconds of a clock that only tests use, for their own bounds.
now_ms() {
    local up
    read -r up _ </proc/uptime
    echo "$((10#${up/./} * 10))"
}

# spawn NAME COMMAND...: in the background, output in $BATS_TEST_TMPDIR/NAME.out
# and .err, its id in $PID.  bats waits for descriptor 3, so it is closed.
spawn() {
    local name=$1
    shift
    "$@" >"$BATS_TEST_TMPDIR/$name.out" 2>"$BATS_TEST_TMPDIR/$name.err" \
        </dev/null 3>&- 4>&- &
    PID=$!
}

# gone PID: true when the process has ended (or is a zombie).
gone() {
    local state
    state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) || return 0
    [ -z "$state" ] || [ "${state%% *}" = Z ]
}

# status_within PID SECONDS: waits for a child that was spawned, gives its
# status; 124 when it is still there.
status_within() {
    wait_until "gone $1" "$2" || return 124
    wait "$1"
}

# Ids of everything this test has started and that still runs.
test_processes() {
    local file pid

    grep -lsz "^RV_TEST_ID=${RV_TEST_ID:?}\$" /proc/[0-9]*/environ |
        while read -r file; do
            pid=${file//[!0-9]/}
            [ "$pid" != "$$" ] && [ "$pid" != "$BASHPID" ] || continue
            # helpers of the test itself: subshells of bash and what looks around
            case $(cat "/proc/$pid/comm" 2>/dev/null) in
            '' | bash | bats* | grep | sed | cat | sleep) continue ;;
            esac
            gone "$pid" || echo "$pid"
        done
}

# assert_no_processes [SECONDS]: nothing that this test started is left.
assert_no_processes() {
    local pid

    wait_until '[ -z "$(test_processes)" ]' "${1:-3}" 2>/dev/null && return 0
    for pid in $(test_processes); do
        echo "left over: $pid $(tr '\0' ' ' <"/proc/$pid/cmdline")" >&2
    done
    return 1
}

# assert_empty FOLDER: nothing is left in it.
assert_empty() {
    local left
    left=$(find "$1" -mindepth 1 2>/dev/null)
    [ -z "$left" ] || {
        echo "left over in $1: $left" >&2
        return 1
    }
}

# assert_clean [SECONDS]: no process and no file in the run folder is left.
assert_clean() {
    assert_no_processes "$@" && assert_empty "$RUN"
}

# assert_eq GOT WANTED [WHAT]
assert_eq() {
    [ "$1" = "$2" ] || {
        echo "${3:-value}: got '$1', wanted '$2'" >&2
        return 1
    }
}

# assert_contains TEXT PART
assert_contains() {
    [[ $1 == *"$2"* ]] || {
        echo "no '$2' in: $1" >&2
        return 1
    }
}

# assert_le GOT LIMIT [WHAT]: numbers, with fractions.
assert_le() {
    awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && a + 0 <= b + 0) }' || {
        echo "${3:-value}: $1 is more than $2" >&2
        return 1
    }
}

# marks FILE FILTER: the summary of rv-readmarks through jq, raw.
marks() {
    "$TOOLS/rv-readmarks" --summary "$1" | jq -r "$2"
}
