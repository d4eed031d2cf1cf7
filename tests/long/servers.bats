#!/usr/bin/env bats
# Servers that hang up, lie, are slow or not there: the segments beside are
# exact.  tests/promise/changing-files.bats has those that recover.
load ../lib
load ../service
load ../cases

setup() {
    rv_setup
    cases_setup
}

# play NAME...: the cases as the server's paths say.
play() {
    local name
    serve_badly 150
    start_serve --house 160x90@25
    for name in "$@"; do
        on_air "$name" "$URL/$name/film.mkv" '"duration":"150f"'
    done
    [ "$1" != silent ] || on_air refused http://127.0.0.1:1/film.mkv '"duration":"150f"'
    view 17
    frames
    kill "$SERVING"
    stop_serve
    tell
    for name in "${CASES[@]}"; do
        neighbours "$name" 150
    done
}

@test "servers that hang up half way, or lie about the length" {
    play ok half long short
    exact ok 0 149
    exact half 0 60
    exact long 0 145
    exact short 0 60
}

@test "servers that say nothing, dawdle, stall for good, or are not there" {
    play silent slow stall
    assert_eq "$(count_exact silent)" 0
    assert_eq "$(count_exact refused)" 0
    exact stall 0 60
}
