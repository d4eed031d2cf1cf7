#!/usr/bin/env bats
# The examples of the manual pages do what the pages say.
#
# An example with the comment  .\" run: WORDS  before it is run in a folder of
# its own; WORDS say what is there: plans (the examples' plans), assets (their
# media).  Comments  .\" prints: TEXT  behind it are what its output must have.

load lib

# examples PAGE: each runnable example as a script in $BATS_TEST_TMPDIR/NAME.N,
# with what it needs in .needs and what it prints in .prints.
examples() {
    awk -v out="$BATS_TEST_TMPDIR/$(basename "$1")" '
        function clean(line) {
            gsub(/\\e/, "\\", line); gsub(/\\-/, "-", line)
            gsub(/\\&/, "", line); gsub(/\\\(dq/, "\"", line)
            return line
        }
        /^\.\\" run:/ { name = out "." ++n; printf "" >name; printf "" >(name ".prints")
                        sub(/^\.\\" run: */, ""); print >(name ".needs"); next }
        name == "" { next }
        /^\.\\" prints:/ { sub(/^\.\\" prints: */, ""); print >(name ".prints"); next }
        /^\.Bd/ { inside = 1; next }
        /^\.Ed/ { inside = 0; next }
        /^\.Dl / { sub(/^\.Dl /, ""); print clean($0) >name; next }
        inside { print clean($0) >name; next }
        /^\.(Pp|Sh)/ { name = "" }
    ' "$1"
    ls "$BATS_TEST_TMPDIR/$(basename "$1")".*[0-9] 2>/dev/null || true
}

# prepare FOLDER WORDS: what an example finds.
prepare() {
    mkdir -p "$1"
    case $2 in
    *plans*) cp -r "$ROOT/examples/plans" "$1" ;;
    esac
    case $2 in
    *assets*)
        mkdir "$1/media"
        cp "$(make_clip film.mkv --frames 400 --rate 25 --size 160x90)" "$1/media/film.mkv"
        cp "$(make_clip spot.mp4 --frames 120 --rate 25 --size 160x90)" "$1/media/spot.mp4"
        ;;
    esac
}

@test "the runnable examples of all pages do what the pages say" {
    local page script folder wanted ran=0
    export PATH=$BIN:$PATH RETROVUE_RUN_DIR=$RUN
    for page in "$ROOT"/man/*.[1-8]; do
        while read -r script; do
            folder=$script.folder
            prepare "$folder" "$(cat "$script.needs")"
            run bash -c 'cd "$1" && set -o pipefail && . "$2"' - "$folder" "$script"
            [ "$status" -eq 0 ] || {
                printf '%s: status %s\n%s\n%s\n' "$page" "$status" "$(cat "$script")" "$output" >&2
                return 1
            }
            while read -r wanted; do
                assert_contains "$output" "$wanted"
            done <"$script.prints"
            ran=$((ran + 1))
        done < <(examples "$page")
    done
    [ "$ran" -ge 6 ]
    assert_no_processes
}
