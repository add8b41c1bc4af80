"""The collections that a Go program tells of with GODEBUG=gctrace=1."""

from __future__ import annotations

import re
from typing import Dict, List, Optional

LINE = re.compile(
    r"^gc \d+ @(?P<at>[\d.]+)s \d+%: (?P<stop>[\d.]+)\+(?P<mark>[\d.]+)\+(?P<end>[\d.]+) ms clock"
    r".*?(?P<before>\d+)->\d+->(?P<after>\d+) MB"
)
# Stands before a collection that began because two minutes had passed without one. "(forced)" in
# the line of a collection is something else: that the program asked for it.
FORCED = "GC forced"


def parse(line: str) -> Optional[Dict[str, float]]:
    """One collection: when, since the start of the program; how long everything stood still, and
    how long was marked beside it; how large the heap was before and after."""
    found = LINE.match(line)
    if found is None:
        return None
    return {
        "at": float(found["at"]),
        "stopped_ms": round(float(found["stop"]) + float(found["end"]), 3),
        "marking_ms": float(found["mark"]),
        "heap_mb_before": int(found["before"]),
        "heap_mb_after": int(found["after"]),
    }


def within(log: str, started: float, from_: float, seconds: float) -> List[Dict[str, float]]:
    """Those of a log that began in the seconds that were measured, as of their beginning."""
    found = []
    forced = False
    for line in log.splitlines():
        forced = forced or line == FORCED
        collection = parse(line)
        if collection:
            at = started + collection["at"] - from_
            if 0 <= at <= seconds:
                found.append({**collection, "at": round(at, 2), "forced": forced})
            forced = False
    return found
