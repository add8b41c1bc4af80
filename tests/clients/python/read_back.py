"""Reads the states that readstates left in Cassandra, and compares every one with a truth.

usage: read_back.py HOST:PORT KEYSPACE TRUTH

TRUTH is a .csv or .csv.zst with the columns user_id, channel_id, last_acked_id, mention_count. The
tables are read as any other program would read them, without a server of readstates. The exit code
is 1 where a row differs, is missing or should not be there.
"""

import csv
import io
import sys

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from cassandra.query import SimpleStatement
import zstandard

CHANNEL = 1
COUNT_MAX = 2**32 - 1
EXAMPLES_MAX = 10
COLUMNS = """user_id, type, channel_id, deleted_at, version, deleted, last_acked_id, mention_count,
    counted, zeroed, folded, fold_top, unpositioned, WRITETIME(version) AS written_at"""


def read_truth(path):
    with open(path, "rb") as file:
        if path.endswith(".zst"):
            file = zstandard.ZstdDecompressor().stream_reader(file)
        rows = csv.DictReader(io.TextIOWrapper(file, "ascii"))
        return {
            (int(r["user_id"]), int(r["channel_id"])): (
                int(r["last_acked_id"]),
                int(r["mention_count"]),
            )
            for r in rows
        }


def read_rows(contact_point, keyspace):
    """Every row of the table, a page at a time."""
    host, port = contact_point.rsplit(":", 1)
    profile = ExecutionProfile(
        load_balancing_policy=RoundRobinPolicy(),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        request_timeout=60,
    )
    profiles = {EXEC_PROFILE_DEFAULT: profile}
    with Cluster([host], port=int(port), execution_profiles=profiles) as cluster:
        session = cluster.connect(keyspace)
        yield from session.execute(
            SimpleStatement(f"SELECT {COLUMNS} FROM read_states", fetch_size=1_000)
        )


def is_there(row):
    """Whether the row is a state: no mark of its user alone, and not deleted, nor with its user."""
    if row.type is None or row.deleted:
        return False
    return row.deleted_at is None or row.version > row.deleted_at


def faults(row):
    """What contradicts itself in a row, whatever the truth is."""
    counted, zeroed = row.counted or [], row.zeroed or []
    if row.mention_count != min(len(counted) + row.folded + row.unpositioned, COUNT_MAX):
        yield f"mention_count {row.mention_count} is not what is counted"
    for name, ids in (("counted", counted), ("zeroed", zeroed)):
        if ids != sorted(set(ids)) or any(i <= max(row.last_acked_id, row.fold_top) for i in ids):
            yield f"{name} is not above the watermark, or not sorted"
    if row.written_at != row.version:
        yield f"the write timestamp {row.written_at} is not the version {row.version}"


def main():
    contact_point, keyspace, path = sys.argv[1:]
    truth = read_truth(path)
    missing = dict(truth)
    differ, rows = 0, 0
    for row in filter(is_there, read_rows(contact_point, keyspace)):
        rows += 1
        expected = missing.pop((row.user_id, row.channel_id), None) if row.type == CHANNEL else None
        found = list(faults(row))
        if expected != (row.last_acked_id, row.mention_count):
            held = f"{row.last_acked_id} and {row.mention_count} mentions"
            found.append(f"holds {held}, and expected is {expected or 'nothing'}")
        if found:
            differ += 1
            if differ <= EXAMPLES_MAX:
                print(f"user {row.user_id}, type {row.type}, channel {row.channel_id}: {found}")
    for user, channel in list(missing)[:EXAMPLES_MAX]:
        print(f"user {user}, channel {channel}: missing")
    differ += len(missing)
    print(f"{rows} rows read, {len(truth)} expected, {differ} differ")
    return 1 if differ else 0


sys.exit(main())
