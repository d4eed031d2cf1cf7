#!/usr/bin/env bats
# Parsers stand whatever libFuzzer finds in a while.
# timeout: 300

load ../lib

@test "plans, segment lines and inputs lines stand 30 s of libFuzzer" {
    command -v clang >/dev/null || skip "no clang"
    cd "$ROOT"
    clang -std=gnu11 -O1 -g -D_GNU_SOURCE -Ilib -fsanitize=fuzzer,address,undefined \
        -fno-sanitize-recover=all -o "$BATS_TEST_TMPDIR/fuzz" tests/fuzz/fuzz_plan.c \
        lib/plan/*.c lib/clock/*.c lib/err/*.c lib/log/*.c lib/proc/*.c \
        lib/frame/{house,shm,stage_ring}.c -lbsd -ljansson -lseccomp -lavutil -lm -lpthread
    mkdir "$BATS_TEST_TMPDIR/corpus"
    run "$BATS_TEST_TMPDIR/fuzz" -max_total_time=30 -timeout=5 -rss_limit_mb=2048 \
        -max_len=4096 -seed=1 -artifact_prefix="$BATS_TEST_TMPDIR/" \
        "$BATS_TEST_TMPDIR/corpus" tests/fuzz/plan
    [ "$status" -eq 0 ] || { tail -n 40 <<<"$output" >&2; return 1; }
    assert_contains "$output" "Done"
}
