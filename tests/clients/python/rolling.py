"""Calls through a balancer, for many users at once, until its input ends; no call may fail.

Arguments: address, file of the service config. Tells how many calls were made.
"""

import sys
import threading

import grpc

from readstates.v1 import readstates_pb2 as pb
from readstates.v1 import readstates_pb2_grpc as pb_grpc

USERS = range(1, 61)


def call_for(stub, user, ended, counts):
    metadata = (("x-readstates-user-id", str(user)),)
    message_id = 0
    while not ended.is_set():
        message_id += 1
        of = {"user_id": user, "channel_id": 1}
        state = stub.Ack(pb.AckRequest(message_id=message_id, **of), metadata=metadata).state
        assert state.last_acked_id == message_id, (user, state)
        state = stub.Get(pb.GetRequest(**of), metadata=metadata).state
        assert state.last_acked_id == message_id, (user, state)
        counts[user] = message_id


def main(address, config):
    with open(config) as file:
        options = [("grpc.service_config", file.read()), ("grpc.enable_retries", 1)]
    ended = threading.Event()
    counts, failures = {}, []

    def guarded(user):
        try:
            call_for(stub, user, ended, counts)
        except BaseException as error:
            failures.append((user, error))
            ended.set()

    with grpc.insecure_channel(address, options) as channel:
        stub = pb_grpc.ReadStatesServiceStub(channel)
        threads = [threading.Thread(target=guarded, args=(user,)) for user in USERS]
        for thread in threads:
            thread.start()
        print("begun", flush=True)
        sys.stdin.read()
        ended.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    assert len(counts) == len(USERS), counts
    print(f"{2 * sum(counts.values())} calls\nevery check passed")


main(*sys.argv[1:])
