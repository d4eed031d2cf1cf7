#!/usr/bin/env bats
# The machinery around the tests: it must not call a failure good.

load lib

# unit TEXT: a program that stands for a unit test; prints its path.
unit() {
    local path=$BATS_TEST_TMPDIR/test_stand_in
    printf '#!/bin/sh\n%s\n' "$1" >"$path"
    chmod +x "$path"
    echo "$path"
}

counted() {
    run env -u RV_TALLY RV_OUT="$BATS_TEST_TMPDIR/out" "$ROOT/tests/run.sh" stand-in "$@"
}

@test "good tests are counted one by one" {
    counted "$(unit 'echo 1..2; echo ok 1 - a; echo ok 2 - b')"
    assert_eq "$status" 0
    assert_eq "${lines[-1]}" "2 passed, 0 failed"
}

@test "a failed test is counted and shown" {
    counted "$(unit 'echo 1..2; echo ok 1 - a; echo not ok 2 - b; echo "# why"; exit 1')"
    assert_eq "$status" 1
    assert_eq "${lines[-1]}" "1 passed, 1 failed"
    assert_contains "$output" "# why"
}

@test "what cmocka skips is neither good nor failed, and named" {
    counted "$(unit 'echo 1..2; echo ok 1 - a; echo "not ok 2 # SKIP b"')"
    assert_eq "$status" 0
    assert_eq "${lines[-1]}" "1 passed, 0 failed, 1 skipped"
    assert_contains "$output" "skipped: b"
}

@test "tests that never came are failed" {
    counted "$(unit 'echo 1..5; echo ok 1 - a')"
    assert_eq "${lines[-1]}" "1 passed, 4 failed"
    counted "$(unit 'exit 0')"
    assert_eq "${lines[-1]}" "0 passed, 1 failed"
    assert_contains "$output" "no test in it"
}

@test "a crash is a failure even behind good tests" {
    counted "$(unit 'echo 1..1; echo ok 1 - a; kill -SEGV $$')"
    assert_eq "$status" 1
    assert_eq "${lines[-1]}" "1 passed, 1 failed"
}

@test "a hang is ended and named" {
    RV_TIMEOUT=1 counted "$(unit 'echo 1..1; tail -f /dev/null')"
    assert_eq "${lines[-1]}" "0 passed, 1 failed"
    assert_contains "$output" "hung: ended after 1 s"
}

@test "a process that is left over is a failure, named and ended" {
    counted "$(unit 'echo 1..1; echo ok 1 - a; tail -f /dev/null >/dev/null 2>&1 &')"
    assert_eq "${lines[-1]}" "1 passed, 1 failed"
    assert_contains "$output" "left a process: tail -f /dev/null"
}

@test "make deps is silent and quick when all is there" {
    local begin
    begin=$(now_ms)
    run "$ROOT/tests/deps.sh" check
    assert_eq "$status" 0
    assert_eq "$output" ""
    assert_le $(($(now_ms) - begin)) 3000 "milliseconds"
    run "$ROOT/tests/deps.sh" nonsense
    assert_eq "$status" 2
}

@test "a clip is made once, also when several ask for it" {
    local i
    export RV_MEDIA=$BATS_TEST_TMPDIR/media
    for i in 1 2 3 4; do
        make_clip one.nut --frames 3 >"$BATS_TEST_TMPDIR/path.$i" 3>&- &
    done
    wait
    assert_eq "$(cat "$BATS_TEST_TMPDIR"/path.* | sort -u | wc -l)" 1
    assert_eq "$(ls "$RV_MEDIA" | wc -l)" 1
    [ "$(make_clip one.nut --frames 3)" != "$(make_clip one.nut --frames 4)" ]
}

@test "a wait has a bound and says what it waited for" {
    run wait_until '[ -e /nonexistent ]' 1
    assert_eq "$status" 1
    assert_eq "$output" "after 1 s still not: [ -e /nonexistent ]"
    wait_until true 1
}

@test "make help names each target" {
    local target
    run make -s -C "$ROOT" help
    for target in check check-all bench demo deps install dist clean; do
        assert_contains "$output" "make $target "
    done
}

@test "fresh-debian says that it needs root" {
    printf '#!/bin/sh\necho 1000\n' >"$BATS_TEST_TMPDIR/id"
    chmod 755 "$BATS_TEST_TMPDIR/id"
    PATH=$BATS_TEST_TMPDIR:$PATH run bash "$ROOT/tests/fresh-debian.sh"
    assert_eq "$status" 1
    assert_contains "$output" "needs root"
}

@test "the tarball of make dist holds what make needs" {
    cd "$ROOT"
    [ -e .git ] || skip "this is one"
    make -s dist
    tar -xzf dist/retrovue-playout-*.tar.gz -C "$BATS_TEST_TMPDIR"
    cd "$BATS_TEST_TMPDIR"/retrovue-playout-*
    [ -f Makefile ] && [ -f LICENSE ] && [ -f README.md ]
    make -n all >"$BATS_TEST_TMPDIR/log" 2>&1
    ! git -C "$ROOT" ls-files | grep -qE '\.(o|a|mp4|mkv|ts)$'
}

@test "a file that fails only once is called flaky, one that fails twice fails" {
    printf '@test "fails the first time" {\n    %s\n}\n' \
        "[ -e '$BATS_TEST_TMPDIR/x' ] || { touch '$BATS_TEST_TMPDIR/x'; false; }" \
        >"$BATS_TEST_TMPDIR/once.bats"
    printf '@test "fails always" {\n    false\n}\n' >"$BATS_TEST_TMPDIR/always.bats"
    RV_RETRY=1 RV_TALLY= RV_OUT=$BATS_TEST_TMPDIR/out run "$ROOT/tests/run.sh" \
        x "$BATS_TEST_TMPDIR/once.bats" "$BATS_TEST_TMPDIR/always.bats"
    assert_eq "$status" 1
    assert_contains "$output" "flaky: $BATS_TEST_TMPDIR/once.bats"
    assert_eq "${lines[-1]}" "1 passed, 1 failed"
}
