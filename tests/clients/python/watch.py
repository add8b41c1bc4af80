"""Keeps a copy of a user up to date by List and Watch, with nothing but the contract to go by."""

import sys

import grpc

from readstates.v1 import readstates_pb2 as pb
from readstates.v1 import readstates_pb2_grpc as pb_grpc

USER = 77


def check(actual, expected):
    assert actual == expected, f"{actual!r} is not {expected!r}"


class Copy:
    """The states of one user, and the version to resume from."""

    def __init__(self):
        self.states, self.version = {}, 0

    def take(self, event):
        if event.cause == pb.CAUSE_RESYNC:
            self.states = {}
        elif event.HasField("state"):
            self.hold(event.state)
        self.version = event.version

    def hold(self, state):
        key = (state.type, state.channel_id)
        held = self.states.get(key)
        if state.deleted:
            self.states.pop(key, None)
        elif held is None or held.version < state.version:
            self.states[key] = state

    def snapshot(self, stub):
        token = ""
        while True:
            page = stub.List(pb.ListRequest(user_id=USER, page_size=3, page_token=token))
            for state in page.states:
                self.hold(state)
            self.version, token = page.version, page.next_page_token
            if not token:
                return

    def check(self, stub):
        listed = stub.List(pb.ListRequest(user_id=USER, page_size=10_000)).states
        check(sorted(self.states.values(), key=lambda s: s.channel_id), list(listed))


def watch(stub, version):
    targets = [pb.WatchTarget(user_id=USER, since_version=version)]
    return stub.Watch(pb.WatchRequest(targets=targets), timeout=60)


def caught_up(events, copy):
    """Takes everything in up to the end of the catch-up; the causes that came."""
    causes = []
    for event in events:
        causes.append(event.cause)
        copy.take(event)
        if event.cause == pb.CAUSE_CAUGHT_UP:
            return causes
    raise AssertionError("it ends without a word")


def bulk_ack(stub, message, channels):
    items = [pb.BulkAckItem(channel_id=c, message_id=message) for c in channels]
    return stub.BulkAck(pb.BulkAckRequest(user_id=USER, items=items)).results


def snapshot_then_events(stub):
    for channel in range(1, 9):
        stub.Increment(pb.IncrementRequest(user_id=USER, channel_id=channel, message_id=10))
    copy = Copy()
    copy.snapshot(stub)
    stub.Ack(pb.AckRequest(user_id=USER, channel_id=3, message_id=5))
    events = watch(stub, copy.version)
    check(caught_up(events, copy), [pb.CAUSE_CATCH_UP, pb.CAUSE_CAUGHT_UP])
    copy.check(stub)

    stub.Ack(pb.AckRequest(user_id=USER, channel_id=4, message_id=10))
    stub.Ack(pb.AckRequest(user_id=USER, channel_id=4, message_id=9))  # Changes nothing.
    stub.MarkUnread(pb.MarkUnreadRequest(user_id=USER, channel_id=4, message_id=2))
    stub.Delete(pb.DeleteRequest(user_id=USER, channel_id=5))
    for cause in (pb.CAUSE_ACK, pb.CAUSE_MARK_UNREAD, pb.CAUSE_DELETE):
        event = next(events)
        check(event.cause, cause)
        copy.take(event)
    copy.check(stub)
    events.cancel()
    return copy


def reconnect(stub, copy):
    for event in watch(stub, copy.version):
        check((event.cause, event.version >= copy.version), (pb.CAUSE_CAUGHT_UP, True))
        break
    stub.Reset(pb.ResetRequest(user_id=USER, channel_id=6))
    stub.Delete(pb.DeleteRequest(user_id=USER, channel_id=7))
    events = watch(stub, copy.version)
    check(caught_up(events, copy), [pb.CAUSE_CATCH_UP] * 2 + [pb.CAUSE_CAUGHT_UP])
    copy.check(stub)
    return events


def undo(stub, events, copy):
    """Scenario 24: what BulkAck answers is what Restore needs."""
    before = {key: state.mention_count for key, state in copy.states.items()}
    results = bulk_ack(stub, 100, [1, 2, 8])
    stub.Ack(pb.AckRequest(user_id=USER, channel_id=2, message_id=200))  # Read on since.
    back = [
        pb.RestoreItem(
            user_id=USER,
            channel_id=r.state.channel_id,
            last_acked_id=r.previous_last_acked_id,
            mention_count=r.previous_mention_count,
            marked_unread=r.previous_marked_unread,
            expected_last_acked_id=r.state.last_acked_id,
        )
        for r in results
        if r.changed
    ]
    restored = stub.Restore(pb.RestoreRequest(states=back)).results
    check([r.reason for r in restored], ["", "VERSION_MISMATCH", ""])
    causes = [pb.CAUSE_ACK] * 4 + [pb.CAUSE_RESTORE] * 2
    for cause in causes:
        event = next(events)
        check(event.cause, cause)
        copy.take(event)
    copy.check(stub)
    after = {key: state.mention_count for key, state in copy.states.items()}
    check([key for key in before if before[key] != after[key]], [(pb.READ_STATE_TYPE_CHANNEL, 2)])


def slow(address, stub):
    """Reads nothing while much changes, is ended, and resumes from what it has."""
    copy = Copy()
    # On a connection of its own, whose windows fill up.
    with grpc.insecure_channel(address, options=[("grpc.http2.bdp_probe", 0)]) as channel:
        events = watch(pb_grpc.ReadStatesServiceStub(channel), 0)
        caught_up(events, copy)
        for message in range(1_000, 1_060):
            bulk_ack(stub, message, range(1, 1_001))
        last = copy.version
        try:
            for event in events:
                assert event.version > last, f"{event} after {last}"
                last = event.version
                copy.take(event)
        except grpc.RpcError as error:
            check(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        else:
            raise AssertionError("it goes on for ever")
    events = watch(stub, copy.version)
    for event in events:
        assert event.version > last or event.cause == pb.CAUSE_CAUGHT_UP, f"{event} after {last}"
        copy.take(event)
        if event.cause == pb.CAUSE_CAUGHT_UP:
            break
    copy.check(stub)
    stub.DeleteUser(pb.DeleteUserRequest(user_id=USER))
    check(caught_up(events, copy), [pb.CAUSE_RESYNC, pb.CAUSE_CAUGHT_UP])
    check(copy.states, {})


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        stub = pb_grpc.ReadStatesServiceStub(channel)
        copy = snapshot_then_events(stub)
        events = reconnect(stub, copy)
        undo(stub, events, copy)
        events.cancel()
        slow(sys.argv[1], stub)
    print("every check passed")


main()
