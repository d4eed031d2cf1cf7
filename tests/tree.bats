#!/usr/bin/env bats
# Habits of this tree that a machine can see.

load lib

setup() {
    rv_setup
    cd "$ROOT"
}

# ours PATTERN...: files of ours, committed or about to be; in an unpacked
# tarball, which has no history, all but what is built.
ours() {
    local file pattern
    if [ -e .git ]; then
        git ls-files --cached --others --exclude-standard -- "$@"
    else
        [ $# -gt 0 ] || set -- '*'
        find . -path ./build -prune -o -type f -printf '%P\n' | sort |
            while read -r file; do
                for pattern in "$@"; do
                    # shellcheck disable=SC2053
                    [[ $file != $pattern ]] || { echo "$file"; break; }
                done
            done
    fi | while read -r file; do [ ! -f "$file" ] || echo "$file"; done
}

# code FILE: its text without comments and strings, line by line.
code() {
    gcc -fpreprocessed -dD -E -P -w -x c "$1" 2>/dev/null |
        sed 's/"\([^"\\]\|\\.\)*"/""/g'
}

# no_match WHY REGEX FILE...: fails with each file that has it in its code.
no_match() {
    local why=$1 regex=$2 file found=''
    shift 2
    for file in "$@"; do
        found+=$(code "$file" | grep -nE -- "$regex" | sed "s|^[0-9]*:|$file: |")
    done
    [ -z "$found" ] || {
        printf '%s:\n%s\n' "$why" "$found" >&2
        return 1
    }
}

tools() {
    find "$BIN" -maxdepth 1 -type f -name 'rv-*' 2>/dev/null | sort
}

@test "clang-format changes nothing" {
    local files
    mapfile -t files < <(ours '*.c' '*.h')
    run clang-format --dry-run -Werror "${files[@]}"
    [ "$status" -eq 0 ] || {
        grep -E 'error' <<<"$output" | cut -d: -f1 | sort | uniq -c >&2
        return 1
    }
}

@test "functions that cannot be used safely are not used" {
    local files
    mapfile -t files < <(ours 'lib/*.[ch]' 'cmd/*.[ch]' 'tests/tools/*.[ch]')
    no_match "use strlcpy, strlcat, snprintf, strtonum, posix_spawn" \
        '(^|[^a-zA-Z0-9_.>])(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|atoll|atof|strtok|system|popen|tmpnam|mktemp|alloca)[[:space:]]*\(' \
        "${files[@]}"
}

@test "only lib/clock and lib/log ask a system clock" {
    local files
    # frame/shm.c: futex_waitv takes no duration, only an end on that clock
    mapfile -t files < <(ours 'lib/*.c' 'cmd/*.c' |
        grep -vE '^lib/(clock|log)/|^lib/frame/shm.c')
    no_match "take the time from lib/clock" \
        '(^|[^a-zA-Z0-9_.>])(clock_gettime|gettimeofday|time|ftime|av_gettime|av_gettime_relative)[[:space:]]*\(' \
        "${files[@]}"
}

@test "the library neither prints nor exits" {
    local files
    # cli is the programs' common main(); the SIGBUS handler may end a program
    mapfile -t files < <(ours 'lib/*.c' | grep -vE '^lib/cli/')
    no_match "return -1 and a sentence in struct err" \
        '(^|[^a-zA-Z0-9_.>])(printf|puts|putchar|perror|exit|abort|err|errx|warn|warnx)[[:space:]]*\(' \
        "${files[@]}"
}

@test "the library knows nothing of the programs, a program nothing of others" {
    local file found
    found=$(ours 'lib/*.[ch]' 'cmd/*.[ch]' | while read -r file; do
        grep -HnE '#include "(\.\./|cmd/)' "$file" || true
    done)
    assert_eq "$found" ""
}

@test "each header compiles alone" {
    local file bad=''
    while read -r file; do
        printf '#include "%s"\n' "$ROOT/$file" |
            gcc -std=gnu11 -D_GNU_SOURCE -Ilib -I"$(dirname "$file")" -Ibuild/gen \
                -fsyntax-only -x c - 2>"$BATS_TEST_TMPDIR/why" ||
            bad+="$file: $(head -2 "$BATS_TEST_TMPDIR/why" | tail -1)"$'\n'
    done < <(ours 'lib/*.h' 'cmd/*.h' 'tests/*.h')
    assert_eq "$bad" ""
}

@test "each header has a guard of its own name" {
    local file bad=''
    while read -r file; do
        local guard
        guard=$(sed -n 's/^#ifndef \(RV_[A-Z0-9_]*_H\)$/\1/p' "$file" | head -1)
        [ -n "$guard" ] && grep -qx "#define $guard" "$file" || bad+="$file "
    done < <(ours 'lib/*.h' 'cmd/*.h')
    assert_eq "$bad" ""
}

@test "each source file opens with what it is for" {
    local file bad=''
    while read -r file; do
        [ "$(head -c 2 "$file")" = '/*' ] || bad+="$file "
    done < <(ours 'lib/*.[ch]' 'cmd/*.[ch]' 'tests/*.[ch]')
    assert_eq "$bad" ""
}

@test "no file of code is longer than 700 lines" {
    local file bad=''
    while read -r file; do
        [ "$(wc -l <"$file")" -le 700 ] || bad+="$file "
    done < <(ours 'lib/*.[ch]' 'cmd/*.[ch]')
    assert_eq "$bad" ""
}

@test "no white space at the end of a line, and a newline at the end of a file" {
    local file bad=''
    while read -r file; do
        grep -Iq . "$file" || continue
        ! grep -qE '[[:blank:]]$' "$file" || bad+="$file: white space"$'\n'
        [ -z "$(tail -c 1 "$file")" ] || bad+="$file: no newline"$'\n'
    done < <(ours | grep -vE '^(LICENSE|.*\.(png|ts|mp4|mkv|mov|bin))$')
    assert_eq "$bad" ""
}

@test "each program tells --help and --version, and what is wrong with status 2" {
    local tool name
    while read -r tool; do
        name=$(basename "$tool")
        run "$tool" --help
        assert_eq "$status" 0 "$name --help"
        assert_contains "$output" "Usage: $name"
        run "$tool" --version
        assert_eq "$status" 0 "$name --version"
        assert_contains "$output" "$name (retrovue-playout) "
        run "$tool" --no-such-option
        assert_eq "$status" 2 "$name --no-such-option"
    done < <(tools)
}

@test "each program has a page and a completion" {
    local tool name
    while read -r tool; do
        name=$(basename "$tool")
        [ -f "man/$name.1" ] || { echo "no man/$name.1" >&2; return 1; }
        grep -qw -- "$name" completions/retrovue.bash
        grep -q "$name" README.md
    done < <(tools)
}

@test "each page lints and has the sections that a reader looks for" {
    local page section
    for page in man/*.[1-8]; do
        [ -e "$page" ] || continue
        run mandoc -T lint -W warning "$page"
        assert_eq "$output" "" "$page"
        [[ $page == man/rv-*.1 ]] || continue
        for section in NAME SYNOPSIS DESCRIPTION OPTIONS INPUT OUTPUT \
            ENVIRONMENT FILES SIGNALS 'EXIT STATUS' EXAMPLES 'SEE ALSO'; do
            grep -qE "^\.Sh \"?$section\"?\$" "$page" ||
                { echo "$page: no section $section" >&2; return 1; }
        done
    done
}

@test "each option of a program is in its page" {
    local tool name option bad=''
    while read -r tool; do
        name=$(basename "$tool")
        [ -f "man/$name.1" ] || continue
        mandoc -T ascii "man/$name.1" | col -b >"$BATS_TEST_TMPDIR/page"
        while read -r option; do
            grep -qF -- "$option" "$BATS_TEST_TMPDIR/page" || bad+="$name $option "
        done < <("$tool" --help | grep -oE -- '(^| )--[a-z][a-z0-9-]+' | tr -d ' ' |
            grep -vxE -- '--(help|usage|version)' | sort -u)
    done < <(tools)
    assert_eq "$bad" ""
}

@test "completion offers the options of a program" {
    local tool
    tool=$(tools | head -1)
    [ -n "$tool" ] || skip "no program yet"
    run bash -c '
        source completions/retrovue.bash
        COMP_WORDS=("$1" --he) COMP_CWORD=1
        _rv "$1" --he "$1"
        echo "${COMPREPLY[@]}"' - "$tool"
    assert_eq "$output" "--help"
}

@test "make install puts all below DESTDIR and uninstall takes all of it back" {
    local dest=$BATS_TEST_TMPDIR/dest
    make -s install DESTDIR="$dest" PREFIX=/opt/rv >"$BATS_TEST_TMPDIR/log"
    [ -f "$dest/opt/rv/share/bash-completion/completions/rv-ctl" ]
    [ -f "$dest/opt/rv/share/doc/retrovue-playout/LICENSE" ]
    local tool
    for tool in build/bin/rv-*; do
        [ ! -e "$tool" ] || [ -x "$dest/opt/rv/bin/$(basename "$tool")" ]
    done
    assert_eq "$(ls "$dest")" opt
    make -s uninstall DESTDIR="$dest" PREFIX=/opt/rv
    assert_eq "$(find "$dest" ! -type d)" ""
}

@test "scripts are well-formed" {
    local file
    while read -r file; do
        case $(head -1 "$file") in
        '#!/bin/sh'*) sh -n "$file" ;;
        *bash*) [[ $file == *.bats ]] || bash -n "$file" ;;
        esac
    done < <(ours '*.sh' '.ci/run' 'examples/*' 'completions/*')
}
