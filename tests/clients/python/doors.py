"""Calls a server with doors: with a token, without, and with one that is taken away while a watch
is under way."""

import os
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from readstates.v1 import readstates_pb2 as pb
from readstates.v1 import readstates_pb2_grpc as pb_grpc


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("it was let in")


def check(error, code, reason):
    assert error.code() == code, error
    info = error_details_pb2.ErrorInfo()
    assert rpc_status.from_call(error).details[0].Unpack(info), error
    assert (info.reason, info.domain) == (reason, "readstates"), info


def main():
    address, token, callers, without_it = sys.argv[1:]
    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    with grpc.insecure_channel(address) as channel:
        stub = pb_grpc.ReadStatesServiceStub(channel)
        mine = [("authorization", f"Bearer {token}")]
        get = pb.GetRequest(user_id=1, channel_id=1)
        ack = pb.AckRequest(user_id=1, channel_id=1, message_id=1)
        check(failure(lambda: stub.Get(get)), unauthenticated, "NO_CREDENTIALS")
        wrong = [("authorization", f"Bearer {token[:-1]}")]
        check(failure(lambda: stub.Get(get, metadata=wrong)), unauthenticated, "NO_CREDENTIALS")
        error = failure(lambda: stub.Ack(ack, metadata=mine))
        check(error, grpc.StatusCode.PERMISSION_DENIED, "ROLE")
        error = failure(lambda: stub.Get(get, metadata=mine))
        check(error, grpc.StatusCode.NOT_FOUND, "READ_STATE_NOT_FOUND")

        targets = [pb.WatchTarget(user_id=1)]
        events = stub.Watch(pb.WatchRequest(targets=targets), metadata=mine, timeout=60)
        while next(events).cause != pb.CAUSE_CAUGHT_UP:
            pass
        os.replace(without_it, callers)
        check(failure(lambda: next(events)), unauthenticated, "NO_CREDENTIALS")
        error = failure(lambda: stub.Get(get, metadata=mine))
        check(error, unauthenticated, "NO_CREDENTIALS")
    print("every check passed")


main()
