"""Calls every unary method of readstates and checks what it answers."""

import sys

import grpc

from readstates.v1 import readstates_pb2 as pb
from readstates.v1 import readstates_pb2_grpc as pb_grpc

USER = 1 << 60
CHANNEL = 77


def check(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


def one_state(stub):
    of = {"user_id": USER, "channel_id": CHANNEL}
    answer = stub.Ack(pb.AckRequest(message_id=100, flags=6, last_viewed_day=4000, **of))
    check((answer.changed, answer.state.last_acked_id, answer.state.flags), (True, 100, 6))
    check(answer.state.type, pb.READ_STATE_TYPE_CHANNEL)
    check(answer.state.mentions_exact, True)
    late = stub.Ack(pb.AckRequest(message_id=50, **of))
    check((late.changed, late.state), (False, answer.state))

    first = stub.Increment(pb.IncrementRequest(message_id=110, **of))
    check(first.outcome, pb.MENTION_OUTCOME_INCREMENTED)
    again = stub.Increment(pb.IncrementRequest(message_id=110, **of))
    check((again.outcome, again.changed), (pb.MENTION_OUTCOME_DUPLICATE, False))
    read = stub.Increment(pb.IncrementRequest(message_id=90, **of))
    check(read.outcome, pb.MENTION_OUTCOME_ALREADY_READ)
    check(stub.Increment(pb.IncrementRequest(count=4, **of)).state.mention_count, 5)

    check(stub.Reset(pb.ResetRequest(**of)).state.mention_count, 0)
    marked = stub.MarkUnread(pb.MarkUnreadRequest(message_id=60, mention_count=3, **of)).state
    check((marked.last_acked_id, marked.mention_count, marked.marked_unread), (60, 3, True))
    pinned = stub.AckPins(pb.AckPinsRequest(pinned_at_ms=1_700_000_000_000, **of)).state
    check((pinned.last_pin_ack_ms, pinned.last_acked_id), (1_700_000_000_000, 60))
    check(stub.Get(pb.GetRequest(**of)).state, pinned)
    deleted = stub.Delete(pb.DeleteRequest(**of))
    check((deleted.changed, deleted.state.deleted), (True, True))


def many_users(stub):
    users = list(range(1, 101))
    fan_out = pb.FanOutRequest(channel_id=CHANNEL, message_id=10, user_ids=users + users)
    check(stub.FanOut(fan_out).incremented, 100)
    check(stub.FanOut(fan_out).duplicate, 100)
    retract = pb.RetractRequest(channel_id=CHANNEL, message_id=10, user_ids=users[:40])
    check(stub.Retract(retract).retracted, 40)
    check(stub.Retract(retract).retracted, 0)
    summaries = stub.GetSummary(pb.GetSummaryRequest(user_ids=[41, 1, 5000])).summaries
    check([(s.user_id, s.mention_count) for s in summaries], [(41, 1), (1, 0), (5000, 0)])
    keys = [pb.Key(user_id=u, channel_id=CHANNEL) for u in (3, 5000, 2)]
    found = stub.BatchGet(pb.BatchGetRequest(keys=keys))
    check([s.user_id for s in found.states], [3, 2])
    check([k.user_id for k in found.missing], [5000])
    delete = pb.DeleteChannelRequest(channel_id=CHANNEL, user_ids=users)
    check(stub.DeleteChannel(delete).deleted, 100)
    check(stub.DeleteChannel(delete).deleted, 0)


def many_channels(stub):
    user = 4242
    for channel in range(1, 11):
        stub.Increment(pb.IncrementRequest(user_id=user, channel_id=channel, message_id=20))
    items = [pb.BulkAckItem(channel_id=c, message_id=30) for c in range(1, 11)]
    results = stub.BulkAck(pb.BulkAckRequest(user_id=user, items=items)).results
    check([r.changed for r in results], [True] * 10)
    check([r.previous_mention_count for r in results], [1] * 10)
    undo = [
        pb.RestoreItem(
            user_id=user,
            channel_id=r.state.channel_id,
            last_acked_id=r.previous_last_acked_id,
            mention_count=r.previous_mention_count,
            marked_unread=r.previous_marked_unread,
            expected_last_acked_id=r.state.last_acked_id,
        )
        for r in results
    ]
    check([r.code for r in stub.Restore(pb.RestoreRequest(states=undo)).results], [0] * 10)

    listed, token, version = [], "", None
    while True:
        page = stub.List(pb.ListRequest(user_id=user, page_size=3, page_token=token))
        listed += page.states
        version = version or page.version
        check(page.version, version)
        token = page.next_page_token
        if not token:
            break
    check([s.channel_id for s in listed], list(range(1, 11)))
    check([s.mention_count for s in listed], [1] * 10)
    stub.Reset(pb.ResetRequest(user_id=user, channel_id=4))
    delta = stub.List(pb.ListRequest(user_id=user, since_version=version))
    check((delta.delta, [s.channel_id for s in delta.states]), (True, [4]))
    check(stub.DeleteUser(pb.DeleteUserRequest(user_id=user)).deleted, 10)
    check(len(stub.List(pb.ListRequest(user_id=user)).states), 0)


def batches(stub):
    operations = [
        pb.Operation(ack=pb.AckRequest(user_id=9, channel_id=1, message_id=5)),
        pb.Operation(increment=pb.IncrementRequest(user_id=9, channel_id=1, message_id=6)),
        pb.Operation(reset=pb.ResetRequest(user_id=9, channel_id=1)),
        pb.Operation(mark_unread=pb.MarkUnreadRequest(user_id=9, channel_id=1, message_id=2)),
        pb.Operation(ack_pins=pb.AckPinsRequest(user_id=9, channel_id=1, pinned_at_ms=8)),
        pb.Operation(delete=pb.DeleteRequest(user_id=9, channel_id=1)),
    ]
    results = stub.Apply(pb.ApplyRequest(operations=operations)).results
    check([r.code for r in results], [0] * 6)
    check([r.changed for r in results], [True] * 6)
    check(results[1].outcome, pb.MENTION_OUTCOME_INCREMENTED)
    check([r.last_acked_id for r in results[:5]], [5, 5, 5, 2, 2])


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        stub = pb_grpc.ReadStatesServiceStub(channel)
        one_state(stub)
        many_users(stub)
        many_channels(stub)
        batches(stub)
    print("every check passed")


main()
