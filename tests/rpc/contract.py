#!/usr/bin/python3
"""contract.py GENERATED: playout.proto is what the runtime was promised.

Written down a second time on purpose: a field that changes its number or type
breaks callers that nobody here can see.
"""
import sys

sys.path.insert(0, sys.argv[1])
from google.protobuf import descriptor_pb2  # noqa: E402

from retrovue import playout_pb2 as playout  # noqa: E402
from retrovue import playout_status_pb2 as status  # noqa: E402

MESSAGES = {
    "StartChannelRequest": "1 int32 channel_id, 2 string plan_handle, 3 int32 port, "
                           "10 string program_format_json",
    "StartChannelResponse": "1 bool success, 2 string message",
    "UpdatePlanRequest": "1 int32 channel_id, 2 string plan_handle",
    "UpdatePlanResponse": "1 bool success, 2 string message",
    "StopChannelRequest": "1 int32 channel_id",
    "StopChannelResponse": "1 bool success, 2 string message",
    "ApiVersionRequest": "",
    "ApiVersion": "1 string version",
    "LoadPreviewRequest": "1 int32 channel_id, 2 string asset_path, 3 int64 start_frame, "
                          "4 int64 frame_count, 5 int32 fps_numerator, "
                          "6 int32 fps_denominator",
    "LoadPreviewResponse": "1 bool success, 2 string message, 3 bool shadow_decode_started, "
                           "4 enum result_code",
    "SwitchToLiveRequest": "1 int32 channel_id, 2 int64 target_boundary_time_ms, "
                           "3 int64 issued_at_time_ms",
    "SwitchToLiveResponse": "1 bool success, 2 string message, 3 bool pts_contiguous, "
                            "4 uint64 live_start_pts, 5 enum result_code, "
                            "6 int64 switch_completion_time_ms, 7 string violation_reason",
}
METHODS = {
    name: (f"{name}Request", f"{name}Response")
    for name in ("StartChannel", "UpdatePlan", "StopChannel", "LoadPreview", "SwitchToLive")
}
METHODS["GetVersion"] = ("ApiVersionRequest", "ApiVersion")
CODES = ["UNSPECIFIED", "OK", "NOT_READY", "REJECTED_BUSY", "PROTOCOL_VIOLATION", "FAILED"]

file = descriptor_pb2.FileDescriptorProto()
playout.DESCRIPTOR.CopyToProto(file)
assert (file.package, file.syntax) == ("retrovue.playout", "proto3")


def fields(message):
    kind = descriptor_pb2.FieldDescriptorProto.Type.Name
    return ", ".join(f"{f.number} {kind(f.type)[5:].lower()} {f.name}" for f in message.field)


assert {m.name: fields(m) for m in file.message_type} == MESSAGES
assert all(f.label == f.LABEL_OPTIONAL for m in file.message_type for f in m.field)
assert [s.name for s in file.service] == ["PlayoutControl"]
assert {m.name: (m.input_type.split(".")[-1], m.output_type.split(".")[-1])
        for m in file.service[0].method} == METHODS
assert not any(m.client_streaming or m.server_streaming for m in file.service[0].method)
assert [e.name for e in file.enum_type] == ["ResultCode"]
assert [(v.name, v.number) for v in file.enum_type[0].value] == [
    (f"RESULT_CODE_{name}", number) for number, name in enumerate(CODES)]

option = playout.PLAYOUT_API_VERSION
assert (option.number, option.containing_type.full_name) == (
    50000, "google.protobuf.FileOptions")
assert playout.DESCRIPTOR.GetOptions().Extensions[option] == "1.0.0"

assert [m.name for m in status.DESCRIPTOR.services_by_name["PlayoutStatus"].methods] == [
    "ListChannels"]
