#!/bin/bash
# check-all.sh: everything that make check runs, and what takes too long for it.
#
#   sanitized   unit tests, bats files, tests/long/leaks.bats (five rounds),
#               tests/long/mutations.bats (ten of each file) and
#               tests/long/matrix.bats with AddressSanitizer and UBSan, every
#               process of them
#   thread      unit tests that have threads, with ThreadSanitizer
#   clang       everything is built without a warning, the unit tests pass
#   valgrind    unit tests: no invalid access, no leak
#   long        the other tests/long/*.bats, and those two in full, with the
#               plain build
#
# A build that fails is one failure and does not stop the rest.  Names given as
# arguments choose among these parts.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 4
make=${MAKE:-make}
parts=" ${*:-sanitized thread clang valgrind long} "
RV_TALLY=$(mktemp)
reports=$(mktemp -d)
export RV_TALLY
trap 'rm -rf "$RV_TALLY" "$reports"' EXIT

# wanted PART: so that one part can be run alone.
wanted() { [[ $parts == *" $1 "* ]]; }

# build LABEL VARIABLE...: 0 when all is built.
build() {
    local label=$1 log
    shift
    log=$(mktemp)
    if "$make" --no-print-directory -s -j"$(nproc)" everything "$@" >"$log" 2>&1 &&
        [ ! -s "$log" ]; then
        rm -f "$log"
        return 0
    fi
    echo "$label: the build failed, or was not silent"
    tail -n 30 "$log" | sed 's/^/    /'
    rm -f "$log"
    echo "0 1" >>"$RV_TALLY"
    return 1
}

# run LABEL FOLDER FILE...: with the programs and tests of that build.
run() {
    local label=$1 folder=$root/$2
    shift 2
    [ $# -gt 0 ] || return 0
    RV_BIN=$folder/bin RV_TESTS=$folder/tests RV_RETRY=${RV_RETRY-1} \
        tests/run.sh "$label" "$@"
}

# judge_reports LABEL: what a sanitizer wrote is a failure, also of a process
# that no test looked at.
judge_reports() {
    local file count=0
    for file in "$reports"/*; do
        count=$((count + 1))
        echo "$1: a sanitizer's report:"
        head -n 25 "$file" | sed 's/^/    /'
    done
    rm -f "$reports"/*
    [ "$count" -eq 0 ] || echo "0 $count" >>"$RV_TALLY"
}

# Unit tests below FOLDER, of the sources given.
unit_in() {
    local folder=$1 source
    shift
    for source in "$@"; do
        echo "$folder/tests/$(basename "$source" .c)"
    done
}

shopt -s nullglob
units=(tests/unit/test_*.c)
mapfile -t threaded < <(grep -lE 'pthread|fork\(' "${units[@]}")
# tools, tree and run ask about the tree and not about a variant's programs; a
# program with a sanitizer has no sandbox; the matrix is there as a whole
mapfile -t files < <(printf '%s\n' tests/*.bats tests/promise/*.bats |
    grep -vE '^tests/(tools|tree|run|sandbox|promise/matrix)\.bats$')
mapfile -t long < <(printf '%s\n' tests/long/*.bats | grep -v /matrix.bats)

log=log_path=$reports/report
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99:$log
export UBSAN_OPTIONS=print_stacktrace=1:exitcode=99:$log
export LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0
export TSAN_OPTIONS=exitcode=99:halt_on_error=1

# the sanitized tests make their media with the plain tools
if wanted sanitized || wanted valgrind || wanted long; then
    build plain || :
fi
if wanted sanitized && build sanitized SAN=address,undefined; then
    folder=build/variant-address-undefined
    # shellcheck disable=SC2046
    RV_JOBS=2 RV_TIMEOUT=600 RV_ROUNDS=5 RV_MUTATIONS=10 run sanitized $folder \
        $(unit_in $folder "${units[@]}") "${files[@]}" \
        tests/long/{leaks,mutations,matrix}.bats
    judge_reports sanitized
fi
if wanted thread && build thread SAN=thread; then
    folder=build/variant-thread
    # shellcheck disable=SC2046
    RV_TIMEOUT=600 run thread $folder $(unit_in $folder "${threaded[@]}")
fi
if wanted clang && build clang CC=clang; then
    folder=build/variant-clang
    # shellcheck disable=SC2046
    RV_JOBS=2 run clang $folder $(unit_in $folder "${units[@]}")
fi
if wanted valgrind; then
    # spawn needs pidfd_open, which valgrind 3.19 does not know
    mapfile -t known < <(printf '%s\n' "${units[@]}" | grep -v /test_spawn)
    # shellcheck disable=SC2046
    RV_JOBS=2 RV_TIMEOUT=600 RV_WRAP="valgrind -q --fair-sched=yes --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --suppressions=tests/valgrind.supp" \
        run valgrind build $(unit_in build "${known[@]}")
fi
if wanted long; then
    RV_TIMEOUT=900 run long build "${long[@]}"
fi

awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : ""; exit f > 0 }' "$RV_TALLY"
