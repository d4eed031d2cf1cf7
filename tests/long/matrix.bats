#!/usr/bin/env bats
# Every kind of media of tests/matrix.py.  RV_MATRIX_EVERY=10 takes each tenth.
# timeout: 1800
load ../lib

@test "media of every kind: right length, every picture, sound in place, exact neighbours" {
    "$PYTHON" "$ROOT/tests/matrix.py" "$BATS_TEST_TMPDIR" --every "${RV_MATRIX_EVERY:-1}"
    assert_clean
}

@test "real files with odd timing are as long as they should be" {
    [ -n "${RV_ODD_MEDIA:-}" ] || skip "RV_ODD_MEDIA names no folder of real files"
    "$PYTHON" "$ROOT/tests/matrix.py" "$BATS_TEST_TMPDIR" --real "$RV_ODD_MEDIA"
    assert_clean
}
