#!/usr/bin/env bats
# Any media in the world: a file of every kind between two coded clips, once from
# its start and once from its middle.  Here every eleventh kind; all of them in
# tests/long/matrix.bats.
load ../lib

@test "media of any kind: right length, every picture, sound in place, exact neighbours" {
    "$PYTHON" "$ROOT/tests/matrix.py" "$BATS_TEST_TMPDIR" --every 11
    assert_clean
}
