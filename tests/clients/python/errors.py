"""Provokes errors of readstates and reads their details as grpc-status unpacks them."""

import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from readstates.v1 import readstates_pb2 as pb
from readstates.v1 import readstates_pb2_grpc as pb_grpc


def failure(call, request, **options):
    try:
        call(request, **options)
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"{request} was taken")


def detail(error, kind):
    for packed in rpc_status.from_call(error).details:
        message = kind()
        if packed.Unpack(message):
            return message
    raise AssertionError(f"no {kind.__name__} in {error}")


def check(error, code, reason):
    assert error.code() == code, error
    found = detail(error, error_details_pb2.ErrorInfo)
    assert (found.reason, found.domain) == (reason, "readstates"), found
    return found


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        stub = pb_grpc.ReadStatesServiceStub(channel)
        error = failure(stub.Ack, pb.AckRequest(channel_id=1, message_id=1))
        check(error, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ID")
        violations = detail(error, error_details_pb2.BadRequest).field_violations
        assert [v.field for v in violations] == ["user_id"], violations

        error = failure(stub.Get, pb.GetRequest(user_id=1, channel_id=1))
        check(error, grpc.StatusCode.NOT_FOUND, "READ_STATE_NOT_FOUND")

        version = stub.Ack(pb.AckRequest(user_id=1, channel_id=1, message_id=1)).state.version
        stale = pb.AckRequest(user_id=1, channel_id=1, message_id=2, expected_version=version - 1)
        found = check(failure(stub.Ack, stale), grpc.StatusCode.ABORTED, "VERSION_MISMATCH")
        assert str(version) in found.metadata.values(), found

        # A deadline in the past, as any shorter than a millisecond is rounded up; a retry settles it.
        late = pb.AckRequest(user_id=1, channel_id=1, message_id=3)
        error = failure(stub.Ack, late, timeout=-1)
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
        assert stub.Ack(late, timeout=30).state.last_acked_id == 3
    print("every check passed")


main()
