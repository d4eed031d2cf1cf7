#!/usr/bin/python3
"""client.py GENERATED ADDRESS SCENARIO [PID]: grpcio against echo_server.

GENERATED holds protoc's Python files.  Each scenario is a function; it says
nothing and ends with status 0, or fails with what it saw.
"""
import os
import random
import signal
import sys
import time

sys.path.insert(0, sys.argv[1])
import grpc  # noqa: E402
from google.protobuf import descriptor_pb2, descriptor_pool  # noqa: E402

import echo_pb2 as pb  # noqa: E402
from grpc_.health.v1 import health_pb2 as hpb  # noqa: E402
from grpc_.reflection.v1 import reflection_pb2 as rpb  # noqa: E402

ADDRESS = sys.argv[2]
PID = int(sys.argv[4]) if len(sys.argv) > 4 else 0
PATIENCE = 20
Code = grpc.StatusCode


def method(channel, path, request, response, kind="unary_unary"):
    return getattr(channel, kind)(
        path,
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString,
    )


def echo_of(channel):
    return method(channel, "/retrovue.test.Echo/Echo", pb.EchoRequest, pb.EchoResponse)


def repeat_of(channel):
    return method(channel, "/retrovue.test.Echo/Repeat", pb.EchoRequest,
                  pb.EchoResponse, "stream_stream")


def stats_of(channel):
    call = method(channel, "/retrovue.test.Echo/Stats", pb.StatsRequest, pb.StatsResponse)
    return lambda: call(pb.StatsRequest(), timeout=PATIENCE)


def fails(code, call, part=""):
    try:
        answer = call()
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), error.details())
        assert part in error.details(), error.details()
        return error
    raise AssertionError(f"no {code} but {answer}")


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def unary(channel):
    echo = echo_of(channel)
    for data in (b"", b"\0\xff" * 10, os.urandom(200000)):
        answer = echo(pb.EchoRequest(text="grüße ✓", data=data), timeout=PATIENCE)
        assert (answer.text, answer.data) == ("grüße ✓", data)
        # grpcio rounds its time-out up
        assert 0 < answer.remaining_ms <= (PATIENCE + 1) * 1000, answer.remaining_ms
    answer = echo(pb.EchoRequest(metadata_key="a-key"), metadata=[("a-key", "a value")],
                  timeout=PATIENCE)
    assert answer.metadata == "a value"
    answer = echo(pb.EchoRequest(metadata_key="b-bin"), metadata=[("b-bin", b"\0\1\2")],
                  timeout=PATIENCE)
    assert answer.metadata.rstrip("=") == "AAEC", answer.metadata
    for kind, code in (("input", Code.INVALID_ARGUMENT), ("not-found", Code.NOT_FOUND),
                       ("state", Code.FAILED_PRECONDITION),
                       ("limit", Code.RESOURCE_EXHAUSTED), ("system", Code.INTERNAL),
                       ("unreachable", Code.UNAVAILABLE)):
        text = f"{kind}: plan /ä.json:3: 100% wrong"
        error = fails(code, lambda: echo(pb.EchoRequest(text=text, fail_kind=kind),
                                         timeout=PATIENCE))
        assert error.details() == text, error.details()
    # an answer from outside of a round wakes the server, which else waits 2 s
    for _ in range(5):
        begin = time.monotonic()
        echo(pb.EchoRequest(wait_ms=5), timeout=PATIENCE)
        assert time.monotonic() - begin < 1
    other = method(channel, "/retrovue.test.Echo/Nope", pb.EchoRequest, pb.EchoResponse)
    fails(Code.UNIMPLEMENTED, lambda: other(pb.EchoRequest(), timeout=PATIENCE),
          "no such method")


def many(channel):
    echo, stats = echo_of(channel), stats_of(channel)
    before = stats()
    calls = [echo.future(pb.EchoRequest(text=str(i), wait_ms=i % 50), timeout=PATIENCE)
             for i in range(2000)]
    for i, call in enumerate(calls):
        assert call.result().text == str(i)
    until(lambda: stats().open_calls == 1)
    after = stats()
    assert after.done - before.done == 2000, (before, after)
    assert after.held == 0
    assert after.rss_kb < before.rss_kb + 4096 or os.environ.get("RV_NO_RSS"), after


def gone(channel):
    """Deadlines, cancellation and a lost connection end what is held."""
    echo, stats = echo_of(channel), stats_of(channel)
    waits = pb.EchoRequest(wait_ms=3600000)
    before = stats().done
    fails(Code.DEADLINE_EXCEEDED, lambda: echo(waits, timeout=0.2))
    until(lambda: stats().held == 0)
    calls = [echo.future(waits) for _ in range(50)]
    until(lambda: stats().held == 50)
    random.shuffle(calls)
    for call in calls[:25]:
        call.cancel()
    until(lambda: stats().held == 25)
    other = grpc.insecure_channel(ADDRESS, options=[("grpc.use_local_subchannel_pool", 1)])
    lost = [echo_of(other).future(waits) for _ in range(10)]
    until(lambda: stats().held == 35)
    other.close()
    until(lambda: stats().held == 25)
    for call in calls[25:]:
        call.cancel()
    until(lambda: stats().held == 0 and stats().open_calls == 1)
    assert stats().done - before == 61, (stats(), before)
    assert len(lost) == 10
    assert stats().inbound_bytes < 1000, stats()


def limits(channel):
    echo = echo_of(channel)
    most = 256 * 1024 - 4  # what field 2 leaves of 256 KiB
    assert len(echo(pb.EchoRequest(data=b"x" * most), timeout=PATIENCE).data) == most
    fails(Code.RESOURCE_EXHAUSTED,
          lambda: echo(pb.EchoRequest(data=b"x" * (most + 1)), timeout=PATIENCE),
          "at most 262144")
    raw = channel.unary_unary("/retrovue.test.Echo/Echo")
    for request, code, part in (
        (b"\x0a\x03a\0b", Code.INVALID_ARGUMENT, "field text: holds a NUL"),
        (b"\x0a\x01\xff", Code.INVALID_ARGUMENT, "field text: not UTF-8"),
        (b"\x0a\x05a", Code.INVALID_ARGUMENT, "not a valid message"),
        (b"\x3a\0" * 5000, Code.RESOURCE_EXHAUSTED, "too many fields"),
    ):
        fails(code, lambda: raw(request, timeout=PATIENCE), part)
    deep = pb.EchoRequest(text="x")
    for _ in range(100):
        deep = pb.EchoRequest(inner=deep)
    fails(Code.RESOURCE_EXHAUSTED, lambda: echo(deep, timeout=PATIENCE), "nested deeper")
    assert len(stats_of(channel)().SerializeToString()) > 0


def gzip(channel):
    echo = echo_of(channel)
    for n in (0, 1, 200000):
        answer = echo(pb.EchoRequest(data=b"x" * n), timeout=PATIENCE,
                      compression=grpc.Compression.Gzip)
        assert len(answer.data) == n
    fails(Code.RESOURCE_EXHAUSTED,
          lambda: echo(pb.EchoRequest(data=bytes(100 << 20)), timeout=PATIENCE,
                       compression=grpc.Compression.Gzip), "more than 262144")
    fails(Code.UNIMPLEMENTED,
          lambda: echo(pb.EchoRequest(data=b"x" * 5000), timeout=PATIENCE,
                       compression=grpc.Compression.Deflate), "identity and gzip")
    assert stats_of(channel)().rss_kb < 60000 or os.environ.get("RV_NO_RSS")


def stream(channel):
    repeat = repeat_of(channel)
    texts = [str(i) * (i % 7) for i in range(500)]
    answers = repeat((pb.EchoRequest(text=t) for t in texts), timeout=PATIENCE)
    assert [a.text for a in answers] == texts
    assert list(repeat(iter([]), timeout=PATIENCE)) == []
    big = [pb.EchoRequest(data=os.urandom(100000)) for _ in range(20)]
    for request, answer in zip(big, repeat(iter(big), timeout=PATIENCE)):
        assert request.data == answer.data


def health(channel):
    check = method(channel, "/grpc.health.v1.Health/Check", hpb.HealthCheckRequest,
                   hpb.HealthCheckResponse)
    watch = method(channel, "/grpc.health.v1.Health/Watch", hpb.HealthCheckRequest,
                   hpb.HealthCheckResponse, "unary_stream")
    name = "retrovue.test.Echo"
    for service in ("", name):
        assert check(hpb.HealthCheckRequest(service=service), timeout=PATIENCE).status == 1
    fails(Code.NOT_FOUND, lambda: check(hpb.HealthCheckRequest(service="x"), timeout=PATIENCE))
    seen = watch(hpb.HealthCheckRequest(service=name), timeout=PATIENCE)
    for wanted in (1, 2, 1, 2):
        assert next(seen).status == wanted
        os.kill(PID, signal.SIGUSR1)
    assert next(seen).status == 1
    seen.cancel()
    unknown = watch(hpb.HealthCheckRequest(service="x"), timeout=PATIENCE)
    assert next(unknown).status == 3
    unknown.cancel()
    until(lambda: stats_of(channel)().open_calls == 1)


def reflection(channel):
    for version in ("v1", "v1alpha"):
        info = method(channel,
                      f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                      rpb.ServerReflectionRequest, rpb.ServerReflectionResponse,
                      "stream_stream")

        def ask(**question):
            request = rpb.ServerReflectionRequest(host="h", **question)
            answers = list(info(iter([request]), timeout=PATIENCE))
            assert len(answers) == 1 and answers[0].original_request == request
            return answers[0]

        names = {s.name for s in ask(list_services="").list_services_response.service}
        assert names == {"retrovue.test.Echo", "grpc.health.v1.Health",
                         "grpc.reflection.v1.ServerReflection",
                         "grpc.reflection.v1alpha.ServerReflection"}, names
        for symbol in ("retrovue.playout.PlayoutControl",
                       "retrovue.playout.PlayoutControl.GetVersion",
                       "retrovue.playout.SwitchToLiveResponse.violation_reason",
                       "retrovue.playout.ResultCode",
                       "retrovue.playout.PLAYOUT_API_VERSION"):
            files = ask(file_containing_symbol=symbol).file_descriptor_response
            protos = [descriptor_pb2.FileDescriptorProto.FromString(f)
                      for f in files.file_descriptor_proto]
            assert [p.name for p in protos] == ["retrovue/playout.proto",
                                                "google/protobuf/descriptor.proto"]
        pool = descriptor_pool.DescriptorPool()
        for proto in reversed(protos):
            pool.Add(proto)
        service = pool.FindServiceByName("retrovue.playout.PlayoutControl")
        assert len(service.methods) == 6
        # field 50000, a string of 5 bytes
        assert b"\x82\xb5\x18\x051.0.0" in protos[0].options.SerializeToString()
        option = rpb.ExtensionRequest(containing_type="google.protobuf.FileOptions",
                                      extension_number=50000)
        answer = ask(file_containing_extension=option)
        assert len(answer.file_descriptor_response.file_descriptor_proto) == 2
        answer = ask(all_extension_numbers_of_type="google.protobuf.FileOptions")
        assert list(answer.all_extension_numbers_response.extension_number) == [50000]
        by_name = ask(file_by_filename="grpc/health/v1/health.proto")
        assert len(by_name.file_descriptor_response.file_descriptor_proto) == 1
        for symbol in ("", "retrovue", "retrovue.playout", "retrovue.playout.Nope",
                       "retrovue.playout.PlayoutControl.Nope",
                       "retrovue.playout.StartChannelRequestX"):
            assert ask(file_containing_symbol=symbol).error_response.error_code == 5
        assert ask().error_response.error_code == 3


def drain(channel):
    """SIGTERM: what runs ends well, streams are ended, new calls find nobody."""
    echo, repeat = echo_of(channel), repeat_of(channel)
    running = [echo.future(pb.EchoRequest(text="x", wait_ms=500), timeout=PATIENCE)
               for _ in range(20)]
    stop = []

    def endless():
        yield pb.EchoRequest(text="first")
        until(lambda: stop)

    answers = repeat(endless(), timeout=PATIENCE)
    assert next(answers).text == "first"
    until(lambda: stats_of(channel)().held == 20)
    os.kill(PID, signal.SIGTERM)
    fails(Code.UNAVAILABLE, lambda: next(answers), "shutting down")
    stop.append(True)
    for call in running:
        assert call.result().text == "x"
    until(lambda: echo.future(pb.EchoRequest(), timeout=1).code() != Code.OK)


def calls(channel):
    """Some thousand of all kinds, for a run under valgrind."""
    echo, repeat = echo_of(channel), repeat_of(channel)
    for i in range(2500):
        kind = "state" if i % 5 == 0 else ""
        call = echo.future(pb.EchoRequest(text="x" * (i % 300), fail_kind=kind,
                                          wait_ms=i % 3), timeout=60)
        if i % 11 == 0:
            call.cancel()
        elif kind:
            assert call.code() == Code.FAILED_PRECONDITION
        else:
            assert call.result().text == "x" * (i % 300)
        if i % 100 == 0:
            assert len(list(repeat(iter([pb.EchoRequest()] * 5), timeout=60))) == 5


def tls(_):
    with open(os.environ["RV_CERT"], "rb") as file:
        root = file.read()
    secure = grpc.secure_channel(ADDRESS, grpc.ssl_channel_credentials(root),
                                 options=[("grpc.ssl_target_name_override", "localhost")])
    unary(secure)
    stream(secure)
    secure.close()


def main():
    scenario = globals()[sys.argv[3]]
    channel = grpc.insecure_channel(
        ADDRESS, options=[("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)])
    scenario(channel)
    channel.close()


main()
