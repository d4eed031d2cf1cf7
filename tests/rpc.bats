#!/usr/bin/env bats
# lib/rpc seen from outside: echo_server, called by grpcio and attacked with
# frames that no good client sends.  Each test ends with SIGTERM and asserts
# that the server drains, ends with status 0 and leaves nothing.

load lib
load rpc/lib

setup_file() { rpc_setup_file; }
setup() { rpc_setup; }

# both SCENARIO: grpcio over TCP and over the Unix socket.
both() {
    serve
    client "$TCP" "$1" "$SERVER"
    client "$SOCKET" "$1" "$SERVER"
    ended
}

@test "playout.proto is the promised one, for the runtime's own protoc" {
    local out=$BATS_TEST_TMPDIR/gen
    mkdir "$out"
    "$PYTHON" -m grpc_tools.protoc -Iproto -I/usr/include --python_out="$out" \
        --grpc_python_out="$out" retrovue/playout.proto retrovue/playout_status.proto
    grep -q "/retrovue.playout.PlayoutControl/SwitchToLive" \
        "$out/retrovue/playout_pb2_grpc.py"
    "$PYTHON" tests/rpc/contract.py "$out"
}

@test "unary calls bring text, bytes, metadata and every status" { both unary; }
@test "thousands of calls at once are each answered and each done once" { both many; }
@test "deadline, cancellation and a lost connection end a held call" { both gone; }
@test "requests that are too long, too deep, too many or no UTF-8 are refused" { both limits; }
@test "gzip is understood and bounded" { both gzip; }
@test "a stream answers in order, also when it is large" { both stream; }
@test "health can be checked and watched" { both health; }
@test "reflection of both versions gives files, symbols and extensions" { both reflection; }

@test "SIGTERM lets running calls end and ends the streams" {
    local address
    for address in TCP SOCKET; do
        serve
        client "${!address}" drain "$SERVER"
        ended
    done
}

@test "TLS needs h2 and works with grpcio" {
    export RV_CERT=$BATS_TEST_TMPDIR/cert.pem
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -keyout "$BATS_TEST_TMPDIR/key.pem" -out "$RV_CERT" -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost 2>"$BATS_TEST_TMPDIR/openssl"
    serve --certificate "$RV_CERT" --key "$BATS_TEST_TMPDIR/key.pem"
    client "$TCP" tls
    client "$SOCKET" unary # plain on the Unix socket
    # no ALPN, another ALPN, no TLS: cut
    local protocol
    for protocol in '' '-alpn http/1.1'; do
        run timeout 10 openssl s_client -quiet $protocol -connect "$TCP" </dev/null
        [ "$status" -ne 124 ]
        run timeout 10 openssl s_client $protocol -connect "$TCP" </dev/null
        [[ $output != *"ALPN protocol: h"* ]]
    done
    attack "$TCP" plain_to_tls
    ended
}

@test "wrong TLS files are told with place and reason" {
    run "$UNIT/echo_server" --certificate /nonexistent.pem --key /k 127.0.0.1:0
    assert_eq "$status" 1
    assert_contains "$output" "TLS certificate /nonexistent.pem"
}

@test "a second server on the same port or socket is refused, the first goes on" {
    serve
    run "$UNIT/echo_server" "$TCP"
    assert_eq "$status" 1
    assert_contains "$output" "$TCP: in use by another program; stop it or choose another port"
    run "$UNIT/echo_server" "$SOCKET"
    assert_eq "$status" 1
    assert_contains "$output" "in use by another server"
    client "$TCP" unary
    client "$SOCKET" unary
    ended
}

@test "a socket is for its owner only, and a killed server's is taken over" {
    serve
    assert_eq "$(stat -c %a "$RUN/s")" 600
    assert_eq "$(stat -c %a "$RUN/s.lock")" 600
    kill -KILL "$SERVER"
    status=0
    status_within "$SERVER" 5 || status=$?
    assert_eq "$status" 137
    [ -S "$RUN/s" ]
    serve
    client "$SOCKET" unary
    ended
}

@test "rapid reset is cut after some hundred calls, all of them done" {
    serve
    attack "$TCP" rapid_reset
    attack "$SOCKET" rapid_reset
    ended
}

@test "a flood of CONTINUATION frames is cut" {
    serve
    attack "$TCP" continuation_flood
    ended
}

@test "floods of pings, settings, priorities and empty frames are cut" {
    serve
    attack "$TCP" floods
    ended
}

@test "who speaks no gRPC gets an HTTP status or is hung up on" {
    serve
    attack "$TCP" not_grpc
    attack "$SOCKET" odd_calls
    ended
}

@test "who is silent, slow, or does not read is hung up on" {
    serve --first-byte-ms 300 --stall-ms 500 --idle-ms 700
    attack "$TCP" slow
    ended
}

@test "a stream that is not read is ended and holds little memory" {
    serve
    attack "$TCP" queue
    ended
}

@test "half requests of many calls stay under one bound" {
    serve --inbound 1000000
    attack "$TCP" inbound
    ended
}

@test "connections are counted: quiet ones make room for new ones" {
    serve --connections 8
    attack "$TCP" crowd
    ended
}

@test "a server out of descriptors goes on as soon as there are some" {
    serve --nofile 20
    attack "$TCP" descriptors
    attack "$SOCKET" descriptors
    ended
}

@test "mutated sessions of a real client do no harm" {
    serve
    attack "$TCP" fuzz "${RV_FUZZ:-1500}"
    attack "$SOCKET" fuzz "${RV_FUZZ:-1500}"
    ended
}
