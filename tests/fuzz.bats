#!/usr/bin/env bats
# Parsers stand whatever they are given: mutations of good input, the same
# ones every time, with AddressSanitizer and UBSan.  tests/long/fuzz.bats looks
# further with libFuzzer.

load lib

# Sources that the parsers of lib/plan need, and no more, so that it is quick.
PLAN_SOURCES='lib/plan/*.c lib/clock/*.c lib/err/*.c lib/log/*.c lib/proc/*.c
    lib/frame/house.c lib/frame/shm.c lib/frame/stage_ring.c'

@test "plans, segment lines and inputs lines stand 20,000 mutations" {
    cd "$ROOT"
    # shellcheck disable=SC2086
    gcc -std=gnu11 -O1 -g -D_GNU_SOURCE -Ilib -fsanitize=address,undefined \
        -fno-sanitize-recover=all -o "$BATS_TEST_TMPDIR/fuzz" \
        tests/fuzz/fuzz_plan.c tests/fuzz/mutate.c $PLAN_SOURCES \
        -lbsd -ljansson -lseccomp -lavutil -lm -lpthread
    run "$BATS_TEST_TMPDIR/fuzz" 4000 tests/fuzz/plan/*
    [ "$status" -eq 0 ] || { tail -n 40 <<<"$output" >&2; return 1; }
    assert_eq "$output" "20005 inputs"
}
