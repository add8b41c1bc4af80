"""Calls over TLS, each time on a new connection and again on an old one, until its input ends.

Arguments: address, file of the authority's certificate. Tells how many calls were made.
"""

import sys
import threading

import grpc

from readstates.v1 import readstates_pb2 as pb
from readstates.v1 import readstates_pb2_grpc as pb_grpc

DEADLINE_SECONDS = 30


def ack(stub, message_id):
    request = pb.AckRequest(user_id=7, channel_id=1, message_id=message_id)
    assert stub.Ack(request, timeout=DEADLINE_SECONDS).changed, message_id


def main(address, authority):
    with open(authority, "rb") as file:
        credentials = grpc.ssl_channel_credentials(root_certificates=file.read())
    # Connections are shared between channels of the same options otherwise.
    fresh = [("grpc.use_local_subchannel_pool", 1)]
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    calls = 0
    with grpc.secure_channel(address, credentials, fresh) as old:
        old_stub = pb_grpc.ReadStatesServiceStub(old)
        while not ended.is_set() or calls < 10:
            calls += 1
            ack(old_stub, calls)
            calls += 1
            with grpc.secure_channel(address, credentials, fresh) as new:
                ack(pb_grpc.ReadStatesServiceStub(new), calls)
            if calls == 2:
                print("begun", flush=True)
    print(f"{calls} calls\nevery check passed")


main(*sys.argv[1:])
