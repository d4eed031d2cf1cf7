#!/usr/bin/python3
"""conversation.py GENERATED ADDRESS SCENARIO ARGUMENT...: grpcio and rv-ctl serve.

GENERATED holds protoc's Python files.  Each scenario is a function; it ends
with status 0, or fails with what it saw.  `life` prints the figures of its
switch as JSON, for the test to compare with the stream.
"""
import json
import sys
import time

sys.path.insert(0, sys.argv[1])
import grpc  # noqa: E402

from retrovue import playout_pb2 as pb  # noqa: E402
from retrovue import playout_status_pb2 as spb  # noqa: E402

ADDRESS = sys.argv[2]
ARGUMENTS = sys.argv[4:]
PATIENCE = 20
Code = grpc.StatusCode
OK, NOT_READY, BUSY = 1, 2, 3
CONTROL = "/retrovue.playout.PlayoutControl/"
STATUS = "/retrovue.playout.PlayoutStatus/"


class Control:
    """The service, without generated stubs."""

    def __init__(self, channel):
        self.channel = channel

    def call(self, path, request, response, metadata=()):
        return self.channel.unary_unary(
            path, request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString)(
                request, timeout=PATIENCE, metadata=metadata)

    def start(self, channel, plan, port=0, form="", metadata=()):
        return self.call(CONTROL + "StartChannel", pb.StartChannelRequest(
            channel_id=channel, plan_handle=plan, port=port,
            program_format_json=form), pb.StartChannelResponse, metadata)

    def update(self, channel, plan):
        return self.call(CONTROL + "UpdatePlan", pb.UpdatePlanRequest(
            channel_id=channel, plan_handle=plan), pb.UpdatePlanResponse)

    def stop(self, channel):
        return self.call(CONTROL + "StopChannel", pb.StopChannelRequest(
            channel_id=channel), pb.StopChannelResponse)

    def load(self, channel, asset, **more):
        return self.call(CONTROL + "LoadPreview", pb.LoadPreviewRequest(
            channel_id=channel, asset_path=asset, **more), pb.LoadPreviewResponse)

    def switch(self, channel, at=0, ahead_ms=0):
        return self.call(CONTROL + "SwitchToLive", pb.SwitchToLiveRequest(
            channel_id=channel, target_boundary_time_ms=at,
            issued_at_time_ms=int(time.time() * 1000) + ahead_ms), pb.SwitchToLiveResponse)

    def version(self, metadata=()):
        return self.call(CONTROL + "GetVersion", pb.ApiVersionRequest(),
                         pb.ApiVersion, metadata).version

    def status(self, channel):
        answer = self.call(STATUS + "ListChannels", spb.ListChannelsRequest(),
                           spb.ListChannelsResponse)
        return next(one for one in answer.channels if one.channel == channel)


def fails(code, function, *arguments, says="", **more):
    try:
        function(*arguments, **more)
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()}: {error.details()}"
        assert says in error.details(), error.details()
        return
    raise AssertionError(f"no {code}")


def until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)


def life(control, plan, other, asset):
    """A channel from its start to its stop, everything twice."""
    assert control.version() == "1.0.0"
    first = control.start(1, plan)
    assert first.success and "/channel/1.ts" in first.message, first
    until(lambda: control.status(1).state == 2, "ready")
    again = control.start(1, plan)
    assert again.success and "already" in again.message, again
    until(lambda: control.status(1).frame > 30, "frame 30 on air")

    assert control.update(1, other).success
    assert control.update(1, other).success  # the same again: nothing changes

    loaded = control.load(1, asset)
    assert loaded.success and loaded.shadow_decode_started, loaded
    assert loaded.result_code == OK, loaded
    begin = time.monotonic()
    cut = control.switch(1)
    if cut.result_code == NOT_READY:
        assert not cut.success and cut.violation_reason, cut
        assert control.load(1, other).result_code == BUSY
        until(lambda: control.switch(1).result_code == OK, "switched")
        cut = control.switch(1)
    else:
        took = time.monotonic() - begin
        assert took <= 0.5, took  # promised is 0.1 s, on a machine of its own
    assert cut.success and cut.result_code == OK, cut
    assert cut.pts_contiguous and cut.live_start_pts >= 90000, cut
    assert control.switch(1) == cut, "the same call again tells the same cut"

    control.load(1, asset, start_frame=10, frame_count=30)
    at = int(time.time() * 1000) + 2500
    until(lambda: control.switch(1, at=at).result_code == OK, "switched in time")
    timed = control.switch(1, at=at)
    assert timed.result_code == OK, timed
    assert abs(timed.switch_completion_time_ms - at) <= 18, (at, timed)
    assert not timed.violation_reason, timed
    print(json.dumps({"first": cut.live_start_pts, "second": timed.live_start_pts}),
          flush=True)
    until(lambda: control.status(1).segment.startswith("b"), "the plan goes on")

    # two seconds of it from one second on, counted at another rate
    control.load(1, asset, start_frame=25, frame_count=50, fps_numerator=25, fps_denominator=1)
    until(lambda: control.switch(1).result_code == OK, "switched at another rate")
    until(lambda: control.status(1).segment.startswith("preview"), "it is on air")
    until(lambda: control.status(1).segment.startswith("b"), "the plan goes on again")
    assert control.stop(1).success
    assert control.stop(1).success
    assert control.status(1).state == 0
    fails(Code.FAILED_PRECONDITION, control.update, 1, plan)


def refusals(control, plan, other, asset):
    """Every way of asking wrongly, and nothing is left behind."""
    bad = Code.INVALID_ARGUMENT
    fails(bad, control.start, 0, plan, says="channel_id")
    fails(bad, control.start, -1, plan)
    fails(bad, control.start, 1, plan, port=-1, says="port")
    fails(bad, control.start, 1, plan, port=65536)
    fails(bad, control.start, 1, "", says="plan_handle")
    fails(bad, control.start, 1, "/no/such/plan.json")
    fails(bad, control.start, 1, "../plan")
    fails(bad, control.start, 1, plan, form="{", says="program_format_json")
    fails(bad, control.start, 1, plan, form="{}", says="video")
    fails(Code.NOT_FOUND, control.update, 1, plan)
    fails(Code.NOT_FOUND, control.load, 1, asset)
    fails(Code.NOT_FOUND, control.switch, 1)
    fails(Code.NOT_FOUND, control.stop, 1)
    two = (("playout-api-version", "2.0.0"),)
    fails(Code.FAILED_PRECONDITION, control.start, 1, plan, metadata=two)
    assert control.version((("playout-api-version", "1.9.3"),)) == "1.0.0"

    control.start(1, plan)
    until(lambda: control.status(1).state == 2, "ready")
    fails(Code.FAILED_PRECONDITION, control.start, 1, other, port=1)
    form = json.dumps({"video": {"width": 640, "height": 360, "frame_rate": "25"},
                       "audio": {"sample_rate": 48000, "channels": 2}})
    fails(Code.FAILED_PRECONDITION, control.start, 1, plan, form=form)
    fails(Code.FAILED_PRECONDITION, control.switch, 1, says="preview")
    fails(bad, control.load, 1, "/no/such.mp4", says="/no/such.mp4")
    fails(bad, control.load, 1, asset, start_frame=-1)
    fails(bad, control.load, 1, asset, frame_count=-2)
    fails(bad, control.load, 1, asset, fps_numerator=25)
    fails(bad, control.load, 1, "")
    fails(bad, control.update, 1, "/no/such/plan.json")
    fails(Code.FAILED_PRECONDITION, control.switch, 1)
    assert control.status(1).state == 2
    control.stop(1)


if __name__ == "__main__":
    with grpc.insecure_channel(ADDRESS) as connection:
        {"life": life, "refusals": refusals}[sys.argv[3]](Control(connection), *ARGUMENTS)
