"""Sends operations ahead over ApplyStream, as a gateway does, and reads the answers meanwhile."""

import queue
import sys

import grpc

from readstates.v1 import readstates_pb2 as pb
from readstates.v1 import readstates_pb2_grpc as pb_grpc

MESSAGES = 200
CHANNELS = 50


def check(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


def mention(channel, message):
    request = pb.IncrementRequest(user_id=5, channel_id=channel, message_id=message)
    return pb.Operation(increment=request)


def ack(channel, message):
    return pb.Operation(ack=pb.AckRequest(user_id=5, channel_id=channel, message_id=message))


def ahead(stub):
    """Every message mentions every channel, and acks what the one before it mentioned."""

    def messages():
        for number in range(1, MESSAGES + 1):
            operations = [mention(c, number) for c in range(1, CHANNELS + 1)]
            operations += [ack(c, number - 1) for c in range(1, CHANNELS + 1) if number > 1]
            yield pb.ApplyStreamRequest(sequence=number, operations=operations)

    answered = 0
    for answer in stub.ApplyStream(messages(), timeout=60):
        answered += 1
        check(answer.sequence, answered)
        mentions, acks = answer.results[:CHANNELS], answer.results[CHANNELS:]
        check({r.outcome for r in mentions}, {pb.MENTION_OUTCOME_INCREMENTED})
        check({r.mention_count for r in acks}, {1} if answered > 1 else set())
    check(answered, MESSAGES)
    states = stub.List(pb.ListRequest(user_id=5)).states
    check({(s.last_acked_id, s.mention_count) for s in states}, {(MESSAGES - 1, 1)})


def one_by_one(stub):
    """Each message is sent once the one before it is answered: the stream does not hold back."""
    waiting = queue.Queue()
    answers = stub.ApplyStream(iter(waiting.get, None), timeout=60)
    for number in range(1, 20):
        operations = [ack(99, number), pb.Operation()]
        waiting.put(pb.ApplyStreamRequest(sequence=number, operations=operations))
        answer = next(answers)
        check((answer.sequence, answer.results[0].last_acked_id), (number, number))
        check(answer.results[1].reason, "EMPTY_OPERATION")
    waiting.put(None)
    check(list(answers), [])


def too_much(stub):
    messages = [pb.ApplyStreamRequest(operations=[pb.Operation()] * 10_001)]
    try:
        list(stub.ApplyStream(iter(messages), timeout=60))
    except grpc.RpcError as error:
        check(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
    else:
        raise AssertionError("it was served")


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        stub = pb_grpc.ReadStatesServiceStub(channel)
        ahead(stub)
        one_by_one(stub)
        too_much(stub)
    print("every check passed")


main()
