"""Lets deadlines pass while the server is held up, and while it is not. A retry settles each call."""

import os
import random
import signal
import sys

import grpc

from readstates.v1 import readstates_pb2 as pb
from readstates.v1 import readstates_pb2_grpc as pb_grpc

ROUNDS = 5
CALLS = 40
# Long enough for the request to be on its way before it passes.
DEADLINE_SECONDS = 0.1
HASTY_CALLS = 400
HASTY_SECONDS_MAX = 0.004
SETTLED_SECONDS = 60


def mention(user_id, message_id):
    return pb.IncrementRequest(user_id=user_id, channel_id=1, message_id=message_id)


def settle(stub, request):
    """Counts once, whatever came of the calls before."""
    return stub.Increment(request, timeout=SETTLED_SECONDS).state.mention_count


def held_up(stub, pid):
    """None is answered in time, as the server stands still; some of them may be done all the same."""
    for round_ in range(ROUNDS):
        requests = [mention(1 + user, 1 + round_) for user in range(CALLS)]
        os.kill(pid, signal.SIGSTOP)
        try:
            calls = [stub.Increment.future(request, timeout=DEADLINE_SECONDS) for request in requests]
            for call in calls:
                assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED, call
        finally:
            os.kill(pid, signal.SIGCONT)
        for request in requests:
            counted = settle(stub, request)
            assert counted == 1 + round_, (request, counted)


def hasty(stub):
    """Of deadlines as short as a call takes some pass, before it, within it or after it."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    late = 0
    for message_id in range(1, HASTY_CALLS + 1):
        request = mention(1_000, message_id)
        try:
            stub.Increment(request, timeout=draw.uniform(0, HASTY_SECONDS_MAX))
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
            late += 1
        # The same again changes nothing where it was counted.
        counted = settle(stub, request)
        assert counted == message_id, (message_id, counted)
    print(f"{late} of {HASTY_CALLS} hasty calls were late")


def main():
    address, pid = sys.argv[1], int(sys.argv[2])
    with grpc.insecure_channel(address) as channel:
        stub = pb_grpc.ReadStatesServiceStub(channel)
        # Connected before the first deadline begins.
        settle(stub, mention(999, 1))
        held_up(stub, pid)
        hasty(stub)
    print("every check passed")


if __name__ == "__main__":
    main()
