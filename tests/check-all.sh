#!/bin/bash
# check-all.sh: everything that make check runs, and what takes too long for it.
#
#   sanitized   unit tests and bats files with AddressSanitizer and UBSan
#   thread      unit tests that have threads, with ThreadSanitizer
#   clang       the build is silent, the unit tests pass
#   valgrind    unit tests: no invalid access, no leak
#   long        tests/long/*.bats with the plain build
#
# A build that fails is one failure and does not stop the rest.
set -u

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 4
make=${MAKE:-make}
RV_TALLY=$(mktemp)
export RV_TALLY
trap 'rm -f "$RV_TALLY"' EXIT

# build LABEL VARIABLE...: 0 when all is built.
build() {
    local label=$1 log
    shift
    log=$(mktemp)
    if "$make" --no-print-directory -s -j"$(nproc)" all unit test-tools "$@" >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    echo "$label: the build failed"
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
    RV_BIN=$folder/bin RV_TESTS=$folder/tests tests/run.sh "$label" "$@"
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
threaded=()
[ ${#units[@]} -eq 0 ] ||
    mapfile -t threaded < <(grep -l pthread "${units[@]}")
# tools, tree and run ask about the tree and not about a variant's programs
mapfile -t files < <(printf '%s\n' tests/*.bats tests/promise/*.bats |
    grep -vE '^tests/(tools|tree|run)\.bats$')
long=(tests/long/*.bats)

export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99
export UBSAN_OPTIONS=print_stacktrace=1:exitcode=99
export LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0
export TSAN_OPTIONS=exitcode=99:halt_on_error=1

build plain || :
if build sanitized SAN=address,undefined; then
    folder=build/variant-address-undefined
    # shellcheck disable=SC2046
    RV_TIMEOUT=600 run sanitized $folder $(unit_in $folder "${units[@]}") "${files[@]}"
fi
if build thread SAN=thread; then
    folder=build/variant-thread
    # shellcheck disable=SC2046
    RV_TIMEOUT=600 run thread $folder $(unit_in $folder "${threaded[@]}")
fi
if build clang CC=clang; then
    folder=build/variant-clang
    # shellcheck disable=SC2046
    run clang $folder $(unit_in $folder "${units[@]}")
fi
# shellcheck disable=SC2046
RV_TIMEOUT=600 RV_WRAP="valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --suppressions=tests/valgrind.supp" \
    run valgrind build $(unit_in build "${units[@]}")
RV_TIMEOUT=1800 run long build "${long[@]}"

awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed%s\n", p, f, s ? ", " s " skipped" : ""; exit f > 0 }' "$RV_TALLY"
