"""Results as a run would have them, of nothing that was measured."""

from __future__ import annotations

import random
from typing import Any, Dict, List

SECONDS, WINDOW = 600, 10


def results() -> Dict[str, Any]:
    """Two rounds of two sides, and two cases of updates."""
    draw = random.Random(7)
    return {
        "format": 1, "date": "2026-11-29 12:00 UTC", "command": "benches/peers/run --long",
        "form": {"name": "long", "entries": 8_000_000, "users": 100_000, "channels": 100,
                 "rounds": 2, "open_seconds": SECONDS, "other_keys": 1_000_000},
        "mix": "chat", "rate": 21_000.0, "cores": {"server": 1, "generator": 0},
        "files": "ext2/ext3",
        "machine": {"processor": "A processor", "processors": "2", "memory": "24 GB",
                    "kernel": "6.1", "huge_pages": "madvise", "python": "3.11", "commit": "abc"},
        "versions": {"readstates": "readstates 0.1.0", "go": "go version go1.26"},
        "titles": {"go": "Go", "rust": "Rust"},
        "commands": {"go": "readstates-peer", "rust": "readstates serve"},
        "missing": {"redis": "missing: install it"},
        "maxima": {"go": [closed(42_000, 21.0)], "rust": [closed(81_000, 11.0, at_least=True)]},
        "rounds": [of_round(side, number, draw) for number in (1, 2) for side in ("go", "rust")],
        "others": [update("stream-memory", "readstates ApplyStream, acks", False, 650_000),
                   update("stream-memory", "readstates ApplyStream, acks", False, 700_000),
                   update("redis-hincrby-64", "Redis HINCRBY, 64 pipelined", False, 900_000),
                   update("postgres-single-on", "PostgreSQL upserts", True, 1_100)],
    }


def closed(rate: float, cost: float, at_least: bool = False) -> Dict[str, Any]:
    """A closed loop."""
    return {"report": {"calls_per_second": rate, "server": {"cpu_us_per_call": cost},
                       "windows": []}, "problems": [], "at_least": at_least}


def update(name: str, title: str, durable: bool, rate: float) -> Dict[str, Any]:
    """A repetition of a case."""
    return {"name": name, "title": title, "durable": durable, "updates_per_second": rate,
            "server_us": 1e6 / rate, "generator_cores": 0.25, "at_least": False, "problems": [],
            "command": name}


def of_round(side: str, number: int, draw: random.Random) -> Dict[str, Any]:
    """An open round: of Go one in which every minute has a collection."""
    slow = [side == "go" and at % 60 < WINDOW for at in range(0, SECONDS, WINDOW)]
    windows = [window(at * WINDOW, 30 if is_slow else 1, draw) for at, is_slow in enumerate(slow)]
    worst = {name: max(one["latency_us"][name] for one in windows)
             for name in windows[0]["latency_us"]}
    base = 3 << 30 if side == "go" else 1 << 30
    series = [{"at": float(at), "server": (0.9 if slow[at // WINDOW] else 0.4)
               + draw.random() / 20, "generator": 0.3, "foreign": 0.01,
               "rss": base + (at % 60 << 23 if side == "go" else 0)} for at in range(SECONDS)]
    return {
        "side": side, "round": number, "attempt": 1, "problems": [], "foreign": 0.01,
        "report": report(windows, worst, base), "series": series,
        "collections": collections() if side == "go" else [],
    }


def report(windows: List[Dict], latency: Dict[str, int], rss: int) -> Dict[str, Any]:
    """What the generator says."""
    return {"seconds": float(SECONDS), "calls_per_second": 21_000.0, "unsent_calls": 0,
            "calls_per_second_offered": 21_000.0, "errors": {}, "interrupted": False,
            "latency_us": latency, "generator": {"cpu_cores": 0.3},
            "server": {"cpu_cores": 0.45, "rss_bytes_max": rss}, "windows": windows}


def window(at: int, slower: int, draw: random.Random) -> Dict[str, Any]:
    """A window that is so many times slower in its tail."""
    wobble = 1 + draw.random() / 5
    tail = int(slower * wobble * 400)
    return {"at_seconds": float(at), "seconds": float(WINDOW), "calls": 210_000, "errors": 0,
            "latency_us": {"p50": int(150 * wobble), "p90": 220, "p99": tail, "p99.9": tail * 3,
                           "p99.99": tail * 5, "max": tail * 8}}


def collections() -> List[Dict[str, Any]]:
    """One a minute, every second one forced."""
    return [{"at": at + 2.0, "stopped_ms": 0.1, "marking_ms": 3_000.0, "heap_mb_before": 3_000,
             "heap_mb_after": 1_500, "forced": at % 120 == 0} for at in range(0, SECONDS, 60)]
